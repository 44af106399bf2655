//! The examples of the language's reference run: each is put into a small topology, loaded without a problem, and does what it is for over
//! systems in memory. And the page is what the program prints.

use std::collections::BTreeMap;

use engine::topology::manual::{Section, sections};
use engine::topology::{Environment, load_str};

use crate::docs::read;
use crate::program::Engine;

#[test]
fn the_references_of_the_languages_are_what_the_program_prints() {
    for (of, page) in [("topology", "docs/language.md"), ("sim", "docs/simulation.md")] {
        let printed = Engine::new("schema").arg(of).arg("--format").arg("markdown").finish().expect(0).out;
        assert!(read(page) == printed, "it is old: `engine schema {of} --format markdown > {page}`");
    }
}

/// What an example does not bring itself: by key of the file, and there by name.
const CONNECTIONS: &[(&str, &str)] = &[
    ("bus", "{kafka: {brokers: embedded}}"),
    ("api", "{http: {url: \"https://api.example.com\", retries: 0}}"),
    ("hosts", "{web: {allow: [files.example.com]}}"),
    ("spool", "{object_store: {url: \"{data}/spool\"}}"),
    ("files", "{object_store: {url: \"{data}/files\"}}"),
    ("lake", "{delta: {url: \"{data}/tables\"}}"),
];
const TOPICS: &[(&str, &str)] = &[(
    "orders",
    "{name: shop.orders, external: both, message: {id: id!, kind: string, customer: id, at: timestamp, total: decimal, url: text, lines: json}}",
)];
const TABLES: &[(&str, &str)] =
    &[("orders", "{key: [order_id], columns: {order_id: id!, customer: string, seen: json, ordered_at: timestamp}}")];
const SOURCE: &str = "  topic: orders\n  group: orders\n  retry: {topic: \"shop.orders.retry.{delay}\", delays: [5m], dead_letter: shop.orders.dlq}\n";

/// The keys at the top of an example with their lines.
fn parts(example: &str) -> BTreeMap<&str, String> {
    let mut parts: BTreeMap<&str, String> = BTreeMap::new();
    let mut current = "";
    for line in example.lines() {
        match line.split_once(':') {
            Some((key, rest)) if !line.starts_with(' ') => {
                current = key;
                parts.insert(key, if rest.trim().is_empty() { String::new() } else { format!("{line}\n") });
            }
            _ => *parts.entry(current).or_default() += &format!("{line}\n"),
        }
    }
    parts
}

/// Those of `usual` that the example does not bring, and what it brings.
fn with_usual(own: Option<&String>, usual: &[(&str, &str)]) -> String {
    let own = own.cloned().unwrap_or_default();
    let brings = |name: &str| own.lines().any(|line| line.starts_with(&format!("  {name}:")));
    let rest = usual.iter().filter(|(name, _)| !brings(name)).map(|(name, text)| format!("  {name}: {text}\n"));
    own.clone() + &rest.collect::<String>()
}

/// The last of the names at the first level of a part.
fn last(part: &str) -> Option<&str> {
    let names = part.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.trim().split(':').next()).next_back()
}

/// A whole topology around an example.
fn topology(section: &Section) -> String {
    let parts = parts(section.example);
    let indent = |text: &str| -> String { text.lines().map(|line| format!("    {line}\n")).collect() };
    let head =
        ["topology", "language", "about", "aliases", "vars"].map(|key| parts.get(key).cloned().unwrap_or_default());
    let head = if parts.contains_key("topology") { head.concat() } else { "topology: shop\nlanguage: 1\n".to_owned() };
    let mut text = head;
    text += &format!("connections:\n{}", with_usual(parts.get("connections"), CONNECTIONS));
    let source = parts.get("source").map_or(SOURCE, String::as_str);
    text += &format!("topics:\n{}", with_usual(parts.get("topics"), TOPICS));
    text += &format!("tables:\n{}", with_usual(parts.get("tables"), TABLES));
    text += &format!("flows:\n  orders:\n    source:\n{}", indent(source));
    if let Some(stages) = parts.get("stages") {
        text += &format!("    stages:\n{}", indent(stages));
    }
    match (parts.get("rows"), parts.get("send")) {
        (None, None) => {
            let from = parts.get("stages").and_then(|stages| last(stages)).map(|name| format!("from: {name}, "));
            let from = from.unwrap_or_default();
            text += &format!(
                "    rows:\n      order: {{table: orders, {from}columns: {{order_id: event.id, ordered_at: event.at}}}}\n"
            );
        }
        (rows, send) => {
            for (key, part) in [("rows", rows), ("send", send)] {
                text += &part.map(|part| format!("    {key}:\n{}", indent(part))).unwrap_or_default();
            }
        }
    }
    text
}

