//! What is there, as records that patterns can be compared with: rows, messages, calls, outcomes, files.

use std::sync::Arc;

use connectors::Result;
use connectors::log::{Log as _, Message};
use connectors::table::{ColumnType, TableSpec};
use serde_json::{Map, Value, json};

use super::check::Record;
use super::pattern::Pattern;
use super::suite::{Claim, Wanted};
use super::world::{Place, World};
use crate::expr::{Json, cell_to_json, coerce, json as trees};
use crate::plan::{Connection, Plan};
use crate::stage::Document;

/// The fields of a message, of a call, of an outcome, of a file.
pub const MESSAGE: &[&str] = &["body", "text", "key", "headers"];
/// The fields of a call.
pub const CALL: &[&str] = &["get", "post", "query", "body", "status", "fault", "at"];
/// The fields of an outcome.
pub const OUTCOME: &[&str] = &["status", "reason", "category", "stage", "attempts", "calls", "refreshes", "event"];
/// The fields of a file.
pub const FILE: &[&str] = &["path", "text", "bytes", "sha256"];

fn value(tree: &Json) -> Value {
    serde_json::from_str(&trees::to_text(tree)).unwrap_or_default()
}

/// The rows of a table, by key.
pub fn rows(world: &World, spec: &TableSpec) -> Vec<Record> {
    let rows = world.table_named(&spec.name).map(|table| table.rows()).unwrap_or_default();
    let record = |row: Vec<_>| {
        let cells = spec.columns.iter().zip(row);
        cells.map(|(column, cell)| (column.name.clone(), value(&cell_to_json(&cell, column.kind)))).collect()
    };
    rows.into_iter().map(record).collect()
}

/// A claim on rows with its values as the columns hold them: `7` becomes the text that an `id` is, and an instant is written as
/// all are.
pub fn as_columns_hold_it(claim: &Claim, spec: &TableSpec) -> Claim {
    let cell = |name: &str, pattern: &Pattern| match (pattern, spec.columns.iter().find(|c| c.name == name)) {
        (Pattern::Is(given), Some(column)) if !given.is_null() && column.kind != ColumnType::Json => {
            let tree = trees::parse(given.to_string().as_bytes()).unwrap_or_default();
            match coerce(column.kind, &tree) {
                Ok(cell) => Pattern::Is(value(&cell_to_json(&cell, column.kind))),
                Err(_) => pattern.clone(),
            }
        }
        _ => pattern.clone(),
    };
    let wanted = |wanted: &Wanted| Wanted {
        fields: wanted.fields.iter().map(|(name, p)| (name.clone(), cell(name, p))).collect(),
        ..wanted.clone()
    };
    Claim { records: claim.records.iter().map(wanted).collect(), ..claim.clone() }
}

/// The connection and the full name of a topic that is called `name` in the topology, or in the log.
pub fn topic(plan: &Plan, name: &str) -> Option<(String, String)> {
    if let Some(topic) = plan.topics.get(name) {
        return Some((topic.connection.clone(), topic.name.clone()));
    }
    topics(plan).into_iter().find(|(_, full)| full == name)
}

/// Every topic that the topology reads or writes: its connection and its full name.
pub fn topics(plan: &Plan) -> Vec<(String, String)> {
    let mut topics: Vec<(String, String)> =
        plan.topics.values().map(|t| (t.connection.clone(), t.name.clone())).collect();
    for flow in &plan.flows {
        let retry = &flow.source.retry;
        let dead = Some(retry.dead_letter.as_str()).filter(|name| !name.is_empty());
        topics.extend(retry.topics().chain(dead).map(|name| (retry.connection.clone(), name.to_owned())));
    }
    topics
}

/// The messages of a topic, oldest first.
pub async fn messages(world: &World, connection: &str, topic: &str) -> Result<Vec<Record>> {
    let log = world.log_named(connection);
    let mut messages: Vec<Message> = Vec::new();
    for bounds in log.bounds(topic).await? {
        let count = usize::try_from(bounds.high - bounds.low).unwrap_or(0);
        messages.extend(log.read(topic, bounds.partition, bounds.low, count).await?);
    }
    messages.sort_by_key(|m| (m.time, m.partition, m.offset));
    Ok(messages.iter().map(message).collect())
}

fn message(message: &Message) -> Record {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut record = Map::new();
    record.insert("key".into(), message.key.as_ref().map_or(Value::Null, |key| json!(text(key))));
    match serde_json::from_slice::<Value>(&message.payload) {
        Ok(body) => record.insert("body".into(), body),
        Err(_) => record.insert("text".into(), json!(text(&message.payload))),
    };
    let headers: Map<String, Value> =
        message.headers.iter().map(|(name, value)| (name.to_string(), json!(text(value)))).collect();
    if !headers.is_empty() {
        record.insert("headers".into(), Value::Object(headers));
    }
    record
}

/// An outcome.
pub fn outcome(document: &Document) -> Record {
    let bound = |name: &str| document.bindings.get(name).map(value).unwrap_or_default();
    let outcome = bound("outcome");
    let error = &outcome["error"];
    let reason = if error.is_null() { &outcome["reason"] } else { &error["message"] };
    let fields = [
        ("status", outcome["status"].clone()),
        ("reason", reason.clone()),
        ("category", error["category"].clone()),
        ("stage", error["stage"].clone()),
        ("attempts", outcome["attempts"].clone()),
        ("calls", outcome["calls"].clone()),
        ("refreshes", outcome["refreshes"].clone()),
        ("event", bound("event")),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The files of a connection, by path.
pub async fn files(world: &World, connection: &str) -> Result<Vec<Record>> {
    let mut files = Vec::new();
    match world.place(connection) {
        None => {}
        Some(Place::Store(store, _)) => {
            for path in store.list().await? {
                let content = store.read(&path).await?.unwrap_or_default();
                files.push(file(path, &content));
            }
        }
        Some(Place::Spool(spool)) => {
            let paths = spool.paths().into_iter();
            files.extend(paths.map(|path| file(path.clone(), &spool.get(&path).unwrap_or_default())));
        }
    }
    Ok(files)
}

fn file(path: String, content: &[u8]) -> Record {
    use sha2::Digest as _;
    let mut record = Map::new();
    record.insert("path".into(), json!(path));
    if let Ok(text) = std::str::from_utf8(content) {
        record.insert("text".into(), json!(text));
    }
    record.insert("bytes".into(), json!(content.len()));
    record.insert("sha256".into(), json!(format!("{:x}", sha2::Sha256::digest(content))));
    record
}

/// The names of connections of which files, or calls, can be looked at.
pub fn connections(plan: &Plan, fits: impl Fn(&Connection) -> bool) -> Vec<&str> {
    plan.connections.iter().filter(|(_, c)| fits(c)).map(|(name, _)| name.as_str()).collect()
}

/// The specification of a table.
pub fn table<'p>(plan: &'p Plan, name: &str) -> Option<&'p Arc<TableSpec>> {
    plan.tables.get(name).map(|table| &table.spec)
}
