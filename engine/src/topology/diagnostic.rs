//! What is wrong with a topology, where, and what to do about it.
//!
//! Each problem has a code that never changes its meaning ([`CODES`]), a position, and where it helps what was expected and
//! what was probably meant. All problems of a file are reported at once, in the order of their positions. A value that came from
//! the environment is never shown, only the name of its variable.

use std::sync::Arc;

use serde_json::Value;

use crate::expr::nearest::near;
pub use crate::expr::nearest::nearest;

use super::render::{render, to_json};
use super::source::{Source, Span};

macro_rules! codes {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        /// The codes of all problems, one constant each.
        pub mod code {
            $(#[doc = $text] pub const $name: &str = $code;)*
        }
        /// Each code with its meaning.
        pub const CODES: &[(&str, &str)] = &[$(($code, $text)),*];
    };
}

codes! {
    FILE = "E0001", "A file cannot be read.";
    YAML = "E0100", "The text is not YAML.";
    UNKNOWN_KEY = "E0101", "A key that the language does not have.";
    MISSING_KEY = "E0102", "A required key is missing.";
    WRONG_KIND = "E0103", "A value is not of the kind that is expected there.";
    DUPLICATE_KEY = "E0104", "A key stands twice in one mapping.";
    EXCLUSIVE = "E0105", "Keys that exclude each other, or a choice that was not made.";
    BAD_NAME = "E0106", "A name that is not allowed.";
    LANGUAGE = "E0107", "A version of the language that this engine does not know.";
    YAML_FEATURE = "E0108", "A feature of YAML that topologies do not use, or too much of one.";
    UNSET = "E0110", "A variable of the environment is not set and has no default.";
    INTERPOLATION = "E0111", "A `${...}` that is not complete.";
    UNKNOWN_VARIABLE = "E0112", "A `{name}` that `vars` does not declare.";
    VARIABLE_CYCLE = "E0113", "Variables that need each other.";
    SETTINGS = "E0114", "A line of the settings file that is not NAME=value.";
    EXPRESSION = "E0120", "An expression that does not parse.";
    TEMPLATE = "E0121", "A template that does not parse.";
    UNKNOWN_CONNECTION = "E0201", "A connection that is not declared.";
    CONNECTION_KIND = "E0202", "A connection of the wrong kind.";
    UNKNOWN_TABLE = "E0203", "A table that is not declared.";
    UNKNOWN_TOPIC = "E0204", "A topic that is not declared.";
    UNKNOWN_STAGE = "E0205", "A stage that is not declared above.";
    UNKNOWN_COLUMN = "E0206", "A column that the table does not have.";
    UNKNOWN_BINDING = "E0207", "A name that is not in sight of an expression.";
    UNKNOWN_FIELD = "E0208", "A field that a binding or a message does not have.";
    DUPLICATE_NAME = "E0209", "Two things with one name.";
    AUTH = "E0210", "An authentication that is only half there.";
    TIMING = "E0211", "Time limits that contradict each other.";
    ADDRESS = "E0212", "An address, a host or a path that cannot be reached as it is written.";
    SETTING = "E0213", "A setting or a header that the client does not take.";
    GROUPS = "E0301", "Column groups that overlap, or do not cover the table.";
    KEY_COLUMN = "E0302", "A column that cannot be a key, a partition or kept.";
    PARENT = "E0303", "A parent that does not keep its rows in front of the table's.";
    INSERT_MODE = "E0304", "Column groups or kept columns of a table that never updates a row.";
    SAME_PLACE = "E0305", "Two tables, topics or groups in one place.";
    TWO_FLOWS = "E0401", "Two flows feed one table.";
    MISSING_COLUMN = "E0402", "A rows block does not carry a column that every row needs.";
    NOW = "E0403", "The time of writing in a value that must be the same at a replay.";
    MISSING_FIELD = "E0404", "A send block does not carry a field that every message needs.";
    TYPE_MISMATCH = "E0405", "A type that never becomes the other.";
    UNREAD_STAGE = "E0406", "A stage whose result nobody reads.";
    UNREAD_TOPIC = "E0407", "A topic that nobody reads.";
    UNWRITTEN_TOPIC = "E0408", "A topic that nobody writes.";
    DEDUP_TABLE = "E0409", "A dedup that cannot be read back from its table.";
    RETRY = "E0410", "A retry policy that is missing or cannot work.";
    EXACTLY_ONCE = "E0411", "A flow that cannot be one transaction.";
    DISAGREEMENT = "E0412", "Two blocks that disagree on the type of a column.";
    SEVERAL_LOGS = "E0414", "A flow whose topics are in several logs.";
    SPOOL = "E0415", "A connection that is a spool and cannot be one.";
    COMPARISON = "E0416", "A comparison that gives the same whatever the data are.";
    SIMULATION = "E0501", "A simulation that cannot be run as it is written.";
    GENERATOR = "E0502", "A generator that simulations do not have, or one that cannot stand there.";
    UNKNOWN_ENTITY = "E0503", "An entity that the simulation does not declare, or that is not of the kind that is needed.";
    UNKNOWN_TYPE = "E0504", "A type of event that the simulation does not declare.";
    PROVIDES = "E0505", "A variable that the topology does not read, or a value with which it does not start.";
    TEST = "E0601", "A test that cannot be run as it is written.";
    UNUSED = "W0501", "Something declared that nothing uses.";
    FILES_AND_TABLES = "W0502", "A flow that moves files and feeds tables.";
    SELF_LOOP = "W0504", "A flow that writes the topic it reads.";
    NO_OUTPUT = "W0505", "A flow that writes nothing.";
    UNREAD_LABEL = "W0506", "A label of a route that nobody reads.";
    DELAYS = "W0507", "Delays that are nothing, or get shorter.";
    OUTSIDE = "W0508", "A table outside of its connection's place.";
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The topology does not start.
    Error,
    /// It starts, but probably not as meant.
    Warning,
}

