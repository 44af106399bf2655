//! Compiles trees: what they name is looked up in their sight, what they draw gets the salt of its place. The form of generators has
//! been checked before; what does not have it is left out here and not told again.

use std::time::Duration;

use serde_json::Value;

use super::declaration::{element, micros, millis, number};
use super::draw::Draw;
use super::generators::{GENERATORS, HIDE};
use super::sight::{Below, Sight};
use super::tree::{Drawn, Each, Link, Node, Part, Path};
use crate::topology::node::{Entry, Node as Written, Value as Form};
use crate::topology::reader::Reader;
use crate::topology::{Diagnostic, Source, Span, code, value};

/// Compiles the trees of one file.
pub(super) struct Compiler<'a> {
    /// The file.
    pub source: &'a Source,
    /// What is wrong so far.
    pub problems: &'a mut Vec<Diagnostic>,
}

/// A value as it stands, without generators.
pub(super) fn json(node: &Written) -> Value {
    match &node.value {
        Form::Null | Form::Unset => Value::Null,
        Form::Scalar(scalar) if scalar.plain => match serde_json::from_str(&scalar.text) {
            Ok(value @ (Value::Bool(_) | Value::Number(_))) => value,
            _ => Value::String(scalar.text.clone()),
        },
        Form::Scalar(scalar) => Value::String(scalar.text.clone()),
        Form::List(items) => items.iter().map(json).collect(),
        Form::Map(entries) => Value::Object(entries.iter().map(|e| (e.key.clone(), json(&e.value))).collect()),
    }
}