/// What is sent to each example, and what must then be so: steps of a test. Examples that are not here get an order that
/// becomes a row.
const STEPS: &[(&str, &str)] = &[
    ("http", "
      - send: {orders: [{body: {id: 1, customer: 7}}]}
      - expect: {calls: {api: [{get: /customers/7}]}, rows: {orders: [{order_id: 1}]}}"),
    ("web", "
      - serve: {\"https://files.example.com/a.pdf\": {text: \"%PDF-1.4 a\", headers: {content-type: application/pdf}}}
      - send: {orders: [{body: {id: 1, url: \"https://files.example.com/a.pdf\"}}, {body: {id: 2, url: \"https://elsewhere.example.com/a.pdf\"}}]}
      - expect: {files: {spool: {count: 1}}, outcomes: {orders: [{status: done}, {status: dead}]}}"),
    ("object_store", "
      - serve: {\"https://files.example.com/a.pdf\": {text: \"%PDF-1.4 a\", headers: {content-type: application/pdf}}}
      - send: {orders: [{body: {id: 1, url: \"https://files.example.com/a.pdf\"}}]}
      - advance: drained
      - expect: {files: {files: [{path: documents/1.pdf}]}, outcomes: {orders: [{status: done}]}}"),
    ("Topics", "
      - send: {orders: [{body: {order: {number: 1}, document: {url: \"https://x.example.com\"}}}, {body: {kind: sale}}]}
      - expect: {rows: {orders: [{order_id: 1, ordered_at: $any}]}, outcomes: {orders: [{status: done}, {status: dead}]}}"),
    ("Tables", "
      - send: {orders: [{body: {id: 1, customer: b, at: 2026-01-10T10:00:00Z}}, {body: {id: 1, customer: a, at: 2026-01-10T09:00:00Z}}]}
      - expect: {rows: {orders: [{order_id: 1, customer: b, first_seen: 2026-01-10T12:00:00Z}]}}"),
    ("source", "
      - send: {orders: [{body: {kind: sale}}]}
      - expect: {messages: {shop.orders.dlq: [{body: {kind: sale}}]}}"),
    ("A source of files", "
      - send: {data/orders.jsonl: [{body: {id: 1}}, {body: {id: 2}}]}
      - expect: {rows: {orders: [{order_id: 1}, {order_id: 2}]}}"),
    ("rows", "
      - send: {orders: [{body: {id: 1, kind: sale}}, {body: {id: 2}}, {body: {}}]}
      - expect: {rows: {orders: [{order_id: 1}], log: [{status: done}, {status: done}, {status: dead, reason: $any}]}}"),
    ("send", "
      - send: {orders: [{body: {id: 1, kind: sale, customer: 7}}, {body: {id: 2}}]}
      - expect: {messages: {shipped: [{key: \"1\", body: {id: \"1\", customer: \"7\"}, headers: {origin: shop.orders}}]}}"),
    ("Stages", "
      - send: {orders: [{body: {id: 1, kind: refund, customer: 7, total: 5}}, {body: {id: 2, kind: sale}}, {body: {id: 3, kind: x}}]}
      - expect:
          calls: {api: [{get: /customers/7}]}
          rows: {orders: [{order_id: 1, customer: Ada, seen: $any}]}
          outcomes: {orders: [{status: done}, {status: done}, {status: skipped}]}"),
    ("route", "
      - send: {orders: [{body: {id: 1, kind: sale}}, {body: {id: 2, kind: ping}}, {body: {id: 3, kind: x}}]}
      - expect: {rows: {orders: [{order_id: 1}]}, outcomes: {orders: [{status: done}, {status: done}, {status: dead}]}}"),
    ("pick", "
      - send: {orders: [{body: {id: 1, lines: [a, b]}}, {body: {id: 2}}]}
      - expect: {rows: {orders: [{order_id: 1, seen: $any}]}, outcomes: {orders: [{status: done}, {status: skipped, reason: an order without lines}]}}"),
    ("each", "
      - send: {orders: [{body: {id: 1, lines: [{sku: a, n: 2}, {sku: b}, {n: 3}]}}]}
      - expect: {rows: {lines: [{order_id: 1, sku: a, n: 2}, {order_id: 1, sku: b, n: $absent}]}}"),
    ("filter", "
      - send: {orders: [{body: {id: 1, total: 5}}, {body: {id: 2, total: 0}}]}
      - expect: {rows: {orders: [{order_id: 1}]}, outcomes: {orders: [{status: done}, {status: skipped, reason: nothing to pay}]}}"),
    ("dedup", "
      - send: {orders: [{body: {id: 1, at: 2026-01-10T11:00:00Z}}, {body: {id: 1, at: 2026-01-10T11:00:00Z}}]}
      - advance: drained
      - restart: crash
      - send: {orders: [{body: {id: 1, at: 2026-01-10T11:30:00Z}}]}
      - expect: {rows: {orders: {count: 1}}, outcomes: {orders: [{status: done}, {status: skipped, reason: duplicate}, {status: skipped}]}}"),
    ("enrich", "
      - answer: {api: [{post: /prices, answer: {data: [4]}}]}
      - send: {orders: [{body: {id: 1, kind: sale, customer: 7}}, {body: {id: 2, kind: sale, customer: 7}}]}
      - advance: 1s
      - expect:
          calls: {api: [{get: /customers/7}, {post: /prices, body: {ids: [\"1\", \"2\"]}}]}
          rows: {orders: [{order_id: 1, customer: Ada, seen: $any}, {order_id: 2, customer: Ada}]}"),
    ("download", "
      - serve: {\"https://files.example.com/new.pdf\": {text: \"%PDF-1.4 a\", headers: {content-type: application/pdf}}}
      - answer: {api: [{get: \"/orders/{id}/document\", answer: {url: \"https://files.example.com/new.pdf\"}}]}
      - send: {orders: [{body: {id: 1, url: \"https://files.example.com/old.pdf\", at: 2026-01-10T11:00:00Z}}]}
      - expect: {calls: {api: [{get: /orders/1/document}]}, files: {spool: {count: 1}}, outcomes: {orders: [{status: done}]}}"),
    ("upload", "
      - serve: {\"https://files.example.com/a.pdf\": {text: \"%PDF-1.4 a\", headers: {content-type: application/pdf}}}
      - send: {orders: [{body: {id: 1, customer: 7, url: \"https://files.example.com/a.pdf\"}}]}
      - advance: drained
      - expect: {files: {files: [{path: 7/1.pdf, text: \"%PDF-1.4 a\"}]}, outcomes: {orders: [{status: done}]}}"),
];
const USUAL: &str = "
      - send: {orders: [{body: {id: 1, kind: sale, total: 5}}]}
      - expect: {rows: {orders: [{order_id: 1}]}, outcomes: {orders: [{status: done}]}}";

#[test]
fn every_example_of_the_reference_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen: Vec<&str> = Vec::new();
    for section in sections().filter(|section| !section.example.is_empty()) {
        let text = topology(section);
        if let Err(problems) = load_str("shop.yaml", &text, &Environment::default(), "data") {
            panic!("{}: {problems}\n{text}", section.title);
        }
        let topology = folder.path().join(format!("{}.yaml", seen.len()));
        std::fs::write(&topology, text).unwrap();
        let steps = STEPS.iter().find(|(title, _)| *title == section.title).map_or(USUAL, |(_, steps)| *steps);
        let test = format!(
            "test: {0}\nlanguage: 1\ntopology: {1}.yaml\nanswers: {{api: [{{get: '/customers/{{id}}', answer: {{name: Ada}}}}]}}\n\
             cases:\n  {0}:\n    steps:{steps}\n",
            section.title,
            seen.len()
        );
        let file = folder.path().join(format!("{}.test.yaml", seen.len()));
        std::fs::write(&file, &test).unwrap();
        let report = engine::testing::run(&[file], None);
        let shown = std::fs::read_to_string(&topology).unwrap();
        assert!(report.passed(), "{}\n{shown}\n{test}\n{}", section.title, report.render());
        seen.push(section.title);
    }
    let unknown: Vec<_> = STEPS.iter().filter(|(title, _)| !seen.contains(title)).collect();
    assert!(unknown.is_empty() && seen.len() > 20, "{unknown:?}, {} examples", seen.len());
}
