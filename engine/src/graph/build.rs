//! The drawing of a plan.

use std::fmt::Display;

use super::{Edge, Graph, Node, Options, Role};
use crate::expr::Expr;
use crate::plan::{Call, Flow, Input, Plan, SourceKind, Stage, StageKind, Trigger};
use crate::topology::value::{delay_name, kind_name};

/// A line of an edge is not longer than this, unless one name is.
const LINE: usize = 44;
/// Of a condition so many characters are shown.
const CONDITION: usize = 32;

impl Graph {
    /// The drawing of the flows with these indexes and of everything they touch; of everything there is, if these are all flows.
    pub fn of(plan: &Plan, flows: &[usize], options: &Options) -> Graph {
        let mut drawing = Drawing { plan, options, graph: Graph { title: plan.name.clone(), ..Graph::default() } };
        for flow in flows.iter().filter_map(|index| plan.flows.get(*index)) {
            drawing.flow(flow);
        }
        if flows.len() == plan.flows.len() {
            plan.topics.keys().for_each(|name| _ = drawing.topic(name));
            plan.tables.keys().for_each(|name| _ = drawing.table(name));
        }
        drawing.graph
    }
}

struct Drawing<'a> {
    plan: &'a Plan,
    options: &'a Options,
    graph: Graph,
}

