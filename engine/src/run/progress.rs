//! The line that shows a run while it goes on.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Run;
use crate::dataflow::flow::Running;

/// What a run has done so far, in numbers for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Messages that entered a flow.
    pub messages: u64,
    /// Calls of APIs.
    pub calls: u64,
    /// Links that were asked for anew: the old one had expired or was refused.
    pub refreshes: u64,
    /// Files put into a store.
    pub files: u64,
    /// Rows committed.
    pub rows: u64,
    /// Messages that wait for a retry or were dead.
    pub failed: u64,
    /// The age of the oldest work that is not durable, in milliseconds.
    pub lag_ms: u64,
}

impl Progress {
    /// Of all `runs`, at `now` in milliseconds since 1970.
    pub fn of(runs: &[Run], now: i64) -> Self {
        runs.iter().flat_map(|run| &run.flows).map(|flow| Progress::of_flow(flow, now)).fold(
            Progress::default(),
            |all, one| Progress {
                messages: all.messages + one.messages,
                calls: all.calls + one.calls,
                refreshes: all.refreshes + one.refreshes,
                files: all.files + one.files,
                rows: all.rows + one.rows,
                failed: all.failed + one.failed,
                lag_ms: all.lag_ms.max(one.lag_ms),
            },
        )
    }

    /// Of one flow, at `now` in milliseconds since 1970.
    pub fn of_flow(flow: &Running, now: i64) -> Self {
        let load = |c: &AtomicU64| c.load(Ordering::Relaxed);
        let durable = flow.stats.durable.load(Ordering::Relaxed);
        let waits = durable > 0 && flow.control.in_flight() > 0;
        Progress {
            messages: load(&flow.stats.messages),
            calls: load(&flow.stats.calls),
            refreshes: load(&flow.stats.refreshes),
            files: load(&flow.stats.uploads),
            rows: flow.stats.tables.values().map(|t| load(&t.rows)).sum(),
            failed: flow.stats.retried.total() + flow.stats.dead.total(),
            lag_ms: if waits { u64::try_from(now - durable).unwrap_or(0) } else { 0 },
        }
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Progress { messages, calls, refreshes, files, rows, failed, lag_ms } = self;
        let lag = *lag_ms as f64 / 1000.0;
        // Most topologies have no links that expire.
        let refreshed = if *refreshes > 0 { format!("{refreshes} links refreshed, ") } else { String::new() };
        write!(
            f,
            "{messages} messages, {calls} calls, {refreshed}{files} files, {rows} rows, {failed} retried or dead, lag {lag:.1} s"
        )
    }
}
