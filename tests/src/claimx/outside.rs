//! An API that refuses us, and one that is not there: said in one line at once, and not by losing messages.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use super::api::{Api, USER};
use super::topology;
use crate::model::lake;
use crate::program::Engine;
use crate::topics::Topics;

/// Puts events about `projects` on the topic, and returns the answers to them.
async fn ask(data: &Path, projects: std::ops::Range<u32>) -> Vec<Value> {
    let event = |project: u32| {
        let event = json!({"event_id": format!("e{project}"), "event_type": "PROJECT_CREATED", "project_id": project,
            "ingested_at": "2026-01-10T17:42:08Z"});
        (Some(project.to_string()), event.to_string())
    };
    Topics::open(data).await.write("claimx.events.raw", projects.clone().map(event).collect()).await;
    let answer = |project: u32| {
        json!({"method": "GET", "path": format!("/export/project/{project}"), "status": 200,
            "body": {"data": {"project": {"projectId": project, "mfn": "M"}}}})
    };
    projects.map(answer).collect()
}

fn run(data: &Path, api: SocketAddr, password: &str) -> Engine {
    Engine::run(&topology(), data)
        .arg("--until-drained")
        .arg("--time-scale=0.001")
        .env("KAFKA_CLAIMX_API_URL", format!("http://{api}"))
        .env("KAFKA_CLAIMX_API_USERNAME", USER.0)
        .env("KAFKA_CLAIMX_API_PASSWORD", password)
}

fn lines<'t>(text: &'t str, part: &str) -> Vec<&'t str> {
    text.lines().filter(|line| line.contains(part)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refused_password_is_said_once_and_the_messages_are_kept() {
    let data = tempfile::tempdir().unwrap();
    let answers = ask(data.path(), 1..21).await;
    let api = Api::start(([127, 0, 0, 1], 0).into(), &answers, 0).await;
    let ended = run(data.path(), api.address, "wrong-1234").finish().expect(0);
    let said = lines(&ended.err, "connection api");
    assert!(matches!(said[..], [line] if line.contains("credentials refused") && line.contains("401")), "{said:?}");
    assert!(!ended.err.contains("wrong-1234") && !ended.out.contains("wrong-1234"));

    let topics = Topics::open(data.path()).await;
    assert_eq!(topics.count("claimx.enrichment.dlq").await, 20);
    for letter in topics.all("claimx.enrichment.dlq").await {
        assert_eq!((letter.header("error_category"), letter.header("retry_count")), (Some("auth"), Some("4")));
    }
    let log = lake::read(&data.path().join("tables/claimx_event_log")).await.unwrap();
    assert!(
        log.len() == 20 && log.iter().all(|row| row["status"] == "failed_permanent" && row["error_category"] == "auth")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_api_that_is_not_there_is_named_and_waited_for() {
    let data = tempfile::tempdir().unwrap();
    let answers = ask(data.path(), 1..21).await;
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut running = run(data.path(), address, USER.1).start(folder.path());
    let errors = folder.path().join("err");
    let said = || std::fs::read_to_string(&errors).unwrap_or_default();
    assert!(running.wait_until(|| said().contains("connection api")), "it ended: {}", said());

    let api = Api::start(address, &answers, 0).await;
    let ended = running.finish().expect(0);
    assert_eq!(api.unexpected().len(), 0);
    let said = lines(&ended.err, "connection api");
    let told = |line: &str| line.contains("cannot be reached") && line.contains(&address.to_string());
    assert!(matches!(said[..], [first, last] if told(first) && last.contains("answers again")), "{said:?}");
    assert!(!ended.err.contains('\u{1b}'), "colours in a file");
    let log = lake::read(&data.path().join("tables/claimx_event_log")).await.unwrap();
    assert!(log.len() == 20 && log.iter().all(|row| row["status"] == "success"), "{log:?}");
}
