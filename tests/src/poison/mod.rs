//! Poison: ten thousand malformed messages, answers and files. None may stop a flow or take a neighbour with it, and each
//! that fails leaves a dead letter that can be read.
//!
//! The bytes are drawn from `corpus.txt` by number ([`draw`]); [`outside`] plays the API and the hosts of files. Every case has a
//! neighbour of the same kind that is sound. The account is balanced to the message: each has one outcome.

mod draw;
mod outside;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use connectors::log::Message;
use serde_json::{Map, Value};

use self::draw::Draw;
use crate::model::lake;
use crate::program::{Engine, files};
use crate::topics::Topics;

/// Malformed messages.
const MESSAGES: usize = 8_000;
/// Malformed answers of an API.
const ANSWERS: usize = 1_500;
/// Malformed files.
const FILES: usize = 500;
/// After so many malformed ones comes a sound one.
const EVERY: usize = 5;

const TOPOLOGY: &str = r#"
topology: poison
language: 1
connections:
  bus: {kafka: {brokers: embedded}}
  lake: {delta: {url: "{data}/tables"}}
  api: {http: {url: "${OUTSIDE}", retries: 0, timeout: 10s, max_answer: 64KiB, breaker: {failures: 1000000}}}
  hosts: {web: {allow: [files.example.com], max_size: 64KiB, idle_timeout: 10s}}
  spool: {object_store: {url: "{data}/spool"}}
  store: {object_store: {url: "{data}/files"}}
topics:
  messages:
    name: poison.messages
    external: written
    message:
      {id: id!, n: int64, amount: decimal, at: timestamp, day: date, flag: bool, lines: json, note: string}
  answers: {name: poison.answers, external: written, message: {id: id!}}
  files: {name: poison.files, external: written, message: {id: id!, url: string!, name: string!}}
tables:
  orders: {key: [id], columns: {id: id!, n: int64, amount: decimal, at: timestamp, day: date, flag: bool, note: string, skus: string}}
  outcomes: {key: [at], columns: {at: string!, status: string!, error: string}}
  things: {key: [id], columns: {id: id!, name: string, price: decimal}}
  thing_outcomes: {key: [at], columns: {at: string!, status: string!, error: string}}
  stored: {key: [id], columns: {id: id!, path: string!}}
  file_outcomes: {key: [at], columns: {at: string!, status: string!, error: string}}
flows:
  messages:
    source: {topic: messages, group: messages, retry: {workflow: messages, delays: [1m]}}
    stages:
      line: {each: "event.lines || `[{}]`"}
      sku: {pick: "lower(line.sku)"}
    rows:
      order:
        table: orders
        from: sku
        columns: {id: event.id, n: event.n, amount: event.amount, at: event.at, day: event.day, flag: event.flag, note: event.note, skus: sku}
      outcome: &outcome
        table: outcomes
        on: [done, skipped, dead]
        columns: {at: "join('/', [to_string(source.partition), to_string(source.offset), source.topic])", status: outcome.status, error: outcome.error.message}
  answers:
    source: {topic: answers, group: answers, deadline: 120s, retry: {workflow: answers, delays: [1m]}}
    stages:
      thing: {enrich: {connection: api, get: "/things/{event.id}"}}
    rows:
      thing: {table: things, from: thing, columns: {id: event.id, name: thing.name, price: thing.price}}
      outcome: {<<: *outcome, table: thing_outcomes, on: [done, skipped, dead]}
  files:
    source: {topic: files, group: files, deadline: 120s, retry: {workflow: files, delays: [1m]}}
    stages:
      file: {download: {connection: hosts, spool: spool, url: event.url, name: "join('/', [event.id, safe_name(event.name)])"}}
      stored: {upload: {connection: store, spool: spool, file: file.path, to: "{event.id}/{event.name}"}}
    rows:
      stored: {table: stored, from: stored, columns: {id: event.id, path: stored.path}}
      outcome: {<<: *outcome, table: file_outcomes, on: [done, skipped, dead]}
"#;

/// What a letter must say, and whether each says it.
fn unreadable(letter: &Message) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, value) in &letter.headers {
        if std::str::from_utf8(value).is_err() {
            wrong.push(format!("{}/{}: header {name} is no text", letter.partition, letter.offset));
        }
    }
    for name in ["attempt", "error_category", "error", "stage", "place", "origin", "first_failure", "history", "trace"]
    {
        if letter.header(name).is_none_or(str::is_empty) {
            wrong.push(format!("{}/{}: no header {name}", letter.partition, letter.offset));
        }
    }
    let attempts = letter.header("attempt").and_then(|a| a.parse::<usize>().ok());
    let lines = letter.header("history").map(|history| history.lines().count());
    if attempts != lines {
        wrong.push(format!("{}/{}: {attempts:?} attempts, {lines:?} in the history", letter.partition, letter.offset));
    }
    wrong
}

