//! The embedded log of a running engine, for other processes of this machine.
//!
//! The file of the embedded log belongs to one process. While an engine runs on it, it serves the log on a port of the loopback
//! address ([`serve`]), and whoever looks at topics or replays dead letters goes through that ([`open`]): reads, writes and
//! positions are those of the one log, so nothing is seen or done twice.
//!
//! The door stands beside the file, in `topics/engine.json`: where the engine listens, and a token that is made anew for each run. Only
//! who may read that file may speak to the log, and that is who may read and write the log itself. The door is gone when the
//! engine has ended; one that a killed engine left behind is used by nobody, because the log is free then.
//!
//! Nobody joins a group from outside: that needs a reader whose end the log notices.

mod client;
mod server;
mod wire;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use connectors::clock::Clock;
use connectors::log::Log;
use connectors::{Error, Result};

use crate::plan::Kafka;
use crate::run::systems::open_log;

pub use client::Client;
pub use server::{Door, serve};

/// The file beside the log that says how to reach it.
const DOOR: &str = "engine.json";

/// Opens the log of a connection: a cluster, the embedded log below `data`, or, while an engine runs on that, the engine's.
pub async fn open(kafka: &Kafka, data: &Path, clock: Arc<dyn Clock>) -> Result<Arc<dyn Log>> {
    let refused = match open_log(kafka, data, clock.clone()).await {
        Ok(log) => return Ok(log),
        Err(refused) if kafka.brokers.is_some() => return Err(refused),
        Err(refused) => refused,
    };
    let door = door(data);
    let Ok(text) = tokio::fs::read(&door).await else { return Err(refused) };
    let client =
        Client::through(&text, clock).map_err(|e| Error { message: format!("{}: {e}", door.display()), ..e })?;
    // A door without an engine behind it says nothing about who has the file open.
    match client.topics().await {
        Ok(_) => Ok(Arc::new(client)),
        Err(error) => Err(refused.hint(format!("the engine that is said to run on it does not answer: {error}"))),
    }
}

