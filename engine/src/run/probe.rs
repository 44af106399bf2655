//! Tries the connections of a topology without a trace: nothing is written, sent, made or committed, and no credentials go where
//! they are not asked for.
//!
//! All are tried at once, each within the same time. A cluster is asked for its topics, an API and a host of files for an answer
//! of any kind, a store for the first name of its list, a table for its log.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connectors::clock::SystemClock;
use connectors::log::Log as _;
use connectors::{Error, Result, delta, http, kafka, store};
use futures::future::{BoxFuture, join_all};
use serde_json::{Value, json};

use super::connect::topics_of;
use super::systems::kafka_options;
use crate::plan::{self, Connection, Flow, Plan, SourceKind};

/// What became of one try.
#[derive(Clone, Debug)]
pub struct Probe {
    /// What was tried: `connection bus`, `table orders`.
    pub name: String,
    /// Its kind: `kafka`, `http`, `web`, `object_store`, `delta`, `file`.
    pub kind: &'static str,
    /// What was found, or why it cannot be used.
    pub outcome: Result<String, String>,
    /// How long it took.
    pub took: Duration,
}

impl Probe {
    /// As a program reads it.
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "kind": self.kind,
            "ok": self.outcome.is_ok(),
            "message": self.outcome.as_ref().unwrap_or_else(|why| why),
            "milliseconds": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, what) = match &self.outcome {
            Ok(what) => ("ok", what),
            Err(why) => ("failed", why),
        };
        write!(f, "{} ({}): {word}, {what}, {} ms", self.name, self.kind, self.took.as_millis())
    }
}

/// A try that waits to be made.
struct Try<'p> {
    name: String,
    kind: &'static str,
    work: BoxFuture<'p, Result<String>>,
}

/// Tries everything that `plan` names, each for at most `limit`. `data` is the data folder.
pub async fn probe(plan: &Plan, data: &Path, limit: Duration) -> Vec<Probe> {
    let mut tries: Vec<Try<'_>> = Vec::new();
    for (name, connection) in &plan.connections {
        tries.extend(of_connection(plan, name, connection, data, limit));
    }
    for (name, table) in &plan.tables {
        tries.push(Try { name: format!("table {name}"), kind: "delta", work: Box::pin(of_table(plan, table)) });
    }
    for flow in &plan.flows {
        if let SourceKind::File { path } = &flow.source.kind {
            let work = Box::pin(of_file(path));
            tries.push(Try { name: format!("source of {}", flow.name), kind: "file", work });
        }
    }
    join_all(tries.into_iter().map(|attempt| within(attempt, limit))).await
}

async fn within(attempt: Try<'_>, limit: Duration) -> Probe {
    let begun = Instant::now();
    let outcome = match tokio::time::timeout(limit, attempt.work).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {limit:?}")),
    };
    Probe { name: attempt.name, kind: attempt.kind, outcome, took: begun.elapsed() }
}

fn of_connection<'p>(
    plan: &'p Plan,
    name: &'p str,
    connection: &'p Connection,
    data: &'p Path,
    limit: Duration,
) -> Vec<Try<'p>> {
    let one = |work: BoxFuture<'p, Result<String>>| {
        vec![Try { name: format!("connection {name}"), kind: connection.kind(), work }]
    };
    match connection {
        Connection::Kafka(kafka) => one(Box::pin(of_kafka(plan, name, kafka, data, limit))),
        Connection::Http(api) => one(Box::pin(async move { answered(&api.url, limit).await })),
        Connection::Web(web) => {
            let host = |host: &'p String| Try {
                name: format!("connection {name}, host {host}"),
                kind: connection.kind(),
                work: Box::pin(async move { answered(&format!("https://{host}/"), limit).await }),
            };
            web.allow.iter().map(host).collect()
        }
        Connection::ObjectStore(place) => one(Box::pin(async move {
            let storage = place.options.iter().map(|(key, value)| (key.clone(), value.0.clone())).collect();
            store::probe(&store::Options { url: place.url.clone(), storage }).await
        })),
        // Its tables are tried.
        Connection::Delta(_) => Vec::new(),
    }
}

async fn answered(url: &str, limit: Duration) -> Result<String> {
    http::reach(url, limit).await.map(|status| format!("it answers, with status {status}"))
}

async fn of_kafka(plan: &Plan, name: &str, kafka: &plan::Kafka, data: &Path, limit: Duration) -> Result<String> {
    let Some(brokers) = &kafka.brokers else {
        return Ok(format!("the embedded log below {}", data.join("topics").display()));
    };
    let options = kafka::Options { connect_timeout: limit, request_timeout: limit, ..kafka_options(kafka, brokers) };
    let log = kafka::Log::connect(options, Arc::new(SystemClock::new(1.0))).await?;
    let flows: Vec<&Flow> = plan.flows.iter().collect();
    let topics = topics_of(plan, &flows).remove(name).unwrap_or_default();
    let missing = log.missing(&topics).await?;
    match missing.as_slice() {
        [] => Ok(format!("its {} topics are there", topics.len())),
        _ if kafka.create => Ok(format!("a run will create {}", missing.join(", "))),
        _ => Err(Error::permanent(format!("topics that do not exist: {}", missing.join(", ")))
            .hint("create them, or set `create: true` on the connection")),
    }
}

async fn of_table(plan: &Plan, table: &plan::Table) -> Result<String> {
    let mut options = delta::Options::at(table.url.clone());
    if let Some(Connection::Delta(place)) = plan.connections.get(&table.connection) {
        if !place.write {
            return Ok("not written, as `write: false` says".into());
        }
        options.storage_options = place.options.iter().map(|(key, value)| (key.clone(), value.0.clone())).collect();
    }
    Ok(match delta::probe(&options, &table.spec).await? {
        Some(version) => format!("there, at version {version}"),
        None => "not there yet; a run makes it".into(),
    })
}

async fn of_file(path: &Path) -> Result<String> {
    match tokio::fs::metadata(path).await {
        Ok(found) if found.is_dir() => Ok("a folder".into()),
        Ok(_) => Ok("a file".into()),
        Err(error) => Err(Error::permanent(format!("{}: {error}", path.display()))),
    }
}
