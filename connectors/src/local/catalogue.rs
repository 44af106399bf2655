//! Which topics exist and how far each partition reaches: in memory, so that a poll that finds nothing touches no store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::log::Bounds;

/// The readable offsets of a partition: `low..high`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first offset that is still there.
    pub low: i64,
    /// One past the last.
    pub high: i64,
}

/// Topics, their partitions and their spans, and a signal whenever one of them changes.
#[derive(Debug, Default)]
pub struct Catalogue {
    topics: RwLock<BTreeMap<Arc<str>, Vec<Span>>>,
    /// Counts the topics ever added, so that groups see that there is something to share out.
    version: AtomicU64,
    changed: Notify,
}

impl Catalogue {
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Arc<str>, Vec<Span>>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn edit(&self) -> RwLockWriteGuard<'_, BTreeMap<Arc<str>, Vec<Span>>> {
        self.topics.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a topic with the spans of its partitions, unless it is there.
    pub fn add(&self, name: &str, spans: Vec<Span>) {
        let mut topics = self.edit();
        if !topics.contains_key(name) {
            topics.insert(Arc::from(name), spans);
            self.version.fetch_add(1, Ordering::Release);
        }
        drop(topics);
        self.signal();
    }

    /// Changes the span of a partition and wakes the readers.
    pub fn set(&self, topic: &str, partition: i32, change: impl FnOnce(&mut Span)) {
        let mut topics = self.edit();
        let spans = topics.get_mut(topic);
        if let Some(span) = spans.and_then(|spans| spans.get_mut(usize::try_from(partition).ok()?)) {
            change(span);
        }
        drop(topics);
        self.signal();
    }

    /// The shared spelling of a topic's name.
    pub fn name(&self, topic: &str) -> Option<Arc<str>> {
        self.read().get_key_value(topic).map(|(name, _)| name.clone())
    }

    /// How many partitions `topic` has; none when there is no such topic.
    pub fn partitions(&self, topic: &str) -> Option<i32> {
        self.read().get(topic).and_then(|spans| i32::try_from(spans.len()).ok())
    }

    /// The span of one partition.
    pub fn span(&self, topic: &str, partition: i32) -> Option<Span> {
        self.read().get(topic)?.get(usize::try_from(partition).ok()?).copied()
    }

    /// All topics with the number of their partitions.
    pub fn topics(&self) -> BTreeMap<Arc<str>, i32> {
        self.read().iter().map(|(name, spans)| (name.clone(), i32::try_from(spans.len()).unwrap_or(0))).collect()
    }

    /// The bounds of each partition of `topic`.
    pub fn bounds(&self, topic: &str) -> Vec<Bounds> {
        let topics = self.read();
        let spans = topics.get(topic).map_or(&[][..], Vec::as_slice);
        (0..).zip(spans).map(|(partition, span)| Bounds { partition, low: span.low, high: span.high }).collect()
    }

    /// Grows whenever a topic is added.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Completes at the next change. Enable it before looking, then nothing is missed.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Wakes whoever waits for a change.
    pub(crate) fn signal(&self) {
        self.changed.notify_waiters();
    }
}
