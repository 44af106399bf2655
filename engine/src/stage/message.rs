//! The first thing that happens to a message: its payload becomes JSON, its declared fields become `event`.
//!
//! A payload that is not JSON, a required field that is missing and a value that does not fit its type are permanent
//! failures that name the field, the rule's place and what was found.

use std::sync::Arc;

use connectors::Category;
use connectors::log::Message;
use sonic_rs::Object;

use super::{Document, Failure, Meta, Origin};
use crate::expr::fields::{self, Fields, Unread};
use crate::expr::{Env, Json, time};
use crate::plan::{Field, Place};

/// Names of the headers that the engine writes.
pub mod header {
    /// How often the message has failed: 1 after the first failure.
    pub const ATTEMPT: &str = "attempt";
    /// How often it was, or is about to be, tried again: of a message that waits the same number, of a dead one one less.
    pub const RETRY_COUNT: &str = "retry_count";
    /// The category of the last failure.
    pub const CATEGORY: &str = "error_category";
    /// What the last failure was.
    pub const ERROR: &str = "error";
    /// Where it happened.
    pub const STAGE: &str = "stage";
    /// The place of the rule that failed.
    pub const PLACE: &str = "place";
    /// Where the message was first read: `topic/partition/offset`.
    pub const ORIGIN: &str = "origin";
    /// When it first failed, as ISO text.
    pub const FIRST_FAILURE: &str = "first_failure";
    /// When it is tried again, in microseconds since 1970.
    pub const DUE: &str = "due";
    /// Follows a message through topics.
    pub const TRACE: &str = "trace";
    /// The consumer group that gave a message up, and that it is replayed for: others read the same topic.
    pub const GROUP: &str = "consumer_group";
    /// How a dead message failed on every attempt, a line each.
    pub const HISTORY: &str = "history";
    /// Set on a message that was replayed from the dead letters.
    pub const REPLAYED: &str = "replayed";
    /// The same, as other tools for dead letters write it.
    pub const REPLAYED_FROM_DLQ: &str = "replayed_from_dlq";
}

/// Reads the messages of one source.
pub struct Reader {
    fields: Fields,
    /// Where each of them is declared.
    places: Vec<Place>,
    source: Arc<str>,
    place: Place,
    keep: Keep,
}

/// Which bindings somebody reads. What nobody reads is not made, or not kept: a message waits for its outcome with what it
/// holds.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Whether `source` is read anywhere.
    pub source: bool,
    /// Whether `raw` is read behind the source.
    pub raw: bool,
}

/// What a message's headers say of it. Only a message of a retry topic is believed what it says of earlier tries: anybody may
/// write to the others.
pub fn meta(message: &Message, is_retry: bool, id: u64, entered: i64) -> Meta {
    let here = Origin { topic: message.topic.clone(), partition: message.partition, offset: message.offset };
    let ours = |name: &str| is_retry.then(|| message.header(name)).flatten();
    let origin = ours(header::ORIGIN).and_then(parse_origin).unwrap_or_else(|| here.clone());
    let attempt = ours(header::ATTEMPT).and_then(|a| a.parse().ok()).unwrap_or(0);
    let replayed = [header::REPLAYED, header::REPLAYED_FROM_DLQ].iter().any(|name| message.header(name).is_some());
    Meta { id, origin, here, attempt, replayed, entered }
}

/// The group that `message` was replayed for, if it is another one than `group`: its own flow takes it, and nobody else. A message of
/// a retry topic is always the flow's own.
pub fn replayed_for(message: &Message, is_retry: bool, group: &str) -> Option<String> {
    message.header(header::REPLAYED).filter(|_| !is_retry)?;
    message.header(header::GROUP).filter(|meant| *meant != group && !meant.is_empty()).map(str::to_owned)
}

fn parse_origin(text: &str) -> Option<Origin> {
    let mut parts = text.rsplitn(3, '/');
    let offset = parts.next()?.parse().ok()?;
    let partition = parts.next()?.parse().ok()?;
    Some(Origin { topic: Arc::from(parts.next()?), partition, offset })
}

