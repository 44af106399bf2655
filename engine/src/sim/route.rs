//! Routes: which request is answered with what. Pure: a request and the world in, an answer out.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::declaration::{Faulty, Latency};
use super::eval::{Asked, Scope};
use super::tree::Node;
use super::world::World;

/// A path with names in it.
#[derive(Debug)]
pub(crate) struct Pattern(Vec<Segment>);

#[derive(Debug)]
enum Segment {
    Text(String),
    /// What stands before the name, the name, what stands behind it.
    Name(String, String, String),
}

impl Pattern {
    /// Reads `/a/{b}/c-{d}.json`: at most one name in a segment.
    pub(crate) fn parse(text: &str) -> Option<Pattern> {
        let segment = |segment: &str| match segment.split_once('{') {
            Some((before, rest)) => {
                let (name, after) = rest.split_once('}')?;
                let plain = !name.is_empty() && !format!("{before}{name}{after}").contains(['{', '}']);
                plain.then(|| Segment::Name(before.to_owned(), name.to_owned(), after.to_owned()))
            }
            None => (!segment.is_empty()).then(|| Segment::Text(segment.to_owned())),
        };
        text.strip_prefix('/')?.split('/').map(segment).collect::<Option<Vec<_>>>().map(Pattern)
    }

    /// The names in it.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|s| if let Segment::Name(_, name, _) = s { Some(name.as_str()) } else { None })
    }

    /// What the names stand for in `path`, if it fits.
    pub(crate) fn fit(&self, path: &str) -> Option<Map<String, Value>> {
        let mut given = path.strip_prefix('/')?.split('/');
        let mut names = Map::new();
        for segment in &self.0 {
            let part = given.next()?;
            match segment {
                Segment::Text(text) if text == part => {}
                Segment::Text(_) => return None,
                Segment::Name(before, name, after) => {
                    let part = percent_encoding::percent_decode_str(part).decode_utf8_lossy();
                    let part = part.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
                    names.insert(name.clone(), Value::String(part.to_owned()));
                }
            }
        }
        given.next().is_none().then_some(names)
    }
}

/// What answers a request.
#[derive(Debug)]
pub(super) struct Route {
    /// Its name.
    pub name: String,
    /// GET or POST.
    pub method: &'static str,
    /// The path.
    pub pattern: Pattern,
    /// What the query must hold.
    pub query: BTreeMap<String, String>,
    /// What the body must hold.
    pub body: BTreeMap<String, Value>,
    /// Entities to look up, and their ids.
    pub bind: Vec<(String, Node)>,
    /// Values that the answer uses.
    pub values: Vec<(String, Node)>,
    /// The status.
    pub status: u16,
    /// The body of the answer.
    pub answer: Node,
    /// How long it takes.
    pub latency: Latency,
    /// What goes wrong.
    pub faults: Vec<Faulty>,
}

/// What was asked.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// The path without the query.
    pub path: &'a str,
    /// The query, decoded.
    pub query: Value,
    /// The body; null when it is not JSON.
    pub body: Value,
}

impl Route {
    /// What its path's names stand for, if it answers `request`.
    pub(super) fn fit(&self, request: &Request<'_>) -> Option<Map<String, Value>> {
        if self.method != request.method {
            return None;
        }
        let names = self.pattern.fit(request.path)?;
        let query = self.query.iter().all(|(k, v)| request.query.get(k).and_then(Value::as_str) == Some(v));
        let body = self.body.iter().all(|(k, v)| request.body.get(k) == Some(v));
        (query && body).then_some(names)
    }

    /// Status and body of the answer. An id that is no number is 400, one that nobody has 404.
    pub(super) fn answer(
        &self,
        world: &World,
        events: u64,
        names: Map<String, Value>,
        request: &Request<'_>,
        asked: &dyn Asked,
    ) -> (u16, Value) {
        let path = Value::Object(names);
        let draw = world.draw.with("answer").with(self.name.as_str()).with(request.path);
        let scope = Scope::new(world, draw).asked(asked);
        let mut scope = scope.value("path", &path).value("query", &request.query).value("body", &request.body);
        let from_path = self.pattern.names().map(|name| (name, path.get(name).cloned()));
        let bound: Vec<_> =
            from_path.chain(self.bind.iter().map(|(name, id)| (name.as_str(), scope.eval(id)))).collect();
        for (name, id) in bound {
            let Some(kind) = world.kind(name) else { continue };
            let number = match &id {
                Some(Value::String(text)) => text.parse().ok(),
                Some(other) => other.as_i64(),
                None => None,
            };
            let Some(number) = number else {
                return (400, json!({"error": format!("the id of {name} is not a number")}));
            };
            match world.find(kind, number, events) {
                Some(one) => scope = scope.with(one),
                None => return (404, json!({"error": format!("there is no {name} {number}")})),
            }
        }
        let values: Vec<(&str, Value)> =
            self.values.iter().map(|(name, node)| (name.as_str(), scope.eval(node).unwrap_or_default())).collect();
        for (name, value) in &values {
            scope = scope.value(name, value);
        }
        (self.status, scope.eval(&self.answer).unwrap_or_default())
    }
}

/// The query of an address as a mapping of texts; of several with one name the last counts.
pub(crate) fn query(text: &str) -> Value {
    url::form_urlencoded::parse(text.as_bytes()).map(|(k, v)| (k.into_owned(), Value::String(v.into_owned()))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_whole_paths_only() {
        let pattern = Pattern::parse("/orders/{order}/items").unwrap();
        assert_eq!(Value::Object(pattern.fit("/orders/7%201/items").unwrap()), json!({"order": "7 1"}));
        for path in ["/orders/7", "/orders/7/items/", "/orders/7/items/1", "/order/7/items", "orders/7/items", ""] {
            assert!(pattern.fit(path).is_none(), "{path}");
        }
        for text in ["", "orders", "/orders//x", "/{", "/{}", "/a{b", "/a{}c", "/{a}{b}", "/a}{b}"] {
            assert!(Pattern::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_name_may_stand_between_fixed_text() {
        let pattern = Pattern::parse("/shops/{shop}/order-{order}.json").unwrap();
        assert_eq!(pattern.names().collect::<Vec<_>>(), ["shop", "order"]);
        let found = pattern.fit("/shops/a%2Fb/order-7.json").unwrap();
        assert_eq!(Value::Object(found), json!({"shop": "a/b", "order": "7"}));
        for path in ["/shops/a/order-7", "/shops/a/7.json", "/shops/a/old-7.json", "/shops/a/order-.jso"] {
            assert!(pattern.fit(path).is_none(), "{path}");
        }
    }
}
