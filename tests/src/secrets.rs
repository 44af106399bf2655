//! What is secret stays so: a run of everything at the level `debug`, in which secrets are planted wherever they can be, and a search
//! for them in all that it says and keeps.
//!
//! Only two places may hold them: the payloads of messages, which carry links that work, and what goes to the service that
//! the secret is for. That they are there is checked too, or the search would prove nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::http::{End, Reply, Request, serve};
use crate::model::lake;
use crate::observe::get;
use crate::program::{Engine, files};
use crate::topics::Topics;

/// Planted by where it is planted. None is part of another word.
const PLANTED: [(&str, &str); 12] = [
    ("the password of the API", "Zq1Password"),
    ("a header of the API", "Zq2Header"),
    ("the password of Kafka", "Zq3Kafka"),
    ("the key of a store", "Zq4Store"),
    ("the signature of a link", "Zq5Link"),
    ("the signature of a refreshed link", "Zq6Fresh"),
    ("the signature in a redirect", "Zq7Redirect"),
    ("the user of a link", "Zq8User"),
    ("the body of an answer", "Zq9Body"),
    ("a bearer in a message", "Zq10Bearer"),
    ("a token in a path", "Zq11Path"),
    ("a link that is refused", "Zq12Refused"),
];

const TOPOLOGY: &str = r#"
topology: vault
language: 1
connections:
  bus: {kafka: {brokers: "${BROKERS:-embedded}", security: {protocol: "${PROTOCOL:-plaintext}", mechanism: PLAIN, username: robot, password: "${KAFKA_PASSWORD}"}}}
  lake: {delta: {url: "{data}/tables", options: {secret_key: "${STORE_KEY}"}}}
  api:
    http:
      url: "${API}"
      auth: {basic: {username: robot, password: "${PASSWORD}"}}
      headers: {X-Key: "${HEADER}"}
      retries: 1
      timeout: 2s
      breaker: {failures: 3, cooldown: 1s}
  hosts: {web: {allow: [files.example.com], idle_timeout: 10s}}
  spool: {object_store: {url: "{data}/spool"}}
  store: {object_store: {url: "{data}/files", options: {access_key: "${STORE_KEY}"}}}
topics:
  orders: {name: vault.orders, external: written, message: {id: id!, at: timestamp, path: string, link: string}}
tables:
  orders: {key: [id], columns: {id: id!, state: string, link: string}}
  outcomes: {key: [id], columns: {id: id!, status: string, error: string}}
flows:
  orders:
    source: {topic: orders, group: vault, deadline: 60s, retry: {workflow: orders, delays: [1m, 2m]}}
    stages:
      thing: {when: event.path, enrich: {connection: api, get: "/things/{event.path}", query: {token: "join('', ['Zq11', 'Path'])"}}}
      file:
        when: event.link
        download:
          connection: hosts
          spool: spool
          url: event.link
          name: "join('/', [event.id, 'a.jpg'])"
          refresh: {connection: api, get: "/links/{event.id}", url: answer.link, times: 2}
      stored: {when: file.path, upload: {connection: store, spool: spool, file: file.path, to: "{event.id}.jpg"}}
    rows:
      order: {table: orders, from: source, columns: {id: event.id, link: redact(event.link)}}
      thing: {table: orders, from: thing, columns: {id: event.id, state: thing.state}}
      outcome: {table: outcomes, on: [done, skipped, retried, dead], when: event.id, columns: {id: event.id, status: outcome.status, error: outcome.error.message}}
"#;

/// What came in at the outside: heads and targets of all requests.
type Heard = Arc<Mutex<String>>;

