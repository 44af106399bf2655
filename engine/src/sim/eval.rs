//! What a tree is worth where it stands.

use std::collections::HashMap;
use std::sync::Mutex;

use chrono::{DateTime, FixedOffset};
use serde_json::{Map, Value};

use super::draw::Draw;
use super::tree::{Drawn, Each, Link, Node, Part, Path};
use super::world::{One, World};

/// How deep attributes may refer to attributes. The check refuses cycles, so that only a very long chain ends here.
const DEPTH: u8 = 64;

/// How often things happened, by what they happened to. It decides which attempt of a call this is; when it is full it
/// starts again, which only repeats the draws of first attempts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    by: Mutex<HashMap<String, u64>>,
    first: u64,
}

impl Counts {
    const MOST: usize = 500_000;

    /// The counts of a run on a folder that `runs` runs have used before: their attempts count, so that a call that fails
    /// does not fail again because the process was started again.
    pub(super) fn after(runs: u64) -> Self {
        Counts { first: runs.saturating_mul(1000), ..Counts::default() }
    }

    /// How often `what` happened before, and counts it once more.
    pub(super) fn next(&self, what: &str) -> u64 {
        let mut counts = self.by.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if counts.len() >= Self::MOST {
            counts.clear();
        }
        match counts.get_mut(what) {
            Some(count) => {
                *count += 1;
                *count - 1
            }
            None => {
                counts.insert(what.to_owned(), self.first + 1);
                self.first
            }
        }
    }
}

/// What an answer may do that an event may not: sign links now, and depend on how often it was asked for.
pub(super) trait Asked {
    /// The signed address of the file at `path`.
    fn link(&self, path: &str) -> String;
    /// How often `what` was asked for before; counts it.
    fn count(&self, what: &str) -> u64;
}

/// The names that a tree sees.
#[derive(Clone)]
pub(super) struct Scope<'a> {
    world: &'a World,
    draw: Draw,
    entities: Vec<One>,
    values: Vec<(&'a str, &'a Value)>,
    asked: Option<&'a dyn Asked>,
    depth: u8,
}

impl<'a> Scope<'a> {
    /// Nothing in sight; what is drawn is drawn from `draw`.
    pub(super) fn new(world: &'a World, draw: Draw) -> Self {
        Scope { world, draw, entities: Vec::new(), values: Vec::new(), asked: None, depth: 0 }
    }

    /// With an entity and all that it belongs to.
    #[must_use]
    pub(super) fn with(mut self, one: One) -> Self {
        let mut next = Some(one);
        while let Some(one) = next {
            self.entities.push(one);
            next = self.world.parent(one);
        }
        self
    }

    /// With a value under a name.
    #[must_use]
    pub(super) fn value(mut self, name: &'a str, value: &'a Value) -> Self {
        self.values.push((name, value));
        self
    }

    /// For an answer.
    #[must_use]
    pub(super) fn asked(mut self, asked: &'a dyn Asked) -> Self {
        self.asked = Some(asked);
        self
    }

    /// The value of `node`; `None` is nothing at all, not null.
    pub(super) fn eval(&self, node: &Node) -> Option<Value> {
        Some(match node {
            Node::Literal(value) => value.clone(),
            Node::Path(path) => self.path(path),
            Node::Text(parts) => Value::String(parts.iter().map(|part| self.part(part)).collect()),
            Node::List(nodes) => Value::Array(nodes.iter().filter_map(|n| self.eval(n)).collect()),
            Node::Object(entries) => {
                Value::Object(entries.iter().filter_map(|(k, n)| Some((k.clone(), self.eval(n)?))).collect())
            }
            Node::Draw(salt, drawn) => return self.drawn(self.draw.with(*salt), drawn),
            Node::If(nodes) => {
                let [test, then, other] = &**nodes;
                return if truthy(&self.eval(test).unwrap_or_default()) { self.eval(then) } else { self.eval(other) };
            }
            Node::Time { salt, from, add, format, offset } => {
                let instant = self.eval(from).and_then(|v| v.as_i64());
                instant.map_or(Value::Null, |at| {
                    let after = self.draw.with(*salt).between(add.0, add.1);
                    written(at.saturating_add(after), format.as_deref(), *offset)
                })
            }
            Node::Each(each) => self.each(each),
            Node::Link(link) => self.link(link),
            Node::Merge(nodes) => {
                let mut merged = Map::new();
                for node in nodes {
                    if let Some(Value::Object(map)) = self.eval(node) {
                        merged.extend(map);
                    }
                }
                Value::Object(merged)
            }
            Node::Lower(node) => match self.eval(node)? {
                Value::String(text) => Value::String(text.to_lowercase()),
                other => other,
            },
            Node::AsText(node) => match self.eval(node)? {
                Value::Null => Value::Null,
                value => Value::String(text(&value)),
            },
            Node::Absent => return None,
        })
    }

    fn link(&self, link: &Link) -> Value {
        let Some(Value::String(path)) = self.eval(&link.path) else { return Value::Null };
        let made = match &link.at {
            Some(at) => self.eval(at).and_then(|at| self.world.link(&path, at.as_i64()?, link.valid)),
            None => self.asked.map(|asked| asked.link(&path)),
        };
        made.map_or(Value::Null, Value::String)
    }

    fn part(&self, part: &Part) -> String {
        match part {
            Part::Text(text) => text.clone(),
            Part::Path(path) => text(&self.path(path)),
        }
    }

