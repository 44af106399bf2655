//! One flow, from its plan to a running dataflow.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use connectors::clock::Clock;
use connectors::log::{Producer, Source};
use connectors::table::Table;
use indexmap::IndexMap;
use timely::communication::Config;
use timely::dataflow::operators::probe;
use timely::worker::Worker;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tracing::Instrument;

use super::build::build;
use super::control::{Control, Stats};
use super::epochs::Epochs;
use super::observe::Observer;
use super::operators::Surroundings;
use super::source::{Feed, Wake};
use super::table_sink::Progress;
use super::view::View;
use super::{Epoch, poller};
use crate::plan::{self, StageKind};
use crate::stage::Run;
use crate::stage::dedup::Seen;
use crate::stage::presence::Presence;

/// A table that is open, as a flow needs it.
#[derive(Clone)]
pub struct OpenTable {
    /// Commits.
    pub table: Arc<dyn Table>,
    /// As it is declared.
    pub plan: plan::Table,
    /// Where keys of its rows are entered, if an expression asks for them.
    pub presence: Option<Arc<Presence>>,
    /// Whether its rows are kept; else they are only counted.
    pub written: bool,
}

/// Everything a flow reaches outside through.
pub struct Connected {
    /// Where its messages come from.
    pub source: Box<dyn Source>,
    /// Writes to topics, retry topics and dead letters; none for a flow that writes to none.
    pub producer: Option<Arc<dyn Producer>>,
    /// The tables it feeds.
    pub tables: IndexMap<String, OpenTable>,
    /// Full names of the topics it writes, by their names in the topology.
    pub topics: IndexMap<String, Arc<str>>,
    /// Its asynchronous stages, by name.
    pub runs: IndexMap<Arc<str>, Arc<dyn Run>>,
    /// What its dedup stages have seen, by name.
    pub seen: IndexMap<Arc<str>, Seen>,
    /// Time and presence.
    pub surroundings: Surroundings,
    /// Sees what happens, for a test; only with one worker.
    pub observer: Option<Arc<Observer>>,
}

/// A flow that runs in threads of its own.
pub struct Running {
    /// The flow's name.
    pub name: String,
    /// Stops it, and tells why it cannot go on.
    pub control: Arc<Control>,
    /// Counters.
    pub stats: Arc<Stats>,
    /// What its `aggregate` stages show, by name.
    pub views: IndexMap<Arc<str>, View>,
    /// Sees what happens, for a test.
    pub observer: Option<Arc<Observer>>,
    worker: std::thread::JoinHandle<Result<(), String>>,
    poller: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Waits until the flow has ended: after [`Control::stop`], when all it had read is durable and committed.
    pub async fn join(self) -> Result<(), String> {
        let Running { name, worker, poller, .. } = self;
        let ended = tokio::task::spawn_blocking(move || worker.join()).await;
        // The worker has dropped its side of the commits; the poller ends after the last one.
        let _ = poller.await;
        match ended {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(format!("flow {name}: its worker panicked")),
            Err(e) => Err(format!("flow {name}: {e}")),
        }
    }

    /// Whether the flow has ended.
    pub fn is_finished(&self) -> bool {
        self.worker.is_finished()
    }
}

/// What all workers of a flow share.
pub(super) struct Shared {
    pub(super) topology: String,
    pub(super) plan: plan::Flow,
    pub(super) feed: Mutex<Option<Feed>>,
    pub(super) seen: IndexMap<Arc<str>, Seen>,
    pub(super) commits: Mutex<Option<watch::Sender<u64>>>,
    pub(super) epochs: Epochs,
    pub(super) producer: Option<Arc<dyn Producer>>,
    pub(super) tables: IndexMap<String, (OpenTable, Arc<Progress>)>,
    pub(super) topics: IndexMap<String, Arc<str>>,
    pub(super) runs: IndexMap<Arc<str>, Arc<dyn Run>>,
    pub(super) views: IndexMap<Arc<str>, View>,
    pub(super) surroundings: Surroundings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) control: Arc<Control>,
    pub(super) stats: Arc<Stats>,
    pub(super) runtime: Handle,
    pub(super) observer: Option<Arc<Observer>>,
}

