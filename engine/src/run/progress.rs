//! The line that shows a run while it goes on.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Run;

/// What a run has done so far, in numbers for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Messages that entered a flow.
    pub messages: u64,
    /// Calls of APIs.
    pub calls: u64,
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
        let mut progress = Progress::default();
        for flow in runs.iter().flat_map(|run| &run.flows) {
            let load = |c: &AtomicU64| c.load(Ordering::Relaxed);
            progress.messages += load(&flow.stats.messages);
            progress.calls += load(&flow.stats.calls);
            progress.files += load(&flow.stats.uploads);
            progress.failed += load(&flow.stats.retried) + load(&flow.stats.dead);
            progress.rows += flow.stats.tables.values().map(|t| load(&t.rows)).sum::<u64>();
            let durable = flow.stats.durable.load(Ordering::Relaxed);
            if durable > 0 && flow.control.in_flight() > 0 {
                progress.lag_ms = progress.lag_ms.max(u64::try_from(now - durable).unwrap_or(0));
            }
        }
        progress
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Progress { messages, calls, files, rows, failed, lag_ms } = self;
        let lag = *lag_ms as f64 / 1000.0;
        write!(
            f,
            "{messages} messages, {calls} calls, {files} files, {rows} rows, {failed} retried or dead, lag {lag:.1} s"
        )
    }
}
