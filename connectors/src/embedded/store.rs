//! The file: its tables, reading, and the door to the writer.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TransactionError,
};
use tokio::sync::{mpsc, oneshot};

use super::Options;
use super::codec::Decoder;
use super::writer::{Job, Work, Writer};
use crate::clock::Micros;
use crate::local::{self, Catalogue, Fetch, Span, Write};
use crate::log::Message;
use crate::{Error, Result};

/// Topic name to (id, partitions). Ids keep the keys of records short.
pub(super) const TOPICS: TableDefinition<'_, &str, (u32, i32)> = TableDefinition::new("topics");
/// (topic, partition, offset) to an encoded record.
pub(super) const RECORDS: TableDefinition<'_, (u32, i32, i64), &[u8]> = TableDefinition::new("records");
/// (topic, partition) to its span: records alone would forget where an emptied partition goes on.
pub(super) const SPANS: TableDefinition<'_, (u32, i32), (i64, i64)> = TableDefinition::new("spans");
/// (group, topic, partition) to the next offset.
pub(super) const POSITIONS: TableDefinition<'_, (&str, &str, i32), i64> = TableDefinition::new("positions");

/// What readers and the writer share.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) db: Database,
    pub(super) catalogue: Catalogue,
    pub(super) ids: RwLock<HashMap<Arc<str>, u32>>,
}

impl File {
    pub(super) fn id(&self, topic: &str) -> Option<u32> {
        self.ids.read().unwrap_or_else(PoisonError::into_inner).get(topic).copied()
    }

    /// An error of the file, with its name. A full or failing disk may recover; a damaged file will not.
    pub(super) fn error(&self, what: &str, error: impl Into<redb::Error>) -> Error {
        failed(&self.path, what, error.into())
    }
}

pub(super) fn failed(path: &Path, what: &str, error: redb::Error) -> Error {
    let message = format!("{what} {} failed: {error}", path.display());
    match error {
        redb::Error::Io(_) | redb::Error::PreviousIo => {
            Error::transient(message).hint("check the disk: space, permissions, errors in the system log")
        }
        _ => Error::permanent(message),
    }
}

/// Runs `work` on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::transient(format!("work on the embedded topics was given up: {error}"))),
    }
}

/// Records and positions in one redb file.
pub struct Store {
    file: Arc<File>,
    /// Present until the store is dropped.
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<std::thread::JoinHandle<()>>,
}

impl Store {
    /// Opens or creates the file and starts its writer.
    pub(super) fn open(dir: &Path, options: Options) -> Result<Self> {
        std::fs::create_dir_all(dir)
            .map_err(|e| Error::permanent(format!("directory {} cannot be created: {e}", dir.display())))?;
        let path = dir.join("topics.redb");
        let db =
            Database::builder().set_cache_size(options.cache_bytes).create(&path).map_err(|error| match error {
                DatabaseError::DatabaseAlreadyOpen => {
                    Error::permanent(format!("{} is in use: another engine is running on it", path.display()))
                        .hint("stop the other engine, or give this one a data directory of its own")
                }
                error => failed(&path, "opening", error.into()),
            })?;
        let file = File { path, db, catalogue: Catalogue::default(), ids: RwLock::default() };
        load(&file).map_err(|error| file.error("reading", error))?;
        let file = Arc::new(file);
        let (jobs, queue) = mpsc::channel(options.queued_writes.max(1));
        let writer = std::thread::Builder::new()
            .name("embedded-writer".into())
            .spawn({
                let file = file.clone();
                move || Writer::new(file).run(queue)
            })
            .map_err(|e| Error::transient(format!("the thread that writes topics cannot be started: {e}")))?;
        Ok(Store { file, jobs: Some(jobs), writer: Some(writer) })
    }