impl Drawing<'_> {
    fn cluster(&mut self, title: String) -> usize {
        let known = self.graph.clusters.iter().position(|c| *c == title);
        known.unwrap_or_else(|| {
            self.graph.clusters.push(title);
            self.graph.clusters.len() - 1
        })
    }

    /// The node declared at `path`; made from the rest if it is not there yet.
    fn node(&mut self, path: String, role: Role, lines: Vec<String>, cluster: Option<String>) -> usize {
        if let Some(known) = self.graph.nodes.iter().position(|n| n.path == path) {
            return known;
        }
        let cluster = cluster.map(|title| self.cluster(title));
        self.graph.nodes.push(Node { path, role, lines, cluster });
        self.graph.nodes.len() - 1
    }

    /// An edge; what several say of one edge stands on lines of their own.
    fn edge(&mut self, from: usize, to: usize, lines: Vec<String>, dashed: bool) {
        match self.graph.edges.iter_mut().find(|e| (e.from, e.to) == (from, to)) {
            Some(known) => {
                let new: Vec<String> = lines.into_iter().filter(|line| !known.lines.contains(line)).collect();
                known.lines.extend(new);
                known.dashed &= dashed;
            }
            None => self.graph.edges.push(Edge { from, to, lines, dashed }),
        }
    }

    /// The title of a connection's cluster.
    fn place(&self, connection: &str) -> String {
        let kind = self.plan.connections.get(connection).map_or("connection", |c| c.kind());
        format!("{connection} ({kind})")
    }

    fn topic(&mut self, name: &str) -> usize {
        let Some(topic) = self.plan.topics.get(name) else {
            return self.node(format!("topics.{name}"), Role::Topic, vec![name.to_owned()], None);
        };
        let mut lines = vec![name.to_owned()];
        lines.extend((topic.name != name).then(|| topic.name.clone()));
        let others = match (topic.external_written, topic.external_read) {
            (true, true) => Some("written and read by others"),
            (true, false) => Some("written by others"),
            (false, true) => Some("read by others"),
            (false, false) => None,
        };
        lines.extend(others.map(str::to_owned));
        let place = self.place(&topic.connection);
        self.node(format!("topics.{name}"), Role::Topic, lines, Some(place))
    }

    fn table(&mut self, name: &str) -> usize {
        let place = self.plan.tables.get(name).map(|table| self.place(&table.connection));
        self.node(format!("tables.{name}"), Role::Table, vec![name.to_owned()], place)
    }

    /// A connection that is called, or keeps files.
    fn system(&mut self, name: &str, role: Role) -> usize {
        let kind = self.plan.connections.get(name).map_or("connection", |c| c.kind());
        self.node(format!("connections.{name}"), role, vec![name.to_owned(), kind.to_owned()], None)
    }

    fn flow(&mut self, flow: &Flow) {
        let cluster = format!("flow {}", flow.name);
        let at = |rest: &str| format!("flows.{}.{rest}", flow.name);
        let (before, lines) = match &flow.source.kind {
            SourceKind::Topic { connection, topic, group } => {
                let known = self.plan.topics.iter().find(|(_, t)| t.name == *topic && t.connection == *connection);
                let node = self.topic(known.map_or(topic.as_str(), |(name, _)| name.as_str()));
                (node, vec!["source".to_owned(), format!("group {group}")])
            }
            SourceKind::File { path } => {
                let lines = vec![path.display().to_string()];
                (self.node(at("source.file"), Role::Files, lines, None), vec!["source".to_owned()])
            }
        };
        let source = self.node(at("source"), Role::Source, lines, Some(cluster.clone()));
        let fields = flow.source.message.iter().map(|f| typed(&f.name, kind_name(f.kind), f.required));
        let carried = self.carried(fields);
        self.edge(before, source, carried, false);

        let mut stages = Vec::new();
        for stage in &flow.stages {
            let role = if matches!(stage.kind, StageKind::Route { .. }) { Role::Route } else { Role::Stage };
            let lines = vec![stage.name.to_string(), stage.kind.name().to_owned()];
            let node = self.node(at(&format!("stages.{}", stage.name)), role, lines, Some(cluster.clone()));
            let mut lines = condition(flow, stage.when.as_ref());
            lines.extend(self.carried(in_sight(flow, stage.input)));
            self.edge(from(stage.input, source, &stages), node, lines, false);
            stages.push(node);
            self.outside(stage, node);
        }
        self.blocks(flow, source, &stages);
        self.present(flow.source.message.iter().filter_map(|field| field.expr.as_ref()), source);
        for (stage, node) in flow.stages.iter().zip(&stages) {
            self.present(stage.expressions(), *node);
        }
        if self.options.errors {
            self.failures(flow, source);
        }
    }

    /// The tables that expressions evaluated at `node` ask for a row.
    fn present<'e>(&mut self, expressions: impl IntoIterator<Item = &'e Expr>, node: usize) {
        for expr in expressions {
            let tables = expr.functions().iter().filter(|f| f.name == "present");
            for name in tables.filter_map(|f| f.literals.first().cloned().flatten()) {
                let table = self.table(&name);
                self.edge(table, node, vec!["present".to_owned()], true);
            }
        }
    }

    /// What a stage reaches outside its flow.
    fn outside(&mut self, stage: &Stage, node: usize) {
        match &stage.kind {
            StageKind::Enrich(enrich) => {
                let api = self.system(&enrich.call.connection, Role::System);
                let lines = self.request(&enrich.call);
                self.edge(node, api, lines, false);
            }
            StageKind::Download(download) => {
                let hosts = self.system(&download.connection, Role::System);
                self.edge(hosts, node, Vec::new(), false);
                let spool = self.system(&download.spool, Role::Files);
                self.edge(node, spool, Vec::new(), false);
                if let Some(refresh) = &download.refresh {
                    let api = self.system(&refresh.call.connection, Role::System);
                    let lines = self.request(&refresh.call);
                    self.edge(node, api, lines, false);
                }
            }
            StageKind::Upload(upload) => {
                let spool = self.system(&upload.spool, Role::Files);
                self.edge(spool, node, Vec::new(), false);
                let store = self.system(&upload.connection, Role::Files);
                self.edge(node, store, Vec::new(), false);
            }
            StageKind::Dedup { table: Some(seen), .. } => {
                let table = self.table(&seen.table);
                self.edge(table, node, vec!["keys seen".to_owned()], true);
            }
            _ => {}
        }
    }

    fn request(&self, call: &Call) -> Vec<String> {
        let path = if self.options.types { format!(" {}", call.path.text()) } else { String::new() };
        vec![format!("{}{path}", call.method)]
    }

    fn blocks(&mut self, flow: &Flow, source: usize, stages: &[usize]) {
        for rows in &flow.rows {
            let table = self.table(&rows.table);
            let columns = self.plan.tables.get(&rows.table).map(|t| t.spec.columns.clone()).unwrap_or_default();
            let written = rows.columns.iter().filter_map(|c| columns.get(c.column));
            let written = self.carried(written.map(|c| typed(&c.name, kind_name(Some(c.kind)), !c.nullable)));
            let begin = self.block(flow, (source, stages), table, &rows.trigger, rows.when.as_ref(), written);
            self.present(rows.expressions(), begin);
        }
        for send in &flow.sends {
            let topic = self.topic(&send.topic);
            let body = self.carried(send.body.iter().map(|f| typed(&f.name, kind_name(f.kind), f.required)));
            let begin = self.block(flow, (source, stages), topic, &send.trigger, send.when.as_ref(), body);
            self.present(send.expressions(), begin);
        }
    }

    /// The edge of a block; returns the node that it begins at.
    fn block(
        &mut self,
        flow: &Flow,
        (source, stages): (usize, &[usize]),
        to: usize,
        trigger: &Trigger,
        when: Option<&Expr>,
        carried: Vec<String>,
    ) -> usize {
        let mut lines = condition(flow, when);
        let begin = match trigger {
            Trigger::Documents(input) => from(*input, source, stages),
            Trigger::Outcomes(statuses) => {
                let words: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
                lines.insert(0, words.join(", "));
                self.outcomes(flow, source)
            }
        };
        lines.extend(carried);
        self.edge(begin, to, lines, false);
        begin
    }

    fn outcomes(&mut self, flow: &Flow, source: usize) -> usize {
        let cluster = format!("flow {}", flow.name);
        let path = format!("flows.{}.outcomes", flow.name);
        let node = self.node(path, Role::Outcomes, vec!["outcomes".to_owned()], Some(cluster));
        self.edge(source, node, Vec::new(), false);
        node
    }

    /// Where messages go that failed, and how they come back.
    fn failures(&mut self, flow: &Flow, source: usize) {
        let retry = &flow.source.retry;
        if retry.dead_letter.is_empty() {
            return;
        }
        let outcomes = self.outcomes(flow, source);
        let place = self.place(&retry.connection);
        for topic in retry.topics() {
            let path = format!("flows.{}.source.retry.{topic}", flow.name);
            let node = self.node(path, Role::Failed, vec![topic.to_owned()], Some(place.clone()));
            self.edge(outcomes, node, vec!["retried".to_owned()], true);
            let delay = retry.delays.iter().find(|(_, t)| t == topic).map(|(delay, _)| delay_name(*delay));
            self.edge(node, source, delay.map(|delay| format!("after {delay}")).into_iter().collect(), true);
        }
        let path = format!("flows.{}.source.retry.dead_letter", flow.name);
        let node = self.node(path, Role::Failed, vec![retry.dead_letter.clone()], Some(place));
        self.edge(outcomes, node, vec!["dead".to_owned()], true);
    }

    /// What an edge carries, if that is asked for: on as many lines as it needs.
    fn carried(&self, names: impl IntoIterator<Item = String>) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for name in names.into_iter().filter(|_| self.options.types) {
            match lines.last_mut() {
                Some(line) if line.chars().count() + name.chars().count() + 2 <= LINE => {
                    line.push_str(", ");
                    line.push_str(&name);
                }
                _ => lines.push(name),
            }
        }
        lines
    }
}

