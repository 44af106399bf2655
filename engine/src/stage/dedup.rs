//! `dedup` lets pass the first message of each key within a window; later ones are skipped as `duplicate`.
//!
//! ```yaml
//! first:
//!   dedup: {key: event.id, at: event.created_at, window: 24h, table: events}
//! ```
//! Keys are remembered as 128-bit hashes, in one set for each time bucket (an eighth of the window, by the instant `at`); a
//! bucket is forgotten as a whole when its instants are older than the window, seen from the newest instant; one that is still
//! to come counts as now. So the state holds the keys of one window and no more.
//!
//! It never judges a message that failed before or was replayed: its key is there because of itself. For the same reason a
//! key remembers where its message came from, and the same message delivered again is not its own duplicate. After a restart
//! the keys of the window are read back from `table`. What the table was committed past is delivered again if the source's
//! position is behind, and must not be judged by its own rows: such a message is judged by the keys of this run alone. It may
//! have been a duplicate and passes once more, which changes no table. With `forgets: true` nothing is read back.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use connectors::Category;
use connectors::clock::Micros;
use connectors::log::Partition;
use connectors::table::{Cell, ColumnType};
use hashbrown::HashMap;
use sonic_rs::JsonValueTrait;

use super::{Apply, Document, Failure, Origin, Verdict, presence};
use crate::expr::{Env, Expr, Json, coerce};
use crate::plan::Place;

/// A built `dedup`.
pub struct Dedup {
    name: Arc<str>,
    key: Expr,
    at: Expr,
    place: Place,
    seen: Seen,
}

/// The keys of one window.
#[derive(Clone)]
pub struct Seen {
    buckets: BTreeMap<i64, HashMap<u128, u64>>,
    width: Micros,
    newest: i64,
    /// The offsets that the table's rows stand for, by topic and partition.
    held: BTreeMap<Partition, i64>,
}

/// What a key that was read back from a table remembers of its message: nothing.
const FROM_TABLE: u64 = 0;

/// A window is so many buckets wide; besides those the bucket that is being filled is kept.
pub const BUCKETS: i64 = 8;

/// What is kept of a key, in bytes: its hash, and a fingerprint of where its message came from.
pub const KEY_BYTES: usize = size_of::<(u128, u64)>();

impl Seen {
    /// An empty window.
    pub fn new(window: Duration) -> Self {
        let width = (Micros::try_from(window.as_micros()).unwrap_or(Micros::MAX) / BUCKETS).max(1);
        Seen { buckets: BTreeMap::new(), width, newest: i64::MIN, held: BTreeMap::new() }
    }

    /// Enters a key that was read back from a table, unless it is older than the window.
    pub fn restore(&mut self, key: &str, at: Micros) {
        if at.div_euclid(self.width) >= self.newest.saturating_sub(BUCKETS) {
            self.enter(presence::hash(key), at, FROM_TABLE);
        }
    }

    /// Says that the table's rows stand for all messages of `partition` before `offset`.
    pub fn hold(&mut self, partition: Partition, offset: i64) {
        self.held.insert(partition, offset);
    }

    /// Whether a message may be judged by keys that were read back: it is none of those that the table was committed past.
    fn is_new(&self, here: &Origin) -> bool {
        self.held.get(&(here.topic.clone(), here.partition)).is_none_or(|held| here.offset >= *held)
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.buckets.values().map(HashMap::len).sum()
    }

    /// Whether no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// Enters `key` unless it is there; returns who entered it first.
    fn enter(&mut self, key: u128, at: Micros, from: u64) -> Option<u64> {
        // First what this instant puts out of the window: after a pause nobody else has, and a key that is older is none.
        let bucket = at.div_euclid(self.width);
        if bucket > self.newest {
            self.newest = bucket;
            self.buckets = self.buckets.split_off(&bucket.saturating_sub(BUCKETS));
        }
        // The same key can come with another instant, so every bucket of the window is asked: there are at most ten.
        if let Some(first) = self.buckets.values().find_map(|bucket| bucket.get(&key)) {
            return Some(*first);
        }
        // An instant from before the window is remembered as the oldest bucket, so that its own repeats are seen.
        let bucket = bucket.max(self.newest - BUCKETS);
        self.buckets.entry(bucket).or_default().insert(key, from);
        None
    }
}

