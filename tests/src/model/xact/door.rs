//! Which messages are events, and the row of `xact_events` that each is.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::{Uuid, uuid};

pub use crate::model::Dead;
use crate::model::coerce::{self, at, date, iso, redact};
use crate::model::expect::Cell;

/// The namespace of event ids.
const NAMESPACE: Uuid = uuid!("b8ec3745-17c7-5a5a-afbd-9b81a1a71824");

/// The columns that are a path of `data`.
const COLUMNS: [(&str, &str); 20] = [
    ("description", "description"),
    ("assignment_id", "assignmentId"),
    ("original_assignment_id", "originalAssignmentId"),
    ("xn_address", "xnAddress"),
    ("carrier_id", "carrierId"),
    ("estimate_version", "estimateVersion"),
    ("note", "note"),
    ("author", "author"),
    ("sender_reviewer_name", "senderReviewerName"),
    ("sender_reviewer_email", "senderReviewerEmail"),
    ("carrier_reviewer_name", "carrierReviewerName"),
    ("carrier_reviewer_email", "carrierReviewerEmail"),
    ("event_datetime_mdt", "dateTime"),
    ("claim_number", "adm.coverageLoss.claimNumber"),
    ("contact_type", "contact.type"),
    ("contact_name", "contact.name"),
    ("contact_phone_type", "contact.contactMethods.phone.type"),
    ("contact_phone_number", "contact.contactMethods.phone.number"),
    ("contact_phone_extension", "contact.contactMethods.phone.extension"),
    ("contact_email_address", "contact.contactMethods.email.address"),
];

/// A well-formed event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Derived from the trace id.
    pub id: String,
    /// The trace id of the source.
    pub trace: String,
    /// Its dotted type.
    pub kind: String,
    /// What stands behind the last dot of the type.
    pub subtype: String,
    /// Its version, 1 where there is none.
    pub version: String,
    /// `utcDateTime`, in microseconds since 1970.
    pub at: i64,
    /// The object in `data`; null where it is none.
    pub data: Value,
    /// The whole message.
    pub raw: Value,
}

/// The event a message holds. A text is the payload as it was sent.
pub fn event(message: &Value) -> Result<Event, Dead> {
    let raw = match message {
        Value::String(payload) => serde_json::from_str::<Value>(payload).map_err(|_| Dead::NotAnObject)?,
        message => message.clone(),
    };
    if !raw.is_object() {
        return Err(Dead::NotAnObject);
    }
    let word = |name: &str| coerce::text(&raw[name]).as_str().map(str::to_owned);
    let kind = word("type").ok_or(Dead::Missing("type"))?;
    let trace = word("traceId").or_else(|| word("trace_id")).ok_or(Dead::Missing("traceId"))?;
    let at = match &raw["utcDateTime"] {
        Value::String(text) if !text.trim().is_empty() => coerce::instant(text).ok_or(Dead::Wrong("utcDateTime"))?,
        Value::Null | Value::String(_) => return Err(Dead::Missing("utcDateTime")),
        _ => return Err(Dead::Wrong("utcDateTime")),
    };
    let data = match &raw["data"] {
        Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        data => data.clone(),
    };
    Ok(Event {
        id: coerce::uuid5(NAMESPACE, &trace),
        subtype: kind.rsplit('.').next().unwrap_or_default().to_owned(),
        version: version(&raw["version"]),
        data: if data.is_object() { data } else { Value::Null },
        kind,
        trace,
        at,
        raw,
    })
}

/// Integers in their plain text, other text as it is, and 1 for what says nothing.
fn version(value: &Value) -> String {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => format!("{float:.0}"),
            _ => number.to_string(),
        },
        Value::String(text) if text.trim().is_empty() => "1".to_owned(),
        Value::String(text) if text.trim().bytes().all(|byte| byte.is_ascii_digit()) => {
            let plain = text.trim().trim_start_matches('0');
            if plain.is_empty() { "0".to_owned() } else { plain.to_owned() }
        }
        Value::String(text) => text.clone(),
        _ => "1".to_owned(),
    }
}

/// What a text column holds: text as it is, the rest as its JSON text.
fn text(value: &Value) -> Cell {
    match value {
        Value::Array(_) | Value::Object(_) => Cell::Json(value.clone()),
        Value::Null => Cell::Is(Value::Null),
        Value::String(_) => Cell::Is(value.clone()),
        other => Cell::Is(json!(other.to_string())),
    }
}

/// A value in which every link is as it may be stored.
fn redacted(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(links_redacted(text)),
        Value::Array(list) => list.iter().map(redacted).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), redacted(value))).collect(),
        other => other.clone(),
    }
}

/// A text in which every link is as it may be stored: a link ends where text goes on that is none.
fn links_redacted(text: &str) -> String {
    let Some((head, tail)) = text.split_once("://") else { return text.to_owned() };
    let end = tail.find(|c: char| c.is_whitespace() || "\"'<>\\".contains(c)).unwrap_or(tail.len());
    let link = redact(&format!("https://{}", &tail[..end]));
    format!("{head}{}{}", link.trim_start_matches("https"), links_redacted(&tail[end..]))
}

impl Event {
    /// The links of its attachments, as they came: texts that are not blank.
    pub fn links(&self) -> Vec<&str> {
        let list = self.data["attachments"].as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(Value::as_str).filter(|link| !link.trim().is_empty()).collect()
    }

    /// The row of `xact_events`.
    pub fn cells(&self) -> BTreeMap<&'static str, Cell> {
        let is = |value: &str| Cell::Is(json!(value));
        let links: Vec<String> = self.links().into_iter().map(redact).collect();
        let mut cells = BTreeMap::from([
            ("type", is(&self.kind)),
            ("status_subtype", is(&self.subtype)),
            ("version", is(&self.version)),
            ("ingested_at", is(&iso(self.at))),
            ("event_date", is(&date(self.at))),
            ("trace_id", is(&self.trace)),
            ("attachments", if links.is_empty() { Cell::Is(Value::Null) } else { is(&links.join(",")) }),
            ("raw_json", Cell::Json(redacted(&self.raw))),
            ("created_at", Cell::NotNull),
            ("created_date", Cell::NotNull),
        ]);
        cells.extend(COLUMNS.map(|(column, path)| (column, text(at(&self.data, path)))));
        cells
    }
}
