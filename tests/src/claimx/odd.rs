//! Odd messages and odd answers, all at once and twice, through an API that fails three times in ten.
//!
//! What is written beside each line of the corpus must be so, cell by cell, the model must agree, and no message may be
//! without an end.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::api::{Api, USER};
use super::topology;
use crate::model::account::Account;
use crate::model::claimx::{Options, TABLES, door, expect};
use crate::model::{compare, lake};
use crate::odd::{ANSWERS, MESSAGES, lines};
use crate::program::Engine;
use crate::topics::Topics;

const RAW: &str = "claimx.events.raw";

/// The payload of a line: as it was sent, or the event as text.
fn payload(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_odd_message_ends_as_it_must() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let messages = lines(MESSAGES);
    let asked = lines(ANSWERS);
    let mut answers = Vec::new();
    for line in &asked {
        for answer in line["answers"].as_array().unwrap() {
            let mut answer = answer.clone();
            answer["project"] = json!(plain(&line["event"]["project_id"]));
            answers.push(answer);
        }
    }
    let api = Api::start(([127, 0, 0, 1], 0).into(), &answers, 30).await;

    let payloads: Vec<String> = messages
        .iter()
        .map(|line| payload(&line["payload"]))
        .chain(asked.iter().map(|line| payload(&line["event"])))
        .collect();
    // What has one id stays in its order.
    let keyed = |text: &String| (door::event(&json!(text)).ok().map(|event| event.id), text.clone());
    let twice: Vec<_> = payloads.iter().chain(&payloads).map(keyed).collect();
    Topics::open(data).await.write(RAW, twice.clone()).await;

    Engine::run(&topology(), data)
        .arg("--until-drained")
        .arg("--time-scale=0.0001")
        .arg("--allow-local-urls")
        .env("KAFKA_CLAIMX_API_URL", format!("http://{}", api.address))
        .env("KAFKA_CLAIMX_API_USERNAME", USER.0)
        .env("KAFKA_CLAIMX_API_PASSWORD", USER.1)
        .env("KAFKA_CLAIMX_API_TIMEOUT_SECONDS", "500ms")
        .env("ALLOWED_ATTACHMENT_DOMAINS", "127.0.0.1")
        .finish()
        .expect(0);
    assert_eq!(api.unexpected(), BTreeSet::new(), "calls that nothing was to cause");

    let mut tables: BTreeMap<&str, Vec<Map<String, Value>>> = BTreeMap::new();
    for (name, _) in TABLES {
        tables.insert(name, lake::read(&data.join("tables").join(name)).await.unwrap());
    }
    let mut wrong = Vec::new();
    for line in &messages {
        wrong.extend(as_written_at_the_door(line, &tables));
    }
    for line in &asked {
        wrong.extend(as_written_beside_the_answers(line, &tables));
    }

    // The model, which knows what was asked and answered in this very run.
    let emitted: Vec<Value> = twice.iter().map(|(_, text)| json!({"topic": RAW, "value": text})).collect();
    let expected = expect(&Account::of(&emitted, &api.account(), &[]), &Options::default());
    for table in expected.tables.values() {
        wrong.extend(compare::table(table, &tables[table.name], 20));
    }

    let topics = Topics::open(data).await;
    wrong.extend(dead_at_the_door(&messages, &topics).await);
    wrong.extend(conserved(&twice, &messages, &asked, &tables, &topics).await);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn row<'t>(rows: &'t [Map<String, Value>], column: &str, value: &str) -> Option<&'t Map<String, Value>> {
    rows.iter().find(|row| row[column] == value)
}

/// The row of `claimx_events` and the end of one message.
fn as_written_at_the_door(line: &Value, tables: &BTreeMap<&str, Vec<Map<String, Value>>>) -> Vec<String> {
    let Some(event) = line["expect"]["event"].as_object() else { return Vec::new() };
    let (name, id) = (&line["name"], event["event_id"].as_str().unwrap());
    let Some(found) = row(&tables["claimx_events"], "event_id", id) else {
        return vec![format!("{name}: no event {id}")];
    };
    let mut wrong = Vec::new();
    for (column, value) in event {
        if found[column] != *value {
            wrong.push(format!("{name}: {column} is {}, written {value}", found[column]));
        }
    }
    let end = row(&tables["claimx_event_log"], "event_id", id).map(|row| &row["status"]);
    if end != Some(&line["expect"]["ends"]) {
        wrong.push(format!("{name}: ends {end:?}, written {}", line["expect"]["ends"]));
    }
    wrong
}

