//! A flow that copies messages exactly once: into a table, to a topic, some to a retry topic first, some to the dead letters.
//!
//! Messages are numbered, so what must be there in the end is known without any code of the engine: each number once on the
//! topic and in the table, each broken message once among the dead letters. Readers see committed records only.

pub mod crash;
mod points;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connectors::log::Message;
use serde_json::Value;

use crate::http::{End, Reply, Request, serve};
use crate::model::lake;
use crate::program::{Engine, Started};
use crate::topics::Topics;

pub const IN: &str = "relay.in";
pub const OUT: &str = "relay.out";
pub const DEAD: &str = "relay.dlq";

/// Small bounds: many transactions, and many commits of the table.
const TOPOLOGY: &str = r#"
topology: relay
language: 1
connections:
  bus: {kafka: {brokers: "${BROKERS:-embedded}", create: true, partitions: 4, session_timeout: "${SESSION:-2s}", heartbeat: 500ms, max_poll_records: 40}}
  api: {http: {url: "${API}", retries: 0, breaker: {failures: 1000}}}
  lake: {delta: {url: "{data}/tables"}}
topics:
  numbers: {name: relay.in, external: written, message: {id: id!, flaky: bool}}
  copies: {name: relay.out, external: read, key: id, message: {id: id!, name: string}}
tables:
  numbers: {path: numbers, key: [id], flush: {rows: 40, age: 100ms}, columns: {id: id!, name: string}}
flows:
  relay:
    delivery: DELIVERY
    source:
      topic: numbers
      group: relay
      budget: 200KiB
      retry: {topic: "relay.retry.{delay}", delays: [1s, 2s, 3s], dead_letter: relay.dlq}
    stages:
      price: {when: event.flaky, enrich: {connection: api, get: "/prices/{event.id}"}}
    rows:
      number: {table: numbers, from: price, columns: {id: event.id, name: price.name}}
      plain: {table: numbers, from: source, when: "!event.flaky", columns: {id: event.id}}
    send:
      copy: {topic: copies, from: price, body: {id: event.id, name: price.name}}
      plain: {topic: copies, from: source, when: "!event.flaky", body: {id: event.id}}
"#;

/// The flow, its folder and its API.
pub struct Relay {
    folder: tempfile::TempDir,
    brokers: String,
    api: SocketAddr,
    /// Whether records may be there twice.
    doubles: bool,
}

