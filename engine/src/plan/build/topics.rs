//! Topics and their messages.

use std::sync::Arc;

use super::super::{Field, Topic};
use super::binding::Binding;
use super::scope::Scope;
use super::{Builder, under};
use crate::expr::Expr;
use crate::topology::language::TOPIC;
use crate::topology::node::{Entry, Node, Value};
use crate::topology::reader::Reader;
use crate::topology::value;
use crate::topology::{Span, code};

impl<'a> Builder<'a> {
    pub(super) fn topic(&mut self, entry: &'a Entry) -> Topic {
        let reader = Reader::of(entry, &TOPIC);
        let connection = self.connection_in(&reader, "kafka");
        let message = self.message(reader.entries("message"), &["topics", entry.key.as_str(), "message"]);
        if !reader.get("message").is_some_and(|node| matches!(node.value, Value::Map(_))) {
            self.formless.insert(("topics", entry.key.clone()));
        }
        if let Some((node, key)) = reader.get("key").and_then(|node| Some((node, node.text()?))) {
            let path = ["topics", entry.key.as_str(), "message"];
            let names: Vec<String> = message.iter().map(|f| f.name.to_string()).collect();
            if names.iter().any(|name| name == key) {
                self.named.insert(under(&path, key));
            } else if !self.formless.contains(&("topics", entry.key.clone())) {
                self.unknown(code::UNKNOWN_FIELD, "field", node, &names, &path);
            }
        }
        if let Some(node) = reader.get("name") {
            self.topic_name(node.span, &reader.text("name"));
        }
        let external = reader.opt_text("external").unwrap_or_default();
        Topic {
            name: reader.text("name"),
            connection,
            partitions: reader.opt_integer("partitions"),
            key: reader.opt_text("key").map(str::to_owned),
            message,
            external_written: matches!(external, "written" | "both"),
            external_read: matches!(external, "read" | "both"),
        }
    }

    /// Kafka takes no other names, and neither does the embedded log.
    pub(super) fn topic_name(&mut self, span: Span, name: &str) {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || (name.chars().all(allowed) && name.len() <= 249 && name != "." && name != "..") {
            return;
        }
        let bad = name.chars().find(|c| !allowed(*c));
        let what = bad.map_or_else(|| "this".to_owned(), |c| format!("a name with `{c}`"));
        self.problem(code::BAD_NAME, span, format!("{what} is no name of a topic")).expected =
            Some("at most 249 letters, digits, `.`, `_` and `-`".into());
    }

    /// The fields of a message, their expressions checked: they see the keys of the incoming message, and the fields above.
    pub(super) fn message(&mut self, entries: &'a [Entry], path: &[&str]) -> Arc<Vec<Field>> {
        let mut fields: Vec<Field> = Vec::new();
        for entry in entries {
            let (kind_text, expression) = match entry.value.entries() {
                [inner] => (Some(inner.key.as_str()), Some(&inner.value)),
                _ => (entry.value.text(), None),
            };
            let (kind, required) = kind_text.and_then(value::kind).unwrap_or_default();
            let expr = expression.and_then(Node::text).and_then(|text| Expr::parse(text).ok());
            if let (Some(node), Some(expr)) = (expression, &expr) {
                let scope = Scope::open()
                    .with("event", Binding::event(&fields))
                    .with_origin("event", path)
                    .with("raw", Binding::Free)
                    .with("source", Binding::source());
                let below = |name: &str| entries.iter().any(|e| e.key == name);
                self.sees(node, expr, &scope, &|_| None);
                // A field that stands below is a mistake of order, not of spelling.
                if let Some(last) = self.problems.last_mut().filter(|p| p.code == code::UNKNOWN_FIELD) {
                    let named = expr.paths().iter().filter_map(|p| p.get(1)).find(|n| below(n));
                    if let Some(name) = named.filter(|n| last.message.ends_with(&format!("`{n}`"))) {
                        last.help = Some(format!("`event` holds the fields above this one: move `{name}` up"));
                        last.subject = None;
                    }
                }
                self.becomes(node, expr, &scope, kind);
            }
            let place = self.place(entry.at, format!("{}.{}", path.join("."), entry.key));
            fields.push(Field { name: entry.key.as_str().into(), expr, kind, required, place });
        }
        Arc::new(fields)
    }
}