/// What became of the messages of one flow: whatever is wrong with it.
async fn account(
    topics: &Topics,
    data: &Path,
    (topic, outcomes, rows): (&str, &str, &str),
    sound: &BTreeSet<String>,
) -> Vec<String> {
    let sent = topics.all(&format!("poison.{topic}")).await;
    let letters = topics.all(&format!("poison.{topic}.dlq")).await;
    let ended = lake::read(&data.join("tables").join(outcomes)).await.unwrap();
    let mut wrong: Vec<String> = letters.iter().flat_map(unreadable).collect();
    // A retried message has its outcome where it was read last, so outcomes are counted, not matched.
    if ended.len() != sent.len() {
        wrong.push(format!("{topic}: {} messages, {} outcomes", sent.len(), ended.len()));
    }
    let dead = ended.iter().filter(|row| row["status"] == "dead").count();
    if dead != letters.len() {
        wrong.push(format!("{topic}: {dead} are dead, {} letters", letters.len()));
    }
    let mut payloads: BTreeMap<&[u8], i64> = BTreeMap::new();
    for message in &sent {
        *payloads.entry(&message.payload).or_default() += 1;
    }
    for letter in &letters {
        let left = payloads.entry(&letter.payload).or_default();
        *left -= 1;
        if *left < 0 {
            wrong.push(format!("{topic}: a letter that was not sent so, {}/{}", letter.partition, letter.offset));
        }
    }
    let there: Vec<Map<String, Value>> = lake::read(&data.join("tables").join(rows)).await.unwrap();
    let there: BTreeSet<&str> = there.iter().filter_map(|row| row["id"].as_str()).collect();
    let lost: Vec<&String> = sound.iter().filter(|id| !there.contains(id.as_str())).collect();
    if !lost.is_empty() {
        wrong.push(format!("{topic}: {} sound ones are not there, such as {}", lost.len(), lost[0]));
    }
    assert!(letters.len() * 10 > sent.len(), "{topic}: {} letters of {} prove nothing", letters.len(), sent.len());
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_malformed_stops_a_flow_or_takes_a_neighbour_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let outside = outside::start().await;
    let topology = folder.path().join("poison.yaml");
    std::fs::write(&topology, TOPOLOGY).unwrap();

    let mut sent: Vec<(&str, Vec<u8>)> = Vec::new();
    let mut sound: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (topic, count) in [("messages", MESSAGES), ("answers", ANSWERS), ("files", FILES)] {
        for number in 0..count {
            let mut draw = Draw::new(topic, number);
            sent.push((
                topic,
                match topic {
                    "messages" => draw.bytes(),
                    "answers" => format!("{{\"id\": \"bad-{number}\"}}").into_bytes(),
                    _ => outside::file_message(&outside, number, &mut draw),
                },
            ));
            if number % EVERY == 0 {
                let id = format!("sound-{number}");
                sound.entry(topic).or_default().insert(id.clone());
                sent.push((
                    topic,
                    match topic {
                        "files" => outside::sound_file(&outside, &id),
                        _ => format!("{{\"id\": \"{id}\", \"n\": {number}, \"lines\": [{{\"sku\": \"A\"}}]}}")
                            .into_bytes(),
                    },
                ));
            }
        }
    }
    let topics = Topics::open(&data).await;
    for topic in sound.keys() {
        let of = |(t, bytes): &(&str, Vec<u8>)| (t == topic).then(|| bytes.clone());
        topics.write_bytes(&format!("poison.{topic}"), sent.iter().filter_map(of).collect()).await;
    }
    drop(topics);

    let run = Engine::run(&topology, &data).arg("--until-drained").arg("--time-scale=0.0001").arg("--allow-local-urls");
    let ended = run.env("OUTSIDE", format!("http://{outside}")).finish().expect(0);
    assert!(!ended.err.contains("panicked"), "{}", ended.err);

    let topics = Topics::open(&data).await;
    let mut wrong = Vec::new();
    for tables in [
        ("messages", "outcomes", "orders"),
        ("answers", "thing_outcomes", "things"),
        ("files", "file_outcomes", "stored"),
    ] {
        wrong.extend(account(&topics, &data, tables, &sound[tables.0]).await);
    }
    // No file is outside its place, and nothing is left half written. A file whose upload is refused waits for the sweep.
    for path in files(folder.path()).keys() {
        let known = ["data/tables/", "data/topics/", "data/files/", "data/spool/", "poison.yaml"];
        if path.contains(".partial/") || !known.iter().any(|known| path.starts_with(known)) {
            wrong.push(format!("a file at {path}"));
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
}
