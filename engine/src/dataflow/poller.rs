//! The source's half outside the dataflow: one task that owns the connector, polls it while there is room, and commits
//! the positions that the committer hands it.
//!
//! It stops polling when the bytes in flight exceed the flow's budget. A connector serves its group by itself meanwhile: a
//! member that falls silent would be thrown out of it.

use std::sync::Arc;
use std::time::Duration;

use connectors::Error;
use connectors::clock::{Clock, Micros};
use connectors::log::{Message, Partition, Polled, Position, Source};
use tokio::sync::{mpsc, watch};

use super::control::{Control, cost};
use super::epochs::Epochs;
use super::source::Wake;
use crate::stage::Run;

/// Messages a poll.
pub const BATCH: usize = 2_000;
/// Bytes a poll.
pub const BATCH_BYTES: usize = 4 << 20;
/// How long a poll waits for the first message.
const WAIT: Duration = Duration::from_millis(100);
/// The longest pause between tries against a connector that fails.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// A source that keeps failing does so more often than this, in microseconds.
const QUIET: Micros = 60_000_000;

/// What the poller hands to the dataflow.
#[derive(Debug, Default)]
pub struct Batch {
    /// Messages, in order within each partition.
    pub messages: Vec<Arc<Message>>,
    /// Partitions that belong to somebody else now.
    pub revoked: Vec<Partition>,
}

/// What the poller needs.
pub struct Poller {
    /// What it polls, and commits to.
    pub source: Box<dyn Source>,
    /// Takes what was read.
    pub batches: mpsc::Sender<Batch>,
    /// Changes when there is a position to commit, and closes after the last.
    pub commits: watch::Receiver<u64>,
    /// Where that position is taken from.
    pub epochs: Epochs,
    /// Shared with whoever started the flow.
    pub control: Arc<Control>,
    /// Wakes the source operator.
    pub wake: Arc<Wake>,
    /// Pauses between tries.
    pub clock: Arc<dyn Clock>,
    /// Stages that hear of each commit.
    pub stages: Vec<Arc<dyn Run>>,
    /// The flow's name.
    pub name: String,
}

/// Runs until the flow is told to stop and nothing more is committed: that is, until `commits` is closed.
pub async fn run(poller: Poller) {
    let Poller { mut source, batches, mut commits, epochs, control, wake, clock, stages, name } = poller;
    let mut pause = Duration::from_millis(100);
    let mut batches = Some(batches);
    let mut refusal = Refusal { control: control.clone(), name, last: None };
    loop {
        if control.is_stopped() && batches.take().is_some() {
            // The source operator ends when it has seen the last batch; we stay for the commits.
            wake.wake();
        }
        let reading = batches.is_some();
        tokio::select! {
            biased;
            changed = commits.changed() => {
                if changed.is_err() {
                    // The group hears that we leave, so that others need not wait for our silence.
                    if let Err(error) = source.close().await {
                        tracing::debug!(flow = %refusal.name, %error, "leaving the group");
                    }
                    return;
                }
                let position = epochs.take_pending();
                if !position.is_empty() && commit(&mut *source, &position, &mut refusal, &*clock).await {
                    for stage in &stages {
                        stage.committed(&position).await;
                    }
                }
            }
            () = control.wait_stopped(), if reading => {}
            () = control.wait_room(), if reading && !control.has_room() => {}
            polled = source.poll(BATCH, BATCH_BYTES, WAIT), if reading && control.has_room() => match polled {
                Ok(polled) => {
                    // Nothing to read is no answer yet.
                    if !(polled.messages.is_empty() && polled.assigned.is_empty()) || refusal.is_old(clock.now()) {
                        refusal.end();
                    }
                    pause = Duration::from_millis(100);
                    deliver(polled, &mut batches, &control, &wake).await;
                }
                Err(error) => {
                    refusal.tell(&error, clock.now());
                    clock.sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
            }
        }
    }
}

/// Hands a batch to the dataflow; when that is gone, there is nothing to read for any more.
async fn deliver(polled: Polled, batches: &mut Option<mpsc::Sender<Batch>>, control: &Control, wake: &Wake) {
    let (assigned, revoked) = (polled.assigned.len(), polled.revoked.len());
    if assigned + revoked > 0 {
        control.assign(assigned, revoked);
        tracing::info!(assigned, revoked, reads = control.assigned(), "partitions");
    }
    let Some(sender) = batches.as_ref() else { return };
    if polled.messages.is_empty() && polled.revoked.is_empty() {
        return;
    }
    control.enter(polled.messages.iter().map(cost).sum());
    let batch = Batch { messages: polled.messages.into_iter().map(Arc::new).collect(), revoked: polled.revoked };
    if sender.send(batch).await.is_err() {
        *batches = None;
    }
    wake.wake();
}

/// Whether the source answers, and who hears of it.
struct Refusal {
    control: Arc<Control>,
    name: String,
    /// When it last failed.
    last: Option<Micros>,
}

impl Refusal {
    /// The source failed.
    fn tell(&mut self, error: &Error, now: Micros) {
        if self.last.is_none() {
            tracing::warn!(flow = %self.name, %error, "source does not answer; trying again");
        }
        self.last = Some(now);
        self.control.set_refused(Some(error.to_string()));
    }

    /// Whether it has not failed for so long that it has mended without a word.
    fn is_old(&self, now: Micros) -> bool {
        self.last.is_some_and(|last| now.saturating_sub(last) > QUIET)
    }

    /// The source answered.
    fn end(&mut self) {
        if self.last.take().is_some() {
            tracing::info!(flow = %self.name, "source answers again");
            self.control.set_refused(None);
        }
    }
}

async fn commit(source: &mut dyn Source, position: &Position, refusal: &mut Refusal, clock: &dyn Clock) -> bool {
    let mut pause = Duration::from_millis(50);
    for attempt in 1.. {
        match source.commit(position).await {
            Ok(()) => {
                refusal.end();
                return true;
            }
            // Nothing is lost: what is not committed is read again. While stopping we do not wait for ever.
            Err(error) if attempt >= 5 && refusal.control.is_stopped() => {
                tracing::warn!(flow = %refusal.name, %error, "position not committed; it will be read again");
                return false;
            }
            Err(error) => {
                refusal.tell(&error, clock.now());
                if !error.category.is_retryable() {
                    return false;
                }
                clock.sleep(pause).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
        }
    }
    false
}
