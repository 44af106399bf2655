//! What a table must hold: rows by key, cells as values or sets of them.

use std::collections::BTreeMap;

use serde_json::Value;

/// What a cell may hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// This.
    Is(Value),
    /// One of these.
    OneOf(Vec<Value>),
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

/// The ten tables and their keys.
pub const TABLES: [(&str, &[&str]); 10] = [
    ("claimx_events", &["event_id"]),
    ("claimx_event_log", &["event_id"]),
    ("claimx_projects", &["project_id"]),
    ("claimx_contacts", &["contact_id", "project_id"]),
    ("claimx_attachment_metadata", &["media_id"]),
    ("claimx_tasks", &["task_id"]),
    ("claimx_task_templates", &["template_id", "project_id"]),
    ("claimx_external_links", &["link_id"]),
    ("claimx_video_collab", &["collaboration_id"]),
    ("claimx_attachments", &["media_id"]),
];

/// All tables by name.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The tables.
    pub tables: BTreeMap<&'static str, Table>,
    /// Messages that must be among the dead letters of the ingester.
    pub dead_at_the_door: usize,
}

impl Default for Expected {
    fn default() -> Self {
        let tables = TABLES.iter().map(|(name, key)| (*name, Table { name, key, rows: BTreeMap::new() })).collect();
        Expected { tables, dead_at_the_door: 0 }
    }
}

impl Expected {
    /// The row of a key, made if it is not there.
    pub fn row(&mut self, table: &'static str, key: &[&str]) -> &mut Row {
        let key = key.iter().map(|part| (*part).to_owned()).collect();
        self.tables.get_mut(table).expect("one of the ten tables").rows.entry(key).or_default()
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
/// who answers is not that of the one who asks.
#[derive(Clone, Debug, Default)]
pub struct Versions(pub Vec<(i64, Cells)>);

impl Versions {
    /// What the group may hold.
    pub fn cells(&self, slack: i64) -> BTreeMap<&'static str, Cell> {
        let newest = self.0.iter().map(|(at, _)| *at).max().unwrap_or(0);
        let mut columns: BTreeMap<&'static str, Vec<Value>> = BTreeMap::new();
        for (at, cells) in &self.0 {
            if newest.saturating_sub(*at) <= slack {
                for (column, value) in cells {
                    columns.entry(column).or_default().push(value.clone());
                }
            }
        }
        columns.into_iter().map(|(column, values)| (column, Cell::among(values))).collect()
    }
}
