//! The source operator: the other half of the [`poller`](super::poller), inside the dataflow.
//!
//! It mints an epoch for each batch, `max(last + 1, now in ms)`, emits the batch there and moves its capability past it. It
//! moves the capability every tick, also when nothing comes: lag is `now - frontier`, and an idle source holds nobody back.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use connectors::clock::Clock;
use connectors::log::Position;
use timely::dataflow::Scope;
use timely::dataflow::operators::generic::operator::source as timely_source;
use timely::scheduling::SyncActivator;
use tokio::sync::mpsc;

use super::control::{Control, Stats, cost};
use super::epochs::Epochs;
use super::poller::Batch;
use super::wire::Delivered;
use super::{Builder, Epoch, Stream};
use crate::stage::message::meta;

/// How often an idle source moves its capability.
const TICK: Duration = Duration::from_millis(20);

/// Wakes one operator from another thread. Before the operator exists it does nothing: the operator looks at its queue when
/// it is built.
#[derive(Default)]
pub struct Wake(OnceLock<SyncActivator>);

impl Wake {
    /// Schedules the operator.
    pub fn wake(&self) {
        if let Some(activator) = self.0.get() {
            // An error means that the worker is gone, and with it the operator.
            let _ = activator.activate();
        }
    }

    pub(super) fn set(&self, activator: SyncActivator) {
        let _ = self.0.set(activator);
    }
}

/// What the source operator needs.
pub struct Feed {
    /// What the poller hands over.
    pub batches: mpsc::Receiver<Batch>,
    /// Where each epoch's position is entered.
    pub epochs: Epochs,
    /// Shared with whoever started the flow.
    pub control: Arc<Control>,
    /// Woken by the poller.
    pub wake: Arc<Wake>,
    /// Mints epochs.
    pub clock: Arc<dyn Clock>,
    /// Counts messages.
    pub stats: Arc<Stats>,
    /// The flow's retry topics.
    pub retries: Vec<String>,
}

/// Builds the operator. Only one worker has a feed; on the others the stream is empty.
pub fn source<'s>(scope: Scope<'s, Epoch>, feed: Option<Feed>) -> Stream<'s, Delivered> {
    timely_source::<_, Builder<Delivered>, _, _>(scope, "Source", move |capability, info| {
        let mut state = feed.map(|feed| {
            feed.wake.set(scope.worker().sync_activator_for(info.address.to_vec()));
            (feed, capability)
        });
        let activator = scope.worker().activator_for(info.address);
        let mut next_id = 0u64;
        move |output| {
            let Some((feed, capability)) = state.as_mut() else { return };
            let mut ended = false;
            // A bounded number of batches a turn, so that the rest of the dataflow gets its turn too.
            for _ in 0..4 {
                let batch = match feed.batches.try_recv() {
                    Ok(batch) => batch,
                    Err(mpsc::error::TryRecvError::Empty) => break,
                    Err(mpsc::error::TryRecvError::Disconnected) => {
                        ended = true;
                        break;
                    }
                };
                if !batch.revoked.is_empty() {
                    feed.epochs.abandon(&batch.revoked);
                }
                if batch.messages.is_empty() {
                    continue;
                }
                let entered = feed.clock.now();
                let epoch = (*capability.time()).max(u64::try_from(entered / 1000).unwrap_or(0));
                let mut position = Position::new();
                let mut bytes = 0;
                for message in &batch.messages {
                    position.insert((message.topic.clone(), message.partition), message.offset + 1);
                    bytes += cost(message);
                }
                feed.epochs.enter(epoch, position, bytes);
                feed.stats.messages.fetch_add(batch.messages.len() as u64, std::sync::atomic::Ordering::Relaxed);
                capability.downgrade(&epoch);
                output.session(capability).give_iterator(batch.messages.into_iter().map(|message| {
                    next_id += 1;
                    let is_retry = feed.retries.iter().any(|topic| **topic == *message.topic);
                    let meta = Arc::new(meta(&message, is_retry, next_id, entered));
                    Delivered { message, meta }
                }));
                capability.downgrade(&(epoch + 1));
            }
            if ended {
                state = None;
                return;
            }
            let now = u64::try_from(feed.clock.now() / 1000).unwrap_or(0);
            if now > *capability.time() {
                capability.downgrade(&now);
            }
            if feed.batches.is_empty() {
                activator.activate_after(TICK);
            } else {
                activator.activate();
            }
        }
    })
}
