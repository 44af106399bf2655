//! A table in memory: the double of the real ones, with the same answers, for tests and simulations.
//!
//! It keeps the last [`HISTORY`] commits for reads of older versions. A test can make it lose the answer of a commit
//! ([`Table::lose_answers`]) or refuse it ([`Table::refuse`]).

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use async_trait::async_trait;
use deltalake::arrow::array::RecordBatch;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::table::{Cell, CommitError, Committed, Mode, Row, TableSpec, TableStats, Transactions};
use crate::{Error, Result, rows};

/// How many older versions can be read.
pub const HISTORY: usize = 256;

/// A table in memory. Clones of an `Arc` around it see the same rows, like two openings of one address.
#[derive(Debug)]
pub struct Table {
    spec: TableSpec,
    inner: Mutex<Inner>,
}

type Key = Vec<Cell>;

#[derive(Debug, Default)]
struct Inner {
    version: i64,
    rows: BTreeMap<Key, Vec<Cell>>,
    transactions: Transactions,
    history: VecDeque<Past>,
    answers_to_lose: u32,
    refusals: VecDeque<Error>,
    /// The last commit whose answer was lost.
    lost: Option<(u64, Committed)>,
}

/// What takes a version back to the one before it.
#[derive(Debug)]
struct Past {
    transactions: Transactions,
    rows: Vec<(Key, Option<Vec<Cell>>)>,
}

impl Table {
    /// An empty table.
    pub fn new(spec: TableSpec) -> Self {
        Table { spec, inner: Mutex::default() }
    }

    /// The next `count` commits land, and the caller is told that they failed.
    pub fn lose_answers(&self, count: u32) {
        self.lock().answers_to_lose = count;
    }

    /// The next commit does nothing and fails with `error`.
    pub fn refuse(&self, error: Error) {
        self.lock().refusals.push_back(error);
    }

    /// All rows, by key: a cell for each column.
    pub fn rows(&self) -> Vec<Vec<Cell>> {
        self.lock().rows.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, row: &[Option<Cell>]) -> Key {
        self.spec.key.iter().map(|index| row.get(*index).cloned().flatten().unwrap_or(Cell::Null)).collect()
    }

    /// `old` with what `new` changes in it.
    fn merged(&self, old: &[Cell], new: &Row) -> Vec<Cell> {
        let mut out = old.to_vec();
        let held = |index: usize| old.get(index).unwrap_or(&Cell::Null);
        let carried = |index: usize| new.get(index).and_then(Option::as_ref);
        let mut put = |index: usize, cell: &Cell| {
            if let Some(slot) = out.get_mut(index) {
                *slot = cell.clone();
            }
        };
        for group in &self.spec.groups {
            let newer = group.version.is_none_or(|version| {
                let (held, ours) = (held(version), carried(version).unwrap_or(&Cell::Null));
                held.is_null() || (!ours.is_null() && ours >= held)
            });
            if newer {
                for index in &group.columns {
                    if let Some(cell) = carried(*index) {
                        put(*index, cell);
                    }
                }
            }
        }
        for index in &self.spec.keep {
            if let Some(cell) = carried(*index).filter(|_| held(*index).is_null()) {
                put(*index, cell);
            }
        }
        out
    }
}

#[async_trait]
impl crate::table::Table for Table {
    async fn commit(&self, new: Vec<Row>, transactions: &Transactions) -> Result<Committed, CommitError> {
        let new = rows::checked(&self.spec, new)?;
        rows::batch(&self.spec.columns, &new)?; // refuses cells of the wrong type
        let fingerprint = {
            let mut hasher = DefaultHasher::new();
            (&new, transactions).hash(&mut hasher);
            hasher.finish()
        };
        let mut inner = self.lock();
        let inner = &mut *inner;
        if let Some((_, committed)) = inner.lost.take().filter(|(lost, _)| *lost == fingerprint) {
            return Ok(Committed { recognised: true, ..committed });
        }
        if let Some(error) = inner.refusals.pop_front() {
            return Err(error.into());
        }
        for (application, ours) in transactions {
            if let Some(found) = inner.transactions.get(application).filter(|found| *found > ours) {
                return Err(CommitError::Fenced { application: application.clone(), found: *found, ours: *ours });
            }
        }
        let mut committed = Committed::default();
        let mut changes: Vec<(Key, Vec<Cell>)> = Vec::new();
        for row in &new {
            let key = self.key(row);
            match inner.rows.get(&key) {
                None => {
                    rows::check_insert(&self.spec, row)?;
                    changes.push((key, row.iter().map(|cell| cell.clone().unwrap_or(Cell::Null)).collect()));
                    committed.inserted += 1;
                }
                Some(_) if self.spec.mode == Mode::Insert => {}
                Some(old) => {
                    let merged = self.merged(old, row);
                    if &merged != old {
                        changes.push((key, merged));
                        committed.updated += 1;
                    }
                }
            }
        }
        let grows =
            transactions.iter().any(|(a, version)| inner.transactions.get(a).is_none_or(|found| found < version));
        if !changes.is_empty() || grows {
            let mut past = Past { transactions: inner.transactions.clone(), rows: Vec::with_capacity(changes.len()) };
            for (key, row) in changes {
                let old = inner.rows.insert(key.clone(), row);
                past.rows.push((key, old));
            }
            inner
                .transactions
                .extend(transactions.iter().map(|(application, version)| (application.clone(), *version)));
            inner.version += 1;
            inner.history.push_back(past);
            if inner.history.len() > HISTORY {
                inner.history.pop_front();
            }
        }
        committed.version = inner.version;
        if inner.answers_to_lose > 0 {
            inner.answers_to_lose -= 1;
            inner.lost = Some((fingerprint, committed));
            return Err(Error::transient(format!("table {}: the answer to a commit was lost", self.spec.name)).into());
        }
        Ok(committed)
    }

