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
        Subscription {
            group: "g".into(),
            topics: vec!["orders".into()],
            delayed: vec![],
            gate: Arc::new(|_| true),
            transactions: None,
        }
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