/// The rows that one event with its answers leaves, and how it ends.
fn as_written_beside_the_answers(line: &Value, tables: &BTreeMap<&str, Vec<Map<String, Value>>>) -> Vec<String> {
    let (name, id) = (&line["name"], line["event"]["event_id"].as_str().unwrap());
    let mut wrong = Vec::new();
    let end = row(&tables["claimx_event_log"], "event_id", id).map(|row| &row["status"]);
    if end != Some(&line["ends"]) {
        wrong.push(format!("{name}: ends {end:?}, written {}", line["ends"]));
    }
    let of_the_event = |name: &str| !["claimx_events", "claimx_event_log", "claimx_attachments"].contains(&name);
    for (table, key) in TABLES.iter().filter(|(name, _)| of_the_event(name)) {
        let keys = |row: &Map<String, Value>| key.iter().map(|column| plain(&row[*column])).collect::<Vec<_>>();
        let mut left: BTreeMap<Vec<String>, &Map<String, Value>> =
            tables[table].iter().filter(|row| row["event_id"] == id).map(|row| (keys(row), row)).collect();
        for written in line["rows"][*table].as_array().into_iter().flatten().filter_map(Value::as_object) {
            let Some(found) = left.remove(&keys(written)) else {
                wrong.push(format!("{name}: {table} lacks {:?}", keys(written)));
                continue;
            };
            for (column, value) in written.iter().filter(|(column, _)| !key.contains(&column.as_str())) {
                if found.get(column) != Some(value) {
                    wrong.push(format!("{name}: {table}.{column} is {:?}, written {value}", found.get(column)));
                }
            }
        }
        wrong.extend(left.keys().map(|key| format!("{name}: {table} holds {key:?}, which is not written")));
    }
    wrong
}

/// Every message that cannot be an event is among the dead letters, as it was sent, with the field and the rule's place.
async fn dead_at_the_door(messages: &[Value], topics: &Topics) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut letters: BTreeMap<Vec<u8>, Vec<connectors::log::Message>> = BTreeMap::new();
    for letter in topics.all("claimx.events.dlq").await {
        letters.entry(letter.payload.to_vec()).or_default().push(letter);
    }
    for line in messages {
        let Some(reason) = line["expect"]["dead"].as_str() else { continue };
        let name = &line["name"];
        let found = letters.remove(payload(&line["payload"]).as_bytes()).unwrap_or_default();
        if found.len() != 2 {
            wrong.push(format!("{name}: {} dead letters for two messages", found.len()));
        }
        for letter in found {
            let header = |name: &str| letter.header(name).unwrap_or_default().to_owned();
            let (place, error) = (header("place"), header("error"));
            let told = match reason.split_once(':') {
                Some((_, field)) => error.contains(field) && place.ends_with(&format!(".message.{field}")),
                None => place.contains("flows.ingester.source") || place.contains("topics.raw"),
            };
            if !told || !place.contains("claimx.yaml:") || header("error_category") != "permanent" {
                wrong.push(format!("{name}: {reason} is told as {error:?} at {place:?}"));
            }
        }
    }
    wrong.extend(letters.keys().map(|payload| format!("dead, and not to be: {}", String::from_utf8_lossy(payload))));
    wrong
}

/// Messages in are outcomes, topic by topic.
async fn conserved(
    sent: &[(Option<String>, String)],
    messages: &[Value],
    asked: &[Value],
    tables: &BTreeMap<&str, Vec<Map<String, Value>>>,
    topics: &Topics,
) -> Vec<String> {
    let ids: BTreeSet<&String> = sent.iter().filter_map(|(id, _)| id.as_ref()).collect();
    let dead = sent.iter().filter(|(id, _)| id.is_none()).count();
    let lost: usize = messages
        .iter()
        .map(|line| &line["expect"]["ends"])
        .chain(asked.iter().map(|line| &line["ends"]))
        .filter(|end| **end == "failed_permanent")
        .count();
    let mut counts = BTreeMap::new();
    for topic in
        ["events.raw", "events.dlq", "enrichment.pending", "enrichment.dlq", "downloads.pending", "downloads.dlq"]
    {
        counts.insert(topic, topics.count(&format!("claimx.{topic}")).await);
    }
    // Only what may pass is tried again, and as often as the topology says.
    let absent = topics.all("claimx.enrichment.dlq").await;
    let absent = absent.iter().filter(|letter| letter.header("stage") == Some("photo"));
    let (given_up, once): (Vec<_>, Vec<_>) = absent.partition(|letter| {
        (letter.header("error_category"), letter.header("retry_count")) == (Some("transient"), Some("4"))
    });
    let links = tables["claimx_attachment_metadata"].iter().filter(|row| !row["full_download_link"].is_null()).count();
    let cases = [
        ("raw messages", counts["events.raw"], sent.len()),
        ("dead letters of the ingester", counts["events.dlq"], dead),
        ("events", tables["claimx_events"].len(), ids.len()),
        ("messages to enrich", counts["enrichment.pending"], ids.len()),
        ("events in the log", tables["claimx_event_log"].len(), ids.len()),
        ("dead letters of the enricher", counts["enrichment.dlq"], lost),
        ("media that never came", given_up.len(), 4),
        ("media that were given up too early", once.len(), 0),
        ("files to fetch", counts["downloads.pending"], links),
        // Their links have expired or name a type that is not allowed.
        ("dead letters of the downloader", counts["downloads.dlq"], links),
        ("files", tables["claimx_attachments"].len(), 0),
    ];
    let differ = cases.iter().filter(|(_, found, expected)| found != expected);
    differ.map(|(what, found, expected)| format!("{what}: {found}, expected {expected}")).collect()
}
