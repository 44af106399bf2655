//! Events from files of JSON lines, in place of somebody who writes the topic.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{assert_tables_agree, model, topology};
use crate::model::account::Account;
use crate::program::Engine;
use crate::topics::Topics;

fn event(id: u32) -> Value {
    json!({"id": id, "type": "WatchEvent", "actor": {"id": id % 3, "login": format!("a{id}")}, "repo": {"id": 1, "name": "a/b"},
        "payload": {"action": "started"}, "created_at": format!("2026-01-10T08:00:{id:02}Z")})
}

#[tokio::test]
async fn files_of_github_events_are_read_once_and_their_odd_lines_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (data, archive) = (folder.path().join("data"), folder.path().join("archive"));
    std::fs::create_dir_all(&archive).unwrap();
    let read = Engine::run(&topology(), &data)
        .arg("--until-drained")
        .arg("--flow=archive")
        .arg("--flow=ingester")
        .env("GITHUB_ARCHIVE", archive.display());
    let write = |name: &str, ids: std::ops::Range<u32>, odd: &str| {
        let lines = ids.fold(odd.to_owned(), |mut text, id| {
            writeln!(text, "{}", event(id)).unwrap();
            text
        });
        std::fs::write(archive.join(name), lines).unwrap();
    };
    let emitted = |ids: std::ops::Range<u32>| -> Vec<Value> {
        ids.map(|id| json!({"topic": model::EVENTS, "value": event(id)})).collect()
    };

    write("2026-01-10-8.jsonl", 1..20, "no json\n{\"id\": 1}\n");
    write("ignored.txt", 50..55, "");
    read.finish().expect(0);
    assert_tables_agree(&Account::of(&emitted(1..20), &[], &[]), &data, &["github_events", "github_actors"]).await;

    // A new file of the next hour, and one event of the last hour in it once more.
    write("2026-01-10-9.jsonl", 19..30, "{\"id\": 31, \"type\": \"PushEvent\"}\n");
    read.finish().expect(0);
    assert_tables_agree(&Account::of(&emitted(1..30), &[], &[]), &data, &["github_events", "github_actors"]).await;

    let topics = Topics::open(&data).await;
    assert_eq!(topics.count(model::EVENTS).await, 19 + 11);
    let rejected = topics.all("github.archive.rejected").await;
    let mut told: Vec<(String, i64)> = rejected
        .iter()
        .map(|message| serde_json::from_slice::<Value>(&message.payload).unwrap())
        .inspect(|line| assert!(!line["error"].as_str().unwrap().is_empty()))
        .map(|line| (line["file"].as_str().unwrap().to_owned(), line["offset"].as_i64().unwrap()))
        .collect();
    told.sort();
    let lines = [("2026-01-10-8.jsonl", 0), ("2026-01-10-8.jsonl", 8), ("2026-01-10-9.jsonl", 0)];
    assert_eq!(told, lines.map(|(file, offset)| (file.to_owned(), offset)));
    assert_eq!(topics.count("github.events.dlq").await, 0);
}
