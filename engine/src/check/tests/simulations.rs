//! Simulations beside the topologies that name them: what one says of the other and is not so is told in the simulation, and whatever is
//! accepted runs.

use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::mutants::{apply, change, inside};
use super::shipped;
use crate::check::{check, fits};
use crate::plan::Plan;
use crate::sim::{self, trial::trial};
use crate::topology::{Environment, Source, head_of, load};

const SMALL: &str = include_str!("../../topology/tests/small.yaml");
const SIMULATION: &str = include_str!("../../sim/good.yaml");

/// A code, what is replaced in the simulation, by what, what the carets stand under, and words of the problem.
type Slip = (&'static str, &'static str, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const SLIPS: &[Slip] = &[
    ("E0204", "topic: shop.orders", "topic: shop.order", "shop.order", "did you mean `shop.orders`?"),
    ("E0204", "topic: shop.orders", "topic: orders", "orders", "need the full name"),
    ("E0204", "SHOP_PREFIX: shop", "SHOP_PREFIX: stop", "shop.orders", "did you mean `stop.orders`?"),
    ("E0204", "topic: shop.orders", "topic: events", "events", "one of `shop."),
    ("E0407", "topic: shop.orders", "topic: shop.spare", "shop.spare", "no flow reads"),
    ("E0203", "table: orders", "table: order", "order", "did you mean `orders`?"),
    ("E0203", "table: customers", "table: clients", "clients", "one of `customers`, `orders`"),
    ("E0505", "SHOP_URL:", "SHOP_ULR:", "SHOP_ULR", "did you mean `SHOP_URL`?"),
    ("E0505", "SHOP_PREFIX: shop", "BANANA: shop", "BANANA", "one of `SHOP_PREFIX`, `SHOP_URL`, `TOKEN`"),
    ("E0505", "SHOP_URL: \"{url}/api\"", "SHOP_URL: \"{address}/api\"", "SHOP_URL", "the topology does not start"),
    ("E0103", "step: 1s", "step: soon", "soon", "a duration such as"),
];

/// The small topology with a simulation that fits it.
fn fitting() -> (String, String) {
    let edits = [
        ("language: 1\n", "language: 1\nsimulation: sim.yaml\n"),
        ("url: https://api.example.com", "url: \"${SHOP_URL:-https://api.example.com}\""),
        ("topics:\n", "topics:\n  spare: {name: \"{prefix}.spare\", external: both, message: {id: id!}}\n"),
    ];
    let topology = edits.iter().fold(SMALL.to_owned(), |text, (from, to)| text.replacen(from, to, 1));
    let simulation = SIMULATION
        .replace("  SHOP_PORT: \"{port}\"\n", "  SHOP_PREFIX: shop\n")
        .replace("table: items", "table: customers");
    (topology, simulation)
}

#[test]
fn what_a_simulation_says_of_its_topology_must_be_so() {
    let folder = tempfile::tempdir().unwrap();
    let (topology, good) = fitting();
    let (path, beside) = (folder.path().join("t.yaml"), folder.path().join("sim.yaml"));
    std::fs::write(&path, topology).unwrap();
    let validate = |text: &str| {
        std::fs::write(&beside, text).unwrap();
        check(std::slice::from_ref(&path), &Environment::default(), Path::new("/d")).remove(0)
    };
    assert_eq!(validate(&good).diagnostics.render(), "");
    for (code, from, to, under, says) in SLIPS {
        assert!(good.contains(from), "{from}");
        let text = good.replacen(from, to, 1);
        let found = validate(&text);
        let [problem] = found.diagnostics.items.as_slice() else { panic!("{to}: {}", found.render()) };
        let source = Source::new("sim.yaml", text);
        assert_eq!((problem.code, source.under(&problem.position)), (*code, *under), "{to}: {}", found.render());
        assert!(problem.position.file.ends_with("sim.yaml") && found.render().contains(says), "{}", found.render());
        assert!(!found.starts());
    }
}

/// The simulations that are shipped, each with the plan of its topology and the variables that this reads.
fn bases() -> Vec<(String, Plan, std::collections::BTreeSet<String>)> {
    let one = |path: &std::path::PathBuf| {
        let head = head_of(path).unwrap();
        let file = head.simulation.unwrap();
        let simulation = sim::load(&file).unwrap();
        let environment = Environment::default().overlay(simulation.environment(([127, 0, 0, 1], 1).into()));
        let plan = load(path, &environment, Path::new("/d")).unwrap().plan;
        (std::fs::read_to_string(file).unwrap(), plan, head.variables)
    };
    shipped().iter().map(one).collect()
}

#[test]
fn what_is_shipped_fits_and_runs() {
    for (text, plan, variables) in bases() {
        let simulation = sim::parse(Source::new("s.yaml", text)).unwrap();
        assert_eq!(fits(&simulation, &plan, &variables), []);
        let (messages, answers) = trial(&simulation, 200);
        assert!(messages == 200 && answers == simulation.routes());
    }
}

#[test]
fn a_mutant_runs_or_has_problems_in_its_text() {
    let config =
        ProptestConfig { cases: 400, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() };
    let bases = bases();
    let changes = prop::collection::vec(change(), 1..4);
    let ran = TestRunner::new(config).run(&(0..4usize, changes), |(base, changes)| {
        let (text, plan, variables) = &bases[base % bases.len()];
        let text = if base == 3 { SIMULATION } else { text };
        let text = changes.iter().fold(text.to_owned(), |text, change| apply(&text, change));
        match sim::parse(Source::new("t.yaml", text.as_str())) {
            Ok(simulation) => {
                let place = inside(&fits(&simulation, plan, variables), &text);
                prop_assert!(place.is_ok(), "{place:?}");
                trial(&simulation, 30);
            }
            Err(problems) => {
                prop_assert!(problems.has_errors());
                let place = inside(&problems.items, &text);
                prop_assert!(place.is_ok(), "{place:?}");
                let _ = (problems.render(), problems.to_json());
            }
        }
        Ok(())
    });
    ran.unwrap_or_else(|failure| panic!("{failure}"));
}