impl Compiler<'_> {
    /// Notes a problem.
    pub(super) fn wrong(&mut self, code: &'static str, at: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Diagnostic::new(code, self.source, at, message))
    }

    /// Notes that nothing is called `given`, and what is called nearly so.
    pub(super) fn unknown<'n>(
        &mut self,
        code: &'static str,
        at: Span,
        what: &str,
        given: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) {
        let problem = Diagnostic::new(code, self.source, at, format!("there is no {what} `{given}`"));
        self.push(problem.nearest(given, names));
    }

    fn push(&mut self, problem: Diagnostic) -> &mut Diagnostic {
        self.problems.push(problem);
        let last = self.problems.len() - 1;
        &mut self.problems[last]
    }

    /// Compiles `node`, whose draws are told apart by `place`.
    pub(super) fn tree(&mut self, node: &Written, sight: &Sight, place: &str) -> Node {
        match &node.value {
            Form::Null | Form::Unset => Node::Literal(Value::Null),
            Form::Scalar(scalar) => match json(node) {
                Value::String(_) => self.text(node, &scalar.text, sight),
                other => Node::Literal(other),
            },
            Form::List(items) => Node::List(self.list(items, sight, place)),
            Form::Map(entries) => {
                let generator = GENERATORS.iter().find_map(|shape| {
                    let name = shape.keys.first()?.name;
                    Some((name, Reader { node: Some(node), shape, at: node.entry(name)?.at }))
                });
                match generator {
                    Some((name, reader)) => {
                        self.generator(name, &reader, sight, &format!("{place}.{name}")).unwrap_or(Node::Absent)
                    }
                    None => Node::Object(
                        entries
                            .iter()
                            .map(|e| (e.key.clone(), self.tree(&e.value, sight, &format!("{place}.{}", e.key))))
                            .collect(),
                    ),
                }
            }
        }
    }

    /// Compiles the value of a key, null where it is not there.
    fn side(&mut self, reader: &Reader<'_>, key: &str, sight: &Sight, place: &str) -> Node {
        match reader.get(key) {
            Some(node) => self.tree(node, sight, &format!("{place}.{key}")),
            None => Node::Literal(Value::Null),
        }
    }

    fn list(&mut self, items: &[Written], sight: &Sight, place: &str) -> Vec<Node> {
        items.iter().enumerate().map(|(at, item)| self.tree(item, sight, &format!("{place}[{at}]"))).collect()
    }

    fn text(&mut self, node: &Written, text: &str, sight: &Sight) -> Node {
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(open) = text.get(at..).and_then(|rest| rest.find('{')).map(|open| at + open) {
            let Some(length) = text.get(open..).and_then(|rest| rest.find('}')) else {
                let span = node.locate(self.source, open, 1);
                let problem = self.wrong(code::TEMPLATE, span, "this brace is never closed");
                problem.help = Some("a path stands between two braces: `{event.id}`".into());
                return Node::Absent;
            };
            if open > at {
                parts.push(Part::Text(text.get(at..open).unwrap_or_default().to_owned()));
            }
            let inside = text.get(open + 1..open + length).unwrap_or_default();
            match self.path(node, open + 1, inside, sight) {
                Some(path) => parts.push(Part::Path(path)),
                None => return Node::Absent,
            }
            at = open + length + 1;
        }
        let rest = text.get(at..).unwrap_or_default();
        if parts.is_empty() {
            return Node::Literal(Value::String(text.to_owned()));
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        if parts.len() == 1
            && let Some(Part::Path(path)) = parts.pop_if(|part| matches!(part, Part::Path(_)))
        {
            return Node::Path(path);
        }
        Node::Text(parts)
    }

    /// Reads the path that stands at `offset` of the text of `node`.
    fn path(&mut self, node: &Written, offset: usize, inside: &str, sight: &Sight) -> Option<Path> {
        let (text, optional) = inside.strip_suffix('?').map_or((inside, false), |text| (text, true));
        let mut at = offset;
        let mut places = Vec::new();
        for segment in text.split('.') {
            places.push((segment, node.locate(self.source, at, segment.len().max(1))));
            at += segment.len() + 1;
        }
        let path = Path { segments: text.split('.').map(str::to_owned).collect() };
        let ((root, root_at), rest) = places.split_first()?;
        let Some(name) = sight.names.get(*root) else {
            if sight.open {
                return Some(path);
            }
            let problem =
                Diagnostic::new(code::UNKNOWN_BINDING, self.source, *root_at, format!("`{root}` is not in sight here"));
            let declared = sight.entities.contains_key(*root);
            let problem = problem.nearest(root, sight.names.keys().map(String::as_str));
            self.push(match problem.help {
                None if declared => problem
                    .help("an attribute sees its entity, an event what its type picks, an answer what its path names"),
                _ => problem,
            });
            return None;
        };
        if !name.certain && !optional && !sight.open {
            let span = node.locate(self.source, offset, inside.len());
            let problem = self.wrong(code::UNKNOWN_BINDING, span, format!("`{root}` is not always there"));
            *problem =
                problem.clone().help(format!("write `{{{text}?}}` if null is meant then")).write(format!("{text}?"));
            return None;
        }
        let mut below = &name.below;
        for (at, (segment, span)) in rest.iter().enumerate() {
            let owner = path.segments.get(..=at).unwrap_or_default().join(".");
            let (found, names): (_, Vec<&str>) = match below {
                Below::Anything => return Some(path),
                Below::Entity(entity) => match sight.entities.get(entity) {
                    // Only one with a pool can be another's attribute: that is told where it is declared.
                    Some(known) if at > 0 && known.parent.is_some() => return Some(path),
                    Some(known) => {
                        (known.attributes.get(*segment), known.attributes.keys().map(String::as_str).collect())
                    }
                    None => return Some(path),
                },
                Below::Members(members) => (members.get(*segment), members.keys().map(String::as_str).collect()),
            };
            let Some(found) = found else {
                let message = format!("`{owner}` has no `{segment}`");
                self.push(Diagnostic::new(code::UNKNOWN_FIELD, self.source, *span, message).nearest(segment, names));
                return None;
            };
            below = found;
        }
        if let Below::Entity(entity) = below {
            let (_, span) = places.last()?;
            let known = sight.entities.get(entity).map(|known| known.attributes.keys().map(String::as_str));
            let names: Vec<&str> = known.into_iter().flatten().collect();
            let problem = self.wrong(code::UNKNOWN_FIELD, *span, format!("`{{{text}}}` is a whole entity"));
            problem.help = Some(format!("name one of its attributes: `{}`", names.join("`, `")));
            return None;
        }
        Some(path)
    }

    fn generator(&mut self, name: &str, of: &Reader<'_>, sight: &Sight, place: &str) -> Option<Node> {
        let salt = Draw::of(0).with(place).bits();
        let argument = of.get(name)?;
        Some(match name {
            "$choice" => {
                let nodes = self.list(argument.items(), sight, place);
                if nodes.is_empty() {
                    self.wrong(code::SIMULATION, argument.span, "there is nothing to choose from");
                }
                let sums = (1..=nodes.len()).map(|n| n as f64);
                Node::Draw(salt, Drawn::Weighted(sums.zip(nodes).collect()))
            }
            "$weighted" => self.weighted(argument, salt, sight, place),
            "$int" => {
                let [low, high] = self.ordered(argument, |text| text.parse().ok())?;
                Node::Draw(salt, Drawn::Int(low, high))
            }
            "$decimal" => {
                let [low, high] = self.ordered(argument, |text| text.parse().ok())?;
                let digits = argument.items().get(2).and_then(|digits| digits.text()?.parse().ok())?;
                Node::Draw(salt, Drawn::Decimal(low, high, digits))
            }
            "$digits" => Node::Draw(salt, Drawn::Digits(of.opt_integer(name)?)),
            "$hex" => Node::Draw(salt, Drawn::Hex(of.opt_integer(name)?)),
            "$uuid" => Node::Draw(salt, Drawn::Uuid),
            "$chance" => {
                let rate = number(of, name);
                let then = self.side(of, "then", sight, place);
                let other = self.side(of, "else", sight, place);
                Node::Draw(salt, Drawn::Weighted(vec![(rate, then), (1.0, other)]))
            }
            "$if" => Node::If(Box::new([
                self.tree(argument, sight, place),
                self.side(of, "then", sight, place),
                self.side(of, "else", sight, place),
            ])),
            "$time" => self.time(argument, of, salt, sight, place)?,
            "$each" => self.each(argument, of, sight, place)?,
            "$one" => {
                let entity = self.entity(argument, sight, |known| known.parent.is_none())?;
                let Some(entity) = entity else {
                    let entity = argument.text().unwrap_or_default();
                    let message = format!("`{entity}` has no pool of its own: its parents have it");
                    self.wrong(code::UNKNOWN_ENTITY, argument.span, message);
                    return None;
                };
                Node::Draw(salt, Drawn::One(entity))
            }
            "$link" => self.link(argument, of, sight, place)?,
            "$merge" => Node::Merge(self.list(argument.items(), sight, place)),
            "$lower" => Node::Lower(Box::new(self.tree(argument, sight, place))),
            "$text" => Node::AsText(Box::new(self.tree(argument, sight, place))),
            _ => Node::Absent,
        })
    }

    fn weighted(&mut self, argument: &Written, salt: u64, sight: &Sight, place: &str) -> Node {
        let mut sum = 0.0;
        let mut of = Vec::new();
        for (at, pair) in argument.items().iter().enumerate() {
            let [weight, tree] = pair.items() else { continue };
            sum += weight.text().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
            of.push((sum, self.tree(tree, sight, &format!("{place}[{at}]"))));
        }
        if sum <= 0.0 && of.len() == argument.items().len() {
            self.wrong(code::SIMULATION, argument.span, "no value has a weight");
        }
        Node::Draw(salt, Drawn::Weighted(of))
    }

    /// The first two of a list, of which the first is not the greater.
    pub(super) fn ordered<T: PartialOrd>(
        &mut self,
        list: &Written,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<[T; 2]> {
        let [low, high, ..] = list.items() else { return None };
        let pair = [read(low.text()?)?, read(high.text()?)?];
        if pair[0] > pair[1] {
            let problem = self.wrong(code::SIMULATION, list.span, "the smaller one comes first");
            let texts: Vec<&str> = list.items().iter().filter_map(Written::text).collect();
            if let [low, high, rest @ ..] = texts.as_slice() {
                let rest: String = rest.iter().map(|text| format!(", {text}")).collect();
                *problem = problem.clone().write(format!("[{high}, {low}{rest}]"));
            }
        }
        Some(pair)
    }

    /// The entity that a value names, if it `fits`: nothing, after telling it, if there is none of that name.
    fn entity(
        &mut self,
        node: &Written,
        sight: &Sight,
        fits: impl Fn(&super::sight::Known) -> bool,
    ) -> Option<Option<String>> {
        let name = node.text()?;
        match sight.entities.get(name) {
            Some(known) => Some(fits(known).then(|| name.to_owned())),
            None => {
                let names = sight.entities.iter().filter(|(_, known)| fits(known)).map(|(name, _)| name.as_str());
                self.unknown(code::UNKNOWN_ENTITY, node.span, "entity", name, names);
                None
            }
        }
    }

    fn time(&mut self, from: &Written, of: &Reader<'_>, salt: u64, sight: &Sight, place: &str) -> Option<Node> {
        let add = match of.get("add") {
            None => [Duration::ZERO; 2],
            Some(add) => self.ordered(add, value::duration)?,
        };
        let format = of.get("format").and_then(|node| Some((node.text()?.to_owned(), node.span)));
        if let Some((text, at)) = &format
            && chrono::format::StrftimeItems::new(text).any(|item| item == chrono::format::Item::Error)
        {
            let problem = self.wrong(code::SIMULATION, *at, format!("`{text}` is no format of strftime"));
            problem.expected = Some("`ms`, or a format such as `%Y-%m-%dT%H:%M:%S%.3f%:z`".into());
        }
        Some(Node::Time {
            salt,
            from: Box::new(self.tree(from, sight, place)),
            add: (micros(add[0]), micros(add[1])),
            format: format.map(|(text, _)| text),
            offset: of.opt_integer("offset").unwrap_or(0),
        })
    }

    fn link(&mut self, path: &Written, of: &Reader<'_>, sight: &Sight, place: &str) -> Option<Node> {
        let problem = if !sight.files {
            Some((of.at, "a link leads to a file, and there are no `files`", "declare `files`"))
        } else if of.get("at").is_none() && of.get("valid").is_some() {
            Some((of.place("valid"), "`valid` goes with `at`", "say when the link is signed: `at`"))
        } else if of.get("at").is_none() && !sight.answers {
            let help = "say when it is signed, such as `at: \"{event.at}\"`";
            Some((of.at, "an event does not know when it is given out", help))
        } else {
            None
        };
        if let Some((at, message, help)) = problem {
            self.wrong(code::GENERATOR, at, message).help = Some(help.into());
            return None;
        }
        let at = of.get("at").map(|at| self.tree(at, sight, &format!("{place}.at")));
        let valid = of.opt_duration("valid").map(millis);
        Some(Node::Link(Box::new(Link { path: self.tree(path, sight, place), at, valid })))
    }

    fn each(&mut self, argument: &Written, of: &Reader<'_>, sight: &Sight, place: &str) -> Option<Node> {
        let entity = match self.entity(argument, sight, |known| known.parent.is_some())? {
            Some(entity) => entity,
            None => {
                let name = argument.text().unwrap_or_default();
                let problem = self.wrong(code::UNKNOWN_ENTITY, argument.span, format!("`{name}` has no parent"));
                problem.help = Some("only an entity that is declared with `of` is listed".into());
                return None;
            }
        };
        let known = sight.entities.get(&entity).filter(|known| !known.lost)?;
        let parent = known.parent.clone().unwrap_or_default();
        if !sight.open && !sight.names.get(&parent).is_some_and(|name| name.certain) {
            let message = format!("`{parent}`, the parent of `{entity}`, is not always in sight here");
            self.wrong(code::UNKNOWN_BINDING, argument.span, message);
            return None;
        }
        let hide = of.get("hide").map_or((0.0, 0), |hide| {
            let hide = element(hide, &HIDE);
            (number(&hide, "rate"), hide.integer("calls"))
        });
        let ids = self.side(of, "ids", sight, place);
        let value = self.side(of, "value", &sight.with(&entity, true), place);
        Some(Node::Each(Box::new(Each { entity, ids, hide, value })))
    }

    /// The trees of a mapping by name, each told apart by `place` and its name.
    pub(super) fn named(&mut self, entries: &[Entry], sight: &Sight, place: &str) -> Vec<(String, Node)> {
        let mut entries: Vec<&Entry> = entries.iter().collect();
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        entries.iter().map(|e| (e.key.clone(), self.tree(&e.value, sight, &format!("{place}.{}", e.key)))).collect()
    }
}
