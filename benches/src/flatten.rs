//! Flattening on one thread: a message's text to the batch of a table of thirty-one columns, as the ingester of `xact.yaml` does
//! it, without Parquet.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use connectors::log::Message;
use connectors::table::TableSpec;
use engine::dataflow::chunk::{Building, Flattener, first};
use engine::expr::Env;
use engine::expr::tape::Tape;
use engine::plan::Plan;
use engine::stage::message::{Keep, Reader, meta};
use engine::topology::Environment;

use crate::report::Report;

const MESSAGES: usize = 40_000;

/// Documents that one turn of an operator sees, and rows that one commit writes.
const TURN: usize = 256;
const COMMIT: usize = 10_000;

/// Runs it.
pub fn flatten(runs: usize) -> Result<Report, String> {
    let messages: Vec<Message> = (0..MESSAGES).map(|n| message(n, false)).collect();
    let disordered: Vec<Message> = (0..MESSAGES).map(|n| message(n, true)).collect();
    let bytes: usize = messages.iter().map(|m| m.payload.len()).sum();
    let plan = plan()?;
    let flow = plan.flows.iter().find(|f| f.name == "ingester").ok_or("no flow is called ingester")?;
    let (index, block) = flow.rows.iter().enumerate().find(|(_, r)| r.table == "events").ok_or("no block of events")?;
    let spec = plan.tables.get("events").ok_or("no table is called events")?.spec.clone();
    let keep = Keep { source: flow.reads_binding("source"), raw: flow.reads_binding_later("raw") };
    let reader = Reader::new(&flow.source.message, flow.source.place.clone(), keep);
    let index = u32::try_from(index).map_err(|e| e.to_string())?;
    let flattener = Flattener::new(block.clone(), spec.clone(), index);
    let columns = spec.columns.len();
    let title = format!("flatten: messages of {} bytes to batches of {columns} columns, one thread", bytes / MESSAGES);
    let mut report = Report::new(title);
    for _ in 0..runs {
        let took = batches(&messages, &spec, &reader, &flattener)?;
        report.more("flatten", "events/s", MESSAGES as f64 / took);
        // Where it goes.
        let env = env();
        let began = Instant::now();
        let mut seen = 0;
        for message in &messages {
            seen += usize::from(std::str::from_utf8(&message.payload).is_ok_and(|text| Tape::read(text).is_some()));
        }
        let parse = began.elapsed().as_secs_f64();
        let began = Instant::now();
        for message in &messages {
            let document = reader.read(message, Arc::new(meta(message, false, 0, 0)), &env).map_err(|f| f.message)?;
            seen += usize::from(document.produced);
        }
        let read = began.elapsed().as_secs_f64();
        if seen != 2 * MESSAGES {
            return Err("a message could not be read".to_owned());
        }
        let nanos = |seconds: f64| seconds * 1e9 / MESSAGES as f64;
        report.less("of it the parser", "ns", nanos(parse));
        report.less("of it the event's fields", "ns", nanos(read - parse));
        report.less("of it the columns", "ns", nanos(took - read));
        report.more("flatten, bytes", "MB/s", bytes as f64 / took / 1e6);
        let took = batches(&disordered, &spec, &reader, &flattener)?;
        report.more("flatten, keys in disorder, blanks", "events/s", MESSAGES as f64 / took);
    }
    Ok(report)
}

fn env() -> Env {
    Env::at(1_768_000_000_000_000)
}

/// How many seconds it takes to make batches of `messages`.
fn batches(messages: &[Message], spec: &TableSpec, reader: &Reader, flattener: &Flattener) -> Result<f64, String> {
    let env = env();
    let mut rows = 0;
    let began = Instant::now();
    for commit in messages.chunks(COMMIT) {
        let mut building = Building::new(spec);
        let mut chunks = Vec::new();
        for turn in commit.chunks(TURN) {
            for message in turn {
                let meta = Arc::new(meta(message, false, 0, 0));
                let document = reader.read(message, meta, &env).map_err(|f| f.message)?;
                flattener.append(&document, &env, &mut building, false).map_err(|f| f.message)?;
            }
            chunks.extend(building.take().map_err(|e| e.to_string())?);
        }
        rows += first(spec, chunks).map_err(|e| e.to_string())?.num_rows();
    }
    let took = began.elapsed().as_secs_f64();
    if rows == messages.len() { Ok(took) } else { Err(format!("{rows} rows of {} messages", messages.len())) }
}

