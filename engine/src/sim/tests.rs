//! The simulation as a whole, over the in-memory log and real sockets.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use connectors::clock::{ManualClock, SystemClock};
use connectors::log::{Message, Record, TopicSpec};
use connectors::memory;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

const SHOP: &str = r#"
simulation: shop
language: 1
provides: {SHOP_URL: "{url}/api", SHOP_PORT: "{port}"}
entities:
  order:
    id: 1000
    pool: {first: 5, every: 4, window: 10}
    attributes:
      city: {$choice: [Oslo, Lima, Pune]}
      label: "{order.id} in {order.city}"
      shipper: {$one: shipper}
      at: {$time: "{order.born}", add: [0s, 0s], offset: 60}
  shipper: {id: 1, pool: {first: 3}, attributes: {name: {$hex: 4}}}
  item:
    id: 9000
    of: order
    per: [1, 4]
    attributes: {price: {$decimal: [1, 9, 2]}, photo: {$chance: 0.5, then: "{item.id}.png"}}
events:
  topic: shop.events
  start: 2026-01-01T00:00:00Z
  step: 1s
  id: {$uuid: true}
  key: "{order.id}"
  duplicates: [{rate: 0.05, within: 3}, {rate: 0.05, within: 90}]
  types:
    ORDERED: {weight: 1, pick: order, births: true}
    ADDED: {weight: 3, pick: item, fields: {price: "{item.price}"}}
  value: {id: "{event.id}", type: "{event.type}", order: {$text: "{order.id}"}, item: "{item.id?}", price: "{event.fields.price}"}
server:
  auth: {basic: {username: ada, password: pass}}
  faults: FAULTS
routes:
  order:
    get: /api/orders/{order}
    answer: {id: "{order.id}", label: "{order.label}", shipper: "{order.shipper.name}", at: "{order.at}"}
  items:
    get: /api/orders/{order}/items
    let: {list: {$each: item, ids: "{query.ids}", hide: {rate: 0.5, calls: 1}, value: {id: "{item.id}", url: {$link: "/files/{item.id}.png"}}}}
    answer: {data: "{list}"}
  report:
    post: /api/data
    when: {body: {kind: ITEMS}}
    bind: {order: "{body.order}"}
    answer: {items: {$each: item, value: "{item.price}"}}
files:
  under: /files/
  size: [1KiB, 2KiB]
  link: {signed_at: at, lifetime: ttl, signature: sig, valid: 1h}
expect:
  - {table: events, key: ["{event.id}"]}
  - {table: items, types: [ADDED], key: ["{item.id}"]}
  - {table: orders, key: ["{order.id}"]}
  - {table: all_items, keys: {$each: item, value: ["{item.id}"]}}
"#;

fn shop(faults: &str) -> Simulation {
    parse(Source::new("shop.yaml", SHOP.replace("FAULTS", faults))).unwrap()
}

fn seeded(seed: u64) -> Simulation {
    let mut simulation = shop("[]");
    simulation.world.draw = draw::Draw::of(seed);
    simulation
}

async fn log() -> Arc<dyn Log> {
    let log = Arc::new(memory::Log::new(Arc::new(ManualClock::at(0))));
    log.create(&[TopicSpec { name: "shop.events".into(), partitions: 3 }]).await.unwrap();
    log
}

async fn start(log: &Arc<dyn Log>, folder: &Path, seed: u64, events: u64, faults: &str) -> Result<Running> {
    let producer = log.producer().await.unwrap();
    start_with(log, producer, folder, seed, events, faults).await
}

async fn start_with(
    log: &Arc<dyn Log>,
    producer: Arc<dyn Producer>,
    folder: &Path,
    seed: u64,
    events: u64,
    faults: &str,
) -> Result<Running> {
    let bound = shop(faults).bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let emit = Some(Emit { producer, log: log.clone() });
    let clock = Arc::new(SystemClock::new(1.0));
    bound.start(Options { seed, events, account_dir: folder.to_owned(), clock, emit, rate: None }).await
}

