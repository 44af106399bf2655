//! A run that is killed again and again leaves what a run that was not killed leaves.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::{assert_tables_agree, topology};
use crate::model::lake;
use crate::program::{Engine, files};
use crate::topics::Topics;

const EVENTS: u64 = 600;
const KILLS: usize = 5;

/// How far a run is: what was emitted, answered, served and committed. It only grows.
fn progress(data: &Path) -> usize {
    let lines = |name: &str| {
        std::fs::read(data.join("sim").join(name)).map_or(0, |text| text.iter().filter(|byte| **byte == b'\n').count())
    };
    let commits =
        |table: std::fs::DirEntry| std::fs::read_dir(table.path().join("_delta_log")).map_or(0, Iterator::count);
    let tables = std::fs::read_dir(data.join("tables")).map_or(0, |tables| tables.flatten().map(commits).sum());
    lines("emitted.jsonl") + lines("answers.jsonl") + lines("files.jsonl") + 20 * tables
}

/// What was visible when the run was killed is what a reader saw then: no row whose project was not there.
async fn assert_children_have_parents(data: &Path) {
    let projects = |rows: Vec<Map<String, Value>>| -> BTreeSet<String> {
        rows.iter().filter_map(|row| row["project_id"].as_str().map(str::to_owned)).collect()
    };
    let table = |name: &str| data.join("tables").join(name);
    let parents = projects(lake::read(&table("claimx_projects")).await.unwrap());
    for name in ["contacts", "attachment_metadata", "tasks", "task_templates", "external_links"] {
        let children = projects(lake::read(&table(&format!("claimx_{name}"))).await.unwrap());
        let orphans: Vec<&String> = children.difference(&parents).collect();
        assert!(orphans.is_empty(), "claimx_{name} names projects that are not there: {orphans:?}");
    }
}

async fn killed(seed: u64, mut draw: u64) {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let simulate = Engine::simulate(&topology(), data, seed, EVENTS);
    let mut killed = 0;
    for _ in 0..KILLS {
        // Far enough that each kill meets new work, and not so far that the run ends before the last of them.
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let goal = progress(data) + 50 + (draw >> 33) as usize % 350;
        let folder = tempfile::tempdir().unwrap();
        let mut run = simulate.start(folder.path());
        if run.wait_until(|| progress(data) >= goal) {
            run.kill();
            killed += 1;
            assert_children_have_parents(data).await;
        }
    }
    assert!(killed >= 3, "killed {killed} times only");
    simulate.finish().expect(0);

    assert_tables_agree(data).await;
    let topics = Topics::open(data).await;
    assert_eq!(topics.count("claimx.events.raw").await as u64, EVENTS);
    let emitted = std::fs::read_to_string(data.join("sim/emitted.jsonl")).unwrap();
    assert_eq!(emitted.lines().count() as u64, EVENTS);
    for topic in topics.names().await.iter().filter(|topic| topic.ends_with(".dlq")) {
        assert_eq!(topics.count(topic).await, 0, "{topic}");
    }
    // What a download was writing when it was killed stays for a day: it may be another process's.
    let spooled = files(&data.join("spool"));
    let left: Vec<&String> = spooled.keys().filter(|name| !name.starts_with(".partial/")).collect();
    assert!(left.is_empty(), "files left in the spool: {left:?}");
}

#[tokio::test]
async fn a_killed_run_goes_on_where_it_was_and_no_child_was_ever_without_its_parent() {
    killed(3, 11).await;
}
