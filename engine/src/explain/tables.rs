//! Tables: their key, what guards each column, when they are committed and after whom.

use connectors::table::{Mode, TableSpec};
use serde::Serialize;

use super::words::{bytes, span};
use crate::dataflow::form;
use crate::plan::{Flow, Plan, Table};
use crate::topology::value::kind_name;

/// A table, as a flow writes it.
#[derive(Debug, Serialize)]
pub struct TableForm {
    /// Its name in the topology.
    pub name: String,
    /// Its address.
    pub url: String,
    /// What it is for.
    pub about: String,
    /// `merge` or `insert`.
    pub mode: &'static str,
    /// Its key.
    pub key: Vec<String>,
    /// The columns it is partitioned by.
    pub partition: Vec<String>,
    /// Its columns with their types; `!` is never null.
    pub columns: Vec<(String, String)>,
    /// What decides which value of a column stays.
    pub guards: Vec<Guard>,
    /// When its buffer is committed.
    pub committed: String,
    /// Tables of the same flow that are committed first.
    pub after: Vec<String>,
    /// A parent that another flow feeds, and nobody waits for.
    pub parent_elsewhere: Option<String>,
    /// The positions that each commit carries.
    pub txn: String,
}

/// What decides which value of some columns stays.
#[derive(Debug, Serialize)]
pub struct Guard {
    /// The columns.
    pub columns: Vec<String>,
    /// The rule.
    pub rule: String,
}

fn names(spec: &TableSpec, columns: &[usize]) -> Vec<String> {
    columns.iter().filter_map(|index| spec.columns.get(*index)).map(|column| column.name.clone()).collect()
}

/// What guards the columns of `spec`.
fn guards(spec: &TableSpec) -> Vec<Guard> {
    if spec.mode == Mode::Insert {
        let columns = spec.columns.iter().map(|column| column.name.clone()).collect();
        let rule = "the first row of a key stays as it is; of one commit, the one that was read first".to_owned();
        return vec![Guard { columns, rule }];
    }
    let mut guards: Vec<Guard> = Vec::new();
    for group in &spec.groups {
        let rule = match group.version.and_then(|version| spec.columns.get(version)) {
            Some(version) => format!("group {}: a row with an older {} never overwrites", group.name, version.name),
            None => format!("group {}: the last writer wins", group.name),
        };
        guards.push(Guard { columns: names(spec, &group.columns), rule });
    }
    if !spec.keep.is_empty() {
        let rule = "the first value that is not null stays".to_owned();
        guards.push(Guard { columns: names(spec, &spec.keep), rule });
    }
    guards
}

/// What `table` is to `flow`.
pub(super) fn explain(plan: &Plan, flow: &Flow, name: &str, table: &Table) -> TableForm {
    let spec = &table.spec;
    let after: Vec<String> = form::parents(flow, table).map(str::to_owned).collect();
    let flush = &table.flush;
    let kind = |column: &connectors::table::Column| {
        format!("{}{}", kind_name(Some(column.kind)), if column.nullable { "" } else { "!" })
    };
    TableForm {
        name: name.to_owned(),
        url: connectors::redact::redact(&table.url).into_owned(),
        about: table.about.clone(),
        mode: match spec.mode {
            Mode::Insert => "insert",
            Mode::Merge => "merge",
        },
        key: names(spec, &spec.key),
        partition: names(spec, &spec.partition),
        columns: spec.columns.iter().map(|column| (column.name.clone(), kind(column))).collect(),
        guards: guards(spec),
        committed: format!(
            "at {} rows, {} or after {}, whichever is first; at once when a child waits, the budget is used up or the flow ends",
            flush.rows,
            bytes(flush.bytes),
            span(flush.age)
        ),
        parent_elsewhere: table.parent.clone().filter(|parent| !after.contains(parent)),
        after,
        txn: format!("{}/{}/TOPIC-PARTITION", plan.name, flow.name),
    }
}
