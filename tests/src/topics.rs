//! The topics of a run: the embedded ones while no program has them open, or a cluster's.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use connectors::clock::SystemClock;
use connectors::embedded;
use connectors::log::{Log, Message, Record, TopicSpec};

use crate::program::Engine;

/// Topics.
pub struct Topics(Arc<dyn Log>);

impl Topics {
    /// Those in `data`.
    pub async fn open(data: &Path) -> Self {
        let clock = Arc::new(SystemClock::new(1.0));
        Topics(Arc::new(embedded::Log::open(data.join("topics"), embedded::Options::default(), clock).await.unwrap()))
    }

    /// Those of `log`.
    pub fn on(log: Arc<dyn Log>) -> Self {
        Topics(log)
    }

    /// Every message of a topic.
    pub async fn all(&self, topic: &str) -> Vec<Message> {
        let mut messages = Vec::new();
        for bounds in self.0.bounds(topic).await.unwrap() {
            let mut next = bounds.low;
            while next < bounds.high {
                let read = self.0.read(topic, bounds.partition, next, 1000).await.unwrap();
                next = read.last().expect("an offset below the end has a message").offset + 1;
                messages.extend(read);
            }
        }
        messages
    }

    /// How many messages a topic holds.
    pub async fn count(&self, topic: &str) -> usize {
        self.all(topic).await.len()
    }

    /// The names of all topics.
    pub async fn names(&self) -> Vec<String> {
        self.0.topics().await.unwrap()
    }

    /// Writes messages of any bytes without keys.
    pub async fn write_bytes(&self, topic: &str, payloads: Vec<Vec<u8>>) {
        self.0.create(&[TopicSpec { name: topic.to_owned(), partitions: 4 }]).await.unwrap();
        let record =
            |payload: Vec<u8>| Record { topic: topic.into(), key: None, payload: payload.into(), headers: Vec::new() };
        self.0.producer().await.unwrap().send(payloads.into_iter().map(record).collect()).await.unwrap();
    }

    /// Writes messages: keys decide partitions, and within one the order is kept.
    pub async fn write(&self, topic: &str, messages: Vec<(Option<String>, String)>) {
        self.0.create(&[TopicSpec { name: topic.to_owned(), partitions: 4 }]).await.unwrap();
        let record = |(key, payload): (Option<String>, String)| Record {
            topic: topic.into(),
            key: key.map(Bytes::from),
            payload: Bytes::from(payload),
            headers: Vec::new(),
        };
        self.0.producer().await.unwrap().send(messages.into_iter().map(record).collect()).await.unwrap();
    }
}

#[test]
fn whoever_only_looks_at_topics_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("nothing");
    for arguments in [&["topics"][..], &["consume", "shop.orders"]] {
        let engine = arguments[1..].iter().fold(Engine::new(arguments[0]), |engine, argument| engine.arg(argument));
        let ended = engine.arg("--data").arg(data.display()).finish().expect(2);
        assert!(ended.err.contains("there are no topics in") && ended.err.contains("nothing"), "{}", ended.err);
        assert!(!data.exists());
    }
}
