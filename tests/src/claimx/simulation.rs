//! A simulated run from its first event to its last row.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{assert_tables_agree, topology};
use crate::model::lake;
use crate::program::{Engine, files};
use crate::topics::Topics;

const EVENTS: u64 = 600;

async fn run(seed: u64, workers: usize) {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let simulate = Engine::simulate(&topology(), data, seed, EVENTS).arg(format!("--workers={workers}"));

    let first = simulate.finish().expect(0);
    assert!(first.out.starts_with("drained and balanced\n"), "{}", first.out);
    assert_tables_agree(data).await;
    assert_files_agree(data).await;
    assert_eq!(Topics::open(data).await.count("claimx.events.raw").await as u64, EVENTS);

    // Again: everything is there, so nothing happens.
    simulate.assert_nothing_to_do(data, &first.out, |name| name.starts_with("topics/"));
    assert_eq!(Topics::open(data).await.count("claimx.events.raw").await as u64, EVENTS);

    let other = Engine::simulate(&topology(), data, seed + 1, EVENTS).finish().expect(1);
    assert!(other.err.contains(&format!("seed {seed}")) && other.err.contains("--seed"), "{}", other.err);
    assert_tables_agree(data).await;
}

/// Every row of the inventory has its file, byte for byte what was served under its link, and there is no other file.
async fn assert_files_agree(data: &Path) {
    let account = std::fs::read_to_string(data.join("sim/files.jsonl")).unwrap();
    let address = |url: &str| url.split('?').next().unwrap_or_default().to_owned();
    let served: BTreeMap<String, Value> = account
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["sha256"].is_string())
        .map(|line| (address(line["url"].as_str().unwrap()), line))
        .collect();
    let mut stored = files(&data.join("files"));
    let rows = lake::read(&data.join("tables/claimx_attachments")).await.unwrap();
    assert!(rows.len() > 20, "{} files prove nothing", rows.len());
    for row in rows {
        let path = row["blob_path"].as_str().unwrap();
        let bytes = stored.remove(path).unwrap_or_else(|| panic!("{path} is not in the store"));
        let served = &served[&address(row["download_url"].as_str().unwrap())];
        let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            (served["bytes"].as_u64(), &served["sha256"]),
            (Some(bytes.len() as u64), &Value::from(sha256)),
            "{path}"
        );
        assert_eq!(row["bytes_downloaded"].as_u64(), Some(bytes.len() as u64), "{path}");
    }
    assert!(stored.is_empty(), "files without a row: {:?}", stored.keys());
    let spooled = files(&data.join("spool"));
    assert!(spooled.is_empty(), "files left in the spool: {:?}", spooled.keys());
}

#[tokio::test]
async fn a_run_fills_the_tables_as_the_model_says() {
    run(1, 1).await;
}

#[tokio::test]
async fn two_workers_and_another_seed_fill_theirs() {
    run(20, 2).await;
}
