//! What is seen of a flow that is looked at: what became of each message at each stage and block, as it happens.
//!
//! Stages and blocks tell it to the [`Observer`](super::observe::Observer), if there is one; a flow that nobody looks at makes
//! nothing of this.

use std::sync::Arc;

use connectors::log::Record;
use connectors::table::{Row, TableSpec};

use crate::expr::{Json, cell_to_json};
use crate::stage::{Document, Failure, Meta, Verdict};

/// One step of one message.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The message.
    pub meta: Arc<Meta>,
    /// The stage or the block; `source` where it is read, `outcome` where it ends.
    pub at: Arc<str>,
    /// What became of it there.
    pub how: How,
}

/// What became of a message at a stage or a block.
#[derive(Clone, Debug)]
pub enum How {
    /// The `when` of the stage is false: it goes on with a null binding.
    Passed,
    /// The stage ran and has nothing: it goes on with a null binding.
    Nothing,
    /// The stage ran, and this is bound.
    Bound {
        /// The value.
        value: Json,
        /// Which of the stage's declared branches was taken, if it has any.
        branch: Option<String>,
    },
    /// It became so many documents.
    Many(usize),
    /// It left on purpose.
    Skipped(Arc<str>),
    /// It failed.
    Failed(Failure),
    /// The `when` of the row block is false.
    NoRow,
    /// The `when` of the send block is false.
    NotSent,
    /// The block wrote a row.
    Row {
        /// The table.
        table: String,
        /// The columns that the row carries, and their values.
        cells: Vec<(String, Json)>,
    },
    /// The block wrote a message.
    Sent(Record),
    /// It has its outcome.
    Ended {
        /// `event` and `outcome`.
        document: Document,
        /// What goes to a retry topic or to the dead letters.
        record: Option<Record>,
    },
}

impl How {
    /// What a stage's verdict on a document says. `branch` is what the stage chose.
    pub(super) fn of(verdict: &Verdict, name: &str, branch: Option<String>) -> How {
        match verdict {
            Verdict::On(document) if document.produced => {
                How::Bound { value: document.bindings.get(name).cloned().unwrap_or_default(), branch }
            }
            Verdict::On(_) => How::Nothing,
            Verdict::Many(documents) => How::Many(documents.len()),
            Verdict::Skipped(reason) => How::Skipped(reason.clone()),
            Verdict::Failed(failure) => How::Failed(failure.clone()),
        }
    }

    /// A row of `spec`.
    pub(super) fn row(spec: &TableSpec, row: &Row) -> How {
        let cells = spec.columns.iter().zip(row);
        let cells = cells.filter_map(|(column, cell)| {
            cell.as_ref().map(|cell| (column.name.clone(), cell_to_json(cell, column.kind)))
        });
        How::Row { table: spec.name.clone(), cells: cells.collect() }
    }
}
