//! A run that is killed again and again leaves what a run that was not killed leaves.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::{assert_tables_agree, topology};
use crate::crash::killed_and_finished;
use crate::model::lake;
use crate::program::{Engine, files};
use crate::topics::Topics;

const EVENTS: u64 = 600;

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

#[tokio::test]
async fn a_killed_run_goes_on_where_it_was_and_no_child_was_ever_without_its_parent() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let simulate = Engine::simulate(&topology(), data, 3, EVENTS);
    killed_and_finished(&simulate, data, 5, 11, async || assert_children_have_parents(data).await).await;

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
