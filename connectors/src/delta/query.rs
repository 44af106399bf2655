//! SQL over the tables of a folder, for people who want to look.

use std::path::Path;

use deltalake::datafusion::prelude::SessionContext;

use crate::{Error, Result};

/// Runs `sql` over the tables below `folder`, each under the name of its own folder, and returns the result as text. Without
/// a query it lists the tables.
pub async fn query(folder: &Path, sql: Option<&str>) -> Result<String> {
    let wrong = |what: String| Error::permanent(format!("{}: {what}", folder.display()));
    let mut entries = tokio::fs::read_dir(folder).await.map_err(|e| wrong(e.to_string()))?;
    let session = SessionContext::new();
    let mut names = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(|e| wrong(e.to_string()))? {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if !tokio::fs::try_exists(path.join("_delta_log")).await.unwrap_or(false) {
            continue;
        }
        let whole = tokio::fs::canonicalize(&path).await.map_err(|e| wrong(e.to_string()))?;
        let url = url::Url::from_directory_path(&whole).map_err(|()| wrong(format!("{name} is no path of a table")))?;
        let table = deltalake::open_table(url).await.map_err(|e| wrong(format!("table {name}: {e}")))?;
        let provider = table.table_provider().await.map_err(|e| wrong(format!("table {name}: {e}")))?;
        session.register_table(name.as_str(), provider).map_err(|e| wrong(format!("table {name}: {e}")))?;
        names.push(name);
    }
    names.sort();
    let Some(sql) = sql else { return Ok(names.join("\n")) };
    let frame = session.sql(sql).await.map_err(|e| wrong(e.to_string()))?;
    frame.to_string().await.map_err(|e| wrong(e.to_string()))
}
