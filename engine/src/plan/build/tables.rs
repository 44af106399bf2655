//! Tables: columns, keys, groups, parents.

use std::sync::Arc;

use connectors::table::{Column, ColumnType, Group, Mode, TableSpec};

use super::super::{Connection, Flow, Flush, Table};
use super::{Builder, under};
use crate::topology::language::{FLUSH, GROUP, TABLE};
use crate::topology::node::{Entry, Node, Value};
use crate::topology::reader::Reader;
use crate::topology::{code, value};

impl<'a> Builder<'a> {
    pub(super) fn table(&mut self, entry: &'a Entry) -> Table {
        let reader = Reader::of(entry, &TABLE);
        let connection = self.connection_in(&reader, "delta");
        let mut columns: Vec<Column> = reader.entries("columns").iter().map(column).collect();
        let problems = self.problems.len();
        if !reader.get("columns").is_some_and(|node| matches!(node.value, Value::Map(_))) {
            self.formless.insert(("tables", entry.key.clone()));
        }
        self.distinct(reader.entries("columns"));
        let table = entry.key.as_str();
        let key = self.columns(&reader, "key", &columns, table);
        let partition = self.columns(&reader, "partition", &columns, table);
        let keep = self.columns(&reader, "keep", &columns, table);
        self.fit_for_keys(&reader, &columns, &key, &partition, &keep);
        for index in &key {
            if let Some(column) = columns.get_mut(*index) {
                column.nullable = false;
            }
        }
        let mode = if reader.opt_text("mode") == Some("insert") { Mode::Insert } else { Mode::Merge };
        if mode == Mode::Insert {
            for name in ["groups", "keep"] {
                if let Some(entry) = reader.entry(name) {
                    let message = format!("`{name}` means nothing in a table of mode `insert`: its rows never change");
                    self.problem(code::INSERT_MODE, entry.at, message);
                }
            }
        }
        let mut groups = self.groups(&reader, &columns, &key, &keep, table);
        // A column that is not there leaves others without a group: one problem is enough.
        if self.problems.iter().skip(problems).any(|p| p.code == code::UNKNOWN_COLUMN) {
            let mut at = 0;
            self.problems.retain(|p| {
                at += 1;
                at <= problems || p.code != code::GROUPS
            });
            groups.clear();
        }
        let flush = reader.object("flush", &FLUSH);
        let path = reader.opt_text("path").unwrap_or(&entry.key);
        let url = match self.connections.get(&connection) {
            Some(Connection::Delta(delta)) if !path.contains("://") && !path.starts_with('/') => {
                format!("{}/{path}", delta.url.trim_end_matches('/'))
            }
            _ => path.to_owned(),
        };
        if let Some(node) = reader.get("path") {
            self.table_path(node, path, &connection);
        }
        Table {
            spec: Arc::new(TableSpec { name: entry.key.clone(), columns, key, partition, mode, keep, groups }),
            connection,
            url,
            about: reader.text("about").trim().into(),
            parent: reader.opt_text("parent").map(str::to_owned),
            flush: Flush {
                rows: flush.integer("rows"),
                bytes: flush.opt_size("bytes").unwrap_or(usize::MAX),
                age: flush.duration("age"),
            },
            place: self.place(entry.at, format!("tables.{}", entry.key)),
        }
    }

    /// The indexes of the columns that a list names, each once.
    fn columns(&mut self, reader: &Reader<'a>, name: &str, columns: &[Column], table: &str) -> Vec<usize> {
        let mut indexes = Vec::new();
        for node in reader.items(name) {
            match self.column_of(node, columns, table) {
                Some(index) if indexes.contains(&index) => {
                    self.problem(code::DUPLICATE_NAME, node.span, format!("{} stands twice in `{name}`", node.shown()));
                }
                Some(index) => indexes.push(index),
                None => {}
            }
        }
        indexes
    }

    fn column_of(&mut self, node: &Node, columns: &[Column], table: &str) -> Option<usize> {
        let name = node.text()?;
        let path = ["tables", table, "columns"];
        let found = columns.iter().position(|c| c.name == name);
        if found.is_some() {
            self.named.insert(under(&path, name));
        } else if !self.formless.contains(&("tables", table.to_owned())) {
            let names: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
            self.unknown(code::UNKNOWN_COLUMN, "column", node, &names, &path);
        }
        found
    }

