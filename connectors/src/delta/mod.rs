//! Delta tables: rows merged by key under the version of their column group, in one commit with the positions they came
//! from.
//!
//! **Guarantees.** A commit is all or nothing. A replay of any prefix changes no row and writes no data file. A commit whose
//! answer was lost is found again by its id, and not repeated. A newer position of the same application in the table means
//! that another process owns it: [`CommitError::Fenced`]. Columns of the table that are not declared are preserved.
//!
//! **How.** Copy on write: files whose key range overlaps the batch are read for their keys; those that hold a key of it are
//! written again, and only if a row really changes. New keys go into new files, ordered by key. In insert mode no file is
//! ever written again. DataFusion takes no part in it, so the cost of a merge is that of its files: no plan, no shuffle, and
//! memory for a few files at a time.
//!
//! **Partitions.** A key is searched in the whole table, so a row whose partition changes moves and is never doubled. Where
//! the partition follows from the key, only the partitions of the batch are searched: always in insert mode (partition
//! columns come from the key or the event), when all partition columns are in the key, and where
//! [`Options::fixed_partitions`] says so. An empty text in a partition column is null: Delta's log has one spelling for both.
//!
//! **Limits.** Tables with column mapping, check constraints or deletion vectors are refused with an error that says so.

mod commit;
mod error;
mod files;
mod log;
mod maintain;
mod open;
mod parquet;
mod probe;
mod query;
mod rewrite;
mod scan;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use deltalake::arrow::array::RecordBatch;
use deltalake::logstore::ObjectStoreRef;
use tokio::sync::Mutex;

pub use probe::probe;
pub use query::query;
pub use schema::check_spec;

use crate::Result;
use crate::clock::Clock;
use crate::table::{CommitError, Committed, Row, TableSpec, TableStats, Transactions};

/// Where a table is and how it is written.
#[derive(Clone)]
pub struct Options {
    /// A local path, `file://`, `abfss://`, `az://` or `memory://`: the table's folder.
    pub url: String,
    /// Credentials and settings of the store, by the names that object_store uses. Never shown.
    pub storage_options: HashMap<String, String>,
    /// A store to use instead of the one that `url` names, rooted where the url's path begins.
    pub store: Option<ObjectStoreRef>,
    /// Bytes at which a data file is closed and the next one begun. A merge writes whole files again: keep them small.
    pub target_file_size: u64,
    /// Commits between two checkpoints.
    pub checkpoint_interval: u64,
    /// More small files than this in one partition are compacted.
    pub small_files: usize,
    /// Whether the partition of a key never changes, so that only the partitions of a batch need be searched. If it is said
    /// and not true, a key whose partition changed gets a second row.
    pub fixed_partitions: bool,
}

impl Options {
    /// The usual settings for the table at `url`.
    pub fn at(url: impl Into<String>) -> Self {
        Options {
            url: url.into(),
            storage_options: HashMap::new(),
            store: None,
            target_file_size: 32 << 20,
            checkpoint_interval: 100,
            small_files: 20,
            fixed_partitions: false,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = url::Url::parse(&self.url).map_or_else(|_| self.url.clone(), |url| error::shown(&url));
        let options: Vec<&String> = self.storage_options.keys().collect();
        f.debug_struct("Options").field("url", &shown).field("storage_options", &options).finish_non_exhaustive()
    }
}

/// An open table. Calls of `commit` and `maintain` take turns.
pub struct Table {
    spec: Arc<TableSpec>,
    options: Options,
    place: error::Place,
    clock: Arc<dyn Clock>,
    /// Parts the pauses of two writers.
    instance: uuid::Uuid,
    state: Mutex<commit::State>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("name", &self.spec.name).field("options", &self.options).finish_non_exhaustive()
    }
}

impl Table {
    /// Opens the table, making it when there is none and adding the columns it lacks.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use connectors::clock::SystemClock;
    /// use connectors::delta::{Options, Table};
    /// use connectors::table::{Cell, Column, ColumnType, Group, Mode, Table as _, TableSpec, Transactions};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let column = |name: &str, nullable| Column { name: name.into(), kind: ColumnType::String, nullable, about: None };
    /// let spec = TableSpec {
    ///     name: "users".into(),
    ///     columns: vec![column("user_id", false), column("email", true)],
    ///     key: vec![0],
    ///     partition: vec![],
    ///     mode: Mode::Merge,
    ///     keep: vec![],
    ///     groups: vec![Group { name: "rest".into(), version: None, columns: vec![1] }],
    /// };
    /// let table = Table::open(Options::at("memory:///users"), spec, Arc::new(SystemClock::new(1.0))).await.unwrap();
    /// let row = vec![Some(Cell::Text("u1".into())), Some(Cell::Text("u1@example.org".into()))];
    /// let done = table.commit(vec![row], &Transactions::from([("shop/users/users-0".into(), 1)])).await.unwrap();
    /// assert_eq!((done.version, done.inserted), (1, 1));
    /// # });
    /// ```
    pub async fn open(options: Options, spec: TableSpec, clock: Arc<dyn Clock>) -> Result<Self> {
        let url = open::address(&options, &spec).await?;
        let place = open::place(&spec, &url);
        let state = Mutex::new(open::open(&options, &spec, &place, url).await?);
        Ok(Table { spec: Arc::new(spec), options, place, clock, instance: uuid::Uuid::new_v4(), state })
    }

    /// Opens the table as it is, to be read only; none if there is none. Nothing is made.
    pub async fn look(options: Options, spec: TableSpec, clock: Arc<dyn Clock>) -> Result<Option<Self>> {
        if open::is_missing_folder(&options) {
            return Ok(None);
        }
        let url = open::address(&options, &spec).await?;
        let place = open::place(&spec, &url);
        let Some(state) = open::look(&options, &spec, &place, url).await? else { return Ok(None) };
        let state = Mutex::new(state);
        Ok(Some(Table { spec: Arc::new(spec), options, place, clock, instance: uuid::Uuid::new_v4(), state }))
    }

    /// What was declared.
    pub fn spec(&self) -> &TableSpec {
        &self.spec
    }
}

#[async_trait]
impl crate::table::Table for Table {
    async fn commit(&self, rows: Vec<Row>, transactions: &Transactions) -> Result<Committed, CommitError> {
        let rows = crate::rows::checked(&self.spec, rows)?;
        self.commit_source(rewrite::Source::new(self.spec.clone(), rows)?, transactions).await
    }

    async fn insert(&self, batch: RecordBatch, transactions: &Transactions) -> Result<Committed, CommitError> {
        let batch = crate::rows::checked_batch(&self.spec, &batch)?;
        self.commit_source(rewrite::Source::of_batch(self.spec.clone(), batch)?, transactions).await
    }

    async fn transactions(&self) -> Result<Transactions> {
        let mut state = self.state.lock().await;
        state.refresh().await.map_err(|e| self.place.failed("read the log", e))?;
        Ok(state.transactions.clone())
    }

    async fn scan(&self, columns: &[usize], not_past: Option<&Transactions>) -> Result<Vec<RecordBatch>> {
        self.scan_columns(columns, not_past).await
    }

    async fn stats(&self) -> Result<TableStats> {
        self.count().await
    }

    async fn maintain(&self) -> Result<()> {
        self.tend().await
    }
}
