//! YAML text as a tree in which every key and value knows where it stands.
//!
//! One document, YAML 1.2. Anchors, aliases and merge keys (`<<`) are resolved here, within a budget of nodes, so that a small file
//! cannot become a large tree. Tags and keys that are not text are refused. A duplicate key is a problem of its own and does not
//! hide others; a syntax error ends the reading.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle};

use super::diagnostic::{Diagnostic, code};
use super::source::{Source, Span};
use super::{place, yaml};

/// The most nodes of one file, aliases resolved.
const MAX_NODES: usize = 200_000;
/// The deepest nesting.
const MAX_DEPTH: usize = 64;
/// The longest file.
const MAX_BYTES: usize = 8 << 20;

/// A value with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing: `key:`, `~`, `null`, or a variable that is empty.
    Null,
    /// A value that a variable should have given and did not. That was reported; what depends on it is not.
    Unset,
    /// Text, whatever it will be read as.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<Entry>),
}

/// A text.
#[derive(Clone, Debug)]
pub struct Scalar {
    /// The text, interpolated.
    pub text: String,
    /// Where it came from.
    pub origin: Origin,
    /// Whether it stands without quotes: then it may be read as a number or a boolean.
    pub plain: bool,
    /// What stands in the file, where a part of the text came from the environment.
    pub written: Option<Box<str>>,
}

/// Where a text came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It stands in the file.
    Written,
    /// A part of it came from the environment.
    Part,
    /// All of it came from the environment, through the variable of this name.
    Whole(String),
    /// The variable of this name is not set, and all of the text is its default, which stands in the file.
    Default(String),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub at: Span,
    /// The value.
    pub value: Node,
    /// Whether the key stands above it in the same mapping already, which was reported.
    pub again: bool,
}

impl Node {
    /// The entries of a mapping; none of anything else.
    pub fn entries(&self) -> &[Entry] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// The elements of a list; none of anything else.
    pub fn items(&self) -> &[Node] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        if let Value::Scalar(scalar) = &self.value { Some(&scalar.text) } else { None }
    }

    /// The entry of a key, unless its value is null.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|e| e.key == key && !e.value.is_null())
    }

    /// The value of a key, unless it is null.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|e| &e.value)
    }

    /// Whether it is nothing.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// Whether it, or a value in it, is one that a variable should have given.
    pub fn is_unset(&self) -> bool {
        match &self.value {
            Value::Unset => true,
            Value::Null | Value::Scalar(_) => false,
            Value::List(items) => items.iter().any(Node::is_unset),
            Value::Map(entries) => entries.iter().any(|e| e.value.is_unset()),
        }
    }

    /// What an error calls it; never a value of the environment.
    pub fn shown(&self) -> String {
        match &self.value {
            Value::Null | Value::Unset => "nothing".into(),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
            Value::Scalar(Scalar { origin: Origin::Whole(name), .. }) => format!("the value of `{name}`"),
            Value::Scalar(Scalar { origin: Origin::Part, .. }) => "a value of the environment".into(),
            Value::Scalar(Scalar { text, origin: Origin::Default(name), .. }) => {
                format!("`{}`, the default of `{name}`,", text.chars().take(60).collect::<String>())
            }
            Value::Scalar(Scalar { text, .. }) => format!("`{}`", text.chars().take(60).collect::<String>()),
        }
    }

    /// Where a part of the text of a scalar stands in the file. What came from the environment stands where its `${` stands.
    pub fn locate(&self, source: &Source, offset: usize, length: usize) -> Span {
        let raw = source.text.get(self.span.start..self.span.end).unwrap_or("");
        let Value::Scalar(scalar) = &self.value else { return self.span };
        let (text, offset) = match (&scalar.origin, &scalar.written) {
            (Origin::Written, _) => (scalar.text.as_str(), offset),
            (Origin::Part, Some(written)) => match place::outside(&scalar.text, written, offset) {
                Some(offset) => (&**written, offset),
                None => return self.span,
            },
            _ => return self.span,
        };
        place::within(raw, text, offset, length)
            .map_or(self.span, |(start, end)| Span { start: self.span.start + start, end: self.span.start + end })
    }

    /// Leaves out, all the way down, what stands under a key that stands above it already.
    pub fn once(&mut self) {
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(Node::once),
            Value::Map(entries) => {
                entries.retain(|entry| !entry.again);
                entries.iter_mut().for_each(|entry| entry.value.once());
            }
            _ => {}
        }
    }

    /// The end of the last thing in it. A block's own span says only where it begins.
    pub fn reach(&self) -> usize {
        let inner = match &self.value {
            Value::List(items) => items.iter().map(Node::reach).max(),
            Value::Map(entries) => entries.iter().map(|e| e.at.end.max(e.value.reach())).max(),
            _ => None,
        };
        inner.unwrap_or(0).max(self.span.end)
    }

    fn size(&self) -> usize {
        1 + match &self.value {
            Value::List(items) => items.iter().map(Node::size).sum(),
            Value::Map(entries) => entries.iter().map(|e| e.value.size()).sum(),
            _ => 0,
        }
    }

    fn depth(&self) -> usize {
        1 + match &self.value {
            Value::List(items) => items.iter().map(Node::depth).max().unwrap_or(0),
            Value::Map(entries) => entries.iter().map(|e| e.value.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// Puts the whole tree at one place: what a variable of the environment holds stands where the variable is named.
    pub fn place_at(&mut self, span: Span) {
        self.span = span;
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|n| n.place_at(span)),
            Value::Map(entries) => entries.iter_mut().for_each(|e| {
                e.at = span;
                e.value.place_at(span);
            }),
            _ => {}
        }
    }
}

