//! One flow, from its plan to a running dataflow.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use connectors::clock::Clock;
use connectors::log::{Producer, Record, Source};
use connectors::table::Table;
use indexmap::IndexMap;
use timely::communication::Config;
use timely::dataflow::Scope;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::{Concatenate, Probe, probe};
use timely::worker::Worker;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tracing::Instrument;

use super::control::{Control, Stats};
use super::emit::{Blocks, RowBlock, SendBlock, Update, emit, emit_outcomes};
use super::epochs::Epochs;
use super::ledger::{Book, ledger};
use super::observe::Observer;
use super::operators::{Setting, Surroundings, apply, read, run};
use super::source::{Feed, Wake, source};
use super::table_sink::{Progress, table_sink};
use super::topic_sink::topic_sink;
use super::view::{View, aggregate};
use super::wire::Note;
use super::{Epoch, Stream, poller, table_sink as sink};
use crate::plan::{self, Input, StageKind, Trigger};
use crate::stage::dedup::{Dedup, Seen, key_text};
use crate::stage::each::Each;
use crate::stage::filter::Filter;
use crate::stage::message::{Keep, Reader};
use crate::stage::pick::Pick;
use crate::stage::presence::Presence;
use crate::stage::route::Route;
use crate::stage::{Apply, Document, Run, presence};

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
struct Shared {
    topology: String,
    plan: plan::Flow,
    feed: Mutex<Option<Feed>>,
    seen: IndexMap<Arc<str>, Seen>,
    commits: Mutex<Option<watch::Sender<u64>>>,
    epochs: Epochs,
    producer: Option<Arc<dyn Producer>>,
    tables: IndexMap<String, (OpenTable, Arc<Progress>)>,
    topics: IndexMap<String, Arc<str>>,
    runs: IndexMap<Arc<str>, Arc<dyn Run>>,
    views: IndexMap<Arc<str>, View>,
    surroundings: Surroundings,
    clock: Arc<dyn Clock>,
    control: Arc<Control>,
    stats: Arc<Stats>,
    runtime: Handle,
    observer: Option<Arc<Observer>>,
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

/// What leaves the operators of a flow while it is being built.
#[derive(Default)]
struct Leaving<'s> {
    updates: BTreeMap<usize, Vec<Stream<'s, Update>>>,
    records: Vec<Stream<'s, Record>>,
    notes: Vec<Stream<'s, Note>>,
}

