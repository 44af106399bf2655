//! The embedded log: topics in one file, for running without a broker.
//!
//! All topics, records and group positions are in `DIR/topics.redb`. A `send` is one transaction: all its records are
//! durable when it returns, or none is there. Sends that are under way together share a transaction and its fsync.
//! Records and a position can be committed together ([`local::Log::commit_with_records`]), which makes a flow between
//! two topics exactly-once.
//!
//! One process at a time may open a directory. Inside it, members of a group share the partitions of a topic as they do
//! on a broker; see [`crate::local`]. A key's partition is the one that Kafka's clients choose.
//!
//! Nothing is deleted unless [`local::Log::prune`] is called; the space is then used again by later records, the file
//! does not shrink. Reads and writes run on blocking threads, never on those of the async runtime.

mod codec;
mod look;
mod store;
mod writer;

use std::path::Path;
use std::sync::Arc;

use crate::Result;
use crate::clock::{Clock, Micros};
use crate::local;

pub use look::{is_there, look};
pub use store::Store;

/// Topics in one file.
pub type Log = local::Log<Store>;

/// How the file is kept.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Memory for pages of the file.
    pub cache_bytes: usize,
    /// How many writes may wait for the disk; the next ones wait in `send`.
    pub queued_writes: usize,
}

impl Default for Options {
    /// 16 MiB of cache, since the system caches the file too, and 64 waiting writes.
    fn default() -> Self {
        Options { cache_bytes: 16 << 20, queued_writes: 64 }
    }
}

impl Log {
    /// Opens `dir/topics.redb`, which is created when it is not there. Fails when another process has it open.
    /// `clock` gives the messages their time.
    pub async fn open(dir: impl AsRef<Path>, options: Options, clock: Arc<dyn Clock>) -> Result<Self> {
        let dir = dir.as_ref().to_path_buf();
        let store = store::blocking(move || Store::open(&dir, options)).await?;
        Ok(local::Log::over(store, clock))
    }

    /// Deletes from the start of each partition of `topic` what was written before `before`, and returns how many
    /// messages that were. A group that has not read them misses them.
    pub async fn prune(&self, topic: &str, before: Micros) -> Result<u64> {
        self.store().prune(topic, before).await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, SystemClock};
    use crate::conformance;
    use crate::log::{Log as _, Position, Record, Subscription, TopicSpec};
    use std::time::Duration;

    async fn open(dir: &Path) -> Log {
        Log::open(dir, Options::default(), Arc::new(SystemClock::new(1.0))).await.unwrap()
    }

    fn record(topic: &str, payload: &str) -> Record {
        let payload = bytes::Bytes::copy_from_slice(payload.as_bytes());
        Record { topic: topic.into(), key: None, payload, headers: vec![("h".into(), "v".into())] }
    }

    fn orders() -> [TopicSpec; 1] {
        [TopicSpec { name: "orders".into(), partitions: 1 }]
    }

    #[tokio::test]
    async fn conforms() {
        let dir = tempfile::tempdir().unwrap();
        conformance::log::all(Arc::new(open(dir.path()).await), "embedded").await;
    }

    #[tokio::test]
    async fn records_and_positions_survive_and_offsets_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path()).await;
        log.create(&orders()).await.unwrap();
        log.producer().await.unwrap().send(vec![record("orders", "a"), record("orders", "b")]).await.unwrap();
        let position = Position::from([(("orders".into(), 0), 1)]);
        log.commit_with_records(vec![record("orders", "c")], "g", &position).await.unwrap();
        drop(log);

        let log = open(dir.path()).await;
        assert_eq!(log.position("g", "orders").await.unwrap(), [(0, 1)].into());
        log.producer().await.unwrap().send(vec![record("orders", "d")]).await.unwrap();
        let subscription = Subscription {
            group: "g".into(),
            topics: vec!["orders".into()],
            delayed: vec![],
            gate: Arc::new(|_| true),
        };
        let mut source = log.subscribe(subscription).await.unwrap();
        let messages = source.poll(10, 1 << 20, Duration::from_secs(5)).await.unwrap().messages;
        let seen: Vec<_> = messages.iter().map(|m| (m.offset, &m.payload[..], m.header("h"))).collect();
        assert_eq!(seen, [(1, &b"b"[..], Some("v")), (2, b"c", Some("v")), (3, b"d", Some("v"))]);
    }

    #[tokio::test]
    async fn a_second_engine_is_told_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let _first = open(dir.path()).await;
        let second = Log::open(dir.path(), Options::default(), Arc::new(SystemClock::new(1.0))).await;
        let error = second.err().unwrap().to_string();
        assert!(error.contains("topics.redb") && error.contains("another engine"), "{error}");
    }

    #[tokio::test]
    async fn a_write_that_cannot_be_done_harms_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path()).await;
        log.create(&orders()).await.unwrap();
        let producer = log.producer().await.unwrap();
        let (good, bad) =
            tokio::join!(producer.send(vec![record("orders", "a")]), producer.send(vec![record("nowhere", "b")]));
        good.unwrap();
        assert!(bad.unwrap_err().message.contains("nowhere"));
        // Not even the good half of a bad batch is there.
        producer.send(vec![record("orders", "c"), record("nowhere", "d")]).await.unwrap_err();
        assert_eq!(log.bounds("orders").await.unwrap()[0].high, 1);
    }

    #[tokio::test]
    async fn many_sends_together_all_arrive_once() {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path()).await;
        log.create(&orders()).await.unwrap();
        let producer = log.producer().await.unwrap();
        let sends = (0..200).map(|n| producer.send(vec![record("orders", &n.to_string())]));
        futures::future::try_join_all(sends).await.unwrap();
        let messages = log.read("orders", 0, 0, 1000).await.unwrap();
        let mut seen: Vec<u32> =
            messages.iter().map(|m| std::str::from_utf8(&m.payload).unwrap().parse().unwrap()).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..200).collect::<Vec<_>>());
        assert!(messages.iter().map(|m| m.offset).eq(0..200));
    }

    #[tokio::test]
    async fn pruning_takes_the_old_and_keeps_the_offsets() {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(1_000);
        let log = Log::open(dir.path(), Options::default(), Arc::new(clock.clone())).await.unwrap();
        log.create(&orders()).await.unwrap();
        let producer = log.producer().await.unwrap();
        producer.send(vec![record("orders", "a"), record("orders", "b")]).await.unwrap();
        clock.advance(Duration::from_secs(1));
        producer.send(vec![record("orders", "c")]).await.unwrap();
        assert_eq!(log.prune("orders", clock.now()).await.unwrap(), 2);
        let bounds = log.bounds("orders").await.unwrap()[0];
        assert_eq!((bounds.low, bounds.high), (2, 3));
        assert_eq!(log.prune("orders", i64::MAX).await.unwrap(), 1);
        drop((log, producer));
        let log = open(dir.path()).await;
        let bounds = log.bounds("orders").await.unwrap()[0];
        assert_eq!((bounds.low, bounds.high), (3, 3), "an emptied partition does not start again at 0");
    }
}