    async fn submit(&self, work: Work) -> Result<u64> {
        let stopped = || Error::permanent(format!("the writer of {} has stopped", self.file.path.display()));
        let (done, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        jobs.send(Job { work, done }).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    pub(super) async fn prune(&self, topic: &str, before: Micros) -> Result<u64> {
        self.submit(Work::Prune { topic: topic.to_string(), before }).await
    }
}

/// Fills the catalogue from the tables; the ids of topics.
pub(super) fn fill(
    catalogue: &Catalogue,
    topics: &impl ReadableTable<&'static str, (u32, i32)>,
    spans: &impl ReadableTable<(u32, i32), (i64, i64)>,
) -> Result<Vec<(Arc<str>, u32)>, redb::Error> {
    let mut ids = Vec::new();
    for entry in topics.iter()? {
        let (name, value) = entry?;
        let (id, partitions) = value.value();
        let mut all = Vec::new();
        for partition in 0..partitions {
            let (low, high) = spans.get((id, partition))?.map_or((0, 0), |span| span.value());
            all.push(Span { low, high });
        }
        catalogue.add(name.value(), all);
        ids.push((Arc::from(name.value()), id));
    }
    Ok(ids)
}

/// Makes the tables and fills the catalogue from them.
fn load(file: &File) -> Result<(), redb::Error> {
    let transaction = file.db.begin_write()?;
    {
        transaction.open_table(RECORDS)?;
        transaction.open_table(POSITIONS)?;
        let spans = transaction.open_table(SPANS)?;
        let topics = transaction.open_table(TOPICS)?;
        let mut ids = file.ids.write().unwrap_or_else(PoisonError::into_inner);
        ids.extend(fill(&file.catalogue, &topics, &spans)?);
    }
    transaction.commit()?;
    Ok(())
}

#[async_trait]
impl local::Store for Store {
    fn catalogue(&self) -> &Catalogue {
        &self.file.catalogue
    }

    async fn write(&self, write: Write) -> Result<()> {
        self.submit(Work::Write(write)).await.map(|_| ())
    }

    async fn scan(&self, fetches: Vec<Fetch>, max_messages: usize, max_bytes: usize) -> Result<Vec<Message>> {
        let file = self.file.clone();
        blocking(move || {
            let read = file.db.begin_read();
            scan(&file.path, read, |topic| file.id(topic), fetches, max_messages, max_bytes)
        })
        .await
    }

    async fn position(&self, group: &str, topic: &str) -> Result<BTreeMap<i32, i64>> {
        let (file, group, topic) = (self.file.clone(), group.to_string(), topic.to_string());
        blocking(move || position(&file.path, file.db.begin_read(), &group, &topic)).await
    }

    async fn trim(&self, topic: &str, partition: i32, before: i64) -> Result<()> {
        self.submit(Work::Trim { topic: topic.to_string(), partition, before }).await.map(drop)
    }
}

/// A snapshot of the file, if it could be had.
pub(super) type Read = Result<ReadTransaction, TransactionError>;

/// Where `group` is on `topic`.
pub(super) fn position(path: &Path, snapshot: Read, group: &str, topic: &str) -> Result<BTreeMap<i32, i64>> {
    let read = || -> Result<_, redb::Error> {
        let positions = snapshot?.open_table(POSITIONS)?;
        let mut found = BTreeMap::new();
        for entry in positions.range((group, topic, 0)..=(group, topic, i32::MAX))? {
            let (key, offset) = entry?;
            found.insert(key.value().2, offset.value());
        }
        Ok(found)
    };
    read().map_err(|error| failed(path, "reading positions from", error))
}

/// One range a partition, all from one snapshot.
pub(super) fn scan(
    path: &Path,
    snapshot: Read,
    id: impl Fn(&str) -> Option<u32>,
    fetches: Vec<Fetch>,
    max_messages: usize,
    max_bytes: usize,
) -> Result<Vec<Message>> {
    let failed = |error: redb::Error| failed(path, "reading records from", error);
    let transaction = snapshot.map_err(|e| failed(e.into()))?;
    let records = transaction.open_table(RECORDS).map_err(|e| failed(e.into()))?;
    let (mut messages, mut bytes) = (Vec::new(), 0);
    for Fetch { topic, partition, offset, max } in fetches {
        let Some(id) = id(&topic) else { continue };
        let mut decoder = Decoder::new(topic, partition);
        let range = records.range((id, partition, offset)..=(id, partition, i64::MAX)).map_err(|e| failed(e.into()))?;
        for entry in range.take(max) {
            if messages.len() >= max_messages || (bytes >= max_bytes && !messages.is_empty()) {
                return Ok(messages);
            }
            let (key, value) = entry.map_err(|e| failed(e.into()))?;
            let message = decoder.decode(key.value().2, value.value())?;
            bytes += message.size();
            messages.push(message);
        }
    }
    Ok(messages)
}

impl Drop for Store {
    /// Waits for writes that were accepted, so that the file is free when the log is gone.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has already failed its jobs.
            let _ = writer.join();
        }
    }
}
