//! From the account to the ten tables.
//!
//! An event does not say which answers it got, so the model argues by key: what a project's row holds is the newest answer
//! for that project, whoever asked. Clocks and measures need only be there. An event whose calls were both answered and
//! refused for good may have ended either way: its log row and its children are then admissible, not required.

mod answers;
pub mod door;
mod entities;
mod people;
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use uuid::{Uuid, uuid};

use self::answers::{Answers, reports};
use self::door::Event;
use crate::model::account::Account;
use crate::model::coerce::{at, date, id, int, int32, iso, list, text};
use crate::model::expect::{Cell, Cells, Expected, Versions};

/// The namespace of derived event ids and of contact ids.
const NAMESPACE: Uuid = uuid!("ad538b38-8d01-53c0-9060-bda6719a4139");

/// The ten tables and their keys.
pub const TABLES: [(&str, &[&str]); 10] = [
    ("claimx_events", &["event_id"]),
    ("claimx_event_log", &["event_id"]),
    ("claimx_projects", &["project_id"]),
    ("claimx_contacts", &["contact_id", "project_id"]),
    ("claimx_attachment_metadata", &["media_id"]),
    ("claimx_tasks", &["task_id"]),
    ("claimx_task_templates", &["template_id", "project_id"]),
    ("claimx_external_links", &["link_id"]),
    ("claimx_video_collab", &["collaboration_id"]),
    ("claimx_attachments", &["media_id"]),
];

/// Older than every answer: the version of what carries none.
const NO_VERSION: i64 = i64::MIN / 2;

/// What the model is told besides the account.
#[derive(Clone, Debug)]
pub struct Options {
    /// The topic the events came in by.
    pub topic: String,
    /// Microseconds that the clocks of asking and answering may be apart.
    pub slack: i64,
    /// Whether retries may have been used up by faults that pass.
    pub exhausted: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { topic: "claimx.events.raw".to_owned(), slack: 2_000_000, exhausted: false }
    }
}

/// What the tables must hold.
pub fn expect(account: &Account, options: &Options) -> Expected {
    let mut model = Model { account, options, expected: Expected::of(&TABLES), drafts: BTreeMap::new() };
    let mut events: BTreeMap<String, Event> = BTreeMap::new();
    for message in account.emitted.iter().filter(|message| message.topic == options.topic) {
        match door::event(&message.value) {
            Err(_) => model.expected.dead_at_the_door += 1,
            // An id seen again changes nothing.
            Ok(event) => {
                events.entry(event.id.clone()).or_insert(event);
            }
        }
    }
    let mut askers: BTreeMap<String, Vec<&Event>> = BTreeMap::new();
    for event in events.values() {
        model.raw(event);
        model.log(event);
        for owner in model.owners(event) {
            askers.entry(owner).or_default().push(event);
        }
        match event.kind.as_str() {
            "PROJECT_AUTO_XA_LINKING_UNSUCCESSFUL" => model.unlinked(event),
            "CUSTOM_TASK_ASSIGNED" | "CUSTOM_TASK_COMPLETED" => model.task(event),
            "VIDEO_COLLABORATION_INVITE_SENT" | "VIDEO_COLLABORATION_COMPLETED" => model.video(event),
            "PROJECT_FILE_ADDED" | "PROJECT_MFN_ADDED" => model.media(event),
            _ => {}
        }
    }
    for (owner, events) in &askers {
        model.project(owner, events);
    }
    model.finish()
}

/// A row while it is put together.
#[derive(Default)]
struct Draft {
    versions: Versions,
    /// Cells outside the versions.
    cells: BTreeMap<&'static str, Cell>,
    events: BTreeSet<String>,
    required: bool,
}

/// How an event may have ended.
#[derive(Clone, Copy)]
struct Fate {
    success: bool,
    dead: bool,
    faults: bool,
}

impl Fate {
    const DEAD: Fate = Fate { success: false, dead: true, faults: false };
    const SUCCESS: Fate = Fate { success: true, dead: false, faults: false };

    fn of(answers: Option<&Answers<'_>>) -> Fate {
        answers.map_or(Fate::DEAD, |answers| Fate {
            success: !answers.good.is_empty(),
            dead: answers.permanent || answers.good.is_empty(),
            faults: answers.transient,
        })
    }

