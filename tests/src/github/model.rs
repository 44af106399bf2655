//! What the four tables must hold, computed from the account of a run by no code of the engine's.
//!
//! Which of several events of one repository caused the call is not told, nor which of two events of one second won: such a
//! cell is a set of values. Clocks need only be there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::model::account::Account;
use crate::model::coerce::{at, date, flag, id, instant, int, iso, objects, text};
use crate::model::expect::{Cell, Row, Table};

/// The topic that events come in by.
pub const EVENTS: &str = "github.events";

/// A well-formed event.
pub struct Event {
    /// Its id.
    pub id: String,
    /// When it happened, in microseconds since 1970.
    pub at: i64,
    /// The id of the repository.
    pub repo: i64,
    /// The whole message.
    pub value: Value,
}

/// The event a message holds, or the field that keeps it from being one; no field where it is no object.
pub fn event(message: &Value) -> Result<Event, Option<&'static str>> {
    let parsed;
    let message = match message {
        Value::String(payload) => {
            parsed = serde_json::from_str::<Value>(payload).map_err(|_| None)?;
            &parsed
        }
        message => message,
    };
    if !message.is_object() {
        return Err(None);
    }
    let scalar = |value: &Value| value.is_string() || value.is_number();
    let id = Some(&message["id"]).filter(|value| scalar(value)).map(id).and_then(|id| id.as_str().map(str::to_owned));
    let id = id.ok_or(Some("id"))?;
    text(&message["type"]).as_str().ok_or(Some("type"))?;
    let at = message["created_at"].as_str().and_then(instant).ok_or(Some("created_at"))?;
    int(&message["actor"]["id"]).as_i64().ok_or(Some("actor_id"))?;
    let repo = int(&message["repo"]["id"]).as_i64().ok_or(Some("repo_id"))?;
    text(&message["repo"]["name"]).as_str().ok_or(Some("repo_name"))?;
    let mut value = message.clone();
    if let Some(payload) = message["payload"].as_str().and_then(|text| serde_json::from_str(text).ok()) {
        value["payload"] = payload;
    }
    Ok(Event { id, at, repo, value })
}

/// The tables by name: events, actors, repositories, assets.
pub fn expect(account: &Account) -> BTreeMap<&'static str, Table> {
    let mut events: BTreeMap<String, Event> = BTreeMap::new();
    for message in account.emitted.iter().filter(|message| message.topic == EVENTS) {
        if let Ok(event) = event(&message.value) {
            // The first of an id counts, whatever comes after it.
            events.entry(event.id.clone()).or_insert(event);
        }
    }
    let events: Vec<&Event> = events.values().collect();
    let table = |name, key, rows| (name, Table { name, key, rows });
    [
        table("github_events", &["event_id"] as &[_], events.iter().map(|event| log(event)).collect()),
        table("github_actors", &["actor_id"], actors(&events)),
        table("github_repositories", &["repo_id"], repositories(&events, account)),
        table("github_assets", &["asset_id"], assets(&events, account)),
    ]
    .into()
}

type Rows = BTreeMap<Vec<String>, Row>;

