//! The reference of simulations, as a page: made from the tables that a simulation is checked with, and the words around them.
//! A test puts each example into a small simulation and checks it.

use super::generators::{GENERATORS, HIDE};
use super::language::{
    AUTH, BASIC, DUPLICATES, ENTITY, EVENTS, EXPECT, FAULT, FILE_FAULT, FILES, LATENCY, LINK, ODD_LINK, PLACE, POOL,
    ROUTE, SERVER, SIMULATION, TYPE, WHEN,
};
use crate::topology::manual::{HEAD, Section, page, rows};

const INTRODUCTION: &str = include_str!("introduction.md");

/// The parts of the page, in order.
pub static SECTIONS: &[Section] = &[
    Section {
        title: "The file",
        level: 2,
        text: "",
        tables: &[(&SIMULATION, &[])],
        example: "\
simulation: shop
language: 1
provides: {SHOP_API_URL: \"{url}/api\"}     # what the topology reads as ${SHOP_API_URL}",
    },
    Section {
        title: "Entities",
        level: 2,
        text: "\
What events and answers are about. Nothing of them is stored: an attribute is a function of the seed, the kind and the number, so every answer
about a thing agrees with every event about it, in every run. A pool grows with the events; children belong to one of another kind, and see its
attributes as their own.",
        tables: &[(&ENTITY, &[]), (&POOL, &[])],
        example: "\
entities:
  order:
    id: 1000
    pool: {first: 10, every: 5, window: 20}          # ten at first, one more every five events
    attributes:
      city: {$choice: [Oslo, Lima]}
      label: \"{order.id} in {order.city}\"
      shipper: {$one: shipper}                       # \"{order.shipper.name}\" leads on
  line:
    id: 9000
    of: order
    per: [1, 4]                                      # one to four of each order
    attributes: {price: {$decimal: [1, 90, 2]}, sku: \"{order.city}-{line.index}\"}
  shipper: {id: 1, pool: {first: 3}, attributes: {name: {$choice: [North, South]}}}",
    },
    Section {
        title: "Events",
        level: 2,
        text: "\
Each event has a type, drawn by weight, and is about an entity of the kind that its type picks. `id`, `key` and `value` see that entity with all it belongs to, and
`event`: `index`, `at`, `type`, and, but for `id` and `fields` themselves, `id` and `fields`. What only some types pick or declare is null for the others: the name of an
entity that is not always there is written with a question mark, `{line.id?}`.",
        tables: &[(&EVENTS, &[]), (&TYPE, &[]), (&DUPLICATES, &[])],
        example: "\
events:
  topic: shop.orders
  start: 2026-01-01T00:00:00Z
  step: 1s
  id: {$uuid: true}
  key: \"{event.id}\"
  duplicates: [{rate: 0.02, within: 50}]             # one message in fifty is a copy of one of the last fifty
  types:
    ORDERED: {weight: 1, pick: order, births: true}
    CANCELLED: {weight: 3, pick: order, fields: {reason: {$choice: [late, wrong]}}}
  value: {id: \"{event.id}\", type: \"{event.type}\", order: \"{order.id}\", reason: \"{event.fields.reason}\", at: {$time: \"{event.at}\"}}",
    },
    Section {
        title: "Server",
        level: 2,
        text: "\
What goes wrong with a call is a function of the seed, its path and how often that was called before: a call that is tried again meets a new draw and gets
through in the end.",
        tables: &[(&SERVER, &[]), (&AUTH, &[]), (&BASIC, &[]), (&LATENCY, &[]), (&FAULT, &[])],
        example: "\
server:
  auth: {basic: {username: simulation, password: simulation}}
  latency: {mean: 5ms, jitter: 3ms}
  faults:
    - {rate: 0.01, status: 429, retry_after: 1s}
    - {rate: 0.01, kind: reset}
    - {rate: 0.002, kind: timeout, lasts: 5s}",
    },
    Section {
        title: "Routes",
        level: 2,
        text: "\
What answers which request. What no route fits is answered 404, an id that is no number 400. An answer sees `path` with the names of the path, `query`,
`body`, the entities that the path or `bind` names with all they belong to, and what `let` declares.",
        tables: &[(&ROUTE, &[]), (&WHEN, &[])],
        example: "\
routes:
  order:
    get: /api/orders/{order}
    answer: {id: \"{order.id}\", city: \"{order.city}\"}
  report:
    post: /api/report
    when: {body: {kind: ORDER}}
    bind: {order: \"{body.id}\"}
    let: {place: {$lower: \"{order.city}\"}}
    answer: {place: \"{place}\"}",
    },
    Section {
        title: "Files",
        level: 2,
        text: "\
Bytes that begin as files of their extension do. With `link` an address is good only as a `$link` signed it, and as long as that says.",
        tables: &[(&FILES, &[]), (&LINK, &[]), (&ODD_LINK, &[]), (&PLACE, &[]), (&FILE_FAULT, &[])],
        example: "\
files:
  under: /files/
  size: [1KiB, 60KiB]
  link: {signed_at: at, lifetime: expires, signature: sign, valid: 24h, odd: [{rate: 0.03, age: 25h}]}
  places: [{under: /files/gone/, status: 404}]
  faults: [{rate: 0.01, kind: slow, lasts: 200ms}]
routes:
  photo:
    get: /api/orders/{order}/photo
    answer: {url: {$link: \"/files/{order.id}.jpg\"}}",
    },
    Section {
        title: "Expectations",
        level: 2,
        text: "\
How many rows each table must hold when everything that was emitted is through, told by the generator alone: the different keys that the events imply. A run with
`--sim` ends by comparing them with the tables. A table that is not named here is not compared.",
        tables: &[(&EXPECT, &[])],
        example: "\
expect:
  - {table: events, key: [\"{event.id}\"]}
  - {table: orders, types: [ORDERED], key: [\"{order.id}\"]}",
    },
];

/// The whole page.
pub fn markdown() -> String {
    let sections: Vec<&'static Section> = SECTIONS.iter().collect();
    let mut generators = HEAD.to_owned();
    for shape in GENERATORS {
        // The first row is the generator itself.
        let first = shape.keys.first().map_or("", |key| key.about);
        generators += &rows(shape, &[], &sections).replacen(first, &format!("{} {first}", shape.about), 1);
    }
    let hide = format!("{HEAD}{}", rows(&HIDE, &[], &sections));
    page(&INTRODUCTION.replace("@generators@\n", &generators).replace("@hide@\n", &hide), &sections)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::sim::parse;
    use crate::topology::Source;

    const SMALL: &str = include_str!("good.yaml");

    /// The sections of a file by their keys.
    fn parts(text: &str) -> BTreeMap<String, String> {
        let mut parts: BTreeMap<String, String> = BTreeMap::new();
        let mut current = String::new();
        for line in text.lines() {
            if let (Some((key, _)), false) = (line.split_once(':'), line.starts_with([' ', '#'])) {
                current = key.to_owned();
            }
            *parts.entry(current.clone()).or_default() += &format!("{line}\n");
        }
        parts
    }

    #[test]
    fn every_example_is_good() {
        let entities =
            SECTIONS.iter().find(|section| section.title == "Entities").map_or("", |section| section.example);
        let events = SECTIONS.iter().find(|section| section.title == "Events").map_or("", |section| section.example);
        for section in SECTIONS {
            let mut whole = parts(SMALL);
            // The rest of the small simulation is about other entities.
            whole.retain(|key, _| ["simulation", "language"].contains(&key.as_str()));
            whole.extend([
                ("entities".to_owned(), format!("{entities}\n")),
                ("events".to_owned(), format!("{events}\n")),
            ]);
            whole.extend(parts(section.example));
            let text: String = whole.into_values().collect();
            parse(Source::new("s.yaml", text)).unwrap_or_else(|problems| panic!("{}: {problems}", section.title));
        }
    }

    #[test]
    fn every_key_is_on_the_page_and_links_lead_to_headings() {
        let page = markdown();
        let schema = crate::topology::schema::schema_of(&SIMULATION, "Simulation");
        let mut keys = 0;
        for (name, shape) in schema["$defs"].as_object().into_iter().flatten() {
            for key in shape["properties"].as_object().into_iter().flatten().map(|(key, _)| key) {
                assert!(page.contains(&format!("| `{key}` |")), "{name}: {key}");
                keys += 1;
            }
        }
        assert!(keys > 90, "{keys}");
        let headings: Vec<String> = page
            .lines()
            .filter_map(|line| Some(line.strip_prefix('#')?.split_once("# ")?.1.to_lowercase().replace(' ', "-")))
            .collect();
        for link in page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert_eq!(headings.iter().filter(|heading| *heading == link).count(), 1, "{link} of {headings:?}");
        }
    }
}