    fn and(self, other: Fate) -> Fate {
        Fate {
            success: self.success && other.success,
            dead: self.dead || other.dead,
            faults: self.faults || other.faults,
        }
    }
}

type Drafts = BTreeMap<(&'static str, Vec<String>), Draft>;

struct Model<'a> {
    account: &'a Account,
    options: &'a Options,
    expected: Expected,
    drafts: Drafts,
}

impl<'a> Model<'a> {
    fn raw(&mut self, event: &Event) {
        let optional = |value: &Option<String>| Cell::Is(value.as_ref().map_or(Value::Null, |value| json!(value)));
        let cells = &mut self.expected.row("claimx_events", &[&event.id]).cells;
        cells.insert("event_type", Cell::Is(json!(event.kind)));
        cells.insert("project_id", Cell::Is(json!(event.project)));
        cells.insert("media_id", optional(&event.media));
        cells.insert("task_assignment_id", optional(&event.task));
        cells.insert("video_collaboration_id", optional(&event.video));
        cells.insert("master_file_name", optional(&event.mfn));
        cells.insert("ingested_at", Cell::Is(json!(iso(event.at))));
        cells.insert("event_date", Cell::Is(json!(date(event.at))));
        cells.insert("created_at", Cell::NotNull);
    }

    fn log(&mut self, event: &Event) {
        let fate = self.fate(event);
        let mut words = Vec::new();
        if fate.success {
            words.push(json!("success"));
        }
        if fate.dead || (self.options.exhausted && fate.faults) {
            words.push(json!("failed_permanent"));
        }
        let failed = match words.as_slice() {
            [only] if only == "success" => Cell::Is(Value::Null),
            [only] if only == "failed_permanent" => Cell::NotNull,
            _ => Cell::Any,
        };
        let cells = &mut self.expected.row("claimx_event_log", &[&event.id]).cells;
        cells.insert("event_type", Cell::Is(json!(event.kind)));
        cells.insert("project_id", Cell::Is(json!(event.project)));
        cells.insert("status", Cell::among(words));
        cells.insert("error_message", failed.clone());
        cells.insert("error_category", failed);
        cells.insert("processed_date", Cell::Is(json!(date(event.at))));
        for measure in ["api_calls", "duration_ms", "retry_count", "processed_at"] {
            cells.insert(measure, Cell::NotNull);
        }
    }

    /// How an event may have ended, by the answers to what it had to ask.
    fn fate(&self, event: &Event) -> Fate {
        let project = || Fate::of(Answers::project(self.account, &event.project).as_ref());
        match event.kind.as_str() {
            _ if names_no_medium(event) => Fate::DEAD,
            "PROJECT_AUTO_XA_LINKING_UNSUCCESSFUL" => Fate::SUCCESS,
            "PROJECT_CREATED" | "POLICYHOLDER_INVITED" | "POLICYHOLDER_JOINED" => project(),
            "VIDEO_COLLABORATION_INVITE_SENT" | "VIDEO_COLLABORATION_COMPLETED" => {
                Fate::of(Some(&Answers::report(self.account, &event.project))).and(project())
            }
            "CUSTOM_TASK_ASSIGNED" | "CUSTOM_TASK_COMPLETED" => {
                let owners = self.owners(event);
                let task = event.task.as_ref().and_then(|task| Answers::task(self.account, task));
                owners.iter().fold(Fate::of(task.as_ref()), |fate, owner| {
                    fate.and(Fate::of(Answers::project(self.account, owner).as_ref()))
                })
            }
            "PROJECT_FILE_ADDED" => match &event.media {
                None => Fate::DEAD,
                // A project that is already there is not asked for.
                Some(media) => match self.owners(event).is_empty() {
                    true => self.fate_of_medium(event, media),
                    false => project().and(self.fate_of_medium(event, media)),
                },
            },
            "PROJECT_MFN_ADDED" => match &event.media {
                None => project(),
                Some(media) => project().and(self.fate_of_medium(event, media)),
            },
            _ => Fate::DEAD,
        }
    }

