//! A simulated run from its first event to its last row.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{RAW, rows, topology, values};
use crate::files::sha256;
use crate::model::account::Account;
use crate::model::compare;
use crate::model::xact::{Options, events, expect, names};
use crate::program::{Engine, files};
use crate::topics::Topics;

const EVENTS: u64 = 500;

/// What the model is told of a simulated run: its files are those of the one server.
fn options(account: &Account) -> Options {
    let url = &account.files.first().expect("a file was served").url;
    let (scheme, rest) = url.split_once("://").expect("a link");
    let base = format!("{scheme}://{}/", rest.split('/').next().unwrap_or_default());
    // As the simulation has it: pages in one folder, and files that are longer than its 256 KiB in another.
    Options { pages: Some("/exp/page/".to_owned()), longest: 256 << 10, ..Options::allowing(&[&base]) }
}

/// Fails with what differs between the tables in `data` and what the account in `data` implies; returns the account.
pub async fn assert_tables_agree(data: &Path) -> Account {
    let account = Account::read(&data.join("sim")).expect("an account");
    let expected = expect(&account, &options(&account));
    for (name, table) in &expected.tables {
        assert!(table.rows.len() > 5, "{} rows of {name} prove nothing", table.rows.len());
    }
    let differences = compare::folder(&expected, &data.join("tables"), 20).await.unwrap();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    account
}

/// Every row of the inventory has its file, byte for byte what was served under its link, and there is no other file.
pub async fn assert_files_agree(data: &Path, account: &Account) {
    let options = options(account);
    let mut links: BTreeMap<String, String> = BTreeMap::new();
    for event in &events(account, &options).0 {
        links.extend(names::tasks(event, |url| options.admits(url)).into_iter().map(|task| (task.media, task.url)));
    }
    let served: BTreeMap<&str, _> = account.files.iter().map(|file| (file.url.as_str(), file)).collect();
    let mut stored = files(&data.join("files"));
    for row in rows(data, "xact_attachments").await {
        let path = row["blob_path"].as_str().unwrap();
        let bytes = stored.remove(path).unwrap_or_else(|| panic!("{path} is not in the store"));
        let link = &links[row["media_id"].as_str().unwrap()];
        let file = served[link.as_str()];
        assert_eq!((file.bytes, &file.sha256), (i64::try_from(bytes.len()).unwrap(), &sha256(&bytes)), "{path}");
    }
    // What an upload was writing when it was killed is no file yet, and goes after a day.
    stored.retain(|path, _| !path.starts_with(".partial/"));
    assert!(stored.is_empty(), "files without a row: {:?}", stored.keys());
}

/// Messages in are outcomes: every event is a row, dead or a repetition; every task ends in one table.
async fn assert_conserved(data: &Path, account: &Account) {
    let topics = Topics::open(data).await;
    let options = options(account);
    let (known, dead) = events(account, &options);
    assert_eq!(topics.count(RAW).await as u64, EVENTS);
    assert_eq!(account.emitted.len() as u64, EVENTS);
    assert_eq!(topics.count("xact.events.dlq").await, dead, "dead at the door");
    assert_eq!(rows(data, "xact_events").await.len(), known.len(), "events");
    let tasks: BTreeSet<String> =
        known.iter().flat_map(|event| names::tasks(event, |url| options.admits(url))).map(|task| task.media).collect();
    let media = |values: Vec<serde_json::Value>| -> Vec<String> {
        values.iter().map(|value| value["media_id"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let pending = media(values(&topics, "xact.downloads.pending").await);
    assert_eq!(pending.iter().cloned().collect::<BTreeSet<_>>(), tasks, "one task for each attachment");
    assert_eq!(pending.len(), tasks.len(), "and no more");
    let ended = |name| async move { rows(data, name).await.len() };
    let (stored, failed) = (ended("xact_attachments").await, ended("xact_attachments_failed").await);
    assert_eq!(stored + failed, tasks.len(), "each task ends in one table");
    assert_eq!(topics.count("xact.downloads.cached").await, stored, "what is stored was downloaded once");
    assert_eq!(topics.count("xact.downloads.dlq").await, failed, "what is dead is a dead letter");
    for topic in ["xact.uploads.dlq", "xact.results.dlq"] {
        assert_eq!(topics.count(topic).await, 0, "{topic}");
    }
}

async fn run(seed: u64, workers: usize) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let simulate = Engine::simulate(&topology(), data, seed, EVENTS).arg(format!("--workers={workers}"));

    let first = simulate.finish().expect(0);
    assert!(first.out.starts_with("drained and balanced\n"), "{}", first.out);
    let account = assert_tables_agree(data).await;
    assert_files_agree(data, &account).await;
    assert_conserved(data, &account).await;
    for folder in ["spool", "files/.partial"] {
        let left = files(&data.join(folder));
        assert!(left.is_empty(), "left in {folder}: {:?}", left.keys());
    }

    // Again: everything is there, so nothing happens.
    simulate.assert_nothing_to_do(data, &first.out, |name| name.starts_with("topics/"));
    assert_eq!(Topics::open(data).await.count(RAW).await as u64, EVENTS);
}

#[tokio::test]
async fn a_run_fills_the_tables_as_the_model_says() {
    run(1, 1).await;
}

#[tokio::test]
async fn two_workers_and_another_seed_fill_theirs() {
    run(20, 2).await;
}
