//! Topics: partitioned logs of messages, read in groups, and the sources that look like them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::Result;
use crate::clock::Micros;

/// One partition of one topic. Sources without partitions use 0; a file source uses the file's name as the topic.
pub type Partition = (Arc<str>, i32);

/// What a source resumes from: for each partition the offset of the next message to read.
pub type Position = BTreeMap<Partition, i64>;

/// Names of headers and their values.
pub type Headers = Vec<(Arc<str>, Bytes)>;

/// What a source delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The topic it was read from.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
    /// Its place in the partition.
    pub offset: i64,
    /// When it was written.
    pub time: Micros,
    /// Its key; decides its partition.
    pub key: Option<Bytes>,
    /// Its body, untouched.
    pub payload: Bytes,
    /// Its headers, in order.
    pub headers: Headers,
}

impl Message {
    /// The last header named `name`, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().rev().find(|(n, _)| &**n == name).and_then(|(_, v)| std::str::from_utf8(v).ok())
    }

    /// About how much memory it holds.
    pub fn size(&self) -> usize {
        self.payload.len()
            + self.key.as_ref().map_or(0, Bytes::len)
            + self.headers.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>()
            + 96
    }
}

/// A message to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The topic to write to.
    pub topic: Arc<str>,
    /// Decides the partition (the same key, the same partition); none means any.
    pub key: Option<Bytes>,
    /// The body.
    pub payload: Bytes,
    /// The headers, in order.
    pub headers: Headers,
}

/// Whether a message may be delivered now. A consumer asks it about the head of a delayed topic: while the answer is no,
/// the head is held and its partition is not read; every other partition is.
pub type Gate = Arc<dyn Fn(&Message) -> bool + Send + Sync>;

/// What a group reads.
#[derive(Clone)]
pub struct Subscription {
    /// The group whose positions are resumed from and committed.
    pub group: String,
    /// Topics that are read as they come.
    pub topics: Vec<String>,
    /// Topics whose head waits until `gate` lets it pass (retry topics).
    pub delayed: Vec<String>,
    /// Asked about the heads of `delayed`.
    pub gate: Gate,
}

/// One answer of [`Source::poll`]. A partition that is both revoked and assigned was lost and came back: it is read again
/// from its committed position.
#[derive(Clone, Debug, Default)]
pub struct Polled {
    /// Messages, in order within each partition.
    pub messages: Vec<Message>,
    /// Partitions that this member gained since the last poll.
    pub assigned: Vec<Partition>,
    /// Partitions that this member lost: their positions must not be committed any more.
    pub revoked: Vec<Partition>,
}

/// Something that delivers messages and remembers a position.
#[async_trait]
pub trait Source: Send {
    /// Waits up to `wait` for messages and returns what there is: at most about `max_messages` and `max_bytes`, but at
    /// least one message when one is there. An empty answer is not the end. Cancelling the call loses nothing.
    async fn poll(&mut self, max_messages: usize, max_bytes: usize, wait: Duration) -> Result<Polled>;

    /// Makes `position` the place to resume from. Partitions that are not named keep theirs. Durable when it returns.
    async fn commit(&mut self, position: &Position) -> Result<()>;

    /// What is committed now, for every partition this member reads (0 or absent: nothing yet).
    async fn committed(&mut self) -> Result<Position>;

    /// Whether [`Source::commit_with_records`] is to be had here.
    fn is_transactional(&self) -> bool {
        false
    }

    /// Writes `records` and makes `position` the place to resume from, in one transaction: either both are durable or
    /// neither is. Fails without writing when a partition of `position` was lost to another member.
    async fn commit_with_records(&mut self, _records: Vec<Record>, _position: &Position) -> Result<()> {
        Err(crate::Error::permanent("this source cannot write records and its position in one transaction"))
    }

    /// Leaves the group and waits until that is done. Dropping the source leaves too, but does not wait.
    async fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Writes records.
#[async_trait]
pub trait Producer: Send + Sync {
    /// Writes all `records`; returns when every one is durable, or the first error. Records of one key keep their order.
    /// After an error some may have been written: writing again may double them, never lose them.
    async fn send(&self, records: Vec<Record>) -> Result<()>;
}

/// The bounds of one partition: offsets `low..high` can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The partition.
    pub partition: i32,
    /// The first offset that is still there.
    pub low: i64,
    /// One past the last offset.
    pub high: i64,
}

/// A topic that a topology needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its full name.
    pub name: String,
    /// How many partitions it gets when it is created.
    pub partitions: i32,
}

/// A system of topics.
#[async_trait]
pub trait Log: Send + Sync {
    /// Returns those of `topics` that do not exist.
    async fn missing(&self, topics: &[TopicSpec]) -> Result<Vec<String>>;
    /// Creates those of `topics` that do not exist.
    async fn create(&self, topics: &[TopicSpec]) -> Result<()>;
    /// The names of all topics.
    async fn topics(&self) -> Result<Vec<String>>;
    /// The bounds of each partition of `topic`; empty when there is no such topic.
    async fn bounds(&self, topic: &str) -> Result<Vec<Bounds>>;
    /// Up to `max` messages of one partition from `offset` on, outside any group.
    async fn read(&self, topic: &str, partition: i32, offset: i64, max: usize) -> Result<Vec<Message>>;
    /// The position of `group` on `topic`: next offsets by partition, only where something was committed.
    async fn position(&self, group: &str, topic: &str) -> Result<BTreeMap<i32, i64>>;
    /// Joins a group.
    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn Source>>;
    /// A producer; cheap to clone.
    async fn producer(&self) -> Result<Arc<dyn Producer>>;
    /// Deletes from the start of one partition everything before the offset `before`, which is at most its end. A group that
    /// has not read it misses it. Nothing in the middle of a partition can be deleted.
    async fn trim(&self, topic: &str, partition: i32, before: i64) -> Result<()>;
    /// Why nothing can be read or written at present. Answered from what is known, without asking anybody.
    fn trouble(&self) -> Option<String> {
        None
    }
}
