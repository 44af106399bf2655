//! Stages: what happens to a document between a source and what leaves its flow.
//!
//! One file is one kind of stage. A synchronous stage is a function from a document to what becomes of it
//! ([`Apply`]); an asynchronous one ([`Run`]) returns a future that the dataflow runs with bounds and a deadline. Neither
//! knows of epochs, frontiers or threads.

use std::sync::Arc;

use async_trait::async_trait;
use connectors::clock::Micros;
use connectors::log::Position;
use connectors::{Category, Error};

use crate::expr::{Bindings, Env, Expr, Json, Scope};
use crate::plan::{Leave, Place};

pub mod call;
pub mod dedup;
pub mod download;
pub mod each;
pub mod enrich;
pub mod filter;
pub mod message;
pub mod pick;
pub mod presence;
pub mod route;
pub mod upload;

/// Where a message was first read: a retry keeps it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Origin {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// What every document of one message shares.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Meta {
    /// Unique in the flow while the process runs.
    pub id: u64,
    /// Where the message was first read.
    pub origin: Origin,
    /// Where it was read this time.
    pub here: Origin,
    /// How often it has failed before: 0 at first.
    pub attempt: u32,
    /// Whether somebody replayed it from the dead letters.
    pub replayed: bool,
    /// When it entered the flow.
    pub entered: Micros,
}

/// A record on the trunk: a message with what the stages above have bound.
#[derive(Clone, Debug)]
pub struct Document {
    /// What it shares with the other documents of its message.
    pub meta: Arc<Meta>,
    /// Values by name.
    pub bindings: Bindings,
    /// Whether the stage it left last produced it, or let it pass with a null binding.
    pub produced: bool,
    /// Its place among the documents that `each` made of the message: the later of two elements has the greater one.
    pub element: u64,
}

impl Document {
    /// The scope of its expressions.
    pub fn scope<'a>(&'a self, env: &'a Env) -> Scope<'a> {
        Scope { bindings: &self.bindings, root: None, env }
    }

    /// Whether `when` is true of it, or is not there. An expression without a value is a failure of the stage or block `name`,
    /// declared at `place`.
    pub fn holds(&self, when: Option<&Expr>, env: &Env, name: &Arc<str>, place: &Place) -> Result<bool, Failure> {
        when.map_or(Ok(true), |when| when.test(&self.scope(env)))
            .map_err(|e| Failure::new(Category::Permanent, format!("when: {e}"), name, place))
    }

    /// Binds `value` to `name` and marks the document as produced.
    #[must_use]
    pub fn bind(mut self, name: &Arc<str>, value: Json) -> Self {
        self.bindings.set(name.clone(), value);
        self.produced = true;
        self
    }

    /// Binds null to `name`: the stage did not produce the document.
    #[must_use]
    pub fn pass(mut self, name: &Arc<str>) -> Self {
        self.bindings.set(name.clone(), Json::new());
        self.produced = false;
        self
    }
}

/// Why a message failed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Failure {
    /// What it means.
    pub category: Category,
    /// What happened, without secrets, at most 500 characters.
    pub message: String,
    /// The stage or block that failed, `source` for a message that could not be read.
    pub stage: Arc<str>,
    /// The place of the rule in the topology.
    pub place: String,
    /// The HTTP status of the answer, where there was one.
    pub status: Option<u16>,
    /// How long the other side asked us to wait, in microseconds.
    pub retry_after: Option<Micros>,
}

impl Failure {
    /// A failure of `stage`.
    pub fn new(category: Category, message: impl Into<String>, stage: &Arc<str>, place: &Place) -> Self {
        let message: String = message.into();
        Failure {
            category,
            message: connectors::redact::brief(&message).into_owned(),
            stage: stage.clone(),
            place: place.to_string(),
            status: None,
            retry_after: None,
        }
    }

    /// What a connector's error means for the message that met it.
    pub fn of(error: &Error, stage: &Arc<str>, place: &Place) -> Self {
        let mut failure = Failure::new(error.category, error.to_string(), stage, place);
        failure.status = error.status;
        failure.retry_after = error.retry_after.map(|d| Micros::try_from(d.as_micros()).unwrap_or(Micros::MAX));
        failure
    }
}

/// What becomes of a document in a stage.
#[derive(Debug)]
pub enum Verdict {
    /// It goes on.
    On(Document),
    /// It became several documents, or none.
    Many(Vec<Document>),
    /// Its message was left out on purpose.
    Skipped(Arc<str>),
    /// Its message failed.
    Failed(Failure),
}

impl Verdict {
    /// What a declared way to leave means for a document of the message `meta`.
    pub fn leave(leave: &Leave, detail: Option<String>, meta: &Meta, stage: &Arc<str>, place: &Place) -> Self {
        let text = |text: &str| match &detail {
            Some(detail) => format!("{text}: {detail}"),
            None => text.to_owned(),
        };
        match leave {
            Leave::Skip(reason) => Verdict::Skipped(Arc::from(reason.as_str())),
            Leave::Warn(reason) => {
                let Origin { topic, partition, offset } = &meta.origin;
                tracing::warn!(%stage, %place, origin = %format_args!("{topic}/{partition}/{offset}"), %reason, "skipped");
                Verdict::Skipped(Arc::from(reason.as_str()))
            }
            Leave::Transient(m) => Verdict::Failed(Failure::new(Category::Transient, text(m), stage, place)),
            Leave::Permanent(m) => Verdict::Failed(Failure::new(Category::Permanent, text(m), stage, place)),
        }
    }
}

/// A stage that answers at once.
pub trait Apply: Send {
    /// What becomes of `document`. Its `when` has been found true.
    fn apply(&mut self, document: Document, env: &Env) -> Verdict;

    /// Which of the branches that the stage declares `document` takes, if it declares any. Asked only where somebody looks.
    fn branch(&self, document: &Document, env: &Env) -> Option<String> {
        let _ = (document, env);
        None
    }
}

/// What a document cost on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// Calls of APIs that were made for it.
    pub calls: u32,
    /// Links that were asked for anew, because the old one had expired or was refused.
    pub refreshes: u32,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, more: Usage) {
        self.calls += more.calls;
        self.refreshes += more.refreshes;
    }
}

/// A stage that waits for the outside.
#[async_trait]
pub trait Run: Send + Sync {
    /// What becomes of `document`, and what it cost. Its `when` has been found true. The future may be dropped at any await.
    /// A failure of category [`Category::CircuitOpen`] is not an outcome: the document waits as long as the failure says and
    /// runs again, with a deadline of its own, so an open breaker uses up no retries.
    async fn run(&self, document: Document, env: &Env) -> (Verdict, Usage);

    /// How many documents may be in the stage at a time.
    fn limit(&self) -> usize;

    /// `position` was committed: no message before it is delivered again.
    async fn committed(&self, position: &Position) {
        let _ = position;
    }
}
