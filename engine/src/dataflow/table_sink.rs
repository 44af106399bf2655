//! The table sink: the one committer of a table in this process.
//!
//! It buffers the patches of each epoch. When its input frontier has passed an epoch, the epoch is complete; when rows,
//! bytes or age say so, all complete epochs are consolidated by key and committed as one batch, together with the position
//! they stand for, as one `txn` a source partition. It holds a capability for every epoch that is not committed yet.
//!
//! A child's commit at `t` waits until its parents have committed through `t`, so a child row is never visible before its
//! parent's. A store that fails is tried again with a pause. What the table holds already is reconciled, not refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use connectors::clock::{Clock, Micros};
use connectors::table::{CommitError, Mode, RecordBatch, Row, Table, TableSpec, Transactions};
use differential_dataflow::consolidation::consolidate;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{mpsc, watch};
use tracing::Instrument;

use super::chunk;
use super::control::{Control, Stats};
use super::emit::Update;
use super::epochs::Epochs;
use super::source::Wake;
use super::{Builder, Capability, Epoch, Stream};
use crate::plan::Flush;

/// Commits between two turns of maintenance.
const MAINTENANCE: u64 = 100;

/// How far a table's commits are, for its children.
pub struct Progress {
    committed: watch::Sender<Epoch>,
    wanted: AtomicU64,
    wake: Arc<Wake>,
}

impl Default for Progress {
    fn default() -> Self {
        Progress { committed: watch::Sender::new(0), wanted: AtomicU64::new(0), wake: Arc::default() }
    }
}

impl Progress {
    /// Asks for all epochs before `bound` and returns when they are committed.
    async fn reach(&self, bound: Epoch) {
        self.wanted.fetch_max(bound, Ordering::SeqCst);
        self.wake.wake();
        let mut committed = self.committed.subscribe();
        // An error means that the table's sink is gone, and with it the process.
        let _ = committed.wait_for(|through| *through >= bound).await;
    }
}

/// What the sink needs.
pub struct Sink {
    /// The table's name.
    pub name: String,
    /// Commits.
    pub table: Arc<dyn Table>,
    /// The table's description.
    pub spec: Arc<TableSpec>,
    /// When to commit.
    pub flush: Flush,
    /// How far this table is.
    pub progress: Arc<Progress>,
    /// How far its parents are.
    pub parents: Vec<Arc<Progress>>,
    /// What position an epoch stands for.
    pub epochs: Epochs,
    /// `topology/flow/`: the beginning of every application id.
    pub application: String,
    /// Shared with whoever started the flow.
    pub control: Arc<Control>,
    /// Counters.
    pub stats: Arc<Stats>,
    /// Age, and pauses between tries.
    pub clock: Arc<dyn Clock>,
    /// Where tasks run.
    pub runtime: Handle,
    /// Decides the worker.
    pub route: u64,
}

/// What is not committed yet.
#[derive(Default)]
struct Buffer {
    epochs: BTreeMap<Epoch, (Capability, Vec<Update>)>,
    rows: usize,
    bytes: usize,
    since: Option<Micros>,
}

impl Buffer {
    /// Takes all epochs before `bound`: their updates, and the capabilities that must outlive the commit.
    fn take_before(&mut self, bound: Epoch) -> (Vec<Update>, Vec<Capability>) {
        let later = self.epochs.split_off(&bound);
        let taken = std::mem::replace(&mut self.epochs, later);
        let (mut updates, mut capabilities) = (Vec::new(), Vec::new());
        for (capability, mut more) in taken.into_values() {
            updates.append(&mut more);
            capabilities.push(capability);
        }
        self.rows = self.epochs.values().flat_map(|(_, u)| u).map(Update::rows).sum();
        self.bytes = self.epochs.values().flat_map(|(_, u)| u).map(Update::size).sum();
        (updates, capabilities)
    }
}

