//! `engine explain`: it tells of everything that a topology declares, and what it tells changes with what is declared.

use std::path::Path;

use engine::explain::{Explanation, explain};
use engine::plan::Plan;
use engine::topology::{Environment, load, load_str};

use crate::program::{Engine, topologies};

const SHIPPED: [&str; 3] = ["claimx", "xact", "github"];

fn told(plan: &Plan) -> Explanation {
    explain(plan, &(0..plan.flows.len()).collect::<Vec<_>>())
}

fn plan(name: &str) -> Plan {
    let file = topologies().join(format!("{name}.yaml"));
    load(&file, &Environment::default(), Path::new("data")).map_err(|p| p.render()).unwrap().plan
}

/// The explanation of a shipped topology whose text is `edited`, as text.
fn of_text(name: &str, edited: impl Fn(&str) -> String) -> String {
    let text = std::fs::read_to_string(topologies().join(format!("{name}.yaml"))).unwrap();
    let loaded = load_str("t.yaml", &edited(&text), &Environment::default(), "data");
    told(&loaded.map_err(|p| p.render()).unwrap().plan).render()
}

/// Whether `word` stands in `text` with nothing of a name around it.
fn names(text: &str, word: &str) -> bool {
    let of_name = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word)
        .any(|(at, _)| !of_name(text[..at].chars().next_back()) && !of_name(text[at + word.len()..].chars().next()))
}

#[test]
fn everything_that_a_shipped_topology_declares_is_told() {
    for name in SHIPPED {
        let plan = plan(name);
        let text = told(&plan).render();
        let mut lost: Vec<String> = Vec::new();
        let mut must = |text: &str, what: &str, name: &str| {
            if !names(text, name) {
                lost.push(format!("{what} {name}"));
            }
        };
        for connection in plan.connections.keys() {
            must(&text, "connection", connection);
        }
        for flow in &plan.flows {
            let begin = text.find(&format!("\nflow {}", flow.name)).unwrap_or_else(|| panic!("{name}: {}", flow.name));
            let part = &text[begin + 1..];
            let part = &part[..part.find("\nflow ").unwrap_or(part.len())];
            for stage in &flow.stages {
                must(part, "stage", &format!("stage {}", stage.name));
            }
            for field in flow.source.message.iter() {
                must(part, "field", &field.name);
            }
            for rows in &flow.rows {
                must(part, "rows", &format!("rows {} into table {}", rows.name, rows.table));
                let table = &plan.tables[&rows.table];
                for column in &table.spec.columns {
                    must(part, "column", &column.name);
                }
            }
            for send in &flow.sends {
                must(part, "send", &format!("send {} to topic {}", send.name, plan.topics[&send.topic].name));
                for field in &send.body {
                    must(part, "body", &field.name);
                }
            }
            for (_, topic) in &flow.source.retry.delays {
                must(part, "retry topic", topic);
            }
        }
        assert!(lost.is_empty(), "{name}: {lost:?}\n{text}");
        let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest < 400, "{name}: a line of {longest} characters");
    }
}

