//! The model on accounts made by hand: what the corpora of odd messages and answers, one event each, cannot show.

use serde_json::{Value, json};

use super::{Options, expect};
use crate::model::account::Account;
use crate::model::coerce;
use crate::model::compare;
use crate::model::expect::{Cell, Expected, Row};

const TIMES: [&str; 4] =
    ["2026-01-10T10:00:00Z", "2026-01-10T11:00:00Z", "2026-01-10T12:00:00Z", "2026-01-10T13:00:00Z"];

fn event(id: &str, kind: &str, hour: usize, more: Value) -> Value {
    let mut value = json!({"event_id": id, "event_type": kind, "project_id": "1", "ingested_at": TIMES[hour]});
    for (key, field) in more.as_object().expect("an object") {
        value[key] = field.clone();
    }
    json!({"topic": "claimx.events.raw", "key": id, "value": value})
}

fn answer(minute: usize, path: &str, status: u16, body: Value) -> Value {
    let method = if path == "/data" { "POST" } else { "GET" };
    json!({"at": format!("2026-02-01T00:{minute:02}:00Z"), "method": method, "path": path, "status": status, "fault": null, "body": body})
}

fn project(more: Value) -> Value {
    let mut project = json!({"projectId": 1, "mfn": "M_API"});
    for (key, field) in more.as_object().expect("an object") {
        project[key] = field.clone();
    }
    json!({"data": {"project": project}})
}

fn tables(events: &[Value], answers: &[Value], files: &[Value]) -> Expected {
    expect(&Account::of(events, answers, files), &Options::default())
}

fn row<'e>(expected: &'e Expected, table: &str, key: &[&str]) -> &'e Row {
    expected.get(table, key).unwrap_or_else(|| panic!("{table} {key:?} is not expected"))
}

#[track_caller]
fn is(row: &Row, column: &str, value: Value) {
    assert_eq!(row.cells.get(column), Some(&Cell::Is(value)), "{column}");
}

#[test]
fn the_newest_answer_wins_whoever_asked() {
    let events = [event("a", "PROJECT_CREATED", 0, json!({})), event("b", "POLICYHOLDER_INVITED", 1, json!({}))];
    let answers = [
        answer(5, "/export/project/1", 200, project(json!({"status": "CLOSED", "yearBuilt": null}))),
        answer(1, "/export/project/1", 200, project(json!({"status": "OPEN", "yearBuilt": 1998}))),
    ];
    let expected = tables(&events, &answers, &[]);
    let row = row(&expected, "claimx_projects", &["1"]);
    is(row, "status", json!("CLOSED"));
    is(row, "year_built", Value::Null);
    is(row, "policyholder_invited_at", json!("2026-01-10T11:00:00+00:00"));
    assert_eq!(row.cells["event_id"], Cell::OneOf(vec![json!("a"), json!("b")]));
}

#[test]
fn answers_as_old_as_each_other_are_both_admissible() {
    let mut later = answer(1, "/export/project/1", 200, project(json!({"status": "B"})));
    later["at"] = json!("2026-02-01T00:01:01Z");
    let answers = [answer(1, "/export/project/1", 200, project(json!({"status": "A"}))), later];
    let expected = tables(&[event("a", "PROJECT_CREATED", 0, json!({}))], &answers, &[]);
    let status = &row(&expected, "claimx_projects", &["1"]).cells["status"];
    assert_eq!(status, &Cell::OneOf(vec![json!("A"), json!("B")]));
}

#[test]
fn an_answer_that_did_not_arrive_says_nothing() {
    let mut broken = answer(9, "/export/project/1", 200, project(json!({"status": "LOST"})));
    broken["fault"] = json!("truncated");
    let answers = [
        answer(1, "/export/project/1", 200, project(json!({"status": "OPEN"}))),
        broken,
        answer(2, "/export/project/1", 503, json!({})),
    ];
    let expected = tables(&[event("a", "PROJECT_CREATED", 0, json!({}))], &answers, &[]);
    is(row(&expected, "claimx_projects", &["1"]), "status", json!("OPEN"));
    is(row(&expected, "claimx_event_log", &["a"]), "status", json!("success"));
}

