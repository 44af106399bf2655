//! A record as bytes: `time i64 | key length i32, -1 without | headers u16 | (name length u16, name, value length u32,
//! value)* | key | payload`, little-endian. One copy on the way in, one on the way out: key, values and payload of a
//! message are slices of the same buffer.

use std::sync::Arc;

use bytes::{Buf, Bytes};

use crate::clock::Micros;
use crate::log::{Headers, Message, Record};
use crate::{Error, Result};

/// The longest record, so that one cannot fill the cache of the file.
const MAX_BYTES: usize = 256 << 20;

/// How many bytes `record` takes; an error when a part is longer than its length field can say.
pub(super) fn size(record: &Record) -> Result<usize> {
    let headers: usize = record.headers.iter().map(|(name, value)| 6 + name.len() + value.len()).sum();
    let size = 14 + headers + record.key.as_ref().map_or(0, Bytes::len) + record.payload.len();
    let named = record.headers.iter().all(|(name, _)| u16::try_from(name.len()).is_ok());
    if size > MAX_BYTES || !named || u16::try_from(record.headers.len()).is_err() {
        let topic = &record.topic;
        return Err(Error::permanent(format!("a record for topic {topic} is too large: {size} bytes"))
            .hint(format!("at most {MAX_BYTES} bytes, 65535 headers and 65535 bytes in a header's name")));
    }
    Ok(size)
}

/// Appends `record`; its [`size`] was asked before.
pub(super) fn encode(record: &Record, time: Micros, out: &mut Vec<u8>) {
    // `size` has refused what would be cut off here.
    out.extend_from_slice(&time.to_le_bytes());
    let key = record.key.as_ref().map_or(-1, |key| key.len() as i32);
    out.extend_from_slice(&key.to_le_bytes());
    out.extend_from_slice(&(record.headers.len() as u16).to_le_bytes());
    for (name, value) in &record.headers {
        out.extend_from_slice(&(name.len() as u16).to_le_bytes());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&(value.len() as u32).to_le_bytes());
        out.extend_from_slice(value);
    }
    if let Some(key) = &record.key {
        out.extend_from_slice(key);
    }
    out.extend_from_slice(&record.payload);
}

/// The time of an encoded record.
pub(super) fn time(bytes: &[u8]) -> Option<Micros> {
    bytes.first_chunk().map(|time| Micros::from_le_bytes(*time))
}

/// Decodes messages of one partition; names of headers are allocated once.
pub(super) struct Decoder {
    topic: Arc<str>,
    partition: i32,
    names: Vec<Arc<str>>,
}

impl Decoder {
    pub(super) fn new(topic: Arc<str>, partition: i32) -> Self {
        Decoder { topic, partition, names: Vec::new() }
    }

    /// The message at `offset`.
    pub(super) fn decode(&mut self, offset: i64, bytes: &[u8]) -> Result<Message> {
        self.parse(offset, Bytes::copy_from_slice(bytes)).ok_or_else(|| {
            let Decoder { topic, partition, .. } = self;
            Error::permanent(format!(
                "the record at offset {offset} of topic {topic}, partition {partition}, is damaged"
            ))
            .hint("restore topics.redb from a copy, or delete the topic")
        })
    }

    fn parse(&mut self, offset: i64, mut rest: Bytes) -> Option<Message> {
        let time = rest.try_get_i64_le().ok()?;
        let key = rest.try_get_i32_le().ok()?;
        let count = rest.try_get_u16_le().ok()?;
        let mut headers = Headers::with_capacity(usize::from(count));
        for _ in 0..count {
            let length = rest.try_get_u16_le().ok()?;
            let name = cut(&mut rest, usize::from(length))?;
            let length = rest.try_get_u32_le().ok()?;
            let value = cut(&mut rest, usize::try_from(length).ok()?)?;
            headers.push((self.name(std::str::from_utf8(&name).ok()?), value));
        }
        let key = match usize::try_from(key) {
            Ok(length) => Some(cut(&mut rest, length)?),
            Err(_) => None,
        };
        let topic = self.topic.clone();
        Some(Message { topic, partition: self.partition, offset, time, key, payload: rest, headers })
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.iter().find(|known| &***known == name) {
            return known.clone();
        }
        let new: Arc<str> = Arc::from(name);
        // Names come from a short list; a topic where each message has its own is not worth searching.
        if self.names.len() < 16 {
            self.names.push(new.clone());
        }
        new
    }
}

fn cut(rest: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= rest.len()).then(|| rest.split_to(length))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(
            key in prop::option::of(bytes()),
            payload in bytes(),
            headers in prop::collection::vec(("[a-zé]{0,8}", bytes()), 0..4),
            time in any::<i64>(),
            cut in 0usize..200,
        ) {
            let headers: Headers = headers.into_iter().map(|(name, value)| (Arc::from(name), value)).collect();
            let record = Record { topic: "t".into(), key, payload, headers };
            let mut out = Vec::new();
            encode(&record, time, &mut out);
            prop_assert_eq!(out.len(), size(&record).unwrap());
            prop_assert_eq!(super::time(&out), Some(time));
            let mut decoder = Decoder::new("t".into(), 3);
            let message = decoder.decode(7, &out).unwrap();
            prop_assert_eq!((message.offset, message.partition, message.time), (7, 3, time));
            prop_assert_eq!(message.key, record.key);
            prop_assert_eq!(message.payload, record.payload);
            prop_assert_eq!(message.headers, record.headers);
            // Damage is an error or another message, never a panic.
            let _ = decoder.decode(7, &out[..cut.min(out.len())]);
        }
    }
}
