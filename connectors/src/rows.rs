//! Rows on their way into a table: checked, ordered by key, as columns and back. What every table refuses, it refuses here.

use deltalake::arrow::array::{
    Array as _, ArrayRef, AsArray as _, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array,
};
use deltalake::arrow::compute::{concat_batches, nullif, take, take_record_batch};
use deltalake::arrow::datatypes::{
    DataType, Date32Type, Field, Float64Type, Int32Type, Int64Type, Schema, SchemaRef, TimeUnit,
    TimestampMicrosecondType,
};
use deltalake::arrow::error::ArrowError;
use deltalake::arrow::ipc::reader::StreamReader;
use deltalake::arrow::ipc::writer::StreamWriter;
use deltalake::arrow::row::{RowConverter, Rows, SortField};

use crate::builder::Builder;
use crate::table::{Cell, Column, ColumnType, Row, TableSpec};
use crate::{Error, Result};

fn refused(spec: &TableSpec, what: impl std::fmt::Display) -> Error {
    Error::permanent(format!("table {}: {what}", spec.name))
}

/// Refuses rows that no table could hold, and puts the rest in the order of their keys.
///
/// An empty text in a partition column becomes null: Delta's log has one spelling for both.
pub fn checked(spec: &TableSpec, mut rows: Vec<Row>) -> Result<Vec<Row>> {
    for row in &mut rows {
        if row.len() != spec.columns.len() {
            let what = format!("a row has {} cells, declared are {} columns", row.len(), spec.columns.len());
            return Err(refused(spec, what));
        }
        for index in &spec.partition {
            if let Some(cell) = row.get_mut(*index)
                && matches!(cell, Some(Cell::Text(text)) if text.is_empty())
            {
                *cell = Some(Cell::Null);
            }
        }
        for (index, (column, cell)) in spec.columns.iter().zip(row.iter()).enumerate() {
            let in_key = spec.key.contains(&index);
            match cell {
                None | Some(Cell::Null) if in_key => {
                    let what = format!("a row has no value for the key column {}", column.name);
                    return Err(refused(spec, what).hint("write only rows whose key is known"));
                }
                Some(Cell::Null) if !column.nullable => {
                    let what = format!("a row has null for column {}, which may not be null", column.name);
                    return Err(refused(spec, what).hint("drop the ! from the column, or give it a value"));
                }
                _ => {}
            }
        }
    }
    rows.sort_unstable_by(|a, b| key(spec, a).cmp(key(spec, b)));
    let twice = rows.windows(2).any(|pair| matches!(pair, [a, b] if key(spec, a).eq(key(spec, b))));
    if twice {
        return Err(refused(spec, "two rows of one commit have the same key").hint("consolidate rows by key first"));
    }
    Ok(rows)
}

fn key<'a>(spec: &'a TableSpec, row: &'a Row) -> impl Iterator<Item = Option<&'a Cell>> {
    spec.key.iter().map(|index| row.get(*index).and_then(Option::as_ref))
}

/// A new row must carry every column that may not be null.
pub fn check_insert(spec: &TableSpec, row: &Row) -> Result<()> {
    for (column, cell) in spec.columns.iter().zip(row) {
        if cell.is_none() && !column.nullable {
            let what = format!("a new row lacks column {}, which may not be null", column.name);
            return Err(refused(spec, what).hint("drop the ! from the column, or write it in every row block"));
        }
    }
    Ok(())
}

/// How a column type looks in memory.
pub fn arrow_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Id | ColumnType::String | ColumnType::Text | ColumnType::Decimal | ColumnType::Json => {
            DataType::Utf8
        }
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Int32 => DataType::Int32,
        ColumnType::Float64 => DataType::Float64,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Date => DataType::Date32,
    }
}

/// The declared columns as an Arrow schema. Every field may be null: a row need not carry every column.
pub fn arrow_schema<'a>(columns: impl IntoIterator<Item = &'a Column>) -> SchemaRef {
    let fields: Vec<Field> = columns.into_iter().map(|c| Field::new(&c.name, arrow_type(c.kind), true)).collect();
    Schema::new(fields).into()
}

