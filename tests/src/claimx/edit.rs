//! The topology is the program: an edit of the file takes effect with the next start, and a mistake stops it before anything
//! moves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::model::lake;
use crate::program::{Engine, topologies};
use crate::topics::Topics;

/// A copy of the topology with its simulation, in which each `(old, new)` is replaced.
fn edited(folder: &Path, edits: &[(&str, &str)]) -> PathBuf {
    let mut text = std::fs::read_to_string(topologies().join("claimx.yaml")).unwrap();
    for (old, new) in edits {
        assert!(text.contains(old), "the topology does not say {old:?} any more");
        text = text.replace(old, new);
    }
    std::fs::create_dir_all(folder.join("sim")).unwrap();
    std::fs::copy(topologies().join("sim/claimx.yaml"), folder.join("sim/claimx.yaml")).unwrap();
    let copy = folder.join("claimx.yaml");
    std::fs::write(&copy, text).unwrap();
    copy
}

#[tokio::test]
async fn a_mapping_a_delay_and_a_route_change_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let edits = [
        ("          type_of_loss: found.typeOfLoss\n", "          type_of_loss: lower(found.typeOfLoss)\n"),
        ("${KAFKA_RETRY_DELAYS:-[5m, 10m, 20m, 40m]}", "${KAFKA_RETRY_DELAYS:-[7m, 10m, 20m, 40m]}"),
        (
            "            POLICYHOLDER_INVITED: [project, invited]\n",
            "            POLICYHOLDER_INVITED: [project, joined]\n",
        ),
        (
            "            POLICYHOLDER_JOINED: [project, joined]\n",
            "            POLICYHOLDER_JOINED: [project, invited]\n",
        ),
    ];
    let topology = edited(folder.path(), &edits);
    Engine::simulate(&topology, &data, 5, 150).finish().expect(0);

    let projects = lake::read(&data.join("tables/claimx_projects")).await.unwrap();
    let told: Vec<&str> = projects.iter().filter_map(|row| row["type_of_loss"].as_str()).collect();
    assert!(told.contains(&"water") && told.iter().all(|word| *word == word.to_lowercase()), "{told:?}");

    let events = lake::read(&data.join("tables/claimx_events")).await.unwrap();
    let about = |kind: &str| -> BTreeSet<String> {
        events.iter().filter(|row| row["event_type"] == kind).map(|row| row["project_id"].to_string()).collect()
    };
    let marked = |column: &str| -> BTreeSet<String> {
        projects.iter().filter(|row| !row[column].is_null()).map(|row| row["project_id"].to_string()).collect()
    };
    assert_ne!(about("POLICYHOLDER_INVITED"), about("POLICYHOLDER_JOINED"));
    assert_eq!(marked("policyholder_joined_at"), about("POLICYHOLDER_INVITED"));
    assert_eq!(marked("policyholder_invited_at"), about("POLICYHOLDER_JOINED"));

    let topics = Topics::open(&data).await.names().await;
    let has = |topic: &str| topics.iter().any(|name| name == topic);
    assert!(has("claimx.enrichment.retry.7m") && !has("claimx.enrichment.retry.5m"), "{topics:?}");
}

#[test]
fn a_mistake_is_named_and_nothing_starts() {
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[("found.typeOfLoss", "fuond.typeOfLoss")], "fuond"),
        (&[("        table: projects\n", "        table: projetcs\n")], "projetcs"),
        (&[("flows:\n", "flows:\n  - :\n")], "claimx.yaml:"),
        (&[("language: 1\n", "language: 99\n")], "99"),
        (&[("retry:\n        topic: \"{prefix}.events", "retry:\n        tpoic: \"{prefix}.events")], "tpoic"),
        (&[("delays: \"${KAFKA_RETRY_DELAYS:-[5m, 10m, 20m, 40m]}\"", "delays: [soon]")], "soon"),
    ];
    for (edits, named) in cases {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let topology = edited(folder.path(), edits);
        let ended = Engine::simulate(&topology, &data, 1, 10).finish().expect(2);
        assert!(ended.err.contains(named) && ended.err.contains("claimx.yaml"), "{edits:?}: {}", ended.err);
        assert!(!data.exists(), "{edits:?}: something was started");
    }
}
