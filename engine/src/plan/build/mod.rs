//! From the tree of a topology to its [`Plan`]: names resolved, expressions checked against what is in sight of them, types compared.
//!
//! The builder goes on after a problem, to find all of them: what is wrong is replaced by a default, and the loader hands out no plan
//! when there was an error. A name that is declared but broken is not reported again where it is used.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use connectors::table::ColumnType;
use indexmap::IndexMap;

use super::{Connection, Flow, Place, Plan, Table, Topic};
use crate::topology::language::{self, TOPOLOGY};
use crate::topology::node::{Entry, Node};
use crate::topology::reader::Reader;
use crate::topology::{Diagnostic, Source, Span, code};

mod addresses;
mod binding;
mod blocks;
mod compare;
mod connections;
mod flow;
mod scope;
mod settle;
mod stages;
mod tables;
mod topics;
mod types;
mod whole;

use flow::{Aside, Here};

/// The path of a name in a section.
fn under(section: &[&str], name: &str) -> Vec<String> {
    section.iter().copied().chain([name]).map(str::to_owned).collect()
}

/// Builds the plan of a tree that has its form, and reports what is wrong with it. None: there is nothing to build from.
pub fn build(tree: &Node, source: &Source, problems: &mut Vec<Diagnostic>) -> Option<Plan> {
    let root = Reader { node: Some(tree), shape: &TOPOLOGY, at: Span::at(tree.span.start) };
    let mut builder = Builder {
        source,
        root,
        problems: Vec::new(),
        connections: IndexMap::new(),
        used: BTreeSet::new(),
        topics: IndexMap::new(),
        tables: IndexMap::new(),
        reads: BTreeSet::new(),
        read_paths: BTreeSet::new(),
        meant_paths: BTreeSet::new(),
        kinds: BTreeMap::new(),
        named: BTreeSet::new(),
        absent: Vec::new(),
        formless: BTreeSet::new(),
        asides: Vec::new(),
        place_in: None,
        flow: String::new(),
        broken: problems.iter().any(|p| matches!(p.code, code::EXPRESSION | code::TEMPLATE | code::UNSET)),
    };
    let plan = builder.plan();
    // Variables that are not declared are names as well.
    let (names, form): (Vec<_>, Vec<_>) = std::mem::take(problems).into_iter().partition(|p| p.subject.is_some());
    *problems = form;
    builder.problems.extend(names);
    builder.settle(problems);
    problems.append(&mut builder.problems);
    Some(plan)
}

