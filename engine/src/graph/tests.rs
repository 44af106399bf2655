//! What holds of every drawing: it shows what the plan has, it is the same each time, and no name breaks its syntax.

use std::collections::BTreeSet;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::*;
use crate::plan::{Plan, SourceKind};
use crate::topology::{Environment, load_str};

const TOPOLOGY: &str = include_str!("../topology/tests/good.yaml");

fn plan() -> Plan {
    let environment: Environment = [("PASSWORD", "x")].into_iter().collect();
    load_str("good.yaml", TOPOLOGY, &environment, "data").unwrap().plan
}

fn whole(options: &Options) -> Graph {
    let plan = plan();
    let all: Vec<usize> = (0..plan.flows.len()).collect();
    Graph::of(&plan, &all, options)
}

/// The edges by the paths of their ends.
fn edges(graph: &Graph) -> BTreeSet<(&str, &str)> {
    graph.edges.iter().map(|e| (graph.nodes[e.from].path.as_str(), graph.nodes[e.to].path.as_str())).collect()
}

#[test]
fn everything_that_the_plan_has_is_one_node() {
    let (plan, graph) = (plan(), whole(&Options::default()));
    let mut expected: Vec<String> = plan.topics.keys().map(|name| format!("topics.{name}")).collect();
    expected.extend(plan.tables.keys().map(|name| format!("tables.{name}")));
    for flow in &plan.flows {
        expected.push(format!("flows.{}.source", flow.name));
        expected.extend(flow.stages.iter().map(|stage| format!("flows.{}.stages.{}", flow.name, stage.name)));
        if matches!(flow.source.kind, SourceKind::File { .. }) {
            expected.push(format!("flows.{}.source.file", flow.name));
        }
    }
    expected.extend(["api", "hosts", "spool", "files"].map(|name| format!("connections.{name}")));
    // Two flows have blocks that tell of outcomes.
    expected.extend(["orders", "files"].map(|flow| format!("flows.{flow}.outcomes")));
    let mut found: Vec<String> = graph.nodes.iter().map(|node| node.path.clone()).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn edges_are_those_of_the_plan() {
    let graph = whole(&Options::default());
    let found = edges(&graph);
    let expected = [
        ("topics.raw", "flows.orders.source"),
        ("flows.orders.source", "flows.orders.stages.kind"),
        ("flows.orders.stages.once", "flows.orders.stages.order"),
        ("flows.orders.stages.order", "flows.orders.stages.prices"),
        ("flows.orders.stages.order", "flows.orders.stages.customer"),
        ("flows.orders.stages.order", "flows.orders.stages.line"),
        ("flows.orders.stages.order", "connections.api"),
        ("tables.orders", "flows.orders.stages.once"),
        ("flows.orders.stages.customer", "tables.orders"),
        ("flows.orders.source", "tables.shops"),
        ("flows.orders.outcomes", "tables.log"),
        ("flows.orders.source", "topics.files"),
        ("topics.files", "flows.files.source"),
        ("connections.hosts", "flows.files.stages.file"),
        ("flows.files.stages.file", "connections.spool"),
        ("connections.spool", "flows.files.stages.stored"),
        ("flows.files.stages.stored", "connections.files"),
        ("flows.files.stages.stored", "topics.done"),
        ("flows.files.outcomes", "topics.done"),
        ("flows.backfill.source.file", "flows.backfill.source"),
        ("flows.backfill.source", "topics.files"),
    ];
    for edge in expected {
        assert!(found.contains(&edge), "{edge:?} is not among {found:?}");
    }
    assert_eq!(found.len(), graph.edges.len(), "two edges between the same nodes");
    let labelled = |from: &str, to: &str| {
        let edge = graph.edges.iter().find(|e| graph.nodes[e.from].path == from && graph.nodes[e.to].path == to);
        edge.unwrap().lines.clone()
    };
    assert_eq!(labelled("flows.orders.stages.once", "flows.orders.stages.order"), ["order"]);
    assert_eq!(labelled("flows.orders.source", "topics.files"), ["if event.link"]);
    assert_eq!(labelled("flows.orders.outcomes", "tables.log"), ["done, skipped, retried, dead"]);
}

#[test]
fn types_and_errors_are_drawn_on_request() {
    let graph = whole(&Options { types: true, errors: true });
    let edge = |from: &str, to: &str| {
        let edge = graph.edges.iter().find(|e| graph.nodes[e.from].path == from && graph.nodes[e.to].path == to);
        edge.unwrap_or_else(|| panic!("{from} to {to}")).clone()
    };
    let carried = edge("flows.backfill.source", "topics.files").lines.join(" ");
    assert_eq!(carried, "id: id!, url: text!");
    assert_eq!(edge("flows.orders.stages.order", "connections.api").lines, ["GET /orders/{event.id}"]);
    let seen = edge("flows.orders.stages.customer", "tables.orders").lines.join(" ");
    assert!(seen.contains("id: id!") && seen.contains("placed_at: timestamp"), "{seen}");
    let after = edge("flows.orders.stages.order", "flows.orders.stages.customer").lines;
    assert_eq!(after, ["event, kind, order"]);

    let retry = "flows.orders.source.retry.orders.retry.5m";
    assert!(edge(retry, "flows.orders.source").dashed);
    assert_eq!(edge(retry, "flows.orders.source").lines, ["after 5m"]);
    assert!(edge("flows.orders.outcomes", retry).dashed);
    assert!(edge("flows.orders.outcomes", "flows.orders.source.retry.dead_letter").dashed);
    let without = whole(&Options::default());
    assert!(without.nodes.iter().all(|node| node.role != Role::Failed));
}

#[test]
fn one_flow_is_drawn_with_what_it_touches() {
    let graph = Graph::of(&plan(), &[2], &Options::default());
    let paths: Vec<&str> = graph.nodes.iter().map(|node| node.path.as_str()).collect();
    assert_eq!(paths, ["flows.backfill.source.file", "flows.backfill.source", "topics.files"]);
}

#[test]
fn a_drawing_is_the_same_each_time() {
    let options = Options { types: true, errors: true };
    let (first, second) = (whole(&options), whole(&options));
    assert_eq!(first.mermaid(), second.mermaid());
    assert_eq!(first.dot(), second.dot());
    let drawn = first.svg().unwrap();
    // Another drawing in between leaves nothing behind.
    Graph::of(&plan(), &[1], &Options::default()).svg().unwrap();
    assert_eq!(drawn, second.svg().unwrap());
}

const HOSTILE: &[&str] = &[
    "\"] --> n9[\"",
    "end",
    "</text><script>alert(1)</script>",
    "a\\",
    "\"; n9 -> n8; \"",
    "line\nbreak\r\n\t\u{0}\u{8}\u{1b}\u{ffff}",
    "]]>&amp;&#34;#quot;",
    "%%{init: {}}%%",
    "`markdown` <b>bold</b>",
    "|pipe| [x] {y} (z)",
    "héllo 世界 🦀 \u{202e}",
    "",
];

fn hostile() -> Graph {
    let text = |at: usize| HOSTILE[at % HOSTILE.len()].to_owned();
    let roles = [Role::Source, Role::Stage, Role::Route, Role::Outcomes, Role::Topic, Role::Failed, Role::Table];
    let roles: Vec<Role> = roles.into_iter().chain([Role::Files, Role::System]).collect();
    let nodes = (0..36).map(|at| Node {
        path: text(at),
        role: roles[at % roles.len()],
        lines: vec![text(at), text(at + 1)],
        cluster: (at % 3 > 0).then_some(at % 12),
    });
    let edges = (0..35).map(|at| Edge { from: at, to: at + 1, lines: vec![text(at)], dashed: at % 2 == 0 });
    Graph { title: text(0), clusters: (0..12).map(text).collect(), nodes: nodes.collect(), edges: edges.collect() }
}

/// What is left of a line when everything between quotes is taken out of it; `escape` says what makes a quote none.
fn without_quoted(line: &str, escape: Option<char>) -> String {
    let (mut out, mut inside, mut escaped) = (String::new(), false, false);
    for c in line.chars() {
        match c {
            '"' if !escaped => {
                inside = !inside;
                out.push('"');
            }
            c if !inside => out.push(c),
            _ => {}
        }
        escaped = inside && !escaped && Some(c) == escape;
    }
    assert!(!inside, "a quote is open at the end of {line}");
    out
}

/// The numbers of a text, as one character.
fn shape(line: &str) -> String {
    let mut out = String::new();
    for c in line.trim().chars() {
        match c {
            c if c.is_ascii_digit() && out.ends_with('#') => {}
            c if c.is_ascii_digit() => out.push('#'),
            c => out.push(c),
        }
    }
    out
}

#[test]
fn no_name_breaks_mermaid() {
    let graph = hostile();
    let drawn = graph.mermaid();
    let known = [
        "flowchart TD",
        "end",
        "subgraph c#[\"\"]",
        "n#([\"\"])",
        "n#[\"\"]",
        "n#{\"\"}",
        "n#[[\"\"]]",
        "n#[(\"\")]",
        "n#{{\"\"}}",
        "n# -->|\"\"| n#",
        "n# -.->|\"\"| n#",
        "classDef failed stroke-dasharray: # #",
        "class n#,n#,n#,n# failed",
    ];
    for line in drawn.lines() {
        let found = shape(&without_quoted(line, None));
        assert!(known.contains(&found.as_str()), "{found}: {line}");
        let markup = line.replace("<br>", "");
        assert!(!markup.split('"').skip(1).step_by(2).any(|label| label.contains(['<', '>', '`', '%', '|'])), "{line}");
    }
    let count = |what: &str| drawn.lines().filter(|line| line.contains(what)).count();
    assert_eq!((count("subgraph"), count("--> ") + count("-->|") + count(".->|")), (12, 35));
}

#[test]
fn no_name_breaks_dot() {
    let drawn = hostile().dot();
    let mut edges = 0;
    for line in drawn.lines() {
        let found = shape(&without_quoted(line, Some('\\')));
        edges += usize::from(found.starts_with("n# -> n#"));
        let known = found == "}"
            || found.starts_with("digraph \"\" {")
            || found.starts_with("subgraph cluster_# {")
            || found == "label=\"\";"
            || found.starts_with("graph [")
            || found.starts_with("node [")
            || found.starts_with("edge [")
            || ["n# [label=\"\", shape=", "n# -> n# [label=\"\""].iter().any(|begin| found.starts_with(begin));
        assert!(known, "{found}: {line}");
    }
    assert_eq!(edges, 35);
}

/// The names of the elements of an XML document and its texts; fails unless it is well-formed.
fn xml(document: &str) -> (Vec<String>, Vec<String>) {
    let mut reader = Reader::from_str(document);
    reader.config_mut().check_end_names = true;
    let (mut names, mut texts, mut open) = (Vec::new(), Vec::new(), 0);
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                open += 1;
                tag.attributes().for_each(|attribute| _ = attribute.unwrap());
                names.push(String::from_utf8(tag.name().as_ref().to_vec()).unwrap());
            }
            Event::Empty(tag) => {
                tag.attributes().for_each(|attribute| _ = attribute.unwrap());
                names.push(String::from_utf8(tag.name().as_ref().to_vec()).unwrap());
            }
            Event::End(_) => open -= 1,
            Event::Text(text) => texts.push(text.decode().unwrap().into_owned()),
            Event::GeneralRef(_) => {}
            Event::Eof => break,
            other => panic!("a drawing holds no {other:?}"),
        }
    }
    assert_eq!(open, 0);
    (names, texts)
}

