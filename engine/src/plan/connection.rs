//! Connections as a topology declares them: plain values, nothing connected.

use std::collections::BTreeMap;
use std::time::Duration;

use connectors::Category;
use indexmap::IndexMap;

/// A declared connection.
#[derive(Clone, Debug)]
pub enum Connection {
    /// Topics: a Kafka cluster, or the embedded log.
    Kafka(Kafka),
    /// An API.
    Http(Http),
    /// Hosts that files are downloaded from.
    Web(Web),
    /// A place for files.
    ObjectStore(ObjectStore),
    /// A place for tables.
    Delta(Delta),
}

/// A value that no log, error or `explain` shows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// Topics.
#[derive(Clone, Debug, Default)]
pub struct Kafka {
    /// Host and port of some brokers; `None` is the embedded log.
    pub brokers: Option<String>,
    /// `plaintext`, `ssl`, `sasl_plaintext`, `sasl_ssl`.
    pub protocol: String,
    /// `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`.
    pub mechanism: String,
    /// The user of SASL.
    pub username: String,
    /// The password of SASL.
    pub password: Secret,
    /// A file with the certificates to trust.
    pub ca: Option<String>,
    /// At most so many messages a poll.
    pub max_poll_records: Option<usize>,
    /// After so long without a heartbeat the group goes on without this member.
    pub session_timeout: Option<Duration>,
    /// After so long without a poll the group goes on without this member.
    pub max_poll_interval: Option<Duration>,
    /// How often a heartbeat is sent.
    pub heartbeat: Option<Duration>,
    /// Partitions of topics that are created.
    pub partitions: i32,
    /// Replicas of topics that are created.
    pub replication: i32,
    /// Whether missing topics are created.
    pub create: bool,
    /// Settings of the client's consumer, passed on as they are.
    pub consumer: BTreeMap<String, String>,
    /// Settings of the client's producer, passed on as they are.
    pub producer: BTreeMap<String, String>,
}

/// How an API knows us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// By user name and password.
    Basic(String, Secret),
    /// By a ready value after `Basic `, with or without that word.
    Token(Secret),
    /// By a bearer token.
    Bearer(Secret),
}

/// An API.
#[derive(Clone, Debug)]
pub struct Http {
    /// What paths are appended to.
    pub url: String,
    /// How it knows us.
    pub auth: Auth,
    /// Headers of every request.
    pub headers: IndexMap<String, String>,
    /// Total time of one request.
    pub timeout: Duration,
    /// Requests at a time.
    pub concurrency: usize,
    /// Tries after the first, before a failure leaves the client.
    pub retries: usize,
    /// The longest answer.
    pub max_answer: usize,
    /// When the client stops calling for a while.
    pub breaker: Breaker,
    /// Requests a second, and how many at once after a pause.
    pub rate: Option<(f64, u32)>,
    /// Categories of statuses that differ from the default table.
    pub classify: BTreeMap<u16, Category>,
}

/// When a client stops calling for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open.
    pub cooldown: Duration,
    /// Calls at a time while it is half open.
    pub trials: u32,
    /// Successes that close it.
    pub successes: u32,
}

/// Hosts that files are downloaded from.
#[derive(Clone, Debug)]
pub struct Web {
    /// Their names, exact.
    pub allow: Vec<String>,
    /// The largest file.
    pub max_size: u64,
    /// The longest silence within a download.
    pub idle_timeout: Duration,
    /// Downloads at a time.
    pub concurrency: usize,
    /// Redirects that are followed.
    pub redirects: usize,
    /// Content types by extension; an extension that is not here is refused. Empty: the usual table.
    pub types: IndexMap<String, Vec<String>>,
    /// Content types that say nothing: the extension and the first bytes decide.
    pub generic: Vec<String>,
    /// Categories of statuses that differ from the default table.
    pub classify: BTreeMap<u16, Category>,
}

/// A place for files.
#[derive(Clone, Debug, Default)]
pub struct ObjectStore {
    /// Its url, or a path.
    pub url: String,
    /// Options of the store.
    pub options: BTreeMap<String, Secret>,
    /// Uploads at a time.
    pub concurrency: usize,
    /// What it may hold where files wait in it.
    pub spool: SpoolBounds,
}

/// What a spool may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpoolBounds {
    /// Bytes of all files.
    pub bytes: u64,
    /// Files that are older are deleted.
    pub age: Duration,
}

/// A place for tables.
#[derive(Clone, Debug)]
pub struct Delta {
    /// Its url, or a path.
    pub url: String,
    /// Options of the store.
    pub options: BTreeMap<String, Secret>,
    /// Whether rows are written; else they are computed and counted.
    pub write: bool,
}

impl Connection {
    /// The spelling of its kind in topologies.
    pub fn kind(&self) -> &'static str {
        match self {
            Connection::Kafka(_) => "kafka",
            Connection::Http(_) => "http",
            Connection::Web(_) => "web",
            Connection::ObjectStore(_) => "object_store",
            Connection::Delta(_) => "delta",
        }
    }
}