/// Starts `flow` of `topology` on `workers` threads. Must be called within a tokio runtime.
pub fn start(topology: &str, flow: plan::Flow, connected: Connected, workers: usize) -> Result<Running, String> {
    let name = flow.name.clone();
    let clock = connected.surroundings.clock.clone();
    let control = Arc::new(Control::new(flow.source.budget, workers, clock.now()));
    let blocks = flow.rows.iter().map(|r| &r.name).chain(flow.sends.iter().map(|s| &s.name));
    let stages = flow.stages.iter().map(|s| &s.name).chain(blocks).map(|name| &**name);
    let tables = connected.tables.keys().map(String::as_str);
    let stats = Arc::new(Stats::new(tables, std::iter::once("source").chain(stages)));
    // Whatever happens in the flow is told with its name: threads enter this, tasks carry it.
    let span = tracing::error_span!("flow", topology, flow = name);
    let (batches, feed) = mpsc::channel(4);
    let (commits, commits_seen) = watch::channel(0);
    let wake = Arc::new(Wake::default());
    let epochs = Epochs::default();
    let views: IndexMap<Arc<str>, View> = flow
        .stages
        .iter()
        .filter(|s| matches!(s.kind, StageKind::Aggregate { .. }))
        .map(|s| (s.name.clone(), View::default()))
        .collect();
    let shared = Arc::new(Shared {
        topology: topology.to_owned(),
        feed: Mutex::new(Some(Feed {
            batches: feed,
            epochs: epochs.clone(),
            control: control.clone(),
            wake: wake.clone(),
            clock: clock.clone(),
            stats: stats.clone(),
            retries: flow.source.retry.topics().map(str::to_owned).collect(),
        })),
        seen: connected.seen,
        commits: Mutex::new(Some(commits)),
        epochs,
        producer: connected.producer,
        tables: connected.tables.into_iter().map(|(n, t)| (n, (t, Arc::default()))).collect(),
        topics: connected.topics,
        runs: connected.runs,
        views: views.clone(),
        surroundings: connected.surroundings,
        clock: clock.clone(),
        control: control.clone(),
        stats: stats.clone(),
        runtime: Handle::current(),
        observer: connected.observer.clone(),
        plan: flow,
    });
    let poller = tokio::spawn(
        poller::run(poller::Poller {
            source: connected.source,
            batches,
            commits: commits_seen,
            epochs: shared.epochs.clone(),
            control: control.clone(),
            wake,
            clock,
            stages: shared.runs.values().cloned().collect(),
            name: name.clone(),
        })
        .instrument(span.clone()),
    );
    let entered = span.clone();
    let worker = std::thread::Builder::new()
        .name(format!("flow {name}"))
        .spawn(move || {
            let communication = if workers > 1 { Config::Process(workers) } else { Config::Thread };
            let config = timely::Config { communication, worker: timely::WorkerConfig::default() };
            let guards = timely::execute(config, {
                let span = entered.clone();
                move |worker| span.in_scope(|| work(worker, &shared))
            })?;
            let ended = guards.join().into_iter().collect::<Result<Vec<()>, String>>().map(|_| ());
            entered.in_scope(|| tracing::info!("ended"));
            ended
        })
        .map_err(|e| format!("flow {name}: no thread for it: {e}"))?;
    span.in_scope(|| tracing::info!(workers, "started"));
    Ok(Running { name, control, stats, views, observer: connected.observer, worker, poller })
}

/// One worker: builds the dataflow and steps it until it is complete, or until the flow cannot go on.
fn work(worker: &mut Worker, shared: &Shared) {
    let _panics = Panics(shared);
    if let Some(observer) = &shared.observer {
        observer.watch(worker);
    }
    let _runtime = shared.runtime.enter();
    let durable = probe::Handle::new();
    worker.dataflow::<Epoch, _, _>(|scope| build(scope, shared, &durable));
    let lock = |m: &Mutex<Option<watch::Sender<u64>>>| m.lock().unwrap_or_else(PoisonError::into_inner).take();
    let commits = if worker.index() == 0 { lock(&shared.commits) } else { None };
    // The committer stands outside the dataflow: inside the source it would miss the last epochs, because a dataflow
    // without capabilities is retired.
    let step = || {
        if let Some(observer) = &shared.observer {
            observer.step();
        }
    };
    step();
    while worker.step_or_park(Some(Duration::from_millis(20))) {
        shared.control.beat(worker.index(), shared.clock.now());
        // Looked at first: what failed in this step may have moved the frontier.
        if shared.control.failure().is_some() || shared.control.is_abandoned() {
            // The capabilities of what failed were kept until here, and nothing is committed from here on. Timely steps a
            // worker until its dataflows are complete, which this one never is: it goes as a whole.
            for dataflow in worker.installed_dataflows() {
                worker.drop_dataflow(dataflow);
            }
            return;
        }
        if let Some(commits) = &commits {
            commit(shared, &durable, commits);
        }
        step();
    }
    if let Some(commits) = commits.filter(|_| shared.control.failure().is_none()) {
        commit(shared, &durable, &commits);
    }
    // It has nothing left to do: it is never late again.
    shared.control.beat(worker.index(), i64::MAX);
}

/// A worker that panics would leave the others waiting for its part of the frontier: the flow says so, and ends.
struct Panics<'s>(&'s Shared);

impl Drop for Panics<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.control.fail("a worker panicked");
        }
        if let Some(observer) = &self.0.observer {
            observer.gone();
        }
    }
}

/// Hands on the position that the durable frontier has passed.
fn commit(shared: &Shared, durable: &probe::Handle<Epoch>, commits: &watch::Sender<u64>) {
    let frontier = durable.with_frontier(|f| f.first().copied()).unwrap_or(Epoch::MAX);
    let (news, bytes) = shared.epochs.retire_before(frontier);
    if bytes > 0 {
        shared.control.leave(bytes);
    }
    if frontier != Epoch::MAX {
        let durable = i64::try_from(frontier).unwrap_or(i64::MAX);
        shared.stats.durable.store(durable, std::sync::atomic::Ordering::Relaxed);
    }
    if news {
        commits.send_modify(|rounds| *rounds += 1);
    }
}
