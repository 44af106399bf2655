//! Odd messages and odd answers, with what each must come to.
//!
//! `topologies/tests/odd/claimx.jsonl` holds one raw message a line: `{name, payload, expect}`, where `expect` is
//! `{dead: reason}` (a dead letter of the ingester), `{event: {columns of claimx_events}, ends}` (`ends` is the status in
//! `claimx_event_log`; no line of this file needs an answer of the API) or `{duplicate_of: id}`. A reason is
//! `not_an_object`, `missing:field` or `wrong:field`.
//!
//! `claimx_answers.jsonl` holds one event a line with the answers to its calls: `{name, event, answers, rows, ends}`. An
//! answer is `{method, path, status, body}`; a call that is not named is not expected. `rows` names every row that the
//! entity tables may hold afterwards, with the columns that matter. Ids of projects, media and assignments differ between
//! lines, so that all of them can be put on one topic at once.

use serde_json::Value;

/// The raw messages.
pub const MESSAGES: &str = include_str!("../../topologies/tests/odd/claimx.jsonl");

/// The events with their answers.
pub const ANSWERS: &str = include_str!("../../topologies/tests/odd/claimx_answers.jsonl");

/// The lines of a corpus.
pub fn lines(corpus: &str) -> Vec<Value> {
    corpus.lines().map(|line| serde_json::from_str(line).expect("a line of the corpus is JSON")).collect()
}

/// The model agrees with what was written by hand, case by case.
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;
    use crate::model::account::Account;
    use crate::model::claimx::door::{self, Dead};
    use crate::model::claimx::{Options, TABLES, expect};
    use crate::model::coerce;

    fn reason(dead: &Dead) -> String {
        match dead {
            Dead::NotAnObject => "not_an_object".to_owned(),
            Dead::Missing(field) => format!("missing:{field}"),
            Dead::Wrong(field) => format!("wrong:{field}"),
        }
    }

    #[test]
    fn every_odd_message_comes_to_what_is_written_beside_it() {
        let corpus = lines(MESSAGES);
        assert!(corpus.len() >= 150, "{} messages", corpus.len());
        for line in &corpus {
            let expected = &line["expect"];
            let name = &line["name"];
            match door::event(&line["payload"]) {
                Err(dead) => assert_eq!(expected["dead"], json!(reason(&dead)), "{name}"),
                Ok(event) if expected["duplicate_of"].is_string() => {
                    assert_eq!(expected["duplicate_of"], event.id, "{name}")
                }
                Ok(event) => {
                    let cells = json!({
                        "event_id": event.id, "event_type": event.kind, "project_id": event.project,
                        "media_id": event.media, "task_assignment_id": event.task,
                        "video_collaboration_id": event.video, "master_file_name": event.mfn,
                        "ingested_at": coerce::iso(event.at), "event_date": coerce::date(event.at),
                    });
                    assert_eq!(expected["event"], cells, "{name}");
                    let account =
                        Account::of(&[json!({"topic": "claimx.events.raw", "value": line["payload"]})], &[], &[]);
                    let tables = expect(&account, &Options::default());
                    let log = tables.get("claimx_event_log", &[&event.id]).expect("a log row");
                    assert!(log.cells["status"].admits(&expected["ends"]), "{name}: {:?}", log.cells["status"]);
                }
            }
        }
    }

    #[test]
    fn every_odd_answer_comes_to_what_is_written_beside_it() {
        for line in lines(ANSWERS) {
            let name = &line["name"];
            let event = json!({"topic": "claimx.events.raw", "value": line["event"]});
            let mut answers = line["answers"].as_array().cloned().unwrap_or_default();
            for (index, answer) in answers.iter_mut().enumerate() {
                answer["at"] = json!(format!("2026-02-01T00:00:0{index}Z"));
            }
            let tables = expect(&Account::of(&[event], &answers, &[]), &Options::default());
            let id = line["event"]["event_id"].as_str().expect("an id");
            let log = tables.get("claimx_event_log", &[id]).expect("a log row");
            assert!(log.cells["status"].admits(&line["ends"]), "{name}: {:?}", log.cells["status"]);
            for (table, key) in
                TABLES.iter().filter(|(table, _)| !["claimx_events", "claimx_event_log"].contains(table))
            {
                let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let rows = line["rows"][*table].as_array().cloned().unwrap_or_default();
                let written: BTreeSet<Vec<String>> =
                    rows.iter().map(|row| key.iter().map(|column| plain(&row[*column])).collect()).collect();
                let found: BTreeSet<Vec<String>> = tables.tables[table].rows.keys().cloned().collect();
                assert_eq!(written, found, "{name}: keys of {table}");
                for row in &rows {
                    let id: Vec<String> = key.iter().map(|column| plain(&row[*column])).collect();
                    let id: Vec<&str> = id.iter().map(String::as_str).collect();
                    let expected = tables.get(table, &id).expect("a row");
                    for (column, value) in row.as_object().expect("a row is an object") {
                        let cell = expected.cells.get(column.as_str());
                        let admitted =
                            key.contains(&column.as_str()) || cell.map_or(value.is_null(), |cell| cell.admits(value));
                        assert!(admitted, "{name}: {table}.{column} is {cell:?}, written {value}");
                    }
                }
            }
        }
    }
}
