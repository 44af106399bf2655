//! Several topologies in one process: which of their flows run, what is refused, what each keeps for itself.

use std::path::Path;

use engine::plan::Plan;
use engine::run::choose;
use engine::run::together::clashes;
use engine::topology::{Environment, load};

use crate::made_up::{Folder, absent, tables, topology};
use crate::program::{Engine, topologies};

fn rows(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(name, rows)| ((*name).to_owned(), *rows)).collect()
}

#[test]
fn flows_are_chosen_by_flow_by_alias_and_by_topology() {
    let folder = Folder::new();
    for (topology, topic, count) in [
        ("shop.yaml", "shop.orders", 1),
        ("shop.yaml", "shop.users", 2),
        ("fleet.yaml", "fleet.orders", 3),
        ("fleet.yaml", "fleet.devices", 4),
    ] {
        folder.feed(topology, topic, count);
    }
    // What was run stays run, so each case shows what was not there before.
    let users = folder.both().arg("--worker").arg("shop-users").finish().expect(0);
    assert_eq!(tables(&users.out), rows(&[("users", 2)]));
    let fleet = folder.both().arg("--worker").arg("all").finish().expect(0);
    assert_eq!(tables(&fleet.out), rows(&[("orders", 3), ("devices", 4)]));
    assert!(absent(&folder.data().join("tables/shop_orders")), "a topology that is not chosen opens nothing");
    let one = folder.both().arg("--flow").arg("fleet/devices").arg("--flow").arg("shop-users").finish().expect(0);
    assert_eq!(tables(&one.out), rows(&[("shop/users", 2), ("fleet/devices", 4)]));
    let all = rows(&[("shop/orders", 1), ("shop/users", 2), ("fleet/orders", 3), ("fleet/devices", 4)]);
    for names in [&["--worker", "everything"][..], &[]] {
        let ended = names.iter().fold(folder.both(), |engine, argument| engine.arg(argument)).finish().expect(0);
        assert_eq!(tables(&ended.out), all, "{names:?}");
    }
}

#[test]
fn what_cannot_run_together_is_told_before_anything_starts() {
    let refused = |edits: &[(&str, &str, &str)], arguments: &[&str], told: &[&str]| {
        let folder = Folder::new();
        for (file, from, to) in edits {
            folder.edit(file, from, to);
        }
        let engine = arguments.iter().fold(folder.both(), |engine, argument| engine.arg(argument));
        let ended = engine.finish().expect(2);
        for text in told {
            assert!(ended.err.contains(text), "{text} is not in\n{}", ended.err);
        }
        assert!(absent(&folder.data()), "{told:?}");
    };
    refused(&[("fleet.yaml", "topology: fleet", "topology: shop")], &[], &["two topologies are called shop"]);
    refused(
        &[("fleet.yaml", "fleet_orders", "shop_orders")],
        &["--flow", "shop"],
        &["the tables shop/orders and fleet/orders have one path"],
    );
    refused(
        &[("fleet.yaml", "fleet.orders", "shop.orders"), ("fleet.yaml", "group: fleet-orders", "group: shop-orders")],
        &[],
        &["the flows shop/orders and fleet/orders read the topic shop.orders in the group shop-orders"],
    );
    // Everything that is wrong with any of them, at once.
    refused(
        &[("shop.yaml", "key: [id]", "key: [idd]"), ("fleet.yaml", "event.note", "evnt.note")],
        &["--flow", "shop"],
        &["did you mean `id`?", "did you mean `event`?", "shop.yaml is not", "fleet.yaml is not"],
    );
    refused(&[], &["--worker", "fleet-device"], &["`fleet-device`", "did you mean `fleet-devices`?"]);
    refused(&[], &["--worker", "orders"], &["say shop/orders or fleet/orders"]);
    let far = ("fleet.yaml", "brokers: embedded", "brokers: \"localhost:9092,broker.example.com:9092\"");
    refused(&[far], &["--dev"], &["fleet/bus", "broker.example.com:9092 is not on it"]);
    refused(&[], &["--count", "0"], &["greater than zero"]);
    refused(&[], &["--log-level", "inof"], &["did you mean `info`?"]);
}

