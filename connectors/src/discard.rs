//! A table that keeps nothing: rows are checked, counted and let go. What a run is given in place of its tables when it is
//! not to write any.
//!
//! It holds no row, so a scan finds nothing; the positions that commits name are remembered, because a partition that comes back must not look new.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use deltalake::arrow::array::RecordBatch;

use crate::table::{CommitError, Committed, Row, TableSpec, TableStats, Transactions};
use crate::{Result, rows};

/// A table that keeps nothing.
#[derive(Debug)]
pub struct Table {
    spec: TableSpec,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    stats: TableStats,
    transactions: Transactions,
}

impl Table {
    /// A table of this form.
    pub fn new(spec: TableSpec) -> Self {
        Table { spec, inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a commit of so many rows, and remembers its positions.
    fn count(&self, rows: usize, transactions: &Transactions) -> Committed {
        let mut inner = self.lock();
        inner.stats.version += 1;
        inner.stats.rows += rows as u64;
        for (application, ours) in transactions {
            let held = inner.transactions.entry(application.clone()).or_insert(*ours);
            *held = (*held).max(*ours);
        }
        Committed { version: inner.stats.version, inserted: rows as u64, ..Committed::default() }
    }
}

#[async_trait]
impl crate::table::Table for Table {
    /// Refuses what a real table refuses: a row without its key, a cell of another type.
    async fn commit(&self, new: Vec<Row>, transactions: &Transactions) -> Result<Committed, CommitError> {
        let new = rows::checked(&self.spec, new)?;
        rows::batch(&self.spec.columns, &new)?;
        Ok(self.count(new.len(), transactions))
    }

    /// Columns stay columns here too.
    async fn insert(&self, batch: RecordBatch, transactions: &Transactions) -> Result<Committed, CommitError> {
        let batch = rows::checked_batch(&self.spec, &batch)?;
        Ok(self.count(batch.num_rows(), transactions))
    }

    async fn transactions(&self) -> Result<Transactions> {
        Ok(self.lock().transactions.clone())
    }

    async fn scan(&self, _: &[usize], _: Option<&Transactions>) -> Result<Vec<RecordBatch>> {
        Ok(Vec::new())
    }

    /// `rows` is what was committed, a key counted as often as it came.
    async fn stats(&self) -> Result<TableStats> {
        Ok(self.lock().stats.clone())
    }

    async fn maintain(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::conformance;
    use crate::table::{Cell, Table as _};

    #[tokio::test]
    async fn rows_are_checked_and_counted_and_gone() {
        let spec = conformance::table::orders();
        let table = Table::new(spec.clone());
        let row = conformance::table::row(&spec, &[("order_id", Cell::Text("o1".into()))]);
        let positions = Transactions::from([("shop/orders-0".to_owned(), 7)]);
        table.commit(vec![row.clone()], &positions).await.unwrap();
        table.commit(vec![row], &Transactions::from([("shop/orders-0".to_owned(), 5)])).await.unwrap();
        assert_eq!((table.stats().await.unwrap().rows, table.transactions().await.unwrap()), (2, positions));
        assert!(table.scan(&[0], None).await.unwrap().is_empty());
        let columns =
            rows::batch(&spec.columns, &[conformance::table::row(&spec, &[("order_id", Cell::Text("o2".into()))])]);
        table.insert(columns.unwrap(), &Transactions::new()).await.unwrap();
        assert_eq!(table.stats().await.unwrap().rows, 3);
        let nameless = conformance::table::row(&spec, &[]);
        assert!(table.commit(vec![nameless], &Transactions::new()).await.is_err(), "a key is never null");
    }
}
