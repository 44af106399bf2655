//! The source's half outside the dataflow: one task that owns the connector, polls it while there is room, and commits
//! what the committer says.
//!
//! It reads no more when the bytes in flight exceed the flow's budget. A connector serves its group by itself meanwhile: a
//! member that falls silent would be thrown out of it.
//!
//! A partition that is about to go is finished first: sinks are hurried, and it is let go when all that was read of it is
//! committed. The connector gives it up without that after a while, and then what is left of it is abandoned.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use connectors::clock::Clock;
use connectors::log::{Message, Partition, Polled, Source};
use tokio::sync::{mpsc, watch};

use super::committer::{Committer, Refusal, Tried};
use super::control::{Control, Stats, cost};
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

/// What the poller hands to the dataflow.
#[derive(Debug, Default)]
pub struct Batch {
    /// Counts the batches of the flow, from 1.
    pub number: u64,
    /// Messages, in order within each partition.
    pub messages: Vec<Arc<Message>>,
}

/// What the poller needs.
pub struct Poller {
    /// What it polls, and commits to.
    pub source: Box<dyn Source>,
    /// What must live as long as that.
    pub claim: Option<Box<dyn Any + Send>>,
    /// Takes what was read.
    pub batches: mpsc::Sender<Batch>,
    /// Changes when there is something to commit, and closes after the last.
    pub commits: watch::Receiver<u64>,
    /// Where that is taken from.
    pub epochs: Epochs,
    /// Whether records and positions are one transaction.
    pub exactly_once: bool,
    /// Shared with whoever started the flow.
    pub control: Arc<Control>,
    /// Counters.
    pub stats: Arc<Stats>,
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
    // Dropped after the source.
    let _claim = poller.claim;
    let Poller { mut source, batches, mut commits, control, wake, clock, name, .. } = poller;
    let mut committer = Committer {
        epochs: poller.epochs,
        control: control.clone(),
        stats: poller.stats,
        clock: clock.clone(),
        stages: poller.stages,
        name: name.clone(),
        exactly_once: poller.exactly_once,
        tried: Tried::default(),
    };
    let mut pause = Duration::from_millis(100);
    let mut reader = Reader { batches: Some(batches), number: 0, leaving: Vec::new(), control: control.clone(), wake };
    let mut refusal = Refusal::new(control.clone(), name);
    loop {
        if control.is_stopped() && reader.batches.take().is_some() {
            // The source operator ends when it has seen the last batch; we stay for the commits.
            reader.wake.wake();
        }
        let reading = reader.batches.is_some();
        tokio::select! {
            biased;
            changed = commits.changed(), if !committer.is_trying() => {
                if changed.is_err() {
                    // The group hears that we leave, so that others need not wait for our silence.
                    if let Err(error) = source.close().await {
                        tracing::debug!(flow = %committer.name, %error, "leaving the group");
                    }
                    return;
                }
                committer.commit(&mut *source, &mut refusal).await;
            }
            () = committer.rested(), if committer.is_trying() => committer.commit(&mut *source, &mut refusal).await,
            () = control.wait_stopped(), if reading => {}
            () = control.wait_room(), if reading && !control.has_room() => {}
            // Without room it only hears of partitions: what waits for room may belong to one that is lost.
            polled = source.poll(if control.has_room() { BATCH } else { 0 }, BATCH_BYTES, WAIT), if reading => match polled {
                Ok(polled) => {
                    // Nothing to read is no answer yet.
                    if !(polled.messages.is_empty() && polled.assigned.is_empty()) || refusal.is_old(clock.now()) {
                        refusal.end();
                    }
                    pause = Duration::from_millis(100);
                    committer.abandon(&polled.revoked, reader.number + 1);
                    reader.deliver(polled).await;
                }
                Err(error) => {
                    refusal.tell(&error, clock.now());
                    clock.sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
            }
        }
        reader.let_go(&mut *source, &committer);
    }
}

/// Hands on what was read.
struct Reader {
    /// None: there is nothing to read for any more.
    batches: Option<mpsc::Sender<Batch>>,
    /// The number of the last batch.
    number: u64,
    /// Partitions that are about to go.
    leaving: Vec<Partition>,
    control: Arc<Control>,
    wake: Arc<Wake>,
}

impl Reader {
    /// Hands a batch to the dataflow; when that is gone, there is nothing to read for any more.
    async fn deliver(&mut self, polled: Polled) {
        let (assigned, revoked) = (polled.assigned.len(), polled.revoked.len());
        if assigned + revoked > 0 {
            self.control.assign(assigned, revoked);
            tracing::info!(assigned, revoked, reads = self.control.assigned(), "partitions");
        }
        self.leaving.retain(|partition| !polled.revoked.contains(partition));
        self.leaving.extend(polled.leaving);
        self.control.set_leaving(!self.leaving.is_empty());
        let Some(sender) = self.batches.as_ref().filter(|_| !polled.messages.is_empty()) else { return };
        self.number += 1;
        self.control.enter(polled.messages.iter().map(cost).sum());
        let messages = polled.messages.into_iter().map(Arc::new).collect();
        if sender.send(Batch { number: self.number, messages }).await.is_err() {
            self.batches = None;
        }
        self.wake.wake();
    }

    /// Lets partitions go of which nothing is in flight any more.
    fn let_go(&mut self, source: &mut dyn Source, committer: &Committer) {
        if !self.leaving.is_empty() && committer.is_done_with(&self.leaving, self.number) {
            source.release(&self.leaving);
            self.leaving.clear();
            self.control.set_leaving(false);
        }
    }
}
