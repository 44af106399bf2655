//! Topics inside one process: what the memory log and the embedded log share.
//!
//! A [`Store`] keeps records and positions; this module adds everything that makes a log of it: the partition of a key
//! (`partition`), groups whose members share the partitions (`group`), delayed topics, and polls that sleep until
//! something was written. So the in-memory double cannot drift from the durable log: they differ in the store alone.
//!
//! Guarantees: one write is atomic and durable when it returns; messages of a partition are delivered in offset order;
//! a partition has at most one reader in a group at any time; a poll that is cancelled has moved nothing.

mod catalogue;
mod group;
mod partition;
mod source;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

pub use catalogue::{Catalogue, Span};
pub use partition::{murmur2, partition_of};
pub use source::Source;

use crate::clock::{Clock, Micros};
use crate::log::{self, Bounds, Message, Position, Record, Subscription, TopicSpec};
use crate::{Error, Result};

/// What one transaction changes.
#[derive(Debug, Default)]
pub struct Write {
    /// Topics to create; those that exist are left as they are.
    pub topics: Vec<TopicSpec>,
    /// Records and the partitions they go to, in order.
    pub records: Vec<(i32, Record)>,
    /// The time that the records get.
    pub time: Micros,
    /// Positions of a group.
    pub positions: Option<(String, Position)>,
}

/// What to read from one partition.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The first offset to read.
    pub offset: i64,
    /// At most so many messages.
    pub max: usize,
}

/// Keeps records and positions.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What exists. The store keeps it in step with what is durable.
    fn catalogue(&self) -> &Catalogue;
    /// Does all of `write` or nothing of it; durable when it returns. Records of one partition get offsets without gaps.
    async fn write(&self, write: Write) -> Result<()>;
    /// Reads `fetches` in order until about `max_messages` or `max_bytes` are reached; at least one message when there
    /// is one.
    async fn scan(&self, fetches: Vec<Fetch>, max_messages: usize, max_bytes: usize) -> Result<Vec<Message>>;
    /// Next offsets by partition, only where something was committed.
    async fn position(&self, group: &str, topic: &str) -> Result<BTreeMap<i32, i64>>;
    /// Deletes everything before `before` in one partition, which is there; durable when it returns.
    async fn trim(&self, topic: &str, partition: i32, before: i64) -> Result<()>;
}

/// A system of topics over a store. Cheap to clone; clones are the same log.
pub struct Log<S: Store> {
    inner: Arc<Inner<S>>,
}

impl<S: Store> Clone for Log<S> {
    fn clone(&self) -> Self {
        Log { inner: self.inner.clone() }
    }
}

pub(crate) struct Inner<S: Store> {
    pub(crate) store: S,
    groups: Mutex<group::Groups>,
    clock: Arc<dyn Clock>,
    /// Where the next record without a key goes.
    turn: AtomicU64,
}

impl<S: Store> Inner<S> {
    /// Chooses the partitions of `records`.
    fn place(&self, records: Vec<Record>) -> Result<Vec<(i32, Record)>> {
        let catalogue = self.store.catalogue();
        let mut placed = Vec::with_capacity(records.len());
        // Batches mostly go to one topic: its partition count is looked up once.
        let mut last: Option<(Arc<str>, i32)> = None;
        for record in records {
            let partitions = match &last {
                Some((topic, partitions)) if *topic == record.topic => *partitions,
                _ => {
                    let partitions = catalogue.partitions(&record.topic).ok_or_else(|| no_topic(&record.topic))?;
                    last = Some((record.topic.clone(), partitions));
                    partitions
                }
            };
            let partition = match &record.key {
                Some(key) => partition_of(key, partitions),
                None => {
                    let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                    i32::try_from(turn % u64::from(partitions.unsigned_abs().max(1))).unwrap_or(0)
                }
            };
            placed.push((partition, record));
        }
        Ok(placed)
    }

    async fn write(&self, records: Vec<Record>, positions: Option<(String, Position)>) -> Result<()> {
        let records = self.place(records)?;
        self.store.write(Write { topics: Vec::new(), records, time: self.clock.now(), positions }).await
    }
}

