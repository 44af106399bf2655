//! A flow's operators, put together: from its plan to the frontier of all its sinks.
//!
//! What follows from the plan alone (by what documents are exchanged, which sinks there are, what a child's commit waits for)
//! is decided in [`form`](super::form), which tells it to people as well.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use connectors::log::Record;
use timely::dataflow::Scope;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::{Concatenate, Probe, probe};

use super::emit::{Blocks, RowBlock, SendBlock, Update, emit, emit_outcomes};
use super::flow::Shared;
use super::ledger::{Book, ledger};
use super::operators::{Own, Setting, apply, read, run};
use super::source::source;
use super::table_sink::{self as sink, table_sink};
use super::topic_sink::topic_sink;
use super::view::aggregate;
use super::wire::Note;
use super::{Epoch, Stream, form};
use crate::plan::{self, Input, StageKind, Trigger};
use crate::stage::dedup::{Dedup, Seen, key_text};
use crate::stage::each::Each;
use crate::stage::filter::Filter;
use crate::stage::message::Reader;
use crate::stage::pick::Pick;
use crate::stage::route::Route;
use crate::stage::{Apply, Document, presence};

/// What leaves the operators of a flow while it is being built.
#[derive(Default)]
struct Leaving<'s> {
    updates: BTreeMap<usize, Vec<Stream<'s, Update>>>,
    records: Vec<Stream<'s, Record>>,
    notes: Vec<Stream<'s, Note>>,
}

/// Builds the dataflow of a flow on one worker; `durable` follows the frontier of all its sinks.
pub(super) fn build<'s>(scope: Scope<'s, Epoch>, shared: &Shared, durable: &probe::Handle<Epoch>) {
    let flow = &shared.plan;
    let feed =
        if scope.index() == 0 { shared.feed.lock().unwrap_or_else(PoisonError::into_inner).take() } else { None };
    let messages = source(scope, feed);
    let keep = form::keep(flow);
    let reader = Reader::new(&flow.source.message, flow.source.place.clone(), keep);
    let group: Option<Arc<str>> = flow.source.kind.group().map(Arc::from);
    let retries = flow.source.retry.topics().map(str::to_owned).collect();
    let own = Own { group: group.clone(), retries };
    let (documents, held, notes) = read(messages, reader, own, shared.surroundings.clone(), shared.observer.clone());
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
        group: group.clone(),
        clock: shared.clock.clone(),
        stats: shared.stats.clone(),
        outcomes: form::has_outcomes(flow),
        observer: shared.observer.clone(),
        source: keep.source,
    };
    let (failed, outcomes) = ledger(held, notes, book);
    leaving.records.push(failed);
    if form::has_outcomes(flow) {
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
        let parents = form::parents(flow, &table.plan);
        let parents = parents.filter_map(|p| shared.tables.get(p)).map(|(_, p)| p.clone()).collect();
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
        observer: shared.observer.clone(),
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
        observer: shared.observer.clone(),
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
            Box::new(Dedup::new(name, key.clone(), at.clone(), place, seen.unwrap_or_else(|| Seen::new(*window))))
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
    match form::exchanged_by(stage) {
        None => apply(input, Pipeline, logic, setting),
        Some(key) => {
            let (key, surroundings) = (key.clone(), shared.surroundings.clone());
            let by_key = Exchange::new(move |document: &Document| {
                let value = key.eval(&document.scope(&surroundings.env()));
                value.map_or(0, |v| presence::hash(&key_text(&v)) as u64)
            });
            apply(input, by_key, logic, setting)
        }
    }
}

/// Lets every document pass unchanged.
struct Pass;

impl Apply for Pass {
    fn apply(&mut self, mut document: Document, _: &expr::Env) -> crate::stage::Verdict {
        document.produced = true;
        crate::stage::Verdict::On(document)
    }
}
