//! What a topology compiles to: names resolved, expressions parsed, edges typed, flows cut. Nothing here is connected yet.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use connectors::table::{ColumnType, TableSpec};
use indexmap::IndexMap;

use crate::expr::{Expr, Template};

mod build;
mod connection;
pub use build::build;
pub use connection::*;

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

/// What happens to a message that failed.
#[derive(Clone, Debug, Default)]
pub struct Retry {
    /// The kafka connection that retry and dead letter topics live in.
    pub connection: String,
    /// For each attempt the delay and the full name of its topic.
    pub delays: Vec<(Duration, String)>,
    /// The full name of the dead letter topic.
    pub dead_letter: String,
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

/// One stage.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Its name, and its binding's.
    pub name: Arc<str>,
    /// What it reads.
    pub input: Input,
    /// Whether it runs on a document; otherwise the document goes on with a null binding.
    pub when: Option<Expr>,
    /// What it does.
    pub kind: StageKind,
    /// Where it is declared.
    pub place: Place,
}

/// How a document leaves early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leave {
    /// As a failure that is tried again.
    Transient(String),
    /// As a failure that is not.
    Permanent(String),
    /// Without an error.
    Skip(String),
}

/// What a stage does.
#[derive(Clone, Debug)]
pub enum StageKind {
    /// Binds labels by a value.
    Route {
        /// The value.
        by: Expr,
        /// Labels by value.
        cases: IndexMap<String, Vec<Arc<str>>>,
        /// Every label of the stage.
        labels: Vec<Arc<str>>,
        /// What happens to every other value: dead or skipped.
        otherwise: Leave,
    },
    /// Binds a value.
    Pick {
        /// The value.
        value: Expr,
        /// What a null means; none: not produced.
        missing: Option<Leave>,
    },
    /// One document for each element.
    Each {
        /// The list.
        list: Expr,
    },
    /// Lets pass what is true.
    Filter {
        /// The condition.
        keep: Expr,
        /// How the others leave.
        otherwise: Leave,
    },
    /// Lets pass the first of each key.
    Dedup {
        /// The key.
        key: Expr,
        /// The instant that decides the bucket.
        at: Expr,
        /// How long a key is remembered.
        window: Duration,
        /// The table it is read back from, with the columns that hold key and instant; none: it forgets at a restart.
        table: Option<DedupTable>,
    },
    /// Calls an API.
    Enrich(Enrich),
    /// Fetches a file into the spool.
    Download(Download),
    /// Puts a file of the spool into a store.
    Upload(Upload),
    /// A view kept up to date.
    Aggregate {
        /// The group's values, by name.
        by: IndexMap<Arc<str>, Expr>,
        /// The name of the count.
        count: Option<Arc<str>>,
        /// The sums, by name.
        sum: IndexMap<Arc<str>, Expr>,
    },
}

/// Where a dedup finds the keys it has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DedupTable {
    /// The table's name.
    pub table: String,
    /// The index of the column that holds the key.
    pub key: usize,
    /// The index of the column that holds the instant, if any.
    pub at: Option<usize>,
}

/// One request of an API, as templates.
#[derive(Clone, Debug)]
pub struct Call {
    /// The http connection.
    pub connection: String,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The path below the connection's url.
    pub path: Template,
    /// Query values by name; nulls are left out.
    pub query: IndexMap<String, Expr>,
    /// Body fields by name.
    pub body: IndexMap<String, Expr>,
    /// Headers by name.
    pub headers: IndexMap<String, Expr>,
    /// Statuses that mean: there is nothing (the binding is null).
    pub absent: Vec<u16>,
    /// How pages follow each other.
    pub paginate: Option<Paginate>,
    /// The longest answer; the connection's bound otherwise.
    pub max_answer: Option<usize>,
}

/// How pages of an answer follow each other. The lists of all pages are joined under `data`.
#[derive(Clone, Debug)]
pub enum Paginate {
    /// By the `Link` header's `rel="next"`.
    Link {
        /// At most so many pages.
        pages: usize,
    },
    /// By a url in the answer.
    Next {
        /// The url in the answer (its root is bound to `answer`).
        url: Expr,
        /// At most so many pages.
        pages: usize,
    },
    /// By a value in the answer that goes into a query parameter.
    Cursor {
        /// The value in the answer (its root is bound to `answer`).
        value: Expr,
        /// The query parameter.
        parameter: String,
        /// At most so many pages.
        pages: usize,
    },
}

/// A stage that calls an API.
#[derive(Clone, Debug)]
pub struct Enrich {
    /// The request.
    pub call: Call,
    /// How documents share a call.
    pub batch: Option<Batch>,
    /// How long an answer serves later documents.
    pub cache: Option<Cache>,
}

