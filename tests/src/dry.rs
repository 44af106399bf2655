//! `engine run --dry-run`: what the next messages would come to is shown, and nothing is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use connectors::clock::SystemClock;
use connectors::embedded;
use connectors::log::{Log as _, Record, TopicSpec};
use serde_json::json;

use crate::http::{End, Reply, serve};
use crate::made_up::{Folder, absent};
use crate::program::{Engine, files};

/// A shop whose orders are asked for at an API, whose photos are downloaded and stored.
const SHOP: &str = r#"
topology: shop
language: 1
connections:
  bus: {kafka: {brokers: embedded}}
  api: {http: {url: "${API}", retries: 0, auth: {bearer: "${TOKEN:-}"}}}
  web: {web: {allow: [files.example.com]}}
  spool: {object_store: {url: "{data}/spool"}}
  files: {object_store: {url: "{data}/files"}}
  lake: {delta: {url: "{data}/tables"}}
topics:
  orders: {name: shop.orders, partitions: 1, external: written, message: {id: id!, customer: id, photo: string}}
  photos: {name: shop.photos, message: {id: id!, url: string!}}
  stored: {name: shop.stored, external: written, message: {id: id!, path: string!}}
  done: {name: shop.done, external: read, message: {id: id!, where: string}}
tables:
  orders: {key: [order_id], mode: insert, columns: {order_id: id!, at: timestamp!, name: string, photo: string}}
  log: {key: [order_id], columns: {order_id: id!, status: string}}
flows:
  orders:
    source: {topic: orders, group: g, retry: {topic: "shop.retry.{delay}", delays: [5m], dead_letter: shop.dlq}}
    stages:
      new: {dedup: {key: event.id, at: now(), window: 24h, table: orders}}
      named:
        filter: event.customer
        else: {skip: nobody}
      customer:
        enrich: {connection: api, get: "/customers/{event.customer}"}
    rows:
      order: {table: orders, columns: {order_id: event.id, at: now(), name: customer.name, photo: event.photo}}
      log: {table: log, on: [done, skipped, retried, dead], when: event.id, columns: {order_id: event.id, status: outcome.status}}
    send:
      photo: {topic: photos, when: event.photo, key: event.id, body: {id: event.id, url: event.photo}}
  photos:
    source: {topic: photos, group: g, retry: {dead_letter: shop.photos.dlq}}
    stages:
      file: {download: {connection: web, spool: spool, url: event.url, name: safe_name(event.id)}}
    send:
      stored: {topic: done, from: file, body: {id: event.id, where: file.path}}
  stored:
    source: {topic: stored, group: g, retry: {dead_letter: shop.stored.dlq}}
    stages:
      put: {upload: {connection: files, spool: spool, file: event.path, to: "{event.id}.jpg", sha256: event.id, bytes: "`3`"}}
    send:
      done: {topic: done, from: put, body: {id: event.id, where: put.path}}
"#;

/// The shop beside an API that counts its calls and answers by the customer.
async fn shop() -> (Folder, String, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let address = serve("127.0.0.1:0".parse().unwrap(), move |request| {
        count.fetch_add(1, Ordering::SeqCst);
        let status = if request.target.ends_with("/503") { 503 } else { 200 };
        Reply {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: br#"{"name": "Ada", "link": "https://h/x?sig=geheim"}"#.to_vec(),
            end: End::Whole,
        }
    })
    .await;
    let folder = Folder::new();
    folder.write("shop.yaml", SHOP);
    (folder, format!("http://{address}"), calls)
}

fn feed(folder: &Folder, topic: &str, messages: &[serde_json::Value], api: &str) {
    let lines: String = messages.iter().map(|m| format!("{m}\n")).collect();
    folder.write("lines.jsonl", &lines);
    let produce = Engine::new("produce").arg(topic).arg(folder.path("lines.jsonl").display()).env("API", api);
    let produce = produce.arg("--topology").arg(folder.path("shop.yaml").display());
    produce.arg("--data").arg(folder.data().display()).arg("--key=id").finish().expect(0);
}

