//! Whatever is done to a test file: the check ends and does not panic, and every problem lies in the file.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::mutants::{apply, change, inside};
use crate::testing;

const TOPOLOGY: &str = include_str!("../../topology/tests/small.yaml");

const SUITE: &str = "\
test: shop
language: 1
about: Orders of all sorts.
topology: t.yaml
environment: {SHOP_PREFIX: shop, TOKEN: abc}
start: 2026-01-10T12:00:00Z
answers:
  api:
    - {get: \"/orders/{id}\", when: {query: {a: b}}, answer: {url: \"https://files.example.com/1\"}}
    - {post: /orders, answers: [{status: 503, delay: 1s}, {fault: reset}, {text: no JSON, headers: {a: b}}]}
serve:
  https://files.example.com/1: {base64: YWJj, headers: {content-type: image/png}}
unreachable: {links: {a message is dead: nobody sends such}}
cases:
  all kinds of steps:
    flows: [orders]
    environment: {SHOP_PREFIX: stop}
    steps:
      - send: {orders: [{key: a, body: {id: 1, customer: A}, headers: {b: c}}, {text: no JSON}], stop.retry.5m: []}
      - answer: {api: [{get: \"/orders/{id}\", status: 404, answer: null}]}
      - serve: {https://files.example.com/2: {answers: [{status: 404}, {text: abc}]}}
      - fail: {orders: {refuse: 1, as: transient}, files: {lose: 2}, spool: {refuse: 1}}
      - advance: 5m
      - restart: crash
      - advance: drained
      - expect:
          rows: {orders: [{order_id: 1, items: $absent}], customers: {some: [{customer: {$like: \"A*\"}}]}}
          messages: {links: {ordered: [{body: {id: {$regex: \"[0-9]+\"}}}]}, stop.dlq: {count: 0}}
          calls: {api: {whole: [{get: /orders/1, at: {$near: 2026-01-10T12:00:00Z, within: 5s}}]}}
          outcomes: {orders: {only: [{status: done}]}}
          files: {files: [{path: a, text: {$json: {a: 1}}}]}
";

#[test]
fn a_mutant_of_a_test_file_is_good_or_has_problems_in_its_text() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.yaml"), TOPOLOGY).unwrap();
    let path = folder.path().join("suite.yaml");
    let check = |text: &str| {
        std::fs::write(&path, text).unwrap();
        testing::check(&path)
    };
    let (cases, problems) = check(SUITE);
    assert!(cases == 1 && problems.items.is_empty(), "{problems}");
    let config =
        ProptestConfig { cases: 300, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() };
    let ran = TestRunner::new(config).run(&prop::collection::vec(change(), 1..4), |changes| {
        let text = changes.iter().fold(SUITE.to_owned(), |text, change| apply(&text, change));
        let (_, problems) = check(&text);
        // Those of the topology under another environment are in the topology.
        let own: Vec<_> = problems.items.iter().filter(|p| p.position.file.ends_with("suite.yaml")).cloned().collect();
        let place = inside(&own, &text);
        prop_assert!(place.is_ok(), "{place:?}");
        let _ = (problems.render(), problems.to_json());
        Ok(())
    });
    ran.unwrap_or_else(|failure| panic!("{failure}"));
}
