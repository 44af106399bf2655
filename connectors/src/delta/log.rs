//! The application transactions of a table, read from its log.
//!
//! delta-rs answers for one application at a time and replays the log for each; a flow has one application a partition. So
//! the whole map is read once, from the newest checkpoint and the commits after it, and then followed commit by commit.
//! Each commit of ours carries an id in its `commitInfo`, by which it is found again when the answer was lost.

use std::collections::BTreeMap;

use deltalake::arrow::array::{Array, AsArray};
use deltalake::arrow::datatypes::Int64Type;
use deltalake::logstore::LogStore;
use deltalake::logstore::object_store::ObjectStoreExt as _;
use deltalake::{DeltaResult, DeltaTableError, Path};
use futures::TryStreamExt as _;
use serde::Deserialize;

use super::parquet::Reader;
use crate::table::Transactions;

/// The field of `commitInfo` that holds the id of a commit.
pub(super) const COMMIT_ID: &str = "engineCommit";

/// What one commit says about transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// The positions it recorded.
    pub transactions: Transactions,
    /// Its id, if it is one of ours.
    pub id: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    txn: Option<Txn>,
    #[serde(rename = "commitInfo")]
    info: Option<Info>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Txn {
    app_id: String,
    version: i64,
}

#[derive(Deserialize)]
struct Info {
    #[serde(rename = "engineCommit")]
    id: Option<String>,
}

impl Entry {
    /// Reads the lines of a commit, or of a checkpoint written as JSON.
    fn parse(bytes: &[u8]) -> DeltaResult<Entry> {
        let mut entry = Entry::default();
        for line in bytes.split(|b| *b == b'\n') {
            // Most lines are files with their statistics: only the two short kinds are parsed.
            let head = String::from_utf8_lossy(line.get(..24).unwrap_or(line));
            if !head.contains("\"txn\"") && !head.contains("\"commitInfo\"") {
                continue;
            }
            let line: Line = serde_json::from_slice(line)
                .map_err(|e| DeltaTableError::MetadataError(format!("a line of the log is no JSON: {e}")))?;
            if let Some(txn) = line.txn {
                entry.transactions.insert(txn.app_id, txn.version);
            }
            if let Some(info) = line.info {
                entry.id = info.id;
            }
        }
        Ok(entry)
    }
}

/// The commit of `version`; `None` when the log does not hold it (any more).
pub(super) async fn read(log: &dyn LogStore, version: u64) -> DeltaResult<Option<Entry>> {
    log.read_commit_entry(version).await?.map(|bytes| Entry::parse(&bytes)).transpose()
}

/// All transactions as of `version`, and the version of the checkpoint that was used.
pub(super) async fn transactions_at(log: &dyn LogStore, version: u64) -> DeltaResult<(Transactions, Option<u64>)> {
    let store = log.object_store(None);
    let (checkpoint, mut transactions) = match newest_checkpoint(log, version).await? {
        None => (None, Transactions::new()),
        Some((at, parts)) => {
            let mut found = Transactions::new();
            for (path, size) in parts {
                if path.as_ref().ends_with(".json") {
                    found.extend(Entry::parse(&store.get(&path).await?.bytes().await?)?.transactions);
                    continue;
                }
                let mut batches = Reader::open(store.clone(), path, size).await?.columns(["txn"])?;
                while let Some(batch) = batches.try_next().await? {
                    let Some(txn) = batch.column_by_name("txn").and_then(|c| c.as_struct_opt()) else { continue };
                    let (Some(apps), Some(versions)) = (txn.column_by_name("appId"), txn.column_by_name("version"))
                    else {
                        continue;
                    };
                    let apps = apps.as_string_opt::<i32>();
                    let versions = versions.as_primitive_opt::<Int64Type>();
                    if let (Some(apps), Some(versions)) = (apps, versions) {
                        for row in (0..txn.len()).filter(|row| txn.is_valid(*row) && apps.is_valid(*row)) {
                            found.insert(apps.value(row).to_owned(), versions.value(row));
                        }
                    }
                }
            }
            (Some(at), found)
        }
    };
    for commit in checkpoint.map_or(0, |v| v + 1)..=version {
        let entry = read(log, commit).await?.ok_or_else(|| {
            DeltaTableError::MetadataError(format!("the log lacks commit {commit}, and no checkpoint stands for it"))
        })?;
        transactions.extend(entry.transactions);
    }
    Ok((transactions, checkpoint))
}

type Parts = Vec<(Path, u64)>;

