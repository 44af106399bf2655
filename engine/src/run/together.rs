//! What only shows when the topologies of one process, and how they are run, are known: names and places that two of them
//! claim, flows that cannot be run several times, systems that are not on this machine.

use std::collections::BTreeMap;

use crate::plan::{Connection, Flow, Place, Plan, SourceKind};
use crate::topology::code;

/// Something that two topologies claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The topology that came second, as its index.
    pub plan: usize,
    /// Its code among those of problems of topologies.
    pub code: &'static str,
    /// What it is.
    pub message: String,
    /// Where the second one claims it; the whole file if it is the name.
    pub place: Option<Place>,
}

/// What keeps `plans` from running in one process, whichever of their flows are chosen.
pub fn clashes(plans: &[&Plan]) -> Vec<Clash> {
    let mut problems = Vec::new();
    let mut names: BTreeMap<&str, &Plan> = BTreeMap::new();
    let mut tables: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    let mut groups: BTreeMap<(&str, &str, &str), (usize, String)> = BTreeMap::new();
    let mut retries: BTreeMap<(&str, &str), (usize, String)> = BTreeMap::new();
    for (at, plan) in plans.iter().copied().enumerate() {
        let mut clash = |code: &'static str, message: String, place: Option<&Place>| {
            problems.push(Clash { plan: at, code, message, place: place.cloned() });
        };
        if let Some(other) = names.insert(&plan.name, plan) {
            // Its other clashes follow from this one.
            let message = format!(
                "two topologies are called {}: {} and {}",
                plan.name,
                other.file.display(),
                plan.file.display()
            );
            clash(code::DUPLICATE_NAME, message, None);
            continue;
        }
        for (name, table) in &plan.tables {
            let ours = format!("{}/{name}", plan.name);
            let (other, theirs) = tables.entry(table.url.trim_end_matches('/')).or_insert((at, ours.clone()));
            if *other != at {
                let message = format!("the tables {theirs} and {ours} have one path: {}", table.url);
                clash(code::SAME_PLACE, message, Some(&table.place));
            }
        }
        for flow in &plan.flows {
            let SourceKind::Topic { connection, topic, group } = &flow.source.kind else { continue };
            let ours = format!("{}/{}", plan.name, flow.name);
            let (other, theirs) = groups.entry((brokers(plan, connection), topic, group)).or_insert((at, ours.clone()));
            if *other != at {
                let message = format!(
                    "the flows {theirs} and {ours} read the topic {topic} in the group {group}: each would get a part"
                );
                clash(code::SAME_PLACE, message, Some(&flow.source.place));
            }
            let retry = &flow.source.retry;
            for topic in retry.topics() {
                let (other, theirs) =
                    retries.entry((brokers(plan, &retry.connection), topic)).or_insert((at, ours.clone()));
                if *other != at {
                    let message = format!("the flows {theirs} and {ours} wait in one retry topic: {topic}");
                    clash(code::SAME_PLACE, message, Some(&flow.source.place));
                }
            }
        }
    }
    problems
}

/// The brokers behind a connection: what tells one log from another.
fn brokers<'p>(plan: &'p Plan, connection: &str) -> &'p str {
    match plan.connections.get(connection) {
        Some(Connection::Kafka(kafka)) => kafka.brokers.as_deref().unwrap_or(""),
        _ => "",
    }
}