    async fn transactions(&self) -> Result<Transactions> {
        Ok(self.lock().transactions.clone())
    }

    async fn scan(&self, columns: &[usize], not_past: Option<&Transactions>) -> Result<Vec<RecordBatch>> {
        let inner = self.lock();
        let is_past = |held: &Transactions| {
            not_past.is_some_and(|limits| limits.iter().any(|(a, limit)| held.get(a).is_some_and(|v| v > limit)))
        };
        let mut held = &inner.transactions;
        let mut back = inner.history.iter().rev();
        let mut older: BTreeMap<&Key, Option<&Vec<Cell>>> = BTreeMap::new();
        while is_past(held) {
            let gone = || {
                Error::permanent(format!("table {}: every version that is left is past the positions", self.spec.name))
                    .hint("read the newest version, or start from newer positions")
            };
            let past = back.next().ok_or_else(gone)?;
            held = &past.transactions;
            older.extend(past.rows.iter().map(|(key, row)| (key, row.as_ref())));
        }
        let declared = columns.iter().map(|index| {
            self.spec.columns.get(*index).cloned().ok_or_else(|| {
                Error::permanent(format!("table {}: column {index} is asked for and not declared", self.spec.name))
            })
        });
        let declared = declared.collect::<Result<Vec<_>>>()?;
        let seen = inner.rows.iter().filter_map(|(key, row)| older.get(key).copied().unwrap_or(Some(row)));
        let picked: Vec<Row> = seen.map(|row| columns.iter().map(|index| row.get(*index).cloned()).collect()).collect();
        Ok(if picked.is_empty() { Vec::new() } else { vec![rows::batch(&declared, &picked)?] })
    }

    async fn stats(&self) -> Result<TableStats> {
        let inner = self.lock();
        let bytes = inner.rows.values().flatten().map(Cell::size).sum::<usize>() as u64;
        let rows = inner.rows.len() as u64;
        Ok(TableStats { version: inner.version, rows, files: u64::from(rows > 0), bytes })
    }

    async fn maintain(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::conformance;
    use crate::table::Table as _;

    #[tokio::test]
    async fn it_conforms() {
        conformance::table::suite(|spec| async move { Arc::new(Table::new(spec)) as Arc<dyn crate::table::Table> })
            .await;
    }

    #[tokio::test]
    async fn a_lost_answer_is_recognised_and_a_refusal_changes_nothing() {
        let spec = conformance::table::orders();
        let table = Table::new(spec.clone());
        let row = conformance::table::row(&spec, &[("order_id", Cell::Text("o1".into()))]);
        let positions = Transactions::from([("shop/orders-0".to_owned(), 1)]);
        table.lose_answers(1);
        assert!(table.commit(vec![row.clone()], &positions).await.is_err());
        let again = table.commit(vec![row.clone()], &positions).await.unwrap();
        assert!(again.recognised);
        assert_eq!((again.inserted, table.stats().await.unwrap().rows), (1, 1));

        table.refuse(Error::transient("no"));
        let positions = Transactions::from([("shop/orders-0".to_owned(), 2)]);
        assert!(table.commit(vec![row], &positions).await.is_err());
        assert_eq!(table.transactions().await.unwrap(), Transactions::from([("shop/orders-0".to_owned(), 1)]));
    }
}
