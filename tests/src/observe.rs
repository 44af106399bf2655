//! What a running program shows: metrics and health over HTTP, lines on standard error and in files.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use engine::observe::series::{ALL, Kind};
use serde_json::Value;

use crate::made_up::{Folder, absent};

/// Status, headers and body of a `GET`.
pub fn get(address: SocketAddr, path: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

/// The JSON lines of a log.
fn lines(text: &str) -> Vec<Value> {
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    text.lines().filter(|line| !line.starts_with("error: ")).map(read).collect()
}

/// Each sample of an exposition: its name with its labels as they are written, and its value.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

#[test]
fn metrics_and_health_tell_what_the_run_does() {
    let folder = Folder::new();
    folder.feed("shop.yaml", "shop.orders", 7);
    folder.write("bad.jsonl", "{\"note\": \"nobody\"}\n");
    folder.produce("shop.yaml", "shop.orders", "bad.jsonl");
    let said = tempfile::tempdir().unwrap();
    let mut running = folder.run(&["shop.yaml", "fleet.yaml"]).start(said.path());
    let mut address = None;
    let found = running.wait_until(|| {
        let text = std::fs::read_to_string(said.path().join("err")).unwrap_or_default();
        let line = text.lines().filter(|_| text.ends_with('\n')).find(|line| line.contains("metrics and health"));
        let line: Option<Value> = line.and_then(|line| serde_json::from_str(line).ok());
        address = line.and_then(|line| line["address"].as_str()?.parse::<SocketAddr>().ok());
        address.is_some()
    });
    assert!(found, "it says where it serves");
    let address = address.unwrap();
    // It is alive from the start, ready once it reads, and says why while it is not.
    assert_eq!(get(address, "/health/live").0, 200);
    assert!(running.wait_until(|| {
        let (status, _, body) = get(address, "/health/ready");
        let body: Value = serde_json::from_str(&body).unwrap();
        let reasons = body["reasons"].as_array().unwrap().len();
        assert_eq!(
            (status == 200, body["status"] == "ready", reasons == 0),
            (status == 200, status == 200, status == 200),
            "{body}"
        );
        status == 200
    }));
    let (_, _, health) = get(address, "/health");
    assert_eq!(serde_json::from_str::<Value>(&health).unwrap()["worker"], "shop,fleet");
    assert_eq!(get(address, "/elsewhere").0, 404);

    // An answer about lag is kept for some seconds: wait for the numbers, not for a time.
    let mut text = String::new();
    let behind = r#"engine_consumer_lag_messages{topology="shop",flow="orders",group="shop-orders",topic="shop.orders",partition="#;
    assert!(running.wait_until(|| {
        let (status, head, body) = get(address, "/metrics");
        assert!(status == 200 && head.contains("application/openmetrics-text"), "{head}");
        let samples = samples(&body);
        let lag: Vec<f64> =
            samples.iter().filter(|(name, _)| name.starts_with(behind)).map(|(_, value)| *value).collect();
        text = body;
        samples.get(r#"engine_rows_total{topology="shop",flow="orders",table="orders"}"#) == Some(&7.0)
            && lag.len() == 6
            && lag.iter().all(|messages| *messages == 0.0)
    }));
    let samples = samples(&text);
    let expected = [
        (r#"engine_messages_total{topology="shop",flow="orders"}"#, 8.0),
        (r#"engine_outcomes_total{topology="shop",flow="orders",outcome="done",category=""}"#, 7.0),
        (r#"engine_outcomes_total{topology="shop",flow="orders",outcome="dead",category="permanent"}"#, 1.0),
        (r#"engine_failures_total{topology="shop",flow="orders",stage="source",category="permanent"}"#, 1.0),
        (r#"engine_dead_letters{topology="shop",flow="orders",topic="shop.orders.dlq"}"#, 1.0),
        (r#"engine_budget_bytes{topology="fleet",flow="devices"}"#, 33_554_432.0),
        (r#"engine_messages_total{topology="fleet",flow="devices"}"#, 0.0),
        (r#"engine_assigned_partitions{topology="shop",flow="users"}"#, 12.0),
    ];
    for (name, value) in expected {
        assert_eq!(samples.get(name), Some(&value), "{name}\n{text}");
    }
    let commits = samples[r#"engine_commit_duration_seconds_count{topology="shop",flow="orders",table="orders"}"#];
    let within =
        &samples[r#"engine_commit_duration_seconds_bucket{le="+Inf",topology="shop",flow="orders",table="orders"}"#];
    assert!(commits >= 1.0 && *within == commits);
    // Nothing is shown that the catalogue does not know, with no other labels; and each of its names is told with its help.
    for name in samples.keys() {
        let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
        let known = ALL.iter().find(|s| match s.kind {
            Kind::Counter => name.strip_suffix("_total") == Some(s.name),
            Kind::Histogram => {
                name.strip_prefix(s.name).is_some_and(|part| ["_bucket", "_sum", "_count"].contains(&part))
            }
            Kind::Sum | Kind::Highest => name == s.name,
        });
        let known = known.unwrap_or_else(|| panic!("{name} is not in the catalogue"));
        let labels: BTreeSet<&str> = labels.split(',').filter_map(|label| Some(label.split_once('=')?.0)).collect();
        let declared: BTreeSet<&str> = known.labels.iter().copied().collect();
        assert!(labels.iter().all(|label| *label == "le" || declared.contains(label)), "{name}: {labels:?}");
    }
    running.kill();
}

#[test]
fn a_port_that_was_asked_for_must_be_free() {
    let folder = Folder::new();
    folder.feed("shop.yaml", "shop.orders", 1);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let run = |arguments: &[&str]| {
        let data = folder.data().display().to_string();
        let engine = crate::program::Engine::new("run").arg(folder.path("shop.yaml").display()).arg("--until-drained");
        arguments.iter().fold(engine.arg("--data").arg(data), |engine, argument| engine.arg(argument)).finish()
    };
    let refused = run(&["--metrics-port", &port.to_string()]).expect(1);
    assert!(refused.err.contains(&format!("127.0.0.1:{port}")), "{}", refused.err);
    // The usual port may be taken by anybody: with it or without, the run does its work.
    run(&[]).expect(0);
}

#[test]
fn each_line_says_whose_it_is_and_each_flow_has_its_file() {
    let folder = Folder::new();
    folder.feed("shop.yaml", "shop.orders", 2);
    let logs = folder.path("logs");
    let ended = folder.both().arg("--log-dir").arg(logs.display()).finish().expect(0);
    let said = lines(&ended.err);
    let flows = [("shop", "orders"), ("shop", "users"), ("fleet", "orders"), ("fleet", "devices")];
    for (topology, flow) in flows {
        let file = std::fs::read_to_string(logs.join(format!("{topology}-{flow}.log"))).unwrap();
        let own = lines(&file);
        assert!(own.iter().all(|line| line["topology"] == topology && line["flow"] == flow), "{file}");
        for message in ["started", "partitions", "ended"] {
            assert!(own.iter().any(|line| line["msg"] == message), "{message} is not in\n{file}");
        }
        let also: Vec<&Value> = said.iter().filter(|l| l["topology"] == topology && l["flow"] == flow).collect();
        assert_eq!(also.len(), own.len(), "the same on standard error");
    }
    assert!(said.iter().all(|line| ["ts", "level", "logger", "msg"].iter().all(|key| line[*key].is_string())));
    let own = std::fs::read_to_string(logs.join("engine.log")).unwrap();
    assert!(own.contains("metrics and health are served"), "{own}");

    let text = folder.both().env("JSON_LOGS", "false").arg("--log-level").arg("INFO").finish().expect(0);
    assert!(text.err.lines().any(|line| line.contains(" INFO shop/orders: started workers=1")), "{}", text.err);
    let quiet = folder.both().arg("--log-level").arg("WARNING").finish().expect(0);
    assert_eq!(quiet.err, "", "nothing to warn of");
}

#[test]
fn a_drill_writes_below_its_data_only() {
    let folder = Folder::new();
    let run = |folder: &Folder| folder.run(&["shop.yaml"]).arg("--sim").arg("--events").arg(3).env("LOG_DIR", "");
    run(&folder).finish().expect(0);
    assert!(!absent(&folder.data().join("logs/shop-orders.log")));
    assert!(absent(Path::new("logs")), "no folder beside the tests");
    // A folder that was asked for and cannot be is an error; the usual one is not worth a run.
    folder.write("file", "");
    let below = folder.path("file/logs");
    let asked = run(&folder).arg("--log-dir").arg(below.display()).finish().expect(2);
    assert!(asked.err.contains("the folder of the logs"), "{}", asked.err);
    std::fs::remove_dir_all(folder.data().join("logs")).unwrap();
    std::fs::write(folder.data().join("logs"), "").unwrap();
    let ended = run(&folder).finish().expect(0);
    assert!(ended.err.contains("no log files"), "{}", ended.err);
}