fn door(data: &Path) -> PathBuf {
    data.join("topics").join(DOOR)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use connectors::Category;
    use connectors::clock::SystemClock;
    use connectors::log::{Record, Subscription, TopicSpec};

    fn clock() -> Arc<dyn Clock> {
        Arc::new(SystemClock::new(1.0))
    }

    fn subscription() -> Subscription {
        Subscription { group: "g".into(), topics: vec!["orders".into()], delayed: vec![], gate: Arc::new(|_| true) }
    }

    #[tokio::test]
    async fn what_another_process_sees_is_the_log_itself() {
        let folder = tempfile::tempdir().unwrap();
        let kafka = Kafka::default();
        let ours = open(&kafka, folder.path(), clock()).await.unwrap();
        let refused = open(&kafka, folder.path(), clock()).await.err().unwrap();
        assert!(refused.message.contains("in use"), "{refused}");
        let serving = serve(&ours, folder.path()).await.unwrap();
        let theirs = open(&kafka, folder.path(), clock()).await.unwrap();

        let spec = [TopicSpec { name: "orders".into(), partitions: 1 }];
        assert_eq!(theirs.missing(&spec).await.unwrap(), ["orders"]);
        theirs.create(&spec).await.unwrap();
        let record = Record {
            topic: "orders".into(),
            key: Some(vec![0u8, 255].into()),
            payload: vec![1u8, 2, 254].into(),
            headers: vec![("h".into(), vec![200u8].into())],
        };
        let plain = Record { key: None, headers: vec![], ..record.clone() };
        theirs.producer().await.unwrap().send(vec![record, plain]).await.unwrap();
        assert_eq!(theirs.topics().await.unwrap(), ["orders"]);
        assert_eq!(theirs.bounds("orders").await.unwrap(), ours.bounds("orders").await.unwrap());
        let read = theirs.read("orders", 0, 0, 10).await.unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read, ours.read("orders", 0, 0, 10).await.unwrap());

        let mut source = ours.subscribe(subscription()).await.unwrap();
        source.poll(10, 1 << 20, std::time::Duration::from_secs(5)).await.unwrap();
        source.commit(&[(("orders".into(), 0), 1)].into()).await.unwrap();
        assert_eq!(theirs.position("g", "orders").await.unwrap(), [(0, 1)].into());
        theirs.trim("orders", 0, 1).await.unwrap();
        assert_eq!(ours.bounds("orders").await.unwrap()[0].low, 1);

        // What the log refuses is refused as it refuses it.
        let nowhere = theirs.trim("nowhere", 0, 1).await.unwrap_err();
        assert_eq!((nowhere.category, nowhere.message), (Category::Permanent, "topic nowhere does not exist".into()));
        assert_eq!(theirs.subscribe(subscription()).await.err().unwrap().category, Category::Permanent);

        drop(serving);
        assert!(!door(folder.path()).exists());
        assert!(theirs.topics().await.is_err());
    }

    /// A log that remembers how many messages it was asked for at a time.
    struct Asked(connectors::memory::Log, std::sync::atomic::AtomicUsize);

    #[async_trait::async_trait]
    impl Log for Asked {
        async fn missing(&self, topics: &[TopicSpec]) -> Result<Vec<String>> {
            self.0.missing(topics).await
        }
        async fn create(&self, topics: &[TopicSpec]) -> Result<()> {
            self.0.create(topics).await
        }
        async fn topics(&self) -> Result<Vec<String>> {
            self.0.topics().await
        }
        async fn bounds(&self, topic: &str) -> Result<Vec<connectors::log::Bounds>> {
            self.0.bounds(topic).await
        }
        async fn read(&self, topic: &str, part: i32, from: i64, max: usize) -> Result<Vec<connectors::log::Message>> {
            self.1.fetch_max(max, std::sync::atomic::Ordering::SeqCst);
            self.0.read(topic, part, from, max).await
        }
        async fn position(&self, group: &str, topic: &str) -> Result<std::collections::BTreeMap<i32, i64>> {
            self.0.position(group, topic).await
        }
        async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn connectors::log::Source>> {
            self.0.subscribe(subscription).await
        }
        async fn producer(&self) -> Result<Arc<dyn connectors::log::Producer>> {
            self.0.producer().await
        }
        async fn trim(&self, topic: &str, partition: i32, before: i64) -> Result<()> {
            self.0.trim(topic, partition, before).await
        }
    }

    #[tokio::test]
    async fn long_messages_are_read_a_few_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("topics")).unwrap();
        let asked = Arc::new(Asked(connectors::memory::Log::new(clock()), 0.into()));
        let ours: Arc<dyn Log> = asked.clone();
        let _serving = serve(&ours, folder.path()).await.unwrap();
        let card = std::fs::read(door(folder.path())).unwrap();
        let theirs = Client::through(&card, clock()).unwrap();
        theirs.create(&[TopicSpec { name: "long".into(), partitions: 1 }]).await.unwrap();
        let record =
            |length| Record { topic: "long".into(), key: None, payload: vec![0u8; length].into(), headers: vec![] };
        let producer = ours.producer().await.unwrap();
        producer.send((0..40).map(|_| record(1 << 20)).chain((0..100).map(|_| record(1))).collect()).await.unwrap();
        let mut read = Vec::new();
        let mut answers = 0;
        while read.len() < 140 {
            let next = i64::try_from(read.len()).unwrap();
            let some = theirs.read("long", 0, next, 1_000_000).await.unwrap();
            assert!(some.iter().map(|m| m.payload.len()).sum::<usize>() <= 9 << 20);
            read.extend(some.into_iter().map(|m| m.offset));
            answers += 1;
        }
        assert!(read.iter().copied().eq(0..140) && answers == 6, "{answers} answers: {read:?}");
        assert!(asked.1.load(std::sync::atomic::Ordering::SeqCst) <= 16);
    }

    #[tokio::test]
    async fn nobody_enters_without_the_token() {
        let folder = tempfile::tempdir().unwrap();
        let ours = open(&Kafka::default(), folder.path(), clock()).await.unwrap();
        let _serving = serve(&ours, folder.path()).await.unwrap();
        let text = std::fs::read_to_string(door(folder.path())).unwrap();
        let mut card: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(card["token"].as_str().unwrap().len() >= 32);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(door(folder.path())).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{mode:o}");
        }
        for token in ["", "guessed"] {
            card["token"] = token.into();
            let client = Client::through(card.to_string().as_bytes(), clock()).unwrap();
            let error = client.topics().await.unwrap_err();
            assert!(error.message.contains("401"), "{error}");
        }
    }
}
