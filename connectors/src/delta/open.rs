//! Opening a table: make it when there is none, else see whether it is the one that was declared.
//!
//! Only an empty log means that there is no table. An error is an error: a token that had expired must never lead to a
//! table being made over one that is there.

use std::collections::HashMap;

use deltalake::kernel::StructField;
use deltalake::protocol::SaveMode;
use deltalake::{DeltaResult, DeltaTable, DeltaTableBuilder, DeltaTableError};
use url::Url;

use super::commit::{State, properties};
use super::error::{Place, shown};
use super::{Options, schema};
use crate::table::{Mode, TableSpec};
use crate::{Error, Result};

/// The address of the table's folder; a local folder is made.
pub(super) async fn address(options: &Options, spec: &TableSpec) -> Result<Url> {
    let text = options.url.clone();
    let wrong = |what: String| Error::permanent(format!("table {}: its address is not understood: {what}", spec.name));
    tokio::task::spawn_blocking(move || deltalake::ensure_table_uri(text))
        .await
        .map_err(|e| wrong(e.to_string()))?
        .map_err(|e| wrong(e.to_string()).hint("use a path, file://, abfss://, az:// or memory://"))
}

/// Whether the address is a folder of this machine that has no log: asking for the address would make it.
pub(super) fn is_missing_folder(options: &Options) -> bool {
    let url = options.url.as_str();
    let folder = match Url::parse(url) {
        Ok(url) if url.scheme() == "file" => url.to_file_path().ok(),
        _ => (!url.contains("://")).then(|| url.into()),
    };
    folder.is_some_and(|folder: std::path::PathBuf| !folder.join("_delta_log").is_dir())
}

/// Loads the table at `url` as it is; none if there is none. Nothing is made and nothing is added.
pub(super) async fn look(options: &Options, spec: &TableSpec, place: &Place, url: Url) -> Result<Option<State>> {
    schema::check_spec(spec)?;
    let failed = |doing: &'static str| move |error: DeltaTableError| place.failed(doing, error);
    let mut table = at(options, url).map_err(failed("open"))?;
    if !exists(&table).await.map_err(failed("look for its log"))? {
        return Ok(None);
    }
    table.load().await.map_err(failed("load"))?;
    check_features(spec, place, &table)?;
    compare(spec, place, &table)?;
    State::load(table).await.map(Some).map_err(failed("read the transactions"))
}

/// The table at `url`, which may not be there.
fn at(options: &Options, url: Url) -> DeltaResult<DeltaTable> {
    let mut builder = DeltaTableBuilder::from_url(url.clone())?;
    builder = builder.with_storage_options(options.storage_options.clone());
    if let Some(store) = &options.store {
        builder = builder.with_storage_backend(store.clone(), url);
    }
    builder.build()
}

/// Makes or loads the table at `url`, adds the columns it lacks, and reads its transactions.
pub(super) async fn open(options: &Options, spec: &TableSpec, place: &Place, url: Url) -> Result<State> {
    schema::check_spec(spec)?;
    let failed = |doing: &'static str| move |error: DeltaTableError| place.failed(doing, error);
    let mut table = at(options, url).map_err(failed("open"))?;
    if exists(&table).await.map_err(failed("look for its log"))? {
        table.load().await.map_err(failed("load"))?;
    } else {
        table = match create(options, spec, &table).await {
            Ok(created) => created,
            // Another process may have been faster; if not, the error stands.
            Err(error) if exists(&table).await.unwrap_or(false) => {
                table.load().await.map_err(|_| place.failed("create", error))?;
                table
            }
            Err(error) => return Err(place.failed("create", error)),
        };
    }
    check_features(spec, place, &table)?;
    for retry in [true, false] {
        let missing = compare(spec, place, &table)?;
        if missing.is_empty() {
            break;
        }
        let names: Vec<String> = missing.iter().map(|f| f.name().clone()).collect();
        tracing::info!(table = spec.name, columns = names.join(", "), "adding the columns that the table lacks");
        match table.clone().add_columns().with_fields(missing).with_commit_properties(properties()).await {
            Ok(evolved) => table = evolved,
            // Another process may have added them.
            Err(error) if retry => {
                tracing::warn!(table = spec.name, %error, "the columns were not added; looking again");
                table.update_incremental(None).await.map_err(failed("load"))?;
            }
            Err(error) => return Err(place.failed("add columns", error)),
        }
    }
    State::load(table).await.map_err(failed("read the transactions"))
}

/// Whether there is a log. Unlike loading, it tells an empty folder from one that cannot be read.
pub(super) async fn exists(table: &DeltaTable) -> DeltaResult<bool> {
    table.log_store().is_delta_table_location().await
}

async fn create(options: &Options, spec: &TableSpec, table: &DeltaTable) -> DeltaResult<DeltaTable> {
    let properties_of_table: HashMap<String, Option<String>> =
        [("delta.targetFileSize", options.target_file_size), ("delta.checkpointInterval", options.checkpoint_interval)]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Some(value.to_string())))
            .collect();
    table
        .create()
        .with_table_name(&spec.name)
        .with_columns(spec.columns.iter().map(|c| schema::field(c, c.nullable)))
        .with_partition_columns(schema::partition_names(spec))
        .with_configuration(properties_of_table)
        .with_save_mode(SaveMode::ErrorIfExists)
        .with_commit_properties(properties())
        .await
}

pub(super) fn compare(spec: &TableSpec, place: &Place, table: &DeltaTable) -> Result<Vec<StructField>> {
    let snapshot = table.snapshot().map_err(|e| place.failed("load", e))?;
    schema::missing_columns(place, spec, &snapshot.schema(), snapshot.metadata().partition_columns())
}

/// Refuses tables that another writer has given features which this one would break without a word.
pub(super) fn check_features(spec: &TableSpec, place: &Place, table: &DeltaTable) -> Result<()> {
    let snapshot = table.snapshot().map_err(|e| place.failed("load", e))?;
    let refuse = |what: &str, hint: &str| Err(place.permanent("check the table's features", what).hint(hint));
    for (name, value) in snapshot.metadata().configuration() {
        if name == "delta.columnMapping.mode" && value != "none" {
            return refuse("it uses column mapping, which is not supported", "write to a table without it");
        }
        if name.starts_with("delta.constraints.") {
            return refuse("it has check constraints, which are not supported", "drop the constraints");
        }
        if name == "delta.appendOnly" && value == "true" && spec.mode == Mode::Merge {
            return refuse(
                "it is append-only, and the topology merges",
                "set delta.appendOnly to false, or use mode insert",
            );
        }
    }
    Ok(())
}

/// Where `spec` at `url` is, for messages.
pub(super) fn place(spec: &TableSpec, url: &Url) -> Place {
    Place { table: spec.name.clone(), url: shown(url) }
}
