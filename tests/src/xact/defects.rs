//! What is known to go wrong in a pipeline of this kind, each as a test that fails where it does.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::{RAW, drain, event, raise, rows, topology, values};
use crate::files::{Files, large};
use crate::program::{Engine, files};
use crate::topics::Topics;

fn plain(index: usize) -> Value {
    event(&format!("trace-{index:04}"), "statusChanged", &[])
}

fn changed(mut event: Value, pointer: &str, value: Value) -> Value {
    *event.pointer_mut(pointer).expect("a place in the event") = value;
    event
}

/// The column `name` of every event by trace id.
async fn column(data: &Path, name: &str) -> std::collections::BTreeMap<String, Value> {
    let rows = rows(data, "xact_events").await;
    rows.iter().map(|row| (row["trace_id"].as_str().unwrap_or_default().to_owned(), row[name].clone())).collect()
}

/// A run of the ingester alone over `events`, in one batch.
async fn ingest(events: &[Value]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    raise(folder.path(), events).await;
    drain(folder.path()).arg("--flow=ingester").finish().expect(0);
    folder
}

/// Every event is downloaded, uploaded and told of, with files from `server`.
async fn whole_run(events: &[Value]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    raise(folder.path(), events).await;
    drain(folder.path()).finish().expect(0);
    folder
}

#[tokio::test]
async fn a_timestamp_that_ends_in_z_spoils_no_batch() {
    let events: Vec<Value> = (0..40)
        .map(|index| {
            let time = if index % 2 == 0 { "2026-01-10T17:42:08.1234567Z" } else { "2026-01-10T12:42:08.123456-05:00" };
            changed(plain(index), "/utcDateTime", json!(time))
        })
        .collect();
    let data = ingest(&events).await;
    let instants = column(data.path(), "ingested_at").await;
    assert_eq!(instants.len(), 40);
    assert!(instants.values().all(|at| at == "2026-01-10T17:42:08.123456+00:00"), "{instants:?}");
}

#[tokio::test]
async fn a_key_that_first_comes_after_many_events_is_not_lost() {
    let late = |index: usize| {
        let mut event = plain(index);
        if index >= 300 {
            event["data"]["note"] = json!("late");
            event["data"]["contact"] = json!({"contactMethods": {"email": {"address": "late@example.com"}}});
        }
        event
    };
    let events: Vec<Value> = (0..310).map(late).collect();
    let data = ingest(&events).await;
    for (name, value) in [("note", "late"), ("contact_email_address", "late@example.com")] {
        let column = column(data.path(), name).await;
        assert_eq!((column.len(), column.values().filter(|found| **found == value).count()), (310, 10), "{name}");
    }
}

#[tokio::test]
async fn an_odd_event_spoils_none_beside_it() {
    let mut events: Vec<Value> = (0..60).map(plain).collect();
    events[10] = changed(plain(10), "/data/assignmentId", json!(12_345));
    events[20] = changed(plain(20), "/data", Value::Null);
    events[30] = changed(plain(30), "/utcDateTime", json!("the day before"));
    events[40] = changed(plain(40), "/data", json!("{"));
    events[50] = changed(plain(50), "/type", json!({"no": "text"}));
    let data = ingest(&events).await;
    let assignments = column(data.path(), "assignment_id").await;
    assert_eq!(assignments["trace-0010"], "12345");
    assert!(assignments["trace-0020"].is_null() && assignments["trace-0040"].is_null());
    for index in (0..60).filter(|index| index % 10 != 0) {
        assert_eq!(assignments[&format!("trace-{index:04}")], "A");
    }
    let letters = values(&Topics::open(data.path()).await, "xact.events.dlq").await;
    assert!(letters.contains(&events[30]), "the bad date is a dead letter, as it was sent");
    assert_eq!(letters.len() + assignments.len(), events.len(), "each message has one end");
}