fn answer(request: &Request, base: &str) -> Reply {
    let leak = "{\"message\": \"Authorization: Bearer Zq9Body, https://h/?sig=Zq9Body\", \"password\": \"Zq9Body\"";
    let reply = |status, kind: &str, body: &[u8]| Reply {
        status,
        headers: vec![("content-type", kind.to_owned())],
        body: body.to_vec(),
        end: End::Whole,
    };
    let away = |status, to: String| Reply { headers: vec![("location", to)], ..reply(status, "text/plain", b"") };
    let path = request.target.split('?').next().unwrap_or_default();
    match path {
        "/things/fine" => reply(200, "application/json", br#"{"state": "fine"}"#),
        "/things/refused" => reply(401, "application/json", leak.as_bytes()),
        "/things/broken" => reply(500, "application/json", leak.as_bytes()),
        "/things/busy" => reply(429, "application/json", leak.as_bytes()),
        "/things/page" => reply(200, "text/html", leak.as_bytes()),
        "/things/cut" => reply(200, "application/json", leak.as_bytes()),
        "/things/away" => away(302, format!("{base}/things/fine?sig=Zq7Redirect")),
        "/things/reset" => Reply { end: End::Reset, ..reply(200, "text/plain", b"") },
        "/things/hang" => Reply { end: End::Hang, ..reply(200, "text/plain", b"") },
        "/f/ok.jpg" => reply(200, "image/jpeg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"),
        "/f/moved.jpg" => away(302, format!("{base}/f/ok.jpg?sig=Zq7Redirect")),
        "/f/out.jpg" => away(302, "https://robot:Zq8User@elsewhere.example/ok.jpg?sig=Zq7Redirect".to_owned()),
        "/f/cut.jpg" => Reply { end: End::Half, ..reply(200, "image/jpeg", leak.as_bytes()) },
        "/f/lies.jpg" => reply(200, "text/html", leak.as_bytes()),
        _ if path.starts_with("/links/") => {
            let fresh = if path.ends_with("renewed") { "ok" } else { "expired" };
            let link = format!("{base}/f/{fresh}.jpg?sig=Zq6Fresh");
            reply(200, "application/json", json!({"link": link}).to_string().as_bytes())
        }
        _ => reply(403, "application/xml", leak.as_bytes()),
    }
}

/// The messages: every path of the API, every kind of link, and what cannot be read.
fn messages(base: &str) -> Vec<Vec<u8>> {
    let paths = ["fine", "refused", "broken", "busy", "page", "cut", "away", "reset", "hang", "a?token=Zq11Path"];
    let by_path = |(number, path): (usize, &&str)| json!({"id": format!("p-{number}"), "path": path}).to_string();
    let mut all: Vec<String> = paths.iter().enumerate().map(by_path).collect();
    for name in ["ok", "moved", "out", "cut", "lies", "expired"] {
        let link = format!("{base}/f/{name}.jpg?sig=Zq5Link");
        all.push(json!({"id": name, "link": link}).to_string());
        all.push(json!({"id": format!("{name}-renewed"), "link": link.replace(name, "expired")}).to_string());
    }
    for link in [
        "https://elsewhere.example/a.jpg?X-Amz-Signature=Zq12Refused",
        "https://robot:Zq8User@files.example.com/a.jpg",
        "http://169.254.169.254/a.jpg?sig=Zq12Refused",
        "not a link?sig=Zq12Refused",
        "https://files.example.com/a.exe?sig=Zq12Refused",
    ] {
        all.push(json!({"id": format!("r-{}", all.len()), "link": link}).to_string());
    }
    all.push("Authorization: Bearer Zq10Bearer".to_owned());
    all.push("{\"id\": \"b\", \"at\": \"Bearer Zq10Bearer\"}".to_owned());
    all.push("{\"id\": {\"token\": \"Zq10Bearer\"}}".to_owned());
    all.push("{\"id\": \"d\", \"at\": \"https://h/?sig=Zq5Link\" \"token\": \"Zq10Bearer\"}".to_owned());
    all.into_iter().map(String::into_bytes).collect()
}

/// Which of the secrets `bytes` holds, plain or as base64.
fn found(bytes: &[u8]) -> Vec<&'static str> {
    let text = String::from_utf8_lossy(bytes);
    let known = |secret: &str| text.contains(secret) || text.contains(&base64(format!("robot:{secret}").as_bytes()));
    PLANTED.iter().filter(|(_, secret)| known(secret)).map(|(place, _)| *place).collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for digit in 0..=three.len() {
            out.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    out + &"=".repeat(3 - bytes.chunks(3).last().map_or(3, <[u8]>::len))
}

fn with_secrets(engine: Engine, api: &SocketAddr) -> Engine {
    engine
        .env("API", format!("http://{api}"))
        .env("PASSWORD", "Zq1Password")
        .env("HEADER", "Zq2Header")
        .env("KAFKA_PASSWORD", "Zq3Kafka")
        .env("STORE_KEY", "Zq4Store")
        .arg("--log-level=debug")
}

/// Every number that the metric `name` has, added up.
fn sum(metrics: &str, name: &str) -> f64 {
    metrics.lines().filter(|l| l.starts_with(name)).filter_map(|l| l.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_planted_in_a_run_is_in_nothing_that_it_says() {
    assert_eq!(base64(b"odd:secret"), "b2RkOnNlY3JldA==");
    let heard = Heard::default();
    let (listener, address) = (heard.clone(), Arc::new(Mutex::new(String::new())));
    let base = address.clone();
    let api = serve(([127, 0, 0, 1], 0).into(), move |request| {
        listener.lock().unwrap().push_str(&format!("{}\n{}\n", request.target, request.head));
        let base = base.lock().unwrap().clone();
        answer(request, &base)
    })
    .await;
    *address.lock().unwrap() = format!("http://{api}");
    let folder = tempfile::tempdir().unwrap();
    let (data, said) = (folder.path().join("data"), folder.path().join("said"));
    std::fs::create_dir(&said).unwrap();
    let topology = folder.path().join("vault.yaml");
    std::fs::write(&topology, TOPOLOGY).unwrap();
    let messages = messages(&format!("http://{api}"));
    let count = messages.len();
    Topics::open(&data).await.write_bytes("vault.orders", messages).await;

    let engine = Engine::run(&topology, &data).arg("--time-scale=0.0001").arg("--allow-local-urls");
    let mut running = with_secrets(engine, &api).start(&said);
    let mut metrics = String::new();
    let mut health = String::new();
    let settled = running.wait_until(|| {
        let err = std::fs::read_to_string(said.join("err")).unwrap_or_default();
        let address = err.lines().find(|line| line.contains("metrics and health are served")).and_then(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            line["address"].as_str()?.parse::<SocketAddr>().ok()
        });
        let Some(address) = address else { return false };
        metrics = get(address, "/metrics").2;
        health = get(address, "/health").2;
        let ended = metrics.lines().filter(|l| l.contains("outcome=\"done\"") || l.contains("outcome=\"dead\""));
        let ended: String = ended.map(|line| format!("{line}\n")).collect();
        sum(&ended, "engine_outcomes_total") >= count as f64
    });
    assert!(settled, "{}", std::fs::read_to_string(said.join("err")).unwrap());
    let dlq = |verb: &str, format: &str| {
        let engine = Engine::new("dlq").arg(verb).arg("--format").arg(format);
        let engine = engine.arg("--topology").arg(topology.display()).arg("--data").arg(data.display());
        with_secrets(engine, &api).finish().expect(0)
    };
    let verbs = [("list", "table"), ("list", "json"), ("show", "table"), ("show", "json"), ("replay", "json")];
    let shown = verbs.map(|(verb, format)| dlq(verb, format));
    running.kill();

    let mut wrong: Vec<String> = Vec::new();
    let mut search = |what: &str, bytes: &[u8]| {
        wrong.extend(found(bytes).into_iter().map(|secret| format!("{what} holds {secret}")));
    };
    search("the metrics", metrics.as_bytes());
    search("health", health.as_bytes());
    for ended in &shown {
        search("what dlq says", ended.out.as_bytes());
        search("what dlq logs", ended.err.as_bytes());
    }
    let logs = files(&said);
    assert!(logs.keys().any(|name| name.starts_with("logs/vault-orders.log")), "{:?}", logs.keys());
    for (name, content) in &logs {
        search(name, content);
    }
    for (name, content) in files(&data).iter().filter(|(name, _)| name.as_str() != "topics/topics.redb") {
        search(&format!("the name of {name}"), name.as_bytes());
        // A Parquet file holds texts as they are, but where it packs them: the rows are looked at as well.
        search(name, content);
    }
    for table in ["orders", "outcomes"] {
        let rows = lake::read(&data.join("tables").join(table)).await.unwrap();
        assert!(rows.len() > 10, "{} rows of {table} prove nothing", rows.len());
        search(table, json!(rows).to_string().as_bytes());
    }
    let topics = Topics::open(&data).await;
    let mut payloads: BTreeMap<&str, bool> = BTreeMap::new();
    let mut letters = 0;
    for topic in topics.names().await {
        for message in topics.all(&topic).await {
            letters += usize::from(topic.ends_with(".dlq"));
            for (name, value) in &message.headers {
                search(&format!("header {name} on {topic}"), value);
            }
            for secret in found(&message.payload) {
                payloads.insert(secret, true);
            }
        }
    }
    // The secrets were where they belong, so there was something to find.
    let heard = heard.lock().unwrap().clone();
    let used = found(heard.as_bytes());
    for (place, _) in PLANTED.iter().filter(|(place, _)| {
        ["the password of the API", "a header of the API", "the signature of a refreshed link", "a token in a path"]
            .contains(place)
    }) {
        assert!(used.contains(place), "{place} was not used: {used:?}");
    }
    assert!(payloads.contains_key("the signature of a link") && letters > 15, "{letters} letters, {payloads:?}");
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Commands that tell of a topology without running it.
const TELLING: [&[&str]; 9] = [
    &["explain"],
    &["explain", "--format=json"],
    &["graph"],
    &["graph", "--types", "--errors"],
    &["graph", "--types", "--errors", "--format=dot"],
    &["validate"],
    &["validate", "--format=json"],
    &["validate", "--connect", "--timeout=1"],
    &["validate", "--connect", "--timeout=1", "--format=json"],
];

/// Secrets of the environment, and secrets that somebody wrote into the file: of a file that starts, and of one in whose lines problems
/// are shown.
#[test]
fn what_is_told_of_a_topology_holds_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let written = TOPOLOGY
        .replace("${PASSWORD}", "Zq1Password")
        .replace("${HEADER}", "Zq2Header")
        .replace("${KAFKA_PASSWORD}", "Zq3Kafka")
        .replace("${STORE_KEY}", "Zq4Store")
        .replace("${API}", "http://127.0.0.1:9");
    assert_eq!(found(written.as_bytes()).len(), 4, "there is something to find");
    let slips = [
        ("mechanism: PLAIN", "mechanism: PLAYN"),
        ("username: robot, ", "usernam: robot, "),
        ("retries: 1", "retries: many"),
    ];
    let files = [TOPOLOGY.to_owned(), written.clone()].map(|text| (text, true));
    let broken = slips.map(|(from, to)| (written.replace(from, to), false));
    for (index, (text, starts)) in files.into_iter().chain(broken).enumerate() {
        let path = folder.path().join(format!("vault-{index}.yaml"));
        std::fs::write(&path, text).unwrap();
        for arguments in TELLING {
            let engine = Engine::new(arguments[0]).arg(path.display());
            let engine = arguments[1..].iter().fold(engine, |engine, argument| engine.arg(argument));
            let engine = engine.arg("--data").arg(folder.path().join("data").display());
            let ended = with_secrets(engine, &"127.0.0.1:9".parse().unwrap()).finish();
            assert!(starts || ended.status == Some(2), "{index} {arguments:?}: {}", ended.err);
            let text = format!("{}{}", ended.out, ended.err);
            assert!(text.contains("vault"), "{index} {arguments:?} says nothing: {text}");
            assert_eq!(found(text.as_bytes()), Vec::<&str>::new(), "{index} {arguments:?}: {text}");
        }
    }
}

/// What cannot be started says why, and not with what.
#[test]
fn errors_of_the_start_hold_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let run = |topology: &str, name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, topology).unwrap();
        let engine = Engine::run(&path, &folder.path().join("data")).arg("--until-drained");
        with_secrets(engine, &"127.0.0.1:9".parse().unwrap())
    };
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cases = [
        run(TOPOLOGY, "kafka.yaml").env("BROKERS", closed).env("PROTOCOL", "sasl_plaintext"),
        run(
            &TOPOLOGY.replace("auth: {basic: {username: robot, password", "auth: {basic: {username: '', password"),
            "auth.yaml",
        ),
        run(&TOPOLOGY.replace("url: \"${API}\"", "url: \"http://robot:${PASSWORD}@h\""), "url.yaml"),
        run(&TOPOLOGY.replace("{X-Key: \"${HEADER}\"}", "{X-Key: \"${HEADER}\\n\"}"), "header.yaml"),
        run(&TOPOLOGY.replace("\"{data}/files\"", "\"s3x://robot:${STORE_KEY}@h/files\""), "store.yaml"),
    ];
    for (index, case) in cases.iter().enumerate() {
        let ended = case.finish();
        assert_ne!(ended.status, Some(0), "case {index} started");
        assert!(ended.err.contains("error: "), "{}", ended.err);
        let text = format!("{}{}", ended.out, ended.err);
        assert_eq!(found(text.as_bytes()), Vec::<&str>::new(), "case {index}: {text}");
    }
}