struct Builder<'a> {
    source: &'a Source,
    root: Reader<'a>,
    problems: Vec<Diagnostic>,
    connections: IndexMap<String, Connection>,
    /// Names of connections and tables that something uses.
    used: BTreeSet<(&'static str, String)>,
    topics: IndexMap<String, Topic>,
    tables: IndexMap<String, Table>,
    /// Names of bindings and stages that the flow at hand reads.
    reads: BTreeSet<String>,
    /// The first two names of the paths that the flow at hand reads.
    read_paths: BTreeSet<Vec<String>>,
    /// The same of those that are misspelt, as they were probably meant.
    meant_paths: BTreeSet<Vec<String>>,
    /// By flow, block and column the type of what is written, where it is known.
    kinds: BTreeMap<(String, String, usize), ColumnType>,
    /// Paths of declarations that something names.
    named: BTreeSet<Vec<String>>,
    /// What nothing uses, with the part of the text in which another problem may be the reason; none: all of it.
    absent: Vec<(Diagnostic, Option<Span>)>,
    /// Sections and names of tables without columns and topics without a message, which was reported: what they have is not known.
    formless: BTreeSet<(&'static str, String)>,
    /// Uses of stages that are not on the way, in the flow at hand.
    asides: Vec<Aside>,
    /// The stage or block at hand.
    place_in: Option<Here>,
    /// The name of the flow at hand.
    flow: String,
    /// Whether an expression does not parse, so that what it reads is not known.
    broken: bool,
}

impl<'a> Builder<'a> {
    fn plan(&mut self) -> Plan {
        self.header();
        for entry in self.root.entries("connections") {
            if let Some(connection) = self.connection(entry) {
                self.addresses(entry, &connection);
                self.connections.insert(entry.key.clone(), connection);
            }
        }
        for entry in self.root.entries("topics") {
            let topic = self.topic(entry);
            self.topics.insert(entry.key.clone(), topic);
        }
        for entry in self.root.entries("tables") {
            let table = self.table(entry);
            self.tables.insert(entry.key.clone(), table);
        }
        let flows: Vec<Flow> = self.root.entries("flows").iter().map(|entry| self.flow(entry)).collect();
        self.parents(&flows);
        self.whole(&flows);
        let file = Path::new(self.source.name.as_ref());
        let simulation = self.root.get("simulation").and_then(Node::text);
        Plan {
            name: self.root.text("topology"),
            about: self.root.text("about").trim().into(),
            aliases: self.root.texts("aliases"),
            file: file.into(),
            simulation: simulation.map(|path| file.parent().unwrap_or(Path::new("")).join(path)),
            connections: std::mem::take(&mut self.connections),
            topics: std::mem::take(&mut self.topics),
            tables: std::mem::take(&mut self.tables),
            flows,
        }
    }

    fn header(&mut self) {
        if let Some(node) = self.root.get("language").filter(|n| n.text() != Some(language::VERSION)) {
            let message = format!("this engine does not know version {} of the language", node.shown());
            self.problem(code::LANGUAGE, node.span, message).expected = Some(language::VERSION.into());
        }
        if let Some(node) = self.root.get("topology") {
            let name = node.text().unwrap_or_default();
            let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            if name.is_empty() || !name.chars().all(plain) {
                let message = format!("{} is no name of a topology", node.shown());
                self.problem(code::BAD_NAME, node.span, message).expected =
                    Some("letters, digits, `_`, `-` and `.`".into());
            }
        }
    }

    fn problem(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.problems.push(Diagnostic::new(code, self.source, span, message));
        let last = self.problems.len() - 1;
        &mut self.problems[last]
    }

    /// Reports a name that is not declared in the section at `path`, with the nearest one that is.
    fn unknown(&mut self, code: &'static str, what: &str, node: &Node, names: &[String], path: &[&str]) {
        let problem = Diagnostic::new(code, self.source, node.span, format!("unknown {what} {}", node.shown()));
        let given = node.text().unwrap_or_default();
        let problem = problem.nearest(given, names.iter().map(String::as_str));
        // What came from the environment is not shown, and is no name of the file.
        let written = node.shown().contains(given);
        self.problems.push(if written { problem.about(under(path, given)) } else { problem });
    }

    fn place(&self, span: Span, path: impl Into<String>) -> Place {
        let (line, column) = self.source.position(span.start);
        Place { file: self.source.name.clone(), line, column, path: path.into() }
    }

    /// Whether one of these problems was found: then what depends on it is not reported.
    fn found(&self, codes: &[&str]) -> bool {
        self.problems.iter().any(|problem| codes.contains(&problem.code))
    }

    /// The names declared under a key of the topology, built or not.
    fn declared(&self, section: &str) -> Vec<String> {
        self.root.entries(section).iter().map(|e| e.key.clone()).collect()
    }

    /// The names of the connections of a kind, built or not.
    fn declared_of(&self, kind: &str) -> Vec<String> {
        let of_kind = self.root.entries("connections").iter().filter(|e| e.value.get(kind).is_some());
        of_kind.map(|e| e.key.clone()).collect()
    }

    /// The names of the connections that lack a kind, which was reported: they may be of any.
    fn of_no_kind(&self) -> Vec<String> {
        let kinds = language::CONNECTION.one_of;
        let lacks = |e: &&Entry| !kinds.iter().any(|kind| e.value.get(kind).is_some());
        self.root.entries("connections").iter().filter(lacks).map(|e| e.key.clone()).collect()
    }

    /// The name of a connection of a kind that a key names.
    fn connection_of(&mut self, reader: &Reader<'a>, key: &str, kind: &'static str) -> String {
        let Some(node) = reader.get(key) else { return String::new() };
        let name = node.text().unwrap_or_default().to_owned();
        self.used.insert(("connections", name.clone()));
        let declared = self.declared("connections");
        self.named.insert(under(&["connections"], &name));
        match self.connections.get(&name) {
            Some(connection) if connection.kind() != kind => {
                let message = format!("the connection `{name}` is of kind `{}`", connection.kind());
                let fitting: Vec<_> =
                    self.connections.iter().filter(|(_, c)| c.kind() == kind).map(|(n, _)| format!("`{n}`")).collect();
                let problem = self.problem(code::CONNECTION_KIND, node.span, message);
                problem.expected = Some(format!("a connection of kind `{kind}`"));
                problem.help = (!fitting.is_empty()).then(|| format!("of that kind: {}", fitting.join(", ")));
                if let [one] = fitting.as_slice() {
                    problem.suggestion = Some(one.trim_matches('`').to_owned());
                }
            }
            None if !declared.contains(&name) => {
                // What is near is of no use if it is of another kind.
                let fitting = self.declared_of(kind);
                self.unknown(
                    code::UNKNOWN_CONNECTION,
                    "connection",
                    node,
                    if fitting.is_empty() { &declared } else { &fitting },
                    &["connections"],
                );
            }
            _ => {}
        }
        name
    }

    /// Like [`Self::connection_of`] with the key `in`, which may be left out when there is one of the kind.
    fn connection_in(&mut self, reader: &Reader<'a>, kind: &'static str) -> String {
        if reader.get("in").is_some() {
            return self.connection_of(reader, "in", kind);
        }
        match self.declared_of(kind).as_slice() {
            [only] => {
                self.used.insert(("connections", only.clone()));
                self.named.insert(under(&["connections"], only));
                only.clone()
            }
            [] if !self.of_no_kind().is_empty() => String::new(),
            [] => {
                let message = format!("there is no {kind} connection for {}", reader.shape.name);
                let problem = self.problem(code::UNKNOWN_CONNECTION, reader.at, message);
                problem.help = Some(format!("declare one: `connections: {{name: {{{kind}: {{...}}}}}}`"));
                problem.subject = Some(under(&["connections"], &format!("({kind})")));
                String::new()
            }
            several => {
                let names = several.join("`, `");
                let message = format!("{} needs the key `in`: there are several {kind} connections", reader.shape.name);
                let problem = self.problem(code::MISSING_KEY, reader.at, message);
                problem.expected = Some(format!("one of `{names}`"));
                problem.subject = Some(under(&["connections"], &format!("({kind})")));
                String::new()
            }
        }
    }

    /// The table that a node names; none is reported.
    fn table_of(&mut self, node: &Node) -> Option<String> {
        let name = node.text()?.to_owned();
        if !self.tables.contains_key(&name) {
            let declared = self.declared("tables");
            self.unknown(code::UNKNOWN_TABLE, "table", node, &declared, &["tables"]);
            return None;
        }
        self.named.insert(under(&["tables"], &name));
        Some(name)
    }

    /// The topic that a node names; none is reported.
    fn topic_of(&mut self, node: &Node) -> Option<String> {
        let name = node.text()?.to_owned();
        if !self.topics.contains_key(&name) {
            let declared = self.declared("topics");
            self.unknown(code::UNKNOWN_TOPIC, "topic", node, &declared, &["topics"]);
            return None;
        }
        self.named.insert(under(&["topics"], &name));
        Some(name)
    }

    /// Where the entry of a section stands.
    fn span_of(&self, section: &str, name: &str) -> Span {
        let entry: Option<&Entry> = self.root.entries(section).iter().find(|e| e.key == name);
        entry.map_or(Span::at(0), |e| e.at)
    }
}
