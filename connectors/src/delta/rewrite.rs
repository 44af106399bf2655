//! Which rows of a table a batch changes, and the files that hold the result: copy on write, one file at a time.
//!
//! A file is read for its key columns first. Where no key of the batch is found, that is all. Else it is read whole, the
//! rows that change are replaced, and it is written again, unless nothing in it changes. Keys that no file holds are new
//! rows and go into files of their own, ordered by key.

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use deltalake::arrow::array::make_comparator;
use deltalake::arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use deltalake::arrow::compute::{SortOptions, interleave, take};
use deltalake::arrow::datatypes::{Schema, SchemaRef};
use deltalake::datafile::writer::{DeltaWriter, WriterConfig};
use deltalake::kernel::Add;
use deltalake::logstore::ObjectStoreRef;
use deltalake::{DeltaResult, DeltaTableError};
use futures::TryStreamExt as _;
use hashbrown::HashMap;

use super::files::{self, File};
use crate::table::{Mode, Row, TableSpec, Transactions};
use crate::{Result, rows};

/// The rows of one commit, indexed by key.
pub(super) struct Source {
    spec: Arc<TableSpec>,
    /// Ordered by key. Of a batch that came as columns only the cells of key and partition are here.
    pub rows: Vec<Row>,
    /// All declared columns; absent cells are null.
    batch: RecordBatch,
    /// Whether every row carries every column.
    whole: bool,
    /// The encoded key of each row, to its index.
    by_key: HashMap<Box<[u8]>, u32>,
}

/// Where the files of a table are read and written, and in which shape.
#[derive(Clone)]
pub(super) struct Target {
    /// The table's folder.
    pub store: ObjectStoreRef,
    /// All its columns, declared or not.
    pub schema: SchemaRef,
    /// How its files are written.
    pub writer: WriterConfig,
}

/// What became of one file.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The rows of the batch whose keys it holds.
    pub found: Vec<u32>,
    /// What takes its place; none when nothing in it changed.
    pub adds: Vec<Add>,
    /// Rows that were changed.
    pub updated: u64,
    /// Rows that were copied as they were.
    pub copied: u64,
}

impl Source {
    /// Indexes `rows`, which are checked and ordered by key.
    pub fn new(spec: Arc<TableSpec>, rows: Vec<Row>) -> Result<Source> {
        let batch = rows::batch(&spec.columns, &rows)?;
        Source { spec, rows, batch, whole: false, by_key: HashMap::new() }.indexed()
    }

    /// Indexes whole rows that came as columns, checked and ordered by key.
    pub fn of_batch(spec: Arc<TableSpec>, batch: RecordBatch) -> Result<Source> {
        let mut rows = vec![vec![None; spec.columns.len()]; batch.num_rows()];
        let failed = |e| crate::Error::permanent(format!("cannot read keys: {e}"));
        for index in spec.key.iter().chain(&spec.partition) {
            let cells = rows::of_batch(&batch.project(&[*index]).map_err(failed)?)?;
            for (row, cell) in rows.iter_mut().zip(cells.into_iter().flatten()) {
                if let Some(slot) = row.get_mut(*index) {
                    *slot = cell;
                }
            }
        }
        Source { spec, rows, batch, whole: true, by_key: HashMap::new() }.indexed()
    }

    fn indexed(mut self) -> Result<Source> {
        let encoded =
            self.encode(&self.batch).map_err(|e| crate::Error::permanent(format!("cannot encode keys: {e}")))?;
        self.by_key = (0u32..).zip(&encoded).map(|(index, key)| (key.as_ref().into(), index)).collect();
        Ok(self)
    }

