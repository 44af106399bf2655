//! Dead letters as people and programs read them.
//!
//! What is in a letter came from outside: control characters, which could move a terminal's cursor, are shown as blanks. Secrets in
//! a payload are left out; `engine consume` shows it as it is.

use connectors::redact::{REDACTED, SECRET_MEMBERS, redact};

use crate::dlq::{Action, Letter, Queue};
use crate::expr::Json;
use crate::expr::json::{self, integer, object, parse};
use crate::expr::time::format_timestamp;
use crate::stage::message::header;

/// The longest text in a column, in characters.
const WIDEST: usize = 60;

const TITLES: [&str; 9] = ["DIED", "FLOW", "AT", "TRIES", "CATEGORY", "STAGE", "KEY", "STATE", "ERROR"];

/// The columns of a letter.
pub(super) type Row = [String; TITLES.len()];

fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A payload without its secrets. It may be no JSON, so the text is looked at.
fn hidden(payload: &[u8]) -> String {
    let mut text = redact(&String::from_utf8_lossy(payload)).into_owned();
    for name in SECRET_MEMBERS.iter().map(|name| format!("\"{name}\"")) {
        let mut from = 0;
        while let Some(found) = text.get(from..).and_then(|rest| rest.to_ascii_lowercase().find(&name)) {
            from += found + name.len();
            let rest = text.get(from..).unwrap_or_default();
            let Some(value) = rest.trim_start().strip_prefix(':').and_then(|v| v.trim_start().strip_prefix('"')) else {
                continue;
            };
            let start = text.len() - value.len();
            // A quote behind a backslash is part of the value.
            let mut escaped = false;
            let end = value.bytes().position(|byte| {
                let ends = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                ends
            });
            let length = end.unwrap_or(value.len());
            text.replace_range(start..start + length, REDACTED);
            from = start + REDACTED.len();
        }
    }
    text
}

fn flow(queue: &Queue, letter: &Letter) -> String {
    queue.home(letter).map_or_else(String::new, |home| format!("{}/{}", home.topology, home.flow))
}

fn at(letter: &Letter) -> String {
    format!("{}/{}", letter.message.partition, letter.message.offset)
}

fn state(letter: &Letter) -> String {
    match (letter.replays(), letter.lives()) {
        (0, 0) => "new".to_owned(),
        (0, before) => format!("new, replayed {before} before"),
        (times, _) => format!("replayed {times}"),
    }
}

/// One line of a table.
pub(super) fn row(queue: &Queue, letter: &Letter) -> Row {
    let cell = |text: &str| {
        let text = clean(text);
        match text.char_indices().nth(WIDEST) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
            None if text.is_empty() => "-".to_owned(),
            None => text,
        }
    };
    [
        format_timestamp(letter.died()),
        flow(queue, letter),
        at(letter),
        cell(letter.text(header::ATTEMPT)),
        cell(letter.text(header::CATEGORY)),
        cell(letter.text(header::STAGE)),
        cell(&letter.key().unwrap_or_default()),
        state(letter),
        cell(letter.text(header::ERROR)),
    ]
}

/// A table with its titles.
pub(super) fn table(rows: &[Row]) -> String {
    let titles = TITLES.map(str::to_owned);
    let lines = || std::iter::once(&titles).chain(rows);
    let width = |column: usize| lines().filter_map(|row| Some(row.get(column)?.chars().count())).max().unwrap_or(0);
    let widths: Vec<usize> = (0..TITLES.len()).map(width).collect();
    let mut out = String::new();
    for row in lines() {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        out += cells.join("  ").trim_end();
        out.push('\n');
    }
    out
}

/// What was done, or would be.
pub(super) fn action(action: Action, dry_run: bool) -> String {
    let would = if dry_run { "would be " } else { "" };
    match action {
        Action::Replayed(1) => format!("{would}replayed"),
        Action::Replayed(times) => format!("{would}replayed for the time {times}"),
        Action::Already(1) => "replayed before, left alone".to_owned(),
        Action::Already(times) => format!("replayed {times} times before, left alone"),
        Action::Purged => format!("{would}purged"),
        Action::Kept => "not replayed, left alone".to_owned(),
    }
}

/// What was done with a letter, in a line.
pub(super) fn line(queue: &Queue, letter: &Letter, action: &str) -> String {
    let key = letter.key().map_or_else(String::new, |key| format!("  key {}", clean(&key)));
    let trace = clean(letter.text(header::TRACE));
    format!("{action}: {}  {}  trace {trace}{key}\n", flow(queue, letter), at(letter))
}

