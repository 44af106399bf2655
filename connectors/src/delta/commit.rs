//! One commit: plan it on the present version, write it, and find out what became of it when the answer is lost.
//!
//! Each commit is written for exactly one version (no rebase inside delta-rs: its conflict check does not see a concurrent
//! compaction). When another writer was first, the commit is planned again on the fresh version. When the store's answer is
//! an error, the commit may still have landed: before anything else the log is read on and searched for the commit's id. A
//! file that was written for a commit is never deleted here, whatever the answer; vacuum takes what no version names.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Add, Remove, Transaction};
use deltalake::protocol::DeltaOperation;
use deltalake::{DeltaResult, DeltaTable, DeltaTableError};
use tokio::task::JoinSet;

use super::files::{File, Files};
use super::rewrite::{Outcome, Source, Target};
use super::{Table, log, schema};
use crate::table::{CommitError, Committed, Mode, Transactions};
use crate::{Error, Result};

/// How often a commit is planned before the caller is told that it failed.
const ATTEMPTS: u32 = 6;
/// The pause before the second attempt; it doubles.
const BACKOFF: Duration = Duration::from_millis(100);
/// Files that are read and written at a time.
const PARALLEL_FILES: usize = 4;

/// What is known of the table, and of a commit whose fate is not.
pub(super) struct State {
    /// At the newest version that was seen.
    pub table: DeltaTable,
    /// The transactions of `followed`.
    pub transactions: Transactions,
    /// The version up to which the log was read for transactions.
    pub followed: u64,
    /// The version of the newest checkpoint.
    pub checkpoint: u64,
    /// When vacuum ran last.
    pub vacuumed: Option<crate::clock::Micros>,
    pub(super) files: Files,
    pending: Option<Pending>,
}

/// A commit that was sent.
struct Pending {
    id: String,
    fingerprint: u64,
    committed: Committed,
    /// Where the log holds it.
    landed: Option<u64>,
}

/// What a commit would do to the version it was planned on.
#[derive(Default)]
struct Plan {
    removes: Vec<Remove>,
    adds: Vec<Add>,
    committed: Committed,
}

impl State {
    /// Reads the whole state of `table`, which is loaded.
    pub async fn load(table: DeltaTable) -> DeltaResult<State> {
        let version = table.version().ok_or(DeltaTableError::NotInitialized)?;
        let (transactions, checkpoint) = log::transactions_at(table.log_store().as_ref(), version).await?;
        let checkpoint = checkpoint.unwrap_or(0);
        let (files, pending, vacuumed) = (Files::default(), None, None);
        Ok(State { table, transactions, followed: version, checkpoint, vacuumed, files, pending })
    }

    /// Goes to the newest version.
    pub async fn refresh(&mut self) -> DeltaResult<()> {
        self.table.update_incremental(None).await?;
        self.follow().await
    }

    /// Reads the commits between `followed` and the table's version.
    pub async fn follow(&mut self) -> DeltaResult<()> {
        let log_store = self.table.log_store();
        let version = self.table.version().ok_or(DeltaTableError::NotInitialized)?;
        while self.followed < version {
            let next = self.followed + 1;
            let Some(entry) = log::read(log_store.as_ref(), next).await? else {
                // The log was cleaned up under us: take the transactions from a checkpoint.
                (self.transactions, _) = log::transactions_at(log_store.as_ref(), version).await?;
                self.followed = version;
                break;
            };
            if let Some(pending) = &mut self.pending
                && entry.id.as_deref() == Some(&*pending.id)
            {
                pending.landed = Some(next);
            }
            self.transactions.extend(entry.transactions);
            self.followed = next;
        }
        Ok(())
    }

    /// The pending commit, if it is this one and the log holds it.
    fn recognise(&mut self, fingerprint: u64) -> Option<Committed> {
        let pending = self.pending.as_ref().filter(|pending| pending.fingerprint == fingerprint)?;
        let version = pending.landed.and_then(|v| i64::try_from(v).ok())?;
        let committed = Committed { version, recognised: true, ..pending.committed.clone() };
        self.pending = None;
        Some(committed)
    }
}

