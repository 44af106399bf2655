//! Reading a table: some columns of the newest version, or of the newest one that is not past given positions.

use deltalake::arrow::array::RecordBatch;
use deltalake::{DeltaResult, DeltaTable, DeltaTableError};
use futures::{StreamExt as _, TryStreamExt as _};

use super::files::{self, Files};
use super::{Table, log};
use crate::table::{TableStats, Transactions};
use crate::{Category, Result, rows};

/// Files that are read at a time.
const PARALLEL_FILES: usize = 4;

impl Table {
    /// See [`crate::table::Table::scan`].
    pub(super) async fn scan_columns(
        &self,
        columns: &[usize],
        not_past: Option<&Transactions>,
    ) -> Result<Vec<RecordBatch>> {
        let failed = |doing: &'static str| move |error: DeltaTableError| self.place.failed(doing, error);
        let declared = columns.iter().map(|index| {
            self.spec.columns.get(*index).ok_or_else(|| {
                self.place
                    .permanent("scan", format!("column {index} is asked for, {} are declared", self.spec.columns.len()))
            })
        });
        let schema = rows::arrow_schema(declared.collect::<Result<Vec<_>>>()?);
        let (mut table, transactions) = {
            let mut state = self.state.lock().await;
            state.refresh().await.map_err(failed("read the log"))?;
            (state.table.clone(), state.transactions.clone())
        };
        if let Some(not_past) = not_past {
            let newest = table.version().unwrap_or(0);
            let version = log::newest_not_past(table.log_store().as_ref(), newest, &transactions, not_past)
                .await
                .map_err(failed("read the log"))?;
            let gone = || {
                self.place
                    .permanent("scan", "every version that is left is past the positions that were asked for")
                    .hint("the log of older versions was cleaned up; read the newest version, or start from newer positions")
            };
            let version = version.ok_or_else(gone)?;
            if version != newest {
                table.load_version(version).await.map_err(failed("load the version before the positions"))?;
            }
        }
        let files = files_of(self, &table).map_err(failed("read the log"))?;
        let store = table.object_store();
        let batches = futures::stream::iter(files.all().into_iter().map(|file| {
            let (store, schema) = (store.clone(), schema.clone());
            async move {
                let batches = files::columns(&files::open(&store, &file).await?, &schema)?;
                let batches = batches.map(|batch| files::conform(&self.spec, &file, &batch?, &schema));
                batches.try_collect::<Vec<_>>().await
            }
        }))
        .buffered(PARALLEL_FILES)
        .try_collect::<Vec<_>>()
        .await
        .map_err(|error| match self.place.failed("read", error) {
            gone if gone.category == Category::Permanent && not_past.is_some() => {
                gone.hint("the files of that version may have been vacuumed; read the newest version instead")
            }
            other => other,
        })?;
        Ok(batches.into_iter().flatten().filter(|batch| batch.num_rows() > 0).collect())
    }

    /// See [`crate::table::Table::stats`].
    pub(super) async fn count(&self) -> Result<TableStats> {
        let mut state = self.state.lock().await;
        state.refresh().await.map_err(|e| self.place.failed("read the log", e))?;
        let files = files_of(self, &state.table).map_err(|e| self.place.failed("read the log", e))?.all();
        Ok(TableStats {
            version: i64::try_from(state.followed).unwrap_or(i64::MAX),
            rows: files.iter().filter_map(|file| file.rows).sum(),
            files: files.len() as u64,
            bytes: files.iter().map(|file| file.size).sum(),
        })
    }
}

fn files_of(this: &Table, table: &DeltaTable) -> DeltaResult<Files> {
    let mut files = Files::default();
    files.update(&this.spec, table.snapshot()?);
    Ok(files)
}
