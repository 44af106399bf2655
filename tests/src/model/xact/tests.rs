//! The model against what the facts write down by hand.

use serde_json::{Value, json};

use super::{Fate, Options, door, expect, fate, names};
use crate::model::account::Account;
use crate::model::expect::Cell;

const TRACE: &str = "0f6d2c1e-7b7a-4c55-9d0e-3a5b6c7d8e9f";

fn event(subtype: &str, data: Value) -> Value {
    json!({"type": format!("verisk.claims.property.xn.{subtype}"), "version": 2, "traceId": TRACE,
        "utcDateTime": "2026-01-10T17:42:08.315000+00:00", "data": data})
}

fn paths(subtype: &str, data: Value) -> Vec<String> {
    let event = door::event(&event(subtype, data)).expect("an event");
    names::tasks(&event, |url| url.starts_with("https://h/")).into_iter().map(|task| task.path).collect()
}

#[test]
fn ids_are_those_of_the_vectors() {
    let url = "https://usw2-prod-xn-exportreceiver-publish.s3.us-west-2.amazonaws.com/a/b/estimate.pdf\
               ?X-Amz-Date=20260110T120000Z&X-Amz-Expires=604800";
    let event = door::event(&event("x", json!({"assignmentId": "A", "attachments": [url]}))).expect("an event");
    assert_eq!(event.id, "af3fb5dc-1d83-5390-87ad-61daf7e5f0d6");
    assert_eq!(names::tasks(&event, |_| true)[0].media, "7b816821-5615-59df-a4c0-9759c0e65733");
}

#[test]
fn names_follow_the_subtype_and_are_numbered() {
    let data = json!({"assignmentId": "A", "attachments": ["https://h/a.PDF?x=1", "http://h/a.pdf", "https://h/b/A.pdf",
        "https://h/a.PDF?x=1", "https://h/c/a.pdf", null, " "]});
    let name = |path: &str| format!("{path}/A/{TRACE}");
    let folder = name("documentsReceived");
    let expected: Vec<String> =
        ["A_a.pdf", "A_a.pdf", "A_A_2.pdf", "A_a_3.pdf"].iter().map(|name| format!("{folder}/{name}")).collect();
    assert_eq!(paths("documentsReceived", data), expected);
    let one =
        |more: Value| json!({"assignmentId": "A", "estimateVersion": more, "attachments": ["https://h/x.tar.gz"]});
    assert_eq!(
        paths("firstNoticeOfLossReceived", one(json!("3"))),
        [format!("{}/A_FNOL_x.tar.gz", name("firstNoticeOfLossReceived"))]
    );
    assert_eq!(
        paths("estimatePackageReceived", one(json!(3))),
        [format!("{}/A_3_x.tar.gz", name("estimatePackageReceived"))]
    );
    assert_eq!(
        paths("estimatePackageReceived", one(json!(""))),
        [format!("{}/A_unknown_x.tar.gz", name("estimatePackageReceived"))]
    );
}

#[test]
fn a_link_names_its_file() {
    for (url, name, kind) in [
        ("https://h/file.PDF?x=1", "file.pdf", "PDF"),
        ("https://h/x.tar.gz", "x.tar.gz", "GZ"),
        ("https://h/.pdf", ".pdf", "PDF"),
        ("https://h/dir/", "unknown", "UNKNOWN"),
        ("https://h/get/u?filename=d.pdf", "u", "UNKNOWN"),
        ("https://h/a%2Fb.pdf", "a%2Fb.pdf", "PDF"),
        ("https://h/a:b*.Jpg#x", "a_b_.jpg", "JPG"),
    ] {
        assert_eq!(names::name(url), (name.to_owned(), kind.to_owned()), "{url}");
    }
    assert!(names::is_allowed("https://h/get/u?filename=d.pdf") && !names::is_allowed("https://h/x.tar.gz"));
    let long = names::safe(&format!("{}.jpeg", "é".repeat(300)));
    assert!(long.ends_with("é.jpeg") && (197..=200).contains(&long.len()), "{long}");
}

#[test]
fn a_row_is_read_off_whatever_data_is() {
    let cells = |data: Value| door::event(&event("x", data)).expect("an event").cells();
    let object = json!({"assignmentId": 7, "note": {"a": [1]}, "author": true, "description": "  ",
        "contact": {"contactMethods": {"phone": {"number": 5}, "email": "no object"}}});
    for data in [object.clone(), json!(object.to_string())] {
        let cells = cells(data);
        assert_eq!(cells["assignment_id"], Cell::Is(json!("7")));
        assert!(cells["note"].admits(&json!("{\"a\":[1]}")) && cells["author"].admits(&json!("true")));
        assert_eq!(
            (&cells["description"], &cells["contact_email_address"]),
            (&Cell::Is(json!("  ")), &Cell::Is(Value::Null))
        );
        assert_eq!(cells["contact_phone_number"], Cell::Is(json!("5")));
    }
    for data in [Value::Null, json!("{"), json!("[1]"), json!([{"assignmentId": "A"}]), json!(5), json!("\"x\"")] {
        assert_eq!(cells(data.clone())["assignment_id"], Cell::Is(Value::Null), "{data}");
    }
}

