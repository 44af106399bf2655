//! The data files of a table: what the log says of them, which of them may hold a key, and how their rows are read.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use deltalake::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use deltalake::arrow::compute::{cast, take};
use deltalake::arrow::datatypes::SchemaRef;
use deltalake::kernel::{LogicalFileView, Remove};
use deltalake::logstore::ObjectStoreRef;
use deltalake::table::state::DeltaTableState;
use deltalake::{DeltaResult, DeltaTableError, Path};
use serde::Deserialize;

use super::parquet::{Batches, Reader};
use super::schema;
use crate::rows;
use crate::table::{Cell, ColumnType, Row, TableSpec};

/// One data file. Files never change, so what was learnt of one holds as long as it is in the table.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// Where it is.
    pub path: Path,
    /// Its bytes.
    pub size: u64,
    /// Its rows, where the log says.
    pub rows: Option<u64>,
    /// Its partition, in the order of the partition columns; `None` where the log's text is not understood.
    pub partition: Option<Vec<Cell>>,
    /// Whether some of its rows are deleted by a deletion vector.
    pub has_vector: bool,
    /// The action that takes it out of the table.
    pub remove: Remove,
    /// Smallest and greatest value of the first key column, as bounds.
    range: Option<(Cell, Cell)>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    num_records: Option<u64>,
    #[serde(default)]
    min_values: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    max_values: serde_json::Map<String, serde_json::Value>,
}

impl File {
    fn new(spec: &TableSpec, view: &LogicalFileView) -> File {
        let stats: Stats = view.stats().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let first_key = spec.key.first().and_then(|index| spec.columns.get(*index));
        let range = first_key.and_then(|column| {
            let bound = |values: &serde_json::Map<String, serde_json::Value>| match values.get(&column.name)? {
                serde_json::Value::String(text) if matches!(schema::kind_of_store(column.kind), ColumnType::String) => {
                    Some(Cell::Text(text.as_str().into()))
                }
                serde_json::Value::Number(n) if matches!(column.kind, ColumnType::Int64 | ColumnType::Int32) => {
                    n.as_i64().map(Cell::Int)
                }
                _ => None,
            };
            Some((bound(&stats.min_values)?, bound(&stats.max_values)?))
        });
        let values = view.partition_values_map();
        let partition = spec.partition.iter().filter_map(|index| spec.columns.get(*index)).map(|column| {
            let text = values.get(&column.name).and_then(Option::as_deref);
            schema::partition_cell(column.kind, text)
        });
        File {
            path: view.object_store_path(),
            size: u64::try_from(view.size()).unwrap_or(0),
            rows: stats.num_records.or_else(|| view.num_records().map(|n| n as u64)),
            partition: partition.collect(),
            has_vector: view.deletion_vector_descriptor().is_some(),
            remove: view.remove_action(true),
            range,
        }
    }

    /// Whether a row of `rows`, which are ordered by key, may be in it, as far as the first key column tells.
    fn may_hold(&self, spec: &TableSpec, rows: &[Row]) -> bool {
        let (Some((low, high)), Some(first)) = (&self.range, spec.key.first()) else { return true };
        let cell = |row: &Row| row.get(*first).and_then(Option::as_ref).cloned();
        let from = rows.partition_point(|row| cell(row).is_some_and(|key| key < *low));
        match rows.get(from).and_then(cell) {
            None => false,
            // Long texts are cut in the log: a key that begins with the greatest value may still be in the file.
            Some(Cell::Text(key)) if matches!(high, Cell::Text(high) if key.starts_with(&**high)) => true,
            Some(key) => key <= *high,
        }
    }
}

/// The data files of one version of the table.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    by_name: HashMap<String, Arc<File>>,
}

impl Files {
    /// The files of `state`; what `self` knows already is not parsed again.
    pub fn update(&mut self, spec: &TableSpec, state: &DeltaTableState) {
        let mut known = std::mem::take(&mut self.by_name);
        for view in state.log_data().iter() {
            let name = view.path().into_owned();
            let has_vector = view.deletion_vector_descriptor().is_some();
            let file = known.remove(&name).filter(|file| file.has_vector == has_vector && !has_vector);
            self.by_name.insert(name, file.unwrap_or_else(|| Arc::new(File::new(spec, &view))));
        }
    }

    /// All files, in the order of their names.
    pub fn all(&self) -> Vec<Arc<File>> {
        let mut files: Vec<_> = self.by_name.values().cloned().collect();
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        files
    }

    /// The files that may hold a key of `rows`. With `fixed_partitions` only the partitions of `rows` are searched.
    pub fn candidates(&self, spec: &TableSpec, rows: &[Row], fixed_partitions: bool) -> Vec<Arc<File>> {
        let tuple = |row: &Row| -> Vec<Cell> {
            spec.partition.iter().map(|index| row.get(*index).cloned().flatten().unwrap_or(Cell::Null)).collect()
        };
        let partitions: Option<HashSet<Vec<Cell>>> =
            (fixed_partitions && !spec.partition.is_empty()).then(|| rows.iter().map(tuple).collect());
        let mut files = self.all();
        files.retain(|file| {
            let in_partition = match (&partitions, &file.partition) {
                (Some(wanted), Some(partition)) => wanted.contains(partition),
                _ => true,
            };
            in_partition && file.may_hold(spec, rows)
        });
        files
    }
}

/// Opens `file`; see [`conform`] for what its batches need afterwards.
pub(super) async fn open(store: &ObjectStoreRef, file: &File) -> DeltaResult<Reader> {
    if file.has_vector {
        return Err(DeltaTableError::InvalidData {
            message: format!(
                "{} has a deletion vector, and files with one are not written here: run REORG TABLE .. APPLY (PURGE) and \
                 set delta.enableDeletionVectors to false",
                file.path
            ),
        });
    }
    Reader::open(store.clone(), file.path.clone(), file.size).await
}

/// The columns of `schema` as far as `reader`'s file has them.
pub(super) fn columns(reader: &Reader, schema: &SchemaRef) -> DeltaResult<Batches> {
    reader.columns(schema.fields().iter().map(|field| field.name().as_str()))
}

/// `batch` of `file` in the shape of `schema`: partition columns from the log, columns that were added later as nulls,
/// other writers' types cast.
pub(super) fn conform(
    spec: &TableSpec,
    file: &File,
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> DeltaResult<RecordBatch> {
    let n = batch.num_rows();
    let columns = schema.fields().iter().map(|field| -> DeltaResult<ArrayRef> {
        let place = spec.partition.iter().position(|i| spec.columns.get(*i).is_some_and(|c| &c.name == field.name()));
        if let Some(place) = place {
            let value = file.partition.as_ref().and_then(|values| values.get(place)).ok_or_else(|| {
                let message =
                    format!("the partition of {} is not understood: {:?}", file.path, file.remove.partition_values);
                DeltaTableError::InvalidData { message }
            })?;
            let column = spec.partition.get(place).and_then(|i| spec.columns.get(*i)).map(std::slice::from_ref);
            let one = rows::batch(column.unwrap_or_default(), &[vec![Some(value.clone())]])
                .map_err(|e| DeltaTableError::generic(e.to_string()))?;
            return Ok(take(one.column(0), &UInt32Array::from(vec![0; n]), None)?);
        }
        Ok(match batch.column_by_name(field.name()) {
            None => new_null_array(field.data_type(), n),
            Some(array) if array.data_type() == field.data_type() => array.clone(),
            Some(array) => cast(array, field.data_type())?,
        })
    });
    let columns = columns.collect::<DeltaResult<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(n));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}
