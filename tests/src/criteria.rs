//! What the specification calls a success: domains that know nothing of each other, on code that they share; another one is a file;
//! each runs and scales alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::model::lake;
use crate::program::{Engine, topologies};
use crate::topics::Topics;

/// The domains: the name of their topology, and how their names begin.
const DOMAINS: [(&str, &[&str]); 3] = [
    ("claimx", &["claimx.", "claimx_", "claimx-", "claimx/"]),
    ("xact", &["xact.", "xact_", "xact-", "xact/"]),
    ("github", &["github.", "github_", "github-", "github/"]),
];

/// The lines of a topology that are no comment and name no host: hosts are called as their owners like.
fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let host = |line: &str| line.contains(".amazonaws.com") || line.contains("claimxperience.com");
    let code = text.lines().map(|line| line.split(" # ").next().unwrap_or_default().to_lowercase());
    code.filter(|line| !line.trim_start().starts_with('#') && !host(line)).collect()
}

#[test]
fn no_domain_names_another() {
    for (domain, _) in DOMAINS {
        let mut read = 0;
        for file in [format!("{domain}.yaml"), format!("sim/{domain}.yaml")] {
            let path = topologies().join(file);
            for line in lines(&path) {
                read += 1;
                for (other, names) in DOMAINS.iter().filter(|(other, _)| *other != domain) {
                    let named = names.iter().any(|name| {
                        // `exact_` is another word.
                        line.match_indices(name)
                            .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric()))
                    });
                    assert!(!named, "{} names {other}: {line}", path.display());
                }
            }
        }
        assert!(read > 100, "{domain}: {read} lines prove nothing");
    }
}

#[test]
fn no_test_of_a_domain_uses_another() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (domain, _) in DOMAINS {
        for folder in [source.join(domain), source.join("model").join(domain)] {
            // Not every domain has a folder in both places.
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
                for (other, _) in DOMAINS.iter().filter(|(other, _)| *other != domain) {
                    assert!(!text.contains(&format!("{other}::")), "a test of {domain} uses {other}");
                }
            }
        }
    }
}

#[test]
fn a_domain_is_data_and_all_code_is_shared() {
    let mut folders = vec![topologies()];
    let mut kinds = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("schema.json") {
                // Schemas are of the language, for editors.
                kinds.insert(path.extension().unwrap_or_default().to_string_lossy().into_owned());
            }
        }
    }
    kinds.retain(|kind| !["yaml", "jsonl", "env"].contains(&kind.as_str()));
    assert!(kinds.is_empty(), "a domain is told in YAML, not in {kinds:?}");
}

/// A domain that nobody has made before: a library that lends books.
const LIBRARY: &str = r#"
topology: library
language: 1
vars: {prefix: "${LIBRARY_PREFIX:-library}"}
connections:
  bus: {kafka: {brokers: "${KAFKA_BOOTSTRAP_SERVERS:-embedded}"}}
  lake: {delta: {url: "{data}/tables"}}
topics:
  loans:
    name: "{prefix}.loans.raw"
    external: written
    message: {book: id!, reader: string!, at: timestamp!, action: string!}
  fines:
    name: "{prefix}.fines.pending"
    key: reader
    message: {reader: string!, book: string!, cents: int64!}
tables:
  books:
    path: library_books
    key: [book]
    groups: {loan: {version: at}}
    columns: {book: id!, reader: string, at: timestamp!, out: bool}
  fines:
    path: library_fines
    key: [reader, book]
    columns: {reader: string!, book: string!, cents: int64}
flows:
  desk:
    aliases: [library-desk]
    source:
      topic: loans
      group: library-desk
      retry: {topic: "{prefix}.loans.retry.{delay}", delays: [1m], dead_letter: "{prefix}.loans.dlq"}
    stages:
      kind:
        route: {by: event.action, cases: {LENT: [out], RETURNED: [back], LOST: [lost]}, else: dead}
    rows:
      book:
        table: books
        columns: {book: event.book, reader: event.reader, at: event.at, out: "!kind.back"}
    send:
      fine:
        topic: fines
        when: kind.lost
        body: {reader: event.reader, book: event.book, cents: "`2500`"}
  cashier:
    source:
      topic: fines
      group: library-cashier
      retry: {topic: "{prefix}.fines.retry.{delay}", delays: [1m], dead_letter: "{prefix}.fines.dlq"}
    rows:
      fine:
        table: fines
        columns: {reader: event.reader, book: event.book, cents: event.cents}
"#;

async fn library(folder: &Path) -> (PathBuf, PathBuf) {
    let (file, data) = (folder.join("library.yaml"), folder.join("data"));
    std::fs::write(&file, LIBRARY).unwrap();
    let loan = |book: u32, action: &str, hour: u32| {
        let loan =
            json!({"book": book, "reader": "Ada", "action": action, "at": format!("2026-01-10T{hour:02}:00:00Z")});
        (Some(book.to_string()), loan.to_string())
    };
    let loans = vec![
        loan(1, "LENT", 9),
        loan(1, "RETURNED", 11),
        loan(1, "LENT", 10),
        loan(2, "LENT", 9),
        loan(2, "LOST", 12),
        loan(3, "BURNT", 9),
    ];
    Topics::open(&data).await.write("library.loans.raw", loans).await;
    (file, data)
}

async fn rows(data: &Path, table: &str) -> Vec<Value> {
    let mut rows: Vec<Value> =
        lake::read(&data.join("tables").join(table)).await.unwrap().into_iter().map(Value::Object).collect();
    rows.sort_by_key(Value::to_string);
    rows
}

async fn assert_books_are_kept(data: &Path) {
    let books = [
        json!({"book": "1", "reader": "Ada", "at": "2026-01-10T11:00:00+00:00", "out": false}),
        json!({"book": "2", "reader": "Ada", "at": "2026-01-10T12:00:00+00:00", "out": true}),
    ];
    let key = |row: &Value| row["book"].to_string();
    let mut found = rows(data, "library_books").await;
    found.sort_by_key(key);
    assert_eq!(found, books);
    assert_eq!(rows(data, "library_fines").await, [json!({"reader": "Ada", "book": "2", "cents": 2500})]);
    assert_eq!(Topics::open(data).await.count("library.loans.dlq").await, 1);
}

#[tokio::test]
async fn another_domain_is_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = library(folder.path()).await;
    Engine::run(&file, &data).arg("--until-drained").arg("--time-scale=0.001").finish().expect(0);
    assert_books_are_kept(&data).await;
}

#[tokio::test]
async fn each_flow_runs_alone_and_on_several_threads() {
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = library(folder.path()).await;
    let run = |flow: &str, workers: usize| {
        let run = Engine::run(&file, &data).arg("--until-drained").arg("--time-scale=0.001");
        run.arg(format!("--flow={flow}")).arg(format!("--workers={workers}")).finish().expect(0)
    };
    run("library-desk", 3);
    assert!(rows(&data, "library_fines").await.is_empty(), "nobody runs the cashier yet");
    run("cashier", 1);
    assert_books_are_kept(&data).await;
}

#[tokio::test]
async fn each_domain_runs_alone() {
    for (domain, _) in DOMAINS {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        Engine::simulate(&topologies().join(format!("{domain}.yaml")), data, 4, 60).finish().expect(0);
        let tables: Vec<String> = std::fs::read_dir(data.join("tables"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        assert!(!tables.is_empty() && tables.iter().all(|table| table.starts_with(domain)), "{domain}: {tables:?}");
        for topic in Topics::open(data).await.names().await {
            assert!(topic.starts_with(&format!("{domain}.")), "{domain} made the topic {topic}");
        }
    }
}
