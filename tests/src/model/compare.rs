//! What is different, in words.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::expect::{Cell, Expected, Table};
use super::lake;

/// A row as it was read.
pub type Actual = Map<String, Value>;

/// Reads the tables below `folder` and says the first `limit` differences of each.
pub async fn folder(
    expected: &Expected,
    folder: &Path,
    limit: usize,
) -> Result<Vec<String>, deltalake::DeltaTableError> {
    let mut differences = Vec::new();
    for table in expected.tables.values() {
        let rows = lake::read(&folder.join(table.name)).await?;
        differences.extend(self::table(table, &rows, limit));
    }
    Ok(differences)
}

/// The first `limit` differences between what a table must hold and what it holds, and how many there are.
pub fn table(expected: &Table, rows: &[Actual], limit: usize) -> Vec<String> {
    let mut found: BTreeMap<Vec<String>, &Actual> = BTreeMap::new();
    let mut differences = Vec::new();
    for row in rows {
        let key: Vec<String> =
            expected.key.iter().map(|column| plain(row.get(*column).unwrap_or(&Value::Null))).collect();
        if found.insert(key.clone(), row).is_some() {
            differences.push(format!("{} holds {key:?} twice", expected.name));
        }
    }
    for (key, row) in &expected.rows {
        let Some(actual) = found.remove(key) else {
            if !row.optional {
                differences.push(format!("{} lacks {key:?}", expected.name));
            }
            continue;
        };
        let null = Cell::Is(Value::Null);
        for (column, value) in actual.iter().filter(|(column, _)| !expected.key.contains(&column.as_str())) {
            let cell = row.cells.get(column.as_str()).unwrap_or(&null);
            if !cell.admits(value) {
                differences.push(format!("{} {key:?}: `{column}` is {value}, expected {}", expected.name, words(cell)));
            }
        }
        for (column, cell) in row.cells.iter().filter(|(column, _)| !actual.contains_key(**column)) {
            if !cell.admits(&Value::Null) {
                differences.push(format!(
                    "{} {key:?}: there is no column `{column}`, expected {}",
                    expected.name,
                    words(cell)
                ));
            }
        }
    }
    differences.extend(found.keys().map(|key| format!("{} holds {key:?}, which nothing caused", expected.name)));
    let total = differences.len();
    if total > limit {
        differences.truncate(limit);
        differences.push(format!("{}: {} more differences", expected.name, total - limit));
    }
    differences
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn words(cell: &Cell) -> String {
    match cell {
        Cell::Is(value) => value.to_string(),
        Cell::OneOf(values) => format!("one of {}", Value::Array(values.clone())),
        Cell::Json(value) => format!("the JSON text of {value}"),
        Cell::NotNull => "something".to_owned(),
        Cell::Any => "anything".to_owned(),
    }
}
