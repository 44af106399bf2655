//! Trees: the values of attributes, events and answers as they are declared, compiled once.
//!
//! A tree is YAML. Numbers, booleans, null, lists and mappings stand for themselves; `{a.b}` in a text is the value of a path,
//! and a text that is nothing but one `{a.b}` is that value with its type. A path that ends in `?` may lead nowhere (null).
//! A mapping whose first key starts with `$` is a generator:
//!
//! | generator | value |
//! |---|---|
//! | `$choice: [a, b]` | one of them |
//! | `$weighted: [[9, a], [1, b]]` | one of them, by weight |
//! | `$int: [low, high]` | a whole number in between, ends included |
//! | `$decimal: [low, high, digits]` | a number with so many digits after the point |
//! | `$digits: n`, `$hex: n` | text of n digits |
//! | `$uuid: true` | the text of a UUID |
//! | `$chance: rate`, `then:`, `else:` | `then` at that rate, otherwise `else` (null) |
//! | `$if: tree`, `then:`, `else:` | `then` unless the tree is null, false, 0 or empty |
//! | `$time: from`, `add: [0s, 2h]`, `format:`, `offset:` | an instant after another one; `format` as strftime, or `ms`; `offset` in minutes |
//! | `$each: entity`, `ids:`, `hide:`, `value:` | a list with `value` for each child of the parent in sight; only those in the comma list `ids` unless it is null; `hide: {rate, calls}` leaves some out of the first calls that would show them |
//! | `$one: entity` | one entity of a pool; its attributes can be reached through it |
//! | `$link: path`, `at:`, `valid:` | the address of a file, signed; with `at` at that instant, else when the answer is made; good for `valid`, else as long as `files` says |
//! | `$merge: [a, b]` | the keys of all, later ones win |
//! | `$lower: a`, `$text: a` | in lower case; as text (null stays null) |
//! | `$absent: true` | nothing: the key or element is left out |
//!
//! What is drawn is a function of the seed, of the thing it is drawn for and of the generator's place in the file.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::declaration::Span;
use super::draw::Draw;

/// A compiled tree.
#[derive(Debug)]
pub(super) enum Node {
    /// Itself.
    Literal(Value),
    /// Text with paths in it.
    Text(Vec<Part>),
    /// The value of a path.
    Path(Path),
    /// A list.
    List(Vec<Node>),
    /// A mapping.
    Object(Vec<(String, Node)>),
    /// Something drawn: what decides, and the salt of its place.
    Draw(u64, Drawn),
    /// One of two.
    If(Box<[Node; 3]>),
    /// An instant: `from`, and how it is written. The salt draws the time that is added.
    Time { salt: u64, from: Box<Node>, add: (i64, i64), format: Option<String>, offset: i64 },
    /// The children of an entity in sight.
    Each(Box<Each>),
    /// The address of a file.
    Link(Box<Link>),
    /// All keys of several mappings.
    Merge(Vec<Node>),
    /// Lower case.
    Lower(Box<Node>),
    /// As text.
    AsText(Box<Node>),
    /// Left out.
    Absent,
}

/// What is drawn.
#[derive(Debug)]
pub(super) enum Drawn {
    /// One of several, each with the sum of the weights up to it.
    Weighted(Vec<(f64, Node)>),
    /// A whole number.
    Int(i64, i64),
    /// A number with so many digits after the point.
    Decimal(f64, f64, i32),
    /// Decimal digits.
    Digits(u64),
    /// Hexadecimal digits.
    Hex(u64),
    /// A UUID.
    Uuid,
    /// An entity of a pool, by name.
    One(String),
}

/// A piece of text.
#[derive(Debug)]
pub(super) enum Part {
    /// Itself.
    Text(String),
    /// The value of a path.
    Path(Path),
}

/// Where a value is: a name in sight, then keys.
#[derive(Debug)]
pub(super) struct Path {
    /// The name and the keys.
    pub segments: Vec<String>,
}

/// A list of children.
#[derive(Debug)]
pub(super) struct Each {
    /// The kind of the children.
    pub entity: String,
    /// Which ones, or null.
    pub ids: Node,
    /// The share that is hidden at first, and for how many calls.
    pub hide: (f64, u64),
    /// What each becomes.
    pub value: Node,
}

/// The address of a file.
#[derive(Debug)]
pub(super) struct Link {
    /// Its path.
    pub path: Node,
    /// When it is signed; when the answer is made without.
    pub at: Option<Node>,
    /// For how long, in milliseconds, where it says so itself.
    pub valid: Option<i64>,
}

