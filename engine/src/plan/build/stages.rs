//! Stages: what they read, what they bind, what they do.

use std::sync::Arc;

use connectors::table::ColumnType;
use indexmap::IndexMap;

use super::super::{
    Batch, Cache, Call, DedupTable, Download, Enrich, Input, Leave, Paginate, Refresh, Stage, StageKind, Upload,
};
use super::binding::Binding;
use super::flow::{Known, Lines, Way};
use super::scope::Scope;
use super::types::Need;
use super::{Builder, under};
use crate::expr::Expr;
use crate::topology::code;
use crate::topology::language::STAGE_KINDS;
use crate::topology::node::{Entry, Node, Value};
use crate::topology::reader::Reader;

/// Names that stages cannot have: the engine binds them.
const RESERVED: &[&str] = &["event", "raw", "source", "outcome"];

/// What a key needs that is asked for a file or a page.
const LINK: &str = "a text that is a link";

impl<'a> Builder<'a> {
    /// Where a stage stands in the flow, and what it binds. Done for all stages before one is built.
    pub(super) fn know(&mut self, entry: &'a Entry, lines: &Lines<'a>) -> Known<'a> {
        let reader = Reader::of(entry, &crate::topology::language::STAGE);
        if RESERVED.contains(&entry.key.as_str()) {
            let message = format!("`{}` is bound by the engine: no stage can be called so", entry.key);
            self.problem(code::BAD_NAME, entry.at, message);
        }
        let kind = STAGE_KINDS.iter().copied().find(|kind| reader.get(kind).is_some()).unwrap_or("");
        let way = self.input(&reader, lines);
        let binding = match kind {
            "pick" | "each" | "enrich" => Some(Binding::Free),
            "download" => Some(Binding::download()),
            "upload" => Some(Binding::upload()),
            "route" => {
                let cases = reader.opt_object("route").and_then(|route| route.get("cases"));
                let cases = cases.filter(|node| matches!(node.value, Value::Map(_)));
                Some(cases.map_or(Binding::Free, |cases| {
                    Binding::labels(cases.entries().iter().flat_map(|e| e.value.items()).filter_map(Node::text))
                }))
            }
            "" => Some(Binding::Free),
            _ => None,
        };
        Known { name: &entry.key, at: entry.at, reader, kind, way, binding, moving: Vec::new() }
    }

    pub(super) fn stage(
        &mut self,
        known: &Known<'a>,
        scope: &Scope,
        lines: &Lines<'a>,
        flow: &'a Entry,
    ) -> Option<Stage> {
        let reader = &known.reader;
        let path = format!("flows.{}.stages.{}", flow.key, known.name);
        let when = self.expr(reader, "when", scope, lines);
        for (key, owner) in [("missing", "pick"), ("else", "filter")] {
            if known.kind != owner && reader.get(key).is_some() {
                self.problem(code::EXCLUSIVE, reader.place(key), format!("`{key}` goes with `{owner}` only"));
            }
        }
        let kind = match known.kind {
            "route" => self.route(&reader.opt_object("route")?, scope, lines),
            "pick" => {
                let missing = reader.opt_object("missing").as_ref().and_then(leave);
                self.expr(reader, "pick", scope, lines).map(|value| StageKind::Pick { value, missing })
            }
            "each" => self.fit(reader, scope, lines, &Need::list("each")).map(|list| StageKind::Each { list }),
            "filter" => {
                let otherwise = reader.opt_object("else").as_ref().and_then(leave);
                let otherwise = otherwise.unwrap_or_else(|| Leave::Skip(known.name.to_owned()));
                self.expr(reader, "filter", scope, lines).map(|keep| StageKind::Filter { keep, otherwise })
            }
            "dedup" => self.dedup(&reader.opt_object("dedup")?, scope, lines, flow),
            "enrich" => self.enrich(&reader.opt_object("enrich")?, scope, lines).map(StageKind::Enrich),
            "download" => self.download(&reader.opt_object("download")?, scope, lines).map(StageKind::Download),
            "upload" => self.upload(&reader.opt_object("upload")?, scope, lines).map(StageKind::Upload),
            "aggregate" => {
                let aggregate = reader.opt_object("aggregate")?;
                let (by, sum) =
                    (self.exprs(&aggregate, "by", scope, lines), self.exprs(&aggregate, "sum", scope, lines));
                for (entry, expr) in aggregate.entries("sum").iter().filter_map(|e| Some((e, sum.get(e.key.as_str())?)))
                {
                    self.needs(&entry.value, expr, scope, &Need::number("sum"));
                }
                Some(StageKind::Aggregate { by, count: aggregate.opt_text("count").map(Arc::from), sum })
            }
            _ => None,
        };
        let name = known.name.into();
        Some(Stage { name, input: known.way.input, when, kind: kind?, place: self.place(known.at, path) })
    }

    fn route(&mut self, route: &Reader<'a>, scope: &Scope, lines: &Lines<'a>) -> Option<StageKind> {
        let by = self.fit(route, scope, lines, &Need::scalar("by"));
        if let (Some(node), Some(by)) = (route.node, &by) {
            self.cases(node, by, scope);
        }
        let mut labels: Vec<Arc<str>> = Vec::new();
        let mut cases = IndexMap::new();
        for entry in route.entries("cases") {
            let case: Vec<Arc<str>> = entry.value.items().iter().filter_map(Node::text).map(Arc::from).collect();
            labels.extend(case.iter().filter(|l| !labels.contains(l)).cloned().collect::<Vec<_>>());
            cases.insert(entry.key.clone(), case);
        }
        let otherwise = match route.opt_text("else") {
            Some("skip") => Leave::Skip("no case".into()),
            _ => Leave::Permanent("no case for this value".into()),
        };
        Some(StageKind::Route { by: by?, cases, labels, otherwise })
    }

    fn dedup(&mut self, dedup: &Reader<'a>, scope: &Scope, lines: &Lines<'a>, flow: &'a Entry) -> Option<StageKind> {
        let key = self.fit(dedup, scope, lines, &Need::identity("key"));
        let at = self.instant(dedup, "at", scope, lines);
        if let (Some(node), Some(key)) = (dedup.get("key"), &key)
            && let Some(what) = scope.moves(key)
        {
            self.problem(
                code::NOW,
                node.span,
                format!("a dedup key with `{what}`, a time of reading, is never seen twice"),
            )
            .help = Some("take what the message is known by, such as an id".into());
        }
        if let Some(node) = dedup.get("forgets").filter(|n| n.text() == Some("false")) {
            self.problem(code::DEDUP_TABLE, node.span, "`forgets: false` needs a table to remember by").help =
                Some("say `table: NAME`, or `forgets: true`".into());
        }
        let (key, at) = (key?, at?);
        let table = match dedup.get("table") {
            Some(node) => Some(self.dedup_table(node, &key, &at, flow)?),
            None => None,
        };
        Some(StageKind::Dedup { key, at, window: dedup.duration("window"), table })
    }

    /// The columns of a table that a rows block of the same flow fills with the dedup's expressions.
    fn dedup_table(&mut self, node: &'a Node, key: &Expr, at: &Expr, flow: &'a Entry) -> Option<DedupTable> {
        let table = self.table_of(node)?;
        let spec = self.tables.get(&table)?.spec.clone();
        let blocks = flow.value.get("rows").map_or(&[][..], Node::entries);
        let blocks = blocks.iter().filter(|b| b.value.get("table").and_then(Node::text) == Some(&table));
        let columns: Vec<&Entry> = blocks.filter_map(|b| b.value.get("columns")).flat_map(Node::entries).collect();
        let column = |expr: &Expr| {
            let same = |e: &&&Entry| e.value.text().map(str::trim) == Some(expr.text().trim());
            columns.iter().find(same).and_then(|e| spec.column(e.key.trim_end_matches('?')))
        };
        // A column that is misspelt was reported.
        let misspelt = |expr: &Expr| {
            let same = |e: &&&Entry| e.value.text().map(str::trim) == Some(expr.text().trim());
            columns.iter().find(same).is_some_and(|e| spec.column(e.key.trim_end_matches('?')).is_none())
        };
        // Without the instant nobody could say which keys are still in the window.
        match (column(key), column(at)) {
            (Some(key), Some(at)) => Some(DedupTable { table, key, at }),
            _ if misspelt(key) || misspelt(at) => None,
            (found, _) => {
                let missing = if found.is_none() { key } else { at }.text().trim();
                let message = format!("no rows block of this flow writes `{missing}` into a column of `{table}`");
                self.absence(code::DEDUP_TABLE, node.span, message, Some(flow)).help = Some(
                    "write the dedup's `key` and `at`, spelt the same, into columns of that table, or say `forgets: true`"
                        .into(),
                );
                None
            }
        }
    }

    fn call(&mut self, reader: &Reader<'a>, scope: &Scope, lines: &Lines<'a>) -> Option<Call> {
        let connection = self.connection_of(reader, "connection", "http");
        let method = if reader.get("post").is_some() { "POST" } else { "GET" };
        if method == "GET" && reader.get("body").is_some() {
            self.problem(code::EXCLUSIVE, reader.place("body"), "`body` goes with `post` only");
        }
        let path = self.template(reader, if method == "POST" { "post" } else { "get" }, scope, lines);
        let query = self.named(reader, "query", scope, lines);
        let body = self.named(reader, "body", scope, lines);
        let headers = self.named(reader, "headers", scope, lines);
        Some(Call {
            connection,
            method,
            path: path?,
            query,
            body,
            headers,
            absent: Vec::new(),
            paginate: None,
            max_answer: None,
        })
    }

    fn enrich(&mut self, reader: &Reader<'a>, scope: &Scope, lines: &Lines<'a>) -> Option<Enrich> {
        let batch = reader.opt_object("batch");
        let key = batch.as_ref().and_then(|batch| batch.expr("by"));
        let key = key.map_or(Binding::Free, |by| Binding::of(by.gist(), scope));
        let items = Binding::List(Box::new(Binding::Free));
        let shared = Scope::default().with("key", key).with("items", items);
        let call = self.call(reader, if batch.is_some() { &shared } else { scope }, lines);
        let by = batch.as_ref().and_then(|batch| self.expr(batch, "by", scope, lines));
        let cache = reader.opt_object("cache").map(|cache| Cache {
            ttl: cache.duration("for"),
            since: self.instant(&cache, "since", scope, lines),
            size: cache.integer("size"),
        });
        let paginate = self.paginate(reader, lines);
        let absent = reader.items("absent").iter().filter_map(|n| n.text()?.parse().ok()).collect();
        let batch = match (&batch, by) {
            (Some(batch), by) => Some(Batch { by: by?, rows: batch.integer("rows"), linger: batch.duration("linger") }),
            (None, _) => None,
        };
        let call = Call { absent, paginate, max_answer: reader.opt_size("max_answer"), ..call? };
        Some(Enrich { call, batch, cache })
    }

    fn paginate(&mut self, reader: &Reader<'a>, lines: &Lines<'a>) -> Option<Paginate> {
        let paginate = reader.opt_object("paginate")?;
        let answer = Scope::default().with("answer", Binding::Free);
        let pages = paginate.integer("pages");
        if let Some(url) = self.fit(&paginate, &answer, lines, &Need::name("next", LINK)) {
            return Some(Paginate::Next { url, pages });
        }
        if let Some(value) = self.fit(&paginate, &answer, lines, &Need::scalar("cursor")) {
            return Some(Paginate::Cursor { value, parameter: paginate.text("parameter"), pages });
        }
        if paginate.get("link").is_some_and(|n| n.text() == Some("false")) {
            self.problem(code::EXCLUSIVE, paginate.place("link"), "`link: false` is no way to paginate");
        }
        Some(Paginate::Link { pages })
    }

    fn download(&mut self, reader: &Reader<'a>, scope: &Scope, lines: &Lines<'a>) -> Option<Download> {
        let connection = self.connection_of(reader, "connection", "web");
        let spool = self.connection_of(reader, "spool", "object_store");
        let url = self.fit(reader, scope, lines, &Need::name("url", LINK));
        let name = self.fit(reader, scope, lines, &Need::text("name"));
        let expires = self.instant(reader, "expires", scope, lines);
        let refresh = reader.opt_object("refresh");
        match (reader.opt_text("expired"), &refresh) {
            (Some("refresh"), None) => {
                self.problem(code::EXCLUSIVE, reader.place("expired"), "`expired: refresh` needs the key `refresh`");
            }
            (Some("dead"), Some(_)) => {
                self.problem(
                    code::EXCLUSIVE,
                    reader.place("expired"),
                    "`expired: dead` and `refresh` exclude each other",
                );
            }
            _ => {}
        }
        let refresh = match refresh {
            None => None,
            Some(refresh) => {
                let call = self.call(&refresh, scope, lines);
                let answered = scope.clone().with("answer", Binding::Free);
                let url = self.fit(&refresh, &answered, lines, &Need::name("url", LINK));
                Some(Refresh {
                    call: call?,
                    url: url?,
                    margin: refresh.duration("margin"),
                    times: refresh.integer("times"),
                })
            }
        };
        Some(Download { connection, spool, url: url?, name: name?, expires, refresh })
    }

    fn upload(&mut self, reader: &Reader<'a>, scope: &Scope, lines: &Lines<'a>) -> Option<Upload> {
        let connection = self.connection_of(reader, "connection", "object_store");
        let spool = self.connection_of(reader, "spool", "object_store");
        let file = self.fit(reader, scope, lines, &Need::name("file", "the path of a file, as a download binds it"));
        let to = self.template(reader, "to", scope, lines);
        let content_type = self.fit(reader, scope, lines, &Need::name("content_type", "a content type"));
        let bytes = self.fit(reader, scope, lines, &Need::number("bytes"));
        let sha256 = self.fit(reader, scope, lines, &Need::name("sha256", "a checksum, as a download binds it"));
        let keep = reader.flag("keep");
        let bind_missing = reader.opt_text("missing") == Some("bind");
        Some(Upload { connection, spool, file: file?, to: to?, content_type, bytes, sha256, keep, bind_missing })
    }

    /// The expression of a key, checked.
    pub(super) fn expr(&mut self, reader: &Reader<'a>, key: &str, scope: &Scope, lines: &Lines<'a>) -> Option<Expr> {
        let (node, expr) = (reader.get(key)?, reader.expr(key)?);
        self.sees(node, &expr, scope, &|name| lines.why(name));
        if matches!(key, "when" | "filter") {
            self.decides(node, &expr);
        }
        Some(expr)
    }

    /// The expression of the key that needs something, checked for it.
    pub(super) fn fit(&mut self, reader: &Reader<'a>, scope: &Scope, lines: &Lines<'a>, need: &Need) -> Option<Expr> {
        let expr = self.expr(reader, need.key, scope, lines)?;
        self.needs(reader.get(need.key)?, &expr, scope, need);
        Some(expr)
    }

    /// The expression of a key that is an instant.
    fn instant(&mut self, reader: &Reader<'a>, key: &str, scope: &Scope, lines: &Lines<'a>) -> Option<Expr> {
        let expr = self.expr(reader, key, scope, lines)?;
        self.becomes(reader.get(key)?, &expr, scope, Some(ColumnType::Timestamp));
        Some(expr)
    }

    fn template(
        &mut self,
        reader: &Reader<'a>,
        key: &'static str,
        scope: &Scope,
        lines: &Lines<'a>,
    ) -> Option<expr::Template> {
        let (node, template) = (reader.get(key)?, reader.template(key)?);
        for part in template.parts() {
            if let expr::Part::Expr(expr, from) = part {
                self.sees_at(node, *from, expr, scope, &|name| lines.why(name));
                self.needs_at(node, *from, expr, scope, &Need::scalar(key));
            }
        }
        self.template_path(node, &template, key);
        Some(template)
    }

    /// The expressions of a mapping, checked.
    pub(super) fn named(
        &mut self,
        reader: &Reader<'a>,
        key: &str,
        scope: &Scope,
        lines: &Lines<'a>,
    ) -> IndexMap<String, Expr> {
        let mut all = IndexMap::new();
        for entry in reader.entries(key) {
            let Some(expr) = entry.value.text().and_then(|text| Expr::parse(text).ok()) else { continue };
            self.sees(&entry.value, &expr, scope, &|name| lines.why(name));
            all.insert(entry.key.clone(), expr);
        }
        all
    }

    fn exprs(&mut self, reader: &Reader<'a>, key: &str, scope: &Scope, lines: &Lines<'a>) -> IndexMap<Arc<str>, Expr> {
        self.named(reader, key, scope, lines).into_iter().map(|(name, expr)| (name.into(), expr)).collect()
    }

    /// What a stage or a block reads.
    pub(super) fn input(&mut self, reader: &Reader<'a>, lines: &Lines<'a>) -> Way {
        let last = lines.stages.len().checked_sub(1);
        let default = Way { input: last.map_or(Input::Source, Input::After), stage: last, from: None, lost: false };
        let Some(node) = reader.get("from") else { return default };
        let name = node.text().unwrap_or_default();
        let from = Some(node.span);
        let named = |name: &str| match lines.stages.iter().position(|s| s.name == name) {
            Some(index) => Some(Way { input: Input::Produced(index), stage: Some(index), from, lost: false }),
            None => (name == "source").then_some(Way { input: Input::Source, stage: None, from, lost: false }),
        };
        if name != "source" {
            self.reads.insert(name.to_owned());
        }
        if let Some(way) = named(name) {
            let flow = self.flow.clone();
            self.named.insert(under(&["flows", &flow, "stages"], name));
            return way;
        }
        if lines.names.contains(&name) {
            let own = lines.names.get(lines.stages.len()) == Some(&name);
            let message = if own {
                format!("the stage `{name}` reads itself")
            } else {
                format!("the stage `{name}` does not stand above")
            };
            let help = if own {
                "`from` names a stage above, or `source`"
            } else {
                "`from` points upwards only; move the stage up"
            };
            self.problem(code::UNKNOWN_STAGE, node.span, message).help = Some(help.into());
        } else {
            let mut names: Vec<String> = lines.stages.iter().map(|s| s.name.to_owned()).collect();
            names.push("source".into());
            let flow = self.flow.clone();
            self.unknown(code::UNKNOWN_STAGE, "stage", node, &names, &["flows", &flow, "stages"]);
            // What was probably meant is read, though under another name.
            if let Some(meant) = crate::topology::nearest(name, names.iter().map(String::as_str)) {
                self.reads.insert(meant.to_owned());
                return named(meant).unwrap_or(Way { from, lost: true, ..default });
            }
        }
        Way { from, lost: true, ..default }
    }
}

fn leave(reader: &Reader<'_>) -> Option<Leave> {
    let text = |key| reader.get(key).and_then(Node::text).map(str::to_owned);
    (text("transient").map(Leave::Transient))
        .or_else(|| text("permanent").map(Leave::Permanent))
        .or_else(|| text("skip").map(Leave::Skip))
        .or_else(|| text("warn").map(Leave::Warn))
}
