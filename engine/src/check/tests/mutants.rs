//! Whatever is done to a topology, byte by byte or value by value: the check ends and does not panic, every problem lies in the file,
//! and what is accepted starts.

use std::path::Path;
use std::sync::Arc;

use connectors::clock::SystemClock;
use proptest::prelude::*;

use super::shipped;
use crate::plan::{Connection, Plan};
use crate::run::Local;
use crate::run::systems::{http_options, web_options};
use crate::topology::node::{Node, Value, parse};
use crate::topology::{Environment, Loaded, Source, load_str};

/// A change of a text. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Bytes are cut out, and others put in.
    Bytes(usize, usize, String),
    /// A value is replaced by another value of the file.
    Value(usize, usize),
    /// A value is replaced by a text.
    Odd(usize, &'static str),
    /// A key is called like another key of the file.
    Key(usize, usize),
    /// Two letters of a key change places.
    Slip(usize),
    /// An entry goes.
    Gone(usize),
}

const ODD: &[&str] = &[
    "",
    "0",
    "-1",
    "1e99",
    "null",
    "true",
    "[]",
    "{}",
    "[[]]",
    "{a: {}}",
    "'",
    "x y",
    "é",
    "\"\\0\"",
    "*a",
    "&a b",
    "!b c",
    "${X}",
    "${X:-}",
    "{x}",
    "{{x}}",
    "99999999999999999999",
    "18446744073709551615d",
    "now()",
    "event",
    "@",
    "`1`",
    "s3://b",
    "a://",
    "\"\"",
];

pub(super) fn change() -> impl Strategy<Value = Change> {
    let at = 0..100_000usize;
    prop_oneof![
        (at.clone(), 0..30usize, "[\\[\\]{}:,'\"|>&*!?#$\\-\n \té\u{0}a0.`@]{0,4}")
            .prop_map(|(a, n, t)| Change::Bytes(a, n, t)),
        (at.clone(), at.clone()).prop_map(|(a, b)| Change::Value(a, b)),
        (at.clone(), prop::sample::select(ODD)).prop_map(|(a, t)| Change::Odd(a, t)),
        (at.clone(), at.clone()).prop_map(|(a, b)| Change::Key(a, b)),
        at.clone().prop_map(Change::Slip),
        at.prop_map(Change::Gone),
    ]
}

/// The places of all keys and values of a tree.
fn places(node: &Node, keys: &mut Vec<(usize, usize)>, values: &mut Vec<(usize, usize)>) {
    if matches!(node.value, Value::Scalar(_)) {
        values.push((node.span.start, node.span.end));
    }
    for entry in node.entries() {
        keys.push((entry.at.start, entry.at.end));
        places(&entry.value, keys, values);
    }
    node.items().iter().for_each(|item| places(item, keys, values));
}

pub(super) fn apply(text: &str, change: &Change) -> String {
    let replaced = |(start, end): (usize, usize), with: &str| match (text.get(..start), text.get(end..)) {
        (Some(before), Some(behind)) => format!("{before}{with}{behind}"),
        _ => text.to_owned(),
    };
    if let Change::Bytes(at, count, with) = change {
        let chars: Vec<(usize, char)> = text.char_indices().collect();
        let offset = |at: usize| chars.get(at).map_or(text.len(), |(offset, _)| *offset);
        let at = at % chars.len().max(1);
        return replaced((offset(at), offset(at + count)), with);
    }
    let Ok(tree) = parse(&Source::new("t", text), &mut Vec::new()) else { return text.to_owned() };
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    places(&tree, &mut keys, &mut values);
    let pick = |all: &[(usize, usize)], at: usize| all.get(at % all.len().max(1)).copied().unwrap_or_default();
    let written = |(start, end): (usize, usize)| text.get(start..end).unwrap_or("").to_owned();
    match change {
        Change::Bytes(..) => text.to_owned(),
        Change::Value(at, from) => replaced(pick(&values, *at), &written(pick(&values, *from))),
        Change::Odd(at, with) => replaced(pick(&values, *at), with),
        Change::Key(at, from) => replaced(pick(&keys, *at), &written(pick(&keys, *from))),
        Change::Slip(at) => {
            let place = pick(&keys, *at);
            let mut name: Vec<char> = written(place).chars().collect();
            let last = name.len().saturating_sub(1);
            if last > 0 {
                name.swap(at % last, at % last + 1);
            }
            replaced(place, &name.into_iter().collect::<String>())
        }
        Change::Gone(at) => {
            let (start, _) = pick(&keys, *at);
            let first = text.get(..start).and_then(|t| t.rfind('\n')).map_or(0, |at| at + 1);
            let end = text.get(start..).and_then(|t| t.find('\n')).map_or(text.len(), |at| start + at + 1);
            replaced((first, end), "")
        }
    }
}