impl Reader {
    /// A reader of messages with `fields`.
    pub fn new(fields: &[Field], place: Place, keep: Keep) -> Self {
        let places = fields.iter().map(|field| field.place.clone()).collect();
        let fields = fields.iter().map(|field| fields::Field {
            name: field.name.clone(),
            expr: field.expr.clone(),
            kind: field.kind,
            required: field.required,
        });
        let fields = Fields::new(fields.collect(), "event".into(), "raw".into());
        Reader { fields, places, source: "source".into(), place, keep }
    }

    /// The document of `message`.
    pub fn read(&self, message: &Message, meta: Arc<Meta>, env: &Env) -> Result<Document, Failure> {
        let source = self.keep.source.then(|| (self.source.clone(), source_json(message, &meta)));
        let bindings = self.fields.read(&message.payload, source, self.keep.raw, env);
        let bindings = bindings.map_err(|unread| self.refuse(unread, message))?;
        Ok(Document { meta, bindings, produced: true, element: 0 })
    }

    #[cold]
    fn refuse(&self, unread: Unread, message: &Message) -> Failure {
        let field = |index: usize| (self.places.get(index).unwrap_or(&self.place), self.fields.name(index));
        let (place, text) = match unread {
            Unread::NotJson(error) => {
                let at = format!("{}/{} offset {}", message.topic, message.partition, message.offset);
                (&self.place, format!("not JSON: {error}, in {at}"))
            }
            Unread::NotAnObject => (&self.place, "not a JSON object".to_owned()),
            Unread::Eval(index, error) => {
                let (place, name) = field(index);
                (place, format!("{name}: {error}"))
            }
            Unread::Mismatch(index, error) => {
                let (place, name) = field(index);
                (place, format!("field `{name}`: {error}"))
            }
            Unread::Missing(index) => {
                let (place, name) = field(index);
                (place, format!("field `{name}` is required and missing or blank"))
            }
        };
        Failure::new(Category::Permanent, text, &self.source, place)
    }
}

/// What `source` is bound to.
pub fn source_json(message: &Message, meta: &Meta) -> Json {
    let mut source = Object::with_capacity(8);
    source.insert("topic", Json::from(&*message.topic));
    source.insert("partition", Json::from(message.partition));
    source.insert("offset", Json::from(message.offset));
    source.insert("time", Json::from(time::format_timestamp(message.time).as_str()));
    let key = message.key.as_ref().map(|k| String::from_utf8_lossy(k).into_owned());
    source.insert("key", key.map_or_else(Json::new, |k| Json::from(k.as_str())));
    source.insert("attempt", Json::from(meta.attempt));
    let mut headers = Object::with_capacity(message.headers.len());
    for (name, value) in &message.headers {
        headers.insert(&**name, Json::from(&*String::from_utf8_lossy(value)));
    }
    source.insert("headers", headers.into_value());
    let mut origin = Object::with_capacity(3);
    origin.insert("topic", Json::from(&*meta.origin.topic));
    origin.insert("partition", Json::from(meta.origin.partition));
    origin.insert("offset", Json::from(meta.origin.offset));
    source.insert("origin", origin.into_value());
    source.into_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_is_taken_by_the_group_that_gave_it_up() {
        let message = |headers: &[(&str, &str)]| Message {
            topic: "orders".into(),
            partition: 0,
            offset: 0,
            time: 0,
            key: None,
            payload: Vec::new().into(),
            headers: headers.iter().map(|(n, v)| ((*n).into(), (*v).to_owned().into())).collect(),
        };
        let (replayed, group) = ((header::REPLAYED, "1 2026 dead/0/0"), |name| (header::GROUP, name));
        let none: &[(&str, &str)] = &[];
        let cases = [
            (none, false, false),
            (&[replayed, group("ours")], false, false),
            (&[replayed, group("theirs")], false, true),
            // What an older version wrote, what nobody replayed, and what this flow itself tries again.
            (&[replayed], false, false),
            (&[group("theirs")], false, false),
            (&[replayed, group("theirs")], true, false),
        ];
        for (headers, is_retry, other) in cases {
            assert_eq!(replayed_for(&message(headers), is_retry, "ours").is_some(), other, "{headers:?}");
        }
    }
}
