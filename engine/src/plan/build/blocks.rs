//! Blocks: what leaves a flow as rows and as messages.

use connectors::table::Column;

use super::super::{BodyField, ColumnValue, Rows, Send, Status, Trigger};
use super::binding::Binding;
use super::flow::{Here, Lines};
use super::scope::Scope;
use super::types::{Need, known_kind};
use super::{Builder, under};
use crate::expr::Expr;
use crate::topology::language::{ROWS, SEND};
use crate::topology::node::{Entry, Node, Value};
use crate::topology::reader::Reader;
use crate::topology::{Diagnostic, code, nearest};

impl<'a> Builder<'a> {
    pub(super) fn rows(&mut self, entry: &'a Entry, base: &Scope, lines: &Lines<'a>, flow: &str) -> Option<Rows> {
        let reader = Reader::of(entry, &ROWS);
        let path = format!("flows.{flow}.rows.{}", entry.key);
        let (trigger, scope) = self.trigger(&reader, base, lines, entry);
        let when = self.expr(&reader, "when", &scope, lines);
        let table = reader.get("table").and_then(|node| self.table_of(node));
        let known = table.clone().filter(|name| !self.formless.contains(&("tables", name.clone())));
        let spec = known.as_ref().and_then(|name| self.tables.get(name)).map(|t| t.spec.clone());
        let mut columns: Vec<ColumnValue> = Vec::new();
        for column in reader.entries("columns") {
            let (name, optional) = column.key.strip_suffix('?').map_or((column.key.as_str(), false), |n| (n, true));
            let expr = column.value.text().and_then(|text| Expr::parse(text).ok());
            if let Some(expr) = &expr {
                self.sees(&column.value, expr, &scope, &|name| lines.why(name));
            }
            let Some(spec) = &spec else { continue };
            let Some(index) = spec.column(name) else {
                let message = format!("the table `{}` has no column `{name}`", spec.name);
                let names = spec.columns.iter().map(|c| c.name.as_str());
                let problem = Diagnostic::new(code::UNKNOWN_COLUMN, self.source, column.at, message);
                let path = under(&["tables", &spec.name, "columns"], name);
                self.problems.push(problem.nearest(name, names).about(path));
                continue;
            };
            self.named.insert(under(&["tables", &spec.name, "columns"], name));
            if columns.iter().any(|c| c.column == index) {
                self.problem(
                    code::DUPLICATE_NAME,
                    column.at,
                    format!("the column `{name}` stands twice, with and without `?`"),
                );
                continue;
            }
            let declared = spec.columns.get(index);
            if optional && declared.is_some_and(|c| !c.nullable) {
                let message = format!("the column `{name}` is never null: `{name}?` would leave it out");
                self.problem(code::MISSING_COLUMN, column.at, message).help = Some(format!("write `{name}`"));
            }
            let place = self.place(column.at, format!("{path}.columns.{name}"));
            // A column whose expression is broken is carried all the same; what is broken was reported.
            let Some(value) = expr.or_else(|| Expr::parse("`null`").ok()) else { continue };
            if let Some(what) =
                scope.moves(&value).filter(|_| spec.key.contains(&index) || spec.partition.contains(&index))
            {
                let place = if spec.key.contains(&index) { "key" } else { "partition" };
                let message = format!("`{what}`, a time of writing, in the {place} column `{name}`");
                self.problem(code::NOW, column.value.span, message).help = Some(
                    "a replay would write the row a second time; take a time of the message, such as `source.time`"
                        .into(),
                );
            }
            self.becomes(&column.value, &value, &scope, declared.map(|c| c.kind));
            if let Some(kind) = known_kind(value.gist(), &scope) {
                self.kinds.insert((flow.to_owned(), entry.key.clone(), index), kind);
            }
            columns.push(ColumnValue { column: index, value, optional, place });
        }
        let (table, spec) = (table?, spec?);
        // A column whose name was misspelt is not missing too.
        let given: Vec<&str> = reader.entries("columns").iter().map(|c| c.key.trim_end_matches('?')).collect();
        let misspelt = |name: &str| {
            let unknown = given.iter().filter(|given| spec.column(given).is_none());
            unknown.copied().any(|given| nearest(given, spec.columns.iter().map(|c| c.name.as_str())) == Some(name))
        };
        let needed = |index: usize, column: &Column| !column.nullable || spec.partition.contains(&index);
        let has_form = matches!(reader.get("columns").map(|node| &node.value), Some(Value::Map(_)));
        let missing = spec.columns.iter().enumerate().filter(|(index, column)| {
            let carried = columns.iter().any(|c| c.column == *index);
            has_form && needed(*index, column) && !carried && !misspelt(&column.name)
        });
        for (index, column) in missing {
            let why = match () {
                () if spec.key.contains(&index) => "a column of the key of",
                () if spec.partition.contains(&index) => "a partition column of",
                () => "never null in",
            };
            let message = format!("the block does not carry `{}`, {why} `{table}`", column.name);
            self.problem(code::MISSING_COLUMN, reader.place("columns"), message).help =
                Some(format!("add `{}: expression`", column.name));
        }
        let place = self.place(entry.at, path);
        Some(Rows { name: entry.key.as_str().into(), table, trigger, when, columns, place })
    }

