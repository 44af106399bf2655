//! What of a flow's form follows from its plan alone.
//!
//! The dataflow is built by these functions, and `engine explain` tells what they say: so it cannot tell of a flow what the flow
//! does not do.

use indexmap::IndexSet;

use crate::expr::Expr;
use crate::plan::{Flow, Plan, SourceKind, Stage, StageKind, Status, Table, Trigger};
use crate::stage::message::Keep;

/// By what the documents of a stage are exchanged between workers; without it each stays where it is.
pub fn exchanged_by(stage: &Stage) -> Option<&Expr> {
    match &stage.kind {
        // One worker must see all documents of a key.
        StageKind::Dedup { key, .. } => Some(key),
        _ => None,
    }
}

/// Which bindings of a message are made and kept: those that somebody reads.
pub fn keep(flow: &Flow) -> Keep {
    Keep { source: flow.reads_binding("source"), raw: flow.reads_binding_later("raw") }
}

/// Whether any block fires for outcomes.
pub fn has_outcomes(flow: &Flow) -> bool {
    let outcome = |t: &Trigger| matches!(t, Trigger::Outcomes(_));
    flow.rows.iter().any(|r| outcome(&r.trigger)) || flow.sends.iter().any(|s| outcome(&s.trigger))
}

/// The connection whose producer the flow writes with: what it sends and, if it reads a topic, retries and dead letters. None: it
/// writes to no topic.
pub fn writes_with<'p>(plan: &'p Plan, flow: &'p Flow) -> Option<&'p str> {
    match &flow.source.kind {
        SourceKind::Topic { connection, .. } => Some(connection),
        SourceKind::File { .. } => Some(&plan.topics.get(&flow.sends.first()?.topic)?.connection),
    }
}

/// The names of the tables that the flow feeds, in the order of its blocks, each once. Each has one sink.
pub fn tables(flow: &Flow) -> impl Iterator<Item = &str> {
    let first = |at: usize, table: &str| flow.rows.iter().position(|r| r.table == table) == Some(at);
    flow.rows.iter().enumerate().filter(move |(at, r)| first(*at, &r.table)).map(|(_, r)| r.table.as_str())
}

/// The tables of `flow` that commit before a commit of `table` does. A parent that another flow feeds is not waited for.
pub fn parents<'p>(flow: &'p Flow, table: &'p Table) -> impl Iterator<Item = &'p str> {
    table.parent.as_deref().into_iter().filter(move |parent| tables(flow).any(|fed| fed == *parent))
}

/// The tables whose keys `present(table, key)` asks for in the flow, each once. Only those with a key of one column are known.
pub fn present(flow: &Flow) -> IndexSet<String> {
    literals(flow, "present")
}

/// The connections whose urls `refused(connection, url)` judges in the flow.
pub fn refused(flow: &Flow) -> IndexSet<String> {
    literals(flow, "refused")
}

/// The first arguments of all calls of a function in the flow.
fn literals(flow: &Flow, function: &str) -> IndexSet<String> {
    let calls = flow.expressions().into_iter().flat_map(|expr| expr.functions());
    calls.filter(|call| call.name == function).filter_map(|call| call.literals.first().cloned().flatten()).collect()
}

/// Whether a block with this trigger fires for messages that ended as `status`.
pub fn fires_for(trigger: &Trigger, status: u8) -> bool {
    match trigger {
        Trigger::Outcomes(list) => list.iter().any(|s: &Status| *s as u8 == status),
        Trigger::Documents(_) => false,
    }
}
