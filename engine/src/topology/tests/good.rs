//! One topology that uses every key becomes the plan that is meant.

use std::time::Duration;

use connectors::Category;
use connectors::table::Mode;

use super::super::{Environment, Loaded, load, load_str};
use super::broken::SMALL;
use crate::plan::{Auth, Connection, Input, Leave, Paginate, SourceKind, StageKind, Status, Trigger};

pub(super) const GOOD: &str = include_str!("good.yaml");

pub(super) fn environment() -> Environment {
    [("PASSWORD", "hunter2")].into_iter().collect()
}

fn good() -> Loaded {
    load_str("dir/good.yaml", GOOD, &environment(), "/d").unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn has_no_warnings() {
    assert_eq!(good().warnings.render(), "");
}

#[test]
fn uses_every_key_of_the_language() {
    let schema = super::super::schema::schema();
    let source = super::super::Source::new("", GOOD);
    let tree = super::super::node::parse(&source, &mut Vec::new()).unwrap();
    let mut used = Vec::new();
    keys(&tree, &mut used);
    // `link` as a key, and what excludes what is used, stand in the other cases.
    let elsewhere = ["forgets", "permanent", "warn", "link", "next"];
    for (name, shape) in schema["$defs"].as_object().unwrap() {
        for key in shape["properties"].as_object().unwrap().keys() {
            assert!(used.contains(key) || elsewhere.contains(&key.as_str()), "{name}.{key} is not used");
        }
    }
}

fn keys(node: &super::super::node::Node, out: &mut Vec<String>) {
    for entry in node.entries() {
        out.push(entry.key.clone());
        keys(&entry.value, out);
    }
    node.items().iter().for_each(|n| keys(n, out));
}

#[test]
fn connections() {
    let plan = good().plan;
    let Connection::Kafka(kafka) = &plan.connections["bus"] else { panic!() };
    assert_eq!((kafka.brokers.as_deref(), kafka.ca.as_deref()), (None, Some("/d/ca.pem")));
    assert_eq!((kafka.partitions, kafka.create, kafka.heartbeat), (12, true, Some(Duration::from_secs(3))));
    assert_eq!(kafka.producer["linger.ms"], "10");
    let Connection::Http(http) = &plan.connections["api"] else { panic!() };
    assert!(matches!(&http.auth, Auth::Basic(user, _) if user == "me"));
    assert_eq!(
        (http.url.as_str(), http.timeout, http.rate),
        ("https://api.example.com/v1", Duration::from_secs(10), Some((12.5, 5)))
    );
    assert_eq!(http.classify.len(), 2);
    let Connection::Web(web) = &plan.connections["hosts"] else { panic!() };
    assert_eq!((web.allow.len(), web.max_size, web.types["jpg"].len()), (2, 1 << 30, 2));
    let Connection::ObjectStore(files) = &plan.connections["files"] else { panic!() };
    assert_eq!((files.url.as_str(), files.options.len()), ("/d/files", 1));
    assert!(!format!("{plan:?}").contains("hunter2"));
}

#[test]
fn the_environment_is_read_as_the_kind_that_is_expected() {
    let values = [
        ("PASSWORD", "x"),
        ("HOSTS", "a.example, b.example,c.example"),
        ("DELAYS", "[60]"),
        ("TOKEN", "t"),
        ("FILES", "/elsewhere"),
    ];
    let plan = load_str("good.yaml", GOOD, &values.into_iter().collect(), "/d").unwrap().plan;
    let Connection::Web(web) = &plan.connections["hosts"] else { panic!() };
    assert_eq!(web.allow, ["a.example", "b.example", "c.example"]);
    assert_eq!(plan.flows[0].source.retry.delays, [(Duration::from_secs(60), "orders.retry.1m".to_owned())]);
    let Connection::Http(http) = &plan.connections["api"] else { panic!() };
    assert!(matches!(http.auth, Auth::Token(_)));
}

#[test]
fn tables() {
    let plan = good().plan;
    let orders = &plan.tables["orders"];
    assert_eq!(
        (orders.url.as_str(), orders.parent.as_deref(), orders.flush.rows),
        ("/d/tables/all_orders", Some("shops"), 10)
    );
    assert_eq!(
        (&orders.spec.key[..], &orders.spec.partition[..], &orders.spec.keep[..]),
        (&[0][..], &[1][..], &[8][..])
    );
    let groups: Vec<_> = orders.spec.groups.iter().map(|g| (g.name.as_str(), g.version, g.columns.clone())).collect();
    assert_eq!(groups, [("api", Some(7), vec![1, 5, 6, 7]), ("shop", Some(3), vec![2, 3, 4])]);
    assert_eq!(plan.tables["order_lines"].url, "file:///elsewhere/lines");
    assert_eq!(plan.tables["order_lines"].spec.mode, Mode::Insert);
    assert_eq!(plan.tables["shops"].url, "/d/tables/shops");
}

#[test]
fn flows() {
    let plan = good().plan;
    assert_eq!(plan.simulation.as_deref(), Some(std::path::Path::new("dir/sim/orders.yaml")));
    let flow = &plan.flows[0];
    assert!(
        matches!(&flow.source.kind, SourceKind::Topic { topic, group, .. } if topic == "orders.raw" && group == "orders-main")
    );
    let delays: Vec<_> = flow.source.retry.delays.iter().map(|(_, topic)| topic.as_str()).collect();
    assert_eq!(delays, ["orders.retry.5m", "orders.retry.10m", "orders.retry.1h"]);
    assert_eq!(flow.source.message.iter().filter(|f| f.required).count(), 3);
    let inputs: Vec<_> = flow.stages.iter().map(|s| s.input).collect();
    use Input::{After, Produced, Source};
    assert_eq!(inputs, [Source, After(0), After(1), After(2), Produced(3), Produced(3), Produced(3), After(6)]);
    assert!(matches!(&flow.stages[1].kind, StageKind::Filter { otherwise: Leave::Skip(why), .. } if why == "no date"));
    assert!(matches!(&flow.stages[2].kind, StageKind::Dedup { table: Some(t), .. } if (t.key, t.at) == (0, 1)));
    let StageKind::Enrich(order) = &flow.stages[3].kind else { panic!() };
    assert!(matches!(&order.call.paginate, Some(Paginate::Cursor { parameter, pages: 5, .. }) if parameter == "after"));
    assert_eq!((order.call.method, &order.call.absent[..], order.call.max_answer), ("GET", &[404][..], Some(2 << 20)));
    let triggers: Vec<_> = flow.rows.iter().map(|r| r.trigger.clone()).collect();
    let all = vec![Status::Done, Status::Skipped, Status::Retried, Status::Dead];
    use Trigger::{Documents, Outcomes};
    assert_eq!(triggers, [Documents(Source), Documents(Produced(5)), Documents(After(7)), Outcomes(all)]);
    assert_eq!(flow.sends[0].key.as_ref().map(|e| e.text()), Some("event.id"));
    assert!(!flow.exactly_once);
    let line = GOOD.lines().position(|l| l == "      order:").unwrap() + 1;
    assert_eq!(flow.stages[3].place.to_string(), format!("dir/good.yaml:{line}:7 flows.orders.stages.order"));
    assert!(
        matches!(&plan.flows[2].source.kind, SourceKind::File { path } if path == std::path::Path::new("/d/backfill"))
    );
    let StageKind::Upload(upload) = &plan.flows[1].stages[1].kind else { panic!() };
    assert!(upload.keep);
}

#[test]
fn the_settings_file_beside_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.yaml");
    std::fs::write(&path, GOOD).unwrap();
    let data = dir.path().join("data");
    let problems = load(&path, &Environment::default(), &data).unwrap_err();
    let messages: Vec<_> = problems.items.iter().map(|p| p.message.as_str()).collect();
    assert_eq!(messages, ["the variable `PASSWORD` is not set"; 2]);
    std::fs::write(dir.path().join("t.env"), "PASSWORD='x'\nORDERS_PREFIX=p\n").unwrap();
    let plan = load(&path, &Environment::default(), &data).unwrap().plan;
    assert_eq!(plan.topics["raw"].name, "p.raw");
}