/// What of `flows` is read from another machine: `--dev` refuses it.
pub fn not_local(plan: &Plan, flows: &[&Flow]) -> Vec<String> {
    let mut problems: Vec<String> = Vec::new();
    for flow in flows {
        let source = match &flow.source.kind {
            SourceKind::Topic { connection, .. } => Some(connection),
            SourceKind::File { .. } => None,
        };
        let sends = flow.sends.iter().filter_map(|send| plan.topics.get(&send.topic)).map(|topic| &topic.connection);
        for connection in source.into_iter().chain(sends) {
            let brokers = brokers(plan, connection);
            if let Some(far) = brokers.split(',').map(str::trim).find(|b| !b.is_empty() && !is_local(b)) {
                let problem = format!(
                    "connection {}/{connection}: --dev works on this machine only, and the broker {far} is not on it",
                    plan.name
                );
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        }
    }
    problems
}

/// Whether `host:port`, with or without a protocol in front, is an address of this machine by its name alone: no name is
/// looked up.
fn is_local(address: &str) -> bool {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => address.rsplit_once(':').map_or(address, |(host, _)| host),
    };
    host.eq_ignore_ascii_case("localhost")
        || host.to_ascii_lowercase().ends_with(".localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// What keeps `flows` from running several times side by side.
pub fn not_several(plan: &Plan, flows: &[&Flow]) -> Vec<String> {
    let file = flows.iter().filter(|flow| matches!(flow.source.kind, SourceKind::File { .. }));
    let problem = |flow: &&Flow| {
        format!(
            "flow {}/{} reads files, which have no groups: --count would read them several times",
            plan.name, flow.name
        )
    };
    file.map(problem).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::topology::{Environment, load_str};

    /// A topology of one flow over one topic, with `edits` made to its text.
    fn plan(name: &str, edits: &[(&str, &str)]) -> Plan {
        let mut text = format!(
            "topology: {name}\nlanguage: 1\nconnections: {{bus: {{kafka: {{brokers: embedded}}}}, lake: {{delta: {{url: \"{name}-lake\"}}}}}}\n\
             topics: {{in: {{name: {name}.in, external: written, message: {{id: id!}}}}}}\n\
             tables: {{orders: {{key: [id], columns: {{id: id!}}}}}}\n\
             flows:\n  main:\n    source: {{topic: in, group: {name}-main, retry: {{topic: {name}.retry, delays: [1m], dead_letter: {name}.dlq}}}}\n    \
             rows: {{row: {{table: orders, columns: {{id: event.id}}}}}}\n"
        );
        for (from, to) in edits {
            assert!(text.contains(from), "{from} is not in the topology");
            text = text.replace(from, to);
        }
        load_str("t.yaml", &text, &Environment::default(), "data").map_err(|p| p.render()).unwrap().plan
    }

    #[test]
    fn what_two_topologies_claim_is_refused() {
        let shop = plan("shop", &[]);
        // Edits of the second topology, and what is told.
        type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>);
        let cases: &[Case<'_>] = &[
            (&[], None),
            (&[("topology: fleet", "topology: shop")], Some("two topologies are called shop")),
            (&[("fleet-lake", "shop-lake")], Some("shop/orders and fleet/orders have one path: shop-lake/orders")),
            (&[("fleet.in", "shop.in"), ("fleet-main", "shop-main")], Some("shop.in in the group shop-main")),
            (&[("fleet.in", "shop.in")], None),
            (&[("fleet.retry", "shop.retry")], Some("wait in one retry topic: shop.retry")),
            // The same names elsewhere are other topics.
            (&[("fleet.in", "shop.in"), ("fleet-main", "shop-main"), ("embedded", "\"b:9092\"")], None),
        ];
        for (edits, expected) in cases {
            let problems = clashes(&[&shop, &plan("fleet", edits)]);
            assert_eq!(problems.len(), usize::from(expected.is_some()), "{problems:?}");
            assert!(expected.is_none_or(|e| problems[0].message.contains(e)), "{problems:?}");
        }
    }

    #[test]
    fn addresses_of_this_machine() {
        let near =
            ["localhost:9092", "127.0.0.1:9092", "127.1.2.3", "[::1]:9092", "SASL_SSL://LOCALHOST:1", "a.localhost:1"];
        let far = ["kafka:9092", "10.0.0.1:9092", "localhost.example.com:1", "0.0.0.0:1", "[2001:db8::1]:9092"];
        assert!(near.iter().all(|a| is_local(a)));
        assert!(far.iter().all(|a| !is_local(a)));
        let mixed = plan("shop", &[("brokers: embedded", "brokers: \"localhost:9092, b.example.com:9092\"")]);
        let problems = not_local(&mixed, &mixed.flows.iter().collect::<Vec<_>>());
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains("shop/bus") && problems[0].contains("b.example.com:9092"), "{problems:?}");
        let embedded = plan("shop", &[]);
        assert!(not_local(&embedded, &embedded.flows.iter().collect::<Vec<_>>()).is_empty());
    }
}
