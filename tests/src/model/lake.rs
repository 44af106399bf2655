//! Delta tables as rows of JSON. Instants become ISO text in UTC and dates `YYYY-MM-DD`, as in the model.

use std::path::Path;

use deltalake::arrow::array::{Array, ArrayRef, AsArray};
use deltalake::arrow::datatypes::{
    DataType, Date32Type, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use deltalake::datafusion::prelude::SessionContext;
use deltalake::{DeltaTableError, ensure_table_uri};
use serde_json::{Map, Value, json};

use super::coerce::iso;

/// The rows of the newest version of the table at `path`; none where there is no table.
pub async fn read(path: &Path) -> Result<Vec<Map<String, Value>>, DeltaTableError> {
    if !path.join("_delta_log").exists() {
        return Ok(Vec::new());
    }
    let table = deltalake::open_table(ensure_table_uri(path.to_string_lossy())?).await?;
    let context = SessionContext::new();
    let batches = context.read_table(table.table_provider().await?)?.collect().await?;
    let mut rows = Vec::new();
    for batch in &batches {
        let schema = batch.schema();
        for index in 0..batch.num_rows() {
            let cells = schema.fields().iter().zip(batch.columns()).map(|(f, c)| (f.name().clone(), cell(c, index)));
            rows.push(cells.collect());
        }
    }
    Ok(rows)
}

fn cell(column: &ArrayRef, index: usize) -> Value {
    if column.is_null(index) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Utf8 => json!(column.as_string::<i32>().value(index)),
        DataType::LargeUtf8 => json!(column.as_string::<i64>().value(index)),
        DataType::Utf8View => json!(column.as_string_view().value(index)),
        DataType::Boolean => json!(column.as_boolean().value(index)),
        DataType::Int32 => json!(column.as_primitive::<Int32Type>().value(index)),
        DataType::Int64 => json!(column.as_primitive::<Int64Type>().value(index)),
        DataType::Float64 => json!(column.as_primitive::<Float64Type>().value(index)),
        DataType::Date32 => {
            let days = i64::from(column.as_primitive::<Date32Type>().value(index));
            json!(super::coerce::date(days * 86_400_000_000))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            json!(iso(column.as_primitive::<TimestampMicrosecondType>().value(index)))
        }
        other => json!(format!("a cell of type {other}")),
    }
}
