//! `engine validate` as people, editors and CI run it: what it prints, its exit statuses, and that trying connections leaves no trace.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{Engine, files};

const TOPOLOGY: &str = "\
topology: shop
language: 1
connections:
  bus: {kafka: {brokers: \"${BROKERS:-embedded}\"}}
  api: {http: {url: \"${API:-http://127.0.0.1:9}\", auth: {basic: {username: me, password: hunter2}}}}
  lake: {delta: {url: \"{data}/tables\"}}
topics: {orders: {name: shop.orders, external: written, message: {id: id!, url: text}}}
tables: {orders: {key: [id], columns: {id: id!, name: string}}}
flows:
  orders:
    source: {topic: orders, group: orders, retry: {dead_letter: shop.dlq}}
    stages:
      order: {enrich: {connection: api, get: \"/orders/{event.id}\"}}
    rows: {order: {table: orders, columns: {id: event.id, name: order.name}}}
";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn validate(&self, paths: &[&Path]) -> Engine {
        let engine = Engine::new("validate").arg("--data").arg(self.data().display());
        paths.iter().fold(engine, |engine, path| engine.arg(path.display()))
    }
}

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn people_and_programs_are_told_the_same() {
    let folder = Folder::new();
    let good = folder.file("good.yaml", TOPOLOGY);
    let broken = folder
        .file("broken.yaml", &TOPOLOGY.replace("group: orders", "gruop: orders").replace("password:", "pasword:"));
    let told = folder.validate(&[&good]).finish().expect(0);
    assert!(told.err.ends_with("good.yaml: valid; flows: 1, tables: 1, topics: 1\n"), "{}", told.err);
    let told = folder.validate(&[&good, &broken]).finish().expect(2);
    for text in ["error[E0101]", "broken.yaml:11:29", "did you mean `group`?", "1 of 2 files cannot run", "^^^^^"] {
        assert!(told.err.contains(text), "{}", told.err);
    }
    assert!(!told.err.contains("hunter2"), "{}", told.err);
    assert_eq!(told.out, "");
    let json = folder.validate(&[&good, &broken]).arg("--format").arg("json").finish().expect(2);
    assert!(!json.out.contains("hunter2"));
    let files = lines(&json.out);
    assert_eq!((files[0]["starts"].as_bool(), files[1]["starts"].as_bool()), (Some(true), Some(false)));
    let problem = &files[1]["diagnostics"][1];
    let place = ["line", "column"].map(|key| problem[key].as_u64().unwrap());
    let end = ["line", "column"].map(|key| problem["end"][key].as_u64().unwrap());
    assert_eq!((place, end), ([11, 29], [11, 34]));
    assert_eq!((problem["code"].as_str(), problem["severity"].as_str()), (Some("E0101"), Some("error")));
    assert_eq!(problem["suggestion"].as_str(), Some("group"));
}

#[test]
fn connections_are_tried_without_a_trace() {
    let folder = Folder::new();
    let topology = folder.file("shop.yaml", TOPOLOGY);
    // Somebody who answers, and hears what is asked.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 4096];
        let length = stream.read(&mut asked).unwrap();
        stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        String::from_utf8_lossy(&asked[..length]).into_owned()
    });
    let run = folder
        .validate(&[&topology])
        .arg("--connect")
        .arg("--format")
        .arg("json")
        .env("API", format!("http://{address}"));
    let told = run.finish().expect(0);
    let tried = lines(&told.out)[0]["connections"].clone();
    let told: Vec<(&str, bool)> =
        tried.as_array().unwrap().iter().map(|c| (c["name"].as_str().unwrap(), c["ok"].as_bool().unwrap())).collect();
    let expected = [("connection bus", true), ("connection api", true), ("table orders", true)];
    assert_eq!(told, expected, "{tried}");
    assert_eq!(tried[1]["message"], "it answers, with status 401");
    let asked = heard.join().unwrap();
    assert!(asked.starts_with("HEAD / HTTP/1.1") && !asked.to_lowercase().contains("authorization"), "{asked}");
    assert!(files(folder.0.path()).keys().all(|name| name == "shop.yaml"), "{:?}", files(folder.0.path()).keys());
    assert!(!folder.data().exists());
}

#[test]
fn a_connection_that_does_not_answer_is_named() {
    let folder = Folder::new();
    let topology = folder.file("shop.yaml", TOPOLOGY);
    let begun = std::time::Instant::now();
    let run = folder.validate(&[&topology]).arg("--connect").arg("--timeout").arg(2).env("BROKERS", "127.0.0.1:9");
    let told = run.finish().expect(1);
    for text in [
        "connection bus (kafka): failed",
        "connection api (http): failed, cannot connect to 127.0.0.1",
        "2 connections",
    ] {
        assert!(told.err.contains(text), "{}", told.err);
    }
    assert!(told.err.contains("table orders (delta): ok, not there yet"), "{}", told.err);
    assert!(begun.elapsed() < std::time::Duration::from_secs(60));
    // A file that is wrong is not connected.
    let broken = folder.file("broken.yaml", &TOPOLOGY.replace("group: orders", "gruop: orders"));
    let told = folder.validate(&[&broken]).arg("--connect").finish().expect(2);
    assert!(!told.err.contains("connection bus"), "{}", told.err);
}