impl Relay {
    /// On `brokers`, or `embedded`. Its API fails the first time that it is asked for a number.
    pub async fn new(brokers: &str, delivery: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("relay.yaml"), TOPOLOGY.replace("DELIVERY", delivery)).unwrap();
        let asked: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let answer = move |request: &Request| {
            let known = !asked.lock().unwrap().insert(request.target.clone());
            let (status, body) = if known { (200, br#"{"name": "found"}"#.to_vec()) } else { (503, Vec::new()) };
            Reply { status, headers: vec![("content-type", "application/json".to_owned())], body, end: End::Whole }
        };
        let api = serve("127.0.0.1:0".parse().unwrap(), answer).await;
        Relay { folder, brokers: brokers.to_owned(), api, doubles: false }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// `engine run` on it.
    pub fn engine(&self) -> Engine {
        let engine = Engine::run(&self.topology(), &self.data()).arg("--allow-local-urls");
        self.environment().into_iter().fold(engine, |engine, (name, value)| engine.env(name, value))
    }

    /// What the topology takes from the environment.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        [("BROKERS", self.brokers.clone()), ("API", format!("http://{}", self.api))]
    }

    pub fn topology(&self) -> PathBuf {
        self.folder.path().join("relay.yaml")
    }

    /// How often the table was committed.
    pub fn commits(&self) -> usize {
        std::fs::read_dir(self.data().join("tables/numbers/_delta_log")).map_or(0, Iterator::count)
    }

    /// Kills `run` a moment after the table was committed `more` times more. Whether it was still running then.
    pub fn kill_after(&self, mut run: Started, more: usize, moment: Duration) -> bool {
        let goal = self.commits() + more;
        let there = run.wait_until(|| self.commits() >= goal);
        std::thread::sleep(moment);
        run.kill();
        there
    }

    /// The same, where records may be there twice: at least once is all that is promised of a flow that is killed.
    pub fn may_double(mut self) -> Self {
        self.doubles = true;
        self
    }

    /// Fails unless every number and every broken message below `count` is where it must be, once.
    pub async fn judge(&self, topics: &Topics, count: u32) {
        let (mut copies, mut dead) = (by(&topics.all(OUT).await, "id"), by(&topics.all(DEAD).await, "broken"));
        if self.doubles {
            copies.values_mut().chain(dead.values_mut()).for_each(|count| *count = 1);
        }
        let expected =
            |broken: bool| (0..count).filter(|n| is_broken(*n) == broken).map(|n| (n.to_string(), 1)).collect();
        assert_eq!(differences(&copies, &expected(false)), Vec::<String>::new(), "copies");
        assert_eq!(differences(&dead, &expected(true)), Vec::<String>::new(), "dead letters");
        let rows = lake::read(&self.data().join("tables/numbers")).await.unwrap();
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for row in &rows {
            *found.entry(row["id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        assert_eq!(differences(&found, &expected(false)), Vec::<String>::new(), "rows");
    }
}

/// Every 25th message has no id, and every 40th asks the API.
fn is_broken(n: u32) -> bool {
    n % 25 == 3
}

/// The messages with the numbers in `range`.
pub fn messages(range: std::ops::Range<u32>) -> Vec<(Option<String>, String)> {
    let text = |n: u32| match n {
        n if is_broken(n) => format!("{{\"broken\": \"{n}\"}}"),
        n => format!("{{\"id\": \"{n}\", \"flaky\": {}}}", n % 40 == 7),
    };
    range.map(|n| (Some(n.to_string()), text(n))).collect()
}

/// How often each value of a field of the messages is there.
fn by(messages: &[Message], field: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for message in messages {
        let body: Value = serde_json::from_slice(&message.payload).unwrap();
        *found.entry(body[field].as_str().unwrap_or("?").to_owned()).or_default() += 1;
    }
    found
}

fn differences(found: &BTreeMap<String, usize>, expected: &BTreeMap<String, usize>) -> Vec<String> {
    let of = |all: &BTreeMap<String, usize>, key: &str| all.get(key).copied().unwrap_or(0);
    let keys: BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
    let differ = keys.into_iter().filter(|key| of(found, key) != of(expected, key));
    differ.map(|key| format!("{key}: {} instead of {}", of(found, key), of(expected, key))).collect()
}

/// A sequence of numbers that look drawn by lot.
pub struct Lot(pub u64);

impl Lot {
    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Kills `relay` again and again, then lets it end. Returns how often it was killed while it worked.
pub fn killed_and_finished(relay: &Relay, kills: usize, lot: &mut Lot) -> usize {
    let mut killed = 0;
    for _ in 0..kills {
        let folder = tempfile::tempdir().unwrap();
        let run = relay.engine().start(folder.path());
        let (more, moment) = (1 + lot.below(6), Duration::from_micros(lot.below(60_000)));
        killed += usize::from(relay.kill_after(run, more as usize, moment));
    }
    relay.engine().arg("--until-drained").finish().expect(0);
    killed
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_on_the_embedded_log_double_and_lose_no_record() {
    const COUNT: u32 = 1500;
    let relay = Relay::new("embedded", "exactly_once").await;
    Topics::open(&relay.data()).await.write(IN, messages(0..COUNT)).await;
    let killed = tokio::task::block_in_place(|| killed_and_finished(&relay, 6, &mut Lot(5)));
    assert!(killed >= 4, "killed {killed} times only");
    relay.judge(&Topics::open(&relay.data()).await, COUNT).await;
}