    /// A number that tells this batch from another one.
    pub fn fingerprint(&self, transactions: &Transactions) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.rows, transactions).hash(&mut hasher);
        hasher.finish()
    }

    /// Refuses rows that are new and lack a column that must not be null. Rows that came as columns are whole.
    pub fn check_new(&self, new: &[u32]) -> Result<()> {
        if self.whole {
            return Ok(());
        }
        let mut new = new.iter().filter_map(|index| self.rows.get(*index as usize));
        new.try_for_each(|row| rows::check_insert(&self.spec, row))
    }

    /// The keys of `batch`, which holds the key columns by name.
    fn encode(&self, batch: &RecordBatch) -> DeltaResult<deltalake::arrow::row::Rows> {
        let schema = self.key_schema();
        let columns = schema.fields().iter().map(|field| {
            let column = batch.column_by_name(field.name()).cloned();
            column.ok_or_else(|| DeltaTableError::generic(format!("key column {} was not read", field.name())))
        });
        let columns: Vec<ArrayRef> = columns.collect::<DeltaResult<_>>()?;
        Ok(rows::encoded(&columns)?)
    }

    fn key_schema(&self) -> Schema {
        let schema = self.batch.schema();
        Schema::new(self.spec.key.iter().filter_map(|i| schema.fields().get(*i)).cloned().collect::<Vec<_>>())
    }

    /// Finds the rows of the batch in `file` and, unless the table only inserts, writes the file again where they change
    /// it.
    pub async fn apply(&self, target: &Target, file: &File) -> DeltaResult<Outcome> {
        let mut out = Outcome::default();
        let keys: SchemaRef = self.key_schema().into();
        let mut hits: Vec<(usize, u32)> = Vec::new();
        let reader = files::open(&target.store, file).await?;
        let mut batches = files::columns(&reader, &keys)?;
        let mut at = 0;
        while let Some(batch) = batches.try_next().await? {
            let batch = files::conform(&self.spec, file, &batch, &keys)?;
            for (i, key) in self.encode(&batch)?.iter().enumerate() {
                if let Some(index) = self.by_key.get(key.as_ref()) {
                    hits.push((at + i, *index));
                }
            }
            at += batch.num_rows();
        }
        out.found = hits.iter().map(|(_, index)| *index).collect();
        if self.spec.mode == Mode::Insert || hits.is_empty() {
            return Ok(out);
        }

        // Nothing is written before the first row that changes: until then the batches wait.
        let mut waiting: Vec<RecordBatch> = Vec::new();
        let mut writer: Option<DeltaWriter> = None;
        let mut batches = files::columns(&reader, &target.schema)?;
        let mut hits = hits.as_slice();
        let (mut at, mut rows) = (0, 0u64);
        while let Some(batch) = batches.try_next().await? {
            let batch = files::conform(&self.spec, file, &batch, &target.schema)?;
            let end = at + batch.num_rows();
            let (here, later) = hits.split_at(hits.partition_point(|(row, _)| *row < end));
            let (batch, changed) = self.merge(&batch, at, here)?;
            (hits, at) = (later, end);
            rows += batch.num_rows() as u64;
            out.updated += changed;
            waiting.push(batch);
            if out.updated > 0 {
                let writer =
                    writer.get_or_insert_with(|| DeltaWriter::new(target.store.clone(), target.writer.clone()));
                for batch in waiting.drain(..) {
                    writer.write(&batch).await?;
                }
            }
        }
        if let Some(writer) = writer {
            out.adds = writer.close().await?;
            out.copied = rows - out.updated;
        }
        Ok(out)
    }

    /// `target`, whose first row is row `at` of its file, with the rows of `hits` (row of the file, row of the batch)
    /// replaced where the group's version allows it; and how many of them really changed.
    fn merge(&self, target: &RecordBatch, at: usize, hits: &[(usize, u32)]) -> DeltaResult<(RecordBatch, u64)> {
        let schema = target.schema();
        let places: Vec<Option<usize>> = self.spec.columns.iter().map(|c| schema.index_of(&c.name).ok()).collect();
        let mut columns = Vec::with_capacity(places.len());
        for (place, new) in places.iter().zip(self.batch.columns()) {
            let old = place.and_then(|place| target.columns().get(place)).ok_or_else(|| {
                DeltaTableError::SchemaMismatch { msg: "the table lost a declared column: open it again".to_owned() }
            })?;
            let compare = make_comparator(old, new, SortOptions::default())?;
            columns.push((old, new, compare, Vec::<(usize, usize)>::new()));
        }
        let mut changed = 0;
        for (row, index) in hits {
            let (old_row, new_row) = (row - at, *index as usize);
            let Some(cells) = self.rows.get(new_row) else { continue };
            let carried = |column: usize| cells.get(column).is_some_and(Option::is_some);
            let mut differs = false;
            for group in &self.spec.groups {
                let newer = group.version.and_then(|v| columns.get(v)).is_none_or(|(old, new, compare, _)| {
                    old.is_null(old_row) || (new.is_valid(new_row) && compare(old_row, new_row) != Ordering::Greater)
                });
                if !newer {
                    continue;
                }
                for column in group.columns.iter().copied().filter(|c| carried(*c)) {
                    if let Some((_, _, compare, replaced)) = columns.get_mut(column)
                        && compare(old_row, new_row) != Ordering::Equal
                    {
                        replaced.push((old_row, new_row));
                        differs = true;
                    }
                }
            }
            for column in &self.spec.keep {
                if let Some((old, new, _, replaced)) = columns.get_mut(*column)
                    && old.is_null(old_row)
                    && new.is_valid(new_row)
                {
                    replaced.push((old_row, new_row));
                    differs = true;
                }
            }
            changed += u64::from(differs);
        }
        if changed == 0 {
            return Ok((target.clone(), 0));
        }
        let mut arrays = target.columns().to_vec();
        for ((old, new, _, replaced), place) in columns.iter().zip(&places) {
            if replaced.is_empty() {
                continue;
            }
            let mut from: Vec<(usize, usize)> = (0..old.len()).map(|row| (0, row)).collect();
            for (old_row, new_row) in replaced {
                if let Some(slot) = from.get_mut(*old_row) {
                    *slot = (1, *new_row);
                }
            }
            if let Some(slot) = place.and_then(|place| arrays.get_mut(place)) {
                *slot = interleave(&[old.as_ref(), new.as_ref()], &from)?;
            }
        }
        Ok((RecordBatch::try_new(schema, arrays)?, changed))
    }

    /// Writes the rows of the batch that are not in `found` as new files.
    pub async fn insert(&self, target: &Target, new: &[u32]) -> DeltaResult<Vec<Add>> {
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let indices = UInt32Array::from(new.to_vec());
        let columns = target.schema.fields().iter().map(|field| match self.batch.column_by_name(field.name()) {
            Some(column) => Ok(take(column, &indices, None)?),
            None => Ok(new_null_array(field.data_type(), new.len())),
        });
        let columns = columns.collect::<DeltaResult<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(new.len()));
        let batch = RecordBatch::try_new_with_options(target.schema.clone(), columns, &options)?;
        let mut writer = DeltaWriter::new(target.store.clone(), target.writer.clone());
        writer.write(&batch).await?;
        writer.close().await
    }
}
