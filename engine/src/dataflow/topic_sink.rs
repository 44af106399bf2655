//! The topic sink: writes records and holds the frontier until they are durable.
//!
//! Records are sent on arrival, one batch at a time, so that records of one key keep their order. A broker that does not
//! take them is tried again for ever, with a pause: nothing is lost, the flow stalls and says so.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use connectors::clock::Clock;
use connectors::log::{Producer, Record};
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::operate::FrontierInterest;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tracing::Instrument;

use super::control::{Control, Stats};
use super::source::Wake;
use super::{Builder, Capability, Stream};

/// At most so many records a batch.
const BATCH: usize = 5_000;

/// What the sink needs.
pub struct Sink {
    /// Writes the records.
    pub producer: Arc<dyn Producer>,
    /// Counters.
    pub stats: Arc<Stats>,
    /// Shared with whoever started the flow.
    pub control: Arc<Control>,
    /// Pauses between tries.
    pub clock: Arc<dyn Clock>,
    /// Where tasks run.
    pub runtime: Handle,
    /// The flow's name.
    pub flow: Arc<str>,
}

/// Builds the operator. Its output holds nothing; its frontier says what is durable.
pub(crate) fn topic_sink<'s>(records: Stream<'s, Record>, sink: Sink) -> Stream<'s, ()> {
    let scope = records.scope();
    let mut builder = OperatorBuilder::new("Topics".to_owned(), scope);
    let mut input = builder.new_input(records, Pipeline);
    builder.set_notify_for(0, FrontierInterest::Never);
    let (done_output, done_stream) = builder.new_output();
    let _done_output = OutputBuilder::<_, Builder<()>>::from(done_output);
    let wake = Arc::new(Wake::default());
    wake.set(scope.worker().sync_activator_for(builder.operator_info().address.to_vec()));
    let sink = Arc::new(sink);
    builder.build(move |_| {
        let (done, mut completions) = mpsc::unbounded_channel::<usize>();
        let mut buffer: Vec<Record> = Vec::new();
        let mut capabilities: Vec<Capability> = Vec::new();
        let mut sending: Option<Vec<Capability>> = None;
        move |_| {
            input.for_each(|time, data| {
                if let Some(capability) = time.retain_least(0) {
                    buffer.append(data);
                    capabilities.push(capability);
                }
            });
            while let Ok(count) = completions.try_recv() {
                sink.stats.sent.fetch_add(count as u64, Ordering::Relaxed);
                sending = None;
            }
            if sending.is_none() && !buffer.is_empty() {
                let batch = if buffer.len() <= BATCH {
                    sending = Some(std::mem::take(&mut capabilities));
                    std::mem::take(&mut buffer)
                } else {
                    // The capabilities of the rest are among these: keep them all until the rest is sent.
                    sending = Some(Vec::new());
                    buffer.drain(..BATCH).collect()
                };
                let (sink, done, wake) = (sink.clone(), done.clone(), wake.clone());
                let count = batch.len();
                // The inner task turns a panic into a failure of the flow: a write that never ends would stall it silently.
                let runtime = sink.runtime.clone();
                let task = runtime.spawn({
                    let sink = sink.clone();
                    async move { send(&sink, batch).await }.in_current_span()
                });
                let watched = async move {
                    match task.await {
                        Ok(()) => {
                            let _ = done.send(count);
                            wake.wake();
                        }
                        Err(error) => sink.control.fail(format!("flow {}: a write panicked: {error}", sink.flow)),
                    }
                };
                runtime.spawn(watched.in_current_span());
            }
        }
    });
    done_stream
}

async fn send(sink: &Sink, batch: Vec<Record>) {
    let mut pause = Duration::from_millis(100);
    for attempt in 1.. {
        match sink.producer.send(batch.clone()).await {
            Ok(()) => return,
            Err(error) if error.category.is_retryable() => {
                if attempt == 1 {
                    tracing::warn!(flow = %sink.flow, %error, "records not written; trying again");
                }
                sink.clock.sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
            }
            Err(error) => {
                sink.control.fail(format!("flow {}: records cannot be written: {error}", sink.flow));
                // Never complete: the capability stays, no offset moves past what was not written.
                std::future::pending::<()>().await;
            }
        }
    }
}
