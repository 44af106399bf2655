//! Tables: rows with a key that are merged or inserted, together with the positions of the sources they came from.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
/// What a scan returns.
pub use deltalake::arrow::array::RecordBatch;

use crate::{Error, Result, rows};

/// The type of a column, which is also the rule that turns JSON into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// An identifier: text and integers become text. Stored as a string.
    Id,
    /// Trimmed text; blank is null. Stored as a string.
    String,
    /// Text exactly as it is, blank included. Stored as a string.
    Text,
    /// A 64-bit integer.
    Int64,
    /// A 32-bit integer.
    Int32,
    /// A 64-bit float.
    Float64,
    /// True or false.
    Bool,
    /// A decimal number, exact, stored as its text.
    Decimal,
    /// Microseconds since 1970-01-01 UTC, stored as a timestamp with time zone.
    Timestamp,
    /// Days since 1970-01-01.
    Date,
    /// Any JSON, stored as its text.
    Json,
}

impl ColumnType {
    /// All of them, in the order of their declaration.
    pub const ALL: [ColumnType; 11] = [
        ColumnType::Id,
        ColumnType::String,
        ColumnType::Text,
        ColumnType::Int64,
        ColumnType::Int32,
        ColumnType::Float64,
        ColumnType::Bool,
        ColumnType::Decimal,
        ColumnType::Timestamp,
        ColumnType::Date,
        ColumnType::Json,
    ];
}

/// One value of one column. `Ord` is total, so equal versions are settled the same way everywhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Cell {
    /// No value.
    Null,
    /// Of [`ColumnType::Bool`].
    Bool(bool),
    /// Of [`ColumnType::Int64`] and [`ColumnType::Int32`].
    Int(i64),
    /// Of [`ColumnType::Float64`]: the bits of the float.
    Float(u64),
    /// Of every type that is stored as a string.
    Text(Arc<str>),
    /// Of [`ColumnType::Timestamp`]: microseconds since 1970-01-01 UTC.
    Timestamp(i64),
    /// Of [`ColumnType::Date`]: days since 1970-01-01.
    Date(i32),
}

impl Cell {
    /// Whether it holds no value.
    pub fn is_null(&self) -> bool {
        matches!(self, Cell::Null)
    }

    /// About how much memory it holds.
    pub fn size(&self) -> usize {
        24 + if let Cell::Text(text) = self { text.len() } else { 0 }
    }
}

/// One row on its way into a table: a cell for each column, `None` where the row does not carry the column.
/// Absent is not null: an absent cell leaves what the table holds, a null overwrites it.
pub type Row = Vec<Option<Cell>>;

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ColumnType,
    /// Whether it may hold null.
    pub nullable: bool,
    /// What it means.
    pub about: Option<String>,
}

/// What happens to a row whose key is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Its columns are updated, group by group, unless the table holds a newer version of the group.
    Merge,
    /// Nothing: the first row of a key stays as it is.
    Insert,
}

/// Columns that are written together and share one version: an older version never overwrites a newer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The index of the column that holds the version; without one the last writer wins.
    pub version: Option<usize>,
    /// The indexes of its columns, the version included. Key columns and `keep` columns belong to no group.
    pub columns: Vec<usize>,
}

/// All there is to know about a table before it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSpec {
    /// Its name in the topology.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// The indexes of the key's columns, never null.
    pub key: Vec<usize>,
    /// The indexes of the columns it is partitioned by.
    pub partition: Vec<usize>,
    /// What happens to a key that is already there.
    pub mode: Mode,
    /// Columns whose first non-null value stays for ever (`created_at`).
    pub keep: Vec<usize>,
    /// Every other column outside the key, each in exactly one group.
    pub groups: Vec<Group>,
}

impl TableSpec {
    /// The version column of the first group, if it has one: a row without it is a placeholder that other groups made.
    pub fn main_version(&self) -> Option<usize> {
        self.groups.first().and_then(|group| group.version)
    }

    /// The index of the column called `name`.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }
}

/// The positions that a commit makes durable with its rows: for each application id (`topology/flow/topic-partition`)
/// the next offset. Versions of one application only grow.
pub type Transactions = BTreeMap<String, i64>;

/// What one commit did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The table's version afterwards.
    pub version: i64,
    /// Rows that were not there before.
    pub inserted: u64,
    /// Rows that were changed.
    pub updated: u64,
    /// Data files that were read and written again.
    pub files_rewritten: u64,
    /// Rows copied without a change because their file was rewritten.
    pub rows_copied: u64,
    /// Whether an earlier attempt of the same commit was found to have landed.
    pub recognised: bool,
}

/// Why a commit did not happen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// Another writer has committed past us on this application id: the partition is not ours any more. Abandon it.
    #[error("{application} is at {found} in the table, past our {ours}: another process owns this partition")]
    Fenced {
        /// The application id.
        application: String,
        /// What the table holds.
        found: i64,
        /// What we wanted to write.
        ours: i64,
    },
    /// The store said no; the same commit can be tried again.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// What a table looks like from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Its version.
    pub version: i64,
    /// Its rows.
    pub rows: u64,
    /// Its data files.
    pub files: u64,
    /// The bytes of its data files.
    pub bytes: u64,
}

/// A table with one committer in this process. Calls of `commit` do not overlap.
#[async_trait]
pub trait Table: Send + Sync {
    /// Merges or inserts `rows` (one row a key, see [`Row`]) and records `transactions`, in one commit. With no rows, or
    /// when no row changes anything, the transactions are still recorded. A commit that had landed although its answer was
    /// lost is recognised by its own transactions and not repeated.
    async fn commit(&self, rows: Vec<Row>, transactions: &Transactions) -> Result<Committed, CommitError>;

    /// The same for a table that only inserts, with its rows as columns already: `batch` holds all declared columns in their
    /// order, whole rows, one a key. Nothing on the way takes the rows apart.
    async fn insert(&self, batch: RecordBatch, transactions: &Transactions) -> Result<Committed, CommitError> {
        self.commit(rows::of_batch(&batch)?, transactions).await
    }

    /// The transactions that the newest version of the table holds.
    async fn transactions(&self) -> Result<Transactions>;

    /// Reads `columns` of the newest version, or of the newest version whose transactions are not past `not_past`
    /// (applications that it does not name do not count).
    async fn scan(&self, columns: &[usize], not_past: Option<&Transactions>) -> Result<Vec<RecordBatch>>;

    /// Version, rows, files.
    async fn stats(&self) -> Result<TableStats>;

    /// Compacts small files, writes a checkpoint, deletes what nobody needs. Runs in turn with `commit`.
    async fn maintain(&self) -> Result<()>;
}
