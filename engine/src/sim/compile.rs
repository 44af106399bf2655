//! From the file to what runs: names resolved, trees compiled, everything checked. All that is wrong is reported at once, each with
//! its place; what is wrong about the form of the file has been found by the tables of [`language`](super::language) before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Simulation;
use super::declaration::{Auth, Faulty, Files, Latency, Pool, element, micros, number, share};
use super::draw::Draw;
use super::emission::{Events, Expect, Type};
use super::grow::Compiler;
use super::language::{DUPLICATES, ENTITY, EVENTS, EXPECT, FAULT, FILE_FAULT, ROUTE, SERVER, SIMULATION, TYPE};
use super::sight::{Below, Known, Sight};
use super::world::{Entity, Shape, World};
use super::{outside, routes, spelling};
use crate::topology::node::{Entry, Node};
use crate::topology::reader::Reader;
use crate::topology::{Diagnostic, Source, Span, code, document, value};

/// Checks and compiles a file. There may be a simulation although there are problems: then only to find more of them.
pub(super) fn compile(source: &Source, problems: &mut Vec<Diagnostic>) -> Option<Simulation> {
    let mut tree = document(source, &SIMULATION, problems)?;
    spelling::mend(&mut tree, source, problems);
    let reader = Reader { node: Some(&tree), shape: &SIMULATION, at: Span::at(0) };
    Some(Compile { compiler: Compiler { source, problems } }.simulation(&reader))
}

/// The entries of a mapping by name: what is drawn depends on their order.
fn by_name<'a>(reader: &Reader<'a>, key: &str) -> Vec<&'a Entry> {
    let mut entries: Vec<&Entry> = reader.entries(key).iter().collect();
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    entries
}

fn belongs_to_itself(name: &str, known: &BTreeMap<String, Known>) -> bool {
    let mut at = name;
    for _ in 0..=known.len() {
        match known.get(at).and_then(|known| known.parent.as_deref()) {
            Some(parent) if parent == name => return true,
            Some(parent) => at = parent,
            None => return false,
        }
    }
    false
}

struct Compile<'a> {
    compiler: Compiler<'a>,
}

/// A type of event as it stands in the file, with the entity that it surely or probably picks.
struct Declared<'a> {
    entry: &'a Entry,
    reader: Reader<'a>,
    pick: String,
}

