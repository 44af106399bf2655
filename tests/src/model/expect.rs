//! What a table must hold: rows by key, cells as values or sets of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What a cell may hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// This.
    Is(Value),
    /// One of these.
    OneOf(Vec<Value>),
    /// A text that holds this as JSON.
    Json(Value),
    /// Something: a clock, a measure.
    NotNull,
    /// Whatever it is.
    Any,
}

impl Cell {
    /// The cell that may hold each of `values`.
    pub fn among(values: impl IntoIterator<Item = Value>) -> Cell {
        let mut distinct: Vec<Value> = Vec::new();
        for value in values {
            if !distinct.contains(&value) {
                distinct.push(value);
            }
        }
        match distinct.len() {
            0 => Cell::Is(Value::Null),
            1 => Cell::Is(distinct.remove(0)),
            _ => Cell::OneOf(distinct),
        }
    }

    /// Whether it may hold `value`.
    pub fn admits(&self, value: &Value) -> bool {
        match self {
            Cell::Is(expected) => expected == value,
            Cell::OneOf(values) => values.contains(value),
            Cell::Json(expected) => {
                value.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok()).as_ref() == Some(expected)
            }
            Cell::NotNull => !value.is_null(),
            Cell::Any => true,
        }
    }
}

/// One row: columns that are not named must be null.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Cells by column.
    pub cells: BTreeMap<&'static str, Cell>,
    /// It may be missing.
    pub optional: bool,
}

/// One table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its folder.
    pub name: &'static str,
    /// The columns of its key.
    pub key: &'static [&'static str],
    /// Its rows by the texts of their key.
    pub rows: BTreeMap<Vec<String>, Row>,
}

/// All tables by name.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The tables.
    pub tables: BTreeMap<&'static str, Table>,
    /// Messages that must be among the dead letters of the ingester.
    pub dead_at_the_door: usize,
}

impl Expected {
    /// These tables, by name and key, without rows.
    pub fn of(tables: &[(&'static str, &'static [&'static str])]) -> Self {
        let tables = tables.iter().map(|(name, key)| (*name, Table { name, key, rows: BTreeMap::new() })).collect();
        Expected { tables, dead_at_the_door: 0 }
    }

    /// The row of a key, made if it is not there.
    pub fn row(&mut self, table: &'static str, key: &[&str]) -> &mut Row {
        let key = key.iter().map(|part| (*part).to_owned()).collect();
        self.tables.get_mut(table).expect("one of the tables").rows.entry(key).or_default()
    }

    /// The row of a key.
    pub fn get(&self, table: &str, key: &[&str]) -> Option<&Row> {
        let key: Vec<String> = key.iter().map(|part| (*part).to_owned()).collect();
        self.tables.get(table)?.rows.get(&key)
    }
}

/// The cells of one group in one version: an answer's.
pub type Cells = BTreeMap<&'static str, Value>;

/// Versions of a group of columns. The newest holds; those within `slack` of it are as good, because the clock of the one
/// who answers is not that of the one who asks. What the newest does not carry is what an older one left, or nothing.
#[derive(Clone, Debug, Default)]
pub struct Versions(pub Vec<(i64, Cells)>);

impl Versions {
    /// What the group may hold.
    pub fn cells(&self, slack: i64) -> BTreeMap<&'static str, Cell> {
        let newest = self.0.iter().map(|(at, _)| *at).max().unwrap_or(0);
        let columns: BTreeSet<&'static str> = self.0.iter().flat_map(|(_, cells)| cells.keys().copied()).collect();
        let cell = |column: &'static str| {
            let carriers = || self.0.iter().filter(|(_, cells)| cells.contains_key(column));
            let last = carriers().map(|(at, _)| *at).max().unwrap_or(0);
            let lost = (last < newest).then_some(Value::Null);
            let values =
                carriers().filter(|(at, _)| last.saturating_sub(*at) <= slack).map(|(_, cells)| cells[column].clone());
            Cell::among(values.chain(lost))
        };
        columns.into_iter().map(|column| (column, cell(column))).collect()
    }
}