/// How documents share a call.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Documents of one value share a call; bound to `key`.
    pub by: Expr,
    /// At most so many in a call; bound to `items`.
    pub rows: usize,
    /// How long the first waits for others.
    pub linger: Duration,
}

/// How long an answer serves later documents.
#[derive(Clone, Debug)]
pub struct Cache {
    /// The age up to which it serves.
    pub ttl: Duration,
    /// Only if it was requested at or after this instant.
    pub since: Option<Expr>,
    /// At most so many answers.
    pub size: usize,
}

/// A stage that fetches a file into the spool.
#[derive(Clone, Debug)]
pub struct Download {
    /// The web connection.
    pub connection: String,
    /// The object store connection of the spool.
    pub spool: String,
    /// The link.
    pub url: Expr,
    /// The file's name in the spool: unique for each file.
    pub name: Expr,
    /// When the link expires; null: never.
    pub expires: Option<Expr>,
    /// How a new link is had; without it an expired link is dead.
    pub refresh: Option<Refresh>,
}

/// How a new link is had before the old one expires and after 401 and 403.
#[derive(Clone, Debug)]
pub struct Refresh {
    /// The request.
    pub call: Call,
    /// The link in the answer (bound to `answer`).
    pub url: Expr,
    /// How long before its end a link counts as expired.
    pub margin: Duration,
    /// How often for one message.
    pub times: usize,
}

/// A stage that puts a file of the spool into a store.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The object store connection.
    pub connection: String,
    /// The object store connection of the spool.
    pub spool: String,
    /// The path in the spool.
    pub file: Expr,
    /// The path in the store.
    pub to: Template,
    /// The content type.
    pub content_type: Option<Expr>,
    /// The length that was recorded at the download.
    pub bytes: Option<Expr>,
    /// The checksum that was recorded at the download.
    pub sha256: Option<Expr>,
    /// Whether the file stays in the spool.
    pub keep: bool,
    /// Whether a file that is gone is bound as `missing` instead of being a failure.
    pub bind_missing: bool,
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
    /// The spelling in topologies.
    pub fn as_str(self) -> &'static str {
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
        for stage in &self.stages {
            all.extend(&stage.when);
            match &stage.kind {
                StageKind::Route { by, .. } => all.push(by),
                StageKind::Pick { value, .. } => all.push(value),
                StageKind::Each { list } => all.push(list),
                StageKind::Filter { keep, .. } => all.push(keep),
                StageKind::Dedup { key, at, .. } => all.extend([key, at]),
                StageKind::Aggregate { by, sum, .. } => all.extend(by.values().chain(sum.values())),
                StageKind::Enrich(enrich) => {
                    all.extend(enrich.call.expressions());
                    all.extend(enrich.batch.as_ref().map(|b| &b.by));
                    all.extend(enrich.cache.as_ref().and_then(|c| c.since.as_ref()));
                }
                StageKind::Download(download) => {
                    all.extend([&download.url, &download.name]);
                    all.extend(&download.expires);
                    if let Some(refresh) = &download.refresh {
                        all.extend(refresh.call.expressions());
                        all.push(&refresh.url);
                    }
                }
                StageKind::Upload(upload) => {
                    all.push(&upload.file);
                    all.extend(upload.to.expressions());
                    all.extend([&upload.content_type, &upload.bytes, &upload.sha256].into_iter().flatten());
                }
            }
        }
        for rows in &self.rows {
            all.extend(&rows.when);
            all.extend(rows.columns.iter().map(|c| &c.value));
        }
        for send in &self.sends {
            all.extend(send.when.iter().chain(&send.key));
            all.extend(send.body.iter().map(|f| &f.value));
            all.extend(send.headers.iter().map(|(_, value)| value));
        }
        all
    }
}

/// Whether `expr` reads what is bound to `name`; an empty path is all bindings.
fn reads(expr: &Expr, name: &str) -> bool {
    expr.paths().iter().any(|path| path.first().is_none_or(|root| root == name))
}

impl Call {
    /// Every expression of the request and of its pages.
    fn expressions(&self) -> Vec<&Expr> {
        let mut all: Vec<&Expr> = self.path.expressions().collect();
        all.extend(self.query.values().chain(self.body.values()).chain(self.headers.values()));
        match &self.paginate {
            Some(Paginate::Next { url, .. }) => all.push(url),
            Some(Paginate::Cursor { value, .. }) => all.push(value),
            Some(Paginate::Link { .. }) | None => {}
        }
        all
    }
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
