//! From the account to the three xact tables.
//!
//! An event is a row, and each attachment that it names is a file or a failure. What became of a file is told by the account:
//! one request that came through is enough, and without one it is dead, with the status of the last answer.

pub mod door;
pub mod names;
mod tests;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::door::Event;
use self::names::Task;
use crate::model::account::{Account, File};
use crate::model::coerce::{date, expiry, extension, iso, redact};
use crate::model::expect::{Cell, Expected};

/// The three tables and their keys.
pub const TABLES: [(&str, &[&str]); 3] =
    [("xact_events", &["event_id"]), ("xact_attachments", &["media_id"]), ("xact_attachments_failed", &["media_id"])];

/// What the model is told besides the account.
#[derive(Clone, Debug)]
pub struct Options {
    /// The topic the events came in by.
    pub topic: String,
    /// How every link begins that may be asked for.
    pub allowed: Vec<String>,
    /// What the links have in common under which a page is sent, whatever they promise.
    pub pages: Option<String>,
    /// The longest file that is taken, in bytes.
    pub longest: i64,
    /// When the run was over, in microseconds since 1970: what had not expired by then did not expire.
    pub ended: i64,
}

impl Options {
    /// Links below `allowed`, and the present as the end of the run.
    pub fn allowing(allowed: &[&str]) -> Self {
        let allowed = allowed.iter().map(|base| (*base).to_owned()).collect();
        Options {
            topic: "xact.events.raw".to_owned(),
            allowed,
            pages: None,
            longest: 2 << 30,
            ended: chrono::Utc::now().timestamp_micros(),
        }
    }

    /// Whether a link may be asked for, by its host alone.
    pub fn admits(&self, url: &str) -> bool {
        self.allowed.iter().any(|base| url.starts_with(base)) && !url.contains(|c: char| c.is_control() || c == '\\')
    }
}

/// The events of an account, each trace id once, in the order of arrival, and how many messages are none.
pub fn events(account: &Account, options: &Options) -> (Vec<Event>, usize) {
    let (mut events, mut seen, mut dead) = (Vec::new(), std::collections::BTreeSet::new(), 0);
    for message in account.emitted.iter().filter(|message| message.topic == options.topic) {
        match door::event(&message.value) {
            Err(_) => dead += 1,
            Ok(event) if seen.insert(event.trace.clone()) => events.push(event),
            Ok(_) => {}
        }
    }
    (events, dead)
}

/// What the tables must hold.
pub fn expect(account: &Account, options: &Options) -> Expected {
    let mut expected = Expected::of(&TABLES);
    let mut files: BTreeMap<&str, Vec<&File>> = BTreeMap::new();
    for file in &account.files {
        // Where it was redirected to counts as the link itself.
        files.entry(file.url.trim_end_matches("&moved=1")).or_default().push(file);
    }
    let (events, dead) = events(account, options);
    expected.dead_at_the_door = dead;
    for event in &events {
        let row = expected.row("xact_events", &[&event.id]);
        row.cells = event.cells();
        for task in names::tasks(event, |url| options.admits(url)) {
            let requests = files.get(task.url.as_str()).map_or(&[][..], Vec::as_slice);
            file(&mut expected, event, &task, fate(&task, requests, options));
        }
    }
    expected
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It came, so long.
    Stored(i64),
    /// It will not come; the status that was answered.
    Dead(Cell),
}

/// What became of the file of `task`, by the requests for it.
pub fn fate(task: &Task, requests: &[&File], options: &Options) -> Fate {
    if !task.admitted || !names::is_allowed(&task.url) {
        return Fate::Dead(Cell::Is(Value::Null));
    }
    // What came is not always what may be kept.
    let kept = |file: &File| {
        let page = options.pages.as_ref().is_some_and(|pages| task.url.contains(pages) && !is_page(&task.url));
        file.bytes <= options.longest && !page
    };
    let whole = requests.iter().find(|request| request.whole && kept(request));
    let expired = expiry(&task.url).is_some_and(|end| end <= options.ended);
    match (whole, requests.last()) {
        (Some(request), _) => Fate::Stored(request.bytes),
        // It had expired, or did so before the last try.
        (None, None) if expired => Fate::Dead(Cell::Is(Value::Null)),
        (None, Some(last)) if expired => Fate::Dead(Cell::among([Value::Null, last.status.clone()])),
        (None, Some(last)) => Fate::Dead(Cell::Is(last.status.clone())),
        // Nothing kept it from being asked for.
        (None, None) => Fate::Stored(-1),
    }
}

/// Whether a link promises a page.
fn is_page(url: &str) -> bool {
    let extension = extension(url);
    extension == "html" || extension == "htm"
}

fn file(expected: &mut Expected, event: &Event, task: &Task, fate: Fate) {
    let is = |value: &str| Cell::Is(json!(value));
    let common = [
        ("trace_id", is(&event.trace)),
        ("attachment_url", is(&redact(&task.url))),
        ("event_date", is(&date(event.at))),
        ("created_at", Cell::NotNull),
    ];
    match fate {
        Fate::Stored(bytes) => {
            let cells = &mut expected.row("xact_attachments", &[&task.media]).cells;
            cells.extend(common);
            cells.insert("blob_path", is(&task.path));
            cells.insert("file_type", is(&task.file_type));
            cells.insert("status_subtype", is(&event.subtype));
            cells.insert("assignment_id", is(&task.assignment));
            cells.insert("bytes_downloaded", Cell::Is(json!(bytes)));
            cells.insert("downloaded_at", Cell::NotNull);
        }
        Fate::Dead(status) => {
            let cells = &mut expected.row("xact_attachments_failed", &[&task.media]).cells;
            cells.extend(common);
            cells.insert("status", is("failed_permanent"));
            cells.insert("http_status", status);
            for told in ["error_message", "failed_at", "retry_count"] {
                cells.insert(told, Cell::NotNull);
            }
        }
    }
}

/// The task as the message that goes to the downloader must say it; other fields are free.
pub fn message(event: &Event, task: &Task) -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("trace_id", json!(event.trace)),
        ("media_id", json!(task.media)),
        ("attachment_url", json!(task.url)),
        ("blob_path", json!(task.path)),
        ("status_subtype", json!(event.subtype)),
        ("file_type", json!(task.file_type)),
        ("assignment_id", json!(task.assignment)),
        ("original_timestamp", json!(iso(event.at))),
        ("event_type", json!("xact")),
        ("event_subtype", json!(event.subtype)),
    ])
}
