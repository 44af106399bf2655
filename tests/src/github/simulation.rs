//! Simulated runs: whole, and killed in the middle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{assert_tables_agree, model, topology};
use crate::model::account::Account;
use crate::model::lake;
use crate::program::{Engine, files};
use crate::topics::Topics;

const TABLES: [&str; 4] = ["github_events", "github_actors", "github_repositories", "github_assets"];

fn account(data: &Path) -> Account {
    Account::read(&data.join("sim")).unwrap()
}

/// The answers that settled a question, by path: those after which nobody has to ask again.
fn settled(account: &Account) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for answer in account.answers.iter().filter(|answer| answer.whole && [200, 301, 404].contains(&answer.status)) {
        *counts.entry(answer.path.as_str()).or_default() += 1;
    }
    counts
}

/// Every stored row has its file, byte for byte what was served, and there is no other file.
async fn assert_files_agree(data: &Path) {
    let served = std::fs::read_to_string(data.join("sim/files.jsonl")).unwrap();
    let served: BTreeSet<String> = served
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|line| line["sha256"].as_str().map(str::to_owned))
        .collect();
    let mut stored = files(&data.join("files"));
    for row in lake::read(&data.join("tables/github_assets")).await.unwrap() {
        let path = row["path"].as_str().unwrap();
        let bytes = stored.remove(path).unwrap_or_else(|| panic!("{path} is not in the store"));
        let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(served.contains(&sha256), "{path} is not what was served");
        assert_eq!((row["sha256"].as_str(), row["bytes"].as_u64()), (Some(&*sha256), Some(bytes.len() as u64)));
    }
    // What an upload was writing when it was killed has no name yet.
    stored.retain(|name, _| !name.starts_with(".partial/"));
    assert!(stored.is_empty(), "files without a row: {:?}", stored.keys());
}

/// Dead are the repositories that are gone, and nothing else.
async fn assert_only_the_gone_are_dead(data: &Path) {
    let topics = Topics::open(data).await;
    for topic in topics.names().await.iter().filter(|topic| topic.ends_with(".dlq")) {
        for letter in topics.all(topic).await {
            let error = letter.header("error").unwrap_or_default();
            assert!(topic == "github.repositories.dlq" && error.contains("404"), "{topic}: {error}");
            assert_eq!(letter.header("error_category"), Some("permanent"));
        }
    }
    let gone = lake::read(&data.join("tables/github_repositories")).await.unwrap();
    let gone = gone.iter().filter(|row| row["state"] == "gone").count();
    assert!(gone > 0 && topics.count("github.repositories.dlq").await >= gone);
}

async fn run(seed: u64, events: u64, workers: usize) {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let simulate = Engine::simulate(&topology(), data, seed, events).arg(format!("--workers={workers}"));
    let first = simulate.finish().expect(0);
    assert!(first.out.starts_with("drained and balanced\n"), "{}", first.out);
    let told = account(data);
    assert_tables_agree(&told, data, &TABLES).await;
    assert_files_agree(data).await;
    assert_only_the_gone_are_dead(data).await;

    // One call a repository, however many events: by name, and by id where the name leads elsewhere.
    let again: Vec<_> = settled(&told).into_iter().filter(|(_, count)| *count > 1).collect();
    assert!(again.is_empty(), "asked again: {again:?}");
    // The simulation shows every case.
    let repositories = &model::expect(&told)["github_repositories"].rows;
    assert!(told.answers.len() < told.emitted.len() && repositories.len() > 30, "{} answers", told.answers.len());
    for name in ["lib-", "old-", "taken-", "gone-"] {
        assert!(settled(&told).keys().any(|path| path.contains(name)), "no repository {name}");
    }
    for status in [403, 429] {
        assert!(told.answers.iter().any(|answer| answer.status == status), "the limit was never reached: {status}");
    }

    // Started again it has nothing to do, and asks nobody.
    assert_eq!(simulate.finish().expect(0).out, first.out);
    assert_eq!(account(data).answers.len(), told.answers.len());
}

#[tokio::test]
async fn a_github_run_fills_the_tables_as_the_model_says() {
    run(1, 900, 1).await;
}

#[tokio::test]
async fn another_github_run_with_two_workers_fills_its_own() {
    run(8, 700, 2).await;
}

#[tokio::test]
async fn a_killed_github_run_goes_on_where_it_was() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let simulate = Engine::simulate(&topology(), data, 5, 600);
    let mut killed = 0;
    for step in [40, 300, 150, 90, 60] {
        let goal = lines(data) + step;
        let folder = tempfile::tempdir().unwrap();
        let mut started = simulate.start(folder.path());
        if started.wait_until(|| lines(data) >= goal) {
            started.kill();
            killed += 1;
        }
    }
    assert!(killed >= 3, "killed {killed} times only");
    simulate.finish().expect(0);
    assert_tables_agree(&account(data), data, &TABLES).await;
    assert_files_agree(data).await;
    assert_only_the_gone_are_dead(data).await;
    assert_eq!(Topics::open(data).await.count(model::EVENTS).await, 600);
}

/// How many lines the account has, while it is written: its last line may be half.
fn lines(data: &Path) -> usize {
    let count = |name: &str| {
        std::fs::read(data.join("sim").join(name)).map_or(0, |text| text.iter().filter(|byte| **byte == b'\n').count())
    };
    ["emitted.jsonl", "answers.jsonl", "files.jsonl"].map(count).iter().sum()
}