#[test]
fn versions_are_integers_in_their_plain_text() {
    for (version, text) in [
        (json!(2), "2"),
        (json!(2.0), "2"),
        (json!("007"), "7"),
        (json!("v2"), "v2"),
        (json!(""), "1"),
        (Value::Null, "1"),
        (json!(true), "1"),
        (json!([2]), "1"),
    ] {
        let mut event = event("x", json!({}));
        event["version"] = version;
        assert_eq!(door::event(&event).expect("an event").version, text);
    }
}

#[test]
fn secrets_are_gone_from_links_wherever_they_stand() {
    let link = "https://h/a.pdf?X-Amz-Date=1&X-Amz-Signature=ab&x=1#f";
    let gone = "https://h/a.pdf?X-Amz-Date=1&X-Amz-Signature=[REDACTED]&x=1#f";
    let data = json!({"attachments": [link], "note": format!("see {link} and {link}"), "more": {"deep": [link]}});
    let wanted = json!({"attachments": [gone], "note": format!("see {gone} and {gone}"), "more": {"deep": [gone]}});
    for (data, wanted) in [(data.clone(), wanted.clone()), (json!(data.to_string()), json!(wanted.to_string()))] {
        let cells = door::event(&event("x", data)).expect("an event").cells();
        assert_eq!(cells["raw_json"], Cell::Json(event("x", wanted)));
        assert_eq!(cells["attachments"], Cell::Is(json!(gone)));
    }
}

#[test]
fn the_account_says_what_became_of_a_file() {
    let link = "https://h/a.pdf?x=1";
    let raw = event("x", json!({"assignmentId": "A", "attachments": [link]}));
    let options = Options::allowing(&["https://h/"]);
    let task = |url: &str, admitted: bool| {
        let event = door::event(&event("x", json!({"assignmentId": "A", "attachments": [url]}))).expect("an event");
        names::tasks(&event, |_| admitted).remove(0)
    };
    let line = |fault: Value| json!({"url": link, "bytes": 9, "sha256": "", "fault": fault});
    let account = |lines: &[Value]| Account::of(&[json!({"topic": "xact.events.raw", "value": raw})], &[], lines);
    let of = |lines: &[Value]| fate(&task(link, true), &account(lines).files.iter().collect::<Vec<_>>(), &options);
    assert_eq!(of(&[line(json!("503")), line(json!("redirect"))]), Fate::Stored(9));
    assert_eq!(of(&[line(json!("reset")), line(json!("404"))]), Fate::Dead(Cell::Is(json!(404))));
    assert_eq!(of(&[line(json!("truncated"))]), Fate::Dead(Cell::Is(json!(200))));
    let nobody = |task: &names::Task| fate(task, &[], &options);
    let expired = "https://h/a.pdf?X-Amz-Date=20200110T120000Z&X-Amz-Expires=60";
    for dead in [task(link, false), task(expired, true), task("https://h/a.exe", true)] {
        assert_eq!(nobody(&dead), Fate::Dead(Cell::Is(Value::Null)), "{}", dead.url);
    }
    let tables = expect(&account(&[line(Value::Null)]), &options);
    assert_eq!((tables.tables["xact_attachments"].rows.len(), tables.dead_at_the_door), (1, 0));
}

#[test]
fn what_is_no_event_is_dead_and_a_trace_counts_once() {
    let missing = |name: &str| {
        let mut event = event("x", json!({}));
        event.as_object_mut().expect("an object").remove(name);
        event
    };
    let changed = |name: &str, value: Value| {
        let mut event = event("x", json!({}));
        event[name] = value;
        event
    };
    let dead = [
        json!("{"),
        json!("[]"),
        json!(""),
        missing("type"),
        missing("traceId"),
        missing("utcDateTime"),
        changed("type", json!(" ")),
        changed("utcDateTime", json!("yesterday")),
        changed("utcDateTime", json!(1_768_066_928)),
    ];
    let alive = [event("x", json!({})), event("y", json!({})), changed("traceId", json!(7))];
    let emitted: Vec<Value> =
        dead.iter().chain(&alive).map(|value| json!({"topic": "xact.events.raw", "value": value})).collect();
    let tables = expect(&Account::of(&emitted, &[], &[]), &Options::allowing(&[]));
    assert_eq!((tables.dead_at_the_door, tables.tables["xact_events"].rows.len()), (dead.len(), 2));
    let first = tables.get("xact_events", &["af3fb5dc-1d83-5390-87ad-61daf7e5f0d6"]).expect("the first");
    assert_eq!(first.cells["status_subtype"], Cell::Is(json!("x")));
}