/// Every problem lies in the file.
pub(super) fn inside(problems: &[crate::topology::Diagnostic], text: &str) -> Result<(), String> {
    let source = Source::new("t.yaml", text);
    for problem in problems {
        let at = &problem.position;
        let width = |line: usize| source.line(line).chars().count() + 2;
        let lines = text.matches('\n').count() + 1;
        let ordered = (at.line, at.column) < (at.end_line, at.end_column);
        let there = (1..=lines).contains(&at.line) && (1..=lines).contains(&at.end_line);
        if !there || !ordered || at.column > width(at.line) || at.end_column > width(at.end_line) {
            return Err(format!("{problem:?}"));
        }
    }
    Ok(())
}

/// Why what is accepted does not start: its clients, as far as they are made without a connection, or its flows.
fn start(plan: Plan) -> Result<(), String> {
    let clock = || Arc::new(SystemClock::new(1.0));
    for (name, connection) in &plan.connections {
        let made = match connection {
            Connection::Http(api) => connectors::http::Client::new(&http_options(name, api), clock()).map(drop),
            Connection::Web(web) => {
                connectors::download::Downloader::new(&web_options(web, &Local::Refused), clock()).map(drop)
            }
            _ => Ok(()),
        };
        made.map_err(|e| format!("connection {name}: {e}"))?;
    }
    for (name, table) in &plan.tables {
        connectors::delta::check_spec(&table.spec).map_err(|e| format!("table {name}: {e}"))?;
    }
    crate::testing::start(&Arc::new(plan)).map_err(|problems| problems.join("; "))
}

fn load(text: &str) -> Result<Loaded, crate::topology::Diagnostics> {
    load_str("t.yaml", text, &Environment::default(), "/d")
}

fn bases() -> Vec<String> {
    let mut all: Vec<String> = shipped().iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    all.push(include_str!("../../topology/tests/small.yaml").to_owned());
    all
}

#[test]
fn what_is_shipped_starts() {
    for text in bases() {
        start(load(&text).unwrap().plan).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_mutant_starts_or_has_problems_in_its_text(base in 0..4usize, changes in prop::collection::vec(change(), 1..4)) {
        let bases = bases();
        let text = changes.iter().fold(bases[base % bases.len()].clone(), |text, change| apply(&text, change));
        match load(&text) {
            Ok(loaded) => {
                prop_assert!(inside(&loaded.warnings.items, &text).is_ok());
                let started = start(loaded.plan);
                prop_assert!(started.is_ok(), "{started:?}\n{changes:?}");
            }
            Err(problems) => {
                prop_assert!(problems.has_errors());
                let place = inside(&problems.items, &text);
                prop_assert!(place.is_ok(), "{place:?}\n{changes:?}");
                let _ = (problems.render(), problems.to_json());
            }
        }
    }

    // Anything at all, as a file.
    #[test]
    fn bytes_are_a_topology_or_have_problems(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.yaml");
        std::fs::write(&path, &bytes).unwrap();
        let checked = super::super::check(&[path], &Environment::default(), Path::new("/d"));
        prop_assert!(!checked[0].starts());
    }
}
