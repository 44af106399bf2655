//! Row blocks and send blocks: what documents and outcomes become when they leave a flow.
//!
//! One operator serves all blocks that read the same input. It has an output for each table it feeds, one for records, one
//! for notes: a block that cannot be evaluated, or a null where a table or a topic forbids it, fails the message for good.
//! An outcome cannot fail any more; a block that says `on` and cannot be evaluated is logged.

use std::sync::Arc;

use bytes::Bytes;
use connectors::Category;
use connectors::log::Record;
use connectors::table::{Cell, Mode, Row, TableSpec};
use serde::{Deserialize, Serialize};
use sonic_rs::{JsonValueTrait, Object};
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::operate::FrontierInterest;

use super::chunk::{Building, Chunk, Flattener};
use super::control::Control;
use super::ledger::Outcome;
use super::observe::Observer;
use super::operators::Surroundings;
use super::patch::{Patch, Patcher};
use super::visit::How;
use super::wire::{Key, Note};
use super::{Builder, Stream, form};
use crate::expr::{Env, cell_to_json, coerce};
use crate::plan::{Rows, Send};
use crate::stage::presence::Presence;
use crate::stage::{Document, Failure};

/// What goes to a table: what is said of one key, or whole rows as columns for a table that only inserts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Update {
    /// For a table that merges.
    Patch(Key, Patch),
    /// For a table that inserts.
    Chunk(Chunk),
}

impl Update {
    /// How many rows it speaks of.
    pub fn rows(&self) -> usize {
        match self {
            Update::Patch(..) => 1,
            Update::Chunk(chunk) => chunk.rows(),
        }
    }

    /// About how much memory it holds.
    pub fn size(&self) -> usize {
        match self {
            Update::Patch(_, patch) => patch.size(),
            Update::Chunk(chunk) => chunk.size(),
        }
    }

    /// Its rows, as a sink gets them.
    fn each(&self) -> Vec<Row> {
        match self {
            Update::Patch(_, patch) => vec![patch.clone().row()],
            Update::Chunk(chunk) => chunk.each(),
        }
    }
}

/// A row block, ready to run.
#[derive(Clone)]
pub struct RowBlock {
    /// Which of the operator's tables it feeds.
    pub output: usize,
    /// Makes its rows.
    pub make: Make,
    /// Where its keys are entered, if an expression asks for them.
    pub presence: Option<Arc<Presence>>,
}

/// How a block's rows are made.
#[derive(Clone)]
pub enum Make {
    /// One patch a document.
    Patches(PatchBlock),
    /// Columns.
    Columns(Flattener),
}

/// A row block of a table that merges.
#[derive(Clone)]
pub struct PatchBlock {
    /// As it is declared.
    pub block: Rows,
    /// Makes its patches.
    pub patcher: Patcher,
    /// Its place among all row blocks of the flow.
    pub index: u32,
}

/// A send block, ready to run.
#[derive(Clone)]
pub struct SendBlock {
    /// As it is declared.
    pub block: Send,
    /// The topic's full name.
    pub topic: Arc<str>,
}

/// All blocks of one input.
#[derive(Clone)]
pub struct Blocks {
    /// Row blocks.
    pub rows: Vec<RowBlock>,
    /// Send blocks.
    pub sends: Vec<SendBlock>,
    /// The tables they feed.
    pub tables: Vec<Arc<TableSpec>>,
    /// Time and presence.
    pub surroundings: Surroundings,
    /// Where a failure of the operator itself is said.
    pub control: Arc<Control>,
    /// Sees what each block makes of each document, for a test.
    pub observer: Option<Arc<Observer>>,
}

impl Blocks {
    /// For each table that inserts the place where its columns are built.
    fn building(&self) -> Vec<Option<Building>> {
        self.tables.iter().map(|spec| (spec.mode == Mode::Insert).then(|| Building::new(spec))).collect()
    }

