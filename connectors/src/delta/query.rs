//! SQL over the tables below a local folder, for a person at a terminal. This is the one place where DataFusion works.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deltalake::DeltaTable;
use deltalake::arrow::util::pretty::pretty_format_batches;
use deltalake::datafusion::error::DataFusionError;
use deltalake::datafusion::prelude::SessionContext;
use url::Url;

use super::error::{Place, shown};
use crate::{Error, Result};

/// Tables are looked for so many folders deep.
const DEPTH: usize = 4;

/// Runs `sql` over the tables below `folder`, each under the name of its own folder, and returns the answer as text. Without
/// a query it lists them.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let folder = std::env::temp_dir().join("no tables are here");
/// assert!(connectors::delta::query(&folder, Some("select 1")).await.is_err());
/// # });
/// ```
pub async fn query(folder: &Path, sql: Option<&str>) -> Result<String> {
    let root = folder.to_owned();
    let found = tokio::task::spawn_blocking(move || {
        let mut found = Vec::new();
        tables_below(&root, DEPTH, &mut found)?;
        found.sort();
        Ok::<_, std::io::Error>(found)
    })
    .await
    .map_err(|e| Error::permanent(format!("cannot look into {}: {e}", folder.display())))?
    .map_err(|e| Error::permanent(format!("cannot look into {}: {e}", folder.display())))?;
    if found.is_empty() {
        let hint = "give the folder that holds the tables' folders, or that of one table";
        return Err(Error::permanent(format!("there is no Delta table below {}", folder.display())).hint(hint));
    }
    let context = SessionContext::new();
    let mut names = Vec::new();
    let mut listing = String::new();
    for path in found {
        let (name, table) = load(&path).await?;
        names.push(name.clone());
        let place = Place { table: name.clone(), url: shown(table.table_url()) };
        match sql {
            None => {
                let snapshot = table.snapshot().map_err(|e| place.failed("read the log", e))?;
                let files = snapshot.log_data();
                let rows: usize = files.iter().filter_map(|file| file.num_records()).sum();
                let (version, files) = (snapshot.version(), files.num_files());
                let _ = writeln!(listing, "{name}: {rows} rows in {files} files, version {version}");
            }
            Some(_) => {
                let provider = table.table_provider().await.map_err(|e| place.failed("read the log", e))?;
                let known = context.register_table(name.as_str(), Arc::clone(&provider)).map_err(refused)?;
                if known.is_some() {
                    tracing::warn!(table = name, path = %path.display(), "two tables have this name; the last one is used");
                }
            }
        }
    }
    let Some(sql) = sql else { return Ok(listing.trim_end().to_owned()) };
    let planned = context.sql(sql).await.map_err(|error| {
        let error = refused(error);
        // DataFusion names the tables that it knows for columns, and for tables nothing.
        let unknown = error.message.contains("table '") && error.message.contains("not found");
        if unknown { error.hint(format!("the tables here are {}", names.join(", "))) } else { error }
    })?;
    let batches = planned.collect().await.map_err(refused)?;
    let printed =
        pretty_format_batches(&batches).map_err(|e| Error::permanent(format!("cannot print the answer: {e}")))?;
    Ok(printed.to_string())
}

fn refused(error: DataFusionError) -> Error {
    Error::permanent(format!("the query: {}", error.strip_backtrace()))
}

/// The folders with a log, `depth` deep at most; what is below a table is its own affair.
fn tables_below(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if folder.join("_delta_log").is_dir() {
        found.push(folder.canonicalize()?);
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if depth > 0 && entry.file_type()?.is_dir() {
            tables_below(&entry.path(), depth - 1, found)?;
        }
    }
    Ok(())
}

async fn load(path: &Path) -> Result<(String, DeltaTable)> {
    let name = path.file_name().map_or_else(|| "table".to_owned(), |name| name.to_string_lossy().into_owned());
    let unnamed = || Error::permanent(format!("{} is no address of a table", path.display()));
    let url = Url::from_directory_path(path).map_err(|()| unnamed())?;
    let place = Place { table: name.clone(), url: shown(&url) };
    let table = deltalake::open_table(url).await.map_err(|e| place.failed("load", e))?;
    Ok((name, table))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::conformance::table::{at, orders, row, text};
    use crate::delta::{Options, Table};
    use crate::table::{Cell, Table as _};

    #[tokio::test]
    async fn tables_are_listed_and_queried_by_the_name_of_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop/shop_orders");
        let options = Options::at(path.to_str().unwrap());
        let table = Table::open(options, orders(), Arc::new(SystemClock::new(1.0))).await.unwrap();
        let order = |id: &str, items| row(&orders(), &[("order_id", text(id)), ("items", Cell::Int(items))]);
        table.commit(vec![order("a", 2), order("b", 40)], &at(&[("p", 2)])).await.unwrap();
        assert_eq!(query(folder.path(), None).await.unwrap(), "shop_orders: 2 rows in 1 files, version 1");
        let answer = query(folder.path(), Some("select sum(items) as items from shop_orders")).await.unwrap();
        assert!(answer.contains("| 42    |"), "{answer}");
        let error = query(folder.path(), Some("select nothing from shop_orders")).await.unwrap_err();
        assert!(error.message.contains("nothing"), "{error}");
        let error = query(folder.path(), Some("select items from shop_order")).await.unwrap_err().to_string();
        assert!(error.contains("shop_order'") && error.contains("the tables here are shop_orders"), "{error}");
    }
}