#[test]
fn no_name_breaks_svg() {
    let graph = hostile();
    let drawn = graph.svg().unwrap();
    let (names, _) = xml(&drawn);
    assert!(!names.iter().any(|name| name == "script" || name == "b"), "{names:?}");
    assert!(!drawn.chars().any(|c| c.is_control() && c != '\n'));
    assert_eq!(drawn.matches("class=\"node ").count(), graph.nodes.len());
    assert_eq!(drawn.matches("class=\"edge").count(), graph.edges.len());
}

#[test]
fn nodes_of_an_svg_do_not_lie_on_each_other() {
    let graph = whole(&Options { types: true, errors: true });
    let drawn = graph.svg().unwrap();
    let (_, texts) = xml(&drawn);
    assert!(texts.iter().any(|text| text == "tables.orders"));
    // Every node has its outline first; those that are boxes say where they are.
    let number = |text: &str, name: &str| -> f64 {
        text.split(&format!(" {name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
    };
    let boxes: Vec<[f64; 4]> = drawn
        .lines()
        .filter(|line| line.starts_with("<g class=\"node") && line.contains("<rect"))
        .map(|line| ["x", "y", "width", "height"].map(|name| number(line, name)))
        .collect();
    assert!(boxes.len() > 15, "{}", boxes.len());
    for (at, [x, y, width, height]) in boxes.iter().enumerate() {
        for [x2, y2, width2, height2] in &boxes[at + 1..] {
            let apart = x + width <= *x2 || x2 + width2 <= *x || y + height <= *y2 || y2 + height2 <= *y;
            assert!(apart, "{x},{y} and {x2},{y2}");
        }
    }
}

#[test]
fn a_drawing_of_nothing_is_one() {
    let graph = Graph::of(&plan(), &[], &Options::default());
    assert_eq!(graph.mermaid(), "flowchart TD\n");
    xml(&graph.svg().unwrap());
}

#[test]
fn what_asks_a_table_for_a_row_is_where_the_edge_ends() {
    let asks = "when: kind.order && present('shops', event.shop)";
    assert!(TOPOLOGY.contains("when: kind.order\n"));
    let text = TOPOLOGY.replacen("when: kind.order\n", &format!("{asks}\n"), 1);
    let environment: Environment = [("PASSWORD", "x")].into_iter().collect();
    let plan = load_str("good.yaml", &text, &environment, "data").unwrap_or_else(|p| panic!("{p}")).plan;
    let graph = Graph::of(&plan, &[0, 1, 2], &Options::default());
    let edge = graph.edges.iter().find(|edge| edge.lines.iter().any(|line| line == "present")).unwrap();
    let (from, to) = (&graph.nodes[edge.from].path, &graph.nodes[edge.to].path);
    let stage = plan
        .flows
        .iter()
        .flat_map(|flow| &flow.stages)
        .find(|stage| stage.when.as_ref().is_some_and(|when| when.text().contains("present")));
    assert_eq!(
        (from.as_str(), to.as_str()),
        ("tables.shops", &*format!("flows.orders.stages.{}", stage.unwrap().name))
    );
}

#[test]
fn the_picture_is_as_wide_as_its_longest_label() {
    let node = |path: &str| Node { path: path.into(), role: Role::Stage, lines: vec![path.into()], cluster: None };
    let edge = Edge { from: 0, to: 1, lines: vec!["x".repeat(200)], dashed: false };
    let graph = Graph { title: "t".into(), nodes: vec![node("a"), node("b")], edges: vec![edge], ..Graph::default() };
    let svg = graph.svg().unwrap();
    let numbers = |text: &str| -> Vec<f64> { text.split(' ').filter_map(|number| number.parse().ok()).collect() };
    let view = numbers(svg.split("viewBox=\"").nth(1).unwrap().split('"').next().unwrap());
    let rect = svg.split("class=\"edge\"").nth(1).unwrap().split("<rect ").nth(1).unwrap();
    let of = |name: &str| -> f64 {
        rect.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
    };
    let (left, right) = (of("x"), of("x") + of("width"));
    assert!(of("width") > 1_000.0 && left >= view[0] && right <= view[0] + view[2], "{left} {right} in {view:?}");
}