/// Where a problem is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The file.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line in which it ends.
    pub end_line: usize,
    /// The column behind its last character.
    pub end_column: usize,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which problem; one of [`CODES`].
    pub code: &'static str,
    /// How bad it is: codes with a `W` are warnings.
    pub severity: Severity,
    /// What it is, with the names of this case.
    pub message: String,
    /// Where it is.
    pub position: Position,
    /// What would be right there.
    pub expected: Option<String>,
    /// What to do.
    pub help: Option<String>,
    /// What to write in place of what the position covers, where that mends it.
    pub suggestion: Option<String>,
    /// The path of the declaration that it is about: problems about one are one problem.
    pub(crate) subject: Option<Vec<String>>,
}

impl Diagnostic {
    /// A problem at a span of a source.
    pub fn new(code: &'static str, source: &Source, span: Span, message: impl Into<String>) -> Self {
        let (line, column) = source.position(span.start);
        let (end_line, end_column) = source.end(span);
        let severity = if code.starts_with('W') { Severity::Warning } else { Severity::Error };
        let position = Position { file: source.name.clone(), line, column, end_line, end_column };
        Diagnostic {
            code,
            severity,
            message: message.into(),
            position,
            expected: None,
            help: None,
            suggestion: None,
            subject: None,
        }
    }

    /// Adds what would be right.
    #[must_use]
    pub fn expected(mut self, text: impl Into<String>) -> Self {
        self.expected = Some(text.into());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Adds what to write instead, and says so unless there is a help already.
    #[must_use]
    pub fn write(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        self.help = self.help.or_else(|| Some(format!("write `{text}`")));
        self.suggestion = Some(text);
        self
    }

    /// Adds the nearest of the names that would be right, up to three that are about as near, or all of them where none is near and they
    /// are few.
    #[must_use]
    pub fn nearest<'a>(self, given: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<&str> = names.into_iter().collect();
        match (near(given, names.iter().copied()).as_slice(), names.len()) {
            ([], 1..=12) => self.expected(format!("one of `{}`", names.join("`, `"))),
            ([], _) => self,
            (found, _) => self.meant(found),
        }
    }

    /// Says which of some names was probably meant; a single one is what to write.
    #[must_use]
    pub fn meant(self, names: &[&str]) -> Self {
        match names {
            [] => self,
            [one] => self.help(format!("did you mean `{one}`?")).write(*one),
            [first @ .., last] => self.help(format!("did you mean `{}` or `{last}`?", first.join("`, `"))),
        }
    }

    /// Says that it is about a name that is declared at `path` of the topology: what is wrong with it is told once.
    #[must_use]
    pub fn about(mut self, path: Vec<String>) -> Self {
        self.subject = Some(path);
        self
    }
}

/// The problems of one load, with the texts they point into.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    /// The problems, by position.
    pub items: Vec<Diagnostic>,
    /// The files.
    pub sources: Vec<Source>,
}

impl Diagnostics {
    /// Sorts problems by position, drops repetitions, and makes one of those about one name.
    pub fn new(mut items: Vec<Diagnostic>, sources: Vec<Source>) -> Self {
        items.sort_by(|a, b| (&a.position, a.code, &a.message).cmp(&(&b.position, b.code, &b.message)));
        items.dedup();
        let mut joined: Vec<(Diagnostic, Vec<usize>)> = Vec::new();
        for item in items {
            let same = |(other, _): &&mut (Diagnostic, Vec<usize>)| {
                item.subject.is_some() && other.subject == item.subject && other.severity == item.severity
            };
            match joined.iter_mut().find(same) {
                Some((first, lines)) => {
                    if item.position.line != first.position.line && !lines.contains(&item.position.line) {
                        lines.push(item.position.line);
                    }
                }
                None => joined.push((item, Vec::new())),
            }
        }
        let items = joined.into_iter().map(|(mut item, lines)| {
            if !lines.is_empty() {
                item.message += &format!(", here and in {}", in_lines(&lines));
            }
            item
        });
        Diagnostics { items: items.collect(), sources }
    }

    /// Whether one of them keeps the topology from starting.
    pub fn has_errors(&self) -> bool {
        self.items.iter().any(|d| d.severity == Severity::Error)
    }

    /// All of them as a person reads them.
    pub fn render(&self) -> String {
        render(&self.items, &self.sources)
    }

    /// All of them as a program reads them.
    pub fn to_json(&self) -> Value {
        Value::Array(self.items.iter().map(to_json).collect())
    }
}

impl std::fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render())
    }
}

impl std::error::Error for Diagnostics {}

/// Lines as a sentence has them; of many the first.
pub(crate) fn in_lines(lines: &[usize]) -> String {
    let shown: Vec<String> = lines.iter().take(8).map(usize::to_string).collect();
    match (shown.as_slice(), lines.len()) {
        ([one], _) => format!("line {one}"),
        (shown, all) if all > shown.len() => format!("lines {} and {} more", shown.join(", "), all - shown.len()),
        ([first @ .., last], _) => format!("lines {} and {last}", first.join(", ")),
        ([], _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique() {
        let mut codes: Vec<_> = CODES.iter().map(|(c, _)| c).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), CODES.len());
    }
}
