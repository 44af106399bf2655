//! What is asked of a log and what it answers, as JSON. Keys, payloads and headers are any bytes, so they go as base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connectors::log::{Bounds, Headers, Message, Record, TopicSpec};
use connectors::{Category, Error, Result};
use serde::{Deserialize, Serialize};

/// The longest request or answer: the longest record of the log, as base64.
pub(super) const LONGEST: usize = 400 << 20;

/// So many bytes of messages are enough for one answer; there is always at least one message.
pub(super) const ENOUGH: usize = 8 << 20;

/// A method of the log with its arguments.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ask {
    Missing(Vec<(String, i32)>),
    Create(Vec<(String, i32)>),
    Topics,
    Bounds(String),
    Read { topic: String, partition: i32, offset: i64, max: usize },
    Position { group: String, topic: String },
    Send(Vec<Sent>),
    Trim { topic: String, partition: i32, before: i64 },
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Done,
    Names(Vec<String>),
    Bounds(Vec<(i32, i64, i64)>),
    Messages(Vec<Kept>),
    Position(Vec<(i32, i64)>),
    Failed { category: Category, message: String, hint: Option<String> },
}

/// A record.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sent {
    topic: String,
    key: Option<String>,
    payload: String,
    headers: Vec<(String, String)>,
}

/// A message.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    partition: i32,
    offset: i64,
    time: i64,
    record: Sent,
}

fn encode(bytes: &Bytes) -> String {
    STANDARD.encode(bytes)
}

fn decode(text: &str) -> Result<Bytes> {
    let bytes = STANDARD.decode(text);
    bytes.map(Bytes::from).map_err(|e| Error::permanent(format!("not base64 where bytes were expected: {e}")))
}

fn encode_headers(headers: &Headers) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.to_string(), encode(value))).collect()
}

impl Sent {
    pub(super) fn of(record: &Record) -> Self {
        Sent {
            topic: record.topic.to_string(),
            key: record.key.as_ref().map(encode),
            payload: encode(&record.payload),
            headers: encode_headers(&record.headers),
        }
    }

    pub(super) fn record(self) -> Result<Record> {
        let headers = self.headers.iter().map(|(name, value)| Ok((name.as_str().into(), decode(value)?)));
        Ok(Record {
            topic: self.topic.as_str().into(),
            key: self.key.as_deref().map(decode).transpose()?,
            payload: decode(&self.payload)?,
            headers: headers.collect::<Result<Headers>>()?,
        })
    }
}

impl Kept {
    pub(super) fn of(message: &Message) -> Self {
        Kept {
            partition: message.partition,
            offset: message.offset,
            time: message.time,
            record: Sent {
                topic: message.topic.to_string(),
                key: message.key.as_ref().map(encode),
                payload: encode(&message.payload),
                headers: encode_headers(&message.headers),
            },
        }
    }

    pub(super) fn message(self) -> Result<Message> {
        let Kept { partition, offset, time, record } = self;
        let Record { topic, key, payload, headers } = record.record()?;
        Ok(Message { topic, partition, offset, time, key, payload, headers })
    }
}

pub(super) fn pairs(topics: &[TopicSpec]) -> Vec<(String, i32)> {
    topics.iter().map(|topic| (topic.name.clone(), topic.partitions)).collect()
}

pub(super) fn specs(pairs: Vec<(String, i32)>) -> Vec<TopicSpec> {
    pairs.into_iter().map(|(name, partitions)| TopicSpec { name, partitions }).collect()
}

impl Answer {
    pub(super) fn bounds(bounds: &[Bounds]) -> Self {
        Answer::Bounds(bounds.iter().map(|b| (b.partition, b.low, b.high)).collect())
    }

    pub(super) fn failed(error: Error) -> Self {
        Answer::Failed { category: error.category, message: error.message, hint: error.hint }
    }
}