#[test]
fn a_workflow_names_the_topics_of_a_policy() {
    let retry = |vars: &str, retry: &str| {
        let text = format!(
            "topology: shop\nlanguage: 1\nvars: {vars}\nconnections: {{bus: {{kafka: {{brokers: embedded}}}}, lake: {{delta: {{url: x}}}}}}\n\
             topics: {{orders: {{name: orders, external: written, message: {{id: id!}}}}}}\n\
             tables: {{orders: {{key: [id], columns: {{id: id!}}}}}}\n\
             flows:\n  orders:\n    source: {{topic: orders, group: g, retry: {retry}}}\n    rows: {{r: {{table: orders, columns: {{id: event.id}}}}}}\n"
        );
        load_str("t.yaml", &text, &Environment::default(), "/d").map_err(|p| p.render()).unwrap().plan.flows[0]
            .source
            .retry
            .clone()
    };
    let usual = retry("{prefix: app}", "{workflow: enrichment}");
    let minutes: Vec<u64> = usual.delays.iter().map(|(delay, _)| delay.as_secs() / 60).collect();
    assert_eq!((minutes, usual.dead_letter.as_str()), (vec![5, 10, 20, 40], "app.enrichment.dlq"));
    assert_eq!(usual.delays[1].1, "app.enrichment.retry.10m");
    let named = retry("{}", "{workflow: w, delays: [1m], dead_letter: dead, max: 1}");
    assert_eq!(
        (named.delays.len(), named.delays[0].1.as_str(), named.dead_letter.as_str()),
        (1, "shop.w.retry.1m", "dead")
    );
    assert_eq!(retry("{}", "{workflow: w, max: 2}").delays.len(), 2);

    let classes = retry("{}", "{dead_letter: d, classify: {Quota exceeded: transient, quota: permanent}}");
    let category = |text: &str| classes.category(text, Category::Unknown);
    assert_eq!(category("the QUOTA EXCEEDED"), Category::Transient);
    assert_eq!(category("a quota"), Category::Permanent);
    assert_eq!(category("something else"), Category::Unknown);
}

