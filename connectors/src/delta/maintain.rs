//! What keeps a table fast and small: compaction, checkpoints, cleanup of the log, vacuum. It runs in turn with commits and
//! changes no row; when any of it fails the table is as good as before.

use std::num::NonZeroU64;
use std::sync::Arc;

use deltalake::operations::vacuum::{Clock as VacuumClock, VacuumMode};
use deltalake::{DeltaResult, checkpoints};

use super::Table;
use super::commit::{State, properties};
use super::files::Files;
use crate::Result;
use crate::clock::{Clock, Micros};

/// Files below this share of the target size are small.
const SMALL: u64 = 2;
/// How long a file is kept that no version in use names: longer than any reader or ambiguous commit takes.
const RETENTION_DAYS: i64 = 7;
const DAY: Micros = 24 * 3600 * 1_000_000;

impl Table {
    /// See [`crate::table::Table::maintain`].
    pub(super) async fn tend(&self) -> Result<()> {
        let mut state = self.state.lock().await;
        let failed = |doing: &'static str| move |error| self.place.failed(doing, error);
        state.refresh().await.map_err(failed("read the log"))?;
        let compacted = self.compact(&mut state).await;
        if compacted.is_err() {
            // The commit may have landed all the same: go on from what is there.
            state.refresh().await.map_err(failed("read the log"))?;
        }
        compacted.map_err(failed("compact small files"))?;
        self.checkpoint(&mut state).await.map_err(failed("write a checkpoint"))?;
        self.vacuum(&mut state).await.map_err(failed("vacuum"))?;
        Ok(())
    }

    /// Joins small files, where one partition has many.
    async fn compact(&self, state: &mut State) -> DeltaResult<()> {
        let mut files = Files::default();
        files.update(&self.spec, state.table.snapshot()?);
        let mut small = std::collections::HashMap::new();
        for file in files.all() {
            if file.size < self.options.target_file_size / SMALL {
                *small.entry(file.partition.clone()).or_insert(0usize) += 1;
            }
        }
        if small.values().all(|count| *count <= self.options.small_files) {
            return Ok(());
        }
        let size = NonZeroU64::new(self.options.target_file_size).unwrap_or(NonZeroU64::MIN);
        let optimize = state.table.clone().optimize().with_target_size(size).with_commit_properties(properties());
        let (table, metrics) = optimize.await?;
        tracing::info!(
            table = self.spec.name,
            removed = metrics.num_files_removed,
            added = metrics.num_files_added,
            "small files were compacted"
        );
        state.table = table;
        state.follow().await
    }

    /// Writes a checkpoint every so many commits, and drops what of the log is past its retention.
    async fn checkpoint(&self, state: &mut State) -> DeltaResult<()> {
        if state.followed < state.checkpoint.saturating_add(self.options.checkpoint_interval) {
            return Ok(());
        }
        checkpoints::create_checkpoint(&state.table, None).await?;
        state.checkpoint = state.followed;
        checkpoints::cleanup_metadata(&state.table, None).await?;
        Ok(())
    }

    /// Deletes, once a day, files that no version of the last week names.
    async fn vacuum(&self, state: &mut State) -> DeltaResult<()> {
        let now = self.clock.now();
        let last = *state.vacuumed.get_or_insert(now);
        if now < last.saturating_add(DAY) {
            return Ok(());
        }
        let clock = Arc::new(Millis(self.clock.clone()));
        let vacuum = state.table.clone().vacuum().with_mode(VacuumMode::Full).with_clock(clock);
        let vacuum =
            vacuum.with_retention_period(chrono::Duration::days(RETENTION_DAYS)).with_commit_properties(properties());
        let (table, metrics) = vacuum.await?;
        tracing::info!(table = self.spec.name, deleted = metrics.files_deleted.len(), "vacuum is done");
        state.vacuumed = Some(now);
        state.table = table;
        state.refresh().await
    }
}

/// The table's clock as vacuum asks for it: what is old is judged by the clock that dated it.
struct Millis(Arc<dyn Clock>);

impl std::fmt::Debug for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Millis")
    }
}

impl VacuumClock for Millis {
    fn current_timestamp_millis(&self) -> i64 {
        self.0.now() / 1000
    }
}
