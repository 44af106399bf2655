//! The one thread that writes the file, with group commit.
//!
//! It takes all jobs that wait, up to a bound, applies them in order in one transaction and answers them after the
//! fsync. A job that cannot be done (a topic that is not there, a record that is too large) is refused before anything
//! of it is written and harms no other. When the transaction itself fails, every job in it fails.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use redb::{ReadableTable, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use super::codec;
use super::store::{File, POSITIONS, RECORDS, SPANS, TOPICS};
use crate::Result;
use crate::clock::Micros;
use crate::local::{Span, Write, no_topic};

/// Jobs that share a transaction: enough to hide the fsync, few enough to keep the answer of the first one near.
const GROUP_JOBS: usize = 256;
/// Payload bytes that share a transaction: dirty pages are kept in memory until the commit.
const GROUP_BYTES: usize = 16 << 20;
/// Messages that one transaction deletes.
const PRUNE_BATCH: i64 = 10_000;

/// What a job does.
pub(super) enum Work {
    Write(Write),
    /// Deletes what was written before an instant.
    Prune {
        topic: String,
        before: Micros,
    },
    /// Deletes what stands before an offset of one partition.
    Trim {
        topic: String,
        partition: i32,
        before: i64,
    },
}

/// Work and whom to tell. The answer counts the messages that were deleted.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) done: oneshot::Sender<Result<u64>>,
}

/// What a transaction will have changed when it is committed.
#[derive(Default)]
struct Changes {
    topics: Vec<NewTopic>,
    spans: HashMap<(Arc<str>, i32), Span>,
}

struct NewTopic {
    name: String,
    id: u32,
    partitions: i32,
}

pub(super) struct Writer {
    file: Arc<File>,
    /// One encoded record; kept to be used again.
    buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn new(file: Arc<File>) -> Self {
        Writer { file, buffer: Vec::new() }
    }

