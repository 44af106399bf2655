//! What an epoch stands for: a position, and what goes with it.
//!
//! The source enters each epoch with the position it reached; a table sink asks for the position through an epoch, for the
//! `txn`s of its commit; the committer retires epochs that the durable frontier has passed. In a flow whose outputs and
//! positions are one transaction, the records of an epoch wait here for its position: they leave together.
//!
//! A partition may go to somebody else, and even come back, while messages of it are in flight. What they still cause then
//! belongs to nobody: its new reader causes it again. So each batch has a number, and of a partition that was lost before batch
//! `n` neither position nor record of an earlier batch counts, whenever it arrives here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use connectors::log::{Partition, Position};

use super::Epoch;
use super::wire::Outgoing;

/// What one epoch brought.
#[derive(Debug, Default)]
struct Entry {
    batch: u64,
    due: Due,
    /// Bytes of its messages.
    bytes: usize,
}

/// What is made durable together.
#[derive(Clone, Debug, Default)]
pub struct Due {
    /// The place to resume from.
    pub position: Position,
    /// The records of the messages before it; only in a flow whose outputs and positions are one transaction.
    pub outputs: Vec<Outgoing>,
}

impl Due {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.position.is_empty() && self.outputs.is_empty()
    }

    /// Bytes of its records, as they count against the flow's budget.
    pub fn size(&self) -> usize {
        self.outputs.iter().map(Outgoing::size).sum()
    }

    /// Adds what came later.
    fn extend(&mut self, later: Due) {
        self.position.extend(later.position);
        self.outputs.extend(later.outputs);
    }

    /// Leaves out what belongs to `partitions`.
    pub fn abandon(&mut self, partitions: &[Partition]) {
        self.position.retain(|partition, _| !partitions.contains(partition));
        self.outputs.retain(|output| !partitions.contains(&output.from));
    }

    /// Whether any of it belongs to `partitions`.
    pub fn concerns(&self, partitions: &[Partition]) -> bool {
        self.position.keys().any(|partition| partitions.contains(partition))
    }
}

#[derive(Debug, Default)]
struct Inner {
    open: BTreeMap<Epoch, Entry>,
    /// What every epoch before the first open one stands for.
    retired: Position,
    /// The part of it that nobody has taken for a commit yet.
    pending: Due,
    /// Of a partition only what batches from this one on brought counts.
    since: BTreeMap<Partition, u64>,
    /// The newest batch that was entered.
    entered: u64,
}

/// The open epochs of one flow, shared by its source, its sinks and its committer.
#[derive(Clone, Debug, Default)]
pub struct Epochs(Arc<Mutex<Inner>>);