fn build<'s>(scope: Scope<'s, Epoch>, shared: &Shared, durable: &probe::Handle<Epoch>) {
    let flow = &shared.plan;
    let feed =
        if scope.index() == 0 { shared.feed.lock().unwrap_or_else(PoisonError::into_inner).take() } else { None };
    let messages = source(scope, feed);
    let keep = Keep { source: flow.reads_binding("source"), raw: flow.reads_binding_later("raw") };
    let reader = Reader::new(flow.source.message.clone(), flow.source.place.clone(), keep);
    let (documents, held, notes) = read(messages, reader, shared.surroundings.clone());
    let mut leaving = Leaving { notes: vec![notes], ..Leaving::default() };
    emit_blocks(shared, "source", &documents, None, &mut leaving);
    let mut outputs: Vec<Stream<'s, Document>> = Vec::with_capacity(flow.stages.len());
    for (index, stage) in flow.stages.iter().enumerate() {
        let input = match stage.input {
            Input::Source => documents.clone(),
            Input::After(from) | Input::Produced(from) => outputs[from].clone(),
        };
        let (output, notes) = build_stage(shared, stage, input);
        leaving.notes.push(notes);
        emit_blocks(shared, &stage.name, &output, Some(index), &mut leaving);
        outputs.push(output);
    }
    let notes = scope.concatenate(std::mem::take(&mut leaving.notes));
    let book = Book {
        retry: flow.source.retry.clone(),
        clock: shared.clock.clone(),
        stats: shared.stats.clone(),
        outcomes: has_outcomes(flow),
        observer: shared.observer.clone(),
        source: keep.source,
    };
    let (failed, outcomes) = ledger(held, notes, book);
    leaving.records.push(failed);
    if has_outcomes(flow) {
        let (blocks, tables) = blocks_of(shared, |t| matches!(t, Trigger::Outcomes(_)));
        let (updates, records, _) = emit_outcomes(outcomes, blocks);
        leaving.take(updates, &tables, records);
    }
    let mut done = Vec::new();
    if let Some(producer) = &shared.producer {
        let sink = super::topic_sink::Sink {
            producer: producer.clone(),
            stats: shared.stats.clone(),
            control: shared.control.clone(),
            clock: shared.clock.clone(),
            runtime: shared.runtime.clone(),
            flow: Arc::from(flow.name.as_str()),
        };
        done.push(topic_sink(scope.concatenate(std::mem::take(&mut leaving.records)), sink));
    }
    for (index, (name, (table, progress))) in shared.tables.iter().enumerate() {
        let Some(updates) = leaving.updates.remove(&index) else { continue };
        let parents = table.plan.parent.iter().filter_map(|p| shared.tables.get(p)).map(|(_, p)| p.clone()).collect();
        let sink = sink::Sink {
            name: name.clone(),
            table: table.table.clone(),
            spec: table.plan.spec.clone(),
            flush: table.plan.flush,
            progress: progress.clone(),
            parents,
            epochs: shared.epochs.clone(),
            application: format!("{}/{}/", shared.topology, flow.name),
            control: shared.control.clone(),
            stats: shared.stats.clone(),
            clock: shared.clock.clone(),
            runtime: shared.runtime.clone(),
            route: index as u64,
        };
        done.push(table_sink(scope.concatenate(updates), sink));
    }
    scope.concatenate(done).probe_with(durable);
}

fn has_outcomes(flow: &plan::Flow) -> bool {
    let outcome = |t: &Trigger| matches!(t, Trigger::Outcomes(_));
    flow.rows.iter().any(|r| outcome(&r.trigger)) || flow.sends.iter().any(|s| outcome(&s.trigger))
}

impl<'s> Leaving<'s> {
    fn take(&mut self, updates: Vec<Stream<'s, Update>>, tables: &[usize], records: Stream<'s, Record>) {
        for (stream, table) in updates.into_iter().zip(tables) {
            self.updates.entry(*table).or_default().push(stream);
        }
        self.records.push(records);
    }
}

/// The blocks that `fires` chooses, and which tables of the flow their outputs are.
fn blocks_of(shared: &Shared, fires: impl Fn(&Trigger) -> bool) -> (Blocks, Vec<usize>) {
    let mut tables = Vec::new();
    let mut rows = Vec::new();
    for (index, block) in shared.plan.rows.iter().enumerate().filter(|(_, b)| fires(&b.trigger)) {
        let Some((table, _, (open, _))) = shared.tables.get_full(&block.table) else { continue };
        let output = tables.iter().position(|t| *t == table).unwrap_or_else(|| {
            tables.push(table);
            tables.len() - 1
        });
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        rows.push(RowBlock::new(block.clone(), open.plan.spec.clone(), index, output, open.presence.clone()));
    }
    let sends = shared
        .plan
        .sends
        .iter()
        .filter(|b| fires(&b.trigger))
        .filter_map(|b| Some(SendBlock { block: b.clone(), topic: shared.topics.get(&b.topic)?.clone() }))
        .collect();
    let specs =
        tables.iter().filter_map(|table| shared.tables.get_index(*table)).map(|(_, (t, _))| t.plan.spec.clone());
    let blocks = Blocks {
        rows,
        sends,
        tables: specs.collect(),
        surroundings: shared.surroundings.clone(),
        control: shared.control.clone(),
    };
    (blocks, tables)
}

