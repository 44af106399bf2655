//! The tests of topologies: all hold, and what does not hold is shown at its place.

use engine::testing::coverage::Part;
use engine::testing::{Report, run};

use crate::docs::{assert_every_key_is_named, read, root};

#[test]
fn topology_suites() {
    let report = run(&[root().join("topologies/tests")], None);
    assert!(report.passed(), "{}", report.render());
    assert!(report.counts().0 >= 150, "{:?}", report.counts());
    assert_eq!(report.coverage.len(), 3);
    for coverage in &report.coverage {
        let missing: Vec<&Part> = coverage.missing().collect();
        assert!(missing.is_empty(), "{}", coverage.render());
        // An exception that is reached after all is none.
        let disproved: Vec<&Part> = coverage.disproved().collect();
        assert!(disproved.is_empty(), "{disproved:?}");
    }
}

#[test]
fn what_no_message_can_reach_does_not_count_and_is_listed() {
    let fewer = blocks()[2].split("\n  an order without a customer is dead:").next().unwrap().to_owned();
    let said = |text: &str| fewer.replacen("answers:", &format!("unreachable: {text}\nanswers:"), 1);
    let (report, _) = shop(&said("{orders: {a message is dead: nobody sends such}}"));
    let shown = report.render_coverage();
    assert!(!shown.contains("not reached: flow orders, a message is dead"), "{shown}");
    assert!(shown.contains("  unreachable: flow orders, a message is dead (nobody sends such)\n"), "{shown}");
    let of = |report: &Report| report.to_json()["coverage"][0]["parts"].as_u64().unwrap();
    assert_eq!(of(&report) + 1, of(&shop(&fewer).0));
    let (report, _) = shop(&said("{orders: {\"source: a message is read\": never}}"));
    let shown = report.render_coverage();
    assert!(shown.contains("  reached all the same: flow orders, source: a message is read (never)\n"), "{shown}");
    for (text, says) in
        [("{ordres: {a: b}}", "did you mean `orders`?"), ("{orders: {a message is deaf: x}}", "message is dead")]
    {
        let (report, shown) = shop(&said(text));
        assert!(!report.broken.is_empty() && shown.contains(says), "{shown}");
    }
}

#[test]
fn coverage_tells_what_no_case_reached() {
    let blocks = blocks();
    let passing = &blocks[2];
    let (report, _) = shop(passing);
    let parts =
        |report: &Report| report.coverage[0].missing().map(|(flow, part)| format!("{flow} {part}")).collect::<Vec<_>>();
    assert_eq!(parts(&report), Vec::<String>::new());
    // Without its third case no message is dead, and none that cannot be read.
    let fewer = passing.split("\n  an order without a customer is dead:").next().unwrap();
    let (report, _) = shop(fewer);
    assert_eq!(parts(&report), ["orders source: a message cannot be read", "orders a message is dead"]);
    assert!(report.render_coverage().contains("not reached: flow orders, a message is dead\n"));
    let json = report.to_json();
    assert_eq!(json["coverage"][0]["missing"][1]["part"], "a message is dead", "{json}");
}

/// The blocks of code of the page, in order, without their fences.
fn blocks() -> Vec<String> {
    let page = read("docs/testing.md");
    let parts: Vec<&str> = page.split("```").collect();
    parts.iter().skip(1).step_by(2).map(|block| block.split_once('\n').unwrap().1.to_owned()).collect()
}

/// Runs `test` beside the topology of the page; file names as a person in that folder would give them.
fn shop(test: &str) -> (Report, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("shop.yaml"), &blocks()[1]).unwrap();
    let file = folder.path().join("shop.test.yaml");
    std::fs::write(&file, test).unwrap();
    let report = run(&[file], None);
    let shown = report.render().replace(&format!("{}/", folder.path().display()), "");
    (report, shown)
}

#[test]
fn the_example_of_the_page_runs_and_fails_as_it_says() {
    let blocks = blocks();
    let (test, passed, failed) = (&blocks[2], &blocks[3], &blocks[4]);
    let (report, shown) = shop(test);
    assert!(report.passed());
    assert_eq!(shown, *passed);

    let (report, shown) = shop(&test.replacen("customer_name: Ada", "customer_name: Bob", 1));
    assert_eq!(report.counts(), (2, 1));
    assert_eq!(shown, *failed);
    let json = report.to_json();
    let failure = &json["cases"][0]["failures"][0];
    assert_eq!((&failure["line"], &failure["column"]), (&13.into(), &41.into()), "{json}");
    let difference = serde_json::json!({"path": "customer_name", "expected": "\"Bob\"", "got": "\"Ada\""});
    assert_eq!(failure["differences"][0], difference);
}

