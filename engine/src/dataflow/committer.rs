//! The committer's half outside the dataflow: it makes durable what the frontier has passed, and tries until that is done.
//!
//! In a flow that delivers at least once these are positions: everything their messages caused is durable already. In one that
//! delivers exactly once they leave in one transaction with the records of their epochs; tables have committed before. What
//! failed is tried again as it is, less what was lost with its partitions: its last try may have been committed although nobody
//! heard of it, and the source knows by the position. Nothing later is written before, so nothing is left out.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use connectors::Error;
use connectors::clock::{Clock, Micros};
use connectors::log::{Partition, Source};

use super::control::{Control, Stats};
use super::epochs::{Due, Epochs};
use crate::stage::Run;

/// The first pause between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// So often a flow that was asked to end tries.
const LAST_TRIES: u32 = 5;
/// A source that keeps failing does so more often than this, in microseconds.
const QUIET: Micros = 60_000_000;

/// Commits what is due.
pub(super) struct Committer {
    /// Where that is taken from.
    pub(super) epochs: Epochs,
    /// Shared with whoever started the flow.
    pub(super) control: Arc<Control>,
    /// Counters.
    pub(super) stats: Arc<Stats>,
    /// Pauses between tries.
    pub(super) clock: Arc<dyn Clock>,
    /// Stages that hear of each commit.
    pub(super) stages: Vec<Arc<dyn Run>>,
    /// The flow's name.
    pub(super) name: String,
    /// Whether records and positions are one transaction.
    pub(super) exactly_once: bool,
    /// What is tried.
    pub(super) tried: Tried,
}

/// What is tried, and how it goes.
#[derive(Default)]
pub(super) struct Tried {
    due: Option<Due>,
    failures: u32,
    rest: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Something was given up: of a flow that delivers exactly once nothing later may be written.
    over: bool,
}

impl Committer {
    /// Whether something is tried again: meanwhile nothing else is.
    pub(super) fn is_trying(&self) -> bool {
        self.tried.due.is_some()
    }

    /// Returns when it is time for the next try.
    pub(super) async fn rested(&mut self) {
        match &mut self.tried.rest {
            Some(rest) => rest.await,
            None => std::future::pending().await,
        }
    }

    /// Tries what is due.
    pub(super) async fn commit(&mut self, source: &mut dyn Source, refusal: &mut Refusal) {
        let due = self.tried.due.take().unwrap_or_else(|| self.epochs.take_pending());
        self.tried.rest = None;
        // What a flow that cannot go on left out must not be passed over by what it had finished.
        let over = self.tried.over || self.control.failure().is_some();
        if due.is_empty() || (self.exactly_once && over) {
            return;
        }
        let result = match self.exactly_once {
            true => {
                let records = due.outputs.iter().map(|output| output.record.clone()).collect();
                source.commit_with_records(records, &due.position).await
            }
            false => source.commit(&due.position).await,
        };
        match result {
            Ok(()) => {
                self.tried.failures = 0;
                refusal.end();
                self.control.leave(due.size());
                self.stats.sent.fetch_add(due.outputs.len() as u64, Ordering::Relaxed);
                for stage in &self.stages {
                    stage.committed(&due.position).await;
                }
            }
            Err(error) => self.failed(due, &error, refusal),
        }
    }

    fn failed(&mut self, due: Due, error: &Error, refusal: &mut Refusal) {
        refusal.tell(error, self.clock.now());
        self.tried.failures += 1;
        if !error.category.is_retryable() {
            if self.exactly_once {
                let name = &self.name;
                self.control.fail(format!("flow {name}: records and positions cannot be committed: {error}"));
            }
            self.tried.over = true;
        } else if self.tried.failures >= LAST_TRIES && self.control.is_stopped() {
            // Nothing is lost: what is not committed is read again. While stopping we do not wait for ever.
            tracing::warn!(flow = %self.name, %error, "position not committed; it will be read again");
            self.tried.over = true;
        } else {
            let pause = MAX_PAUSE.min(PAUSE * 2u32.saturating_pow(self.tried.failures - 1));
            let clock = self.clock.clone();
            self.tried.rest = Some(Box::pin(async move { clock.sleep(pause).await }));
            self.tried.due = Some(due);
        }
    }

    /// Forgets what batches before the one with the number `since` brought of `partitions`.
    pub(super) fn abandon(&mut self, partitions: &[Partition], since: u64) {
        let mut gone = self.epochs.abandon(partitions, since);
        if let Some(due) = &mut self.tried.due {
            let before = due.size();
            due.abandon(partitions);
            gone += before - due.size();
        }
        self.control.leave(gone);
    }

    /// Whether all that batches up to the one with the number `batch` brought of `partitions` is committed.
    pub(super) fn is_done_with(&self, partitions: &[Partition], batch: u64) -> bool {
        let tried = self.tried.due.as_ref().is_some_and(|due| due.concerns(partitions));
        !tried && self.epochs.are_clear(partitions, batch)
    }
}

/// Whether the source answers, and who hears of it.
pub(super) struct Refusal {
    control: Arc<Control>,
    name: String,
    /// When it last failed.
    last: Option<Micros>,
}

impl Refusal {
    pub(super) fn new(control: Arc<Control>, name: String) -> Self {
        Refusal { control, name, last: None }
    }

    /// The source failed.
    pub(super) fn tell(&mut self, error: &Error, now: Micros) {
        if self.last.is_none() {
            tracing::warn!(flow = %self.name, %error, "source does not answer; trying again");
        }
        self.last = Some(now);
        self.control.set_refused(Some(error.to_string()));
    }

    /// Whether it has not failed for so long that it has mended without a word.
    pub(super) fn is_old(&self, now: Micros) -> bool {
        self.last.is_some_and(|last| now.saturating_sub(last) > QUIET)
    }

    /// The source answered.
    pub(super) fn end(&mut self) {
        if self.last.take().is_some() {
            tracing::info!(flow = %self.name, "source answers again");
            self.control.set_refused(None);
        }
    }
}
