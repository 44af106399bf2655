//! Rows on their way into a table: checked, ordered by key, and as one typed Arrow array for each declared column. What
//! every table refuses, it refuses here.

use deltalake::arrow::array::builder::{
    BooleanBuilder, Date32Builder, Float64Builder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use deltalake::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use deltalake::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::sync::Arc;

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
    let arrays = columns.iter().enumerate().map(|(i, c)| array(c, i, rows)).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(arrow_schema(columns), arrays, &options)
        .map_err(|e| Error::permanent(format!("cannot make a batch of {} rows: {e}", rows.len())))
}

fn array(column: &Column, index: usize, rows: &[Row]) -> Result<ArrayRef> {
    macro_rules! build {
        ($builder:expr, $pattern:pat => $value:expr) => {{
            let mut builder = $builder;
            for row in rows {
                match row.get(index).and_then(Option::as_ref) {
                    None | Some(Cell::Null) => builder.append_null(),
                    Some($pattern) => builder.append_value($value),
                    Some(other) => return Err(mismatch(column, other)),
                }
            }
            Arc::new(builder.finish()) as ArrayRef
        }};
    }
    let n = rows.len();
    Ok(match column.kind {
        ColumnType::Id | ColumnType::String | ColumnType::Text | ColumnType::Decimal | ColumnType::Json => {
            build!(StringBuilder::with_capacity(n, n * 16), Cell::Text(text) => text)
        }
        ColumnType::Int64 => build!(Int64Builder::with_capacity(n), Cell::Int(value) => *value),
        ColumnType::Int32 => build!(Int32Builder::with_capacity(n), Cell::Int(value) => {
            i32::try_from(*value).map_err(|_| {
                Error::permanent(format!("column {} is a 32-bit integer, and {value} does not fit", column.name))
                    .hint("declare the column as int64")
            })?
        }),
        ColumnType::Float64 => build!(Float64Builder::with_capacity(n), Cell::Float(bits) => f64::from_bits(*bits)),
        ColumnType::Bool => build!(BooleanBuilder::with_capacity(n), Cell::Bool(value) => *value),
        ColumnType::Timestamp => {
            build!(TimestampMicrosecondBuilder::with_capacity(n).with_timezone("UTC"), Cell::Timestamp(value) => *value)
        }
        ColumnType::Date => build!(Date32Builder::with_capacity(n), Cell::Date(value) => *value),
    })
}

fn mismatch(column: &Column, cell: &Cell) -> Error {
    let found = match cell {
        Cell::Null => "null",
        Cell::Bool(_) => "a bool",
        Cell::Int(_) => "an integer",
        Cell::Float(_) => "a float",
        Cell::Text(_) => "text",
        Cell::Timestamp(_) => "a timestamp",
        Cell::Date(_) => "a date",
    };
    Error::permanent(format!("column {} is {:?}, and a row holds {found}", column.name, column.kind))
}