fn row(cells: impl IntoIterator<Item = (&'static str, Cell)>) -> Row {
    Row { cells: cells.into_iter().collect(), optional: false }
}

fn log(event: &Event) -> (Vec<String>, Row) {
    let value = &event.value;
    let payload = match &value["payload"] {
        Value::Null => Value::Null,
        payload => json!(payload.to_string()),
    };
    let cells = [
        ("event_type", text(&value["type"])),
        ("actor_id", int(at(value, "actor.id"))),
        ("actor_login", text(at(value, "actor.login"))),
        ("repo_id", json!(event.repo)),
        ("repo_name", text(at(value, "repo.name"))),
        ("org_id", int(at(value, "org.id"))),
        ("org_login", text(at(value, "org.login"))),
        ("action", text(at(value, "payload.action"))),
        ("ref", text(at(value, "payload.ref"))),
        ("payload", payload),
        ("public", flag(&value["public"])),
        ("created_at", json!(iso(event.at))),
        ("event_date", json!(date(event.at))),
    ];
    let cells = cells.map(|(column, value)| (column, Cell::Is(value)));
    (vec![event.id.clone()], row(cells.into_iter().chain([("ingested_at", Cell::NotNull)])))
}

/// Groups of `members` by key, in the order of their keys.
fn grouped<T>(members: impl IntoIterator<Item = (i64, T)>) -> BTreeMap<i64, Vec<T>> {
    let mut groups: BTreeMap<i64, Vec<T>> = BTreeMap::new();
    for (key, member) in members {
        groups.entry(key).or_default().push(member);
    }
    groups
}

/// Per column the values of the newest versions.
fn newest<const N: usize>(versions: Vec<(i64, [(&'static str, Value); N])>) -> BTreeMap<&'static str, Cell> {
    let last = versions.iter().map(|(at, _)| *at).max().unwrap_or_default();
    let mut values: BTreeMap<&'static str, Vec<Value>> = BTreeMap::new();
    for (column, value) in versions.into_iter().filter(|(at, _)| *at == last).flat_map(|(_, cells)| cells) {
        values.entry(column).or_default().push(value);
    }
    values.into_iter().map(|(column, values)| (column, Cell::among(values))).collect()
}

fn actors(events: &[&Event]) -> Rows {
    let by_actor = events.iter().filter_map(|event| Some((int(at(&event.value, "actor.id")).as_i64()?, *event)));
    let mut rows = Rows::new();
    for (actor, events) in grouped(by_actor) {
        let named = events.into_iter().filter(|event| !text(at(&event.value, "actor.login")).is_null());
        let versions = named.map(|event| {
            let actor = &event.value["actor"];
            let cells = [
                ("login", text(&actor["login"])),
                ("display_login", text(&actor["display_login"])),
                ("avatar_url", text(&actor["avatar_url"])),
                ("event_id", json!(event.id)),
                ("seen_at", json!(iso(event.at))),
            ];
            (event.at, cells)
        });
        rows.insert(vec![actor.to_string()], Row { cells: newest(versions.collect()), optional: false });
    }
    rows
}

/// What the API says, column by column.
fn described(answer: &Value) -> [(&'static str, Value); 18] {
    let time = |name: &str| answer[name].as_str().and_then(instant).map_or(Value::Null, |at| json!(iso(at)));
    let topics = &answer["topics"];
    [
        ("full_name", text(&answer["full_name"])),
        ("owner_login", text(at(answer, "owner.login"))),
        ("owner_type", text(at(answer, "owner.type"))),
        ("description", text(&answer["description"])),
        ("homepage", text(&answer["homepage"])),
        ("language", text(&answer["language"])),
        ("license", text(at(answer, "license.spdx_id"))),
        ("topics", if topics.is_null() { Value::Null } else { json!(topics.to_string()) }),
        ("default_branch", text(&answer["default_branch"])),
        ("visibility", text(&answer["visibility"])),
        ("fork", flag(&answer["fork"])),
        ("archived", flag(&answer["archived"])),
        ("stars", int(&answer["stargazers_count"])),
        ("forks", int(&answer["forks_count"])),
        ("open_issues", int(&answer["open_issues_count"])),
        ("size_kb", int(&answer["size"])),
        ("created_at", time("created_at")),
        ("updated_at", time("updated_at")),
    ]
}

fn repositories(events: &[&Event], account: &Account) -> Rows {
    let asked: Vec<_> = account.answers.iter().filter(|answer| answer.whole).collect();
    let mut rows = Rows::new();
    for (repo, events) in grouped(events.iter().map(|event| (event.repo, *event))) {
        let names: BTreeSet<String> =
            events.iter().filter_map(|event| text(at(&event.value, "repo.name")).as_str().map(str::to_owned)).collect();
        let about = asked.iter().rfind(|answer| answer.status == 200 && answer.body["id"] == json!(repo));
        let gone = asked.iter().any(|answer| {
            answer.status == 404 && names.iter().any(|name| answer.path.ends_with(&format!("/repos/{name}")))
        });
        let mut cells = match about {
            Some(answer) => {
                let pushed = answer.body["pushed_at"].as_str().and_then(instant);
                let pushed = pushed.map_or(Value::Null, |at| json!(iso(at)));
                let told = described(&answer.body).into_iter().chain([("pushed_at", pushed), ("state", json!("here"))]);
                told.map(|(column, value)| (column, Cell::Is(value))).collect()
            }
            None if gone => BTreeMap::from([
                ("state", Cell::Is(json!("gone"))),
                ("full_name", Cell::among(names.into_iter().map(Value::from))),
            ]),
            None => continue,
        };
        cells.insert("event_id", Cell::among(events.iter().map(|event| json!(event.id))));
        cells.insert("asked_at", Cell::NotNull);
        rows.insert(vec![repo.to_string()], Row { cells, optional: false });
    }
    rows
}

fn assets(events: &[&Event], account: &Account) -> Rows {
    let mut rows = Rows::new();
    let published = events.iter().filter(|event| {
        event.value["type"] == "ReleaseEvent" && at(&event.value, "payload.action") == &json!("published")
    });
    let named = published.flat_map(|event| {
        let assets = objects(at(&event.value, "payload.release.assets")).into_iter();
        assets.filter_map(|asset| Some((int(&asset["id"]).as_i64()?, (*event, asset))))
    });
    for (asset, said) in grouped(named) {
        let versions = said.iter().map(|(event, asset)| {
            let release = at(&event.value, "payload.release");
            let cells = [
                ("repo_id", json!(event.repo)),
                ("repo_name", text(at(&event.value, "repo.name"))),
                ("release_id", int(&release["id"])),
                ("tag", text(&release["tag_name"])),
                ("name", text(&asset["name"])),
                ("content_type", text(&asset["content_type"])),
                ("size", int(&asset["size"])),
                ("download_count", int(&asset["download_count"])),
                ("url", text(&asset["browser_download_url"])),
                ("event_id", json!(event.id)),
                ("seen_at", json!(iso(event.at))),
            ];
            (event.at, cells)
        });
        let mut cells = newest(versions.collect());
        let place = format!("/{asset}/");
        let served = account.files.iter().filter(|file| file.whole && file.url.contains(&place));
        let paths = said.iter().map(|(event, of)| {
            let release = int(at(&event.value, "payload.release.id"));
            json!(format!("{}/{release}/{asset}_{}", event.repo, of["name"].as_str().unwrap_or_default()))
        });
        cells.insert("path", Cell::among(paths));
        cells.insert("bytes", Cell::among(served.map(|file| json!(file.bytes))));
        cells.insert("status", Cell::Is(json!("stored")));
        for column in ["sha256", "tried_at", "stored_at"] {
            cells.insert(column, Cell::NotNull);
        }
        rows.insert(vec![asset.to_string()], Row { cells, optional: false });
    }
    rows
}