    /// Serves jobs until nobody can send any more.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(job) = queue.blocking_recv() {
            self.serve(job, &mut queue);
        }
    }

    fn serve(&mut self, Job { work, done }: Job, queue: &mut mpsc::Receiver<Job>) {
        match work {
            Work::Prune { topic, before } => {
                let _ = done.send(self.prune(&topic, before));
            }
            Work::Trim { topic, partition, before } => {
                let _ = done.send(self.cut(&topic, partition, |offset, _| offset < before));
            }
            Work::Write(write) => self.group(write, done, queue),
        }
    }

    /// Writes `first` and what else waits, in one transaction.
    fn group(&mut self, first: Write, done: oneshot::Sender<Result<u64>>, queue: &mut mpsc::Receiver<Job>) {
        let mut waiting = Vec::new();
        let mut after = None;
        let result = self.transact(|writer, transaction, changes| {
            let mut next = Some((first, done));
            let (mut jobs, mut bytes) = (0, 0);
            while let Some((write, done)) = next.take() {
                jobs += 1;
                bytes += write.records.iter().map(|(_, record)| record.payload.len()).sum::<usize>();
                match writer.check(&write, changes) {
                    Ok(()) => {
                        waiting.push(done);
                        writer.apply(write, transaction, changes)?;
                    }
                    Err(error) => {
                        let _ = done.send(Err(error));
                    }
                }
                if jobs < GROUP_JOBS && bytes < GROUP_BYTES {
                    match queue.try_recv() {
                        Ok(Job { work: Work::Write(write), done }) => next = Some((write, done)),
                        Ok(job) => after = Some(job),
                        Err(_) => {}
                    }
                }
            }
            Ok(())
        });
        for done in waiting {
            let _ = done.send(result.clone().map(|()| 0));
        }
        // No write, so it waits for no others.
        if let Some(job) = after {
            self.serve(job, queue);
        }
    }

    /// Runs `work` in a transaction; what it changed is visible to readers once it is durable.
    fn transact<T>(
        &mut self,
        work: impl FnOnce(&mut Self, &WriteTransaction, &mut Changes) -> Result<T, redb::Error>,
    ) -> Result<T> {
        let mut changes = Changes::default();
        let answer = self.commit(work, &mut changes).map_err(|error| self.file.error("writing", error))?;
        let mut ids = self.file.ids.write().unwrap_or_else(PoisonError::into_inner);
        ids.extend(changes.topics.iter().map(|topic| (Arc::from(&*topic.name), topic.id)));
        drop(ids);
        for NewTopic { name, partitions, .. } in changes.topics {
            self.file.catalogue.add(&name, vec![Span::default(); usize::try_from(partitions).unwrap_or(0)]);
        }
        for ((topic, partition), changed) in changes.spans {
            self.file.catalogue.set(&topic, partition, |span| *span = changed);
        }
        Ok(answer)
    }

    fn commit<T>(
        &mut self,
        work: impl FnOnce(&mut Self, &WriteTransaction, &mut Changes) -> Result<T, redb::Error>,
        changes: &mut Changes,
    ) -> Result<T, redb::Error> {
        let file = self.file.clone();
        // A new transaction is `Durability::Immediate`: its commit returns after the fsync.
        let transaction = file.db.begin_write()?;
        let answer = work(self, &transaction, changes)?;
        {
            let mut spans = transaction.open_table(SPANS)?;
            for ((topic, partition), span) in &changes.spans {
                if let Some(id) = self.id(topic, changes) {
                    spans.insert((id, *partition), (span.low, span.high))?;
                }
            }
        }
        transaction.commit()?;
        Ok(answer)
    }

    fn id(&self, topic: &str, changes: &Changes) -> Option<u32> {
        let new = changes.topics.iter().find(|new| new.name == topic).map(|new| new.id);
        new.or_else(|| self.file.id(topic))
    }

    fn span(&self, topic: &Arc<str>, partition: i32, changes: &Changes) -> Option<Span> {
        if let Some(span) = changes.spans.get(&(topic.clone(), partition)) {
            return Some(*span);
        }
        let new = changes.topics.iter().find(|new| new.name == **topic);
        match new {
            Some(new) => (0..new.partitions).contains(&partition).then(Span::default),
            None => self.file.catalogue.span(topic, partition),
        }
    }

    /// Whether `write` can be done as a whole.
    fn check(&self, write: &Write, changes: &Changes) -> Result<()> {
        for (partition, record) in &write.records {
            codec::size(record)?;
            let created = write.topics.iter().any(|topic| topic.name == *record.topic);
            if !created && self.span(&record.topic, *partition, changes).is_none() {
                return Err(no_topic(&record.topic));
            }
        }
        Ok(())
    }

    /// Writes what [`Writer::check`] let through.
    fn apply(
        &mut self,
        write: Write,
        transaction: &WriteTransaction,
        changes: &mut Changes,
    ) -> Result<(), redb::Error> {
        for topic in write.topics.iter().filter(|topic| self.id(&topic.name, changes).is_none()).collect::<Vec<_>>() {
            let mut topics = transaction.open_table(TOPICS)?;
            let mut id = 0;
            for entry in topics.iter()? {
                id = id.max(entry?.1.value().0 + 1);
            }
            topics.insert(&*topic.name, (id, topic.partitions))?;
            changes.topics.push(NewTopic { name: topic.name.clone(), id, partitions: topic.partitions });
        }
        if !write.records.is_empty() {
            let mut records = transaction.open_table(RECORDS)?;
            for (partition, record) in &write.records {
                let (Some(id), Some(mut span)) =
                    (self.id(&record.topic, changes), self.span(&record.topic, *partition, changes))
                else {
                    continue;
                };
                self.buffer.clear();
                codec::encode(record, write.time, &mut self.buffer);
                records.insert((id, *partition, span.high), &*self.buffer)?;
                span.high += 1;
                changes.spans.insert((record.topic.clone(), *partition), span);
            }
        }
        if let Some((group, position)) = &write.positions {
            let mut positions = transaction.open_table(POSITIONS)?;
            for ((topic, partition), offset) in position {
                positions.insert((&**group, &**topic, *partition), offset)?;
            }
        }
        Ok(())
    }

    /// Deletes what was written before `before`.
    fn prune(&mut self, topic: &str, before: Micros) -> Result<u64> {
        let partitions = self.file.catalogue.partitions(topic).ok_or_else(|| no_topic(topic))?;
        let old = |_: i64, bytes: &[u8]| codec::time(bytes).is_none_or(|time| time < before);
        (0..partitions).map(|partition| self.cut(topic, partition, old)).sum()
    }

    /// Deletes from the start of a partition for as long as `goes` says so of offset and record, in short transactions.
    fn cut(&mut self, topic: &str, partition: i32, goes: impl Fn(i64, &[u8]) -> bool) -> Result<u64> {
        let (Some(name), Some(id)) = (self.file.catalogue.name(topic), self.file.id(topic)) else {
            return Err(no_topic(topic));
        };
        let mut cut = 0;
        loop {
            let removed = self.transact(|writer, transaction, changes| {
                let Some(mut span) = writer.span(&name, partition, changes) else { return Ok(0) };
                let mut records = transaction.open_table(RECORDS)?;
                let mut low = span.low;
                for entry in records.range((id, partition, span.low)..(id, partition, span.low + PRUNE_BATCH))? {
                    let (key, value) = entry?;
                    if !goes(key.value().2, value.value()) {
                        break;
                    }
                    low = key.value().2 + 1;
                }
                let removed = low - span.low;
                if removed > 0 {
                    records.retain_in((id, partition, span.low)..(id, partition, low), |_, _| false)?;
                    span.low = low;
                    changes.spans.insert((name.clone(), partition), span);
                }
                Ok(removed)
            })?;
            cut += removed.unsigned_abs();
            if removed < PRUNE_BATCH {
                return Ok(cut);
            }
        }
    }
}
