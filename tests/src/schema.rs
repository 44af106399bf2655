//! The schemas that editors check with, judged by a validator that knows nothing of the engine: what is shipped is accepted, what is
//! broken is not, and the files beside the topologies are what the program prints.

use std::path::{Path, PathBuf};

use std::process::{Command, Stdio};

use engine::topology::{Environment, load_str};
use serde_json::{Value, json};

use crate::docs::{read, root};
use crate::independent::python;
use crate::program::Engine;
use crate::{needs, tidy};

fn printed(of: &str) -> String {
    Engine::new("schema").arg(of).finish().expect(0).out
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// What another validator finds wrong with each of the texts, by the schema that the program prints. Nothing, where it is not there.
fn judged(of: &str, texts: &[String]) -> Option<Vec<Vec<String>>> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = python("python-schema", &tests.join("schema.txt"));
    if !needs::met("judging files by the schema", python.as_ref().map(|_| ()).map_err(Clone::clone)) {
        return None;
    }
    let schema: Value = serde_json::from_str(&printed(of)).unwrap();
    let documents: Vec<Value> = texts.iter().map(|text| yaml(text)).collect();
    // A file, because the validator may begin to answer before it has read everything.
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input.json");
    std::fs::write(&input, json!([schema, documents]).to_string()).unwrap();
    let ended = Command::new(python.unwrap())
        .arg(tests.join("schema.py"))
        .stdin(std::fs::File::open(input).unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(ended.status.success());
    let found: Vec<Vec<String>> = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(found.len(), texts.len());
    Some(found)
}

#[test]
fn the_schemas_beside_the_topologies_are_those_of_the_program() {
    let files = [
        ("topology", "topologies/schema.json"),
        ("test", "topologies/tests/schema.json"),
        ("sim", "topologies/sim/schema.json"),
    ];
    for (of, file) in files {
        assert!(read(file) == printed(of), "{file} is old: `engine schema {of} > {file}`");
    }
    assert_eq!(Engine::new("schema").finish().expect(0).out, printed("topology"));
    let refused = Engine::new("schema").arg("test").arg("--format").arg("markdown").finish().expect(2);
    assert!(refused.err.contains("docs/testing.md"), "{}", refused.err);
}

/// Every file that is a topology, or a test or a simulation of one.
fn shipped(folder: &str) -> Vec<(PathBuf, String)> {
    let of = |path: &str| match path.split('/').nth(1) {
        Some(below @ ("tests" | "sim")) => below == folder,
        _ => folder.is_empty(),
    };
    let files = tidy::files(&["topologies"], &[".yaml"]).into_iter().filter(|f| of(&f.path));
    files.map(|f| (PathBuf::from(f.path), f.text)).collect()
}

#[test]
fn what_is_shipped_names_its_schema_and_is_accepted() {
    for (of, folder, least) in [("topology", "", 3), ("test", "tests", 8), ("sim", "sim", 3)] {
        let files = shipped(folder);
        assert!(files.len() >= least, "{} files", files.len());
        let texts: Vec<String> = files.iter().map(|(_, text)| text.clone()).collect();
        for ((path, _), found) in files.iter().zip(judged(of, &texts).unwrap_or_default()) {
            assert!(found.is_empty(), "{}: {found:#?}", path.display());
        }
        for (path, text) in files {
            let named = text.lines().find_map(|line| line.strip_prefix("# yaml-language-server: $schema="));
            let named = named.unwrap_or_else(|| panic!("{} names no schema", path.display()));
            let file = path.parent().unwrap_or(Path::new("")).join(named);
            let file = root().join(file).canonicalize().unwrap_or_else(|e| panic!("{}: {named}: {e}", path.display()));
            let expected = root().join("topologies").join(folder).join("schema.json").canonicalize().unwrap();
            assert_eq!(file, expected, "{}", path.display());
        }
    }
}

const GOOD: &str = "engine/src/topology/tests/good.yaml";

#[test]
fn whatever_the_language_has_is_accepted() {
    // Where something else than text is wanted, a variable of the environment may stand, and a key may have no value.
    let good = read(GOOD);
    let edits = [
        ("topology: orders", "topology: orders"),
        ("max_poll_records: 500", "max_poll_records: \"${RECORDS:-500}\""),
        ("max_poll_interval: 5m", "max_poll_interval: \"${SECONDS:-300}s\""),
        ("create: true", "create: \"${CREATE:-true}\""),
        ("per_second: 12.5", "per_second: \"${RATE:-12.5}\""),
        ("max_size: 1GiB", "max_size: ${SIZE:-1GiB}"),
        ("mode: merge", "mode: \"${MODE:-merge}\""),
        ("breaker: {failures: 3, cooldown: 5s, trials: 1, successes: 1}", "breaker: \"${BREAKER:-{failures: 3}}\""),
        ("classify: {404: permanent, 418: transient}", "classify: \"${STATUSES:-{404: permanent}}\""),
        ("n: int64\n", "n: \"${TYPE:-int64}\"\n"),
        ("path: all_orders", "path:"),
        ("max_poll_records: 500", "max_poll_records:"),
        ("max_poll_records: 500", "max_poll_records: \"500\""),
    ];
    let texts: Vec<String> = edits.iter().map(|(from, to)| edited(&good, from, to)).collect();
    for ((_, to), found) in edits.iter().zip(judged("topology", &texts).unwrap_or_default()) {
        assert!(found.is_empty(), "{to}: {found:#?}");
    }
}

fn edited(good: &str, from: &str, to: &str) -> String {
    assert!(good.contains(from), "{from}");
    good.replacen(from, to, 1)
}

#[test]
fn what_is_broken_is_refused_by_the_schema_and_by_the_engine() {
    let good = read(GOOD);
    let environment: Environment = [("PASSWORD", "x")].into_iter().collect();
    assert!(load_str("good.yaml", &good, &environment, "data").is_ok());
    let edits = [
        ("topology: orders\n", ""),
        ("flows:\n", "flow:\n"),
        ("      topic: raw\n", "      tpoic: raw\n"),
        ("max_poll_records: 500", "max_poll_record: 500"),
        ("rate: {per_second: 12.5", "rate: {size: 3, per_second: 12.5"),
        ("window: 12h, ", "window: 12h, banana: 1, "),
        ("partitions: 12", "partitions: 0"),
        ("partitions: 12", "partitions: many"),
        ("per_second: 12.5", "per_second: -1"),
        ("create: true", "create: maybe"),
        ("deadline: 90s", "deadline: 90 parsecs"),
        ("budget: 8MiB", "budget: 8MB"),
        ("protocol: sasl_ssl", "protocol: sasl_sls"),
        ("key: [id]\n    mode", "key: id\n    mode"),
        ("mode: merge", "mode: append"),
        ("total: decimal\n      lines", "total: decimall\n      lines"),
        ("n: int64\n", "n: any\n"),
        ("n: int64\n", "n: {int64: a, int32: b}\n"),
        (
            "      generic: [application/octet-stream]\n",
            "      generic: [application/octet-stream]\n    object_store: {url: x}\n",
        ),
        ("else: {skip: no date}", "else: {skip: no date, warn: no date}"),
        ("else: {skip: no date}", "else: {leave: no date}"),
        ("classify: {404: permanent", "classify: {999: permanent"),
        ("classify: {404: permanent", "classify: {404: gone"),
        ("      fresh:\n", "      fre-sh:\n"),
        ("cases: {PLACED: [order, file]", "cases: {PLACED: [or-der, file]"),
        ("on: [done, skipped, retried, dead]", "on: [finished]"),
        ("lake: {delta: {write: true, url: \"{data}/tables\"}}", "lake: {delta: {write: true}}"),
        ("paginate: link", "paginate: links"),
        ("absent: [404]", "absent: [4]"),
        ("delivery: at_least_once", "delivery: perhaps"),
        ("by: event.kind\n          cases", "cases"),
        ("        filter: event.placed_at\n", "        filter: event.placed_at\n        pick: event.placed_at\n"),
    ];
    let texts: Vec<String> = edits.iter().map(|(from, to)| edited(&good, from, to)).collect();
    for ((_, to), text) in edits.iter().zip(&texts) {
        assert!(load_str("good.yaml", text, &environment, "data").is_err(), "the engine accepts {to:?}");
    }
    for ((_, to), found) in edits.iter().zip(judged("topology", &texts).unwrap_or_default()) {
        assert!(!found.is_empty(), "the schema accepts {to:?}");
    }
}

#[test]
fn broken_tests_are_refused_too() {
    let page = read("docs/testing.md");
    let good = page.split("```yaml\n").nth(2).and_then(|rest| rest.split("```").next()).unwrap();
    let edits = [
        ("language: 1", "language: 1"),
        ("language: 1", "language: 2"),
        ("topology: shop.yaml\n", ""),
        ("steps:", "stepps:"),
        ("restart: crash", "restart: crush"),
        ("- advance: 5m", "- advance: 5m\n        restart: stop"),
        ("rows: {orders: []}", "row: {orders: []}"),
        ("{get: \"/customers/{id}\", answer", "{answer"),
    ];
    let texts: Vec<String> = edits.iter().map(|(from, to)| edited(good, from, to)).collect();
    for (at, found) in judged("test", &texts).unwrap_or_default().iter().enumerate() {
        // The first is no edit at all.
        assert_eq!(found.is_empty(), at == 0, "{:?}: {found:#?}", edits[at].1);
    }
}

#[test]
fn broken_simulations_are_refused_by_the_schema_and_by_the_engine() {
    let good = read("engine/src/sim/good.yaml");
    let edits = [
        ("language: 1", "language: 1"),
        ("language: 1", "language: 2"),
        ("  topic: shop.orders\n", ""),
        ("entities:\n", "entites:\n"),
        ("pool: {first: 5", "pool: {frist: 5"),
        ("pool: {first: 5", "pool: {first: 0"),
        ("per: [1, 4]", "per: 4"),
        ("per: [1, 4]", "per: [1, 4, 9]"),
        ("step: 1s", "step: 1 second"),
        ("start: 2026-01-01T00:00:00Z", "start: yesterday"),
        ("{rate: 0.1, status: 503}", "{rate: 10, status: 503}"),
        ("{rate: 0.1, status: 503}", "{rate: 0.1, status: 5030}"),
        ("{rate: 0.1, status: 503}", "{rate: 0.1}"),
        ("kind: reset", "kind: slow"),
        ("{$choice: [Oslo", "{$choise: [Oslo"),
        ("{$chance: 0.5, then:", "{$chance: 5, then:"),
        ("{$chance: 0.5, then:", "{$chance: 0.5, than:"),
        ("{$decimal: [1, 9, 2]}", "{$decimal: [1, 9]}"),
        ("{$hex: 4}", "{$hex: 400}"),
        ("value: {id: \"{item.id}\"", "vlaue: {id: \"{item.id}\""),
        ("    of: order\n", "    of: order\n    pool: {first: 1}\n"),
        ("key: [\"{event.id}\"]", "keys: [], key: [\"{event.id}\"]"),
        ("size: [1KiB, 2KiB]", "size: [1KB, 2KiB]"),
    ];
    let texts: Vec<String> = edits.iter().map(|(from, to)| edited(&good, from, to)).collect();
    // The first is no edit at all.
    for (at, text) in texts.iter().enumerate() {
        let read = engine::sim::parse(engine::topology::Source::new("s.yaml", text.as_str()));
        assert_eq!(read.is_ok(), at == 0, "{:?}", edits[at].1);
    }
    for (at, found) in judged("sim", &texts).unwrap_or_default().iter().enumerate() {
        assert_eq!(found.is_empty(), at == 0, "{:?}: {found:#?}", edits[at].1);
    }
}

#[test]
fn an_editor_is_told_of_every_key() {
    for (of, least) in [("topology", 150), ("sim", 90)] {
        told(of, least);
    }
}

fn told(of: &str, least: usize) {
    let schema: Value = serde_json::from_str(&printed(of)).unwrap();
    let mut keys = 0;
    // A tree is any value.
    for (name, definition) in schema["$defs"].as_object().unwrap().iter().filter(|(name, _)| *name != "tree") {
        assert_eq!(definition["additionalProperties"], json!(false), "{name}");
        assert!(definition["description"].as_str().is_some_and(|text| text.len() > 5), "{name}");
        for (key, value) in definition["properties"].as_object().unwrap() {
            assert!(value["description"].as_str().is_some_and(|text| text.ends_with('.')), "{name}.{key}");
            keys += 1;
        }
    }
    assert!(keys > least, "{of}: {keys}");
}