async fn done(running: &Running) {
    while !running.done() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn messages(log: &Arc<dyn Log>) -> Vec<Message> {
    let mut all = Vec::new();
    for bounds in log.bounds("shop.events").await.unwrap() {
        all.extend(log.read("shop.events", bounds.partition, 0, 10_000).await.unwrap());
    }
    all
}

fn lines(folder: &Path, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The status and body of one request; `None` where the connection ended before the body was whole.
async fn ask(address: SocketAddr, head: &str, body: &str, user: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let auth = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, user);
    let length = body.len();
    let text = format!(
        "{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic {auth}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let promised = head.lines().find_map(|l| l.strip_prefix("content-length: "))?.parse::<usize>().ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    // Binary bodies are longer after the lossy reading, never shorter.
    (body.len() >= promised).then(|| (status, body.to_owned()))
}

async fn get(running: &Running, path: &str) -> (u16, Value) {
    let (status, body) = ask(running.address(), &format!("GET {path}"), "", "ada:pass").await.unwrap();
    (status, serde_json::from_str(&body).unwrap_or_default())
}

#[test]
fn the_same_seed_gives_the_same_events_and_another_seed_others() {
    let lines = |seed| {
        let simulation = seeded(seed);
        (0..300).map(|i| simulation.events.emission(&simulation.world, i).line("t")).collect::<Vec<_>>()
    };
    assert_eq!(lines(1), lines(1));
    assert_ne!(lines(1), lines(2));
}

#[test]
fn copies_are_whole_and_point_at_their_original() {
    let simulation = seeded(3);
    let all: Vec<_> = (0..3_000).map(|i| simulation.events.emission(&simulation.world, i)).collect();
    let mut copies = 0;
    for emission in &all {
        if let Some(original) = emission.duplicate_of {
            let original = &all[usize::try_from(original).unwrap()];
            assert_eq!((&original.key, &original.value, None), (&emission.key, &emission.value, original.duplicate_of));
            copies += 1;
        }
    }
    // One in ten, but for the births, which are never copies: 3 of 4 events.
    assert!((170..290).contains(&copies), "{copies}");
    let ordered: std::collections::BTreeSet<_> =
        all.iter().filter(|e| e.value["type"] == "ORDERED").map(|e| e.key.clone()).collect();
    for order in 1_005..1_005 + 2_999 / 4 {
        assert!(ordered.contains(&order.to_string()), "order {order} was never created");
    }
}

#[test]
fn expectations_count_what_is_different() {
    let simulation = seeded(4);
    let rows = simulation.events.expected(&simulation.world, &simulation.expect, 1_000);
    let rows: BTreeMap<String, u64> = rows.into_iter().map(|e| (e.table, e.rows)).collect();
    let emitted: Vec<_> = (0..1_000).map(|i| simulation.events.emission(&simulation.world, i)).collect();
    let different = |field: &str| {
        let values = emitted.iter().map(|e| e.value[field].to_string()).filter(|v| v != "null");
        values.collect::<std::collections::HashSet<_>>().len() as u64
    };
    assert_eq!(rows["events"], different("id"));
    assert_eq!(rows["items"], different("item"));
    assert_eq!(rows["orders"], different("order"));
    assert!(rows["all_items"] > rows["items"]);
}

#[tokio::test]
async fn a_run_can_be_stopped_anywhere_and_goes_on() {
    let whole = tempfile::tempdir().unwrap();
    let once = log().await;
    let running = start(&once, whole.path(), 7, 450, "[]").await.unwrap();
    done(&running).await;
    running.stop().await;
    let want = std::fs::read(whole.path().join("emitted.jsonl")).unwrap();
    assert_eq!(lines(whole.path(), "emitted.jsonl").len(), 450);

    let parts = tempfile::tempdir().unwrap();
    let twice = log().await;
    for (events, cut) in [(0, 0), (1, 0), (99, 10), (100, 0), (250, 3), (250, 1_000), (450, 1), (450, 0)] {
        let running = start(&twice, parts.path(), 7, events, "[]").await.unwrap();
        done(&running).await;
        assert_eq!(running.emitted(), events);
        running.stop().await;
        // A kill leaves a torn account.
        let path = parts.path().join("emitted.jsonl");
        let text = std::fs::read(&path).unwrap();
        std::fs::write(&path, &text[..text.len().saturating_sub(cut)]).unwrap();
    }
    assert_eq!(std::fs::read(parts.path().join("emitted.jsonl")).unwrap(), want);
    let bodies = |messages: Vec<Message>| {
        let mut bodies: Vec<_> = messages.into_iter().map(|m| (m.key, m.payload)).collect();
        bodies.sort();
        bodies
    };
    assert_eq!(bodies(messages(&once).await), bodies(messages(&twice).await));
}

/// Writes only some records of every third batch, and then fails.
struct Torn(Arc<dyn Producer>, AtomicUsize);

#[async_trait::async_trait]
impl Producer for Torn {
    async fn send(&self, mut records: Vec<Record>) -> Result<()> {
        if self.1.fetch_add(1, Ordering::SeqCst) % 3 != 1 {
            return self.0.send(records).await;
        }
        let mut nth = 0;
        records.retain(|_| {
            nth += 1;
            nth % 3 == 0
        });
        self.0.send(records).await?;
        Err(Error::transient("the broker went away"))
    }
}

#[tokio::test]
async fn a_batch_that_was_written_in_part_is_completed_without_doubles() {
    let (folder, log) = (tempfile::tempdir().unwrap(), log().await);
    let torn = Arc::new(Torn(log.producer().await.unwrap(), AtomicUsize::new(0)));
    let running = start_with(&log, torn, folder.path(), 5, 420, "[]").await.unwrap();
    done(&running).await;
    let mut numbers: Vec<u64> = messages(&log)
        .await
        .iter()
        .map(|m| m.header("emission").unwrap().split_once(':').unwrap().1.parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..420).collect::<Vec<_>>());
    assert_eq!(lines(folder.path(), "emitted.jsonl").len(), 420);
}

#[tokio::test]
async fn another_seed_is_refused_by_the_folder_and_by_the_topic() {
    let (folder, other, log) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), log().await);
    done(&start(&log, folder.path(), 1, 10, "[]").await.unwrap()).await;
    for folder in [folder.path(), other.path()] {
        let error = start(&log, folder, 2, 10, "[]").await.err().unwrap().to_string();
        assert!(error.contains("seed 1, not of seed 2") && error.contains("--seed"), "{error}");
    }
}