/// The newest complete checkpoint at or before `version`.
async fn newest_checkpoint(log: &dyn LogStore, version: u64) -> DeltaResult<Option<(u64, Parts)>> {
    let store = log.object_store(None);
    // (version, which checkpoint of that version, how many parts it should have)
    let mut found: BTreeMap<(u64, String, usize), Parts> = BTreeMap::new();
    let mut listing = store.list(Some(log.log_path()));
    while let Some(object) = listing.try_next().await? {
        let Some((at, name, parts)) = object.location.filename().and_then(checkpoint_name) else { continue };
        if at <= version {
            found.entry((at, name, parts)).or_default().push((object.location.clone(), object.size));
        }
    }
    Ok(found
        .into_iter()
        .rev()
        .find(|((_, _, parts), files)| files.len() == *parts)
        .map(|((at, ..), files)| (at, files)))
}

/// `…0010.checkpoint.parquet`, `…0010.checkpoint.0000000001.0000000003.parquet`, `…0010.checkpoint.{uuid}.(parquet|json)`:
/// the version, a name that all parts share, and the number of parts.
fn checkpoint_name(file: &str) -> Option<(u64, String, usize)> {
    let parts: Vec<&str> = file.split('.').collect();
    match parts.as_slice() {
        [version, "checkpoint", "parquet"] => Some((version.parse().ok()?, String::new(), 1)),
        [version, "checkpoint", id, "parquet" | "json"] => Some((version.parse().ok()?, (*id).to_owned(), 1)),
        [version, "checkpoint", _, count, "parquet"] => {
            Some((version.parse().ok()?, format!("parts of {count}"), count.parse().ok()?))
        }
        _ => None,
    }
}

/// The newest version whose transactions are not past `not_past`, given that `newest` holds `transactions`. `None` when the
/// log does not reach back that far.
pub(super) async fn newest_not_past(
    log: &dyn LogStore,
    newest: u64,
    transactions: &Transactions,
    not_past: &Transactions,
) -> DeltaResult<Option<u64>> {
    let limit = |application: &String| not_past.get(application).copied().unwrap_or(i64::MAX);
    // Versions of one application only grow: going back, each application that is past is settled by its first commit
    // that is not, and the answer lies before the earliest commit that is.
    let mut unsettled: Vec<&String> =
        transactions.iter().filter(|(a, v)| **v > limit(a)).map(|(application, _)| application).collect();
    let mut answer = newest;
    let mut version = newest;
    while !unsettled.is_empty() {
        let Some(entry) = read(log, version).await? else { return Ok(None) };
        unsettled.retain(|application| entry.transactions.get(*application).is_none_or(|v| *v > limit(application)));
        if entry.transactions.iter().any(|(application, v)| *v > limit(application)) {
            if version == 0 {
                return Ok(None);
            }
            answer = version - 1;
        }
        if version == 0 {
            break; // the table was made here: whoever is unsettled was not in it before
        }
        version -= 1;
    }
    Ok(Some(answer))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_read_for_its_transactions_and_its_id() {
        let text = concat!(
            "{\"commitInfo\":{\"timestamp\":1,\"operation\":\"MERGE\",\"engineCommit\":\"c-1\"}}\n",
            "{\"add\":{\"path\":\"a \\\"txn\\\" b\",\"size\":1}}\n",
            "{\"txn\":{\"appId\":\"shop/orders-0\",\"version\":12,\"lastUpdated\":1}}\n",
            "{\"txn\":{\"appId\":\"shop/orders-1\",\"version\":7}}\n",
        );
        let entry = Entry::parse(text.as_bytes()).unwrap();
        assert_eq!(entry.id.as_deref(), Some("c-1"));
        assert_eq!(entry.transactions, Transactions::from([("shop/orders-0".into(), 12), ("shop/orders-1".into(), 7)]));
        assert!(Entry::parse(b"{\"txn\":{\"appId\":").is_err());
    }

    #[test]
    fn the_names_of_checkpoints_are_read() {
        for (name, expected) in [
            ("00000000000000000010.checkpoint.parquet", Some((10, 1))),
            ("00000000000000000010.checkpoint.0000000001.0000000003.parquet", Some((10, 3))),
            ("00000000000000000010.checkpoint.80a083e8-7026.json", Some((10, 1))),
            ("00000000000000000010.json", None),
            ("_last_checkpoint", None),
        ] {
            assert_eq!(checkpoint_name(name).map(|(version, _, parts)| (version, parts)), expected, "{name}");
        }
    }
}
