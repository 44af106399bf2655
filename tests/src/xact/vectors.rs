//! The vectors of ids, paths and types, through the topology: an event goes in, and the task and the row that come out are read.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{drain, event, raise, rows, values};
use crate::files::Files;
use crate::topics::Topics;

const TRACE: &str = "0f6d2c1e-7b7a-4c55-9d0e-3a5b6c7d8e9f";

/// Of a link behind the host: the name below `A_`, and the type.
const NAMES: &[(&str, &str, &str)] = &[
    ("file.PDF?x=1", "file.pdf", "PDF"),
    ("x.tar.gz", "x.tar.gz", "GZ"),
    (".pdf", ".pdf", "PDF"),
    ("dir/", "unknown", "UNKNOWN"),
    ("get/u?filename=d.pdf", "u", "UNKNOWN"),
    ("a%2Fb.pdf", "a%2Fb.pdf", "PDF"),
    ("a.pdf?name=b.exe#c.png", "a.pdf", "PDF"),
    ("Name.With.Dots.JpEg", "Name.With.Dots.jpeg", "JPEG"),
    ("a:b*c.pdf", "a_b_c.pdf", "PDF"),
    ("caf\u{e9}.PNG", "caf\u{e9}.png", "PNG"),
];

/// Subtype, estimate version, and what stands between the assignment and the name.
const PREFIXES: &[(&str, Value, &str)] = &[
    ("documentsReceived", Value::Null, ""),
    ("firstNoticeOfLossReceived", Value::Null, "FNOL_"),
    ("estimatePackageReceived", Value::Null, "unknown_"),
    ("statusChanged", Value::Null, ""),
];

fn estimate(version: Value) -> Value {
    let mut event =
        event(&format!("estimate {version}"), "estimatePackageReceived", &["https://h.example/e.pdf".into()]);
    event["data"]["estimateVersion"] = version;
    event
}