/// A dry run; fails if a byte of the folder changed.
fn dry(folder: &Folder, api: &str, arguments: &[&str]) -> String {
    let before = files(&folder.path("."));
    let engine = arguments.iter().fold(folder.run(&["shop.yaml"]).arg("--dry-run"), |engine, a| engine.arg(a));
    let ended = engine.env("API", api).env("TOKEN", "hunter2-hunter2").finish().expect(0);
    let after = files(&folder.path("."));
    let changed: Vec<_> = after.iter().filter(|(name, content)| before.get(*name) != Some(content)).collect();
    assert!(
        changed.is_empty() && after.len() == before.len(),
        "{:?}",
        changed.iter().map(|(n, _)| n).collect::<Vec<_>>()
    );
    assert!(!(ended.out.clone() + &ended.err).contains("hunter2") && !ended.out.contains("geheim"), "{}", ended.out);
    assert!(ended.err.contains("nothing is written"), "{}", ended.err);
    // What is not sent is no sign that an API cannot be reached.
    assert!(!arguments.contains(&"--no-calls") || !ended.err.contains("WARN"), "{}", ended.err);
    ended.out
}

fn assert_says(shown: &str, all: &[&str]) {
    for says in all {
        assert!(shown.contains(says), "{says:?} is not in\n{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_each_sink_would_get_is_shown_and_nothing_is_written() {
    let (folder, api, calls) = shop().await;
    let photo = "https://files.example.com/1.jpg?sig=geheim";
    let orders = [
        json!({"id": 1, "customer": 7, "photo": photo}),
        json!({"id": 2}),
        json!({"id": 3, "customer": 503}),
        json!({"customer": 4}),
    ];
    feed(&folder, "shop.orders", &orders, &api);
    let shown = dry(&folder, &api, &["--flow", "orders"]);
    assert_says(
        &shown,
        &[
            "flow shop/orders: 4 messages of topic shop.orders",
            "shop.orders/0 offset 0",
            "\"link\":\"https://h/x?sig=[REDACTED]\",\"name\":\"Ada\"}",
            "call made: GET /customers/7 of api: 200",
            "row of order, into table orders",
            "order_id  \"1\"",
            "message of photo, to topic shop.photos, key 1",
            "?sig=[REDACTED]",
            "outcome: done",
            "named: leaves, nobody",
            "status    \"skipped\"",
            "customer: fails (transient): ",
            "retry to topic shop.retry.5m, due 20",
            "source: fails (permanent): field `id` is required",
            "dead letter to topic shop.dlq: field `id` is required",
        ],
    );
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert!(absent(&folder.data().join("tables")) && absent(&folder.data().join("spool")));
    // Twice is the same: no position moved.
    let again = dry(&folder, &api, &["--flow", "orders", "--messages", "1"]);
    assert_says(&again, &["1 message of topic shop.orders", "shop.orders/0 offset 0"]);
    assert!(!again.contains("offset 1"), "{again}");

    // After a run the next messages are shown, and what the table holds is known.
    folder
        .run(&["shop.yaml"])
        .arg("--flow=orders")
        .arg("--until-drained")
        .arg("--time-scale=0.0001")
        .env("API", &api)
        .finish();
    feed(&folder, "shop.orders", &[json!({"id": 1, "customer": 7}), json!({"id": 9, "customer": 7})], &api);
    let shown = dry(&folder, &api, &["--flow", "orders"]);
    assert_says(&shown, &["2 messages of topic shop.orders", "new: leaves, duplicate", "order_id  \"9\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_calls_a_message_stops_where_one_would_be() {
    let (folder, api, calls) = shop().await;
    feed(&folder, "shop.orders", &[json!({"id": 1, "customer": 7, "photo": "x"})], &api);
    let shown = dry(&folder, &api, &["--flow", "orders", "--no-calls"]);
    assert_says(
        &shown,
        &["customer: goes no further", "not done: api: GET /customers/7 of api is not sent", "what follows depends on"],
    );
    assert!(!shown.contains("outcome") && !shown.contains("row of log"), "{shown}");
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_and_uploads_are_told_and_not_done() {
    let (folder, api, _) = shop().await;
    let photos = [
        json!({"id": 1, "url": "https://files.example.com/1.jpg?sig=geheim"}),
        json!({"id": 2, "url": "https://evil.example/1.jpg"}),
    ];
    feed(&folder, "shop.photos", &photos, &api);
    feed(&folder, "shop.stored", &[json!({"id": 1, "path": "there"}), json!({"id": 2, "path": "gone"})], &api);
    std::fs::create_dir_all(folder.data().join("spool")).unwrap();
    std::fs::write(folder.data().join("spool/there"), "abc").unwrap();
    let shown = dry(&folder, &api, &[]);
    assert_says(
        &shown,
        &[
            "flow shop/orders: nothing is left to be read",
            "not done: file: download https://files.example.com/1.jpg?sig=[REDACTED] into spool as 1",
            "file: fails (permanent): ",
            "dead letter to topic shop.photos.dlq: ",
            "not done: put: upload there of spool, 3 bytes, to files as 1.jpg",
            "message of done, to topic shop.done",
            "\"where\":\"1.jpg\"",
            "data/files/1.jpg",
            "not done: put: gone of spool is not there",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_needs_nothing_to_be_there_and_refuses_what_writes() {
    let (folder, api, _) = shop().await;
    let shown = dry(&folder, &api, &[]);
    assert_says(&shown, &["flow shop/stored: nothing is left to be read"]);
    assert!(absent(&folder.data()));
    for other in ["--sim", "--until-drained", "--count=2"] {
        let refused = folder.run(&["shop.yaml"]).arg("--dry-run").arg(other).env("API", &api).finish().expect(2);
        assert!(refused.err.contains("cannot be used with"), "{}", refused.err);
    }
    // Lines of files are read where they are.
    let topic =
        r#"{topic: orders, group: g, retry: {topic: "shop.retry.{delay}", delays: [5m], dead_letter: shop.dlq}}"#;
    let file = format!(
        "{{file: {{path: {}, message: {{id: id!, customer: id, photo: string}}}}}}",
        folder.path("lines.jsonl").display()
    );
    let declared = SHOP.lines().find(|line| line.contains("shop.orders")).unwrap();
    let lines = SHOP.replace(topic, &file).replace(declared, "").replace(", retried, dead]", ", dead]");
    assert!(!lines.contains("shop.retry"));
    folder.write("shop.yaml", &lines);
    folder.write("lines.jsonl", "{\"id\": 1}\n{\"id\": 2}\n");
    let shown = dry(&folder, &api, &["--flow", "orders", "--messages", "1"]);
    assert_says(&shown, &["lines.jsonl/0 offset 0", "named: leaves, nobody"]);
    assert!(!shown.contains("offset 10") && absent(&folder.data()), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_reads_what_of_its_retry_topics_is_due() {
    let (folder, api, _) = shop().await;
    feed(&folder, "shop.orders", &[json!({"id": 1, "customer": 7})], &api);
    let clock = Arc::new(SystemClock::new(1.0));
    let log = embedded::Log::open(folder.data().join("topics"), embedded::Options::default(), clock).await.unwrap();
    log.create(&[TopicSpec { name: "shop.retry.5m".into(), partitions: 1 }]).await.unwrap();
    // Long ago, in a hundred years, and behind that one.
    let records = [(8, 1_000_000), (9, 4_900_000_000_000_000_i64), (10, 1_000_000)].map(|(id, due)| Record {
        topic: "shop.retry.5m".into(),
        key: None,
        payload: json!({"id": id, "customer": 7}).to_string().into(),
        headers: vec![("due".into(), due.to_string().into()), ("retry_count".into(), "1".into())],
    });
    log.producer().await.unwrap().send(records.into()).await.unwrap();
    drop(log);
    let shown = dry(&folder, &api, &["--flow", "orders"]);
    assert_says(
        &shown,
        &[
            "1 message of topic shop.orders",
            "and 1 message of its retry topics, due by now",
            "and not yet 2 messages of retry topic shop.retry.5m, the first due 2125-",
            "shop.retry.5m/0 offset 0",
            "order_id  \"8\"",
        ],
    );
    assert!(!shown.contains("order_id  \"9\"") && !shown.contains("order_id  \"10\""), "{shown}");
}
