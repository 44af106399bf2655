//! What a test, or a dry run, sees of a running flow: when its worker has nothing to do, and what became of each message.
//!
//! A worker that is observed logs when it parks, which timely does only when no operator is scheduled and no message waits. So
//! [`Observer::rest`] is exact, not a guess about pauses: what was handed to the worker before the call has had all its effects
//! in the dataflow when it returns. A flow that is not observed logs nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

use timely::logging::{ParkEvent, TimelyEvent, TimelyEventBuilder};
use timely::worker::Worker;

use super::visit::{How, Visit};
use crate::stage::{Document, Meta};

/// Sees one flow of one worker.
#[derive(Default)]
pub struct Observer {
    asked: AtomicU64,
    current: AtomicU64,
    turns: AtomicU64,
    parked: Mutex<Parked>,
    changed: Condvar,
    thread: OnceLock<Thread>,
    outcomes: Mutex<Vec<Document>>,
    visits: Mutex<Vec<Visit>>,
}

#[derive(Default)]
struct Parked {
    through: u64,
    gone: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Observer {
    /// Waits until the worker has nothing to do, or is gone. Returns how often an operator of it was scheduled so far: two equal
    /// answers say that nothing happened in between. Blocks the thread, so that on a runtime of one thread no task runs meanwhile.
    pub fn rest(&self) -> u64 {
        let ask = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut parked = lock(&self.parked);
        while parked.through < ask && !parked.gone {
            if let Some(thread) = self.thread.get() {
                thread.unpark();
            }
            let waited = self.changed.wait_timeout(parked, std::time::Duration::from_millis(5));
            parked = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        self.turns.load(Ordering::SeqCst)
    }

    /// Takes what messages ended as since the last call: documents with `event` and `outcome`, in the order of their ends.
    pub fn take_outcomes(&self) -> Vec<Document> {
        std::mem::take(&mut lock(&self.outcomes))
    }

    /// Takes what became of messages at stages and blocks since the last call, in the order in which it happened.
    pub fn take_visits(&self) -> Vec<Visit> {
        std::mem::take(&mut lock(&self.visits))
    }

    pub(super) fn ended(&self, outcome: Document) {
        lock(&self.outcomes).push(outcome);
    }

    /// Something became of a message at the stage or block `at`.
    pub(super) fn visited(&self, meta: &Arc<Meta>, at: &Arc<str>, how: How) {
        lock(&self.visits).push(Visit { meta: meta.clone(), at: at.clone(), how });
    }

    /// Watches `worker`, which runs on this thread. Before its dataflows are built.
    pub(super) fn watch(self: &Arc<Self>, worker: &Worker) {
        let _ = self.thread.set(std::thread::current());
        let Some(mut register) = worker.log_register() else { return };
        let observer = self.clone();
        register.insert::<TimelyEventBuilder, _>("timely", move |_, events| {
            for (_, event) in events.iter().flatten() {
                match event {
                    TimelyEvent::Schedule(_) => {
                        observer.turns.fetch_add(1, Ordering::SeqCst);
                    }
                    TimelyEvent::Park(ParkEvent::Park(_)) => {
                        lock(&observer.parked).through = observer.current.load(Ordering::SeqCst);
                        observer.changed.notify_all();
                    }
                    _ => {}
                }
            }
        });
    }

    /// Before each step: what was asked by now is answered by the next park.
    pub(super) fn step(&self) {
        self.current.store(self.asked.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// The worker has ended.
    pub(super) fn gone(&self) {
        lock(&self.parked).gone = true;
        self.changed.notify_all();
    }
}