#[test]
fn a_topology_that_is_not_chosen_is_not_connected() {
    let folder = Folder::new();
    folder.feed("shop.yaml", "shop.users", 2);
    // Nobody listens there: a run that connected to it would fail.
    folder.edit("fleet.yaml", "brokers: embedded", "brokers: \"127.0.0.1:1\"");
    let ended = folder.both().arg("--flow").arg("shop").finish().expect(0);
    assert_eq!(tables(&ended.out), rows(&[("orders", 0), ("users", 2)]));
}

#[test]
fn several_instances_share_the_partitions() {
    let folder = Folder::new();
    folder.feed("shop.yaml", "shop.orders", 60);
    let ended = folder.both().arg("-c").arg(3).arg("--flow").arg("shop/orders").finish().expect(0);
    assert_eq!(tables(&ended.out), rows(&[("orders", 60)]));
    let log = folder.path("file.yaml");
    let text = topology("file", "", &[("orders", "")]);
    let topics = text.find("topics:").unwrap()..text.find("tables:").unwrap();
    let source = text.find("      topic: orders").unwrap()..text.find("    rows:").unwrap();
    let mut text = text.clone();
    text.replace_range(source, "      file: {path: lines.jsonl, message: {id: id!, note: string}}\n");
    text.replace_range(topics, "");
    text = text.replace("  bus: {kafka: {brokers: embedded}}\n", "");
    std::fs::write(log, text).unwrap();
    let refused = folder.run(&["file.yaml"]).arg("-c").arg(2).finish().expect(2);
    assert!(refused.err.contains("file/orders reads files"), "{}", refused.err);
}

#[test]
fn without_delta_rows_are_counted_and_no_table_is_there() {
    let folder = Folder::new();
    folder.feed("shop.yaml", "shop.orders", 5);
    let ended = folder.both().arg("--no-delta").arg("--flow").arg("shop").finish().expect(0);
    assert_eq!(tables(&ended.out), rows(&[("orders", 5), ("users", 0)]));
    assert!(ended.out.contains("tables are not written") && !ended.out.contains("query:"), "{}", ended.out);
    assert!(absent(&folder.data().join("tables")));
    // A connection can say so by itself: its tables only are not written.
    folder.feed("fleet.yaml", "fleet.orders", 3);
    folder.feed("shop.yaml", "shop.users", 2);
    folder.edit("fleet.yaml", "/tables\"}", "/tables\", write: \"${WRITES:-true}\"}");
    let ended = folder.both().env("WRITES", "false").finish().expect(0);
    let all = [("shop/orders", 0), ("shop/users", 2), ("fleet/orders", 3), ("fleet/devices", 0)];
    assert_eq!(tables(&ended.out), rows(&all), "the positions of the run before stay");
    let written = |name: &str| !absent(&folder.data().join("tables").join(name));
    assert!(written("shop_users") && !written("fleet_orders"));
}

#[test]
fn each_topology_has_its_own_simulation() {
    let folder = Folder::new();
    let run = |more: &str| folder.run(&["shop.yaml", "fleet.yaml"]).arg("--sim").arg("--events").arg(40).arg(more);
    let ended = run("--seed=7").finish().expect(0);
    let expected = [("shop/orders", 40), ("shop/users", 0), ("fleet/orders", 40), ("fleet/devices", 0)];
    assert_eq!(tables(&ended.out), rows(&expected));
    for topology in ["shop", "fleet"] {
        let account = folder.data().join("sim").join(topology).join("emitted.jsonl");
        assert_eq!(std::fs::read_to_string(account).unwrap().lines().count(), 40, "{topology}");
    }
    // The account of one topology stays where that of several is when only one of them is chosen.
    let again = run("--seed=7").arg("--flow").arg("shop").finish().expect(0);
    assert_eq!(tables(&again.out), rows(&[("orders", 40), ("users", 0)]));
    assert!(absent(&folder.data().join("sim/emitted.jsonl")));

    // A simulation that implies other rows than there are is noticed, and with --no-delta it is said that nobody looked.
    let other = Folder::new();
    other.edit("shop.sim.yaml", "key: [\"{event.id}\"]", "key: [\"{thing.id}\"]");
    let run = || other.run(&["shop.yaml"]).arg("--sim").arg("--events").arg(40);
    let blind = run().arg("--no-delta").finish().expect(0);
    assert!(blind.out.contains("not compared with what the simulation implies"), "{}", blind.out);
    std::fs::remove_dir_all(other.data()).unwrap();
    let seen = run().finish().expect(1);
    assert!(seen.err.contains("the simulation implies"), "{}", seen.err);
}

