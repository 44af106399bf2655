//! What only shows when all flows are known: who feeds a table, who reads and writes a topic, what nothing uses.

use std::collections::BTreeMap;

use super::super::{Connection, Flow, SourceKind, StageKind};
use super::Builder;
use crate::topology::language::FLOW;
use crate::topology::reader::Reader;
use crate::topology::{Span, code};

impl<'a> Builder<'a> {
    pub(super) fn whole(&mut self, flows: &[Flow]) {
        self.names(flows);
        self.tables_of(flows);
        self.topics_of(flows);
        self.retry_topics(flows);
        for (flow, entry) in flows.iter().zip(self.root.entries("flows")) {
            let reader = Reader::of(entry, &FLOW);
            self.exactly_once(flow, &reader);
            self.files(flow, flows, &reader);
            let effect = |kind: &StageKind| match kind {
                StageKind::Upload(_) | StageKind::Aggregate { .. } => true,
                StageKind::Enrich(enrich) => enrich.call.method == "POST",
                _ => false,
            };
            let outputs = reader.entries("rows").len() + reader.entries("send").len();
            if outputs == 0 && !flow.stages.iter().any(|s| effect(&s.kind)) {
                self.problem(code::NO_OUTPUT, entry.at, format!("the flow `{}` writes nothing", flow.name));
            }
        }
        self.unused();
    }

    fn names(&mut self, flows: &[Flow]) {
        let mut seen: Vec<String> = flows.iter().map(|f| f.name.clone()).collect();
        for entry in self.root.entries("flows") {
            for alias in Reader::of(entry, &FLOW).items("aliases") {
                let name = alias.text().unwrap_or_default().to_owned();
                if seen.contains(&name) {
                    self.problem(
                        code::DUPLICATE_NAME,
                        alias.span,
                        format!("another flow answers to {}", alias.shown()),
                    );
                }
                seen.push(name);
            }
        }
        // A flow's name would hide the topology's on the command line.
        let mut others: Vec<&str> = vec![];
        for alias in self.root.items("aliases") {
            let name = alias.text().unwrap_or_default();
            if seen.iter().any(|flow| flow == name) {
                let message = format!("a flow of this topology answers to {}", alias.shown());
                self.problem(code::DUPLICATE_NAME, alias.span, message);
            } else if others.contains(&name) {
                let message = format!("{} is twice among the aliases", alias.shown());
                self.problem(code::DUPLICATE_NAME, alias.span, message);
            }
            others.push(name);
        }
    }

    fn tables_of(&mut self, flows: &[Flow]) {
        let mut feeders: BTreeMap<&str, &str> = BTreeMap::new();
        for flow in flows {
            for block in &flow.rows {
                let first = feeders.entry(&block.table).or_insert(&flow.name);
                if *first != flow.name {
                    let message = format!("the flows `{first}` and `{}` feed the table `{}`", flow.name, block.table);
                    let span = self.block_span(&flow.name, "rows", &block.name);
                    self.problem(code::TWO_FLOWS, span, message).help =
                        Some("one flow feeds a table: send a message to that flow instead".into());
                }
            }
        }
        for (name, table) in self.tables.clone() {
            self.used.insert(("connections", table.connection));
            // A broken block may be the one that feeds it.
            let named = self.root.entries("flows").iter().any(|flow| {
                let blocks = flow.value.get("rows").map_or(&[][..], |n| n.entries());
                blocks.iter().any(|b| b.value.get("table").and_then(|n| n.text()) == Some(&name))
            });
            if !named && !self.used.contains(&("tables", name.clone())) {
                let span = self.span_of("tables", &name);
                self.problem(code::UNUSED, span, format!("no flow feeds the table `{name}`"));
            }
        }
    }

    fn block_span(&self, flow: &str, section: &str, block: &str) -> Span {
        let flow = self.root.entries("flows").iter().find(|e| e.key == flow);
        let blocks = flow.and_then(|f| f.value.get(section)).map_or(&[][..], |n| n.entries());
        blocks.iter().find(|e| e.key == block).map_or(Span::at(0), |e| e.at)
    }

    fn topics_of(&mut self, flows: &[Flow]) {
        let mut places: BTreeMap<(String, String), String> = BTreeMap::new();
        for (name, topic) in self.topics.clone() {
            let span = self.span_of("topics", &name);
            let place = (topic.connection.clone(), topic.name.clone());
            if let Some(other) = places.insert(place, name.clone()) {
                self.problem(code::SAME_PLACE, span, format!("the topics `{other}` and `{name}` have one name"));
            }
            // What the file says, not what was built: a broken block still names its topic.
            let mut read = false;
            let mut written = false;
            for entry in self.root.entries("flows") {
                let flow = Reader::of(entry, &FLOW);
                read |= flow.opt_object("source").is_some_and(|s| s.get("topic").and_then(|n| n.text()) == Some(&name));
                written |=
                    flow.entries("send").iter().any(|b| b.value.get("topic").and_then(|n| n.text()) == Some(&name));
            }
            if !read && !topic.external_read {
                self.problem(code::UNREAD_TOPIC, span, format!("nobody reads the topic `{name}`")).help =
                    Some("if somebody else does, say `external: read`".into());
            }
            if !written && !topic.external_written {
                self.problem(code::UNWRITTEN_TOPIC, span, format!("nobody writes the topic `{name}`")).help =
                    Some("if somebody else does, say `external: written`".into());
            }
        }
        for flow in flows {
            let SourceKind::Topic { topic, connection, .. } = &flow.source.kind else { continue };
            for send in &flow.sends {
                let same = |t: &super::super::Topic| t.name == *topic && t.connection == *connection;
                if self.topics.get(&send.topic).is_some_and(same) {
                    let span = self.block_span(&flow.name, "send", &send.name);
                    self.problem(code::SELF_LOOP, span, format!("the flow `{}` writes the topic it reads", flow.name));
                }
            }
        }
    }

