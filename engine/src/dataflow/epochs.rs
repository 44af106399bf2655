//! What position an epoch stands for.
//!
//! The source enters each epoch with the position it reached; a table sink asks for the position through an epoch, for the
//! `txn`s of its commit; the committer retires epochs that the durable frontier has passed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use connectors::log::{Partition, Position};

use super::Epoch;

/// What one epoch brought.
#[derive(Debug, Default)]
struct Entry {
    position: Position,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Inner {
    open: BTreeMap<Epoch, Entry>,
    /// What every epoch before the first open one stands for.
    retired: Position,
    /// The part of it that nobody has taken for a commit yet.
    pending: Position,
}

/// The open epochs of one flow, shared by its source, its sinks and its committer.
#[derive(Clone, Debug, Default)]
pub struct Epochs(Arc<Mutex<Inner>>);

impl Epochs {
    fn with<R>(&self, f: impl FnOnce(&mut Inner) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Enters `epoch`, newer than all before: its messages end at `position` and hold `bytes`.
    pub fn enter(&self, epoch: Epoch, position: Position, bytes: usize) {
        self.with(|inner| inner.open.insert(epoch, Entry { position, bytes }));
    }

    /// The position that all epochs before `bound` stand for. Empty where nothing was read yet.
    pub fn position_before(&self, bound: Epoch) -> Position {
        self.with(|inner| {
            let mut position = inner.retired.clone();
            for entry in inner.open.range(..bound).map(|(_, e)| e) {
                position.extend(entry.position.iter().map(|(p, o)| (p.clone(), *o)));
            }
            position
        })
    }

    /// Retires all epochs before `bound`. Returns whether there is something to commit, and the bytes they held.
    pub fn retire_before(&self, bound: Epoch) -> (bool, usize) {
        self.with(|inner| {
            let later = inner.open.split_off(&bound);
            let passed = std::mem::replace(&mut inner.open, later);
            let mut position = Position::new();
            let mut bytes = 0;
            for entry in passed.into_values() {
                bytes += entry.bytes;
                position.extend(entry.position);
            }
            inner.retired.extend(position.iter().map(|(p, o)| (p.clone(), *o)));
            let news = !position.is_empty();
            inner.pending.extend(position);
            (news, bytes)
        })
    }

    /// Takes what has been retired and not been taken yet, for a commit. A partition that was lost meanwhile is not in it.
    pub fn take_pending(&self) -> Position {
        self.with(|inner| std::mem::take(&mut inner.pending))
    }

    /// Forgets `partitions`: they belong to somebody else now, and their positions must not be written any more.
    pub fn abandon(&self, partitions: &[Partition]) {
        self.with(|inner| {
            for partition in partitions {
                inner.retired.remove(partition);
                inner.pending.remove(partition);
                for entry in inner.open.values_mut() {
                    entry.position.remove(partition);
                }
            }
        });
    }

    /// How many epochs are open.
    pub fn open(&self) -> usize {
        self.with(|inner| inner.open.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: i64) -> Position {
        Position::from([(("t".into(), 0), offset)])
    }

    #[test]
    fn a_position_covers_all_epochs_before_a_bound_and_survives_retirement() {
        let epochs = Epochs::default();
        epochs.enter(5, at(10), 100);
        epochs.enter(9, at(20), 50);
        assert_eq!(epochs.position_before(5), Position::new());
        assert_eq!(epochs.position_before(6), at(10));
        assert_eq!(epochs.position_before(100), at(20));
        assert_eq!(epochs.retire_before(9), (true, 100));
        assert_eq!(epochs.take_pending(), at(10));
        assert_eq!(epochs.position_before(6), at(10));
        assert_eq!(epochs.retire_before(10), (true, 50));
        assert_eq!(epochs.retire_before(10), (false, 0));
        assert_eq!(epochs.take_pending(), at(20));
        assert_eq!(epochs.take_pending(), Position::new());
    }

    #[test]
    fn an_abandoned_partition_is_in_no_position() {
        let epochs = Epochs::default();
        epochs.enter(1, at(10), 1);
        epochs.enter(2, at(20), 1);
        epochs.retire_before(2);
        epochs.abandon(&[("t".into(), 0)]);
        assert_eq!(epochs.position_before(3), Position::new());
        assert_eq!(epochs.retire_before(3), (false, 1));
        assert_eq!(
            epochs.take_pending(),
            Position::new(),
            "an offset that was retired before the loss is not committed after"
        );
    }
}
