//! What leaves a flow: row blocks and send blocks, and how each of their values comes about.

use serde::Serialize;

use super::stages::input;
use crate::dataflow::emit::{Make, RowBlock};
use crate::plan::{Flow, Plan, Rows, Send, Trigger};

/// A row block.
#[derive(Debug, Serialize)]
pub struct RowsBlock {
    /// Its name.
    pub name: String,
    /// The table.
    pub table: String,
    /// When it fires.
    pub fires: String,
    /// The condition besides.
    pub when: Option<String>,
    /// `columns`: rows are columns from the start; `patches`: rows are merged column by column.
    pub rows_as: &'static str,
    /// Columns whose values are plain paths that are found together, in one walk of each binding.
    pub walked: Vec<(String, String)>,
    /// Columns whose values are evaluated one by one: expressions, and every column of a patch.
    pub evaluated: Vec<(String, String)>,
    /// Those among them that are left out, not null, where they have no value.
    pub optional: Vec<String>,
}

/// A send block.
#[derive(Debug, Serialize)]
pub struct SendBlock {
    /// Its name.
    pub name: String,
    /// The topic's full name.
    pub topic: String,
    /// When it fires.
    pub fires: String,
    /// The condition besides.
    pub when: Option<String>,
    /// The message's key.
    pub key: Option<String>,
    /// The fields of the body.
    pub body: Vec<(String, String)>,
    /// Headers.
    pub headers: Vec<(String, String)>,
}

fn fires(flow: &Flow, trigger: &Trigger) -> String {
    match trigger {
        Trigger::Documents(of) => format!("for {}", input(flow, *of)),
        Trigger::Outcomes(list) => {
            let list: Vec<&str> = list.iter().map(|status| status.as_str()).collect();
            format!("for each message that ends as {}", list.join(" or "))
        }
    }
}

/// What a row block compiles to: the block itself is made, and asked.
pub(super) fn rows(plan: &Plan, flow: &Flow, index: usize, block: &Rows) -> Option<RowsBlock> {
    let spec = plan.tables.get(&block.table)?.spec.clone();
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    let made = RowBlock::new(block.clone(), spec.clone(), index, 0, None);
    let name = |column: usize| spec.columns.get(column).map_or_else(String::new, |c| c.name.clone());
    let written = |column: usize| {
        let value = block.columns.iter().find(|c| c.column == column)?;
        Some((name(column), value.value.text().to_owned()))
    };
    let (rows_as, walked, evaluated) = match &made.make {
        Make::Columns(flattener) => {
            let columns = flattener.columns();
            let walked = columns.walked().filter_map(written).collect();
            ("columns", walked, columns.computed().filter_map(written).collect())
        }
        Make::Patches(patches) => {
            ("patches", Vec::new(), patches.block.columns.iter().filter_map(|c| written(c.column)).collect())
        }
    };
    let optional = block.columns.iter().filter(|c| c.optional).map(|c| name(c.column)).collect();
    Some(RowsBlock {
        name: block.name.to_string(),
        table: block.table.clone(),
        fires: fires(flow, &block.trigger),
        when: block.when.as_ref().map(|when| when.text().to_owned()),
        rows_as,
        walked,
        evaluated,
        optional,
    })
}

/// What a send block compiles to.
pub(super) fn send(plan: &Plan, flow: &Flow, block: &Send) -> SendBlock {
    SendBlock {
        name: block.name.to_string(),
        topic: plan.topics.get(&block.topic).map_or_else(|| block.topic.clone(), |topic| topic.name.clone()),
        fires: fires(flow, &block.trigger),
        when: block.when.as_ref().map(|when| when.text().to_owned()),
        key: block.key.as_ref().map(|key| key.text().to_owned()),
        body: block.body.iter().map(|field| (field.name.to_string(), field.value.text().to_owned())).collect(),
        headers: block.headers.iter().map(|(name, value)| (name.to_string(), value.text().to_owned())).collect(),
    }
}
