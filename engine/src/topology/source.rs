//! A text with its line index: from byte offsets to lines and columns that a person can find.

use std::sync::Arc;

/// A part of a text, as byte offsets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl Span {
    /// The span of one byte offset.
    pub fn at(offset: usize) -> Self {
        Span { start: offset, end: offset }
    }
}

/// A file as it was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name, as it is shown.
    pub name: Arc<str>,
    /// Its text.
    pub text: String,
    /// The byte offset of the start of each line.
    lines: Vec<usize>,
}

impl Source {
    /// Indexes the lines of `text`.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<String>) -> Self {
        let text = text.into();
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Source { name: name.into(), text, lines }
    }

    /// The line and the column of a byte offset, both from 1; columns count characters.
    ///
    /// ```
    /// let source = engine::topology::Source::new("a.yaml", "é: 1\nb: 2\n");
    /// assert_eq!(source.position(4), (1, 4));
    /// assert_eq!(source.position(6), (2, 1));
    /// ```
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let offset = offset.min(self.text.len());
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..).unwrap_or("").char_indices().take_while(|(at, _)| start + at < offset);
        (line, before.count() + 1)
    }

    /// The byte offset at which a line, from 1, begins.
    pub fn start(&self, number: usize) -> usize {
        self.lines.get(number.saturating_sub(1)).copied().unwrap_or(self.text.len())
    }

    /// The text of a line, from 1, without its end.
    pub fn line(&self, number: usize) -> &str {
        let rest = self.text.get(self.start(number)..).unwrap_or("");
        rest.split('\n').next().unwrap_or("").trim_end_matches('\r')
    }

    /// The text that a problem stands under.
    #[cfg(test)]
    pub fn under(&self, at: &super::Position) -> &str {
        let offset = |line: usize, column: usize| {
            let text = self.line(line);
            self.start(line) + text.char_indices().nth(column - 1).map_or(text.len(), |(at, _)| at)
        };
        self.text.get(offset(at.line, at.column)..offset(at.end_line, at.end_column)).unwrap_or("")
    }

    /// The line and the column behind a span, blanks at its end left out; at least one column behind its beginning.
    pub fn end(&self, span: Span) -> (usize, usize) {
        let text = self.text.get(span.start..span.end.max(span.start)).unwrap_or("").trim_end();
        match text.is_empty() {
            true => {
                let (line, column) = self.position(span.start);
                (line, column + 1)
            }
            false => self.position(span.start + text.len()),
        }
    }
}
