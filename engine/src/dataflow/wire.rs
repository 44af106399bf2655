//! The values on the edges of a flow, and how they cross from one worker to another.

use std::sync::Arc;

use bytes::Bytes;
use connectors::log::Message;
use connectors::table::Cell;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::expr::{Bindings, json};
use crate::stage::{Document, Failure, Meta, Usage};

/// A message that the source delivered, with its identity in this flow.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The message.
    pub message: Arc<Message>,
    /// Its identity.
    pub meta: Arc<Meta>,
}

/// A message as the ledger holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Held {
    /// The message, for a retry or the dead letters.
    pub delivered: Delivered,
    /// Its document, if it could be read.
    pub document: Option<Document>,
}

/// What a stage tells the ledger about the message with this id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Note {
    /// It failed.
    Failed(u64, Failure),
    /// It was left out on purpose.
    Skipped(u64, Arc<str>),
    /// It cost something.
    Used(u64, Usage),
}

impl Note {
    /// The message it is about.
    pub fn id(&self) -> u64 {
        match self {
            Note::Failed(id, _) | Note::Skipped(id, _) | Note::Used(id, _) => *id,
        }
    }
}

/// The cells of a row's key.
pub type Key = Vec<Cell>;

type MessageParts = (Arc<str>, i32, i64, i64, Option<Vec<u8>>, Vec<u8>, Vec<(Arc<str>, Vec<u8>)>);

impl Serialize for Delivered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let m = &self.message;
        let headers: Vec<(&Arc<str>, &[u8])> = m.headers.iter().map(|(n, v)| (n, &v[..])).collect();
        let parts = (&m.topic, m.partition, m.offset, m.time, m.key.as_deref(), &m.payload[..], headers);
        (parts, &self.meta).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Delivered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (parts, meta): (MessageParts, Arc<Meta>) = Deserialize::deserialize(deserializer)?;
        let (topic, partition, offset, time, key, payload, headers) = parts;
        let message = Message {
            topic,
            partition,
            offset,
            time,
            key: key.map(Bytes::from),
            payload: payload.into(),
            headers: headers.into_iter().map(|(n, v)| (n, v.into())).collect(),
        };
        Ok(Delivered { message: Arc::new(message), meta })
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bindings: Vec<(&str, String)> = self.bindings.iter().map(|(n, v)| (&**n, v.to_string())).collect();
        (&self.meta, bindings, self.produced, self.element).serialize(serializer)
    }
}

type Parts = (Arc<Meta>, Vec<(String, String)>, bool, u64);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (meta, pairs, produced, element): Parts = Deserialize::deserialize(deserializer)?;
        let mut bindings = Bindings::default();
        for (name, text) in pairs {
            let value =
                json::parse(text.as_bytes()).map_err(|e| serde::de::Error::custom(format_args!("not JSON: {e}")))?;
            bindings.set(Arc::from(name), value);
        }
        Ok(Document { meta, bindings, produced, element })
    }
}