    pub(super) fn send(&mut self, entry: &'a Entry, base: &Scope, lines: &Lines<'a>, flow: &str) -> Option<Send> {
        let reader = Reader::of(entry, &SEND);
        let (trigger, scope) = self.trigger(&reader, base, lines, entry);
        let when = self.expr(&reader, "when", &scope, lines);
        let key = self.fit(&reader, &scope, lines, &Need::identity("key"));
        let headers = self.named(&reader, "headers", &scope, lines);
        let topic_name = reader.get("topic").and_then(|node| self.topic_of(node));
        let known = topic_name.clone().filter(|name| !self.formless.contains(&("topics", name.clone())));
        let topic = known.as_ref().and_then(|name| self.topics.get(name)).cloned();
        let mut body: Vec<BodyField> = Vec::new();
        for field in reader.entries("body") {
            let expr = field.value.text().and_then(|text| Expr::parse(text).ok());
            if let Some(expr) = &expr {
                self.sees(&field.value, expr, &scope, &|name| lines.why(name));
            }
            let Some(topic) = &topic else { continue };
            let Some(declared) = topic.message.iter().find(|f| f.name.as_ref() == field.key) else {
                let message =
                    format!("the message of `{}` has no field `{}`", topic_name.as_deref().unwrap_or(""), field.key);
                let problem = Diagnostic::new(code::UNKNOWN_FIELD, self.source, field.at, message);
                let problem = problem.nearest(&field.key, topic.message.iter().map(|f| f.name.as_ref()));
                let path = under(&["topics", topic_name.as_deref().unwrap_or_default(), "message"], &field.key);
                self.problems.push(problem.about(path));
                continue;
            };
            self.named.insert(under(&["topics", topic_name.as_deref().unwrap_or_default(), "message"], &field.key));
            let Some(value) = expr.or_else(|| Expr::parse("`null`").ok()) else { continue };
            self.becomes(&field.value, &value, &scope, declared.kind);
            body.push(BodyField {
                name: declared.name.clone(),
                value,
                kind: declared.kind,
                required: declared.required,
            });
        }
        let (topic_name, topic) = (topic_name?, topic?);
        // A field whose name was misspelt is not missing too.
        let known = || topic.message.iter().map(|f| f.name.as_ref());
        let unknown = reader.entries("body").iter().filter(|e| !known().any(|name| name == e.key));
        let meant: Vec<&str> = unknown.filter_map(|e| nearest(&e.key, known())).collect();
        let has_form = matches!(reader.get("body").map(|node| &node.value), Some(Value::Map(_)));
        let lacks = |name: &str| has_form && !body.iter().any(|b| b.name.as_ref() == name) && !meant.contains(&name);
        for field in topic.message.iter().filter(|f| f.required && lacks(&f.name)) {
            let message =
                format!("the body does not carry `{}`, which every message of `{topic_name}` needs", field.name);
            self.problem(code::MISSING_FIELD, reader.place("body"), message).help =
                Some(format!("add `{}: expression`", field.name));
        }
        let key = match (key, &topic.key) {
            (Some(key), _) => Some(key),
            (None, None) => None,
            (None, Some(name)) => {
                let field = body.iter().find(|b| b.name.as_ref() == name).map(|b| b.value.clone());
                if lacks(name) && topic.message.iter().any(|f| f.name.as_ref() == name && !f.required) {
                    let message = format!("the body does not carry `{name}`, the key of `{topic_name}`");
                    self.problem(code::MISSING_FIELD, reader.place("body"), message).help =
                        Some("or give the key: `key: expression`".into());
                }
                field
            }
        };
        let place = self.place(entry.at, format!("flows.{flow}.send.{}", entry.key));
        let headers = headers.into_iter().map(|(name, value)| (name.into(), value)).collect();
        Some(Send { name: entry.key.as_str().into(), topic: topic_name, trigger, when, key, body, headers, place })
    }

    /// When a block fires, and what it sees then.
    fn trigger(&mut self, reader: &Reader<'a>, base: &Scope, lines: &Lines<'a>, entry: &'a Entry) -> (Trigger, Scope) {
        let Some(on) = reader.entry("on") else {
            let way = self.input(reader, lines);
            self.place_in = Some(Here { at: entry.at, way });
            return (Trigger::Documents(way.input), lines.scope(base, &way));
        };
        self.place_in = None;
        if let Some(from) = reader.entry("from") {
            self.problem(code::EXCLUSIVE, from.at, "`from` and `on` exclude each other");
        }
        if on.value.items().is_empty() {
            self.problem(code::WRONG_KIND, on.at, "`on` names no outcome: the block never fires");
        }
        let mut statuses: Vec<Status> = Vec::new();
        for word in on.value.items().iter().filter_map(Node::text) {
            let all = [Status::Done, Status::Skipped, Status::Retried, Status::Dead];
            statuses.extend(all.into_iter().find(|s| s.as_str() == word).filter(|s| !statuses.contains(s)));
        }
        let moving = ["at", "duration_ms"].map(|name| vec!["outcome".to_owned(), name.to_owned()]);
        (Trigger::Outcomes(statuses), base.clone().with("outcome", Binding::outcome()).with_moving(moving))
    }
}