    /// Fires the row block at `at` and tells the observer, if there is one.
    fn row(&self, block: &RowBlock, document: &Document, env: &Env, out: &mut Out) -> Result<(), Failure> {
        let Some(observer) = &self.observer else { return block.fire(document, env, out) };
        let spec = self.tables.get(block.output);
        let before = out.updates.get(block.output).map_or(0, Vec::len);
        let fired = block.fire(document, env, out);
        // What was built of a table that inserts is taken at once, so that the rows of this document are seen alone.
        let mut broken = None;
        if let (Some(Some(building)), Some(updates)) =
            (out.building.get_mut(block.output), out.updates.get_mut(block.output))
        {
            match building.take() {
                Ok(chunk) => updates.extend(chunk.map(Update::Chunk)),
                Err(error) => broken = Some(error.to_string()),
            }
        }
        if let Some(error) = broken {
            self.control.fail(format!("block {}: {error}", block.block().name));
        }
        let made = out.updates.get(block.output).and_then(|updates| updates.get(before..)).unwrap_or_default();
        let rows = made.iter().flat_map(Update::each).collect::<Vec<_>>();
        let name = &block.block().name;
        match &fired {
            Err(failure) => observer.visited(&document.meta, name, How::Failed(failure.clone())),
            Ok(()) if rows.is_empty() => observer.visited(&document.meta, name, How::NoRow),
            Ok(()) => rows.iter().zip(std::iter::repeat(spec)).for_each(|(row, spec)| {
                if let Some(spec) = spec {
                    observer.visited(&document.meta, name, How::row(spec, row));
                }
            }),
        }
        fired
    }

    /// The same for a send block.
    fn send(&self, block: &SendBlock, document: &Document, env: &Env) -> Result<Option<Record>, Failure> {
        let fired = block.fire(document, env);
        if let Some(observer) = &self.observer {
            let how = match &fired {
                Err(failure) => How::Failed(failure.clone()),
                Ok(None) => How::NotSent,
                Ok(Some(record)) => How::Sent(record.clone()),
            };
            observer.visited(&document.meta, &block.block.name, how);
        }
        fired
    }
}

impl RowBlock {
    /// Makes a row block of `block`, the one at `index` of its flow.
    pub fn new(block: Rows, spec: Arc<TableSpec>, index: u32, output: usize, presence: Option<Arc<Presence>>) -> Self {
        let make = match spec.mode {
            Mode::Insert => Make::Columns(Flattener::new(block, spec, index)),
            Mode::Merge => Make::Patches(PatchBlock { block, patcher: Patcher::new(spec), index }),
        };
        RowBlock { output, make, presence }
    }

    /// The block as it is declared.
    fn block(&self) -> &Rows {
        match &self.make {
            Make::Patches(patches) => &patches.block,
            Make::Columns(flattener) => flattener.block(),
        }
    }

    fn fire(&self, document: &Document, env: &Env, out: &mut Out) -> Result<(), Failure> {
        let key = match &self.make {
            Make::Columns(flattener) => match out.building.get_mut(self.output) {
                Some(Some(building)) => flattener.append(document, env, building, self.presence.is_some())?,
                _ => None,
            },
            Make::Patches(patches) => match patches.fire(document, env)? {
                None => None,
                Some((key, patch, whole)) => {
                    let text = match key.first() {
                        Some(Cell::Text(text)) if whole => Some(text.clone()),
                        _ => None,
                    };
                    if let Some(updates) = out.updates.get_mut(self.output) {
                        updates.push(Update::Patch(key, patch));
                    }
                    text
                }
            },
        };
        if let (Some(presence), Some(key)) = (&self.presence, key) {
            presence.insert(&key);
        }
        Ok(())
    }
}