    /// No two flows wait in one retry topic or share a group, and no declared topic is one.
    fn retry_topics(&mut self, flows: &[Flow]) {
        let mut owners: BTreeMap<(String, String), String> = BTreeMap::new();
        for (name, topic) in &self.topics {
            owners.insert((topic.connection.clone(), topic.name.clone()), format!("the topic `{name}`"));
        }
        let mut groups: BTreeMap<(&str, &str, &str), &str> = BTreeMap::new();
        for (flow, entry) in flows.iter().zip(self.root.entries("flows")) {
            let SourceKind::Topic { connection, topic, group } = &flow.source.kind else { continue };
            let reader = Reader::of(entry, &FLOW);
            let Some(source) = reader.opt_object("source") else { continue };
            if let Some(first) = groups.insert((connection, topic, group), &flow.name)
                && !topic.is_empty()
            {
                let message = format!(
                    "the flows `{first}` and `{}` read one topic in one group: each would get a part",
                    flow.name
                );
                self.problem(code::SAME_PLACE, source.place("group"), message);
            }
            let Some(retry) = source.opt_object("retry") else { continue };
            let owner = format!("the retries of `{}`", flow.name);
            let mut seen: Vec<&str> = Vec::new();
            for (_, name) in &flow.source.retry.delays {
                if name.is_empty() || seen.contains(&name.as_str()) {
                    continue;
                }
                seen.push(name);
                let place = (flow.source.retry.connection.clone(), name.clone());
                if let Some(other) = owners.insert(place, owner.clone()) {
                    let span = retry.get("topic").map_or(retry.at, |n| n.span);
                    self.problem(code::SAME_PLACE, span, format!("`{name}` is taken by {other}"));
                }
            }
            let dead = (flow.source.retry.connection.clone(), flow.source.retry.dead_letter.clone());
            if let Some(other) = owners.get(&dead) {
                let message = format!("the dead letter topic is taken by {other}");
                let span = retry.get("dead_letter").map_or(retry.at, |n| n.span);
                self.problem(code::SAME_PLACE, span, message);
            }
        }
    }

    fn exactly_once(&mut self, flow: &Flow, reader: &Reader<'a>) {
        if !flow.exactly_once {
            return;
        }
        let span = reader.get("delivery").map_or(reader.at, |n| n.span);
        let message = "`delivery: exactly_once` belongs to the language, but this engine cannot do it yet".to_owned();
        self.problem(code::EXACTLY_ONCE, span, message).help =
            Some("leave it out: tables take every row once all the same, by key and version".into());
    }

    fn files(&mut self, flow: &Flow, flows: &[Flow], reader: &Reader<'a>) {
        let spool = |flow: &Flow| {
            flow.stages.iter().find_map(|s| match &s.kind {
                StageKind::Download(download) => Some(download.spool.clone()),
                StageKind::Upload(upload) => Some(upload.spool.clone()),
                _ => None,
            })
        };
        let Some(own) = spool(flow) else { return };
        if !flow.rows.is_empty() {
            let message =
                format!("the flow `{}` moves files and feeds tables: slow files hold back its rows", flow.name);
            self.problem(code::FILES_AND_TABLES, reader.at, message).help =
                Some("send the result to a topic and feed the tables from there".into());
        }
        let local = matches!(self.connections.get(&own), Some(Connection::ObjectStore(s)) if is_local(&s.url));
        let first = flows.iter().find(|f| spool(f).as_ref() == Some(&own)).map(|f| f.name.as_str());
        if let Some(first) = first.filter(|f| local && *f != flow.name) {
            let message = format!("the flows `{first}` and `{}` share the local spool `{own}`", flow.name);
            self.problem(code::SPLIT_SPOOL, reader.at, message).help =
                Some("run them in one process, or on one disk".into());
        }
    }

    fn unused(&mut self) {
        for topic in self.topics.values() {
            self.used.insert(("connections", topic.connection.clone()));
        }
        for entry in self.root.entries("connections") {
            if !self.used.contains(&("connections", entry.key.clone())) {
                self.problem(code::UNUSED, entry.at, format!("nothing uses the connection `{}`", entry.key));
            }
        }
    }
}

/// Whether files under a url are on this machine only.
fn is_local(url: &str) -> bool {
    !url.contains("://") || url.starts_with("file://")
}
