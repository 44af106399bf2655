//! Reads columns of scanned batches as plain values, whatever array type the reader chose for them.

use deltalake::arrow::array::{Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::{DataType, TimeUnit};

use crate::{Error, Result};

fn as_type(batch: &RecordBatch, column: usize, kind: &DataType) -> Result<deltalake::arrow::array::ArrayRef> {
    let array =
        batch.columns().get(column).ok_or_else(|| Error::permanent(format!("no column {column} in the batch")))?;
    cast(array, kind).map_err(|e| Error::permanent(format!("column {column} cannot be read as {kind}: {e}")))
}

/// The texts of a column; numbers and dates as their text.
pub fn texts(batch: &RecordBatch, column: usize) -> Result<Vec<Option<String>>> {
    let array = as_type(batch, column, &DataType::Utf8)?;
    let texts = array.as_any().downcast_ref::<StringArray>();
    let texts = texts.ok_or_else(|| Error::permanent(format!("column {column} is not text")))?;
    Ok(texts.iter().map(|t| t.map(str::to_owned)).collect())
}

/// The instants of a column, in microseconds since 1970.
pub fn instants(batch: &RecordBatch, column: usize) -> Result<Vec<Option<i64>>> {
    let array = as_type(batch, column, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
    let instants = array.as_any().downcast_ref::<TimestampMicrosecondArray>();
    let instants = instants.ok_or_else(|| Error::permanent(format!("column {column} is not a timestamp")))?;
    Ok(instants.iter().collect())
}