#[tokio::test]
async fn routes_answer_what_is_declared_and_say_no_to_the_rest() {
    let (folder, log) = (tempfile::tempdir().unwrap(), log().await);
    let running = start(&log, folder.path(), 1, 40, "[]").await.unwrap();
    let (status, order) = get(&running, "/api/orders/1007").await;
    assert_eq!((status, &order["id"]), (200, &json!(1007)));
    assert_eq!(order["label"], format!("1007 in {}", order["label"].as_str().unwrap().rsplit_once(' ').unwrap().1));
    assert_eq!(order["shipper"].as_str().unwrap().len(), 4);
    assert_eq!(order["at"], "2026-01-01T01:00:12.000+01:00");
    assert_eq!(get(&running, "/api/orders/1007").await.1, order);
    assert_eq!(get(&running, "/api/orders/1016").await.0, 404);
    assert_eq!(get(&running, "/api/orders/x").await.0, 400);
    assert_eq!(get(&running, "/api/nothing").await.0, 404);
    let post = |body: Value| async move {
        ask(running.address(), "POST /api/data", &body.to_string(), "ada:pass").await.unwrap()
    };
    let (_, report) = post(json!({"kind": "ITEMS", "order": 1007})).await;
    assert!(!serde_json::from_str::<Value>(&report).unwrap()["items"].as_array().unwrap().is_empty());
    let answers = lines(folder.path(), "answers.jsonl");
    assert_eq!(answers.len(), 6);
    assert_eq!(answers[0]["body"], order);
    assert_eq!(answers[5]["method"], "POST");
}