/// Builds the operator. Its output holds nothing; its frontier says what is committed.
pub(crate) fn table_sink<'s>(updates: Stream<'s, Update>, sink: Sink) -> Stream<'s, ()> {
    let scope = updates.scope();
    let route = sink.route;
    let mut builder = OperatorBuilder::new(format!("Table {}", sink.name), scope);
    let mut input = builder.new_input(updates, Exchange::new(move |_: &Update| route));
    let (done_output, done_stream) = builder.new_output();
    let _done_output = OutputBuilder::<_, Builder<()>>::from(done_output);
    let address = builder.operator_info().address;
    let wake = sink.progress.wake.clone();
    let here = sink.route % scope.peers() as u64 == scope.index() as u64;
    if here {
        wake.set(scope.worker().sync_activator_for(address.to_vec()));
    }
    let activator = scope.worker().activator_for(address);
    let sink = Arc::new(sink);
    builder.build(move |_| {
        let (done, mut completions) = mpsc::unbounded_channel::<()>();
        let mut buffer = Buffer::default();
        let mut committing: Option<(Vec<Capability>, usize)> = None;
        move |frontiers| {
            let now = sink.clock.now();
            input.for_each(|time, data| {
                let Some(capability) = time.retain_least(0) else { return };
                let bytes = data.iter().map(Update::size).sum::<usize>();
                let rows = data.iter().map(Update::rows).sum::<usize>();
                buffer.rows += rows;
                buffer.bytes += bytes;
                // What waits here counts against the flow's budget as its messages do.
                sink.control.enter(bytes);
                buffer.since.get_or_insert(now);
                if let Some(counts) = sink.stats.tables.get(&sink.name) {
                    counts.patches.fetch_add(rows as u64, Ordering::Relaxed);
                }
                let entry = buffer.epochs.entry(*capability.time()).or_insert_with(|| (capability, Vec::new()));
                entry.1.append(data);
            });
            while completions.try_recv().is_ok() {
                if let Some((_, bytes)) = committing.take() {
                    sink.control.leave(bytes);
                }
            }
            if !here {
                return;
            }
            let complete_before = frontiers[0].frontier().first().copied().unwrap_or(Epoch::MAX);
            let first_open = buffer.epochs.first_key_value().map(|(e, _)| *e);
            if committing.is_none() {
                let through = first_open.unwrap_or(Epoch::MAX).min(complete_before);
                sink.progress.committed.send_if_modified(|t| {
                    let moved = through > *t;
                    *t = through.max(*t);
                    moved
                });
                let complete = first_open.is_some_and(|e| e < complete_before);
                let age = Micros::try_from(sink.flush.age.as_micros()).unwrap_or(Micros::MAX);
                let wanted = first_open.is_some_and(|e| e < sink.progress.wanted.load(Ordering::SeqCst));
                let due = buffer.rows >= sink.flush.rows
                    || buffer.bytes >= sink.flush.bytes
                    || buffer.since.is_some_and(|since| now - since >= age)
                    || wanted
                    || sink.control.is_hurried();
                if complete && due {
                    let before = buffer.bytes;
                    let (updates, capabilities) = buffer.take_before(complete_before);
                    buffer.since = (!buffer.epochs.is_empty()).then_some(now);
                    committing = Some((capabilities, before - buffer.bytes));
                    let (sink, done, wake, runtime) = (sink.clone(), done.clone(), wake.clone(), sink.runtime.clone());
                    // The inner task turns a panic into a failure of the flow: a commit that never ends would stall it silently.
                    let task = runtime.spawn({
                        let sink = sink.clone();
                        async move { commit(&sink, updates, complete_before).await }.in_current_span()
                    });
                    let watched = async move {
                        match task.await {
                            Ok(()) => {
                                let _ = done.send(());
                                wake.wake();
                            }
                            Err(error) => {
                                sink.control.fail(format!("table {}: its commit panicked: {error}", sink.name))
                            }
                        }
                    };
                    runtime.spawn(watched.in_current_span());
                }
            }
            if !buffer.epochs.is_empty() {
                activator.activate_after(Duration::from_millis(20));
            }
        }
    });
    done_stream
}

/// Compacts, checkpoints and cleans up between two commits: nobody else writes the table meanwhile.
async fn maintain(sink: &Sink) {
    if let Err(error) = sink.table.maintain().await {
        // It changes no row, and the next turn tries again.
        tracing::warn!(table = %sink.name, %error, "maintenance failed");
    }
}