fn from(input: Input, source: usize, stages: &[usize]) -> usize {
    match input {
        Input::Source => source,
        Input::After(stage) | Input::Produced(stage) => stages.get(stage).copied().unwrap_or(source),
    }
}

fn typed(name: &impl Display, kind: &str, required: bool) -> String {
    format!("{name}: {kind}{}", if required { "!" } else { "" })
}

/// The bindings of documents from an input, the message first.
fn in_sight(flow: &Flow, input: Input) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = input;
    while let Input::After(index) | Input::Produced(index) = at {
        let Some(stage) = flow.stages.get(index) else { break };
        if !matches!(stage.kind, StageKind::Filter { .. } | StageKind::Dedup { .. } | StageKind::Aggregate { .. }) {
            names.push(stage.name.to_string());
        }
        at = stage.input;
    }
    names.push("event".to_owned());
    names.reverse();
    names
}

/// What a condition says on an edge: the labels of a route that it asks for, or its beginning.
fn condition(flow: &Flow, when: Option<&Expr>) -> Vec<String> {
    let Some(when) = when else { return Vec::new() };
    let mut labels: Vec<String> = Vec::new();
    for path in when.paths() {
        let [route, label, ..] = path.as_slice() else { continue };
        let is_label = |stage: &Stage| match &stage.kind {
            StageKind::Route { labels, .. } => *stage.name == **route && labels.iter().any(|l| **l == **label),
            _ => false,
        };
        if flow.stages.iter().any(is_label) && !labels.contains(label) {
            labels.push(label.clone());
        }
    }
    if !labels.is_empty() {
        return vec![labels.join(", ")];
    }
    let text: Vec<&str> = when.text().split_whitespace().collect();
    let text = text.join(" ");
    let short: String = text.chars().take(CONDITION).collect();
    vec![format!("if {short}{}", if short.len() < text.len() { "…" } else { "" })]
}