fn plan() -> Result<Plan, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topologies/xact.yaml");
    let data = std::env::temp_dir();
    let loaded = engine::topology::load(&path, &Environment::default(), &data).map_err(|p| p.render())?;
    Ok(loaded.plan)
}

/// An event; its keys in order and without blanks, or as producers write them who do not care.
fn message(n: usize, disordered: bool) -> Message {
    let signature = |salt: usize| {
        format!("{:032x}", (n as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835) ^ salt as u128)
    };
    let number = n % 9900 + 100;
    let assignment = format!("A{:07}", n % 10_000_000);
    let event = format!("{n:08x}-0000-4000-8000-{:012x}", n * 7);
    let at = format!("2026-01-10T{:02}:{:02}:{:02}.{:06}Z", n / 3600 % 24, n / 60 % 60, n % 60, n % 1_000_000);
    let attachment = |i: usize| {
        let signature = signature(i);
        format!("https://files.example.org/files/{assignment}/{event}/{i}/exterior_damage_{number}.jpg?sig={signature}")
    };
    let payload = serde_json::json!({
        "type": "verisk.claims.property.xn.estimatePackageReceived",
        "version": 1,
        "utcDateTime": at,
        "traceId": event,
        "data": {
            "description": "Initial estimate completed and uploaded for review by the desk",
            "assignmentId": assignment, "originalAssignmentId": assignment,
            "xnAddress": format!("XN{number}.TX.77001"), "carrierId": (3_000_000 + number).to_string(),
            "estimateVersion": (number % 7 + 1).to_string(),
            "note": "Supplement requested for roof decking, see the photographs of the second visit",
            "author": "Robin Alvarez",
            "senderReviewerName": "Alvarez Robin", "senderReviewerEmail": "alvarez@carrier.example",
            "carrierReviewerName": "Emily Rodriguez", "carrierReviewerEmail": "emily.rodriguez@carrier.example",
            "dateTime": at, "policyNumber": format!("POL-{number:06}"), "insuredName": "Maria Jensen",
            "insuredPhone": format!("({}) 555-{number:04}", number % 800 + 200),
            "propertyAddress": format!("{number} Peachtree St, Houston, TX 77001"), "lossType": "WATER",
            "dateOfLoss": "2026-01-08", "estimatedLoss": 1523.25 + n as f64, "deductible": 1000,
            "adm": {
                "coverageLoss": {
                    "claimNumber": format!("CLM-{n:08}"), "dateOfLoss": "2026-01-08", "isTotalLoss": n.is_multiple_of(2),
                },
                "branch": format!("BR{}", number % 90),
            },
            "contact": {
                "type": "Insured", "name": "Maria Jensen",
                "contactMethods": {
                    "phone": {"type": "Mobile", "number": format!("512555{number:04}"), "extension": null},
                    "email": {"address": "maria.jensen@example.com"},
                },
            },
            "attachments": (0..n % 3 + 1).map(attachment).collect::<Vec<_>>(),
        },
    });
    Message {
        topic: "events".into(),
        partition: 0,
        offset: i64::try_from(n).unwrap_or(i64::MAX),
        time: 0,
        key: None,
        payload: if disordered { disorder(&payload) } else { payload.to_string() }.into(),
        headers: Vec::new(),
    }
}

/// The text of `value` with the keys of its objects from last to first, and a blank behind each colon and comma.
fn disorder(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(members) => {
            let members = members.iter().rev().map(|(key, value)| format!("{key:?}: {}", disorder(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        serde_json::Value::Array(elements) => {
            format!("[{}]", elements.iter().map(disorder).collect::<Vec<_>>().join(", "))
        }
        leaf => leaf.to_string(),
    }
}
