//! Emissions: what is put on the topic, message by message, and what the tables must hold after them. Emission `i` is a
//! function of the seed and `i` alone, never of how many there will be, so that a run can stop and go on anywhere.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};

use super::Expected;
use super::draw::Draw;
use super::eval::Scope;
use super::tree::Node;
use super::world::{One, World};
use crate::topology::Span;

/// How many emissions are sent at once. Part of the format of the topic: a restart reads it back.
pub(super) const BATCH: u64 = 100;

/// The events as they are declared.
#[derive(Debug)]
pub(super) struct Events {
    /// What identifies an event.
    pub id: Node,
    /// The key of its message.
    pub key: Node,
    /// Its message.
    pub value: Node,
    /// Shares of copies, and how far from the original they may be.
    pub duplicates: Vec<(f64, u64)>,
    /// The types, by name.
    pub types: Vec<Type>,
}

/// One type of event.
#[derive(Debug)]
pub(super) struct Type {
    /// Its name.
    pub name: String,
    /// The sum of the weights up to it.
    pub weight: f64,
    /// The kind of entity it is about.
    pub pick: usize,
    /// Whether it is about the newest.
    pub newest: bool,
    /// Whether every new one of the pool comes with an event of this type.
    pub births: bool,
    /// Values of its own.
    pub fields: Vec<(String, Node)>,
}

/// Rows that events imply.
#[derive(Debug)]
pub(super) struct Expect {
    /// The table.
    pub table: String,
    /// Where it is named.
    pub at: Span,
    /// The types that imply them; all when there are none.
    pub types: Vec<String>,
    /// The key, or a list of keys.
    pub key: Node,
    /// Whether it is a list of keys.
    pub many: bool,
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Emission {
    /// Its key.
    pub key: String,
    /// Its body.
    pub value: Value,
    /// The number of the emission that it repeats.
    pub duplicate_of: Option<u64>,
}

impl Emission {
    /// Its line of the account.
    pub(super) fn line(&self, topic: &str) -> Vec<u8> {
        let line = json!({"topic": topic, "key": self.key, "value": self.value, "duplicate_of": self.duplicate_of});
        let mut line = line.to_string().into_bytes();
        line.push(b'\n');
        line
    }
}

impl Events {
    /// The emission that `i` repeats; itself when it is none.
    fn original(&self, world: &World, i: u64) -> u64 {
        if self.birth(world, i).is_some() {
            return i;
        }
        let draw = world.draw.with("duplicate").with(i);
        let mut at = draw.unit();
        for (rate, within) in &self.duplicates {
            if at < *rate && i > 0 {
                let back = 1 + draw.with("distance").below((*within).clamp(1, i));
                return self.original(world, i - back);
            }
            at -= rate;
        }
        i
    }

    /// Emission `i`.
    pub(super) fn emission(&self, world: &World, i: u64) -> Emission {
        let original = self.original(world, i);
        let (event, scope) = self.event(world, original);
        let scope = scope.value("event", &event);
        let key = match scope.eval(&self.key) {
            Some(Value::String(key)) => key,
            Some(other) => other.to_string(),
            None => String::new(),
        };
        Emission {
            key,
            value: scope.eval(&self.value).unwrap_or_default(),
            duplicate_of: (original != i).then_some(original),
        }
    }

    /// What `event` is bound to for event `i`, and the entities in sight.
    fn event<'w>(&self, world: &'w World, i: u64) -> (Value, Scope<'w>) {
        let draw = world.draw.with("event").with(i);
        let (kind, one) = self.subject(world, i, draw);
        let at = world.instant(i).saturating_add(draw.with("at").between(0, (world.step - 1).max(0)));
        let mut event = Map::new();
        event.insert("index".to_owned(), i.into());
        event.insert("at".to_owned(), at.into());
        event.insert("type".to_owned(), kind.map_or("", |t| t.name.as_str()).into());
        let scope = Scope::new(world, draw).with(one);
        let bound = Value::Object(event.clone());
        let seen = scope.clone().value("event", &bound);
        let id = seen.eval(&self.id).unwrap_or_default();
        let fields = kind.into_iter().flat_map(|t| &t.fields);
        let fields = fields.filter_map(|(name, node)| Some((name.clone(), seen.eval(node)?))).collect();
        event.insert("id".to_owned(), id);
        event.insert("fields".to_owned(), Value::Object(fields));
        (Value::Object(event), scope)
    }

    /// The type of event `i` if it brings something new into a pool.
    fn birth(&self, world: &World, i: u64) -> Option<&Type> {
        let grows = |kind| i == 0 || world.pool(kind, i) > world.pool(kind, i - 1);
        self.types.iter().find(|t| t.births && grows(t.pick))
    }

    fn subject(&self, world: &World, i: u64, draw: Draw) -> (Option<&Type>, One) {
        if let Some(kind) = self.birth(world, i) {
            return (Some(kind), world.pick(kind.pick, i, true, draw));
        }
        let at = draw.with("type").unit() * self.types.last().map_or(0.0, |t| t.weight);
        let kind = self.types.iter().find(|t| at < t.weight).or(self.types.last());
        let one = kind.map_or((0, 0), |t| world.pick(t.pick, i, t.newest, draw.with("pick")));
        (kind, one)
    }

    /// How many different keys each table holds once the first `emitted` messages are through, and nothing was given up.
    /// Its memory is one key for each row that is expected; it is meant to be asked once, at the end.
    pub(super) fn expected(&self, world: &World, expect: &[Expect], emitted: u64) -> Vec<Expected> {
        let mut keys: BTreeMap<&str, HashSet<String>> = BTreeMap::new();
        for rows in expect {
            keys.entry(&rows.table).or_default();
        }
        for i in (0..emitted).filter(|i| self.original(world, *i) == *i) {
            let (event, scope) = self.event(world, i);
            let scope = scope.value("event", &event);
            let kind = event.get("type").and_then(Value::as_str).unwrap_or("");
            for rows in expect.iter().filter(|e| e.types.is_empty() || e.types.iter().any(|t| t == kind)) {
                let set = keys.entry(&rows.table).or_default();
                match scope.eval(&rows.key) {
                    Some(Value::Array(list)) if rows.many => set.extend(list.iter().filter_map(whole)),
                    Some(key) => set.extend(whole(&key)),
                    None => {}
                }
            }
        }
        keys.into_iter().map(|(table, keys)| Expected { table: table.to_owned(), rows: keys.len() as u64 }).collect()
    }
}

/// The text of a key, unless a part of it is missing.
fn whole(key: &Value) -> Option<String> {
    let missing = match key {
        Value::Array(parts) => parts.iter().any(Value::is_null),
        other => other.is_null(),
    };
    (!missing).then(|| key.to_string())
}
