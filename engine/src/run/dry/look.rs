//! Systems that are read where they are, and written to nowhere: the values behind [`Dry`](super::systems::Dry).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use connectors::log::{Bounds, Log, Message, Polled, Position, Producer, Record, Source, Subscription, TopicSpec};
use connectors::spool::{Spool, Writer, check_path};
use connectors::table::{CommitError, Committed, RecordBatch, Row, Table, TableStats, Transactions};
use connectors::{Error, Result, delta, discard};
use tokio::io::AsyncRead;
use tokio::sync::mpsc;

use super::systems::feed_name;

fn not_written() -> Error {
    Error::permanent("nothing is written in a dry run")
}

/// Topics that are read outside any group. A group that subscribes gets what it is fed.
pub(super) struct ReadLog {
    /// None: there are no topics yet.
    pub log: Option<Arc<dyn Log>>,
    pub feeds: Arc<Mutex<BTreeMap<String, mpsc::UnboundedSender<Message>>>>,
}

#[async_trait]
impl Log for ReadLog {
    /// What is missing of the embedded log would be made, and is read as empty.
    async fn missing(&self, topics: &[TopicSpec]) -> Result<Vec<String>> {
        match &self.log {
            Some(log) => log.missing(topics).await,
            None => Ok(Vec::new()),
        }
    }

    async fn create(&self, _: &[TopicSpec]) -> Result<()> {
        Ok(())
    }

    async fn topics(&self) -> Result<Vec<String>> {
        match &self.log {
            Some(log) => log.topics().await,
            None => Ok(Vec::new()),
        }
    }

    async fn bounds(&self, topic: &str) -> Result<Vec<Bounds>> {
        match &self.log {
            Some(log) => log.bounds(topic).await,
            None => Ok(Vec::new()),
        }
    }

    async fn read(&self, topic: &str, partition: i32, offset: i64, max: usize) -> Result<Vec<Message>> {
        match &self.log {
            Some(log) => log.read(topic, partition, offset, max).await,
            None => Ok(Vec::new()),
        }
    }

    async fn position(&self, group: &str, topic: &str) -> Result<BTreeMap<i32, i64>> {
        match &self.log {
            Some(log) => log.position(group, topic).await,
            None => Ok(BTreeMap::new()),
        }
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn Source>> {
        let (sender, messages) = mpsc::unbounded_channel();
        let topic = subscription.topics.first().map_or("", String::as_str);
        let name = feed_name(&subscription.group, topic);
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner).insert(name, sender);
        Ok(Box::new(Feed { messages }))
    }

    async fn producer(&self) -> Result<Arc<dyn Producer>> {
        Ok(Arc::new(Nowhere))
    }

    async fn trim(&self, topic: &str, _: i32, _: i64) -> Result<()> {
        Err(Error::permanent(format!("topic {topic} is only read here")))
    }
}

/// Takes records and lets them go: the block that made one has shown it.
struct Nowhere;

#[async_trait]
impl Producer for Nowhere {
    async fn send(&self, _: Vec<Record>) -> Result<()> {
        Ok(())
    }
}

/// A source that delivers what it is given, and keeps no position.
pub(super) struct Feed {
    pub messages: mpsc::UnboundedReceiver<Message>,
}

#[async_trait]
impl Source for Feed {
    async fn poll(&mut self, _: usize, _: usize, wait: Duration) -> Result<Polled> {
        let message = tokio::time::timeout(wait, self.messages.recv()).await;
        let messages = match message {
            Ok(Some(message)) => vec![message],
            // Whoever fed it is gone: there is nothing to wait for.
            Ok(None) => {
                tokio::time::sleep(wait).await;
                Vec::new()
            }
            Err(_) => Vec::new(),
        };
        Ok(Polled { messages, ..Polled::default() })
    }

    async fn commit(&mut self, _: &Position) -> Result<()> {
        Ok(())
    }

    async fn committed(&mut self) -> Result<Position> {
        Ok(Position::new())
    }
}

/// A table that is read as it is; rows are checked, and let go.
pub(super) struct ReadTable {
    pub rows: discard::Table,
    /// None: there is no table yet.
    pub there: Option<delta::Table>,
}

#[async_trait]
impl Table for ReadTable {
    async fn commit(&self, rows: Vec<Row>, transactions: &Transactions) -> Result<Committed, CommitError> {
        self.rows.commit(rows, transactions).await
    }

    async fn insert(&self, batch: RecordBatch, transactions: &Transactions) -> Result<Committed, CommitError> {
        self.rows.insert(batch, transactions).await
    }

    async fn transactions(&self) -> Result<Transactions> {
        match &self.there {
            Some(table) => table.transactions().await,
            None => Ok(Transactions::new()),
        }
    }

    async fn scan(&self, columns: &[usize], not_past: Option<&Transactions>) -> Result<Vec<RecordBatch>> {
        match &self.there {
            Some(table) => table.scan(columns, not_past).await,
            None => Ok(Vec::new()),
        }
    }

    async fn stats(&self) -> Result<TableStats> {
        self.rows.stats().await
    }

    async fn maintain(&self) -> Result<()> {
        Ok(())
    }
}

/// A spool that is looked at: a folder, which need not be there.
pub(super) struct LookedAt {
    pub root: PathBuf,
}

#[async_trait]
impl Spool for LookedAt {
    async fn create(&self, _: &str) -> Result<Box<dyn Writer>> {
        Err(not_written())
    }

    async fn open(&self, _: &str) -> Result<Option<Box<dyn AsyncRead + Send + Unpin>>> {
        Err(not_written())
    }

    async fn length(&self, path: &str) -> Result<Option<u64>> {
        check_path(path)?;
        match tokio::fs::metadata(self.root.join(path)).await {
            Ok(found) => Ok(Some(found.len())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::transient(format!("cannot look at {}: {error}", self.root.join(path).display()))),
        }
    }

    async fn remove(&self, _: &str) -> Result<()> {
        Ok(())
    }
}
