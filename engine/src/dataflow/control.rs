//! What the outside may ask of a running flow, and what it can see of it.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use connectors::log::Message;
use indexmap::IndexMap;
use tokio::sync::Notify;

/// About how much memory a message takes while it is in a flow: its bytes are held for a retry, its tree and its bindings take
/// more than the bytes they were read from.
pub fn cost(message: &Message) -> usize {
    message.size() * 3 + 1024
}

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
}

impl Control {
    /// A flow that may hold `budget` bytes of messages.
    pub fn new(budget: usize) -> Self {
        Control { budget: AtomicUsize::new(budget), ..Control::default() }
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

    /// Bytes of messages in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Whether another message may enter.
    pub fn has_room(&self) -> bool {
        self.in_flight() < self.budget.load(Ordering::Relaxed)
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
    pub retried: AtomicU64,
    /// Messages that went to the dead letters.
    pub dead: AtomicU64,
    /// Calls of APIs.
    pub calls: AtomicU64,
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
    /// Counters of a flow that writes `tables`.
    pub fn new<'a>(tables: impl Iterator<Item = &'a str>) -> Self {
        Stats { tables: tables.map(|t| (t.to_owned(), TableCounts::default())).collect(), ..Stats::default() }
    }

    /// Messages that have an outcome.
    pub fn settled(&self) -> u64 {
        [&self.done, &self.skipped, &self.retried, &self.dead].iter().map(|c| c.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_stays_and_bytes_make_room() {
        let control = Control::new(10);
        control.enter(10);
        assert!(!control.has_room() && control.is_hurried());
        control.leave(1);
        assert!(control.has_room() && !control.is_hurried());
        control.fail("first");
        control.fail("second");
        assert_eq!(control.failure().as_deref(), Some("first"));
    }
}
