//! Compiles routes.

use super::declaration::{Faulty, Latency};
use super::grow::{Compiler, json};
use super::language::{FAULT, ROUTE, WHEN};
use super::outside;
use super::route::{Pattern, Route};
use super::sight::{Below, Sight};
use crate::topology::node::{Entry, Node, Value};
use crate::topology::reader::Reader;
use crate::topology::{code, nearest};

/// The route called `name`; `usual` is what the server says where the route does not.
pub(super) fn route(
    compiler: &mut Compiler<'_>,
    name: &str,
    route: &Reader<'_>,
    sight: &Sight,
    usual: &(Latency, Vec<Faulty>),
) -> Option<Route> {
    let place = format!("routes.{name}");
    let (method, path) = match (route.get("get"), route.get("post")) {
        (Some(path), _) => ("GET", path),
        (None, path) => ("POST", path?),
    };
    let text = path.text()?;
    let pattern = Pattern::parse(text);
    if pattern.is_none() {
        let problem = compiler.wrong(code::ADDRESS, path.span, format!("`{text}` is no path"));
        problem.expected = Some("a path such as `/orders/{order}/items`, at most one name in a segment".into());
    }
    let mut seen = sight.clone();
    seen.answers = true;
    // Without its path nobody knows what the answer may name.
    seen.open = pattern.is_none();
    let names: Vec<&str> = pattern.iter().flat_map(Pattern::names).collect();
    let mut bound: Vec<String> = Vec::new();
    for name in &names {
        let near = nearest(name, sight.entities.keys().map(String::as_str));
        match near {
            _ if sight.entities.contains_key(*name) => bound.push((*name).to_owned()),
            // A name of its own is used by it.
            Some(near) if !uses(route.node, &format!("{{path.{name}")) && uses(route.node, &format!("{{{near}.")) => {
                let start = text.find(&format!("{{{name}}}")).map_or(0, |at| at + 1);
                let span = path.locate(compiler.source, start, name.len());
                compiler.unknown(code::UNKNOWN_ENTITY, span, "entity", name, [near]);
                bound.push(near.to_owned());
            }
            _ => {}
        }
    }
    seen = seen.and("path", Below::members(names.iter().copied()));
    seen = seen.and("query", Below::Anything).and("body", Below::Anything);
    let bind = compiler.named(route.entries("bind"), &seen, &format!("{place}.bind"));
    for entry in route.entries("bind") {
        let known = sight.entities.keys().map(String::as_str);
        if !sight.entities.contains_key(&entry.key) {
            compiler.unknown(code::UNKNOWN_ENTITY, entry.at, "entity", &entry.key, known.clone());
        }
        let near = sight.entities.get_key_value(&entry.key).map(|(name, _)| name.as_str());
        bound.push(near.or_else(|| nearest(&entry.key, known)).unwrap_or(&entry.key).to_owned());
    }
    for entity in &bound {
        seen = seen.with(entity, true);
    }
    let values = compiler.named(route.entries("let"), &seen, &format!("{place}.let"));
    for entry in route.entries("let") {
        seen = seen.and(&entry.key, Below::of(&entry.value));
    }
    outside::faults(compiler, route, &FAULT);
    let when = route.object("when", &WHEN);
    let texts = when.entries("query").iter().map(|e| (e.key.clone(), e.value.text().unwrap_or_default().to_owned()));
    let nothing = Node { span: route.at, value: Value::Null };
    Some(Route {
        name: name.to_owned(),
        method,
        query: texts.collect(),
        body: when.entries("body").iter().map(|e| (e.key.clone(), json(&e.value))).collect(),
        bind,
        values,
        status: route.integer("status"),
        answer: compiler.tree(route.get("answer").unwrap_or(&nothing), &seen, &format!("{place}.answer")),
        latency: Latency::read(route).unwrap_or(usual.0),
        faults: route.get("faults").map_or_else(|| usual.1.clone(), |_| Faulty::list(route, &FAULT)),
        pattern: pattern?,
    })
}

/// Refuses routes that never answer, because one before them by name answers the very same requests.
pub(super) fn shadows(compiler: &mut Compiler<'_>, routes: &[&Entry]) {
    let mut seen: Vec<(String, &str)> = Vec::new();
    for entry in routes {
        let route = Reader::of(entry, &ROUTE);
        let Some(path) = route.entry("get").or_else(|| route.entry("post")) else { continue };
        // Whatever its names are called, a segment fits the same.
        let mut parts = path.value.text().unwrap_or_default().split('{');
        let first = parts.next().unwrap_or_default().to_owned();
        let text = parts.fold(first, |text, part| text + "{}" + part.split_once('}').map_or("", |(_, rest)| rest));
        let what = format!("{} {text} {}", path.key, route.get("when").map(json).unwrap_or_default());
        match seen.iter().find(|(known, _)| *known == what) {
            Some((_, first)) => {
                let message = format!("this is never asked for: `{first}` answers it first");
                compiler.wrong(code::DUPLICATE_NAME, path.value.span, message);
            }
            None => seen.push((what, &entry.key)),
        }
    }
}

/// Whether a text in the tree holds `part`.
fn uses(node: Option<&Node>, part: &str) -> bool {
    node.is_some_and(|node| match &node.value {
        Value::Scalar(scalar) => scalar.text.contains(part),
        Value::List(items) => items.iter().any(|item| uses(Some(item), part)),
        Value::Map(entries) => entries.iter().any(|entry| uses(Some(&entry.value), part)),
        Value::Null | Value::Unset => false,
    })
}