/// The error of a write to a topic that is not there.
pub(crate) fn no_topic(topic: &str) -> Error {
    Error::permanent(format!("topic {topic} does not exist")).hint("create it first")
}

impl<S: Store> Log<S> {
    /// A log over `store`; `clock` gives the records their time.
    pub(crate) fn over(store: S, clock: Arc<dyn Clock>) -> Self {
        Log { inner: Arc::new(Inner { store, groups: Mutex::default(), clock, turn: AtomicU64::new(0) }) }
    }

    /// Lets every poll ask its gate again: what gates look at, such as a clock, has changed.
    pub fn wake(&self) {
        self.inner.store.catalogue().signal();
    }

    /// The store.
    pub(crate) fn store(&self) -> &S {
        &self.inner.store
    }

    /// Writes `records` and makes `position` the place where `group` resumes, in one transaction: either both are
    /// durable or neither is. It asks nobody whether the partitions are owned; members of a group use
    /// [`log::Source::commit_with_records`].
    pub async fn commit_with_records(&self, records: Vec<Record>, group: &str, position: &Position) -> Result<()> {
        self.inner.write(records, Some((group.to_string(), position.clone()))).await
    }
}

#[async_trait]
impl<S: Store> log::Log for Log<S> {
    async fn missing(&self, topics: &[TopicSpec]) -> Result<Vec<String>> {
        let catalogue = self.inner.store.catalogue();
        Ok(topics.iter().filter(|t| catalogue.partitions(&t.name).is_none()).map(|t| t.name.clone()).collect())
    }

    async fn create(&self, topics: &[TopicSpec]) -> Result<()> {
        for topic in topics {
            if topic.name.is_empty() || topic.partitions < 1 {
                let TopicSpec { name, partitions } = topic;
                return Err(Error::permanent(format!("topic '{name}' cannot be created with {partitions} partitions"))
                    .hint("a topic needs a name and at least one partition"));
            }
        }
        self.inner.store.write(Write { topics: topics.to_vec(), ..Write::default() }).await
    }

    async fn topics(&self) -> Result<Vec<String>> {
        Ok(self.inner.store.catalogue().topics().into_keys().map(|name| name.to_string()).collect())
    }

    async fn bounds(&self, topic: &str) -> Result<Vec<Bounds>> {
        Ok(self.inner.store.catalogue().bounds(topic))
    }

    async fn read(&self, topic: &str, partition: i32, offset: i64, max: usize) -> Result<Vec<Message>> {
        let catalogue = self.inner.store.catalogue();
        let (Some(topic), Some(span)) = (catalogue.name(topic), catalogue.span(topic, partition)) else {
            return Ok(Vec::new());
        };
        let fetch = Fetch { topic, partition, offset: offset.max(span.low), max };
        self.inner.store.scan(vec![fetch], max, usize::MAX).await
    }

    async fn position(&self, group: &str, topic: &str) -> Result<BTreeMap<i32, i64>> {
        self.inner.store.position(group, topic).await
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn log::Source>> {
        Ok(Box::new(Source::join(self.inner.clone(), subscription)))
    }

    async fn producer(&self) -> Result<Arc<dyn log::Producer>> {
        Ok(Arc::new(Producer { inner: self.inner.clone() }))
    }

    async fn trim(&self, topic: &str, partition: i32, before: i64) -> Result<()> {
        let span = self.inner.store.catalogue().span(topic, partition).ok_or_else(|| no_topic(topic))?;
        if before > span.high {
            return Err(Error::permanent(format!(
                "partition {partition} of {topic} ends at {}, so nothing before {before} can be deleted",
                span.high
            )));
        }
        if before <= span.low { Ok(()) } else { self.inner.store.trim(topic, partition, before).await }
    }
}

/// Writes records in one transaction a call.
struct Producer<S: Store> {
    inner: Arc<Inner<S>>,
}

#[async_trait]
impl<S: Store> log::Producer for Producer<S> {
    async fn send(&self, records: Vec<Record>) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.inner.write(records, None).await
    }
}
