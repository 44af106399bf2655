//! Which messages are events: what the ingester lets in, and what of it.

use serde_json::Value;

pub use crate::model::Dead;
use crate::model::coerce;

/// A well-formed event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The source's id, or the derived one.
    pub id: String,
    /// Its type, known or not.
    pub kind: String,
    /// The project it is about.
    pub project: String,
    /// When the source took it in, in microseconds since 1970.
    pub at: i64,
    /// Ids and name, where it has them.
    pub media: Option<String>,
    /// The task assignment.
    pub task: Option<String>,
    /// The video collaboration.
    pub video: Option<String>,
    /// The master file name.
    pub mfn: Option<String>,
}

/// The event a message holds. A text is the payload as it was sent.
pub fn event(message: &Value) -> Result<Event, Dead> {
    let parsed;
    let message = match message {
        Value::String(payload) => {
            parsed = serde_json::from_str::<Value>(payload).map_err(|_| Dead::NotAnObject)?;
            &parsed
        }
        message => message,
    };
    if !message.is_object() {
        return Err(Dead::NotAnObject);
    }
    let field = |name: &'static str, aliases: &[&str], coerce: fn(&Value) -> Value| {
        let value = aliases.iter().map(|alias| coerce::at(message, alias)).find(|value| !coerce::text(value).is_null());
        match value {
            Some(Value::Array(_) | Value::Object(_) | Value::Bool(_)) => Err(Dead::Wrong(name)),
            Some(value) => Ok(coerce(value).as_str().map(str::to_owned)),
            None => Ok(None),
        }
    };
    let kind = field("event_type", &["event_type", "eventType"], coerce::id)?.ok_or(Dead::Missing("event_type"))?;
    let project = field("project_id", &["project_id", "projectId"], coerce::id)?.ok_or(Dead::Missing("project_id"))?;
    let times = ["ingested_at", "ingestion_time", "IngestionTime"];
    let time = times.iter().map(|name| coerce::at(message, name)).find(|value| !coerce::text(value).is_null());
    let at = match time {
        None => return Err(Dead::Missing("ingested_at")),
        Some(Value::String(text)) => coerce::instant(text).ok_or(Dead::Wrong("ingested_at"))?,
        Some(_) => return Err(Dead::Wrong("ingested_at")),
    };
    let media = field("media_id", &["media_id", "mediaId"], coerce::id)?;
    let task = field("task_assignment_id", &["task_assignment_id", "taskAssignmentId"], coerce::id)?;
    let video = field("video_collaboration_id", &["video_collaboration_id", "videoCollaborationId"], coerce::id)?;
    let names = ["master_file_name", "masterFileName"];
    let mfn = names.iter().map(|name| coerce::text(coerce::at(message, name))).find(|name| !name.is_null());
    let mfn = mfn.and_then(|name| name.as_str().map(str::to_owned));
    let source_id = field("event_id", &["event_id", "eventId"], coerce::id)?;
    let mut key = format!("{project}|{kind}|{}", coerce::iso(at));
    for (name, value) in [("media", &media), ("task", &task), ("video", &video)] {
        if let Some(value) = value {
            key.push_str(&format!("|{name}:{value}"));
        }
    }
    let id = source_id.unwrap_or_else(|| coerce::uuid5(super::NAMESPACE, &key));
    Ok(Event { id, kind, project, at, media, task, video, mfn })
}
