//! The xact topology as a whole: the program runs it, and what it leaves is compared with what must be there.

mod corpus;
mod crash;
mod defects;
mod odd;
mod settings;
mod simulation;
mod vectors;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::model::lake;
use crate::program::{Engine, topologies};
use crate::topics::Topics;

/// Where events come in.
const RAW: &str = "xact.events.raw";

fn topology() -> PathBuf {
    topologies().join("xact.yaml")
}

/// A run over what is on the topics, with files from this machine.
fn drain(data: &Path) -> Engine {
    Engine::run(&topology(), data)
        .arg("--until-drained")
        .arg("--time-scale=0.0001")
        .arg("--allow-local-urls")
        .env("ALLOWED_ATTACHMENT_DOMAINS", "127.0.0.1")
}

/// The rows of a table; none where there is no table.
async fn rows(data: &Path, table: &str) -> Vec<Map<String, Value>> {
    lake::read(&data.join("tables").join(table)).await.unwrap()
}

/// The messages of a topic as JSON.
async fn values(topics: &Topics, topic: &str) -> Vec<Value> {
    let messages = topics.all(topic).await;
    messages.iter().map(|message| serde_json::from_slice(&message.payload).expect("a message is JSON")).collect()
}

/// Puts events on the topic.
async fn raise(data: &Path, events: &[Value]) {
    let keyed = events.iter().map(|event| (event["traceId"].as_str().map(str::to_owned), event.to_string())).collect();
    Topics::open(data).await.write(RAW, keyed).await;
}

/// An event that names `links`.
fn event(trace: &str, subtype: &str, links: &[String]) -> Value {
    serde_json::json!({
        "type": format!("verisk.claims.property.xn.{subtype}"), "version": 1, "traceId": trace,
        "utcDateTime": "2026-01-10T17:42:08.315000+00:00", "data": {"assignmentId": "A", "attachments": links},
    })
}
