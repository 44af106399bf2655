//! The declared columns as Delta and Arrow types, and the comparison with a table that is already there.
//!
//! A column that is declared and not in the table is added as a nullable column. A column that is in the table and not
//! declared is left alone. Anything else that differs is an error that says what to do.

use deltalake::DeltaResult;
use deltalake::arrow::datatypes::{Schema, SchemaRef};
use deltalake::kernel::engine::arrow_conversion::TryIntoArrow as _;
use deltalake::kernel::{DataType, MetadataValue, StructField, StructType};

use super::error::Place;
use crate::table::{Cell, Column, ColumnType, Mode, TableSpec};
use crate::{Error, Result};

/// How a column type is stored in Delta.
pub(super) fn delta_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Id | ColumnType::String | ColumnType::Text | ColumnType::Decimal | ColumnType::Json => {
            DataType::STRING
        }
        ColumnType::Int64 => DataType::LONG,
        ColumnType::Int32 => DataType::INTEGER,
        ColumnType::Float64 => DataType::DOUBLE,
        ColumnType::Bool => DataType::BOOLEAN,
        ColumnType::Timestamp => DataType::TIMESTAMP,
        ColumnType::Date => DataType::DATE,
    }
}

/// All columns of a table, declared or not, as its files hold them.
pub(super) fn of_table(schema: &StructType) -> DeltaResult<SchemaRef> {
    let schema: Schema = schema.try_into_arrow()?;
    Ok(schema.into())
}

/// A declared column as a field of a Delta schema; its meaning becomes its comment.
pub(super) fn field(column: &Column, nullable: bool) -> StructField {
    let field = StructField::new(column.name.clone(), delta_type(column.kind), nullable);
    match &column.about {
        Some(about) => field.with_metadata([("comment", MetadataValue::String(about.clone()))]),
        None => field,
    }
}

/// The names of the partition columns.
pub(super) fn partition_names(spec: &TableSpec) -> Vec<String> {
    spec.partition.iter().filter_map(|c| spec.columns.get(*c)).map(|c| c.name.clone()).collect()
}

/// The indexes of a spec point into its columns, and the key is not empty. Anything else is a bug of the caller, found here
/// once so that nothing below has to look again.
pub fn check_spec(spec: &TableSpec) -> Result<()> {
    let wrong = |what: String| Err(Error::permanent(format!("table {}: {what}", spec.name)));
    if spec.key.is_empty() {
        return wrong("it has no key".to_owned()).map_err(|e| e.hint("declare `key` with at least one column"));
    }
    let groups = spec.groups.iter().flat_map(|g| g.columns.iter().chain(g.version.iter()));
    for index in spec.key.iter().chain(&spec.partition).chain(&spec.keep).chain(groups) {
        if *index >= spec.columns.len() {
            return wrong(format!("column {index} is used and only {} are declared", spec.columns.len()));
        }
    }
    for (i, column) in spec.columns.iter().enumerate() {
        if spec.columns.iter().skip(i + 1).any(|c| c.name.eq_ignore_ascii_case(&column.name)) {
            return wrong(format!("column {} is declared twice (names differ at most in case)", column.name));
        }
        let homes = usize::from(spec.key.contains(&i))
            + usize::from(spec.keep.contains(&i))
            + spec.groups.iter().filter(|g| g.columns.contains(&i)).count();
        if homes != 1 && spec.mode == Mode::Merge {
            return wrong(format!("column {} is in {homes} of key, keep and groups; it must be in one", column.name));
        }
    }
    Ok(())
}

/// Compares the declaration with the table that is there. Returns the columns that the table lacks.
pub(super) fn missing_columns(
    place: &Place,
    spec: &TableSpec,
    schema: &StructType,
    partition: &[String],
) -> Result<Vec<StructField>> {
    let doing = "compare the declared columns with the table";
    let declared = partition_names(spec);
    if declared != partition {
        let list = |names: &[String]| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        return Err(place
            .permanent(doing, format!("it is partitioned by {}, declared is {}", list(partition), list(&declared)))
            .hint("declare the table's own partition columns, or give the table a new path"));
    }
    let mut missing = Vec::new();
    for column in &spec.columns {
        let Some(found) = schema.fields().find(|f| f.name().eq_ignore_ascii_case(&column.name)) else {
            missing.push(field(column, true));
            continue;
        };
        if found.name() != &column.name {
            return Err(place
                .permanent(doing, format!("column {} is called {} in the table", column.name, found.name()))
                .hint("Delta does not tell names apart by case: use the table's spelling"));
        }
        let wanted = delta_type(column.kind);
        if found.data_type() != &wanted {
            return Err(place
                .permanent(
                    doing,
                    format!("column {} is {} in the table, declared is {wanted}", column.name, found.data_type()),
                )
                .hint("declare the table's type, give the column another name, or give the table a new path"));
        }
        if !found.is_nullable() && column.nullable {
            return Err(place
                .permanent(
                    doing,
                    format!("column {} may not be null in the table, declared is that it may", column.name),
                )
                .hint("mark it with ! in the topology, or drop NOT NULL from the table's column"));
        }
    }
    for found in schema.fields() {
        if !found.is_nullable() && spec.column(found.name()).is_none() {
            return Err(place
                .permanent(doing, format!("column {} is required in the table and not declared", found.name()))
                .hint("declare the column, or drop NOT NULL from it"));
        }
    }
    Ok(missing)
}

/// The column type that stands for all that are stored alike.
pub(super) fn kind_of_store(kind: ColumnType) -> ColumnType {
    match kind {
        ColumnType::Id | ColumnType::String | ColumnType::Text | ColumnType::Decimal | ColumnType::Json => {
            ColumnType::String
        }
        other => other,
    }
}

/// A partition value as the log spells it. `None` when the text is not of the column's type.
pub(super) fn partition_cell(kind: ColumnType, text: Option<&str>) -> Option<Cell> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Some(Cell::Null) };
    let instant = |text: &str| -> Option<i64> {
        if let Ok(instant) = chrono::DateTime::parse_from_rfc3339(text) {
            return Some(instant.timestamp_micros());
        }
        let naive = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok()?;
        Some(naive.and_utc().timestamp_micros())
    };
    match kind_of_store(kind) {
        ColumnType::Int64 | ColumnType::Int32 => text.parse().ok().map(Cell::Int),
        ColumnType::Float64 => text.parse::<f64>().ok().map(|value| Cell::Float(value.to_bits())),
        ColumnType::Bool => text.parse().ok().map(Cell::Bool),
        ColumnType::Timestamp => instant(text).map(Cell::Timestamp),
        ColumnType::Date => {
            let date = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
            let days = date.signed_duration_since(chrono::NaiveDate::default()).num_days();
            i32::try_from(days).ok().map(Cell::Date)
        }
        _ => Some(Cell::Text(text.into())),
    }
}
