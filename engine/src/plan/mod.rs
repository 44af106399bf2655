//! What a topology compiles to: names resolved, expressions parsed, edges typed, flows cut. Nothing here is connected yet.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use connectors::Category;
use connectors::table::{ColumnType, TableSpec};
use indexmap::IndexMap;

use crate::expr::Expr;

mod build;
mod connection;
mod stage;
pub use build::build;
pub use connection::*;
pub use stage::*;

/// Where something stands in a topology: shown with every error of a running flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The path of keys, such as `flows.enricher.stages.photo`.
    pub path: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{} {}", self.file, self.line, self.column, self.path)
    }
}

/// A checked topology.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// Other names for all its flows on the command line.
    pub aliases: Vec<String>,
    /// The file it came from.
    pub file: PathBuf,
    /// The file that declares its simulation.
    pub simulation: Option<PathBuf>,
    /// Connections by name.
    pub connections: IndexMap<String, Connection>,
    /// Topics by their name in the topology. Retry and dead letter topics are in the flows.
    pub topics: IndexMap<String, Topic>,
    /// Tables by name.
    pub tables: IndexMap<String, Table>,
    /// Flows, in order.
    pub flows: Vec<Flow>,
}

/// A declared topic.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its full name in the log.
    pub name: String,
    /// The kafka connection it lives in.
    pub connection: String,
    /// How many partitions it gets when it is created here; the connection's default otherwise.
    pub partitions: Option<i32>,
    /// The field that is the key of what is sent.
    pub key: Option<String>,
    /// The fields of its messages.
    pub message: Arc<Vec<Field>>,
    /// Somebody else writes it.
    pub external_written: bool,
    /// Somebody else reads it.
    pub external_read: bool,
}

/// A field of a message.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name in `event`.
    pub name: Arc<str>,
    /// What it is computed from; the message's own key of the same name without.
    pub expr: Option<Expr>,
    /// Its type; none keeps the value as it is.
    pub kind: Option<ColumnType>,
    /// Whether a message without it is dead.
    pub required: bool,
    /// Where it is declared.
    pub place: Place,
}

/// A declared table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Columns, key, groups.
    pub spec: Arc<TableSpec>,
    /// The delta connection it lives in.
    pub connection: String,
    /// Its whole url.
    pub url: String,
    /// What it is for.
    pub about: String,
    /// The table whose rows are visible before rows of this one.
    pub parent: Option<String>,
    /// When its buffer is committed.
    pub flush: Flush,
    /// Where it is declared.
    pub place: Place,
}

/// When a table's buffer is committed: at the first bound that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flush {
    /// Rows in the buffer.
    pub rows: usize,
    /// Bytes in the buffer.
    pub bytes: usize,
    /// Age of the oldest row in the buffer.
    pub age: Duration,
}

/// One dataflow: a source, stages, and what leaves it.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Its name.
    pub name: String,
    /// Other names it answers to on the command line.
    pub aliases: Vec<String>,
    /// Where its messages come from.
    pub source: Source,
    /// Its stages, in order; inputs point upwards only.
    pub stages: Vec<Stage>,
    /// What it writes to tables.
    pub rows: Vec<Rows>,
    /// What it writes to topics.
    pub sends: Vec<Send>,
    /// Whether outputs and positions are one transaction.
    pub exactly_once: bool,
    /// Where it is declared.
    pub place: Place,
}

/// Where a flow's messages come from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The system.
    pub kind: SourceKind,
    /// The fields of `event`.
    pub message: Arc<Vec<Field>>,
    /// How long a message may stay in the flow.
    pub deadline: Duration,
    /// Bytes of messages in flight.
    pub budget: usize,
    /// What happens to a message that failed.
    pub retry: Retry,
    /// Where it is declared.
    pub place: Place,
}

/// The system a flow reads from.
#[derive(Clone, Debug)]
pub enum SourceKind {
    /// A topic.
    Topic {
        /// The kafka connection.
        connection: String,
        /// The topic's full name.
        topic: String,
        /// The group whose positions are committed.
        group: String,
    },
    /// A JSONL file, or a directory of them.
    File {
        /// Its path.
        path: PathBuf,
    },
}

impl SourceKind {
    /// The group whose positions are committed, if it is a topic.
    pub fn group(&self) -> Option<&str> {
        match self {
            SourceKind::Topic { group, .. } => Some(group),
            SourceKind::File { .. } => None,
        }
    }
}

/// What happens to a message that failed.
#[derive(Clone, Debug, Default)]
pub struct Retry {
    /// The kafka connection that retry and dead letter topics live in.
    pub connection: String,
    /// For each attempt the delay and the full name of its topic.
    pub delays: Vec<(Duration, String)>,
    /// The full name of the dead letter topic.
    pub dead_letter: String,
    /// What a failure means whose text holds these words, which are in lower case; the first that fits.
    pub classify: Vec<(String, Category)>,
}

/// What a stage, a row block or a send block reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// The messages themselves.
    Source,
    /// All documents that leave the stage with this index, those that skipped it included.
    After(usize),
    /// Only the documents that the stage with this index produced.
    Produced(usize),
}