/// What a tree may refer to.
#[derive(Clone, Debug, Default)]
pub(super) struct Sight {
    /// The attributes of every kind of entity, with its parent.
    pub entities: BTreeMap<String, (Option<String>, BTreeSet<String>)>,
    /// The names in sight, and whether they are surely there.
    pub names: BTreeMap<String, bool>,
    /// Whether there are files.
    pub files: bool,
    /// Whether an address of one may be signed at the instant at which it is given out.
    pub answers: bool,
}

impl Sight {
    /// With `entity` and its ancestors in sight.
    pub(super) fn with(&self, entity: &str, certain: bool) -> Sight {
        let mut sight = self.clone();
        let mut next = Some(entity.to_owned());
        while let Some(name) = next.take() {
            next = sight.entities.get(&name).and_then(|(parent, _)| parent.clone()).filter(|p| *p != name);
            let before = sight.names.get(&name).copied().unwrap_or(false);
            if sight.names.insert(name, certain || before).is_some() && before {
                break;
            }
        }
        sight
    }
}

/// Compiles one tree. What is wrong goes to `errors`, each with its place.
pub(super) struct Compiler<'a> {
    /// What is wrong so far.
    pub errors: &'a mut Vec<String>,
}

impl Compiler<'_> {
    /// Compiles `value`, which stands at `place`.
    pub(super) fn tree(&mut self, value: &Value, sight: &Sight, place: &str) -> Node {
        match value {
            Value::String(text) => self.text(text, sight, place),
            Value::Array(list) => Node::List(self.list(list, sight, place)),
            Value::Object(map) => match map.keys().find(|k| k.starts_with('$')) {
                Some(name) => self.generator(name, map, sight, place),
                None => Node::Object(
                    map.iter().map(|(k, v)| (k.clone(), self.tree(v, sight, &format!("{place}.{k}")))).collect(),
                ),
            },
            other => Node::Literal(other.clone()),
        }
    }

    fn list(&mut self, list: &[Value], sight: &Sight, place: &str) -> Vec<Node> {
        list.iter().enumerate().map(|(i, v)| self.tree(v, sight, &format!("{place}[{i}]"))).collect()
    }

    fn wrong(&mut self, place: &str, what: impl AsRef<str>) -> Node {
        self.errors.push(format!("{place}: {}", what.as_ref()));
        Node::Absent
    }

    fn text(&mut self, text: &str, sight: &Sight, place: &str) -> Node {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let Some(length) = rest[open..].find('}') else {
                return self.wrong(place, format!("`{text}` opens a brace and does not close it"));
            };
            if open > 0 {
                parts.push(Part::Text(rest[..open].to_owned()));
            }
            match self.path(&rest[open + 1..open + length], sight, place) {
                Some(path) => parts.push(Part::Path(path)),
                None => return Node::Absent,
            }
            rest = &rest[open + length + 1..];
        }
        if parts.is_empty() {
            return Node::Literal(Value::String(text.to_owned()));
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        if parts.len() == 1
            && let Some(Part::Path(path)) = parts.pop_if(|p| matches!(p, Part::Path(_)))
        {
            return Node::Path(path);
        }
        Node::Text(parts)
    }

    fn path(&mut self, text: &str, sight: &Sight, place: &str) -> Option<Path> {
        let (text, optional) = text.strip_suffix('?').map_or((text, false), |t| (t, true));
        let segments: Vec<String> = text.split('.').map(str::to_owned).collect();
        let root = segments.first().map_or("", String::as_str);
        match sight.names.get(root) {
            None => {
                let known: Vec<&str> = sight.names.keys().map(String::as_str).collect();
                self.wrong(
                    place,
                    format!("there is no `{root}` in sight of `{{{text}}}`; there are {}", known.join(", ")),
                );
                return None;
            }
            Some(false) if !optional => {
                self.wrong(place, format!("`{root}` is not always there; write `{{{text}?}}` if null is meant then"));
                return None;
            }
            Some(_) => {}
        }
        if let Some((_, attributes)) = sight.entities.get(root) {
            let Some(attribute) = segments.get(1) else {
                self.wrong(place, format!("`{{{text}}}` is a whole entity; name one of its attributes"));
                return None;
            };
            if !attributes.contains(attribute) {
                let known: Vec<&str> = attributes.iter().map(String::as_str).collect();
                self.wrong(place, format!("`{root}` has no attribute `{attribute}`; it has {}", known.join(", ")));
                return None;
            }
        }
        Some(Path { segments })
    }

    fn generator(&mut self, name: &str, map: &Map<String, Value>, sight: &Sight, place: &str) -> Node {
        let place = &format!("{place}.{name}");
        let salt = Draw::of(0).with(place.as_str()).bits();
        let known: &[&str] = match name {
            "$chance" | "$if" => &["then", "else"],
            "$time" => &["add", "format", "offset"],
            "$each" => &["ids", "hide", "value"],
            "$link" => &["at", "valid"],
            _ => &[],
        };
        if let Some(key) = map.keys().find(|k| *k != name && !known.contains(&k.as_str())) {
            return self.wrong(place, format!("`{key}` does not go with `{name}`; it takes {known:?}"));
        }
        let argument = map.get(name).unwrap_or(&Value::Null);
        let null = &Value::Null;
        let side = |key: &str| map.get(key).unwrap_or(null);
        match name {
            "$choice" => match argument.as_array() {
                Some(list) if !list.is_empty() => {
                    let nodes = self.list(list, sight, place);
                    let sums = (1..=nodes.len()).map(|n| n as f64);
                    Node::Draw(salt, Drawn::Weighted(sums.zip(nodes).collect()))
                }
                _ => self.wrong(place, "give a list of values"),
            },
            "$weighted" => self.weighted(argument, salt, sight, place),
            "$int" => match numbers(argument).as_deref() {
                Some([low, high]) if low <= high => Node::Draw(salt, Drawn::Int(*low as i64, *high as i64)),
                _ => self.wrong(place, "give [low, high]"),
            },
            "$decimal" => match numbers(argument).as_deref() {
                Some([low, high, digits]) if low <= high && (0.0..=9.0).contains(digits) => {
                    Node::Draw(salt, Drawn::Decimal(*low, *high, *digits as i32))
                }
                _ => self.wrong(place, "give [low, high, digits after the point]"),
            },
            "$digits" | "$hex" => match argument.as_u64() {
                Some(n @ 1..=64) if name == "$digits" => Node::Draw(salt, Drawn::Digits(n)),
                Some(n @ 1..=64) => Node::Draw(salt, Drawn::Hex(n)),
                _ => self.wrong(place, "give a number of digits from 1 to 64"),
            },
            "$uuid" => Node::Draw(salt, Drawn::Uuid),
            "$chance" => {
                let Some(rate) = argument.as_f64().filter(|r| (0.0..=1.0).contains(r)) else {
                    return self.wrong(place, "give a rate from 0 to 1");
                };
                let then = self.tree(side("then"), sight, &format!("{place}.then"));
                let other = self.tree(side("else"), sight, &format!("{place}.else"));
                Node::Draw(salt, Drawn::Weighted(vec![(rate, then), (1.0, other)]))
            }
            "$if" => Node::If(Box::new([
                self.tree(argument, sight, place),
                self.tree(side("then"), sight, &format!("{place}.then")),
                self.tree(side("else"), sight, &format!("{place}.else")),
            ])),
            "$time" => self.time(argument, map, salt, sight, place),
            "$each" => self.each(argument, map, sight, place),
            "$one" => match argument.as_str().filter(|e| sight.entities.get(*e).is_some_and(|(p, _)| p.is_none())) {
                Some(entity) => Node::Draw(salt, Drawn::One(entity.to_owned())),
                None => self.wrong(place, "give the name of an entity with a pool"),
            },
            "$link" => self.link(argument, map, sight, place),
            "$merge" => match argument.as_array() {
                Some(list) => Node::Merge(self.list(list, sight, place)),
                None => self.wrong(place, "give a list of mappings"),
            },
            "$lower" => Node::Lower(Box::new(self.tree(argument, sight, place))),
            "$text" => Node::AsText(Box::new(self.tree(argument, sight, place))),
            "$absent" => Node::Absent,
            _ => self.wrong(place, "there is no such generator"),
        }
    }

    fn weighted(&mut self, argument: &Value, salt: u64, sight: &Sight, place: &str) -> Node {
        let mut sum = 0.0;
        let mut of = Vec::new();
        for (i, pair) in argument.as_array().into_iter().flatten().enumerate() {
            match pair.as_array().map(Vec::as_slice) {
                Some([weight, tree]) if weight.as_f64().is_some_and(|w| w >= 0.0) => {
                    sum += weight.as_f64().unwrap_or(0.0);
                    of.push((sum, self.tree(tree, sight, &format!("{place}[{i}]"))));
                }
                _ => return self.wrong(place, "every element is [weight, value]"),
            }
        }
        if sum <= 0.0 {
            return self.wrong(place, "give a list of [weight, value] with some weight");
        }
        Node::Draw(salt, Drawn::Weighted(of))
    }

    fn time(&mut self, from: &Value, map: &Map<String, Value>, salt: u64, sight: &Sight, place: &str) -> Node {
        let span = |v: &Value| v.as_str().and_then(|t| Span::try_from(t.to_owned()).ok()).map(Span::micros);
        let add = match map.get("add") {
            None => (0, 0),
            Some(add) => match add.as_array().map(Vec::as_slice) {
                Some([low, high]) if let (Some(low), Some(high)) = (span(low), span(high)) => (low, high),
                _ => {
                    return self.wrong(place, "`add` is [from, to], two durations like 0s and 5m");
                }
            },
        };
        let format = map.get("format").and_then(Value::as_str).map(str::to_owned);
        if let Some(format) = &format
            && chrono::format::StrftimeItems::new(format).any(|item| item == chrono::format::Item::Error)
        {
            return self.wrong(place, format!("`{format}` is not a format of strftime"));
        }
        let offset = map.get("offset").map_or(Some(0), Value::as_i64);
        let Some(offset) = offset.filter(|o| o.abs() < 24 * 60) else {
            return self.wrong(place, "`offset` is minutes east of Greenwich");
        };
        Node::Time { salt, from: Box::new(self.tree(from, sight, place)), add, format, offset }
    }

    fn link(&mut self, path: &Value, map: &Map<String, Value>, sight: &Sight, place: &str) -> Node {
        if !sight.files {
            return self.wrong(place, "a link leads to a file; declare `files`");
        }
        if map.get("at").is_none() && !sight.answers {
            return self.wrong(place, "only an answer is given out at some instant; say when it is signed with `at`");
        }
        let span = |v: &Value| v.as_str().and_then(|t| Span::try_from(t.to_owned()).ok()).map(Span::millis);
        let valid = match map.get("valid") {
            None => None,
            Some(_) if !map.contains_key("at") => return self.wrong(place, "`valid` goes with `at`"),
            Some(valid) => match span(valid) {
                Some(valid) => Some(valid),
                None => return self.wrong(place, "`valid` is a duration like 30s, 24h or 7d"),
            },
        };
        let at = map.get("at").map(|at| self.tree(at, sight, &format!("{place}.at")));
        Node::Link(Box::new(Link { path: self.tree(path, sight, place), at, valid }))
    }

    fn each(&mut self, entity: &Value, map: &Map<String, Value>, sight: &Sight, place: &str) -> Node {
        let parent = entity.as_str().and_then(|name| sight.entities.get(name)).and_then(|(parent, _)| parent.clone());
        let (Some(entity), Some(parent)) = (entity.as_str(), parent) else {
            return self.wrong(place, "give an entity that is declared with `of`");
        };
        if sight.names.get(&parent) != Some(&true) {
            return self.wrong(place, format!("the parent `{parent}` of `{entity}` is not in sight"));
        }
        let null = Value::Null;
        let hide = match map.get("hide") {
            None => Some((0.0, 0)),
            Some(hide) => hide["rate"].as_f64().zip(hide["calls"].as_u64()),
        };
        let Some(hide) = hide else {
            return self.wrong(place, "`hide` is {rate, calls}");
        };
        let ids = self.tree(map.get("ids").unwrap_or(&null), sight, &format!("{place}.ids"));
        let value = self.tree(map.get("value").unwrap_or(&null), &sight.with(entity, true), &format!("{place}.value"));
        Node::Each(Box::new(Each { entity: entity.to_owned(), ids, hide, value }))
    }
}