impl PatchBlock {
    /// Key and patch of the document's row, and whether it holds the main group of columns: a row that only event-driven
    /// groups made is a placeholder, and is not taken for present.
    fn fire(&self, document: &Document, env: &Env) -> Result<Option<(Key, Patch, bool)>, Failure> {
        let (name, scope) = (&self.block.name, document.scope(env));
        let failure = |place: &_, text: String| Failure::new(Category::Permanent, text, name, place);
        if !document.holds(self.block.when.as_ref(), env, name, &self.block.place)? {
            return Ok(None);
        }
        let spec = self.patcher.spec();
        let mut row = vec![None; spec.columns.len()];
        for column in &self.block.columns {
            let declared = &spec.columns[column.column];
            let value = column.value.eval(&scope);
            let value = value.map_err(|e| failure(&column.place, format!("column `{}`: {e}", declared.name)))?;
            // What does not fit a column is null there, as the rules of the types have it; only a key or a column that
            // must not be null makes it a failure.
            let cell = coerce(declared.kind, &value).unwrap_or(Cell::Null);
            if cell.is_null() {
                if column.optional {
                    continue;
                }
                if !declared.nullable {
                    return Err(failure(&column.place, format!("column `{}` must not be null", declared.name)));
                }
            }
            row[column.column] = Some(cell);
        }
        let whole = spec.main_version().is_none_or(|c| row[c].as_ref().is_some_and(|cell| !cell.is_null()));
        let (key, patch) = self
            .patcher
            .patch(row, &document.meta.origin, self.index, document.element)
            .map_err(|e| failure(&self.block.place, e))?;
        Ok(Some((key, patch, whole)))
    }
}

impl SendBlock {
    fn fire(&self, document: &Document, env: &Env) -> Result<Option<Record>, Failure> {
        let (name, scope) = (&self.block.name, document.scope(env));
        let failure = |text: String| Failure::new(Category::Permanent, text, name, &self.block.place);
        if !document.holds(self.block.when.as_ref(), env, name, &self.block.place)? {
            return Ok(None);
        }
        let mut body = Object::with_capacity(self.block.body.len());
        for field in &self.block.body {
            let value = field.value.eval(&scope).map_err(|e| failure(format!("field `{}`: {e}", field.name)))?;
            let value = match field.kind {
                None => value,
                Some(kind) => cell_to_json(&coerce(kind, &value).unwrap_or(Cell::Null), kind),
            };
            if field.required && value.is_null() {
                return Err(failure(format!("field `{}` must not be null", field.name)));
            }
            body.insert(&*field.name, value);
        }
        let text = |expr: &expr::Expr, what: &str| -> Result<Option<Bytes>, Failure> {
            let value = expr.eval(&scope).map_err(|e| failure(format!("{what}: {e}")))?;
            Ok(match value.as_str() {
                _ if value.is_null() => None,
                Some(text) => Some(Bytes::copy_from_slice(text.as_bytes())),
                None => Some(Bytes::from(value.to_string())),
            })
        };
        let key = self.block.key.as_ref().map(|k| text(k, "key")).transpose()?.flatten();
        let mut headers = Vec::with_capacity(self.block.headers.len());
        for (header, value) in &self.block.headers {
            if let Some(value) = text(value, header)? {
                headers.push((header.clone(), value));
            }
        }
        let payload = Bytes::from(body.into_value().to_string());
        Ok(Some(Record { topic: self.topic.clone(), key, payload, headers }))
    }
}

/// What an emit operator puts out: a stream for each table, records, notes.
pub(crate) type Emitted<'s> = (Vec<Stream<'s, Update>>, Stream<'s, Record>, Stream<'s, Note>);

/// Fires the blocks that read documents; only those that the stage above produced, if so asked.
pub(crate) fn emit<'s>(
    name: &str,
    documents: Stream<'s, Document>,
    only_produced: bool,
    blocks: Blocks,
) -> Emitted<'s> {
    let building = blocks.building();
    build(format!("Emit {name}"), documents, building, blocks.control.clone(), move |document: Document, out| {
        if only_produced && !document.produced {
            return;
        }
        let env = blocks.surroundings.env();
        for block in &blocks.rows {
            if let Err(failure) = blocks.row(block, &document, &env, out) {
                out.notes.push(Note::Failed(document.meta.id, failure));
            }
        }
        for block in &blocks.sends {
            match blocks.send(block, &document, &env) {
                Ok(record) => out.records.extend(record),
                Err(failure) => out.notes.push(Note::Failed(document.meta.id, failure)),
            }
        }
    })
}