    fn fit_for_keys(
        &mut self,
        reader: &Reader<'a>,
        columns: &[Column],
        key: &[usize],
        partition: &[usize],
        keep: &[usize],
    ) {
        if key.is_empty()
            && reader.get("key").is_some_and(|n| matches!(&n.value, Value::List(items) if items.is_empty()))
        {
            self.problem(
                code::KEY_COLUMN,
                reader.place("key"),
                "a table needs a key: without one a replay would double its rows",
            );
        }
        let what = [("key", key), ("partition", partition)];
        for (name, indexes) in what {
            for node in reader.items(name) {
                let column =
                    indexes.iter().filter_map(|i| columns.get(*i)).find(|c| Some(c.name.as_str()) == node.text());
                let Some(column) = column else { continue };
                let kind = value::kind_name(Some(column.kind));
                if matches!(column.kind, ColumnType::Json | ColumnType::Float64) {
                    let message = format!("`{}` is of type `{kind}` and cannot be in the {name}", column.name);
                    self.problem(code::KEY_COLUMN, node.span, message);
                }
                // The path of a partition has one spelling for null and for an empty text.
                if name == "partition" && column.kind == ColumnType::Text && !column.nullable {
                    let message = format!(
                        "`{}` is of type `{kind}!`, which may be empty, and a partition cannot: make it `string!`",
                        column.name
                    );
                    self.problem(code::KEY_COLUMN, node.span, message);
                }
            }
        }
        if !columns.is_empty() && partition.len() == columns.len() {
            self.problem(
                code::KEY_COLUMN,
                reader.place("partition"),
                "every column is a partition column: none is left for the files",
            );
        }
        for node in reader.items("keep") {
            let Some(index) = columns.iter().position(|c| Some(c.name.as_str()) == node.text()) else { continue };
            if keep.contains(&index) && key.contains(&index) {
                self.problem(
                    code::KEY_COLUMN,
                    node.span,
                    format!("{} is in the key, which never changes", node.shown()),
                );
            }
        }
    }

    /// Every column outside the key and `keep` in exactly one group.
    fn groups(
        &mut self,
        reader: &Reader<'a>,
        columns: &[Column],
        key: &[usize],
        keep: &[usize],
        table: &str,
    ) -> Vec<Group> {
        let outside = |index: &usize| !key.contains(index) && !keep.contains(index);
        let all: Vec<usize> = (0..columns.len()).filter(|i| outside(i)).collect();
        let declared = reader.entries("groups");
        if declared.is_empty() {
            let group = Group { name: "row".into(), version: None, columns: all.clone() };
            return if all.is_empty() { Vec::new() } else { vec![group] };
        }
        let mut groups: Vec<Group> = Vec::new();
        let mut rest: Option<usize> = None;
        for entry in declared {
            let group = Reader::of(entry, &GROUP);
            let version = group.get("version").and_then(|node| self.column_of(node, columns, table));
            let mut members = self.columns(&group, "columns", columns, table);
            if group.get("columns").is_none() {
                if rest.is_some() {
                    let message = "only one group may leave out `columns`: it takes all that no other names";
                    self.problem(code::GROUPS, entry.at, message);
                }
                rest = rest.or(Some(groups.len()));
            }
            members.extend(version.filter(|v| !members.contains(v)));
            for index in &members {
                let name = columns.get(*index).map_or("", |c| c.name.as_str());
                let other = groups.iter().find(|g| g.columns.contains(index)).map(|g| g.name.clone());
                let node = group.items("columns").iter().find(|n| n.text() == Some(name)).or(group.get("version"));
                let span = node.map_or(entry.at, |n| n.span);
                if let Some(other) = other {
                    self.problem(code::GROUPS, span, format!("the column `{name}` is in the group `{other}` already"));
                } else if !outside(index) {
                    self.problem(
                        code::GROUPS,
                        span,
                        format!("the column `{name}` is in `key` or `keep` and belongs to no group"),
                    );
                }
            }
            members.retain(outside);
            groups.push(Group { name: entry.key.clone(), version, columns: members });
        }
        let free: Vec<usize> = all.into_iter().filter(|i| !groups.iter().any(|g| g.columns.contains(i))).collect();
        match rest.and_then(|index| groups.get_mut(index)) {
            Some(group) => group.columns.extend(free),
            None => {
                for index in free {
                    let name = columns.get(index).map_or("", |c| c.name.as_str());
                    let message = format!("the column `{name}` is in no group");
                    self.problem(code::GROUPS, reader.place("groups"), message).help =
                        Some("leave out `columns` in one group: it takes all that no other names".into());
                }
            }
        }
        groups.iter_mut().for_each(|g| g.columns.sort_unstable());
        groups
    }

