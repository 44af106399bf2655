//! Stages as they are planned: what each kind needs to be built.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

use super::{Input, Place};
use crate::expr::{Expr, Template};

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

impl Stage {
    /// Every expression of the stage.
    pub fn expressions(&self) -> Vec<&Expr> {
        let mut all: Vec<&Expr> = Vec::new();
        all.extend(&self.when);
        match &self.kind {
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
        all
    }
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
    /// Without an error, and with a warning in the log.
    Warn(String),
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

impl StageKind {
    /// The key that says in topologies what the stage does.
    pub fn name(&self) -> &'static str {
        match self {
            StageKind::Route { .. } => "route",
            StageKind::Pick { .. } => "pick",
            StageKind::Each { .. } => "each",
            StageKind::Filter { .. } => "filter",
            StageKind::Dedup { .. } => "dedup",
            StageKind::Enrich(_) => "enrich",
            StageKind::Download(_) => "download",
            StageKind::Upload(_) => "upload",
            StageKind::Aggregate { .. } => "aggregate",
        }
    }
}

/// Where a dedup finds the keys it has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DedupTable {
    /// The table's name.
    pub table: String,
    /// The index of the column that holds the key.
    pub key: usize,
    /// The index of the column that holds the instant.
    pub at: usize,
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

impl Call {
    /// Every expression of the request and of its pages.
    pub(super) fn expressions(&self) -> Vec<&Expr> {
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