impl Dedup {
    /// A stage that has seen `seen`.
    pub fn new(name: Arc<str>, key: Expr, at: Expr, place: Place, seen: Seen) -> Self {
        Dedup { name, key, at, place, seen }
    }
}

/// The text of a key, so that 7 and "7" are one.
pub fn key_text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn fingerprint(origin: &Origin) -> u64 {
    let mut hasher = DefaultHasher::new();
    origin.hash(&mut hasher);
    hasher.finish().max(FROM_TABLE + 1)
}

impl Apply for Dedup {
    fn apply(&mut self, document: Document, env: &Env) -> Verdict {
        let failure = |text: String| Verdict::Failed(Failure::new(Category::Permanent, text, &self.name, &self.place));
        let scope = document.scope(env);
        let key = match self.key.eval(&scope) {
            Ok(key) if key.is_null() => return failure("the key is null".to_owned()),
            Ok(key) => presence::hash(&key_text(&key)),
            Err(e) => return failure(e.to_string()),
        };
        let at = match self.at.eval(&scope).map(|at| coerce(ColumnType::Timestamp, &at)) {
            // An instant to come would push the whole window out.
            Ok(Ok(Cell::Timestamp(at))) => at.min(env.now),
            Ok(_) => return failure("the instant is not a timestamp".to_owned()),
            Err(e) => return failure(e.to_string()),
        };
        let from = fingerprint(&document.meta.origin);
        let meta = &document.meta;
        match self.seen.enter(key, at, from) {
            Some(first) if first == FROM_TABLE && !self.seen.is_new(&meta.here) => {
                Verdict::On(document.bind(&self.name, Json::from(true)))
            }
            Some(first) if first != from && meta.attempt == 0 && !meta.replayed => Verdict::Skipped("duplicate".into()),
            _ => Verdict::On(document.bind(&self.name, Json::from(true))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn a_key_is_remembered_for_a_window_and_no_longer() {
        let mut seen = Seen::new(Duration::from_secs(80));
        assert_eq!(seen.enter(1, 0, 7), None);
        assert_eq!(seen.enter(1, 70 * SECOND, 8), Some(7));
        assert_eq!(seen.enter(2, 200 * SECOND, 9), None);
        assert_eq!(seen.len(), 1, "the bucket of key 1 has expired");
        assert_eq!(seen.enter(2, 400 * SECOND, 7), None, "nobody else came in between");
        assert_eq!(seen.enter(1, 200 * SECOND, 10), None);
    }

    #[test]
    fn a_message_that_the_table_was_committed_past_is_not_judged_by_its_own_row() {
        let at = |offset| Origin { topic: "t".into(), partition: 0, offset };
        let mut seen = Seen::new(Duration::from_secs(80));
        seen.hold(("t".into(), 0), 10);
        seen.restore("a", 0);
        assert_eq!(seen.enter(presence::hash("a"), 0, 7), Some(FROM_TABLE));
        assert!(!seen.is_new(&at(9)) && seen.is_new(&at(10)));
        assert!(seen.is_new(&Origin { partition: 1, ..at(0) }), "nothing of this partition is in the table");
    }

    #[test]
    fn an_instant_from_before_the_window_is_still_seen_once() {
        let mut seen = Seen::new(Duration::from_secs(80));
        assert_eq!(seen.enter(1, 1000 * SECOND, 1), None);
        assert_eq!(seen.enter(2, 0, 2), None);
        assert_eq!(seen.enter(2, 0, 3), Some(2));
    }
}