/// What the ingester makes of events: tasks by trace id and link, and the rows of `xact_events`.
async fn ingested(
    events: &[Value],
    hosts: &str,
) -> (BTreeMap<(String, String), Value>, Vec<serde_json::Map<String, Value>>) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    raise(data, events).await;
    let run = drain(data).arg("--flow=ingester").env("ALLOWED_ATTACHMENT_DOMAINS", hosts);
    run.finish().expect(0);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tasks = values(&Topics::open(data).await, "xact.downloads.pending").await;
    let tasks =
        tasks.into_iter().map(|task| ((text(&task["trace_id"]), text(&task["attachment_url"])), task)).collect();
    (tasks, rows(data, "xact_events").await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn ids_paths_and_types_are_those_of_the_vectors() {
    let link = "https://usw2-prod-xn-exportreceiver-publish.s3.us-west-2.amazonaws.com/a/b/estimate.pdf\
                ?X-Amz-Date=20260110T120000Z&X-Amz-Expires=604800";
    let mut events = vec![event(TRACE, "documentsReceived", &[link.to_owned()])];
    for (index, (name, ..)) in NAMES.iter().enumerate() {
        events.push(event(&format!("name-{index}"), "documentsReceived", &[format!("https://h.example/{name}")]));
    }
    for (subtype, ..) in PREFIXES {
        events.push(event(subtype, subtype, &["https://h.example/e.PDF".to_owned()]));
    }
    events.push(estimate(json!("3")));
    events.push(estimate(json!(4)));
    let hosts = "h.example,usw2-prod-xn-exportreceiver-publish.s3.us-west-2.amazonaws.com";
    let (tasks, rows) = ingested(&events, hosts).await;
    let task = |trace: &str, link: &str| &tasks[&(trace.to_owned(), link.to_owned())];

    assert_eq!(task(TRACE, link)["media_id"], "7b816821-5615-59df-a4c0-9759c0e65733");
    assert_eq!(task(TRACE, link)["blob_path"], format!("documentsReceived/A/{TRACE}/A_estimate.pdf"));
    let row = rows.iter().find(|row| row["trace_id"] == TRACE).expect("its row");
    assert_eq!(row["event_id"], "af3fb5dc-1d83-5390-87ad-61daf7e5f0d6");
    for (index, (link, name, kind)) in NAMES.iter().enumerate() {
        let task = task(&format!("name-{index}"), &format!("https://h.example/{link}"));
        assert_eq!(task["blob_path"], format!("documentsReceived/A/name-{index}/A_{name}"), "{link}");
        assert_eq!(task["file_type"], *kind, "{link}");
    }
    for (subtype, _, prefix) in PREFIXES {
        let task = task(subtype, "https://h.example/e.PDF");
        assert_eq!(task["blob_path"], format!("{subtype}/A/{subtype}/A_{prefix}e.pdf"));
        assert_eq!((&task["status_subtype"], &task["event_subtype"]), (&json!(subtype), &json!(subtype)));
    }
    for (trace, name) in [("estimate \"3\"", "A_3_e.pdf"), ("estimate 4", "A_4_e.pdf")] {
        let path = task(trace, "https://h.example/e.pdf")["blob_path"].as_str().unwrap_or_default().to_owned();
        assert!(path.ends_with(&format!("/{name}")), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn names_that_repeat_are_numbered_in_their_order() {
    let list = |names: &[&str]| names.iter().map(|name| format!("https://h.example/{name}")).collect::<Vec<_>>();
    // The same link twice is one attachment, and a refused one takes no number.
    let names = ["x/a.pdf", "y/A.PDF", "x/a.pdf", "z/a.pdf?v=2", "b.pdf", "u", "v/u"];
    let mut links = list(&names);
    links.insert(1, "https://evil.example/a.pdf".to_owned());
    let (tasks, _) = ingested(&[event("t", "documentsReceived", &links)], "h.example").await;
    let path = |name: &str| {
        let task = tasks.get(&("t".to_owned(), format!("https://h.example/{name}")));
        task.and_then(|task| task["blob_path"].as_str())
            .unwrap_or_default()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let found: Vec<String> = names.iter().map(|name| path(name)).collect();
    assert_eq!(found, ["A_a.pdf", "A_A_2.pdf", "A_a.pdf", "A_a_3.pdf", "A_b.pdf", "A_u", "A_u_2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_allowed_extension_comes_through_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let files = Files::start(0).await;
    let allowed =
        ["pdf", "xml", "txt", "csv", "json", "html", "xls", "xlsx", "doc", "docx", "esx", "jpg", "jpeg", "png", "gif"];
    let refused = ["exe", "zip", "js", "svg", "php", "sh"];
    let links = |kinds: &[&str], from: usize| -> Vec<String> {
        let link = |(index, kind): (usize, &&str)| files.link("ok", from + index, &format!("f.{kind}"));
        kinds.iter().enumerate().map(link).collect()
    };
    let (good, mut bad) = (links(&allowed, 0), links(&refused, 100));
    bad.push(files.link("ok", 200, "no-extension"));
    bad.push(files.link("ok", 201, "get?filename=x.exe"));
    let named = vec![files.link("ok", 300, "get?filename=x.pdf"), files.link("ok", 301, "get?id=1&name=y.PNG")];
    raise(data, &[event("good", "x", &good), event("bad", "x", &bad), event("named", "x", &named)]).await;
    drain(data).finish().expect(0);
    let of = |rows: Vec<serde_json::Map<String, Value>>, trace: &str| {
        rows.iter().filter(|row| row["trace_id"] == trace).count()
    };
    assert_eq!(of(rows(data, "xact_attachments").await, "good"), good.len());
    assert_eq!(of(rows(data, "xact_attachments").await, "named"), named.len());
    assert_eq!(of(rows(data, "xact_attachments_failed").await, "bad"), bad.len());
    // What is refused for its name is refused before it is asked for.
    assert!(
        files.requests().keys().all(|number| !number.starts_with('1') || number.len() < 3),
        "{:?}",
        files.requests()
    );
}
