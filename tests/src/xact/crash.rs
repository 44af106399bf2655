//! A run that is killed again and again leaves what a run that was not killed leaves.

use std::collections::BTreeSet;
use std::path::Path;

use super::simulation::{assert_files_agree, assert_tables_agree};
use super::{RAW, rows, topology};
use crate::crash::killed_and_finished;
use crate::program::{Engine, files};
use crate::topics::Topics;

const EVENTS: u64 = 500;

/// What a reader sees at any time: every row of the inventory has its file.
async fn assert_rows_have_files(data: &Path) {
    let stored: BTreeSet<String> = files(&data.join("files")).into_keys().collect();
    for row in rows(data, "xact_attachments").await {
        let path = row["blob_path"].as_str().unwrap();
        assert!(stored.contains(path), "{path} has a row and no file");
    }
}

#[tokio::test]
async fn a_killed_run_goes_on_where_it_was_and_no_row_was_ever_without_its_file() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let simulate = Engine::simulate(&topology(), data, 3, EVENTS);
    killed_and_finished(&simulate, data, 5, 17, async || assert_rows_have_files(data).await).await;

    let account = assert_tables_agree(data).await;
    assert_files_agree(data, &account).await;
    assert_eq!(Topics::open(data).await.count(RAW).await as u64, EVENTS);
    // What a download was writing when it was killed stays for a day: it may be another process's.
    let spooled = files(&data.join("spool"));
    let left: Vec<&String> = spooled.keys().filter(|name| !name.starts_with(".partial/")).collect();
    assert!(left.is_empty(), "files left in the spool: {left:?}");
}