/// A letter whole, for people.
pub(super) fn page(queue: &Queue, letter: &Letter) -> String {
    let message = &letter.message;
    let mut out = format!("{}/{}/{}\n", message.topic, message.partition, message.offset);
    let mut say = |name: &str, text: &str| {
        if !text.is_empty() {
            out += &format!("  {:<14} {}\n", clean(name), clean(&redact(text)));
        }
    };
    say("flow", &flow(queue, letter));
    say("died", &format_timestamp(letter.died()));
    say("state", &state(letter));
    say("key", &letter.key().unwrap_or_default());
    for (name, value) in message.headers.iter().filter(|(name, _)| &**name != header::HISTORY) {
        say(name, &String::from_utf8_lossy(value));
    }
    for line in letter.history() {
        say("history", line);
    }
    out += &format!("  payload\n    {}\n", clean(&hidden(&message.payload)));
    out
}

/// A letter as a line of JSON; with headers and payload if it is `whole`.
pub(super) fn json(queue: &Queue, letter: &Letter, action: Option<&str>, whole: bool) -> String {
    let message = &letter.message;
    let text = |text: &str| if text.is_empty() { Json::default() } else { json::text(text) };
    let home = queue.home(letter);
    let attempt = letter.text(header::ATTEMPT).parse().map_or_else(|_| Json::default(), integer);
    let mut members = vec![
        ("topology", text(home.map_or("", |home| &home.topology))),
        ("flow", text(home.map_or("", |home| &home.flow))),
        ("topic", text(&message.topic)),
        ("partition", integer(message.partition.into())),
        ("offset", integer(message.offset)),
        ("time", text(&format_timestamp(letter.died()))),
        ("key", letter.key().map_or_else(Json::default, |key| json::text(&key))),
        ("attempt", attempt),
        ("category", text(letter.text(header::CATEGORY))),
        ("stage", text(letter.text(header::STAGE))),
        ("place", text(letter.text(header::PLACE))),
        ("error", text(letter.text(header::ERROR))),
        ("origin", text(letter.text(header::ORIGIN))),
        ("first_failure", text(letter.text(header::FIRST_FAILURE))),
        ("trace", text(letter.text(header::TRACE))),
        ("replayed", integer(letter.replays().into())),
        ("replayed_before", integer(letter.lives().into())),
    ];
    members.extend(action.map(|action| ("action", text(action))));
    if whole {
        let value = |value: &[u8]| json::text(&redact(&String::from_utf8_lossy(value)));
        members.push(("history", letter.history().map(text).collect::<Vec<_>>().into()));
        members.push(("headers", object(message.headers.iter().map(|(name, v)| (&**name, value(v))))));
        let payload = hidden(&message.payload);
        members.push(("payload", parse(payload.as_bytes()).unwrap_or_else(|_| json::text(&payload))));
    }
    format!("{}\n", json::to_text(&object(members)))
}

#[cfg(test)]
mod tests {
    use connectors::log::Message;

    use super::*;

    fn letter(key: &str, payload: &str, headers: &[(&str, &str)]) -> (Queue, Letter) {
        let queue = Queue { connection: "bus".into(), topic: "dead".into(), homes: Vec::new() };
        let message = Message {
            topic: "dead".into(),
            partition: 0,
            offset: 3,
            time: 0,
            key: Some(key.to_owned().into()),
            payload: payload.to_owned().into(),
            headers: headers.iter().map(|(n, v)| ((*n).into(), (*v).to_owned().into())).collect(),
        };
        (queue, Letter { message, mark: None, home: 0 })
    }

    #[test]
    fn what_came_from_outside_moves_no_cursor_and_shows_no_secret() {
        let url = "https://h/a?sig=hidden";
        let payload = format!("{{\"url\":\"{url}\",\"n\":1,\"token\": \"hidden\"}}");
        let (queue, letter) =
            letter("k\u{1b}[2J", &payload, &[("error", "no\u{7}"), ("link", url), ("error_category", "")]);
        let page = page(&queue, &letter);
        let table = table(&[row(&queue, &letter)]);
        let json = json(&queue, &letter, None, true);
        for text in [&page, &table, &json] {
            assert!(!text.contains('\u{1b}') && !text.contains('\u{7}') && !text.contains("hidden"), "{text}");
        }
        assert!(
            json.contains(r#""payload":{"n":1,"token":"[REDACTED]","url":"https://h/a?sig=[REDACTED]"}"#),
            "{json}"
        );
        assert!(table.lines().nth(1).is_some_and(|line| line.contains("0/3  -")), "{table}");
    }
}