    /// Delta does not tell columns apart by case.
    fn distinct(&mut self, columns: &[Entry]) {
        for (at, column) in columns.iter().enumerate() {
            if let Some(other) = columns.iter().take(at).find(|c| c.key.eq_ignore_ascii_case(&column.key)) {
                let message = format!("the columns `{}` and `{}` differ in case only", other.key, column.key);
                self.problem(code::DUPLICATE_NAME, column.at, message).help =
                    Some("give one of them another name".into());
            }
        }
    }

    /// Parents exist, are no circle, and are fed by the flow that feeds the child; no two tables share a place.
    pub(super) fn parents(&mut self, flows: &[Flow]) {
        let mut circles: Vec<String> = Vec::new();
        for entry in self.root.entries("tables") {
            let Some(node) = entry.value.get("parent") else { continue };
            let Some(parent) = self.table_of(node) else { continue };
            self.used.insert(("tables", parent.clone()));
            let mut way = vec![entry.key.clone()];
            let mut next = Some(parent.clone());
            while let Some(name) = next.filter(|name| !way.contains(name)) {
                next = self.tables.get(&name).and_then(|t| t.parent.clone());
                way.push(name);
            }
            let closes = way.last().and_then(|last| self.tables.get(last)?.parent.as_ref()) == Some(&entry.key);
            if closes {
                // Each of a circle is its own parent: it is told once.
                if !circles.contains(&entry.key) {
                    let message = match way.as_slice() {
                        [only] => format!("the table `{only}` is its own parent"),
                        _ => format!("the table `{}` is its own parent in the end: {}", entry.key, circle(&way)),
                    };
                    self.problem(code::PARENT, node.span, message).help =
                        Some("leave out the `parent` of one of them".into());
                }
                circles.extend(way);
            } else {
                self.fed_together(&entry.key, &parent, node, flows);
            }
        }
        let urls: Vec<(String, String)> = self.tables.iter().map(|(name, t)| (name.clone(), place(&t.url))).collect();
        for (index, (name, url)) in urls.iter().enumerate() {
            if let Some((other, _)) = urls.iter().take(index).find(|(_, u)| u == url) {
                let entry = self.root.entries("tables").iter().find(|e| &e.key == name);
                let path = entry.and_then(|e| e.value.get("path")).map(|node| node.span);
                let span = path.unwrap_or_else(|| self.span_of("tables", name));
                self.problem(code::SAME_PLACE, span, format!("the tables `{other}` and `{name}` have one path"));
            }
        }
    }

    /// Within a flow a child's commit waits for its parent's; across flows nobody waits.
    fn fed_together(&mut self, child: &str, parent: &str, node: &Node, flows: &[Flow]) {
        let feeder =
            |table: &str| flows.iter().find(|f| f.rows.iter().any(|r| r.table == table)).map(|f| f.name.as_str());
        let Some(own) = feeder(child) else { return };
        let message = match feeder(parent) {
            Some(other) if other == own => return,
            Some(other) => format!(
                "the flow `{own}` feeds `{child}` and the flow `{other}` its parent `{parent}`: a row could be visible before its parent"
            ),
            // A broken block may be the one that feeds it.
            None if self.found(&[code::UNKNOWN_TABLE]) || self.names_table(parent) => return,
            None => {
                let message = format!("no flow feeds `{parent}`, the parent of `{child}`");
                let problem = self.absence(code::PARENT, node.span, message, None);
                problem.help = Some("let one flow feed both, or leave out `parent`".into());
                return;
            }
        };
        self.problem(code::PARENT, node.span, message).help =
            Some("let one flow feed both, or leave out `parent`".into());
    }

    /// Whether a rows block names a table, broken or not.
    pub(super) fn names_table(&self, name: &str) -> bool {
        self.root.entries("flows").iter().any(|flow| {
            let blocks = flow.value.get("rows").map_or(&[][..], Node::entries);
            blocks.iter().any(|b| b.value.get("table").and_then(Node::text) == Some(name))
        })
    }
}

/// The tables of a circle, in its order.
fn circle(way: &[String]) -> String {
    let names: Vec<String> = way.iter().chain(way.first()).map(|name| format!("`{name}`")).collect();
    names.join(" → ")
}

/// A url without what two spellings of one place differ in.
fn place(url: &str) -> String {
    let url = url.strip_prefix("file://").unwrap_or(url);
    url.trim_start_matches("./").trim_end_matches('/').to_owned()
}

fn column(entry: &Entry) -> Column {
    let (kind, about) = match entry.value.entries() {
        [inner] => (Some(inner.key.as_str()), inner.value.text().map(str::to_owned)),
        _ => (entry.value.text(), None),
    };
    let (kind, required) = kind.and_then(value::kind).unwrap_or_default();
    Column { name: entry.key.clone(), kind: kind.unwrap_or(ColumnType::Text), nullable: !required, about }
}