#[test]
fn the_latest_of_several_events_of_one_kind_counts() {
    let events = [
        event("a", "POLICYHOLDER_JOINED", 2, json!({})),
        event("b", "POLICYHOLDER_JOINED", 1, json!({})),
        event("c", "PROJECT_AUTO_XA_LINKING_UNSUCCESSFUL", 3, json!({})),
        event("d", "PROJECT_AUTO_XA_LINKING_UNSUCCESSFUL", 0, json!({})),
    ];
    let expected = tables(&events, &[answer(1, "/export/project/1", 200, project(json!({})))], &[]);
    let row = row(&expected, "claimx_projects", &["1"]);
    is(row, "policyholder_joined_at", json!("2026-01-10T12:00:00+00:00"));
    is(row, "xa_autolink_fail_at", json!("2026-01-10T13:00:00+00:00"));
    is(row, "xa_autolink_fail", json!(true));
}

#[test]
fn a_later_answer_takes_a_name_back_and_a_shared_instant_leaves_it_open() {
    let named = event("a", "PROJECT_MFN_ADDED", 0, json!({"master_file_name": "M_EVENT"}));
    let answers = [answer(1, "/export/project/1", 200, project(json!({})))];
    let alone = tables(std::slice::from_ref(&named), &answers, &[]);
    is(row(&alone, "claimx_projects", &["1"]), "master_file_name", json!("M_EVENT"));
    let both = tables(&[named, event("b", "PROJECT_CREATED", 1, json!({}))], &answers, &[]);
    let name = &row(&both, "claimx_projects", &["1"]).cells["master_file_name"];
    assert!(name.admits(&json!("M_EVENT")) && name.admits(&json!("M_API")) && !name.admits(&Value::Null));
}

#[test]
fn an_id_seen_again_changes_nothing() {
    let events =
        [event("a", "PROJECT_CREATED", 0, json!({})), event("a", "PROJECT_CREATED", 1, json!({"project_id": "2"}))];
    let answers = [answer(1, "/export/project/1", 200, project(json!({})))];
    let expected = tables(&events, &answers, &[]);
    is(row(&expected, "claimx_events", &["a"]), "project_id", json!("1"));
    assert!(expected.get("claimx_projects", &["2"]).is_none());
    is(row(&expected, "claimx_event_log", &["a"]), "status", json!("success"));
}

#[test]
fn an_unknown_type_has_its_row_and_a_dead_end() {
    let expected = tables(&[event("a", "PROJECT_DELETED", 0, json!({}))], &[], &[]);
    is(row(&expected, "claimx_events", &["a"]), "event_type", json!("PROJECT_DELETED"));
    is(row(&expected, "claimx_event_log", &["a"]), "status", json!("failed_permanent"));
    assert_eq!(expected.dead_at_the_door, 0);
}

#[test]
fn a_link_takes_nothing_from_the_contact() {
    let task = |id: i64| json!({"assignmentId": id, "externalLinkData": {"email": "mj@x"}});
    let holder = json!({"customerInformation": {"firstName": "Maria", "emails": [{"emailAddress": "mj@x"}]}});
    let events = [
        event("a", "CUSTOM_TASK_ASSIGNED", 0, json!({"task_assignment_id": "7"})),
        event("b", "CUSTOM_TASK_ASSIGNED", 1, json!({"task_assignment_id": "8"})),
    ];
    let answers = [
        answer(1, "/customTasks/assignment/7", 200, task(7)),
        answer(2, "/customTasks/assignment/8", 200, task(8)),
        answer(3, "/export/project/1", 200, project(holder)),
    ];
    let expected = tables(&events, &answers, &[]);
    let row = row(&expected, "claimx_contacts", &[&super::people::contact_id("mj@x", "POLICYHOLDER"), "1"]);
    is(row, "first_name", json!("Maria"));
    is(row, "is_primary_contact", json!(true));
    assert_eq!(row.cells["task_assignment_id"], Cell::OneOf(vec![json!(7), json!(8)]));
}

