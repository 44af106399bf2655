//! A look at a table that writes nothing: neither a table nor a folder is made.

use deltalake::DeltaTableBuilder;
use url::Url;

use super::{Options, open};
use crate::table::TableSpec;
use crate::{Error, Result};

/// The version of the table, if there is one; an error if it cannot be read, or is not what was declared.
pub async fn probe(options: &Options, spec: &TableSpec) -> Result<Option<u64>> {
    let text = options.url.as_str();
    let local = text.strip_prefix("file://").or((!text.contains("://")).then_some(text));
    let url = match local {
        // Opening would make the folder.
        Some(path) => match tokio::fs::canonicalize(path).await {
            Ok(path) => Url::from_directory_path(&path)
                .map_err(|()| Error::permanent(format!("table {}: {} is no folder", spec.name, path.display())))?,
            Err(_) => return Ok(None),
        },
        None => open::address(options, spec).await?,
    };
    let place = open::place(spec, &url);
    let mut builder = DeltaTableBuilder::from_url(url).map_err(|e| place.failed("open", e))?;
    builder = builder.with_storage_options(options.storage_options.clone());
    let mut table = builder.build().map_err(|e| place.failed("open", e))?;
    if !open::exists(&table).await.map_err(|e| place.failed("look for its log", e))? {
        return Ok(None);
    }
    table.load().await.map_err(|e| place.failed("load", e))?;
    open::check_features(spec, &place, &table)?;
    open::compare(spec, &place, &table)?;
    Ok(table.version())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::delta::Table;
    use crate::table::{Column, ColumnType, Mode};

    fn spec(kind: ColumnType) -> TableSpec {
        let column = |name: &str, kind, nullable| Column { name: name.into(), kind, nullable, about: None };
        TableSpec {
            name: "orders".into(),
            columns: vec![column("id", ColumnType::Id, false), column("n", kind, true)],
            key: vec![0],
            partition: Vec::new(),
            mode: Mode::Insert,
            keep: Vec::new(),
            groups: Vec::new(),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_look_makes_nothing_and_sees_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::at(folder.path().join("orders").display().to_string());
        assert_eq!(probe(&options, &spec(ColumnType::Int64)).await.unwrap(), None);
        assert!(!folder.path().join("orders").exists());
        let clock = Arc::new(SystemClock::new(1.0));
        drop(Table::open(options.clone(), spec(ColumnType::Int64), clock).await.unwrap());
        assert_eq!(probe(&options, &spec(ColumnType::Int64)).await.unwrap(), Some(0));
        // A column of another type is said before a run stumbles over it.
        assert!(probe(&options, &spec(ColumnType::Timestamp)).await.is_err());
    }
}