/// `rows` as one batch of all declared columns; a cell that is absent is null here.
///
/// ```
/// use connectors::table::{Cell, Column, ColumnType};
/// let columns = [Column { name: "id".into(), kind: ColumnType::Int64, nullable: false, about: None }];
/// let batch = connectors::rows::batch(&columns, &[vec![Some(Cell::Int(7))]]).unwrap();
/// assert_eq!(batch.num_rows(), 1);
/// ```
pub fn batch(columns: &[Column], rows: &[Row]) -> Result<RecordBatch> {
    let mut builder = Builder::new(columns, rows.len());
    for row in rows {
        for index in 0..columns.len() {
            builder.cell(index, row.get(index).and_then(Option::as_ref).unwrap_or(&Cell::Null))?;
        }
    }
    builder.finish(rows.len())
}

/// The rows of `batch`, which holds columns of the types that [`arrow_type`] names.
///
/// ```
/// use connectors::table::{Cell, Column, ColumnType};
/// let columns = [Column { name: "id".into(), kind: ColumnType::Int64, nullable: true, about: None }];
/// let rows = vec![vec![Some(Cell::Int(7))], vec![Some(Cell::Null)]];
/// let batch = connectors::rows::batch(&columns, &rows).unwrap();
/// assert_eq!(connectors::rows::of_batch(&batch).unwrap(), rows);
/// ```
pub fn of_batch(batch: &RecordBatch) -> Result<Vec<Row>> {
    let mut rows = vec![Vec::with_capacity(batch.num_columns()); batch.num_rows()];
    for (column, field) in batch.columns().iter().zip(batch.schema_ref().fields()) {
        macro_rules! read {
            ($array:expr, $value:ident => $cell:expr) => {{
                for (row, value) in rows.iter_mut().zip($array.iter()) {
                    row.push(Some(value.map_or(Cell::Null, |$value| $cell)));
                }
            }};
        }
        match column.data_type() {
            DataType::Utf8 => read!(column.as_string::<i32>(), v => Cell::Text(v.into())),
            DataType::Int64 => read!(column.as_primitive::<Int64Type>(), v => Cell::Int(v)),
            DataType::Int32 => read!(column.as_primitive::<Int32Type>(), v => Cell::Int(v.into())),
            DataType::Float64 => read!(column.as_primitive::<Float64Type>(), v => Cell::Float(v.to_bits())),
            DataType::Boolean => read!(column.as_boolean(), v => Cell::Bool(v)),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                read!(column.as_primitive::<TimestampMicrosecondType>(), v => Cell::Timestamp(v));
            }
            DataType::Date32 => read!(column.as_primitive::<Date32Type>(), v => Cell::Date(v)),
            other => return Err(Error::permanent(format!("column {} is {other}, which no row holds", field.name()))),
        }
    }
    Ok(rows)
}

/// Refuses a batch that no table that inserts could hold: other columns than declared, or nulls where none may be. The rows
/// come back in the order of their keys, empty texts of partition columns as null.
pub fn checked_batch(spec: &TableSpec, batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = arrow_schema(&spec.columns);
    if batch.schema_ref().fields() != schema.fields() {
        return Err(refused(spec, "a batch has other columns than are declared"));
    }
    let failed = |e| refused(spec, format!("cannot order a batch: {e}"));
    let mut arrays = batch.columns().to_vec();
    for index in &spec.partition {
        let Some(array) = arrays.get_mut(*index) else { continue };
        if let Some(texts) = array.as_string_opt::<i32>() {
            let empty: BooleanArray = texts.iter().map(|text| Some(text == Some(""))).collect();
            *array = nullif(array, &empty).map_err(failed)?;
        }
    }
    for (index, (column, array)) in spec.columns.iter().zip(&arrays).enumerate() {
        if array.null_count() > 0 && (!column.nullable || spec.key.contains(&index)) {
            let what = format!("a row has null for column {}, which may not be null", column.name);
            return Err(refused(spec, what).hint("drop the ! from the column, or give it a value"));
        }
    }
    let keys = encoded_keys(spec, &arrays).map_err(failed)?;
    let mut order: Vec<u32> = (0..).take(batch.num_rows()).collect();
    let key = |index: u32| keys.row(index as usize);
    order.sort_unstable_by(|a, b| key(*a).cmp(&key(*b)));
    if order.windows(2).any(|pair| matches!(pair, [a, b] if key(*a) == key(*b))) {
        return Err(refused(spec, "two rows of one commit have the same key").hint("consolidate rows by key first"));
    }
    let order = UInt32Array::from(order);
    let arrays = arrays.iter().map(|array| take(array, &order, None)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema, arrays, &options).map_err(failed)
}