/// Reads the one document of a source. Problems that do not end the reading go to `problems`.
pub fn parse(source: &Source, problems: &mut Vec<Diagnostic>) -> Result<Node, Diagnostic> {
    if source.text.len() > MAX_BYTES {
        return Err(Diagnostic::new(code::YAML_FEATURE, source, Span::at(0), "the file is longer than 8 MiB"));
    }
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.disallow_directives = true;
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let parser = Parser::new_from_str_with_options(&source.text, options);
    let mut reading = Reading { source, parser, anchors: HashMap::new(), nodes: 0, open: Vec::new(), problems };
    let mut document = None;
    while let Some((event, span)) = reading.next()? {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(..) if document.is_some() => {
                return Err(reading.refuse(span, "a file is one document").help("remove the second `---`"));
            }
            Event::DocumentStart(..) => {}
            event => document = Some(reading.node(event, span, 0)?),
        }
    }
    Ok(document.unwrap_or(Node { span: Span::at(0), value: Value::Null }))
}

struct Reading<'a> {
    source: &'a Source,
    parser: Parser<'a, serde_saphyr::granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    /// Where the lists and mappings begin that are being read.
    open: Vec<Span>,
    problems: &'a mut Vec<Diagnostic>,
}

impl<'a> Reading<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Diagnostic> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => {
                let start = span.start.byte_offset().unwrap_or(0);
                Ok(Some((event, Span { start, end: span.end.byte_offset().unwrap_or(start).max(start) })))
            }
            Some(Err(error)) => {
                let at = error.marker().byte_offset().unwrap_or(self.source.text.len());
                Err(yaml::explain(self.source, at, &error.info(), &self.open))
            }
        }
    }

    fn refuse(&self, span: Span, message: &str) -> Diagnostic {
        Diagnostic::new(code::YAML_FEATURE, self.source, span, message)
    }

    /// The end of a list or mapping between brackets; others end where the next thing begins, which says nothing.
    fn end(&self, span: Span, last: Span) -> usize {
        let brackets = self.source.text.get(span.start..).is_some_and(|rest| rest.starts_with(['[', '{']));
        if brackets { last.end.max(span.end) } else { span.end }
    }

    fn node(&mut self, event: Event<'a>, mut span: Span, depth: usize) -> Result<Node, Diagnostic> {
        self.nodes += 1;
        if self.nodes > MAX_NODES || depth > MAX_DEPTH {
            return Err(self.refuse(span, "too many nodes, or too deep"));
        }
        let (node, anchor, tag) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let value = if plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") {
                    Value::Null
                } else {
                    Value::Scalar(Scalar { text: text.into_owned(), origin: Origin::Written, plain, written: None })
                };
                (Node { span, value }, anchor, tag.is_some())
            }
            Event::SequenceStart(_, anchor, tag) => {
                let mut items = Vec::new();
                self.open.push(span);
                while let Some((event, at)) = self.next()? {
                    if event == Event::SequenceEnd {
                        span.end = self.end(span, at);
                        break;
                    }
                    items.push(self.node(event, at, depth + 1)?);
                }
                self.open.pop();
                (Node { span, value: Value::List(items) }, anchor, tag.is_some())
            }
            Event::MappingStart(_, anchor, tag) => (self.mapping(span, depth)?, anchor, tag.is_some()),
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id).cloned() else {
                    return Err(self.refuse(span, "an alias inside its own anchor"));
                };
                self.nodes += node.size();
                if self.nodes > MAX_NODES || depth + node.depth() > MAX_DEPTH {
                    return Err(self.refuse(span, "aliases make this file too large"));
                }
                (node, 0, false)
            }
            other => return Err(self.refuse(span, &format!("unexpected {other:?}"))),
        };
        if tag {
            return Err(yaml::tag(self.source, span));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn mapping(&mut self, mut span: Span, depth: usize) -> Result<Node, Diagnostic> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged: Vec<Entry> = Vec::new();
        self.open.push(span);
        while let Some((event, at)) = self.next()? {
            let key = match event {
                Event::MappingEnd => {
                    span.end = self.end(span, at);
                    break;
                }
                Event::Scalar(text, _, 0, None) => text.into_owned(),
                Event::Scalar(_, _, _, Some(_)) => return Err(yaml::tag(self.source, at)),
                Event::MappingStart(..) => {
                    let help = "text that begins with `{` needs quotes: `\"{name}...\"`";
                    return Err(self.refuse(at, "a key must be plain text").help(help));
                }
                _ => return Err(self.refuse(at, "a key must be plain text")),
            };
            let Some((event, value_at)) = self.next()? else { break };
            let value = self.node(event, value_at, depth + 1)?;
            if key == "<<" {
                merged.extend(self.merge_source(&value)?);
            } else if let Some(first) = entries.iter().find(|e| e.key == key) {
                let line = self.source.position(first.at.start).0;
                let message = format!("the key `{key}` stands twice, first in line {line}");
                let problem = Diagnostic::new(code::DUPLICATE_KEY, self.source, at, message);
                self.problems.push(problem.help("keep one of the two"));
                entries.push(Entry { key, at, value, again: true });
            } else {
                entries.push(Entry { key, at, value, again: false });
            }
        }
        self.open.pop();
        for entry in merged {
            if !entries.iter().any(|e| e.key == entry.key) {
                entries.push(entry);
            }
        }
        Ok(Node { span, value: Value::Map(entries) })
    }

    fn merge_source(&self, node: &Node) -> Result<Vec<Entry>, Diagnostic> {
        match &node.value {
            Value::Map(entries) => Ok(entries.clone()),
            Value::List(items) if items.iter().all(|n| matches!(n.value, Value::Map(_))) => {
                Ok(items.iter().flat_map(|n| n.entries().iter().cloned()).collect())
            }
            _ => Err(self.refuse(node.span, "`<<` takes a mapping, or a list of mappings")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Node, Vec<Diagnostic>) {
        let mut problems = Vec::new();
        (parse(&Source::new("t.yaml", text), &mut problems).unwrap(), problems)
    }

    #[test]
    fn keys_and_values_know_their_place() {
        let text = "a: 1\nb:\n  - {c: 'x y', d: null}\n";
        let (node, _) = read(text);
        let list = node.get("b").unwrap();
        let c = list.items()[0].entry("c").unwrap();
        assert_eq!(&text[c.at.start..c.at.end], "c");
        assert_eq!(&text[c.value.span.start..c.value.span.end], "'x y'");
        assert!(list.items()[0].get("d").is_none());
    }

    #[test]
    fn offsets_inside_text_are_found_in_the_file() {
        let cases = [
            ("a: foo + bar", '+'),
            ("a: 'foo + bar'", '+'),
            ("a: >-\n   foo\n   + bar\n", '+'),
            ("a: \"f\\\"o + bar\"", '+'),
            ("a: '''x'' + bar'", '+'),
            ("a: \"\\u00e9\\n + bar\"", '+'),
            ("a: \"fo\\\n  o + bar\"", '+'),
            ("a: |\n   foo\n\n   + bar\n", '+'),
            ("a: foo\n   + bar\n", '+'),
        ];
        for (text, wanted) in cases {
            let source = Source::new("t", text);
            let (node, _) = read(text);
            let value = node.get("a").unwrap();
            let offset = value.text().unwrap().find(wanted).unwrap();
            let span = value.locate(&source, offset, 1);
            assert_eq!(&text[span.start..span.end], "+", "{text}");
        }
    }

    #[test]
    fn aliases_and_merge_keys_are_resolved_within_a_budget() {
        let (node, _) = read("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\n");
        assert_eq!(node.get("b").unwrap().get("x").unwrap().text(), Some("1"));
        assert_eq!(node.get("b").unwrap().get("y").unwrap().text(), Some("3"));
        assert_eq!(node.get("c").unwrap().get("y").unwrap().text(), Some("2"));
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..10 {
            let before = format!("*a{}", i - 1);
            bomb += &format!("a{i}: &a{i} [{}]\n", vec![before; 10].join(", "));
        }
        let error = parse(&Source::new("t", bomb), &mut Vec::new()).unwrap_err();
        assert_eq!(error.code, code::YAML_FEATURE);
    }
}