impl Compile<'_> {
    fn simulation(mut self, root: &Reader<'_>) -> Simulation {
        let (entities, sight) = self.entities(root);
        let events = root.object("events", &EVENTS);
        let files = Files::read(root, &FILE_FAULT);
        let world = World {
            draw: Draw::of(0),
            entities,
            start: events.opt_text("start").and_then(value::instant).unwrap_or(0),
            step: micros(events.duration("step")),
            files,
            url: String::new(),
        };
        let server = root.object("server", &SERVER);
        let usual = (Latency::read(&server).unwrap_or_default(), Faulty::list(&server, &FAULT));
        outside::faults(&mut self.compiler, &server, &FAULT);
        outside::files(&mut self.compiler, root, world.files.as_ref());
        routes::shadows(&mut self.compiler, &by_name(root, "routes"));
        self.provides(root);
        let declared = self.types(&events, &world);
        let expect = self.expect(root, &declared, &sight);
        let routes = by_name(root, "routes").into_iter();
        let routes =
            routes.filter_map(|e| routes::route(&mut self.compiler, &e.key, &Reader::of(e, &ROUTE), &sight, &usual));
        let routes = routes.collect();
        let topic = events.get("topic").map_or(events.at, |node| node.span);
        Simulation {
            source: self.compiler.source.clone(),
            name: root.text("simulation"),
            provides: root
                .entries("provides")
                .iter()
                .map(|e| (e.key.clone(), e.value.text().unwrap_or_default().to_owned(), e.at))
                .collect(),
            topic: (events.text("topic"), topic),
            auth: Auth::read(&server),
            events: self.events(&events, &declared, &world, &sight),
            world,
            expect,
            routes,
        }
    }

    /// A value of `provides` may hold braces that mean something to the topology; those that are nearly ours are a slip.
    fn provides(&mut self, root: &Reader<'_>) {
        const OURS: [&str; 3] = ["url", "address", "port"];
        for entry in root.entries("provides") {
            let text = entry.value.text().unwrap_or_default();
            for (open, _) in text.match_indices('{') {
                let inside =
                    text.get(open + 1..).and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside);
                if !OURS.contains(&inside) && crate::topology::nearest(inside, OURS).is_some() {
                    let at = entry.value.locate(self.compiler.source, open + 1, inside.len());
                    self.compiler.unknown(code::UNKNOWN_BINDING, at, "value of the server called", inside, OURS);
                }
            }
        }
    }

    fn entities(&mut self, root: &Reader<'_>) -> (Vec<Entity>, Sight) {
        let declared = by_name(root, "entities");
        let names: Vec<&str> = declared.iter().map(|entry| entry.key.as_str()).collect();
        let mut known = BTreeMap::new();
        for entry in &declared {
            let entity = Reader::of(entry, &ENTITY);
            let mut attributes: BTreeMap<String, Below> =
                ["id", "index", "born"].map(|name| (name.to_owned(), Below::Anything)).into();
            for attribute in entity.entries("attributes") {
                if attributes.contains_key(&attribute.key) {
                    let message = format!("every entity has its own `{}`", attribute.key);
                    self.compiler.wrong(code::DUPLICATE_NAME, attribute.at, message);
                }
                attributes.insert(attribute.key.clone(), Below::of(&attribute.value));
            }
            let parent = entity.get("of").and_then(|of| self.parent(of, &names));
            let lost = entity.get("of").is_some() && parent.is_none();
            known.insert(entry.key.clone(), Known { parent, lost, attributes });
        }
        let circles: Vec<&str> = names.iter().copied().filter(|name| belongs_to_itself(name, &known)).collect();
        for name in circles {
            known.entry(name.to_owned()).and_modify(|known: &mut Known| known.lost = true);
        }
        let sight = Sight { entities: Arc::new(known), files: root.get("files").is_some(), ..Sight::default() };
        let mut entities = Vec::new();
        for entry in &declared {
            let reader = Reader::of(entry, &ENTITY);
            let shape = self.shape(entry, &reader, &names, &sight);
            let own = sight.with(&entry.key, true);
            let place = format!("entities.{}", entry.key);
            let attributes = self.compiler.named(reader.entries("attributes"), &own, &place).into_iter().collect();
            let id = reader.opt_integer("id").unwrap_or(0);
            entities.push(Entity { name: entry.key.clone(), id, shape, attributes });
        }
        self.circles(&entities, &declared);
        (entities, sight)
    }

    /// The entity that is named as a parent, or one with nearly its name.
    fn parent(&mut self, of: &Node, names: &[&str]) -> Option<String> {
        let name = of.text()?;
        if names.contains(&name) {
            return Some(name.to_owned());
        }
        self.compiler.unknown(code::UNKNOWN_ENTITY, of.span, "entity", name, names.iter().copied());
        crate::topology::nearest(name, names.iter().copied()).map(str::to_owned)
    }

    /// How many there are of a kind. Where that is not told as it should be, a pool of one stands for it.
    fn shape(&mut self, entry: &Entry, entity: &Reader<'_>, names: &[&str], sight: &Sight) -> Shape {
        let per = entity.get("per");
        if let Some(pool) = Pool::read(entity) {
            if per.is_some() && entity.get("of").is_none() {
                let problem = self.compiler.wrong(code::EXCLUSIVE, entity.place("per"), "`per` goes with `of`");
                problem.help = Some("a pool has so many at first and one more every so many events".into());
            }
            return Shape::Pool(pool);
        }
        let alone = Shape::Pool(Pool { first: 1, every: None, window: None });
        let Some(of) = entity.get("of") else { return alone };
        let bounds = per.and_then(|per| self.compiler.ordered(per, |text| text.parse::<u64>().ok()));
        if per.is_none() {
            let message = "an entity that is `of` another needs the key `per`";
            let problem = self.compiler.wrong(code::MISSING_KEY, entry.at, message);
            problem.expected = Some("from so many to so many of each: `per: [1, 4]`".into());
        }
        let parent = sight.entities.get(&entry.key).and_then(|known| known.parent.as_deref());
        let parent = parent.and_then(|parent| names.iter().position(|name| *name == parent));
        match (parent, belongs_to_itself(&entry.key, &sight.entities)) {
            (Some(parent), false) => {
                let [low, high] = bounds.filter(|[low, high]| low <= high).unwrap_or([1, 1]);
                Shape::Of { parent, low, high }
            }
            (Some(_), true) => {
                let message = format!("`{}` belongs to itself, by way of others or at once", entry.key);
                self.compiler.wrong(code::SIMULATION, of.span, message);
                alone
            }
            (None, _) => alone,
        }
    }

    /// Refuses attributes that are made from themselves.
    fn circles(&mut self, entities: &[Entity], declared: &[&Entry]) {
        type Attribute<'a> = (&'a str, &'a str);
        let mut uses: BTreeMap<Attribute<'_>, BTreeSet<(String, String)>> = BTreeMap::new();
        for entity in entities {
            for (attribute, node) in &entity.attributes {
                let to = uses.entry((&entity.name, attribute)).or_default();
                node.paths(&mut |path| {
                    if let [root, name, ..] = path.segments.as_slice() {
                        to.insert((root.clone(), name.clone()));
                    }
                });
            }
        }
        let mut told: BTreeSet<(String, String)> = BTreeSet::new();
        for (entity, attribute) in uses.keys() {
            let start = ((*entity).to_owned(), (*attribute).to_owned());
            let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
            let mut open = vec![&start];
            while let Some((entity, attribute)) = open.pop() {
                let next = uses.get(&(entity.as_str(), attribute.as_str())).into_iter().flatten();
                open.extend(next.filter(|at| seen.insert((*at).clone())));
            }
            // One of a circle is told, the others are the same problem.
            if !seen.contains(&start) || told.contains(&start) {
                continue;
            }
            let found = declared.iter().filter(|e| e.key == *entity);
            let found = found.flat_map(|e| Reader::of(e, &ENTITY).entries("attributes")).find(|e| e.key == *attribute);
            let at = found.map_or(Span::at(0), |entry| entry.at);
            let message = format!("`{entity}.{attribute}` is made from itself");
            self.compiler.wrong(code::SIMULATION, at, message);
            told.extend(seen);
        }
    }

    /// The types of events, and what is wrong with what they pick.
    fn types<'n>(&mut self, events: &Reader<'n>, world: &World) -> Vec<Declared<'n>> {
        let mut declared = Vec::new();
        let names: Vec<&str> = world.entities.iter().map(|entity| entity.name.as_str()).collect();
        for entry in by_name(events, "types") {
            let reader = Reader::of(entry, &TYPE);
            let mut pick = reader.text("pick");
            if let (Some(node), None) = (reader.get("pick"), world.kind(&pick)) {
                self.compiler.unknown(code::UNKNOWN_ENTITY, node.span, "entity", &pick, names.iter().copied());
                pick = crate::topology::nearest(&pick, names.iter().copied()).unwrap_or(&pick).to_owned();
            }
            let at = reader.get("pick").map_or(reader.at, |node| node.span);
            let mut kind = world.kind(&pick);
            while let Some(Entity { shape: Shape::Of { parent, low, .. }, name, .. }) =
                kind.and_then(|k| world.entity(k))
            {
                if *low == 0 {
                    let message = format!("a parent may have no `{name}` that an event could be about");
                    self.compiler.wrong(code::UNKNOWN_ENTITY, at, message).help =
                        Some("let its `per` begin at 1".into());
                    break;
                }
                kind = Some(*parent);
            }
            let of = world.kind(&pick).and_then(|kind| world.entity(kind)).map(|entity| entity.shape);
            if reader.flag("births") && matches!(of, Some(Shape::Of { .. })) {
                let message = format!("`{pick}` has no pool of its own that could grow");
                self.compiler.wrong(code::UNKNOWN_ENTITY, reader.place("births"), message);
            }
            declared.push(Declared { entry, reader, pick });
        }
        declared
    }

    /// What `event` is for trees that see these types; `whole` has its id and its fields too.
    fn event(declared: &[&Declared<'_>], whole: bool) -> Below {
        let Below::Members(mut members) = Below::members(["index", "at", "type"]) else { return Below::Anything };
        if whole {
            let mut fields: BTreeMap<String, Below> = BTreeMap::new();
            for entry in declared.iter().flat_map(|d| d.reader.entries("fields")) {
                let below = Below::of(&entry.value);
                let same = fields.get(&entry.key).is_none_or(|known| *known == below);
                fields.insert(entry.key.clone(), if same { below } else { Below::Anything });
            }
            members.insert("id".to_owned(), Below::Anything);
            members.insert("fields".to_owned(), Below::Members(fields));
        }
        Below::Members(members)
    }

    fn sight_of(declared: &[&Declared<'_>], sight: &Sight, whole: bool) -> Sight {
        sight.of_types(declared.iter().map(|d| d.pick.as_str())).and("event", Self::event(declared, whole))
    }

    fn events(&mut self, events: &Reader<'_>, declared: &[Declared<'_>], world: &World, sight: &Sight) -> Events {
        let mut weight = 0.0;
        let mut types = Vec::new();
        for one in declared {
            weight += number(&one.reader, "weight").max(0.0);
            let place = format!("events.types.{}.fields", one.entry.key);
            let own = Self::sight_of(&[one], sight, false);
            let fields = self.compiler.named(one.reader.entries("fields"), &own, &place);
            let (newest, births) = (one.reader.flag("newest"), one.reader.flag("births"));
            let pick = world.kind(&one.pick).unwrap_or(0);
            types.push(Type { name: one.entry.key.clone(), weight, pick, newest, births, fields });
        }
        let readable = declared.iter().all(|one| one.reader.get("weight").and_then(Node::text).is_some());
        if weight <= 0.0 && readable && events.get("types").is_some() {
            self.compiler.wrong(code::SIMULATION, events.place("types"), "no type has a weight");
        }
        let duplicates = events.items("duplicates").iter().map(|item| {
            let kind = element(item, &DUPLICATES);
            (share(&kind, "rate"), kind.integer("within"))
        });
        let duplicates: Vec<(f64, u64)> = duplicates.collect();
        if duplicates.iter().map(|(rate, _)| rate).sum::<f64>() > 0.9 {
            let message = "more than nine of ten messages would be copies";
            self.compiler.wrong(code::SIMULATION, events.place("duplicates"), message);
        }
        let all: Vec<&Declared<'_>> = declared.iter().collect();
        let (early, late) = (Self::sight_of(&all, sight, false), Self::sight_of(&all, sight, true));
        let mut tree = |key: &str, sight: &Sight| {
            let nothing = Node { span: events.at, value: crate::topology::node::Value::Null };
            self.compiler.tree(events.get(key).unwrap_or(&nothing), sight, &format!("events.{key}"))
        };
        Events { id: tree("id", &early), key: tree("key", &late), value: tree("value", &late), duplicates, types }
    }

    fn expect(&mut self, root: &Reader<'_>, declared: &[Declared<'_>], sight: &Sight) -> Vec<Expect> {
        let mut expect = Vec::new();
        for (at, item) in root.items("expect").iter().enumerate() {
            let rows = element(item, &EXPECT);
            let mut types = Vec::new();
            let mut lost = false;
            let names = || declared.iter().map(|one| one.entry.key.as_str());
            for node in rows.items("types") {
                let Some(name) = node.text() else { continue };
                match names().find(|known| *known == name) {
                    Some(_) => types.push(name.to_owned()),
                    None => {
                        self.compiler.unknown(code::UNKNOWN_TYPE, node.span, "type of event", name, names());
                        let near = crate::topology::nearest(name, names()).map(str::to_owned);
                        lost |= near.is_none();
                        types.extend(near);
                    }
                }
            }
            let named = declared.iter().filter(|one| types.is_empty() || types.contains(&one.entry.key));
            let mut sight = Self::sight_of(&named.collect::<Vec<_>>(), sight, true);
            sight.open |= lost;
            let (key, many) = match (rows.get("key"), rows.get("keys")) {
                (Some(key), _) => (key, false),
                (None, Some(keys)) => (keys, true),
                (None, None) => continue,
            };
            let key = self.compiler.tree(key, &sight, &format!("expect[{at}].key"));
            let table_at = rows.get("table").map_or(rows.at, |node| node.span);
            expect.push(Expect { table: rows.text("table"), at: table_at, types, key, many });
        }
        expect
    }
}