    fn fate_of_medium(&self, event: &Event, media: &str) -> Fate {
        let Some(mut answers) = Answers::media(self.account, &event.project) else { return Fate::DEAD };
        answers.good.retain(|answer| entities::find(&list(&answer.body, &["data", "media"]), media).is_some());
        Fate::of(Some(&answers))
    }

    /// The projects an event asks for.
    fn owners(&self, event: &Event) -> Vec<String> {
        match event.kind.as_str() {
            _ if names_no_medium(event) => Vec::new(),
            "PROJECT_CREATED"
            | "PROJECT_MFN_ADDED"
            | "POLICYHOLDER_INVITED"
            | "POLICYHOLDER_JOINED"
            | "VIDEO_COLLABORATION_INVITE_SENT"
            | "VIDEO_COLLABORATION_COMPLETED" => vec![event.project.clone()],
            "PROJECT_FILE_ADDED" if event.media.is_some() => {
                let answers = Answers::project(self.account, &event.project).unwrap_or_default();
                let asked = !answers.good.is_empty() || answers.permanent || answers.transient;
                if asked { vec![event.project.clone()] } else { Vec::new() }
            }
            "CUSTOM_TASK_ASSIGNED" | "CUSTOM_TASK_COMPLETED" => {
                let answers =
                    event.task.as_ref().and_then(|task| Answers::task(self.account, task)).unwrap_or_default();
                let owners: BTreeSet<String> = answers.good.iter().map(|a| owner(&a.body, event)).collect();
                owners.into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether what belongs to `project` may be (first) and must be (second) written.
    fn parent(&self, event: &Event, project: &str) -> (bool, bool) {
        let Some(answers) = Answers::project(self.account, project) else { return (false, false) };
        let asked = !answers.good.is_empty() || answers.permanent || answers.transient;
        let unasked = event.kind == "PROJECT_FILE_ADDED" && !asked;
        let may = unasked || !answers.good.is_empty();
        (may, may && !answers.permanent && !(self.options.exhausted && answers.transient))
    }

    fn draft(&mut self, table: &'static str, key: &[&str], event: &Event) -> &mut Draft {
        let key = key.iter().map(|part| (*part).to_owned()).collect();
        let draft = self.drafts.entry((table, key)).or_default();
        draft.events.insert(event.id.clone());
        draft
    }

    fn add(&mut self, table: &'static str, key: &[&str], event: &Event, version: (i64, Cells), required: bool) {
        let draft = self.draft(table, key, event);
        draft.versions.0.push(version);
        draft.required |= required;
    }

    fn unlinked(&mut self, event: &Event) {
        let draft = self.draft("claimx_projects", &[&event.project], event);
        draft.required = true;
        later(draft, "xa_autolink_fail_at", event.at);
        draft.cells.insert("xa_autolink_fail", Cell::Is(json!(true)));
    }

    fn project(&mut self, owner: &str, events: &[&Event]) {
        let Some(answers) = Answers::project(self.account, owner) else { return };
        let only_created = events.iter().all(|event| event.kind == "PROJECT_CREATED");
        let some_created = events.iter().any(|event| event.kind == "PROJECT_CREATED");
        let renames: Vec<Value> = events
            .iter()
            .filter(|e| e.kind == "PROJECT_MFN_ADDED")
            .filter_map(|e| e.mfn.as_ref())
            .map(|n| json!(n))
            .collect();
        let renamed = |event: &&&Event| event.kind == "PROJECT_MFN_ADDED" && event.mfn.is_some();
        let only_renamed = events.iter().all(|event| renamed(&event));
        for answer in &answers.good {
            let project = people::project(&answer.body);
            if project.is_none() && only_created {
                continue;
            }
            for (contact, cells) in people::contacts(&answer.body) {
                let required = project.is_some() || !some_created;
                for event in events {
                    self.add("claimx_contacts", &[&contact, owner], event, (answer.at, cells.clone()), required);
                }
            }
            let (key, version, cells) = match project {
                Some(project) => {
                    let key = id(at(project, "projectId")).as_str().unwrap_or_default().to_owned();
                    (key, answer.at, people::project_cells(&answer.body, project))
                }
                None => (owner.to_owned(), NO_VERSION, Cells::new()),
            };
            for event in events.iter().filter(|event| project.is_some() || event.kind != "PROJECT_CREATED") {
                let draft = self.draft("claimx_projects", &[&key], event);
                draft.required = true;
                // A name that an event sets stands in for the API's in the row of that message alone.
                let api = cells.get("master_file_name").cloned();
                let names = renames.iter().cloned().chain(api.filter(|_| !only_renamed));
                for name in names {
                    let mut cells = cells.clone();
                    cells.insert("master_file_name", name);
                    draft.versions.0.push((version, cells));
                }
                if project.is_none() && renames.is_empty() {
                    draft.versions.0.push((version, Cells::new()));
                }
                if project.is_some() {
                    draft.cells.insert("last_enriched_at", Cell::NotNull);
                }
                match event.kind.as_str() {
                    "POLICYHOLDER_INVITED" => later(draft, "policyholder_invited_at", event.at),
                    "POLICYHOLDER_JOINED" => later(draft, "policyholder_joined_at", event.at),
                    _ => {}
                }
            }
        }
    }

    fn task(&mut self, event: &Event) {
        let Some(answers) = event.task.as_ref().and_then(|task| Answers::task(self.account, task)) else { return };
        for answer in answers.good {
            let owner = owner(&answer.body, event);
            let (may, must) = self.parent(event, &owner);
            if !may {
                continue;
            }
            let when = answer.at;
            if let Some((key, cells)) = entities::task(&answer.body, &owner) {
                self.add("claimx_tasks", &[&key.to_string()], event, (when, cells), must);
            }
            if let Some((key, cells)) = entities::template(&answer.body) {
                self.add("claimx_task_templates", &[&key.to_string(), &owner], event, (when, cells), must);
            }
            let asked = event.task.as_ref().map_or(Value::Null, |task| int(&json!(task)));
            let assignment = int(at(&answer.body, "assignmentId")).as_i64().or(asked.as_i64()).unwrap_or_default();
            if let Some((key, cells)) = entities::link(&answer.body, assignment, &owner) {
                self.add("claimx_external_links", &[&key.to_string()], event, (when, cells), must);
            }
            if let Some((email, cells)) = people::recipient(&answer.body) {
                self.recipient(event, &owner, assignment, &email, (when, cells), must);
            }
        }
    }

    /// The recipient of a link is the policyholder if the address is, in the answer that the same message got.
    fn recipient(
        &mut self,
        event: &Event,
        owner: &str,
        assignment: i64,
        email: &str,
        version: (i64, Cells),
        must: bool,
    ) {
        let answers = Answers::project(self.account, owner).unwrap_or_default();
        let policyholder: Vec<bool> = answers
            .good
            .iter()
            .map(|answer| people::project(&answer.body).map_or(Value::Null, people::email))
            .map(|holder| holder.as_str().is_some_and(|holder| holder.to_lowercase() == email.to_lowercase()))
            .collect();
        let contact = people::contact_id(email, "POLICYHOLDER");
        let when = version.0;
        if policyholder.iter().any(|same| !same) {
            let own = must && policyholder.iter().all(|same| !same);
            self.add("claimx_contacts", &[&contact, owner], event, version, own);
        }
        let draft = self.draft("claimx_contacts", &[&contact, owner], event);
        let assignment = int32(&json!(assignment));
        let mut values = match draft.cells.get("task_assignment_id") {
            Some(Cell::Is(value)) => vec![value.clone()],
            Some(Cell::OneOf(values)) => values.clone(),
            _ => Vec::new(),
        };
        if !assignment.is_null() {
            values.push(assignment);
        }
        draft.cells.insert("task_assignment_id", Cell::among(values));
        draft.cells.insert("link_enriched_at", if when == NO_VERSION { Cell::Any } else { Cell::NotNull });
    }

    fn video(&mut self, event: &Event) {
        if int(&json!(event.project)).is_null() {
            return;
        }
        for answer in Answers::report(self.account, &event.project).good {
            let found = reports(&answer.body);
            let own = found.iter().find(|report| id(at(report, "claimId")) == event.project.as_str());
            let Some(report) = own.or(found.first()) else { continue };
            if let Some((key, cells)) = entities::collaboration(report) {
                // It names no project, so it stays whatever becomes of the project's call.
                self.add("claimx_video_collab", &[&key.to_string()], event, (answer.at, cells), own.is_some());
            }
        }
    }

    fn media(&mut self, event: &Event) {
        let Some(media) = &event.media else { return };
        let (may, must) = self.parent(event, &event.project);
        let answers = Answers::media(self.account, &event.project).unwrap_or_default();
        let mut links = Vec::new();
        for answer in answers.good.iter().filter(|_| may) {
            let items = list(&answer.body, &["data", "media"]);
            let Some(item) = entities::find(&items, media) else { continue };
            // Any of these answers may be the one this event got: a later one may have served other files, or a new link.
            let version = (0, entities::media(item, &event.project));
            self.add("claimx_attachment_metadata", &[media], event, version, must && !answers.permanent);
            let Some(url) = text(at(item, "fullDownloadLink")).as_str().map(str::to_owned) else { continue };
            links.push((item, url));
        }
        // A link that has expired is asked for again: the file came by one of them, the row names the event's.
        let served: BTreeSet<i64> = self
            .account
            .files
            .iter()
            .filter(|file| file.whole && links.iter().any(|(_, url)| *url == file.url))
            .map(|file| file.bytes)
            .collect();
        for (item, url) in &links {
            for bytes in &served {
                let mut cells = entities::file(item, media, &event.project, url);
                cells.insert("bytes_downloaded", json!(bytes));
                self.add("claimx_attachments", &[media], event, (0, cells), must);
            }
        }
    }

    fn finish(mut self) -> Expected {
        for ((table, key), draft) in self.drafts {
            let key: Vec<&str> = key.iter().map(String::as_str).collect();
            let row = self.expected.row(table, &key);
            row.cells = draft.versions.cells(self.options.slack);
            row.cells.extend(draft.cells);
            let lineage = if table == "claimx_attachments" { "source_event_id" } else { "event_id" };
            row.cells.insert(lineage, Cell::among(draft.events.into_iter().map(|event| json!(event))));
            let clocks: &[&'static str] = match table {
                "claimx_projects" => &["created_at", "updated_at"],
                "claimx_contacts" => &["created_at", "updated_at", "last_enriched_at", "created_date"],
                "claimx_external_links" => &["created_at", "updated_at"],
                "claimx_attachments" => &["created_at", "updated_at", "created_date", "downloaded_at"],
                _ => &["created_at", "updated_at", "last_enriched_at"],
            };
            for clock in clocks {
                row.cells.insert(clock, Cell::NotNull);
            }
            if table == "claimx_tasks" {
                // The key under its other name.
                row.cells.insert("assignment_id", Cell::Is(key.first().map_or(Value::Null, |id| int(&json!(id)))));
            }
            if table == "claimx_attachments" {
                row.cells.entry("blob_path").or_insert(Cell::NotNull);
                // Without a word of the API or the link it is what the bytes are.
                if row.cells.get("file_type") == Some(&Cell::Is(Value::Null)) {
                    row.cells.insert("file_type", Cell::Any);
                }
            }
            row.optional = !draft.required;
        }
        self.expected
    }
}

/// The project of a task: the answer's, else the event's.
fn owner(task: &Value, event: &Event) -> String {
    id(at(task, "projectId")).as_str().unwrap_or(&event.project).to_owned()
}

/// Keeps the later of two instants in a cell.
fn later(draft: &mut Draft, column: &'static str, at: i64) {
    let text = iso(at);
    let kept = match draft.cells.get(column) {
        // Compared as instants, because texts with and without a fraction sort by their signs.
        Some(Cell::Is(Value::String(old))) if crate::model::coerce::instant(old) >= Some(at) => return,
        _ => Cell::Is(json!(text)),
    };
    draft.cells.insert(column, kept);
}

/// Whether an event asks for a medium by an id that is none: it is dead before any call.
fn names_no_medium(event: &Event) -> bool {
    let by_medium = matches!(event.kind.as_str(), "PROJECT_FILE_ADDED" | "PROJECT_MFN_ADDED");
    by_medium && event.media.as_ref().is_some_and(|media| int(&json!(media)).is_null())
}