/// Fires the blocks that read outcomes.
pub(crate) fn emit_outcomes<'s>(outcomes: Stream<'s, Outcome>, blocks: Blocks) -> Emitted<'s> {
    let building = blocks.building();
    build("Emit outcomes".to_owned(), outcomes, building, blocks.control.clone(), move |outcome: Outcome, out| {
        let env = blocks.surroundings.env();
        let log = |failure: Failure| {
            tracing::error!(block = %failure.stage, place = %failure.place, error = %failure.message, "outcome not written");
        };
        for block in blocks.rows.iter().filter(|b| form::fires_for(&b.block().trigger, outcome.status)) {
            if let Err(failure) = blocks.row(block, &outcome.document, &env, out) {
                log(failure);
            }
        }
        for block in blocks.sends.iter().filter(|b| form::fires_for(&b.block.trigger, outcome.status)) {
            match blocks.send(block, &outcome.document, &env) {
                Ok(record) => out.records.extend(record),
                Err(failure) => log(failure),
            }
        }
    })
}

/// What one call of an emit function leaves behind.
struct Out {
    /// By the operator's table.
    updates: Vec<Vec<Update>>,
    /// The same for tables that insert.
    building: Vec<Option<Building>>,
    records: Vec<Record>,
    notes: Vec<Note>,
}

fn build<'s, D: Clone + 'static>(
    name: String,
    input: Stream<'s, D>,
    building: Vec<Option<Building>>,
    control: Arc<Control>,
    mut fire: impl FnMut(D, &mut Out) + 'static,
) -> Emitted<'s> {
    let tables = building.len();
    let mut builder = OperatorBuilder::new(name.clone(), input.scope());
    let mut input = builder.new_input(input, Pipeline);
    builder.set_notify_for(0, FrontierInterest::Never);
    let (mut updates, mut streams) = (Vec::with_capacity(tables), Vec::with_capacity(tables));
    for _ in 0..tables {
        let (output, stream) = builder.new_output();
        updates.push(OutputBuilder::<_, Builder<Update>>::from(output));
        streams.push(stream);
    }
    let (records, records_stream) = builder.new_output();
    let (notes, notes_stream) = builder.new_output();
    let mut records = OutputBuilder::<_, Builder<Record>>::from(records);
    let mut notes = OutputBuilder::<_, Builder<Note>>::from(notes);
    builder.build(move |_| {
        let mut out = Out { updates: vec![Vec::new(); tables], building, records: Vec::new(), notes: Vec::new() };
        move |_| {
            let mut updates: Vec<_> = updates.iter_mut().map(OutputBuilder::activate).collect();
            let (mut records, mut notes) = (records.activate(), notes.activate());
            input.for_each(|time, data| {
                for item in data.drain(..) {
                    fire(item, &mut out);
                }
                for (building, updates) in out.building.iter_mut().zip(&mut out.updates) {
                    match building.as_mut().map_or(Ok(None), Building::take) {
                        Ok(chunk) => updates.extend(chunk.map(Update::Chunk)),
                        // Every column of every row was appended: this cannot be. The flow ends, and nothing is committed.
                        Err(error) => control.fail(format!("{name}: {error}")),
                    }
                }
                for (index, handle) in updates.iter_mut().enumerate() {
                    if let Some(capability) = time.retain_least(index) {
                        handle.session(&capability).give_iterator(out.updates[index].drain(..));
                    }
                }
                if let Some(capability) = time.retain_least(tables) {
                    records.session(&capability).give_iterator(out.records.drain(..));
                }
                if let Some(capability) = time.retain_least(tables + 1) {
                    notes.session(&capability).give_iterator(out.notes.drain(..));
                }
            });
        }
    });
    (streams, records_stream, notes_stream)
}