impl Epochs {
    fn with<R>(&self, f: impl FnOnce(&mut Inner) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Enters `epoch`, newer than all before: the messages of the batch with this number end at `position` and hold `bytes`.
    pub fn enter(&self, epoch: Epoch, batch: u64, mut position: Position, bytes: usize) {
        self.with(|inner| {
            position.retain(|partition, _| inner.counts(partition, batch));
            inner.entered = batch;
            let due = Due { position, outputs: Vec::new() };
            inner.open.insert(epoch, Entry { batch, due, bytes });
        });
    }

    /// Takes the records that messages of an open epoch caused. Returns the bytes of those that count; none if there is no such
    /// epoch, which cannot be.
    pub fn give(&self, epoch: Epoch, outputs: &mut Vec<Outgoing>) -> Option<usize> {
        self.with(|inner| {
            let batch = inner.open.get(&epoch)?.batch;
            outputs.retain(|output| inner.counts(&output.from, batch));
            let bytes = outputs.iter().map(Outgoing::size).sum();
            inner.open.get_mut(&epoch)?.due.outputs.append(outputs);
            Some(bytes)
        })
    }

    /// The position that all epochs before `bound` stand for. Empty where nothing was read yet.
    pub fn position_before(&self, bound: Epoch) -> Position {
        self.with(|inner| {
            let mut position = inner.retired.clone();
            for entry in inner.open.range(..bound).map(|(_, e)| e) {
                position.extend(entry.due.position.iter().map(|(p, o)| (p.clone(), *o)));
            }
            position
        })
    }

    /// Retires all epochs before `bound`. Returns whether there is something to commit, and the bytes that their messages held.
    pub fn retire_before(&self, bound: Epoch) -> (bool, usize) {
        self.with(|inner| {
            let later = inner.open.split_off(&bound);
            let passed = std::mem::replace(&mut inner.open, later);
            let mut due = Due::default();
            let mut bytes = 0;
            for entry in passed.into_values() {
                bytes += entry.bytes;
                due.extend(entry.due);
            }
            inner.retired.extend(due.position.iter().map(|(p, o)| (p.clone(), *o)));
            let news = !due.is_empty();
            inner.pending.extend(due);
            (news, bytes)
        })
    }

    /// Takes what has been retired and not been taken yet, for a commit. Of a partition that was lost meanwhile nothing is in it.
    pub fn take_pending(&self) -> Due {
        self.with(|inner| std::mem::take(&mut inner.pending))
    }

    /// Forgets `partitions`: they belong to somebody else now, and what batches before the one with the number `since` brought of
    /// them must not be written any more. Returns the bytes of the records that went.
    pub fn abandon(&self, partitions: &[Partition], since: u64) -> usize {
        self.with(|inner| {
            let open = inner.open.values_mut().filter(|entry| entry.batch < since).map(|entry| &mut entry.due);
            let mut gone = 0;
            for due in open.chain(std::iter::once(&mut inner.pending)) {
                let before = due.size();
                due.abandon(partitions);
                gone += before - due.size();
            }
            for partition in partitions {
                inner.retired.remove(partition);
                inner.since.insert(partition.clone(), since);
            }
            gone
        })
    }

    /// Whether nothing of `partitions` is in flight: every batch up to the one with the number `batch` was entered, and all that
    /// they brought of them was taken for a commit.
    pub fn are_clear(&self, partitions: &[Partition], batch: u64) -> bool {
        self.with(|inner| {
            let open = inner.open.values().map(|entry| &entry.due);
            inner.entered >= batch && !open.chain(std::iter::once(&inner.pending)).any(|due| due.concerns(partitions))
        })
    }

    /// Partitions that were lost since the batch of an open epoch was read.
    pub fn lost_since(&self, epoch: Epoch) -> Vec<Partition> {
        self.with(|inner| {
            let Some(batch) = inner.open.get(&epoch).map(|entry| entry.batch) else { return Vec::new() };
            inner.since.iter().filter(|(_, since)| batch < **since).map(|(partition, _)| partition.clone()).collect()
        })
    }

    /// How many epochs are open.
    pub fn open(&self) -> usize {
        self.with(|inner| inner.open.len())
    }
}

impl Inner {
    /// Whether what a batch brought of `partition` counts.
    fn counts(&self, partition: &Partition, batch: u64) -> bool {
        self.since.get(partition).is_none_or(|since| batch >= *since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connectors::log::Record;

    fn partition(number: i32) -> Partition {
        ("t".into(), number)
    }

    fn at(offset: i64) -> Position {
        Position::from([(partition(0), offset)])
    }

    fn output(from: i32, payload: &'static str) -> Outgoing {
        let record = Record { topic: "out".into(), key: None, payload: payload.into(), headers: Vec::new() };
        Outgoing { record, from: partition(from) }
    }

    fn payloads(due: &Due) -> Vec<&[u8]> {
        due.outputs.iter().map(|output| &output.record.payload[..]).collect()
    }

    #[test]
    fn a_position_covers_all_epochs_before_a_bound_and_survives_retirement() {
        let epochs = Epochs::default();
        epochs.enter(5, 1, at(10), 100);
        epochs.enter(9, 2, at(20), 50);
        assert_eq!(epochs.position_before(5), Position::new());
        assert_eq!(epochs.position_before(6), at(10));
        assert_eq!(epochs.position_before(100), at(20));
        assert_eq!(epochs.retire_before(9), (true, 100));
        assert_eq!(epochs.take_pending().position, at(10));
        assert_eq!(epochs.position_before(6), at(10));
        assert_eq!(epochs.retire_before(10), (true, 50));
        assert_eq!(epochs.retire_before(10), (false, 0));
        assert_eq!(epochs.take_pending().position, at(20));
        assert!(epochs.take_pending().is_empty());
    }

    #[test]
    fn an_abandoned_partition_is_in_no_position() {
        let epochs = Epochs::default();
        epochs.enter(1, 1, at(10), 1);
        epochs.enter(2, 2, at(20), 1);
        epochs.retire_before(2);
        epochs.abandon(&[partition(0)], 3);
        assert_eq!(epochs.position_before(3), Position::new());
        assert_eq!(epochs.retire_before(3), (false, 1));
        let due = epochs.take_pending();
        assert!(due.is_empty(), "an offset that was retired before the loss is not committed after: {due:?}");
    }

    #[test]
    fn the_records_of_an_epoch_leave_with_its_position() {
        let epochs = Epochs::default();
        epochs.enter(1, 1, at(10), 1);
        epochs.enter(2, 2, at(20), 1);
        assert!(epochs.give(2, &mut vec![output(0, "second")]).unwrap() > 0);
        assert!(epochs.give(1, &mut vec![output(0, "first")]).unwrap() > 0);
        assert_eq!(epochs.give(3, &mut vec![output(0, "of no epoch")]), None);
        epochs.retire_before(2);
        assert_eq!(payloads(&epochs.take_pending()), [b"first"]);
        epochs.retire_before(3);
        assert_eq!(payloads(&epochs.take_pending()), [b"second"]);
    }

    #[test]
    fn what_a_lost_partition_still_causes_is_left_out_even_when_it_came_back() {
        let epochs = Epochs::default();
        let both = Position::from([(partition(0), 5), (partition(1), 7)]);
        epochs.enter(1, 1, both, 1);
        let kept = epochs.give(1, &mut vec![output(0, "kept")]).unwrap();
        assert_eq!(epochs.give(1, &mut vec![output(1, "lost")]), Some(kept));
        // The second batch is on its way to the source when partition 1 goes, and it comes back at once.
        assert_eq!(epochs.abandon(&[partition(1)], 3), kept, "as many bytes as the other");
        epochs.enter(2, 2, Position::from([(partition(1), 9)]), 1);
        assert_eq!(epochs.give(1, &mut vec![output(1, "late")]), Some(0));
        assert_eq!(epochs.give(2, &mut vec![output(1, "later")]), Some(0));
        assert_eq!((epochs.lost_since(1), epochs.lost_since(2)), (vec![partition(1)], vec![partition(1)]));
        epochs.enter(3, 3, Position::from([(partition(1), 6)]), 1);
        assert!(epochs.lost_since(3).is_empty());
        epochs.give(3, &mut vec![output(1, "again")]);
        epochs.retire_before(4);
        let due = epochs.take_pending();
        assert_eq!(payloads(&due), [&b"kept"[..], b"again"]);
        assert_eq!(due.position, Position::from([(partition(0), 5), (partition(1), 6)]));
    }

    #[test]
    fn a_partition_is_clear_when_all_that_was_read_of_it_was_taken() {
        let epochs = Epochs::default();
        assert!(!epochs.are_clear(&[partition(0)], 1), "the first batch is on its way");
        epochs.enter(1, 1, at(10), 1);
        assert!(!epochs.are_clear(&[partition(0)], 1) && epochs.are_clear(&[partition(1)], 1));
        epochs.retire_before(2);
        assert!(!epochs.are_clear(&[partition(0)], 1));
        epochs.take_pending();
        assert!(epochs.are_clear(&[partition(0)], 1));
    }
}
