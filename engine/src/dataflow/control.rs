//! What the outside may ask of a running flow, and what it can see of it.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use connectors::clock::Micros;
use connectors::log::Message;
use indexmap::IndexMap;
use tokio::sync::Notify;

use super::count::{ByCategory, Durations};

/// About how much memory a message takes while it is in a flow: its bytes are held for a retry, its tree and its bindings take
/// more than the bytes they were read from.
pub fn cost(message: &Message) -> usize {
    message.size() * COST_TIMES + COST_PLUS
}

/// How often the bytes of a message count.
pub const COST_TIMES: usize = 3;
/// What a message counts besides, in bytes.
pub const COST_PLUS: usize = 1024;

/// Shared between a flow and whoever started it.
#[derive(Default)]
pub struct Control {
    stop: AtomicBool,
    stopped: Notify,
    abandoned: AtomicBool,
    hurry: AtomicBool,
    failure: Mutex<Option<String>>,
    in_flight: AtomicUsize,
    budget: AtomicUsize,
    room: Notify,
    beats: Vec<AtomicI64>,
    assigned: AtomicI64,
    refused: Mutex<Option<String>>,
}

impl Control {
    /// A flow that may hold `budget` bytes of messages, and has `workers` that were alive at `now`.
    pub fn new(budget: usize, workers: usize, now: Micros) -> Self {
        let beats = (0..workers).map(|_| AtomicI64::new(now)).collect();
        Control { budget: AtomicUsize::new(budget), beats, ..Control::default() }
    }

    /// A worker says that it is alive; each does between two steps, many times a second.
    pub fn beat(&self, worker: usize, now: Micros) {
        if let Some(beat) = self.beats.get(worker) {
            beat.store(now, Ordering::Relaxed);
        }
    }

    /// When the worker that was silent for longest was alive; none: there are no workers.
    pub fn beaten(&self) -> Option<Micros> {
        self.beats.iter().map(|beat| beat.load(Ordering::Relaxed)).min()
    }

    /// Counts partitions that came and went.
    pub fn assign(&self, gained: usize, lost: usize) {
        let change = |count| i64::try_from(count).unwrap_or(0);
        self.assigned.fetch_add(change(gained) - change(lost), Ordering::Relaxed);
    }

    /// Partitions that the flow's source reads.
    pub fn assigned(&self) -> i64 {
        self.assigned.load(Ordering::Relaxed)
    }

    /// Records why the source does not answer; none: it does.
    pub fn set_refused(&self, reason: Option<String>) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// Why the source does not answer.
    pub fn refused(&self) -> Option<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the flow to read no more, to finish what it has and to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.stopped.notify_waiters();
        self.room.notify_waiters();
    }

    /// Whether the flow was asked to end.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Returns when the flow was asked to end.
    pub async fn wait_stopped(&self) {
        let stopped = self.stopped.notified();
        if !self.is_stopped() {
            stopped.await;
        }
    }

    /// Ends a stopped flow although some of its messages are not finished: their capabilities are kept, nothing is committed
    /// past them, and they are read again.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::SeqCst);
    }

    /// Whether the flow ends without finishing what it has.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::SeqCst)
    }

    /// Whether sinks should commit what they have at once: nothing more is coming, or the budget is used up.
    pub fn set_hurry(&self, hurry: bool) {
        self.hurry.store(hurry, Ordering::Relaxed);
    }

    /// Whether sinks should not wait for more.
    pub fn is_hurried(&self) -> bool {
        self.hurry.load(Ordering::Relaxed) || self.is_stopped() || !self.has_room()
    }

    /// Records why the flow cannot go on. The first reason stays. Capabilities are kept; the process ends from outside.
    pub fn fail(&self, reason: impl Into<String>) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = reason.into();
        tracing::error!(%reason, "flow cannot go on");
        failure.get_or_insert(reason);
    }

    /// Why the flow cannot go on.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts bytes that entered the flow.
    pub fn enter(&self, bytes: usize) {
        self.in_flight.fetch_add(bytes, Ordering::SeqCst);
    }

    /// Counts bytes whose effects are durable.
    pub fn leave(&self, bytes: usize) {
        self.in_flight.fetch_sub(bytes, Ordering::SeqCst);
        self.room.notify_waiters();
    }

    /// Bytes of messages that may be in flight.
    pub fn budget(&self) -> usize {
        self.budget.load(Ordering::Relaxed)
    }

    /// Bytes of messages in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Returns when there is room again, or the flow was asked to end.
    pub async fn wait_room(&self) {
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            // Enabled before looking: what leaves in between is not missed.
            room.as_mut().enable();
            if self.has_room() || self.is_stopped() {
                return;
            }
            room.await;
        }
    }

    /// Whether another message may enter.
    pub fn has_room(&self) -> bool {
        self.in_flight() < self.budget()
    }
}

/// What one table has received.
#[derive(Debug, Default)]
pub struct TableCounts {
    /// Patches that reached the sink.
    pub patches: AtomicU64,
    /// Rows after consolidation, as they were committed.
    pub rows: AtomicU64,
    /// Commits.
    pub commits: AtomicU64,
    /// How long the commits took, waits for a parent's rows and for other tries included.
    pub durations: Durations,
    /// Tries of commits that the store refused.
    pub refusals: AtomicU64,
}

/// Counters of one flow.
#[derive(Debug, Default)]
pub struct Stats {
    /// Messages that entered, retries included.
    pub messages: AtomicU64,
    /// Messages that ended as done.
    pub done: AtomicU64,
    /// Messages that ended as skipped.
    pub skipped: AtomicU64,
    /// Messages that went to a retry topic.
    pub retried: ByCategory,
    /// Messages that went to the dead letters.
    pub dead: ByCategory,
    /// Messages that failed, by the stage or block where they did; `source`: they could not be read.
    pub failures: IndexMap<String, ByCategory>,
    /// Calls of APIs.
    pub calls: AtomicU64,
    /// Links that were asked for anew.
    pub refreshes: AtomicU64,
    /// Files fetched.
    pub downloads: AtomicU64,
    /// Files put into a store.
    pub uploads: AtomicU64,
    /// Records written to topics, retries and dead letters included.
    pub sent: AtomicU64,
    /// The newest frontier of all sinks, in milliseconds since 1970.
    pub durable: AtomicI64,
    /// By table.
    pub tables: IndexMap<String, TableCounts>,
}

impl Stats {
    /// Counters of a flow that writes `tables` and whose messages may fail in `stages`.
    pub fn new<'a>(tables: impl Iterator<Item = &'a str>, stages: impl Iterator<Item = &'a str>) -> Self {
        Stats {
            tables: tables.map(|t| (t.to_owned(), TableCounts::default())).collect(),
            failures: stages.map(|s| (s.to_owned(), ByCategory::default())).collect(),
            ..Stats::default()
        }
    }

    /// Messages that have an outcome.
    pub fn settled(&self) -> u64 {
        let well: u64 = [&self.done, &self.skipped].iter().map(|c| c.load(Ordering::Relaxed)).sum();
        well + self.retried.total() + self.dead.total()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_stays_and_bytes_make_room() {
        let control = Control::new(10, 1, 0);
        control.enter(10);
        assert!(!control.has_room() && control.is_hurried());
        control.leave(1);
        assert!(control.has_room() && !control.is_hurried());
        control.fail("first");
        control.fail("second");
        assert_eq!(control.failure().as_deref(), Some("first"));
    }
}