#[test]
fn every_kind_of_expectation_can_fail() {
    let cases = [
        ("rows: {orders: [{order_id: 2}]}", "a row of orders differs"),
        ("rows: {orders: []}", "a row of orders is not expected"),
        ("rows: {orders: {whole: [{order_id: 1}]}}", "+ customer_name  \"Ada\""),
        ("rows: {orders: {some: [{order_id: 2, customer_name: Bo}]}}", "a row of orders is missing"),
        ("rows: {orders: {count: 2}}", "2 expected, 1 are there"),
        ("rows: {orders: [{customer_name: $absent}]}", "- customer_name  $absent"),
        ("rows: {orders: [{order_id: {$regex: '[a-z]+'}}]}", "- order_id  {$regex: \"[a-z]+\"}"),
        (
            "rows: {orders: [{at: {$near: 2026-01-10T12:01:00Z, within: 59s}}]}",
            "{$near: 2026-01-10T12:01:00+00:00, within: 59s}",
        ),
        ("messages: {shop.orders.dlq: [{key: a}]}", "a message of shop.orders.dlq is missing"),
        ("calls: {api: [{get: /customers/8}]}", "+ get  \"/customers/7\""),
        ("calls: {api: []}", "a call of api is not expected"),
        ("outcomes: {orders: [{status: dead}]}", "+ status  \"done\""),
        ("outcomes: {orders: {ordered: [{status: done}, {status: done}]}}", "an outcome of orders is missing"),
    ];
    for (expect, says) in cases {
        let test = format!(
            "test: t\nlanguage: 1\ntopology: shop.yaml\nanswers: {{api: [{{get: '/customers/{{id}}', answer: {{name: Ada}}}}]}}\n\
             cases:\n  one:\n    steps:\n      - send: {{orders: [{{body: {{id: 1, customer: 7}}}}]}}\n      - expect: {{{expect}}}\n"
        );
        let (report, shown) = shop(&test);
        assert_eq!(report.counts(), (0, 1), "{expect}: {shown}");
        assert!(shown.contains(says) && shown.contains("shop.test.yaml:9:"), "{expect}: {shown}");
    }
}

#[test]
fn a_request_that_nobody_thought_of_fails_its_case() {
    let test = blocks()[2].replace("- {get: \"/customers/{id}\", answer: {name: Ada}}", "- {get: /x, answer: {}}");
    let (_, shown) = shop(&test);
    assert!(shown.contains("nothing is declared for what was asked of connection api: GET /customers/7"), "{shown}");
}

#[test]
fn what_is_wrong_with_a_file_is_shown_at_its_place() {
    let good = &blocks()[2];
    let cases = [
        ("language: 1", "language: 2", "does not fit here"),
        ("steps:", "stepps:", "did you mean `steps`?"),
        ("calls: {api:", "calls: {apy:", "did you mean `api`?"),
        (
            "rows: {orders: [{order_id: 1, customer_name",
            "rows: {orders: [{order_id: 1, customer_nam",
            "did you mean `customer_name`?",
        ),
        (
            "rows: {orders: [{order_id: 1, customer_name",
            "rows: {order: [{order_id: 1, customer_name",
            "did you mean `orders`?",
        ),
        ("- send: {orders:", "- send: {ordres:", "there is no topic `ordres`"),
        ("advance: 5m", "advance: soon", "the clock does not move so"),
        ("restart: crash", "restart: crush", "did you mean `crash`?"),
        ("{$like:", "{$lik:", "did you mean `$like`?"),
        ("{$like: \"*topics", "{$regex: \"*topics", "is no regular expression"),
        ("{$like: \"*topics.orders.message.customer\"}", "{$near: soon, within: 5s}", "`$near` needs two numbers"),
        ("topology: shop.yaml", "topology: shops.yaml", "cannot read"),
        ("outcomes: {orders:", "outcomes: {order:", "there is no flow `order`"),
        ("    steps:", "    flows: [ordres]\n    steps:", "did you mean `orders`?"),
        ("    steps:", "    environment: {SHOP_URL: x}\n    steps:", "does not read the variable `SHOP_URL`"),
        ("- {get: \"/customers/{id}\"", "- {get: \"customers/{id}\"", "is no path"),
        ("[{status: retried", "[{status: retryed", "did you mean `retried`?"),
        ("category: transient}", "category: transcient}", "did you mean `transient`?"),
    ];
    for (from, to, says) in cases {
        let test = good.replacen(from, to, 1);
        let line = test.split(to).next().unwrap().matches('\n').count() + 1;
        let (report, shown) = shop(&test);
        assert!(!report.broken.is_empty(), "{to}");
        assert!(shown.contains(says), "{to}: {shown}");
        assert!(shown.contains(&format!("shop.test.yaml:{line}:")), "{to}: line {line}: {shown}");
    }
}

#[test]
fn every_key_of_a_test_file_is_in_its_reference() {
    let schema = engine::topology::schema::schema_of(&engine::testing::language::SUITE, "Test");
    assert_every_key_is_named("docs/testing.md", &schema, 40);
}