#[tokio::test]
async fn wrong_credentials_are_told_and_lists_hide_what_is_new() {
    let (folder, log) = (tempfile::tempdir().unwrap(), log().await);
    let running = start(&log, folder.path(), 1, 400, "[]").await.unwrap();
    let refused = ask(running.address(), "GET /api/orders/1001", "", "ada:wrong").await.unwrap();
    assert_eq!(refused.0, 401);
    let (mut hidden, mut all) = (0, 0);
    for order in 1_000..1_020 {
        let path = format!("/api/orders/{order}/items");
        let first = get(&running, &path).await.1["data"].as_array().unwrap().len();
        let second = get(&running, &path).await.1["data"].as_array().unwrap().clone();
        hidden += second.len() - first;
        all += second.len();
        let id = second[0]["id"].clone();
        let one = get(&running, &format!("{path}?ids={id},77")).await.1;
        assert_eq!(one["data"].as_array().unwrap().len(), 1);
        assert_eq!(one["data"][0]["id"], id);
    }
    assert!(hidden * 4 > all && hidden * 4 < all * 3, "{hidden} of {all}");
}

#[tokio::test]
async fn files_are_served_by_signed_links_and_accounted() {
    let (folder, log) = (tempfile::tempdir().unwrap(), log().await);
    let running = start(&log, folder.path(), 1, 40, "[]").await.unwrap();
    get(&running, "/api/orders/1001/items").await;
    let items = get(&running, "/api/orders/1001/items").await.1;
    let url = items["data"][0]["url"].as_str().unwrap().to_owned();
    let path = url.strip_prefix(&format!("http://{}", running.address())).unwrap();
    assert_eq!(ask(running.address(), &format!("GET {path}"), "", "").await.unwrap().0, 200);
    let forged = path.replace("ttl=3600000", "ttl=9600000");
    assert_eq!(ask(running.address(), &format!("GET {forged}"), "", "").await.unwrap().0, 403);
    let files = lines(folder.path(), "files.jsonl");
    assert_eq!(
        (&files[0]["url"], &files[0]["fault"], &files[1]["fault"]),
        (&json!(url), &Value::Null, &json!("forged"))
    );
    assert!((1_024..=2_048).contains(&files[0]["bytes"].as_u64().unwrap()));
    assert_eq!(files[0]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!((running.calls(), running.files()), (2, 2));
}

/// The shop with links in its events, and a place for each way that a file can be unlike the others.
fn shop_with_links() -> Simulation {
    let text = SHOP
        .replace("FAULTS", "[]")
        .replace(
            "item: \"{item.id?}\"",
            "good: {$link: \"/files/{order.id}.png\", at: \"{event.at}\"}, \
             stale: {$link: \"/files/{order.id}.png\", at: \"{event.at}\", valid: 1s}, \
             gone: {$link: \"/files/gone/{order.id}.png\", at: \"{event.at}\"}, \
             away: {$link: \"/files/away/{order.id}.png\", at: \"{event.at}\"}, \
             large: {$link: \"/files/large/{order.id}.png\", at: \"{event.at}\"}",
        )
        .replace(
            "valid: 1h}",
            "form: amz, valid: 3650d}\n  places:\n    - {under: /files/gone/, status: 410}\n    \
             - {under: /files/away/, redirect: \"https://example.com/a.png\"}\n    \
             - {under: /files/large/, size: [9KiB, 9KiB]}\n  faults: [{rate: 1.0, status: 503}]",
        );
    parse(Source::new("shop.yaml", text)).unwrap()
}

#[tokio::test]
async fn links_in_events_are_those_of_their_instant_and_places_answer_in_their_way() {
    let (folder, log) = (tempfile::tempdir().unwrap(), log().await);
    let bound = shop_with_links().bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    // 2026-01-02T00:00:00Z: a day after the first event.
    let clock = Arc::new(ManualClock::at(1_767_312_000_000_000));
    let emit = Some(Emit { producer: log.producer().await.unwrap(), log: log.clone() });
    let options = Options { seed: 1, events: 1, account_dir: folder.path().to_owned(), clock, emit, rate: None };
    let running = bound.start(options).await.unwrap();
    done(&running).await;
    let event = lines(folder.path(), "emitted.jsonl").remove(0)["value"].take();
    let sent: Value = serde_json::from_slice(&messages(&log).await.remove(0).payload).unwrap();
    assert_eq!(sent, event);
    let mut answers = BTreeMap::new();
    for name in ["good", "stale", "gone", "away", "large"] {
        let url = event[name].as_str().unwrap();
        assert!(
            url.contains("at=20260101T00000")
                && url.contains(if name == "stale" { "ttl=1&" } else { "ttl=315360000&" })
        );
        let path = url.strip_prefix(&format!("http://{}", running.address())).unwrap();
        let (status, body) = ask(running.address(), &format!("GET {path}"), "", "").await.unwrap();
        answers.insert(name, (status, body.len() >= 9_000));
    }
    let expected = [
        ("away", (302, false)),
        ("gone", (410, false)),
        ("good", (503, false)),
        ("large", (200, true)),
        ("stale", (403, false)),
    ];
    assert_eq!(answers, expected.into());
    let faults: Vec<Value> = lines(folder.path(), "files.jsonl").iter().map(|file| file["fault"].clone()).collect();
    assert_eq!(faults, [json!("503"), json!("expired"), json!("410"), json!("away"), Value::Null]);
}

#[tokio::test]
async fn faults_come_at_their_rate_and_are_accounted_as_they_were_seen() {
    let faults = "[{rate: 0.2, status: 429, retry_after: 2s}, {rate: 0.1, kind: reset}, {rate: 0.1, kind: truncated}]";
    let (folder, log) = (tempfile::tempdir().unwrap(), log().await);
    let running = start(&log, folder.path(), 9, 400, faults).await.unwrap();
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for i in 0..600 {
        let path = format!("/api/orders/{}", 1_000 + i % 50);
        let answer = ask(running.address(), &format!("GET {path}"), "", "ada:pass").await;
        let what = answer.map_or("none".to_owned(), |(status, _)| status.to_string());
        *seen.entry(what).or_default() += 1;
    }
    let answers = lines(folder.path(), "answers.jsonl");
    let count = |fault: &str| answers.iter().filter(|a| a["fault"] == fault).count() as u64;
    assert_eq!(answers.len(), 600);
    assert_eq!(seen["429"], count("429"));
    assert_eq!(seen["none"], count("reset") + count("truncated"));
    assert!((80..160).contains(&seen["429"]), "{seen:?}");
    assert!((70..170).contains(&seen["none"]), "{seen:?}");
    let truncated = answers.iter().find(|a| a["fault"] == "truncated").unwrap();
    assert!(truncated["status"] == 200 && truncated["body"]["id"].is_number());
    let reset = answers.iter().find(|a| a["fault"] == "reset").unwrap();
    assert!(reset["status"].is_null() && reset["body"].is_null());
}

#[tokio::test]
async fn what_is_provided_is_known_before_anything_runs() {
    let bound = shop("[]").bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let environment = bound.environment();
    assert_eq!(environment["SHOP_URL"], format!("http://{}/api", bound.address()));
    assert_eq!(environment["SHOP_PORT"], bound.address().port().to_string());
}

#[tokio::test]
async fn a_server_alone_knows_everything_and_emits_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let bound = shop("[]").bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let clock = Arc::new(ManualClock::at(0));
    let options = Options { seed: 1, events: 0, account_dir: folder.path().to_owned(), clock, emit: None, rate: None };
    let running = bound.start(options).await.unwrap();
    assert!(running.done() && running.emitted() == 0);
    assert_eq!(get(&running, "/api/orders/90000").await.0, 200);
}

#[test]
fn every_simulation_that_is_shipped_loads_and_means_something() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topologies/sim");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            continue;
        }
        let simulation = load(&path).unwrap_or_else(|problems| panic!("{problems}"));
        for expected in simulation.events.expected(&simulation.world, &simulation.expect, 3_000) {
            assert!(expected.rows > 0, "{}: no rows of {} are implied", path.display(), expected.table);
        }
        let seen: std::collections::BTreeSet<_> = (0..3_000)
            .filter_map(|i| simulation.events.emission(&simulation.world, i).value.get("event_type").cloned())
            .map(|kind| kind.to_string().replace([' ', '"'], ""))
            .collect();
        let known: std::collections::BTreeSet<_> = simulation.events.types.iter().map(|t| t.name.clone()).collect();
        assert!(seen.is_empty() || seen == known, "{seen:?} are not all of {known:?}");
    }
}
