//! What only shows when all flows are known: who feeds a table, who reads and writes a topic, what nothing uses.

use std::collections::{BTreeMap, BTreeSet};

use connectors::table::ColumnType;

use super::super::{Connection, Flow, Rows, SourceKind, StageKind};
use super::Builder;
use crate::topology::language::{FLOW, LOG_FLAGS};
use crate::topology::node::Entry;
use crate::topology::reader::Reader;
use crate::topology::{Span, code, value};

impl<'a> Builder<'a> {
    pub(super) fn whole(&mut self, flows: &[Flow]) {
        self.names(flows);
        self.tables_of(flows);
        self.topics_of(flows);
        self.retry_topics(flows);
        self.one_log(flows);
        self.spools(flows);
        for (flow, entry) in flows.iter().zip(self.root.entries("flows")) {
            let reader = Reader::of(entry, &FLOW);
            self.exactly_once(flow, &reader);
            self.files(flow, &reader);
            let effect = |kind: &StageKind| match kind {
                StageKind::Upload(_) | StageKind::Aggregate { .. } => true,
                StageKind::Enrich(enrich) => enrich.call.method == "POST",
                _ => false,
            };
            let outputs = reader.entries("rows").len() + reader.entries("send").len();
            if outputs == 0 && !flow.stages.iter().any(|s| effect(&s.kind)) {
                self.absence(code::NO_OUTPUT, entry.at, format!("the flow `{}` writes nothing", flow.name), None);
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
        let mut told: Vec<(&str, &str)> = Vec::new();
        for flow in flows {
            for block in &flow.rows {
                let first = feeders.entry(&block.table).or_insert(&flow.name);
                if *first != flow.name && !told.contains(&(flow.name.as_str(), block.table.as_str())) {
                    told.push((&flow.name, &block.table));
                    let message = format!("the flows `{first}` and `{}` feed the table `{}`", flow.name, block.table);
                    let span = self.named_span(&flow.name, "rows", &block.name, "table");
                    self.problem(code::TWO_FLOWS, span, message).help =
                        Some("one flow feeds a table: send a message to that flow instead".into());
                }
            }
            self.disagreements(flow);
        }
        let misspelt = self.found(&[code::UNKNOWN_TABLE, code::UNKNOWN_KEY]);
        for (name, table) in self.tables.clone() {
            self.used.insert(("connections", table.connection));
            // A broken block may be the one that feeds it.
            if !misspelt && !self.names_table(&name) && !self.used.contains(&("tables", name.clone())) {
                let span = self.span_of("tables", &name);
                self.absence(code::UNUSED, span, format!("no flow feeds the table `{name}`"), None);
            }
        }
    }

    /// Blocks that write one column from paths of types that have nothing in common: a column of text takes both, and whoever
    /// reads the table takes one of them for the other.
    fn disagreements(&mut self, flow: &Flow) {
        let mut all: BTreeMap<(&str, usize), Vec<(&Rows, ColumnType)>> = BTreeMap::new();
        for block in &flow.rows {
            for column in &block.columns {
                let kind = self.kinds.get(&(flow.name.clone(), block.name.to_string(), column.column)).copied();
                let Some(kind) = kind else { continue };
                let writers = all.entry((&block.table, column.column)).or_default();
                let misfit = |(_, before): &&(&Rows, ColumnType)| {
                    !value::fits(Some(*before), Some(kind)) && !value::fits(Some(kind), Some(*before))
                };
                let found = writers.iter().find(misfit).copied();
                writers.push((block, kind));
                let Some((other, before)) = found else { continue };
                let name = self.tables.get(&block.table).and_then(|t| t.spec.columns.get(column.column));
                let message = format!(
                    "`{}` writes a `{}` into the column `{}`, and `{}` a `{}`",
                    block.name,
                    value::kind_name(Some(kind)),
                    name.map_or("", |c| c.name.as_str()),
                    other.name,
                    value::kind_name(Some(before)),
                );
                let span = self.column_span(&flow.name, &block.name, name.map_or("", |c| c.name.as_str()));
                self.problem(code::DISAGREEMENT, span, message).help =
                    Some("make them one type; if the column is meant to hold both, say `string(...)`".into());
            }
        }
    }

    fn column_span(&self, flow: &str, block: &str, column: &str) -> Span {
        let columns =
            self.block(flow, "rows", block).and_then(|e| e.value.get("columns")).map_or(&[][..], |n| n.entries());
        columns.iter().find(|e| e.key.trim_end_matches('?') == column).map_or(Span::at(0), |e| e.value.span)
    }

    fn block(&self, flow: &str, section: &str, block: &str) -> Option<&'a Entry> {
        let flow = self.root.entries("flows").iter().find(|e| e.key == flow)?;
        flow.value.get(section)?.entries().iter().find(|e| e.key == block)
    }

    /// Where the value of a key of a block stands.
    fn named_span(&self, flow: &str, section: &str, block: &str, key: &str) -> Span {
        let block = self.block(flow, section, block);
        let named = block.and_then(|e| e.value.get(key)).map(|node| node.span);
        named.or(block.map(|e| e.at)).unwrap_or_default()
    }

    fn topics_of(&mut self, flows: &[Flow]) {
        let mut places: BTreeMap<(String, String), String> = BTreeMap::new();
        for (name, topic) in self.topics.clone() {
            let span = self.span_of("topics", &name);
            let place = (topic.connection.clone(), topic.name.clone());
            if let Some(other) = places.insert(place, name.clone()) {
                let entry = self.root.entries("topics").iter().find(|e| e.key == name);
                let span = entry.and_then(|e| e.value.get("name")).map_or(span, |node| node.span);
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
            // A word that was misspelt here, or a name elsewhere, may have meant this one.
            let external =
                self.root.entries("topics").iter().find(|e| e.key == name).and_then(|e| e.value.get("external"));
            let said = |word: &str| external.map(|node| node.span).filter(|_| word != "both");
            if external.is_some_and(|node| node.text().is_none_or(|text| !LOG_FLAGS.contains(&text))) {
                continue;
            }
            if self.found(&[code::UNKNOWN_TOPIC]) {
                continue;
            }
            let (unread, unwritten) = (!read && !topic.external_read, !written && !topic.external_written);
            if unread && unwritten {
                let message = format!("nobody reads or writes the topic `{name}`");
                self.absence(code::UNREAD_TOPIC, span, message, None).help =
                    Some("remove it, or say what others do with it: `external: both`".into());
            } else if unread {
                // Written here and said to be written by others: probably the other word was meant.
                let other = if topic.external_written && !written { "both" } else { "read" };
                let message = format!("nobody reads the topic `{name}`");
                let problem = self.absence(code::UNREAD_TOPIC, said(other).unwrap_or(span), message, None);
                problem.help = Some(format!("if somebody else does, say `external: {other}`"));
                problem.suggestion = said(other).map(|_| other.to_owned());
            } else if unwritten {
                let other = if topic.external_read && !read { "both" } else { "written" };
                let message = format!("nobody writes the topic `{name}`");
                let problem = self.absence(code::UNWRITTEN_TOPIC, said(other).unwrap_or(span), message, None);
                problem.help = Some(format!("if somebody else does, say `external: {other}`"));
                problem.suggestion = said(other).map(|_| other.to_owned());
            }
        }
        for flow in flows {
            let SourceKind::Topic { topic, connection, .. } = &flow.source.kind else { continue };
            for send in &flow.sends {
                let same = |t: &super::super::Topic| t.name == *topic && t.connection == *connection;
                if self.topics.get(&send.topic).is_some_and(same) {
                    let span = self.named_span(&flow.name, "send", &send.name, "topic");
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
                let span = source.get("group").map_or(source.at, |node| node.span);
                self.problem(code::SAME_PLACE, span, message).help = Some("give each flow a group of its own".into());
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

    /// A flow has one producer: what it sends, retries and gives up goes where its messages come from.
    fn one_log(&mut self, flows: &[Flow]) {
        for flow in flows {
            let mut own = match &flow.source.kind {
                SourceKind::Topic { connection, .. } => Some(connection.clone()).filter(|name| !name.is_empty()),
                SourceKind::File { .. } => None,
            };
            for send in &flow.sends {
                let Some(topic) = self.topics.get(&send.topic).filter(|t| !t.connection.is_empty()) else { continue };
                let other = topic.connection.clone();
                let own = own.get_or_insert_with(|| other.clone());
                if *own != other {
                    let message = format!(
                        "the topic `{}` is in `{other}`, and the flow `{}` writes to `{own}` only",
                        send.topic, flow.name
                    );
                    let span = self.named_span(&flow.name, "send", &send.name, "topic");
                    self.problem(code::SEVERAL_LOGS, span, message).expected =
                        Some("topics of one kafka connection in one flow".into());
                }
            }
        }
    }

    /// A spool is a folder of this machine, and nothing else.
    fn spools(&mut self, flows: &[Flow]) {
        let mut spools: BTreeSet<String> = BTreeSet::new();
        for stage in flows.iter().flat_map(|flow| &flow.stages) {
            match &stage.kind {
                StageKind::Download(download) => spools.insert(download.spool.clone()),
                StageKind::Upload(upload) => spools.insert(upload.spool.clone()),
                _ => false,
            };
        }
        for name in &spools {
            let Some(Connection::ObjectStore(store)) = self.connections.get(name) else { continue };
            if is_local(&store.url) {
                continue;
            }
            let span = self.address_span(name, "object_store").unwrap_or_else(|| self.span_of("connections", name));
            self.problem(
                code::SPOOL,
                span,
                format!("`{name}` is used as a spool, and a spool is a folder of this machine"),
            )
            .help = Some("give a path or a `file://` url, or let `spool` name another connection".into());
        }
        for flow in flows {
            for stage in &flow.stages {
                let StageKind::Upload(upload) = &stage.kind else { continue };
                if !spools.contains(&upload.connection) {
                    continue;
                }
                let stage = self.block(&flow.name, "stages", &stage.name).and_then(|e| e.value.get("upload"));
                let span = stage.and_then(|n| n.get("connection")).map_or(Span::at(0), |n| n.span);
                let message = format!("`{}` is a spool: files are uploaded from it, not to it", upload.connection);
                self.problem(code::SPOOL, span, message).help = Some("name another object store".into());
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

    fn files(&mut self, flow: &Flow, reader: &Reader<'a>) {
        let moves_files = flow.stages.iter().any(|s| matches!(s.kind, StageKind::Download(_) | StageKind::Upload(_)));
        if moves_files && !flow.rows.is_empty() {
            let message =
                format!("the flow `{}` moves files and feeds tables: slow files hold back its rows", flow.name);
            self.problem(code::FILES_AND_TABLES, reader.at, message).help =
                Some("send the result to a topic and feed the tables from there".into());
        }
    }

    fn unused(&mut self) {
        // A name that was misspelt elsewhere may have meant one of these.
        if self.found(&[code::UNKNOWN_CONNECTION, code::CONNECTION_KIND]) {
            return;
        }
        for topic in self.topics.values() {
            self.used.insert(("connections", topic.connection.clone()));
        }
        for entry in self.root.entries("connections") {
            if !self.used.contains(&("connections", entry.key.clone())) {
                self.absence(code::UNUSED, entry.at, format!("nothing uses the connection `{}`", entry.key), None);
            }
        }
    }
}

/// Whether files under a url are on this machine only.
fn is_local(url: &str) -> bool {
    !url.contains("://") || url.starts_with("file://")
}