#[test]
fn a_change_of_the_topology_changes_what_is_told_of_it() {
    // A topology, what is replaced, by what, what must then be told and was not before.
    let cases = [
        (
            "claimx",
            "window: 24h, table: events}",
            "window: 48h, table: events}",
            "remembers a key for 48h, counted from now()",
        ),
        ("claimx", "window: 24h, table: events}", "window: 16h, table: events}", "in 8 buckets of 2h"),
        (
            "claimx",
            "dedup: {key: event.event_id, at: now(), window: 24h, table: events}",
            "dedup: {key: event.project_id, at: now(), window: 24h, forgets: true}",
            "before new: documents go to one worker by event.project_id",
        ),
        (
            "claimx",
            "dedup: {key: event.event_id, at: now(), window: 24h, table: events}",
            "dedup: {key: event.event_id, at: now(), window: 24h, forgets: true}",
            "the one that is being filled; at a restart: forgotten",
        ),
        ("claimx", "partition: [event_date]", "partition: [event_type]", "partition    event_type"),
        (
            "claimx",
            "keep: [created_at, accessed_count]",
            "keep: [accessed_count]",
            "that is not null stays: accessed_count ",
        ),
        ("claimx", "outcome: {version: processed_at}", "outcome: {}", "group outcome: the last writer wins"),
        (
            "claimx",
            "    key: [task_id]\n    parent: projects\n",
            "    key: [task_id]\n    parent: external_links\n",
            "table external_links has committed as far",
        ),
        (
            "claimx",
            "          project_id: event.project_id\n          media_id: event.media_id",
            "          project_id: upper(event.project_id)\n          media_id: event.media_id",
            "7 JSON paths, found in one walk",
        ),
        ("claimx", "cache: {for: 60s,", "cache: {for: 90s,", "an answer serves the same request for 90s"),
        ("claimx", "rows: 100, linger: 250ms", "rows: 20, linger: 1s", "up to 20, the first waits 1s for others"),
        ("claimx", "breaker: {failures: 5,", "breaker: {failures: 7,", "breaker: 7 failures in a row"),
        ("claimx", "max_answer: 16MiB", "max_answer: 4MiB", "an answer is at most 4 MiB"),
        ("claimx", "deadline: 120s", "deadline: 90s", "each at most 90s"),
        ("claimx", "deadline: 120s", "deadline: 120s\n      budget: 64MiB", "are within 64 MiB"),
        (
            "claimx",
            "else: {skip: the file is not in the store}",
            "else: {transient: the file is not in the store}",
            "fails and is tried again: the file is not in the store",
        ),
        (
            "github",
            "window: \"${GITHUB_REPOSITORY_FRESH:-24h}\", table: repositories",
            "window: 12h, table: repositories",
            "remembers a key for 12h",
        ),
        (
            "github",
            "rate: {per_second: \"${GITHUB_API_PER_SECOND:-1.3}\"",
            "rate: {per_second: 2",
            "2 requests a second",
        ),
        (
            "xact",
            "delays: \"${KAFKA_RETRY_DELAYS:-[5m, 10m, 20m, 40m]}\"",
            "delays: [7m]",
            "waits 7m in xact.downloads.retry.7m",
        ),
        ("xact", "else: {warn: its attachments", "else: {permanent: its attachments", "else: dead: its attachments"),
    ];
    for (name, from, to, says) in cases {
        let before = of_text(name, |text| text.to_owned());
        let after = of_text(name, |text| {
            assert!(text.contains(from), "{name} has no {from:?}");
            text.replace(from, to)
        });
        // Lines are broken where they are long.
        let flat = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join(" ") + " ";
        let says = says.replace('\n', " ");
        assert!(flat(&after).contains(&says), "{to:?}: {says:?} is not in\n{after}");
        assert!(!flat(&before).contains(&says), "{to:?}: {says:?} was told before");
    }
}

#[test]
fn rows_of_a_table_that_inserts_are_walked_and_those_of_one_that_merges_are_evaluated() {
    let explanation = told(&plan("claimx"));
    let ingester = &explanation.flows[0];
    let event = &ingester.rows[0];
    assert_eq!((event.rows_as, event.walked.len()), ("columns", 8));
    let computed: Vec<&str> = event.evaluated.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(computed, ["created_at", "event_date"]);
    let project = explanation.flows[1].rows.iter().find(|r| r.name == "project").unwrap();
    assert_eq!((project.rows_as, project.walked.len()), ("patches", 0));
    assert!(project.optional.contains(&"policyholder_joined_at".to_owned()));
    // What a child waits for, and what an offset waits for.
    let contacts = explanation.flows[1].tables.iter().find(|t| t.name == "contacts").unwrap();
    assert_eq!(contacts.after, ["projects"]);
    assert!(ingester.commit.after.iter().any(|after| after.contains("committed to table events")));
}

#[test]
fn the_program_tells_it_as_text_and_as_json_of_the_flows_that_are_asked_for() {
    let file = topologies().join("xact.yaml");
    let engine = || Engine::new("explain").arg(file.display());
    let all = engine().finish().expect(0);
    assert!(all.out.contains("\nflow downloader") && all.out.contains("\nflow results"), "{}", all.out);
    let one = engine().arg("--flow").arg("xact-download").finish().expect(0);
    assert!(one.out.contains("; 1 flow below\n") && !one.out.contains(" 1 values"), "{}", one.out);
    assert!(one.out.contains("\nflow downloader") && !one.out.contains("\nflow results"), "{}", one.out);
    let json = engine().arg("--format").arg("json").finish().expect(0);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let names: Vec<_> = json["flows"].as_array().unwrap().iter().map(|flow| flow["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ingester", "downloader", "uploader", "results"]);
    assert_eq!(json["flows"][0]["tables"][0]["key"][0], "event_id");
    let wrong = engine().arg("--flow").arg("nobody").finish().expect(2);
    assert!(wrong.err.contains("no flow and no topology is called `nobody`"), "{}", wrong.err);
}