/// The key of each row as bytes that sort as the keys do. `columns` are all columns of `spec`.
pub fn encoded_keys(spec: &TableSpec, columns: &[ArrayRef]) -> Result<Rows, ArrowError> {
    let keys: Vec<ArrayRef> = spec.key.iter().filter_map(|index| columns.get(*index)).cloned().collect();
    encoded(&keys)
}

/// Calls `use_keys` with the key of each row of `batch`, which holds all columns of `spec`, as bytes that are equal where the keys
/// are.
pub fn with_keys<R>(spec: &TableSpec, batch: &RecordBatch, use_keys: impl FnOnce(&[&[u8]]) -> R) -> Result<R> {
    // A key of one text is its own bytes; most are.
    if let [index] = spec.key.as_slice()
        && let Some(texts) = batch.columns().get(*index).and_then(|column| column.as_string_opt::<i32>())
        && texts.null_count() == 0
    {
        return Ok(use_keys(&(0..texts.len()).map(|row| texts.value(row).as_bytes()).collect::<Vec<_>>()));
    }
    let keys = encoded_keys(spec, batch.columns()).map_err(|e| refused(spec, format!("cannot encode keys: {e}")))?;
    Ok(use_keys(&keys.iter().map(|key| key.data()).collect::<Vec<_>>()))
}

/// The same of the key columns alone.
pub(crate) fn encoded(keys: &[ArrayRef]) -> Result<Rows, ArrowError> {
    RowConverter::new(keys.iter().map(|key| SortField::new(key.data_type().clone())).collect())?.convert_columns(keys)
}

/// `batches` of the same columns as one.
pub fn concat(spec: &TableSpec, batches: &[RecordBatch]) -> Result<RecordBatch> {
    concat_batches(&arrow_schema(&spec.columns), batches)
        .map_err(|e| refused(spec, format!("cannot join batches: {e}")))
}

/// The rows of `batch` at `indices`, in that order.
pub fn pick(spec: &TableSpec, batch: &RecordBatch, indices: Vec<u32>) -> Result<RecordBatch> {
    take_record_batch(batch, &UInt32Array::from(indices)).map_err(|e| refused(spec, format!("cannot pick rows: {e}")))
}

/// A batch as bytes, for another process: Arrow's stream format.
pub fn to_bytes(batch: &RecordBatch) -> Result<Vec<u8>> {
    let failed = |e: ArrowError| Error::permanent(format!("cannot encode a batch: {e}"));
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref()).map_err(failed)?;
    writer.write(batch).map_err(failed)?;
    writer.into_inner().map_err(failed)
}

/// The batch that [`to_bytes`] made into `bytes`.
pub fn from_bytes(bytes: &[u8]) -> Result<RecordBatch> {
    let failed = |e: ArrowError| Error::permanent(format!("cannot decode a batch: {e}"));
    let mut batches = StreamReader::try_new(bytes, None).map_err(failed)?;
    batches.next().ok_or_else(|| Error::permanent("no batch where one was expected"))?.map_err(failed)
}
