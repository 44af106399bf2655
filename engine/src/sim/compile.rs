//! From the declaration to what runs: names resolved, trees compiled, everything checked. All that is wrong is reported at
//! once, each with the line it stands near and the place in the file.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use serde_saphyr::Spanned;

use super::Simulation;
use super::declaration::{Declaration, RouteDeclaration, TypeDeclaration};
use super::draw::Draw;
use super::emission::{Events, Expect, Type};
use super::fault;
use super::route::{Pattern, Route};
use super::tree::{Compiler, Node, Sight};
use super::world::{Entity, Shape, World};

/// Checks and compiles `text`, the content of the file called `name`.
pub(super) fn compile(name: &str, text: &str) -> Result<Simulation, Vec<String>> {
    let declaration: Declaration = serde_saphyr::from_str(text).map_err(|error| vec![format!("{name}: {error}")])?;
    let mut errors = Vec::new();
    let simulation = Compile { name, errors: &mut errors }.simulation(declaration);
    match simulation {
        Some(simulation) if errors.is_empty() => Ok(simulation),
        _ => Err(errors),
    }
}

struct Compile<'a> {
    name: &'a str,
    errors: &'a mut Vec<String>,
}

impl Compile<'_> {
    fn wrong(&mut self, what: impl AsRef<str>) {
        self.errors.push(format!("{}: {}", self.name, what.as_ref()));
    }

    fn all(&mut self, errors: Vec<String>) {
        errors.into_iter().for_each(|error| self.wrong(error));
    }

    fn tree(&mut self, value: &Value, line: u64, sight: &Sight, place: &str) -> Node {
        let mut errors = Vec::new();
        let node = Compiler { errors: &mut errors }.tree(value, sight, place);
        self.errors.extend(errors.into_iter().map(|error| format!("{}:{line}: {error}", self.name)));
        node
    }

    fn spanned(&mut self, value: &Spanned<Value>, sight: &Sight, place: &str) -> Node {
        self.tree(&value.value, value.referenced.line(), sight, place)
    }

    fn simulation(mut self, d: Declaration) -> Option<Simulation> {
        if d.language != 1 {
            self.wrong(format!("language {} is not known; this engine reads language 1", d.language));
        }
        let start = chrono::DateTime::parse_from_rfc3339(&d.events.start).map(|t| t.timestamp_micros());
        if start.is_err() {
            self.wrong(format!("events.start: `{}` is not an instant like 2026-01-10T08:00:00Z", d.events.start));
        }
        let (entities, sight) = self.entities(&d)?;
        let step = d.events.step.micros();
        let world = World {
            draw: Draw::of(0),
            entities,
            start: start.unwrap_or(0),
            step,
            files: d.files.clone(),
            url: String::new(),
        };
        let events = self.events(&d, &world, &sight);
        let expect = self.expect(&d, &sight);
        let mut routes = Vec::new();
        for (name, route) in &d.routes {
            routes.extend(self.route(name, &route.value, route.referenced.line(), &d, &sight));
        }
        self.all(fault::check(&d.server.faults, false, "server.faults"));
        if let Some(files) = &d.files {
            self.all(fault::check(&files.faults, true, "files.faults"));
            self.all(files.check());
        }
        Some(Simulation {
            name: d.simulation,
            provides: d.provides,
            topic: d.events.topic,
            auth: d.server.auth,
            world,
            events,
            expect,
            routes,
        })
    }

    fn entities(&mut self, d: &Declaration) -> Option<(Vec<Entity>, Sight)> {
        let mut sight = Sight { files: d.files.is_some(), ..Sight::default() };
        let names: Vec<&String> = d.entities.keys().collect();
        for (name, entity) in &d.entities {
            let mut attributes: BTreeSet<String> = ["id", "index", "born"].map(str::to_owned).into();
            attributes.extend(entity.attributes.keys().cloned());
            sight.entities.insert(name.clone(), (entity.of.clone(), attributes));
        }
        let mut entities = Vec::new();
        for (name, entity) in &d.entities {
            let parent = entity.of.as_ref().and_then(|of| names.iter().position(|n| *n == of));
            let shape = match (entity.pool, parent, entity.per) {
                (Some(pool), None, None) if pool.first > 0 => Shape::Pool(pool),
                (None, Some(parent), Some((low, high))) if low <= high && high > 0 => Shape::Of { parent, low, high },
                _ => {
                    self.wrong(format!(
                        "entities.{name}: it has a `pool` with at least one, or it is `of` another entity with `per: [low, high]`"
                    ));
                    continue;
                }
            };
            let own = sight.with(name, true);
            let attributes = entity.attributes.iter().map(|(attribute, tree)| {
                (attribute.clone(), self.spanned(tree, &own, &format!("entities.{name}.{attribute}")))
            });
            entities.push(Entity { name: name.clone(), id: entity.id, shape, attributes: attributes.collect() });
        }
        self.circles(&entities);
        (self.errors.is_empty() || entities.len() == d.entities.len()).then_some((entities, sight))
    }

    /// Refuses entities that belong to themselves and attributes that are made from themselves.
    fn circles(&mut self, entities: &[Entity]) {
        for (kind, entity) in entities.iter().enumerate() {
            let mut next = kind;
            for _ in 0..=entities.len() {
                match entities.get(next).map(|e| e.shape) {
                    Some(Shape::Of { parent, .. }) => next = parent,
                    _ => break,
                }
            }
            if matches!(entities.get(next).map(|e| e.shape), Some(Shape::Of { .. })) {
                self.wrong(format!("entities.{}: it is `of` itself, by way of others", entity.name));
            }
        }
        let mut uses: BTreeMap<(String, String), BTreeSet<(String, String)>> = BTreeMap::new();
        for entity in entities {
            for (attribute, node) in &entity.attributes {
                let to = uses.entry((entity.name.clone(), attribute.clone())).or_default();
                node.paths(&mut |path| {
                    if let [root, name, ..] = path.segments.as_slice() {
                        to.insert((root.clone(), name.clone()));
                    }
                });
            }
        }
        for start in uses.keys() {
            let mut seen = BTreeSet::new();
            let mut open: Vec<&(String, String)> = uses[start].iter().collect();
            while let Some(at) = open.pop() {
                if at == start {
                    self.wrong(format!("entities.{}.{}: it is made from itself", start.0, start.1));
                    break;
                }
                if seen.insert(at) {
                    open.extend(uses.get(at).into_iter().flatten());
                }
            }
        }
    }

    /// The names that trees about events of `types` see.
    fn sight_of(types: &[(&String, &TypeDeclaration)], sight: &Sight) -> Sight {
        let mut each: Vec<BTreeSet<String>> = Vec::new();
        let mut all = sight.clone();
        for (_, kind) in types {
            let one = sight.with(&kind.pick, true);
            each.push(one.names.keys().cloned().collect());
            all = all.with(&kind.pick, false);
        }
        for (name, certain) in &mut all.names {
            *certain = each.iter().all(|names| names.contains(name));
        }
        all.names.insert("event".to_owned(), true);
        all
    }

    fn events(&mut self, d: &Declaration, world: &World, sight: &Sight) -> Events {
        let declared: Vec<_> = d.events.types.iter().collect();
        let mut weight = 0.0;
        let mut types = Vec::new();
        for (name, kind) in &declared {
            let place = format!("events.types.{name}");
            let Some(pick) = world.kind(&kind.pick) else {
                self.wrong(format!("{place}.pick: there is no entity `{}`", kind.pick));
                continue;
            };
            if let Some(Entity { shape: Shape::Of { low: 0, .. }, .. }) = world.entity(pick) {
                self.wrong(format!("{place}.pick: a parent may have no `{}`; let `per` start at 1", kind.pick));
            }
            if kind.births && matches!(world.entity(pick), Some(Entity { shape: Shape::Of { .. }, .. })) {
                self.wrong(format!("{place}.births: `{}` has no pool of its own", kind.pick));
            }
            weight += kind.weight.max(0.0);
            let own = Self::sight_of(&[(name, kind)], sight);
            let fields = kind
                .fields
                .iter()
                .map(|(field, tree)| (field.clone(), self.spanned(tree, &own, &format!("{place}.fields.{field}"))));
            let fields = fields.collect();
            types.push(Type { name: (*name).clone(), weight, pick, newest: kind.newest, births: kind.births, fields });
        }
        if weight <= 0.0 {
            self.wrong("events.types: no type has a weight");
        }
        let all = Self::sight_of(&declared, sight);
        if d.events.duplicates.iter().map(|d| d.rate).sum::<f64>() > 0.9 {
            self.wrong("events.duplicates: at most nine of ten messages can be copies");
        }
        Events {
            id: self.spanned(&d.events.id, &all, "events.id"),
            key: self.spanned(&d.events.key, &all, "events.key"),
            value: self.spanned(&d.events.value, &all, "events.value"),
            duplicates: d.events.duplicates.iter().map(|d| (d.rate, d.within)).collect(),
            types,
        }
    }

    fn expect(&mut self, d: &Declaration, sight: &Sight) -> Vec<Expect> {
        let mut expect = Vec::new();
        for (i, rows) in d.expect.iter().enumerate() {
            let (place, line) = (format!("expect[{i}]"), rows.referenced.line());
            let rows = &rows.value;
            let types = rows.types.clone().unwrap_or_default();
            if let Some(unknown) = types.iter().find(|t| !d.events.types.contains_key(*t)) {
                self.wrong(format!("{place}.types: there is no type `{unknown}`"));
            }
            let named: Vec<_> =
                d.events.types.iter().filter(|(name, _)| types.is_empty() || types.contains(name)).collect();
            let sight = Self::sight_of(&named, sight);
            let (key, many) = match (&rows.key, &rows.keys) {
                (Some(key), None) => (key, false),
                (None, Some(keys)) => (keys, true),
                _ => {
                    self.wrong(format!("{place}: give either `key` or `keys`"));
                    continue;
                }
            };
            let key = self.tree(key, line, &sight, &format!("{place}.key"));
            expect.push(Expect { table: rows.table.clone(), types, key, many });
        }
        expect
    }

    fn route(
        &mut self,
        name: &str,
        route: &RouteDeclaration,
        line: u64,
        d: &Declaration,
        sight: &Sight,
    ) -> Option<Route> {
        let place = format!("routes.{name}");
        let (method, path) = match (&route.get, &route.post) {
            (Some(path), None) => ("GET", path),
            (None, Some(path)) => ("POST", path),
            _ => {
                self.wrong(format!("{place}: give either `get` or `post`"));
                return None;
            }
        };
        let Some(pattern) = Pattern::parse(path) else {
            self.wrong(format!("{place}: `{path}` is not a path like /orders/{{order}}/items"));
            return None;
        };
        let mut seen = sight.clone();
        seen.answers = true;
        for free in ["path", "query", "body"] {
            seen.names.insert(free.to_owned(), true);
        }
        let mut bind = Vec::new();
        for (entity, id) in &route.bind {
            if !sight.entities.contains_key(entity) {
                self.wrong(format!("{place}.bind: there is no entity `{entity}`"));
            }
            bind.push((entity.clone(), self.tree(id, line, &seen, &format!("{place}.bind.{entity}"))));
        }
        let bound = pattern.names().filter(|name| sight.entities.contains_key(*name)).map(str::to_owned);
        for entity in bound.chain(route.bind.keys().cloned()) {
            seen = seen.with(&entity, true);
        }
        let mut values = Vec::new();
        for (value, tree) in &route.values {
            values.push((value.clone(), self.tree(tree, line, &seen, &format!("{place}.let.{value}"))));
        }
        seen.names.extend(route.values.keys().map(|name| (name.clone(), true)));
        if let Some(faults) = &route.faults {
            self.all(fault::check(faults, false, &format!("{place}.faults")));
        }
        let faults = route.faults.clone().unwrap_or_else(|| d.server.faults.clone());
        Some(Route {
            name: name.to_owned(),
            method,
            pattern,
            query: route.when.query.clone(),
            body: route.when.body.clone(),
            bind,
            values,
            status: route.status,
            answer: self.tree(&route.answer, line, &seen, &format!("{place}.answer")),
            latency: route.latency.unwrap_or(d.server.latency),
            faults,
        })
    }
}