#[test]
fn a_call_answered_and_refused_leaves_both_ends_open() {
    let events = [event("a", "CUSTOM_TASK_ASSIGNED", 0, json!({"task_assignment_id": "7"}))];
    let answers = [
        answer(1, "/customTasks/assignment/7", 200, json!({"assignmentId": 7})),
        answer(2, "/export/project/1", 404, json!({})),
        answer(3, "/export/project/1", 200, project(json!({}))),
    ];
    let expected = tables(&events, &answers, &[]);
    assert!(row(&expected, "claimx_tasks", &["7"]).optional);
    assert!(!row(&expected, "claimx_projects", &["1"]).optional);
    let status = &row(&expected, "claimx_event_log", &["a"]).cells["status"];
    assert!(
        status.admits(&json!("success"))
            && status.admits(&json!("failed_permanent"))
            && !status.admits(&json!("failed"))
    );
}

#[test]
fn a_file_of_a_known_project_asks_for_no_project() {
    let events = [event("a", "PROJECT_FILE_ADDED", 0, json!({"media_id": 5}))];
    let url = "https://www.claimxperience.com/get/6f1c?filename=k.JPG&systemDate=1&expires=1&sign=ab";
    let media = answer(
        1,
        "/export/project/1/media?mediaIds=5",
        200,
        json!({"data": [{"mediaID": 5, "fullDownloadLink": url}]}),
    );
    let files = [
        json!({"url": url, "bytes": 17, "sha256": "x", "fault": "reset"}),
        json!({"url": url, "bytes": 34, "sha256": "y", "fault": null}),
    ];
    let expected = tables(&events, &[media], &files);
    assert!(expected.tables["claimx_projects"].rows.is_empty());
    let file = row(&expected, "claimx_attachments", &["5"]);
    is(file, "bytes_downloaded", json!(34));
    is(file, "file_name", json!("6f1c"));
    is(file, "file_type", json!("jpg"));
    is(file, "media_name", Value::Null);
    is(file, "blob_path", json!("1/media/5_6f1c"));
    is(file, "source_event_id", json!("a"));
    is(file, "download_url", json!(url.replace("sign=ab", "sign=[REDACTED]")));
}

