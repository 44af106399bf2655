//! Rows become columns: one typed Arrow builder for each declared column.
//!
//! ```
//! use connectors::builder::Builder;
//! use connectors::table::{Cell, Column, ColumnType};
//!
//! let column = |name: &str, kind| Column { name: name.into(), kind, nullable: true, about: None };
//! let columns = [column("name", ColumnType::String), column("age", ColumnType::Int32)];
//! let mut builder = Builder::new(&columns, 2);
//! builder.text(0, "Ada");
//! builder.cell(1, &Cell::Int(36)).unwrap();
//! builder.null(0);
//! builder.cell(1, &Cell::Null).unwrap();
//! assert_eq!(builder.finish(2).unwrap().num_rows(), 2);
//! ```

use std::sync::Arc;

use deltalake::arrow::array::builder::{
    BooleanBuilder, Date32Builder, Float64Builder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use deltalake::arrow::array::{Array as _, ArrayRef, RecordBatch, RecordBatchOptions};
use deltalake::arrow::datatypes::SchemaRef;

use crate::rows::arrow_schema;
use crate::table::{Cell, Column, ColumnType};
use crate::{Error, Result};

/// Builds batches of the same columns. Every column must get one value a row; [`Builder::finish`] refuses anything else.
#[derive(Debug)]
pub struct Builder {
    columns: Vec<Column>,
    schema: SchemaRef,
    builders: Vec<Typed>,
}

#[derive(Debug)]
enum Typed {
    Text(StringBuilder),
    Int64(Int64Builder),
    Int32(Int32Builder),
    Float64(Float64Builder),
    Bool(BooleanBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Date(Date32Builder),
}

impl Typed {
    fn new(kind: ColumnType, rows: usize) -> Self {
        match kind {
            ColumnType::Id | ColumnType::String | ColumnType::Text | ColumnType::Decimal | ColumnType::Json => {
                Typed::Text(StringBuilder::with_capacity(rows, rows * 16))
            }
            ColumnType::Int64 => Typed::Int64(Int64Builder::with_capacity(rows)),
            ColumnType::Int32 => Typed::Int32(Int32Builder::with_capacity(rows)),
            ColumnType::Float64 => Typed::Float64(Float64Builder::with_capacity(rows)),
            ColumnType::Bool => Typed::Bool(BooleanBuilder::with_capacity(rows)),
            ColumnType::Timestamp => {
                Typed::Timestamp(TimestampMicrosecondBuilder::with_capacity(rows).with_timezone("UTC"))
            }
            ColumnType::Date => Typed::Date(Date32Builder::with_capacity(rows)),
        }
    }

    #[inline]
    fn null(&mut self) {
        match self {
            Typed::Text(b) => b.append_null(),
            Typed::Int64(b) => b.append_null(),
            Typed::Int32(b) => b.append_null(),
            Typed::Float64(b) => b.append_null(),
            Typed::Bool(b) => b.append_null(),
            Typed::Timestamp(b) => b.append_null(),
            Typed::Date(b) => b.append_null(),
        }
    }

    /// The column that was built. The builder is empty afterwards, with room for as much again.
    fn finish(&mut self, rows: usize) -> ArrayRef {
        match self {
            Typed::Text(b) => {
                let bytes = b.values_slice().len();
                let room = StringBuilder::with_capacity(rows, bytes + bytes / 8);
                let mut array = std::mem::replace(b, room).finish();
                // What was expected and did not come is not kept with the batch.
                if array.get_buffer_memory_size() > 2 * (bytes + rows * size_of::<i32>()) {
                    array.shrink_to_fit();
                }
                Arc::new(array)
            }
            Typed::Int64(b) => Arc::new(b.finish()),
            Typed::Int32(b) => Arc::new(b.finish()),
            Typed::Float64(b) => Arc::new(b.finish()),
            Typed::Bool(b) => Arc::new(b.finish()),
            Typed::Timestamp(b) => Arc::new(b.finish()),
            Typed::Date(b) => Arc::new(b.finish()),
        }
    }
}

impl Builder {
    /// For batches of about `rows` rows.
    pub fn new(columns: &[Column], rows: usize) -> Self {
        let builders = columns.iter().map(|column| Typed::new(column.kind, rows)).collect();
        Builder { columns: columns.to_vec(), schema: arrow_schema(columns), builders }
    }

    /// A null in the column at `index`.
    #[inline]
    pub fn null(&mut self, index: usize) {
        if let Some(builder) = self.builders.get_mut(index) {
            builder.null();
        }
    }

    /// A text in the column at `index`, which is one that is stored as text; in any other it is null.
    #[inline]
    pub fn text(&mut self, index: usize, text: &str) {
        match self.builders.get_mut(index) {
            Some(Typed::Text(builder)) => builder.append_value(text),
            Some(other) => other.null(),
            None => {}
        }
    }

    /// A cell in the column at `index`; one of another type is refused.
    #[inline]
    pub fn cell(&mut self, index: usize, cell: &Cell) -> Result<()> {
        match (self.builders.get_mut(index), cell) {
            (None, _) => {}
            (Some(builder), Cell::Null) => builder.null(),
            (Some(Typed::Text(_)), Cell::Text(text)) => self.text(index, text),
            (Some(Typed::Int64(builder)), Cell::Int(value)) => builder.append_value(*value),
            (Some(Typed::Int32(builder)), Cell::Int(value)) => {
                builder.append_value(i32::try_from(*value).map_err(|_| {
                    let name = self.columns.get(index).map_or("", |column| &column.name);
                    Error::permanent(format!("column {name} is a 32-bit integer, and {value} does not fit"))
                        .hint("declare the column as int64")
                })?);
            }
            (Some(Typed::Float64(builder)), Cell::Float(bits)) => builder.append_value(f64::from_bits(*bits)),
            (Some(Typed::Bool(builder)), Cell::Bool(value)) => builder.append_value(*value),
            (Some(Typed::Timestamp(builder)), Cell::Timestamp(value)) => builder.append_value(*value),
            (Some(Typed::Date(builder)), Cell::Date(value)) => builder.append_value(*value),
            (Some(_), other) => return Err(self.mismatch(index, other)),
        }
        Ok(())
    }

    /// The batch of `rows` rows that was built; the builder is empty afterwards.
    pub fn finish(&mut self, rows: usize) -> Result<RecordBatch> {
        let arrays = self.builders.iter_mut().map(|builder| builder.finish(rows)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
            .map_err(|e| Error::permanent(format!("cannot make a batch of {rows} rows: {e}")))
    }

    fn mismatch(&self, index: usize, cell: &Cell) -> Error {
        let found = match cell {
            Cell::Null => "null",
            Cell::Bool(_) => "a bool",
            Cell::Int(_) => "an integer",
            Cell::Float(_) => "a float",
            Cell::Text(_) => "text",
            Cell::Timestamp(_) => "a timestamp",
            Cell::Date(_) => "a date",
        };
        match self.columns.get(index) {
            Some(column) => {
                Error::permanent(format!("column {} is {:?}, and a row holds {found}", column.name, column.kind))
            }
            None => Error::permanent(format!("there is no column {index}")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn columns(kinds: &[ColumnType]) -> Vec<Column> {
        let column = |kind: &ColumnType| Column { name: format!("{kind:?}"), kind: *kind, nullable: true, about: None };
        kinds.iter().map(column).collect()
    }

    #[test]
    fn a_cell_of_another_type_is_refused_by_name() {
        let mut builder = Builder::new(&columns(&[ColumnType::Int32, ColumnType::Date]), 1);
        let error = builder.cell(1, &Cell::Int(1)).unwrap_err().to_string();
        assert!(error.contains("column Date is Date, and a row holds an integer"), "{error}");
        let error = builder.cell(0, &Cell::Int(1 << 40)).unwrap_err().to_string();
        assert!(error.contains("column Int32 is a 32-bit integer"), "{error}");
    }

    #[test]
    fn columns_of_unequal_length_are_no_batch() {
        let mut builder = Builder::new(&columns(&[ColumnType::Int64, ColumnType::String]), 1);
        builder.cell(0, &Cell::Int(1)).unwrap();
        assert!(builder.finish(1).is_err());
    }
}