/// Fires the blocks that read the output of one stage, or the messages themselves.
fn emit_blocks<'s>(
    shared: &Shared,
    name: &str,
    documents: &Stream<'s, Document>,
    stage: Option<usize>,
    leaving: &mut Leaving<'s>,
) {
    let reads = |trigger: &Trigger, only_produced: bool| match (trigger, stage) {
        (Trigger::Documents(Input::Source), None) => !only_produced,
        (Trigger::Documents(Input::After(from)), Some(stage)) => *from == stage && !only_produced,
        (Trigger::Documents(Input::Produced(from)), Some(stage)) => *from == stage && only_produced,
        _ => false,
    };
    for only_produced in [false, true] {
        let (blocks, tables) = blocks_of(shared, |t| reads(t, only_produced));
        if !blocks.rows.is_empty() || !blocks.sends.is_empty() {
            let (updates, records, notes) = emit(name, documents.clone(), only_produced, blocks);
            leaving.take(updates, &tables, records);
            leaving.notes.push(notes);
        }
    }
}

fn build_stage<'s>(shared: &Shared, stage: &plan::Stage, input: Stream<'s, Document>) -> super::operators::Outputs<'s> {
    let (name, place) = (stage.name.clone(), stage.place.clone());
    let setting = Setting {
        name: name.clone(),
        place: place.clone(),
        input: stage.input,
        when: stage.when.clone(),
        surroundings: shared.surroundings.clone(),
        stats: shared.stats.clone(),
        produced: match &stage.kind {
            StageKind::Download(_) => Some(|stats| &stats.downloads),
            StageKind::Upload(_) => Some(|stats| &stats.uploads),
            _ => None,
        },
    };
    let logic: Box<dyn Apply> = match &stage.kind {
        StageKind::Route { by, cases, labels, otherwise } => {
            Box::new(Route::new(name, by.clone(), cases.iter(), labels, otherwise.clone(), place))
        }
        StageKind::Pick { value, missing } => {
            Box::new(Pick { name, value: value.clone(), missing: missing.clone(), place })
        }
        StageKind::Each { list } => Box::new(Each { name, list: list.clone(), place }),
        StageKind::Filter { keep, otherwise } => {
            Box::new(Filter { name, keep: keep.clone(), otherwise: otherwise.clone(), place })
        }
        StageKind::Dedup { key, at, window, .. } => {
            // Each worker sees its own share of the keys, and starts from all that was read back.
            let seen = shared.seen.get(&name).cloned();
            let dedup = Dedup::new(name, key.clone(), at.clone(), place, seen.unwrap_or_else(|| Seen::new(*window)));
            let (key, surroundings) = (key.clone(), shared.surroundings.clone());
            let by_key = Exchange::new(move |document: &Document| {
                let value = key.eval(&document.scope(&surroundings.env()));
                value.map_or(0, |v| presence::hash(&key_text(&v)) as u64)
            });
            return apply(input, by_key, Box::new(dedup), setting);
        }
        StageKind::Aggregate { by, sum, .. } => {
            if let Some(view) = shared.views.get(&name) {
                aggregate(input.clone(), by, sum, shared.surroundings.clone(), view.clone());
            }
            Box::new(Pass)
        }
        StageKind::Enrich(_) | StageKind::Download(_) | StageKind::Upload(_) => match shared.runs.get(&name) {
            Some(stage) => {
                let deadline = shared.plan.source.deadline;
                return run(input, stage.clone(), setting, deadline, shared.runtime.clone(), shared.control.clone());
            }
            None => {
                shared.control.fail(format!("stage {name} is not connected"));
                Box::new(Pass)
            }
        },
    };
    apply(input, Pipeline, logic, setting)
}

/// Lets every document pass unchanged.
struct Pass;

impl Apply for Pass {
    fn apply(&mut self, mut document: Document, _: &expr::Env) -> crate::stage::Verdict {
        document.produced = true;
        crate::stage::Verdict::On(document)
    }
}
