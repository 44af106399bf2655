//! Odd events, all at once, with files from a server that fails one time in four: every cell, every dead letter, every file.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::corpus::{counted, messages};
use super::{RAW, drain, rows, values};
use crate::files::{Files, content, sha256};
use crate::model::account::Account;
use crate::model::compare;
use crate::model::xact::{Options, TABLES, door, events, expect, message, names};
use crate::program::files;
use crate::topics::Topics;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_odd_event_ends_as_it_must() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let server = Files::start(25).await;
    let sent = messages(&server);
    assert!(sent.len() > 400, "{} messages", sent.len());
    Topics::open(data).await.write(RAW, sent.clone()).await;
    drain(data).finish().expect(0);

    let emitted: Vec<Value> = sent.iter().map(|(_, payload)| json!({"topic": RAW, "value": payload})).collect();
    let options = Options::allowing(&[&server.base]);
    let known = events(&Account::of(&emitted, &[], &[]), &options).0;
    let links: BTreeSet<&str> = known.iter().flat_map(door::Event::links).collect();
    let account = Account::of(&emitted, &[], &server.account(links));
    let expected = expect(&account, &options);
    let mut wrong = Vec::new();
    for (name, _) in TABLES {
        let table = &expected.tables[name];
        assert!(table.rows.len() > 40, "{} rows of {name} prove nothing", table.rows.len());
        wrong.extend(compare::table(table, &rows(data, name).await, 20));
    }

    // What is on the work topics.
    let topics = Topics::open(data).await;
    let tasks: Vec<_> = known
        .iter()
        .flat_map(|event| names::tasks(event, |url| options.admits(url)).into_iter().map(move |task| (event, task)))
        .collect();
    let mut pending: BTreeMap<String, Value> = BTreeMap::new();
    for value in values(&topics, "xact.downloads.pending").await {
        pending.insert(value["media_id"].as_str().unwrap_or_default().to_owned(), value);
    }
    for (event, task) in tasks.iter().filter(|(_, task)| task.admitted) {
        let Some(found) = pending.get(&task.media) else {
            wrong.push(format!("no task for {}", task.url));
            continue;
        };
        for (field, value) in message(event, task) {
            if found[field] != value {
                wrong.push(format!("{}: {field} is {}, expected {value}", task.url, found[field]));
            }
        }
    }
    wrong.extend(dead(&sent, &topics).await);
    wrong.extend(stored(&expected.tables["xact_attachments"].rows, &tasks, data));
    let failed = topics.count("xact.downloads.dlq").await + topics.count("xact.events.dlq").await;
    let must = expected.tables["xact_attachments_failed"].rows.len() + expected.dead_at_the_door;
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(failed, must, "dead letters");
}

/// Every message that is no event is among the dead letters as it was sent, as often as it was sent, with a reason.
async fn dead(sent: &[(Option<String>, String)], topics: &Topics) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut letters: BTreeMap<String, usize> = BTreeMap::new();
    for letter in topics.all("xact.events.dlq").await {
        let payload = String::from_utf8_lossy(&letter.payload).into_owned();
        let header = |name: &str| letter.header(name).unwrap_or_default().to_owned();
        if door::event(&json!(payload)).is_err() {
            let told = match door::event(&json!(payload)) {
                Err(door::Dead::Missing(field) | door::Dead::Wrong(field)) => {
                    // As the topology calls it.
                    let declared = [("traceId", "trace_id"), ("utcDateTime", "at")];
                    let declared =
                        declared.iter().find(|(name, _)| *name == field).map_or(field, |(_, declared)| declared);
                    header("error").contains(&format!("`{declared}`"))
                }
                _ => header("place").contains("xact.yaml:"),
            };
            if !told || header("error_category") != "permanent" {
                wrong.push(format!("{payload:.80} is told as {:?} at {:?}", header("error"), header("place")));
            }
            *letters.entry(payload).or_default() += 1;
        }
    }
    for (payload, count) in counted(sent) {
        let found = letters.remove(payload).unwrap_or_default();
        if door::event(&json!(payload)).is_err() && found != count {
            wrong.push(format!("{payload:.80}: {found} dead letters for {count} messages"));
        }
    }
    wrong.extend(letters.keys().map(|payload| format!("dead, and never sent: {payload:.80}")));
    wrong
}

/// Every file is where its row says, byte for byte, and there is no other.
fn stored(
    rows: &BTreeMap<Vec<String>, crate::model::expect::Row>,
    tasks: &[(&door::Event, names::Task)],
    data: &std::path::Path,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut found = files(&data.join("files"));
    for (_, task) in tasks.iter().filter(|(_, task)| rows.contains_key(std::slice::from_ref(&task.media))) {
        let number = task.url.split('/').nth(4).unwrap_or_default();
        let extension = crate::model::coerce::extension(&task.url);
        let wanted = content(number, extension.as_str().unwrap_or_default());
        match found.remove(&task.path) {
            Some(bytes) if sha256(&bytes) == sha256(&wanted) => {}
            Some(_) => wrong.push(format!("{} is not what was served", task.path)),
            None => wrong.push(format!("{} is not in the store", task.path)),
        }
    }
    wrong.extend(found.keys().map(|path| format!("{path} is in the store and no file")));
    let left = files(&data.join("spool"));
    wrong.extend(left.keys().map(|path| format!("{path} is left in the spool")));
    wrong
}
