//! Rows of a table that only inserts, as columns from the moment they are made.
//!
//! Such a table keeps the first row of a key, so its rows need no stamps by column and no merging: a [`Flattener`] writes the
//! values of each document straight into the builders of a batch, a [`Chunk`] is what one turn of an operator has built, and
//! [`first`] is all that consolidation means for it.

use std::sync::Arc;

use connectors::builder::Builder;
use connectors::table::{RecordBatch, Row, TableSpec};
use connectors::{Category, Result, rows};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::expr::columns::{Columns, Refused};
use crate::expr::{Env, keys};
use crate::plan::{Place, Rows};
use crate::stage::{Document, Failure, Origin};

/// Whole rows, and where the message of each was first read.
#[derive(Clone, Debug)]
pub struct Chunk {
    batch: RecordBatch,
    /// With the place of the block in the flow: of one message the earlier block is first.
    origins: Vec<(Origin, u32)>,
    bytes: usize,
}

impl Chunk {
    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.origins.len()
    }

    /// About how much memory it holds.
    pub fn size(&self) -> usize {
        self.bytes
    }

    /// Its rows one by one, for whoever looks at a flow: nothing on the way to a table takes them apart.
    pub fn each(&self) -> Vec<Row> {
        rows::of_batch(&self.batch).unwrap_or_default()
    }
}

/// One batch of the rows of `chunks`, of each key the one that was read first: the smallest origin, whatever the order of
/// arrival, so that a replay keeps the same one.
pub fn first(spec: &TableSpec, chunks: Vec<Chunk>) -> Result<RecordBatch> {
    let (batches, origins): (Vec<_>, Vec<_>) = chunks.into_iter().map(|c| (c.batch, c.origins)).unzip();
    let batch = rows::concat(spec, &batches)?;
    let origins: Vec<(Origin, u32)> = origins.into_iter().flatten().collect();
    let chosen = rows::with_keys(spec, &batch, |keys| {
        keys::first_of_each(keys, &|a, b| origins.get(a as usize) < origins.get(b as usize))
    })?;
    chosen.map_or(Ok(batch.clone()), |chosen| rows::pick(spec, &batch, chosen))
}

/// A row block of a table that only inserts, ready to run.
#[derive(Clone)]
pub struct Flattener {
    block: Arc<Rows>,
    spec: Arc<TableSpec>,
    index: u32,
    columns: Arc<Columns>,
}

/// The chunk that an operator is building.
pub struct Building {
    builder: Builder,
    origins: Vec<(Origin, u32)>,
}

impl Building {
    /// Nothing yet, of `spec`.
    pub fn new(spec: &TableSpec) -> Self {
        Building { builder: Builder::new(&spec.columns, 256), origins: Vec::new() }
    }

    /// What was built, if anything was.
    pub fn take(&mut self) -> Result<Option<Chunk>> {
        if self.origins.is_empty() {
            return Ok(None);
        }
        let origins = std::mem::take(&mut self.origins);
        let batch = self.builder.finish(origins.len())?;
        // A batch of one row holds much more than its values.
        let bytes = batch.get_array_memory_size() + origins.len() * size_of::<(Origin, u32)>();
        Ok(Some(Chunk { batch, origins, bytes }))
    }
}

impl Flattener {
    /// For `block`, the one at `index` of its flow, of the table `spec`.
    pub fn new(block: Rows, spec: Arc<TableSpec>, index: u32) -> Self {
        let values: Vec<_> = block.columns.iter().map(|column| (column.column, column.value.clone())).collect();
        let columns = Columns::new(&spec.columns, &spec.key, &values);
        Flattener { block: Arc::new(block), spec, index, columns: Arc::new(columns) }
    }

    /// The block.
    pub fn block(&self) -> &Rows {
        &self.block
    }

    /// How its columns come about.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// Adds the row that `document` stands for to `building`. Returns the text of its key's first column if it is asked for, and
    /// nothing if the block does not fire. A row that cannot be is a failure, and leaves nothing behind.
    pub fn append(
        &self,
        document: &Document,
        env: &Env,
        building: &mut Building,
        with_key: bool,
    ) -> std::result::Result<Option<Arc<str>>, Failure> {
        let scope = document.scope(env);
        let failure = |place: &Place, text: String| Failure::new(Category::Permanent, text, &self.block.name, place);
        if !document.holds(self.block.when.as_ref(), env, &self.block.name, &self.block.place)? {
            return Ok(None);
        }
        let key = self.columns.append(&scope, &mut building.builder, with_key).map_err(|refused| {
            let (index, what) = match refused {
                Refused::Eval(index, error) => (index, format!(": {error}")),
                Refused::Null(index) if self.spec.key.contains(&index) => (index, " of the key is null".to_owned()),
                Refused::Null(index) => (index, " must not be null".to_owned()),
            };
            let written = self.block.columns.iter().find(|c| c.column == index);
            let name = self.spec.columns.get(index).map_or("", |c| &c.name);
            failure(written.map_or(&self.block.place, |c| &c.place), format!("column `{name}`{what}"))
        })?;
        building.origins.push((document.meta.origin.clone(), self.index));
        Ok(key)
    }
}

type Parts = (Vec<u8>, Vec<(Origin, u32)>, usize);

impl Serialize for Chunk {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let batch = rows::to_bytes(&self.batch).map_err(serde::ser::Error::custom)?;
        (batch, &self.origins, self.bytes).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Chunk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let (batch, origins, bytes) = Parts::deserialize(deserializer)?;
        Ok(Chunk { batch: rows::from_bytes(&batch).map_err(serde::de::Error::custom)?, origins, bytes })
    }
}