#[tokio::test]
async fn the_raw_event_can_be_had_again_from_its_row() {
    let mut event = plain(1);
    event["tenant"] = json!({"region": "south", "flags": ["a", 1, null, {"b": true}]});
    event["data"]["unknown"] = json!({"deep": [{"er": "ü \"quoted\"\n"}], "empty": {}});
    let data = ingest(std::slice::from_ref(&event)).await;
    let raw = &column(data.path(), "raw_json").await["trace-0001"];
    assert_eq!(serde_json::from_str::<Value>(raw.as_str().expect("a text")).expect("JSON"), event);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_expired_link_is_a_dead_letter_before_it_is_asked_for() {
    let server = Files::start(0).await;
    let expired = server.link("ok", 1, "a.pdf?X-Amz-Date=20200101T000000Z&X-Amz-Expires=60");
    let good = server.link("ok", 2, "a.pdf?X-Amz-Date=20200101T000000Z&X-Amz-Expires=3153600000");
    let data = whole_run(&[event("t", "x", &[expired.clone(), good])]).await;
    let failed = rows(data.path(), "xact_attachments_failed").await;
    assert_eq!((failed.len(), &failed[0]["status"]), (1, &json!("failed_permanent")));
    assert_eq!((&failed[0]["http_status"], &failed[0]["retry_count"]), (&Value::Null, &json!(0)));
    assert_eq!(server.requests().into_keys().collect::<Vec<_>>(), ["2"]);
    let letters = values(&Topics::open(data.path()).await, "xact.downloads.dlq").await;
    assert!(matches!(&letters[..], [letter] if letter["attachment_url"] == expired), "{letters:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_upload_that_fails_is_tried_again_and_leaves_nothing_in_the_spool() {
    let server = Files::start(0).await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    raise(data, &[event("t", "x", &[server.link("ok", 1, "a.pdf"), server.link("ok", 2, "b.pdf")])]).await;
    // Where the first file belongs is a folder.
    let inside = data.join("files/x/A/t/A_a.pdf/in-the-way");
    std::fs::create_dir_all(&inside).unwrap();
    std::fs::write(inside.join("x"), "x").unwrap();

    let run = Engine::run(&topology(), data).arg("--allow-local-urls").arg("--time-scale=0.01");
    let run = run.env("ALLOWED_ATTACHMENT_DOMAINS", "127.0.0.1");
    // It never ends by itself, so it is given some time, and more the next time, until the failure is on record.
    let mut waits = 0;
    for round in 1..=20 {
        let said = tempfile::tempdir().unwrap();
        let (mut running, mut looks) = (run.start(said.path()), 0);
        let enough = || {
            looks += 1;
            looks > 200 * round
        };
        assert!(running.wait_until(enough), "it ended");
        running.kill();
        waits = Topics::open(data).await.count("xact.uploads.retry.5m").await;
        if waits > 0 {
            break;
        }
    }
    assert!(waits > 0, "it waits for another try");
    assert!(!files(&data.join("spool")).is_empty(), "what is not in the store is kept");

    std::fs::remove_dir_all(data.join("files/x/A/t/A_a.pdf")).unwrap();
    drain(data).finish().expect(0);
    let stored: Vec<String> = files(&data.join("files")).into_keys().collect();
    assert_eq!(stored, ["x/A/t/A_a.pdf", "x/A/t/A_b.pdf"]);
    assert!(files(&data.join("spool")).is_empty(), "nothing is left behind");
    assert_eq!(rows(data, "xact_attachments").await.len(), 2);
    assert_eq!(rows(data, "xact_attachments_failed").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_upload_that_never_succeeds_is_a_dead_letter_and_a_failed_attachment() {
    let server = Files::start(0).await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    raise(data, &[event("t", "x", &[server.link("ok", 1, "a.pdf")])]).await;
    std::fs::create_dir_all(data.join("files/x/A/t/A_a.pdf/in-the-way")).unwrap();
    drain(data).finish().expect(0);
    assert_eq!(Topics::open(data).await.count("xact.uploads.dlq").await, 1);
    let failed = rows(data, "xact_attachments_failed").await;
    assert_eq!((failed.len(), &failed[0]["status"]), (1, &json!("failed_permanent")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_download_that_uses_up_its_retries_is_failed_for_good() {
    let server = Files::start(0).await;
    let data = whole_run(&[event("t", "x", &[server.link("broken", 1, "a.pdf")])]).await;
    let failed = rows(data.path(), "xact_attachments_failed").await;
    assert_eq!((failed.len(), &failed[0]["status"]), (1, &json!("failed_permanent")));
    assert_eq!(failed[0]["http_status"], 503);
    assert_eq!(server.requests()["1"], 5, "one try and four retries");
    let topics = Topics::open(data.path()).await;
    for delay in ["5m", "10m", "20m", "40m"] {
        assert_eq!(topics.count(&format!("xact.downloads.retry.{delay}")).await, 1, "{delay}");
    }
    assert_eq!(topics.count("xact.downloads.dlq").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_redirect_leads_to_no_forbidden_host() {
    let (server, inside) = (Files::start(0).await, Files::start(0).await);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let links = [server.link("away", 1, "a.pdf"), server.link("loop", 2, "a.pdf"), server.link("moved", 3, "a.pdf")];
    raise(data, &[event("t", "x", &links)]).await;
    drain(data).finish().expect(0);
    let failed = rows(data, "xact_attachments_failed").await;
    let told: BTreeSet<(String, i64)> = failed
        .iter()
        .map(|row| (row["attachment_url"].as_str().unwrap().to_owned(), row["http_status"].as_i64().unwrap_or(0)))
        .collect();
    assert_eq!(told, BTreeSet::from([(links[0].clone(), 302), (links[1].clone(), 302)]));
    assert_eq!(server.requests()["2"], 6, "five redirects are followed");
    assert_eq!(rows(data, "xact_attachments").await.len(), 1, "one that stays on its host is followed");
    assert!(inside.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn plain_http_and_this_machine_are_refused_unless_they_are_asked_for() {
    let server = Files::start(0).await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let port = server.base.trim_end_matches('/').rsplit(':').next().unwrap();
    let links = [
        server.link("ok", 1, "a.pdf"),
        format!("http://localhost:{port}/ok/2/a.pdf"),
        "https://localhost/a.pdf".into(),
    ];
    raise(data, &[event("t", "x", &links)]).await;
    Engine::run(&topology(), data).arg("--until-drained").finish().expect(0);
    assert_eq!(rows(data, "xact_attachments_failed").await.len(), 3);
    assert!(server.requests().is_empty(), "{:?}", server.requests());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn office_documents_and_files_without_a_type_come_through() {
    let server = Files::start(0).await;
    let kinds = ["esx", "csv", "json", "html", "doc", "docx", "xls", "xlsx"];
    let mut links: Vec<String> =
        kinds.iter().enumerate().map(|(index, kind)| server.link("ok", index, &format!("f.{kind}"))).collect();
    links.extend(
        ["pdf", "jpg", "docx"]
            .iter()
            .enumerate()
            .map(|(at, kind)| server.link("generic", 20 + at, &format!("g.{kind}"))),
    );
    let pretends = [server.link("lies", 40, "a.pdf"), server.link("page", 41, "a.pdf")];
    links.extend(pretends.clone());
    let data = whole_run(&[event("t", "x", &links)]).await;
    assert_eq!(rows(data.path(), "xact_attachments").await.len(), links.len() - pretends.len());
    let failed = rows(data.path(), "xact_attachments_failed").await;
    let urls: BTreeSet<&str> = failed.iter().filter_map(|row| row["attachment_url"].as_str()).collect();
    assert_eq!(urls, pretends.iter().map(String::as_str).collect(), "a page in place of a file is refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn hostile_names_stay_in_their_folder_and_never_meet() {
    let server = Files::start(0).await;
    let names =
        ["..%2f..%2fup.pdf", "a:b.pdf", "a*b.pdf", "A:B.PDF", "same.pdf", "same.pdf?v=2", "SAME.pdf", "a_2.pdf"];
    let links: Vec<String> = names.iter().enumerate().map(|(at, name)| server.link("ok", at, name)).collect();
    let mut hostile = event("../../../trace", "../../../subtype", &links);
    hostile["data"]["assignmentId"] = json!("../../../assignment\\..\\x");
    let other = event("other", "subtype", &links);
    let data = whole_run(&[hostile, other]).await;
    let rows = rows(data.path(), "xact_attachments").await;
    let paths: BTreeSet<String> = rows.iter().map(|row| row["blob_path"].as_str().unwrap().to_lowercase()).collect();
    assert_eq!((rows.len(), paths.len()), (2 * names.len(), 2 * names.len()), "one path for each file: {paths:?}");
    for path in &paths {
        let parts: Vec<&str> = path.split('/').collect();
        assert!(parts.len() == 4 && parts.iter().all(|part| !["", ".", ".."].contains(part)), "{path}");
    }
    let found = files(data.path());
    assert_eq!(found.keys().filter(|path| path.to_lowercase().ends_with(".pdf")).count(), 2 * names.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_large_file_may_take_longer_than_any_one_silence() {
    let server = Files::start(0).await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // The eight pieces of the file come with pauses of 100 ms, which is less than the longest silence; all of it takes more.
    let text = std::fs::read_to_string(topology()).unwrap();
    assert!(text.contains("idle_timeout: 30s"), "the topology names the longest silence");
    let copy = folder.path().join("xact.yaml");
    std::fs::write(
        &copy,
        text.replace("idle_timeout: 30s", "idle_timeout: 400ms").replace("simulation: sim/xact.yaml\n", ""),
    )
    .unwrap();
    raise(&data, &[event("t", "x", &[server.link("large", 1, "a.pdf")])]).await;
    let run = Engine::run(&copy, &data).arg("--until-drained").arg("--allow-local-urls").arg("--time-scale=0.0001");
    run.env("ALLOWED_ATTACHMENT_DOMAINS", "127.0.0.1").finish().expect(0);
    assert_eq!(server.requests()["1"], 1, "the first try was enough");
    assert_eq!(files(&data.join("files")).into_values().collect::<Vec<_>>(), [large("1", "pdf")]);
}

#[tokio::test]
async fn a_status_event_seen_again_is_one_row_after_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let run = drain(data).arg("--flow=ingester");
    let events: Vec<Value> = (0..20).map(plain).collect();
    for round in 0..3 {
        let again: Vec<Value> = events.iter().map(|event| changed(event.clone(), "/version", json!(round))).collect();
        raise(data, &again).await;
        run.finish().expect(0);
    }
    let versions = column(data, "version").await;
    assert_eq!(rows(data, "xact_events").await.len(), 20);
    assert!(versions.values().all(|version| version == "0"), "the first wins: {versions:?}");
    let topics = Topics::open(data).await;
    assert_eq!((topics.count(RAW).await, topics.count("xact.downloads.pending").await), (60, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_that_never_comes_holds_back_no_other_and_nobody_asks_twice() {
    let server = Files::start(0).await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let mut links = vec![server.link("hang", 0, "a.pdf")];
    links.extend((1..40).map(|number| server.link("ok", number, &format!("{number}.pdf"))));
    raise(data, &[event("t", "x", &links)]).await;
    let said = tempfile::tempdir().unwrap();
    let run = Engine::run(&topology(), data).arg("--allow-local-urls").env("ALLOWED_ATTACHMENT_DOMAINS", "127.0.0.1");
    let mut running = run.env("KAFKA_DOWNLOAD_CONCURRENCY", 4).start(said.path());
    let stored = || files(&data.join("files")).keys().filter(|name| name.ends_with(".pdf")).count();
    assert!(running.wait_until(|| stored() == links.len() - 1), "it ended");
    running.kill();
    // A HEAD before each GET would double the requests, and links that are signed for GET refuse it.
    assert_eq!(server.methods(), BTreeSet::from(["GET".to_owned()]));
    assert!(server.requests().values().all(|count| *count == 1), "{:?}", server.requests());
}
