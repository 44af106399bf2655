//! What trees may refer to: the names in sight of a place, and what is known of what lies below each.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::topology::node::{Node, Value};

/// What lies below a name.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Below {
    /// Nobody knows before it is drawn or asked.
    Anything,
    /// The attributes of an entity of this kind.
    Entity(String),
    /// These members, and no others.
    Members(BTreeMap<String, Below>),
}

impl Below {
    /// These members, of which nothing more is known.
    pub(super) fn members<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Below::Members(names.into_iter().map(|name| (name.to_owned(), Below::Anything)).collect())
    }

    /// What is known of the value of a tree.
    pub(super) fn of(tree: &Node) -> Self {
        let Value::Map(entries) = &tree.value else { return Below::Anything };
        if let Some(one) = tree.get("$one").and_then(Node::text) {
            return Below::Entity(one.to_owned());
        }
        if entries.iter().any(|entry| entry.key.starts_with('$')) {
            return Below::Anything;
        }
        Below::Members(entries.iter().map(|entry| (entry.key.clone(), Below::of(&entry.value))).collect())
    }
}

/// A kind of entity.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The kind that it belongs to, if it has no pool.
    pub parent: Option<String>,
    /// Whether that is a problem of its own: it is not declared, or belongs to this one.
    pub lost: bool,
    /// Its attributes.
    pub attributes: BTreeMap<String, Below>,
}

/// A name in sight.
#[derive(Clone, Debug)]
pub(super) struct Name {
    /// Whether it is always there.
    pub certain: bool,
    /// What lies below it.
    pub below: Below,
}

/// What a tree may refer to.
#[derive(Clone, Debug, Default)]
pub(super) struct Sight {
    /// Every kind of entity.
    pub entities: Arc<BTreeMap<String, Known>>,
    /// The names in sight.
    pub names: BTreeMap<String, Name>,
    /// Whether there are files.
    pub files: bool,
    /// Whether an address of one may be signed at the instant at which it is given out.
    pub answers: bool,
    /// Whether other names may be meant to be in sight: what would have brought them is a problem of its own.
    pub open: bool,
}

impl Sight {
    /// With `entity` and its ancestors in sight. One that is not declared may be any.
    #[must_use]
    pub(super) fn with(&self, entity: &str, certain: bool) -> Sight {
        let mut sight = self.clone();
        let mut next = Some(entity.to_owned());
        // As often as there are kinds: some may belong to themselves.
        for _ in 0..=self.entities.len() {
            let Some(name) = next.take() else { break };
            let Some(known) = self.entities.get(&name) else {
                sight.open = true;
                break;
            };
            sight.open |= known.lost;
            next = known.parent.clone().filter(|parent| *parent != name);
            let before = sight.names.get(&name).is_some_and(|name| name.certain);
            let found = Name { certain: certain || before, below: Below::Entity(name.clone()) };
            if sight.names.insert(name, found).is_some() && before {
                break;
            }
        }
        sight
    }

    /// With a name that is always there.
    #[must_use]
    pub(super) fn and(mut self, name: &str, below: Below) -> Sight {
        self.names.insert(name.to_owned(), Name { certain: true, below });
        self
    }

    /// The names that trees about events of several types see, each with the entity it picks: those of all are surely there.
    #[must_use]
    pub(super) fn of_types<'a>(&self, picks: impl IntoIterator<Item = &'a str> + Clone) -> Sight {
        let mut all = picks.clone().into_iter().fold(self.clone(), |all, pick| all.with(pick, false));
        let each: Vec<Sight> = picks.into_iter().map(|pick| self.with(pick, true)).collect();
        for (name, found) in &mut all.names {
            found.certain |= each.iter().all(|one| one.open || one.names.contains_key(name));
        }
        all
    }
}