#[test]
fn differences_are_said_in_words() {
    let events = [event("a", "PROJECT_AUTO_XA_LINKING_UNSUCCESSFUL", 0, json!({}))];
    let expected = tables(&events, &[], &[]);
    let table = &expected.tables["claimx_projects"];
    let right = json!({"project_id": "1", "xa_autolink_fail": true, "xa_autolink_fail_at": "2026-01-10T10:00:00+00:00",
                       "event_id": "a", "created_at": "x", "updated_at": "x", "status": null});
    let read = |row: &Value| row.as_object().expect("an object").clone();
    assert_eq!(compare::table(table, &[read(&right)], 9), Vec::<String>::new());
    let mut wrong = right.clone();
    wrong["xa_autolink_fail"] = Value::Null;
    wrong["status"] = json!("OPEN");
    let mut stranger = right.clone();
    stranger["project_id"] = json!("2");
    assert_eq!(
        compare::table(table, &[read(&wrong), read(&stranger), read(&stranger)], 9),
        [
            r#"claimx_projects holds ["2"] twice"#,
            r#"claimx_projects ["1"]: `status` is "OPEN", expected null"#,
            r#"claimx_projects ["1"]: `xa_autolink_fail` is null, expected true"#,
            r#"claimx_projects holds ["2"], which nothing caused"#,
        ]
    );
    assert_eq!(compare::table(table, &[], 9), [r#"claimx_projects lacks ["1"]"#]);
}

#[test]
fn ids_are_those_of_the_facts() {
    let id = coerce::uuid5(super::NAMESPACE, "4895140|PROJECT_FILE_ADDED|2026-01-10T12:00:00+00:00|media:96264210");
    assert_eq!(id, "ad6cf4b7-396c-5f3f-930b-b1406d18499d");
}

#[test]
fn coercions() {
    type Coerce = fn(&Value) -> Value;
    let cases: [(Coerce, Value, Value); 21] = [
        (coerce::text, json!(" a "), json!("a")),
        (coerce::text, json!("  "), Value::Null),
        (coerce::text, json!(40.0), json!("40.0")),
        (coerce::text, json!(-74), json!("-74")),
        (coerce::id, json!(4_895_140.0), json!("4895140")),
        (coerce::id, json!("4895140.0"), json!("4895140.0")),
        (coerce::int, json!("12"), json!(12)),
        (coerce::int, json!("12.0"), Value::Null),
        (coerce::int, json!(12.9), json!(12)),
        (coerce::int, json!(-12.9), json!(-12)),
        (coerce::int, json!(true), json!(1)),
        (coerce::int, json!([1]), Value::Null),
        (coerce::int32, json!(3_000_000_000_i64), Value::Null),
        (coerce::flag, json!("YES"), json!(true)),
        (coerce::flag, json!("on"), json!(false)),
        (coerce::flag, json!(0), json!(false)),
        (coerce::flag, Value::Null, Value::Null),
        (coerce::decimal, json!("12.50"), json!("12.5")),
        (coerce::decimal, json!("1,5"), Value::Null),
        (coerce::ts_text, json!(" 2026-01-10T12:00:00.5Z"), json!("2026-01-10T12:00:00.5+00:00")),
        (coerce::ts_text, json!(17), Value::Null),
    ];
    for (coerce, value, expected) in cases {
        assert_eq!(coerce(&value), expected, "{value}");
    }
}

#[test]
fn an_account_is_read_from_its_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, lines: &[Value]| {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    write("emitted.jsonl", &[event("a", "PROJECT_CREATED", 0, json!({}))]);
    write(
        "answers.jsonl",
        &[answer(2, "/export/project/1", 200, json!("text")), answer(1, "/export/project/1?full=true", 200, json!({}))],
    );
    let account = Account::read(folder.path()).expect("readable");
    assert_eq!((account.emitted.len(), account.answers.len(), account.files.len()), (1, 2, 0));
    assert!(account.answers[0].at < account.answers[1].at && account.answers[0].path == "/export/project/1");
    write("files.jsonl", &[json!({"url": "https://h/f", "bytes": 3, "sha256": "x", "fault": "slow"})]);
    assert!(Account::read(folder.path()).expect("readable").files[0].whole);
    std::fs::write(folder.path().join("files.jsonl"), "{}\n{").expect("written");
    let error = Account::read(folder.path()).expect_err("the second line is none").to_string();
    assert!(error.contains("files.jsonl:2"), "{error}");
}

#[tokio::test]
async fn a_delta_table_is_read_as_the_model_writes() {
    use std::sync::Arc;

    use deltalake::DeltaTable;
    use deltalake::arrow::array::{
        ArrayRef, BooleanArray, Date32Array, Int32Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    };

    let folder = tempfile::tempdir().expect("a folder");
    let columns: [(&str, ArrayRef); 6] = [
        ("text", Arc::new(StringArray::from(vec![Some("a"), None]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("small", Arc::new(Int32Array::from(vec![Some(7), None]))),
        ("large", Arc::new(Int64Array::from(vec![Some(3_000_000_000), None]))),
        ("day", Arc::new(Date32Array::from(vec![Some(20_463), None]))),
        (
            "instant",
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1_768_046_400_500_000), None]).with_timezone("UTC")),
        ),
    ];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).expect("a batch");
    let url = deltalake::ensure_table_uri(folder.path().to_string_lossy()).expect("a url");
    let table = DeltaTable::try_from_url(url).await.expect("a table");
    table.write(vec![batch]).await.expect("written");
    let rows = crate::model::lake::read(folder.path()).await.expect("readable");
    let row = json!({"text": "a", "flag": true, "small": 7, "large": 3_000_000_000_i64, "day": "2026-01-10", "instant": "2026-01-10T12:00:00.500000+00:00"});
    assert_eq!(rows.len(), 2);
    assert_eq!(Value::Object(rows[0].clone()), row);
    assert!(rows[1].values().all(Value::is_null));
}

#[tokio::test]
async fn a_folder_without_tables_lacks_every_row() {
    let folder = tempfile::tempdir().expect("a folder");
    let expected = tables(&[event("a", "PROJECT_AUTO_XA_LINKING_UNSUCCESSFUL", 0, json!({}))], &[], &[]);
    let differences = compare::folder(&expected, folder.path(), 9).await.expect("readable");
    assert_eq!(differences.len(), 3, "{differences:?}");
}