impl Table {
    /// See [`crate::table::Table::commit`] and [`crate::table::Table::insert`].
    pub(super) async fn commit_source(
        &self,
        source: Source,
        transactions: &Transactions,
    ) -> Result<Committed, CommitError> {
        let fingerprint = source.fingerprint(transactions);
        let source = Arc::new(source);
        let mut state = self.state.lock().await;
        if state.pending.as_ref().is_some_and(|pending| pending.fingerprint != fingerprint) {
            state.pending = None;
        }
        let mut last = None;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                self.pause(attempt).await;
            }
            if attempt > 0 || state.pending.is_some() {
                if let Err(error) = state.refresh().await {
                    last = Some(self.place.failed("read the log", error));
                    continue;
                }
                if let Some(committed) = state.recognise(fingerprint) {
                    return Ok(committed);
                }
            }
            fence(&state.transactions, transactions)?;
            match self.attempt(&mut state, &source, transactions, fingerprint).await {
                Ok(committed) => return Ok(committed),
                Err(error) if error.category.is_retryable() => last = Some(error),
                Err(error) => {
                    // Even a permanent answer may come after the commit, or from a version that is no more: look once.
                    let planned_on = state.followed;
                    if state.refresh().await.is_err() {
                        return Err(error.into());
                    }
                    if let Some(committed) = state.recognise(fingerprint) {
                        return Ok(committed);
                    }
                    if state.followed == planned_on {
                        return Err(error.into());
                    }
                    last = Some(error);
                }
            }
        }
        let error = last.unwrap_or_else(|| Error::transient(format!("table {}: no attempt was made", self.spec.name)));
        Err(error.into())
    }

    /// Plans and writes the commit once.
    async fn attempt(
        &self,
        state: &mut State,
        source: &Arc<Source>,
        transactions: &Transactions,
        fingerprint: u64,
    ) -> Result<Committed> {
        let plan = self.plan(state, source).await?;
        let newer = |(application, version): &(&String, &i64)| {
            state.transactions.get(*application).is_none_or(|found| found < *version)
        };
        let grown: Vec<Transaction> = transactions
            .iter()
            .filter(newer)
            .map(|(application, version)| Transaction::new(application, *version))
            .collect();
        let mut committed = plan.committed;
        if plan.adds.is_empty() && plan.removes.is_empty() && grown.is_empty() {
            committed.version = i64::try_from(state.followed).unwrap_or(i64::MAX);
            state.pending = None;
            return Ok(committed);
        }
        let id = match state.pending.take() {
            Some(pending) => pending.id,
            None => uuid::Uuid::new_v4().to_string(),
        };
        let properties = properties()
            .with_metadata([(log::COMMIT_ID.to_owned(), serde_json::Value::String(id.clone()))])
            .with_application_transactions(grown);
        state.pending = Some(Pending { id, fingerprint, committed: committed.clone(), landed: None });
        let actions =
            plan.removes.into_iter().map(Action::Remove).chain(plan.adds.into_iter().map(Action::Add)).collect();
        let keys: Vec<String> = self
            .spec
            .key
            .iter()
            .filter_map(|i| self.spec.columns.get(*i))
            .map(|c| format!("target.`{0}` = source.`{0}`", c.name))
            .collect();
        let operation = DeltaOperation::Merge {
            predicate: None, // the whole table was read: any concurrent change is a conflict
            merge_predicate: Some(keys.join(" AND ")),
            matched_predicates: Vec::new(),
            not_matched_predicates: Vec::new(),
            not_matched_by_source_predicates: Vec::new(),
        };
        let failed = |error: DeltaTableError| self.place.failed("commit", error);
        let snapshot = state.table.snapshot().map_err(failed)?;
        let done = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(snapshot), state.table.log_store(), operation)
            .await
            .map_err(failed)?;
        let version = done.version();
        state.table.state = Some(done.snapshot());
        for (application, version) in transactions {
            let known = state.transactions.entry(application.clone()).or_insert(*version);
            *known = (*known).max(*version);
        }
        state.followed = version;
        state.pending = None;
        committed.version = i64::try_from(version).unwrap_or(i64::MAX);
        Ok(committed)
    }

    /// Reads the files that may hold a row's key and writes what changes, without committing it.
    async fn plan(&self, state: &mut State, source: &Arc<Source>) -> Result<Plan> {
        let mut plan = Plan::default();
        if source.rows.is_empty() {
            return Ok(plan);
        }
        let target = Arc::new(self.target(&state.table).map_err(|e| self.place.failed("read the schema", e))?);
        let snapshot = state.table.snapshot().map_err(|e| self.place.failed("read the log", e))?;
        state.files.update(&self.spec, snapshot);
        let fixed = self.spec.mode == Mode::Insert
            || self.options.fixed_partitions
            || self.spec.partition.iter().all(|column| self.spec.key.contains(column));
        let candidates = state.files.candidates(&self.spec, &source.rows, fixed);

        let mut found = vec![false; source.rows.len()];
        let mut running: JoinSet<(Arc<File>, DeltaResult<Outcome>)> = JoinSet::new();
        let mut waiting = candidates.into_iter();
        loop {
            while running.len() < PARALLEL_FILES {
                let Some(file) = waiting.next() else { break };
                let (source, target) = (source.clone(), target.clone());
                running.spawn(async move {
                    let outcome = source.apply(&target, &file).await;
                    (file, outcome)
                });
            }
            let Some(done) = running.join_next().await else { break };
            let (file, outcome) = done.map_err(|e| self.place.error(crate::Category::Unknown, "rewrite a file", e))?;
            let outcome = outcome.map_err(|e| self.place.failed(&format!("rewrite {}", file.path), e))?;
            for index in outcome.found {
                if let Some(slot) = found.get_mut(index as usize) {
                    *slot = true;
                }
            }
            if !outcome.adds.is_empty() {
                let deletion_timestamp = Some(self.clock.now() / 1000);
                plan.removes.push(Remove { deletion_timestamp, ..file.remove.clone() });
                plan.adds.extend(outcome.adds);
                plan.committed.files_rewritten += 1;
                plan.committed.updated += outcome.updated;
                plan.committed.rows_copied += outcome.copied;
            }
        }
        let new: Vec<u32> = (0u32..).zip(&found).filter(|(_, found)| !**found).map(|(index, _)| index).collect();
        source.check_new(&new)?;
        plan.adds.extend(source.insert(&target, &new).await.map_err(|e| self.place.failed("write new rows", e))?);
        plan.committed.inserted = new.len() as u64;
        Ok(plan)
    }

    /// The table's files as they are written now.
    fn target(&self, table: &DeltaTable) -> DeltaResult<Target> {
        let snapshot = table.snapshot()?;
        let schema = schema::of_table(snapshot.schema().as_ref())?;
        let partition = schema::partition_names(&self.spec);
        let (indexed, stats) = deltalake::operations::get_num_idx_cols_and_stats_columns(
            Some(snapshot.table_config()),
            std::collections::HashMap::new(),
        );
        let size = std::num::NonZeroU64::new(self.options.target_file_size);
        let writer =
            deltalake::datafile::writer::WriterConfig::new(schema.clone(), partition, None, size, None, indexed, stats);
        Ok(Target { store: table.object_store(), schema, writer })
    }

    /// Waits before attempt `attempt`, between half and one and a half of its share, so that two writers part.
    async fn pause(&self, attempt: u32) {
        let whole = BACKOFF * 2u32.saturating_pow(attempt - 1);
        let mut hasher = DefaultHasher::new();
        (self.clock.now(), attempt, &self.instance).hash(&mut hasher);
        let share = 0.5 + (hasher.finish() % 1000) as f64 / 1000.0;
        self.clock.sleep(self.clock.scaled(whole.mul_f64(share))).await;
    }
}

/// What every commit of ours says: one version only, and neither checkpoint nor cleanup behind the caller's back.
pub(super) fn properties() -> CommitProperties {
    CommitProperties::default().with_max_retries(0).with_create_checkpoint(false).with_cleanup_expired_logs(Some(false))
}

/// Refuses a commit that another writer has overtaken.
fn fence(found: &Transactions, ours: &Transactions) -> Result<(), CommitError> {
    for (application, ours) in ours {
        if let Some(found) = found.get(application).filter(|found| *found > ours) {
            return Err(CommitError::Fenced { application: application.clone(), found: *found, ours: *ours });
        }
    }
    Ok(())
}