impl Retry {
    /// What a failure with this text means here, which the tables took for one of `category`.
    pub fn category(&self, text: &str, category: Category) -> Category {
        if self.classify.is_empty() {
            return category;
        }
        let text = text.to_lowercase();
        self.classify.iter().find(|(words, _)| text.contains(words)).map_or(category, |(_, category)| *category)
    }

    /// The full names of the retry topics, each once: equal delays share a topic.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        let first = |at: usize, topic: &str| self.delays.iter().position(|(_, t)| t == topic) == Some(at);
        self.delays
            .iter()
            .enumerate()
            .filter(move |(at, (_, topic))| first(*at, topic))
            .map(|(_, (_, topic))| topic.as_str())
    }
}

/// What a message ended as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// All it caused is written.
    Done,
    /// It left on purpose, with a reason.
    Skipped,
    /// It failed and waits in a retry topic.
    Retried,
    /// It failed for good.
    Dead,
}

impl Status {
    /// The spellings of all.
    pub const WORDS: &'static [&'static str] =
        &[Status::Done.as_str(), Status::Skipped.as_str(), Status::Retried.as_str(), Status::Dead.as_str()];

    /// The spelling in topologies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Done => "done",
            Status::Skipped => "skipped",
            Status::Retried => "retried",
            Status::Dead => "dead",
        }
    }
}

/// When a block fires: for documents, or for outcomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// For each document of an input.
    Documents(Input),
    /// For each message that ended as one of these.
    Outcomes(Vec<Status>),
}

/// A block that writes rows.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Its name.
    pub name: Arc<str>,
    /// The table.
    pub table: String,
    /// When it fires.
    pub trigger: Trigger,
    /// Only where this is true.
    pub when: Option<Expr>,
    /// The columns it writes.
    pub columns: Vec<ColumnValue>,
    /// Where it is declared.
    pub place: Place,
}

impl Rows {
    /// Every expression of the block.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        self.when.iter().chain(self.columns.iter().map(|column| &column.value))
    }
}

/// A column that a block writes.
#[derive(Clone, Debug)]
pub struct ColumnValue {
    /// The column's index in the table.
    pub column: usize,
    /// Its value.
    pub value: Expr,
    /// Whether a null is left out instead of written.
    pub optional: bool,
    /// Where it is declared.
    pub place: Place,
}

/// A block that writes messages.
#[derive(Clone, Debug)]
pub struct Send {
    /// Its name.
    pub name: Arc<str>,
    /// The topic's name in the topology.
    pub topic: String,
    /// When it fires.
    pub trigger: Trigger,
    /// Only where this is true.
    pub when: Option<Expr>,
    /// The message's key.
    pub key: Option<Expr>,
    /// The fields of the body, with the types of the topic's message.
    pub body: Vec<BodyField>,
    /// Headers.
    pub headers: Vec<(Arc<str>, Expr)>,
    /// Where it is declared.
    pub place: Place,
}

/// A field of a body.
#[derive(Clone, Debug)]
pub struct BodyField {
    /// Its name.
    pub name: Arc<str>,
    /// Its value.
    pub value: Expr,
    /// The type the topic declares; none keeps the value as it is.
    pub kind: Option<ColumnType>,
    /// Whether it must not be null.
    pub required: bool,
}

impl Send {
    /// Every expression of the block.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        let headers = self.headers.iter().map(|(_, value)| value);
        self.when.iter().chain(&self.key).chain(self.body.iter().map(|field| &field.value)).chain(headers)
    }
}

impl Flow {
    /// Every expression of the flow.
    pub fn expressions(&self) -> Vec<&Expr> {
        let fields = self.source.message.iter().filter_map(|f| f.expr.as_ref());
        fields.chain(self.later_expressions()).collect()
    }

    /// Whether an expression reads what is bound to `name`.
    pub fn reads_binding(&self, name: &str) -> bool {
        self.expressions().into_iter().any(|e| reads(e, name))
    }

    /// Whether an expression behind the source reads what is bound to `name`.
    pub fn reads_binding_later(&self, name: &str) -> bool {
        self.later_expressions().into_iter().any(|e| reads(e, name))
    }

    /// Every expression behind the source.
    fn later_expressions(&self) -> Vec<&Expr> {
        let mut all: Vec<&Expr> = Vec::new();
        all.extend(self.stages.iter().flat_map(Stage::expressions));
        all.extend(self.rows.iter().flat_map(Rows::expressions));
        all.extend(self.sends.iter().flat_map(Send::expressions));
        all
    }
}

/// Whether `expr` reads what is bound to `name`; an empty path is all bindings.
fn reads(expr: &Expr, name: &str) -> bool {
    expr.paths().iter().any(|path| path.first().is_none_or(|root| root == name))
}

impl Source {
    /// The group that reads `topic`, if this source reads it: as its own topic or as a retry topic.
    pub fn reads(&self, topic: &str) -> Option<&str> {
        match &self.kind {
            SourceKind::Topic { topic: own, group, .. } => {
                let mut delayed = self.retry.delays.iter().map(|(_, t)| t.as_str());
                (own == topic || delayed.any(|t| t == topic)).then_some(group.as_str())
            }
            SourceKind::File { .. } => None,
        }
    }
}
