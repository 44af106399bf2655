//! The world: which entities there are, who belongs to whom, and what any of their attributes is. All of it is a function of
//! the seed and the declaration (links, of the server's address too); nothing is stored.
//!
//! A kind has a *pool* (so many at first, one more every so many events) or is *of* another kind (each parent has from `low`
//! to `high` children). Child j of parent p has the number `p * high + j`, so that the children of a parent and the parent of
//! a child are both found by arithmetic.

use std::collections::BTreeMap;

use super::declaration::{Files, Pool};
use super::draw::Draw;
use super::tree::Node;

/// One kind of entity.
#[derive(Debug)]
pub(super) struct Entity {
    /// Its name.
    pub name: String,
    /// The id of number 0.
    pub id: i64,
    /// How many there are.
    pub shape: Shape,
    /// Its attributes.
    pub attributes: BTreeMap<String, Node>,
}

/// How many there are of a kind.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// A pool that grows with the events.
    Pool(Pool),
    /// Children of the kind with this index, from `low` to `high` of each.
    Of {
        /// The parent's kind.
        parent: usize,
        /// The least number of children.
        low: u64,
        /// The greatest number of children.
        high: u64,
    },
}

/// One entity: its kind and its number.
pub(super) type One = (usize, u64);

/// All entities there can be.
#[derive(Debug)]
pub(super) struct World {
    /// The root of all draws.
    pub draw: Draw,
    /// The kinds.
    pub entities: Vec<Entity>,
    /// The simulated instant of event 0, in microseconds.
    pub start: i64,
    /// The simulated time between two events, in microseconds.
    pub step: i64,
    /// The files that links lead to.
    pub files: Option<Files>,
    /// Where links start: `http://127.0.0.1:8000`. It is known when the server has its address.
    pub url: String,
}

impl World {
    /// The address of the file at `path`, signed at `at` microseconds, good for `valid` milliseconds if that is given.
    pub(super) fn link(&self, path: &str, at: i64, valid: Option<i64>) -> Option<String> {
        let link = self.files.as_ref()?.dated_link(self.draw, path, at.div_euclid(1_000), valid);
        Some(format!("{}{link}", self.url))
    }

    /// The index of the kind called `name`.
    pub(super) fn kind(&self, name: &str) -> Option<usize> {
        self.entities.iter().position(|e| e.name == name)
    }

    /// The kind at `kind`.
    pub(super) fn entity(&self, kind: usize) -> Option<&Entity> {
        self.entities.get(kind)
    }

    /// How large the pool of `kind` is when event `event` happens. At least 1 for a pool, 0 for children.
    pub(super) fn pool(&self, kind: usize, event: u64) -> u64 {
        match self.entity(kind).map(|e| e.shape) {
            Some(Shape::Pool(pool)) => (pool.first + pool.every.map_or(0, |every| event / every.max(1))).max(1),
            _ => 0,
        }
    }

    /// The entity that owns this one.
    pub(super) fn parent(&self, (kind, number): One) -> Option<One> {
        match self.entity(kind)?.shape {
            Shape::Pool(_) => None,
            Shape::Of { parent, high, .. } => Some((parent, number / high.max(1))),
        }
    }

    /// The numbers of the children of `kind` that entity `parent` has.
    pub(super) fn children(&self, kind: usize, parent: u64) -> std::ops::Range<u64> {
        match self.entity(kind) {
            Some(Entity { shape: Shape::Of { low, high, .. }, name, .. }) => {
                let draw = self.draw.with("children").with(name.as_str()).with(parent);
                let first = parent.saturating_mul(*high);
                first..first.saturating_add(low + draw.below(high - low + 1))
            }
            _ => 0..0,
        }
    }

    /// The entity with `id`, if it is there once `events` events have happened.
    pub(super) fn find(&self, kind: usize, id: i64, events: u64) -> Option<One> {
        let number = u64::try_from(id.checked_sub(self.entity(kind)?.id)?).ok()?;
        self.exists((kind, number), events).then_some((kind, number))
    }

    fn exists(&self, one: One, events: u64) -> bool {
        match self.parent(one) {
            None => one.1 < self.pool(one.0, events),
            Some(parent) => self.children(one.0, parent.1).contains(&one.1) && self.exists(parent, events),
        }
    }

    /// The id of an entity.
    pub(super) fn id(&self, (kind, number): One) -> i64 {
        self.entity(kind).map_or(0, |e| e.id).wrapping_add(i64::try_from(number).unwrap_or(0))
    }

    /// The simulated instant at which an entity came into being, in microseconds.
    pub(super) fn born(&self, one: One) -> i64 {
        if let Some(parent) = self.parent(one) {
            return self.born(parent);
        }
        let events = match self.entity(one.0).map(|e| e.shape) {
            Some(Shape::Pool(Pool { first, every: Some(every), .. })) if one.1 >= first => (one.1 - first + 1) * every,
            _ => 0,
        };
        self.instant(events)
    }

    /// The simulated instant of event `event`, in microseconds.
    pub(super) fn instant(&self, event: u64) -> i64 {
        self.start.saturating_add(i64::try_from(event).unwrap_or(i64::MAX).saturating_mul(self.step))
    }

    /// An entity of `kind` for event `event`: the newest, or one of the window. A child of such a parent otherwise.
    pub(super) fn pick(&self, kind: usize, event: u64, newest: bool, draw: Draw) -> One {
        match self.entity(kind).map(|e| e.shape) {
            Some(Shape::Of { parent, .. }) => {
                let owner = self.pick(parent, event, newest, draw.with("parent"));
                let children = self.children(kind, owner.1);
                (kind, children.start + draw.below((children.end - children.start).max(1)))
            }
            Some(Shape::Pool(pool)) => {
                let size = self.pool(kind, event);
                let window = if newest { 1 } else { pool.window.unwrap_or(size).clamp(1, size) };
                (kind, size - window + draw.below(window))
            }
            None => (kind, 0),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn world() -> World {
        let pool = Pool { first: 3, every: Some(10), window: Some(2) };
        let kinds = [("order", 1_000, Shape::Pool(pool)), ("item", 50_000, Shape::Of { parent: 0, low: 1, high: 4 })];
        let entities = kinds
            .map(|(name, id, shape)| Entity { name: name.to_owned(), id, shape, attributes: BTreeMap::new() })
            .into();
        World { draw: Draw::of(1), entities, start: 1_000_000, step: 10, files: None, url: String::new() }
    }

    #[test]
    fn children_and_parents_agree() {
        let world = world();
        for parent in 0..200 {
            let children = world.children(1, parent);
            assert!((1..=4).contains(&(children.end - children.start)));
            for child in children {
                assert_eq!(world.parent((1, child)), Some((0, parent)));
                assert_eq!(world.find(1, world.id((1, child)), 100_000), Some((1, child)));
            }
        }
    }

    #[test]
    fn nobody_is_picked_or_found_before_being_born() {
        let world = world();
        for event in 0..500 {
            for newest in [false, true] {
                let one = world.pick(1, event, newest, world.draw.with(event));
                assert!(world.born(one) <= world.start + i64::try_from(event).unwrap() * world.step);
                assert_eq!(world.find(1, world.id(one), event), Some(one));
            }
        }
        assert_eq!(world.find(0, 1_003, 9), None);
        assert_eq!(world.find(0, 1_003, 10), Some((0, 3)));
        assert_eq!(world.find(0, 999, 10), None);
    }
}