    fn path(&self, path: &Path) -> Value {
        let Some((root, rest)) = path.segments.split_first() else {
            return Value::Null;
        };
        if let Some((_, value)) = self.values.iter().rev().find(|(name, _)| *name == root.as_str()) {
            return walk(value, rest).clone();
        }
        let named = |one: &&One| self.world.entity(one.0).is_some_and(|e| e.name == *root);
        self.entities.iter().rev().find(named).map_or(Value::Null, |one| self.attribute(*one, rest))
    }

    fn attribute(&self, one: One, path: &[String]) -> Value {
        let (Some((name, rest)), Some(entity)) = (path.split_first(), self.world.entity(one.0)) else {
            return Value::Null;
        };
        match (name.as_str(), entity.attributes.get(name)) {
            ("id", _) => self.world.id(one).into(),
            ("index", _) => one.1.into(),
            ("born", _) => self.world.born(one).into(),
            (_, Some(node)) if self.depth < DEPTH => {
                let draw = self.world.draw.with("entity").with(entity.name.as_str()).with(one.1);
                let mut scope = Scope::new(self.world, draw).with(one);
                scope.depth = self.depth + 1;
                if let Node::Draw(salt, Drawn::One(of)) = node {
                    return scope.one(draw.with(*salt), of).map_or(Value::Null, |other| scope.attribute(other, rest));
                }
                let value = scope.eval(node).unwrap_or_default();
                walk(&value, rest).clone()
            }
            _ => Value::Null,
        }
    }

    fn one(&self, draw: Draw, kind: &str) -> Option<One> {
        let kind = self.world.kind(kind)?;
        Some((kind, draw.below(self.world.pool(kind, 0))))
    }

    fn drawn(&self, draw: Draw, drawn: &Drawn) -> Option<Value> {
        Some(match drawn {
            Drawn::Weighted(of) => {
                let at = draw.unit() * of.last().map_or(0.0, |(sum, _)| *sum);
                return of.iter().find(|(sum, _)| at < *sum).or(of.last()).and_then(|(_, node)| self.eval(node));
            }
            Drawn::Int(low, high) => draw.between(*low, *high).into(),
            Drawn::Decimal(low, high, digits) => {
                let scale = 10_f64.powi(*digits);
                (((low + draw.unit() * (high - low)) * scale).round() / scale).into()
            }
            Drawn::Digits(n) => {
                (0..*n).map(|i| char::from(b'0' + draw.with(i).below(10) as u8)).collect::<String>().into()
            }
            Drawn::Hex(n) => hex(draw, *n).into(),
            Drawn::Uuid => {
                let bits = (u128::from(draw.with(0).bits()) << 64) | u128::from(draw.with(1).bits());
                uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string().into()
            }
            Drawn::One(kind) => self.one(draw, kind).map_or(Value::Null, |one| self.world.id(one).into()),
        })
    }

    fn each(&self, each: &Each) -> Value {
        let Some(kind) = self.world.kind(&each.entity) else {
            return Value::Array(Vec::new());
        };
        let parent_kind = self.world.parent((kind, 0)).map(|(parent, _)| parent);
        let Some(parent) = self.entities.iter().rev().find(|one| Some(one.0) == parent_kind) else {
            return Value::Array(Vec::new());
        };
        let ids = self.eval(&each.ids).filter(|ids| !ids.is_null()).map(|ids| text(&ids));
        let wanted = |id: i64| ids.as_deref().is_none_or(|ids| ids.split(',').any(|i| i.trim().parse() == Ok(id)));
        let hidden = |number: u64| {
            let draw = self.world.draw.with("hidden").with(each.entity.as_str()).with(number);
            draw.chance(each.hide.0)
                && self.asked.is_some_and(|a| a.count(&format!("hidden {} {number}", each.entity)) < each.hide.1)
        };
        let children = self.world.children(kind, parent.1).filter(|n| wanted(self.world.id((kind, *n))) && !hidden(*n));
        let values = children.filter_map(|number| {
            let mut scope = self.clone().with((kind, number));
            scope.draw = self.draw.with(each.entity.as_str()).with(number);
            scope.eval(&each.value)
        });
        Value::Array(values.collect())
    }
}

/// Lower-case hexadecimal digits of a draw.
pub(super) fn hex(draw: Draw, digits: u64) -> String {
    (0..digits).filter_map(|i| char::from_digit(draw.with(i).below(16) as u32, 16)).collect()
}

/// An instant in microseconds as text, or as a number of milliseconds.
fn written(at: i64, format: Option<&str>, offset: i64) -> Value {
    let format = format.unwrap_or("%Y-%m-%dT%H:%M:%S%.3f%:z");
    if format == "ms" {
        return at.div_euclid(1_000).into();
    }
    let zone = i32::try_from(offset * 60).ok().and_then(FixedOffset::east_opt);
    match (DateTime::from_timestamp_micros(at), zone) {
        (Some(instant), Some(zone)) => instant.with_timezone(&zone).format(format).to_string().into(),
        _ => Value::Null,
    }
}

/// The value of a path into a value, by keys and, in lists, numbers; null where it leads nowhere.
fn walk<'v>(value: &'v Value, path: &[String]) -> &'v Value {
    const NULL: &Value = &Value::Null;
    path.iter().fold(value, |value, key| {
        let found = match value {
            Value::Array(list) => key.parse::<usize>().ok().and_then(|i| list.get(i)),
            other => other.get(key),
        };
        found.unwrap_or(NULL)
    })
}

/// A value inside a text: null is nothing, text is itself, all else is JSON.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}