/// A list of numbers.
fn numbers(value: &Value) -> Option<Vec<f64>> {
    value.as_array()?.iter().map(Value::as_f64).collect()
}

impl Node {
    /// Calls `visit` with the name at the root of every path in the tree.
    pub(super) fn paths(&self, visit: &mut dyn FnMut(&Path)) {
        match self {
            Node::Literal(_) | Node::Absent => {}
            Node::Path(path) => visit(path),
            Node::Text(parts) => {
                for part in parts {
                    if let Part::Path(path) = part {
                        visit(path);
                    }
                }
            }
            Node::List(nodes) | Node::Merge(nodes) => nodes.iter().for_each(|n| n.paths(visit)),
            Node::Object(entries) => entries.iter().for_each(|(_, n)| n.paths(visit)),
            Node::Draw(_, Drawn::Weighted(of)) => of.iter().for_each(|(_, n)| n.paths(visit)),
            Node::Draw(..) => {}
            Node::If(nodes) => nodes.iter().for_each(|n| n.paths(visit)),
            Node::Time { from, .. } => from.paths(visit),
            Node::Each(each) => {
                each.ids.paths(visit);
                each.value.paths(visit);
            }
            Node::Link(link) => {
                link.path.paths(visit);
                link.at.iter().for_each(|at| at.paths(visit));
            }
            Node::Lower(node) | Node::AsText(node) => node.paths(visit),
        }
    }
}
