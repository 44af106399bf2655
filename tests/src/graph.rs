//! Drawings of the shipped topologies: nothing of a plan is left out, and those on the pages are those of the program.

use std::collections::BTreeSet;
use std::path::Path;

use engine::graph::{Graph, Options, Role};
use engine::plan::{Plan, SourceKind};
use engine::topology::{Environment, load};

use crate::docs::read;
use crate::program::{Engine, topologies};
use crate::words::blocks;

const SHIPPED: &[(&str, &str)] =
    &[("claimx", "docs/claimx.md"), ("xact", "docs/xact.md"), ("github", "docs/new-domain.md")];

fn plan(name: &str) -> Plan {
    let file = topologies().join(format!("{name}.yaml"));
    load(&file, &Environment::default(), Path::new("data")).unwrap_or_else(|problems| panic!("{problems}")).plan
}

fn whole(plan: &Plan, options: Options) -> Graph {
    let all: Vec<usize> = (0..plan.flows.len()).collect();
    Graph::of(plan, &all, &options)
}

#[test]
fn every_part_of_the_shipped_topologies_is_drawn_once() {
    for (name, _) in SHIPPED {
        let plan = plan(name);
        let graph = whole(&plan, Options { types: false, errors: true });
        let mut expected: BTreeSet<String> = plan.topics.keys().map(|topic| format!("topics.{topic}")).collect();
        expected.extend(plan.tables.keys().map(|table| format!("tables.{table}")));
        let mut failed = 0;
        for flow in &plan.flows {
            expected.insert(format!("flows.{}.source", flow.name));
            expected.extend(flow.stages.iter().map(|stage| format!("flows.{}.stages.{}", flow.name, stage.name)));
            if matches!(flow.source.kind, SourceKind::Topic { .. }) {
                failed += flow.source.retry.topics().count() + 1;
            }
        }
        let paths: Vec<&str> = graph.nodes.iter().map(|node| node.path.as_str()).collect();
        for path in &expected {
            assert_eq!(paths.iter().filter(|p| *p == path).count(), 1, "{name}: {path}");
        }
        assert_eq!(graph.nodes.iter().filter(|node| node.role == Role::Failed).count(), failed, "{name}");

        // What a flow writes is reached from it, and everything that is read or written has an edge.
        let end = |index: usize| paths[index];
        let edges: BTreeSet<(&str, &str)> = graph.edges.iter().map(|e| (end(e.from), end(e.to))).collect();
        let begins = |flow: &str, edge: &(&str, &str)| edge.0.starts_with(&format!("flows.{flow}."));
        for flow in &plan.flows {
            for table in flow.rows.iter().map(|rows| format!("tables.{}", rows.table)) {
                assert!(edges.iter().any(|edge| begins(&flow.name, edge) && edge.1 == table), "{name}: {table}");
            }
            for topic in flow.sends.iter().map(|send| format!("topics.{}", send.topic)) {
                assert!(edges.iter().any(|edge| begins(&flow.name, edge) && edge.1 == topic), "{name}: {topic}");
            }
            for stage in flow.stages.iter().map(|stage| format!("flows.{}.stages.{}", flow.name, stage.name)) {
                assert!(edges.iter().any(|edge| edge.1 == stage), "{name}: nothing leads to {stage}");
            }
        }
        for topic in plan.topics.keys().map(|topic| format!("topics.{topic}")) {
            assert!(edges.iter().any(|(from, to)| *from == topic || *to == topic), "{name}: {topic}");
        }
    }
}

#[test]
fn the_drawings_on_the_pages_are_those_of_the_program() {
    for (name, page) in SHIPPED {
        let drawn = Engine::new("graph").arg(topologies().join(format!("{name}.yaml")).display()).finish().expect(0);
        let pages = blocks(&read(page));
        let shown: Vec<&str> = pages.iter().filter(|b| b.info == "mermaid").map(|b| b.text.as_str()).collect();
        assert_eq!(
            shown,
            [drawn.out.as_str()],
            "{page} shows what `engine graph topologies/{name}.yaml` no longer prints"
        );
    }
}

#[test]
fn the_verb_writes_every_format_of_some_flows_or_all() {
    let folder = tempfile::tempdir().unwrap();
    let file = topologies().join("xact.yaml");
    let graph = || Engine::new("graph").arg(file.display());
    for (format, begins) in [("mermaid", "flowchart TD\n"), ("dot", "digraph \"xact\" {\n"), ("svg", "<svg xmlns=")] {
        let whole = graph().arg("--format").arg(format).finish().expect(0);
        assert!(whole.out.starts_with(begins) && whole.err.is_empty(), "{}", whole.err);
        let written = folder.path().join(format);
        let one = graph().arg("--format").arg(format).arg("--flow").arg("uploader").arg("-o").arg(written.display());
        assert_eq!(one.finish().expect(0).out, "");
        let one = std::fs::read_to_string(written).unwrap();
        assert!(one.starts_with(begins) && one.len() < whole.out.len() && one.contains("uploader"), "{one}");
        assert!(!one.contains("downloader"), "{one}");
    }
    let plain = graph().finish().expect(0).out;
    let more = graph().arg("--types").arg("--errors").finish().expect(0).out;
    assert!(!plain.contains("retry.") && more.contains("xact.downloads.retry.5m") && more.contains("timestamp"));
    let unknown = graph().arg("--flow").arg("uploadr").finish().expect(2);
    assert!(unknown.err.contains("did you mean `uploader`?"), "{}", unknown.err);
    let nowhere = graph().arg("-o").arg(folder.path().join("no/where").display()).finish().expect(1);
    assert!(nowhere.err.contains("cannot write"), "{}", nowhere.err);
}