/// The condition of a block, which sees the message.
const WHEN: &str = "        when: event.customer\n";
/// A stage that binds a value.
const PICK: &str = "        pick: >-\n          sum(event.lines[].n) ||\n          length(event.lines)\n";

/// What people make of a small topology, and what works: edits that go together.
#[rustfmt::skip]
const VALID: &[&[(&str, &str)]] = &[
    // Comparisons over every type.
    &[(WHEN, "        when: event.id == '5'\n")],
    &[(WHEN, "        when: same(event.id, `5`)\n")],
    &[(WHEN, "        when: to_number(event.id) > `5`\n")],
    &[(WHEN, "        when: event.customer == 'A' || event.customer == `null`\n")],
    &[(WHEN, "        when: \"!event.customer\"\n")],
    &[(WHEN, "        when: coalesce(event.customer, '') == ''\n")],
    &[(WHEN, "        when: event.count > `5` && event.count != `7`\n")],
    &[(WHEN, "        when: event.count == `5.0`\n")],
    &[(WHEN, "        when: event.count >= length(event.lines)\n")],
    &[(WHEN, "        when: event.open == `true`\n")],
    &[(WHEN, "        when: (event.open && event.count) == `false`\n")],
    &[(WHEN, "        when: (event.count || event.id) == '5'\n")],
    &[(WHEN, "        when: if(event.open, event.count, event.id) == `5`\n")],
    &[(WHEN, "        when: to_number(event.amount) > `5`\n")],
    &[(WHEN, "        when: event.amount == '12.5'\n")],
    &[(WHEN, "        when: event.placed_at > '2026-01-01'\n")],
    &[(WHEN, "        when: event.placed_at < now() && add(event.placed_at, `60`) >= now()\n")],
    &[(WHEN, "        when: event.placed_at >= event.due\n")],
    &[(WHEN, "        when: event.placed_at == '2026-01-10T12:00:00+00:00'\n")],
    &[(WHEN, "        when: before(event.placed_at, '2026-01-01')\n")],
    &[(WHEN, "        when: date(event.placed_at) == event.due\n")],
    &[(WHEN, "        when: event.due <= '2026-01-10T12:00:00Z'\n")],
    &[(WHEN, "        when: event.remark == '' || event.remark != ' x'\n")],
    &[(WHEN, "        when: event.remark > '2026-01-01'\n")],
    &[(WHEN, "        when: event.lines == `[]` || event.lines.n > `5`\n")],
    &[(WHEN, "        when: event.lines[?n > `1` && sku == 'A' && at < '2026-01-01']\n")],
    &[(WHEN, "        when: type(event.lines) == 'array'\n")],
    &[(WHEN, "        when: lower(event.customer) == 'ada' || upper(event.customer) == 'ADA'\n")],
    &[(WHEN, "        when: source.attempt == `0` && source.offset > `10` && source.time < event.placed_at\n")],
    &[(WHEN, "        when: source.headers.kind == 'x' && source.origin.topic == 'shop.orders'\n")],
    &[(WHEN, "        when: raw.anything > `5` || raw.anything == '5'\n")],
    &[(WHEN, "        when: contains(event.customer, 'A') == `true`\n")],
    // Members of what stages bind.
    &[(PICK, "        pick: \"event.lines && {n: length(event.lines), first: event.lines[0]}\"\n"), ("items: total", "items: total.n"), ("note: answer_of.note", "note: total.first.sku")],
    &[(PICK, "        pick: \"if(event.open, {a: event.id}, {b: event.count})\"\n"), ("items: total", "items: total.b"), ("note: answer_of.note", "note: total.a")],
    &[(PICK, "        pick: merge(event, kind)\n"), ("items: total", "items: total.count"), ("note: answer_of.note", "note: total.anything")],
    &[(PICK, "        pick: event\n"), ("items: total", "items: total.count")],
    &[(PICK, "        pick: coalesce(answer_of.order, answer_of)\n"), ("items: total", "items: total.items"), ("placed_at: event.placed_at\n          items", "placed_at: total.fetched_at\n          items")],
    &[(PICK, "        each: \"event.lines[?n].{n: n, sku: lower(sku)}\"\n"), ("items: total", "items: total.n"), ("note: answer_of.note", "note: total.sku")],
    &[(PICK, "        each: 'event.lines || `[{\"n\": 1}]`'\n"), ("items: total", "items: total.n"), ("note: answer_of.note", "note: total.sku")],
    &[("get: \"/orders/{event.id}\"\n", "get: \"/orders/{event.id}\"\n          paginate: link\n"), ("note: answer_of.note", "note: first(answer_of.data).note"), ("when: answer_of.url", "when: answer_of.data"), ("url: answer_of.url", "url: answer_of.data[0].url")],
    &[("to: \"links/{event.id}\"", "to: \"links/{file.sha256}/{file.refreshes}.{file.extension}\"")],
    // What keys of stages take.
    &[("name: event.id}", "name: \"join('/', [event.id, basename(event.url)])\", expires: \"presigned_expiry(event.url, 'Date', 'Expires', 'amz')\"}")],
    &[("sha256: file.sha256", "sha256: file.sha256\n          bytes: file.bytes\n          content_type: file.content_type || 'application/pdf'")],
    &[("dedup: {key: event.id, at: event.placed_at, table: orders}", "dedup: {key: \"[event.id, event.count]\", at: \"event.remark || now()\", forgets: true}")],
    &[("by: event.customer\n          cases: {A: [big], B: [small]}", "by: event.count\n          cases: {1: [big], 2: [small], \"null\": []}")],
    &[("by: event.customer\n          cases: {A: [big], B: [small]}", "by: event.open\n          cases: {true: [big], false: [small]}")],
    &[("get: \"/orders/{event.id}\"", "get: \"?id={event.id}&open={event.open}\"\n          cache: {for: 60s, since: event.due}")],
    &[("get: \"/orders/{event.id}\"", "get: \"/orders/{key}\"\n          query: {n: length(items), first: \"items[0].event.id\"}\n          batch: {by: event.id}")],
    &[("        topic: links\n        when", "        topic: links\n        key: event.count\n        headers: {open: event.open, lines: event.lines}\n        when")],
    &[("      once:\n", "      sums:\n        aggregate: {by: {day: event.due}, sum: {total: to_number(event.amount), n: event.count}}\n      once:\n")],
    &[("    key: [customer]\n", "    path: a/b\n    key: [customer]\n"), ("        delays: [5m, 10m]", "        delays: [5m, 5m, 1h]")],
];

#[test]
fn what_works_is_not_refused() {
    assert!(VALID.len() >= 40);
    for edits in VALID {
        let mut text = SMALL.to_owned();
        for (from, to) in *edits {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        match load_str("t.yaml", &text, &Environment::default(), "/d") {
            Ok(loaded) => assert_eq!(loaded.warnings.render(), "", "{edits:?}"),
            Err(problems) => panic!("{edits:?}\n{problems}"),
        }
    }
}