/// What one commit writes: one row a key.
enum Batch {
    /// Into a table that merges.
    Rows(Vec<Row>),
    /// Into a table that inserts.
    Columns(RecordBatch),
}

/// `updates`, one row a key.
fn consolidated(spec: &Arc<TableSpec>, updates: Vec<Update>) -> connectors::Result<Batch> {
    let (mut patches, mut chunks) = (Vec::new(), Vec::new());
    for update in updates {
        match update {
            Update::Patch(key, patch) => patches.push((key, patch)),
            Update::Chunk(chunk) => chunks.push(chunk),
        }
    }
    match spec.mode {
        Mode::Insert => chunk::first(spec, chunks).map(Batch::Columns),
        Mode::Merge => {
            consolidate(&mut patches);
            Ok(Batch::Rows(patches.into_iter().map(|(_, patch)| patch.row()).collect()))
        }
    }
}

/// Commits `updates`, which hold all epochs before `bound`. Returns when they are durable, or never.
async fn commit(sink: &Sink, updates: Vec<Update>, bound: Epoch) {
    let begun = sink.clock.now();
    for parent in &sink.parents {
        parent.reach(bound).await;
    }
    // A busy table can hold many updates: sorting them must not keep the runtime from its other tasks.
    let consolidated = || consolidated(&sink.spec, updates);
    // A runtime of one thread has nobody to hand its other tasks to.
    let batch = match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => consolidated(),
        _ => tokio::task::block_in_place(consolidated),
    };
    let batch = match batch {
        Ok(batch) => batch,
        Err(error) => {
            sink.control.fail(format!("table {}: {error}", sink.name));
            return std::future::pending().await;
        }
    };
    let mut pause = Duration::from_millis(200);
    // Applications whose transaction the table holds past our position: after a crash or a rebalance we replay what was
    // committed before, and a partition that went to another process may be ahead of us there. The rows are reconciled by key
    // and version, so they are written all the same; the transaction only ever grows, so it is left alone until we are past it.
    let mut ahead: Vec<String> = Vec::new();
    for attempt in 1.. {
        let transactions: Transactions = sink
            .epochs
            .position_before(bound)
            .into_iter()
            .map(|((topic, partition), offset)| (format!("{}{topic}-{partition}", sink.application), offset))
            .filter(|(application, _)| !ahead.contains(application))
            .collect();
        let (rows, result) = match &batch {
            Batch::Rows(rows) => (rows.len(), sink.table.commit(rows.clone(), &transactions).await),
            Batch::Columns(batch) => (batch.num_rows(), sink.table.insert(batch.clone(), &transactions).await),
        };
        match result {
            Ok(_) => {
                if let Some(counts) = sink.stats.tables.get(&sink.name) {
                    counts.rows.fetch_add(rows as u64, Ordering::Relaxed);
                    let took = u64::try_from(sink.clock.now() - begun).unwrap_or(0);
                    counts.durations.add(Duration::from_micros(took));
                    let before = counts.commits.fetch_add(1, Ordering::Relaxed);
                    if (before + 1) % MAINTENANCE == 0 {
                        maintain(sink).await;
                    }
                }
                return;
            }
            Err(CommitError::Fenced { application, found, ours }) if !ahead.contains(&application) => {
                tracing::debug!(table = %sink.name, %application, found, ours, "replaying what the table holds already");
                ahead.push(application);
            }
            Err(CommitError::Failed(error)) if error.category.is_retryable() => {
                if let Some(counts) = sink.stats.tables.get(&sink.name) {
                    counts.refusals.fetch_add(1, Ordering::Relaxed);
                }
                if attempt == 1 {
                    tracing::warn!(table = %sink.name, %error, "commit failed; trying again");
                }
                sink.clock.sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
            }
            Err(error) => {
                sink.control.fail(format!("table {}: {error}", sink.name));
                // Never complete: the capability stays, no offset moves past what was not committed.
                std::future::pending::<()>().await;
            }
        }
    }
}
