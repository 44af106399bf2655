//! Names that are declared in one spelling and used in another, more than once. The slip is where the name is declared, so it is told
//! there, and not at every use.

use std::collections::BTreeMap;

use crate::topology::node::{Entry, Node, Value};
use crate::topology::{Diagnostic, Source, code, nearest};

/// Names that nobody declares.
const OWN: [&str; 7] = ["id", "index", "born", "event", "path", "query", "body"];

/// What a tree names: the paths in its texts, and the entities that are named alone.
#[derive(Default)]
struct Named {
    paths: Vec<Vec<String>>,
    entities: Vec<String>,
}

/// How often each name is used.
type Used<'a> = BTreeMap<&'a str, usize>;

impl Named {
    fn visit(&mut self, node: &Node, key: &str) {
        match &node.value {
            Value::Null | Value::Unset => {}
            Value::List(items) => items.iter().for_each(|item| self.visit(item, key)),
            Value::Map(entries) => {
                if key == "bind" {
                    self.entities.extend(entries.iter().map(|entry| entry.key.clone()));
                }
                entries.iter().for_each(|entry| self.visit(&entry.value, &entry.key));
            }
            Value::Scalar(scalar) => {
                if matches!(key, "pick" | "of" | "$each" | "$one") {
                    self.entities.push(scalar.text.clone());
                }
                for part in scalar.text.split('{').skip(1) {
                    let Some((path, _)) = part.split_once('}') else { continue };
                    let path = path.trim_end_matches('?').split('.').map(str::to_owned);
                    self.paths.push(path.collect());
                }
            }
        }
    }

    /// The names that stand behind `before` in paths.
    fn behind(&self, before: &[&str]) -> Used<'_> {
        let mut used = Used::new();
        for path in
            self.paths.iter().filter(|path| path.iter().zip(before).filter(|(a, b)| a == *b).count() == before.len())
        {
            if let Some(name) = path.get(before.len()) {
                *used.entry(name).or_default() += 1;
            }
        }
        used
    }
}

/// Reads entities, attributes and fields that nothing names as what they were meant to be, if that is named and not declared.
pub(super) fn mend(tree: &mut Node, source: &Source, problems: &mut Vec<Diagnostic>) {
    let mut named = Named::default();
    named.visit(tree, "");
    let mut entities = named.behind(&[]);
    named.entities.iter().for_each(|name| *entities.entry(name).or_default() += 1);
    let Value::Map(sections) = &mut tree.value else { return };
    for section in sections {
        match (section.key.as_str(), &mut section.value.value) {
            ("entities", Value::Map(declared)) => {
                rename(declared, &entities, code::UNKNOWN_ENTITY, "entity", source, problems);
                for entity in declared {
                    let used = named.behind(&[&entity.key]);
                    for attributes in below(&mut entity.value, "attributes") {
                        rename(attributes, &used, code::UNKNOWN_FIELD, "attribute", source, problems);
                    }
                }
            }
            ("events", Value::Map(_)) => {
                let used = named.behind(&["event", "fields"]);
                let types = below(&mut section.value, "types").flatten();
                for fields in types.flat_map(|kind| below(&mut kind.value, "fields")) {
                    rename(fields, &used, code::UNKNOWN_FIELD, "field", source, problems);
                }
            }
            _ => {}
        }
    }
}

/// The entries of the mapping under `key`.
fn below<'a>(node: &'a mut Node, key: &'a str) -> impl Iterator<Item = &'a mut Vec<Entry>> {
    let entries = if let Value::Map(entries) = &mut node.value { Some(entries) } else { None };
    entries.into_iter().flatten().filter(move |entry| entry.key == key).filter_map(|entry| {
        match &mut entry.value.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    })
}

fn rename(
    declared: &mut [Entry],
    used: &Used<'_>,
    code: &'static str,
    what: &str,
    source: &Source,
    problems: &mut Vec<Diagnostic>,
) {
    let names: Vec<String> = declared.iter().map(|entry| entry.key.clone()).collect();
    // What is used once may be the slip itself.
    let lost =
        |(name, count): &(&&str, &usize)| **count > 1 && !names.iter().any(|n| n == **name) && !OWN.contains(*name);
    for entry in declared.iter_mut().filter(|entry| !used.contains_key(entry.key.as_str())) {
        let Some(meant) = nearest(&entry.key, used.iter().filter(lost).map(|(name, _)| *name)) else { continue };
        let message = format!("nothing names the {what} `{}`", entry.key);
        problems.push(Diagnostic::new(code, source, entry.at, message).nearest(&entry.key, [meant]));
        entry.key = meant.to_owned();
    }
}