#[test]
fn what_only_a_simulation_understands_is_refused_without_one() {
    let folder = Folder::new();
    for option in ["--events=5", "--seed=5", "--rate=5"] {
        let ended = folder.run(&["shop.yaml"]).arg(option).finish().expect(2);
        assert!(ended.err.contains("--sim"), "{}", ended.err);
    }
}

#[test]
fn a_reader_who_has_enough_changes_no_exit_status() {
    let folder = Folder::new();
    let simulated = folder.run(&["shop.yaml"]).arg("--sim").arg("--events").arg(5);
    assert_eq!(simulated.unread(), Some(0));
    assert_eq!(Engine::new("validate").arg(folder.path("shop.yaml").display()).unread(), Some(0));
    folder.edit("shop.yaml", "retry:", "retri:");
    assert_eq!(Engine::new("validate").arg(folder.path("shop.yaml").display()).unread(), Some(2));
}

/// Scripts that start the workers of the program before this one go on working.
#[test]
fn the_names_of_the_workers_before_are_aliases() {
    let plan = |name: &str| match load(&topologies().join(name), &Environment::default(), Path::new("data")) {
        Ok(loaded) => loaded.plan,
        Err(problems) => panic!("{}", problems.render()),
    };
    let plans = [plan("claimx.yaml"), plan("xact.yaml")];
    let plans: Vec<&Plan> = plans.iter().collect();
    assert!(clashes(&plans).is_empty(), "they run in one process");
    let whole = |plan: &Plan| plan.flows.iter().map(|f| format!("{}/{}", plan.name, f.name)).collect::<Vec<_>>();
    let (claimx, xact) = (whole(plans[0]), whole(plans[1]));
    let one = |name: &str| vec![name.to_owned()];
    for (worker, flows) in [
        ("claimx-ingester", one("claimx/ingester")),
        ("claimx-delta-writer", one("claimx/ingester")),
        ("claimx-delta-retry", one("claimx/ingester")),
        ("claimx-enricher", one("claimx/enricher")),
        ("claimx-entity-writer", one("claimx/enricher")),
        ("claimx-downloader", one("claimx/downloader")),
        ("claimx-uploader", one("claimx/uploader")),
        ("claimx-result-processor", one("claimx/results")),
        ("xact-event-ingester", one("xact/ingester")),
        ("xact-local-ingester", one("xact/ingester")),
        ("xact-delta-writer", one("xact/ingester")),
        ("xact-delta-retry", one("xact/ingester")),
        ("xact-download", one("xact/downloader")),
        ("xact-upload", one("xact/uploader")),
        ("xact-result-processor", one("xact/results")),
        ("claimx", claimx.clone()),
        ("all", xact.clone()),
        ("everything", [claimx, xact].concat()),
    ] {
        let chosen = choose(&plans, &[worker.to_owned()]).unwrap();
        let name = |plan: &Plan, index: usize| format!("{}/{}", plan.name, plan.flows[index].name);
        let each = plans.iter().zip(chosen).flat_map(|(plan, chosen)| chosen.into_iter().map(|i| name(plan, i)));
        assert_eq!(each.collect::<Vec<_>>(), flows, "{worker}");
    }
}

#[test]
fn a_topic_that_a_topology_does_not_know_is_not_made_by_a_slip() {
    let folder = Folder::new();
    folder.write("lines.jsonl", "{\"id\": \"1\"}\n");
    let produce = |topic: &str| {
        let engine = Engine::new("produce").arg(topic).arg(folder.path("lines.jsonl").display());
        engine.arg("--topology").arg(folder.path("shop.yaml").display()).arg("--data").arg(folder.data().display())
    };
    let refused = produce("shop.order").finish().expect(2);
    assert!(refused.err.contains("topic shop.order does not exist; did you mean shop.orders?"), "{}", refused.err);
    produce("shop.orders").finish().expect(0);
}
