//! Replays that break off: what was not acknowledged was not done.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use connectors::clock::ManualClock;
use connectors::log::{Bounds, Log, Message, Producer, Record, Source, Subscription, TopicSpec};
use connectors::{Error, Result, memory};

use super::{Action, Filter, Home, Letter, Marks, Options, Queue, purge, replay};

/// A log that refuses what is written to topics with this end, while it is told to.
#[derive(Clone)]
struct Faulty {
    inner: memory::Log,
    refuses: &'static str,
    on: Arc<AtomicBool>,
}

#[async_trait]
impl Log for Faulty {
    async fn missing(&self, topics: &[TopicSpec]) -> Result<Vec<String>> {
        self.inner.missing(topics).await
    }
    async fn create(&self, topics: &[TopicSpec]) -> Result<()> {
        self.inner.create(topics).await
    }
    async fn topics(&self) -> Result<Vec<String>> {
        self.inner.topics().await
    }
    async fn bounds(&self, topic: &str) -> Result<Vec<Bounds>> {
        self.inner.bounds(topic).await
    }
    async fn read(&self, topic: &str, partition: i32, offset: i64, max: usize) -> Result<Vec<Message>> {
        self.inner.read(topic, partition, offset, max).await
    }
    async fn position(&self, group: &str, topic: &str) -> Result<BTreeMap<i32, i64>> {
        self.inner.position(group, topic).await
    }
    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn Source>> {
        self.inner.subscribe(subscription).await
    }
    async fn producer(&self) -> Result<Arc<dyn Producer>> {
        Ok(Arc::new(self.clone()))
    }
    async fn trim(&self, topic: &str, partition: i32, before: i64) -> Result<()> {
        self.inner.trim(topic, partition, before).await
    }
}

#[async_trait]
impl Producer for Faulty {
    async fn send(&self, records: Vec<Record>) -> Result<()> {
        if self.on.load(Ordering::SeqCst) && records.iter().any(|record| record.topic.ends_with(self.refuses)) {
            return Err(Error::transient("no answer"));
        }
        self.inner.producer().await?.send(records).await
    }
}

/// A queue with three letters of one key, in a log that refuses writes to topics that end so.
async fn queue(refuses: &'static str) -> (Queue, Faulty) {
    let inner = memory::Log::new(Arc::new(ManualClock::at(1_000)));
    let topics = ["orders", "dead"].map(|name| TopicSpec { name: name.into(), partitions: 2 });
    inner.create(&topics).await.unwrap();
    let letter = |n: u8| Record {
        topic: "dead".into(),
        key: Some("k".into()),
        payload: vec![n].into(),
        headers: vec![("error".into(), "no".into()), ("trace".into(), "t".into())],
    };
    inner.producer().await.unwrap().send((0..3).map(letter).collect()).await.unwrap();
    let home = Home {
        topology: "shop".into(),
        flow: "orders".into(),
        topic: "orders".into(),
        group: "shop-orders".into(),
        chosen: true,
    };
    let queue = Queue { connection: "bus".into(), topic: "dead".into(), homes: vec![home] };
    (queue, Faulty { inner, refuses, on: Arc::new(AtomicBool::new(true)) })
}

async fn replayed(queue: &Queue, log: &Faulty) -> (Result<usize>, Vec<Action>) {
    let log: Arc<dyn Log> = Arc::new(log.clone());
    let options = Options { again: false, dry_run: false, limit: usize::MAX };
    let mut told = Vec::new();
    let mut report = |_: &Letter, action| told.push(action);
    let result = replay(queue, &log, &Filter::default(), options, || 7, &mut report).await;
    (result, told)
}

async fn purged(queue: &Queue, log: &Faulty) -> usize {
    let log: Arc<dyn Log> = Arc::new(log.clone());
    purge(queue, &log, &Filter::default(), (false, false), 7, &mut |_, _| {}).await.unwrap()
}

async fn payloads(log: &Faulty, topic: &str) -> Vec<u8> {
    let mut found = Vec::new();
    for bounds in log.bounds(topic).await.unwrap() {
        let read = log.read(topic, bounds.partition, bounds.low, 100).await.unwrap();
        found.extend(read.iter().flat_map(|message| message.payload.to_vec()));
    }
    found
}

#[tokio::test]
async fn what_its_flow_did_not_take_is_not_replayed_and_not_deleted() {
    let (queue, log) = queue("orders").await;
    let (result, told) = replayed(&queue, &log).await;
    assert!(result.is_err() && told.is_empty());
    assert_eq!(purged(&queue, &log).await, 0);
    assert_eq!(payloads(&log, "dead").await, [0, 1, 2]);
    log.on.store(false, Ordering::SeqCst);
    let (result, told) = replayed(&queue, &log).await;
    assert_eq!((result.unwrap(), told), (3, vec![Action::Replayed(1); 3]));
    assert_eq!(payloads(&log, "orders").await, [0, 1, 2]);
    assert_eq!(purged(&queue, &log).await, 3);
    assert_eq!(payloads(&log, "dead").await, Vec::<u8>::new());
    // What was noted of them went with them.
    assert_eq!(payloads(&log, "dead.handled").await, Vec::<u8>::new());
}

#[tokio::test]
async fn what_could_not_be_noted_is_replayed_again_and_never_lost() {
    let (queue, log) = queue(".handled").await;
    assert!(replayed(&queue, &log).await.0.is_err());
    assert_eq!(payloads(&log, "orders").await, [0, 1, 2], "they were taken before the note failed");
    assert_eq!(purged(&queue, &log).await, 0, "nobody knows that they were");
    log.on.store(false, Ordering::SeqCst);
    assert_eq!(replayed(&queue, &log).await.1, [Action::Replayed(1); 3]);
    assert_eq!(replayed(&queue, &log).await.1, [Action::Already(1); 3]);
    assert_eq!(payloads(&log, "orders").await, [0, 1, 2, 0, 1, 2]);
    assert!(Marks::load(&log, "dead").await.is_ok());
}

#[tokio::test]
async fn a_topic_that_is_not_there_is_told_before_anything_is_written() {
    let (mut queue, log) = queue("nothing").await;
    queue.homes[0].topic = "elsewhere".into();
    let (result, told) = replayed(&queue, &log).await;
    let error = result.unwrap_err();
    assert!(error.message.contains("elsewhere") && told.is_empty(), "{error}");
    assert!(log.bounds("dead.handled").await.unwrap().is_empty());
}
