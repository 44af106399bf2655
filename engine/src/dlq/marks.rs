//! What was done with letters: the records of the topic `DEAD_LETTER.handled`.
//!
//! One partition, so that the records have an order; the last of a letter holds. The key is `partition/offset` of the letter, so a
//! compacted topic keeps what is needed. A mark is always younger than its letter: with the same retention it outlives
//! it. Once the letters that the first marks speak of are deleted, so are those marks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use connectors::Result;
use connectors::clock::Micros;
use connectors::log::{Log, Message, Record, TopicSpec};
use serde::{Deserialize, Serialize};

/// Marks that are read at once.
const BATCH: usize = 1000;

/// How far the clocks of two machines may differ, in microseconds.
const SKEW: Micros = 60_000_000;

/// What was done with a letter. Instants are microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It was written to its flow's topic again.
    Replayed {
        /// How often, counted from the message's first replay.
        times: u32,
        /// When.
        at: Micros,
    },
    /// It is gone, or will be when those before it are.
    Purged {
        /// When.
        at: Micros,
    },
}

/// A letter's place: partition and offset.
pub(super) type At = (i32, i64);

/// All marks of a dead letter topic.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    known: BTreeMap<At, Mark>,
}

fn topic(dead_letter: &str) -> String {
    format!("{dead_letter}.handled")
}

fn at(message: &Message) -> Option<At> {
    let (partition, offset) = std::str::from_utf8(message.key.as_deref()?).ok()?.split_once('/')?;
    Some((partition.parse().ok()?, offset.parse().ok()?))
}

/// Every record of the topic of marks, in order: its place there and what it says. A topic that is not there holds none.
async fn records(log: &dyn Log, dead_letter: &str) -> Result<Vec<(At, Message)>> {
    let topic = topic(dead_letter);
    let mut found = Vec::new();
    for bounds in log.bounds(&topic).await? {
        let mut next = bounds.low;
        while next < bounds.high {
            let read = log.read(&topic, bounds.partition, next, BATCH).await?;
            let Some(last) = read.last() else { break };
            next = last.offset + 1;
            found.extend(read.into_iter().map(|message| ((message.partition, message.offset), message)));
        }
    }
    Ok(found)
}

impl Marks {
    /// The marks of `dead_letter`.
    pub async fn load(log: &dyn Log, dead_letter: &str) -> Result<Self> {
        let read = |(_, message): (At, Message)| Some((at(&message)?, serde_json::from_slice(&message.payload).ok()?));
        Ok(Marks { known: records(log, dead_letter).await?.into_iter().filter_map(read).collect() })
    }

    /// What was done with a letter.
    pub fn of(&self, message: &Message) -> Option<Mark> {
        let mark = self.known.get(&(message.partition, message.offset)).copied()?;
        let (Mark::Replayed { at, .. } | Mark::Purged { at }) = mark;
        // A mark that is older than the letter speaks of one in a topic that was made anew.
        (at.saturating_add(SKEW) >= message.time).then_some(mark)
    }

    /// Makes sure that marks can be written.
    pub(super) async fn prepare(log: &dyn Log, dead_letter: &str) -> Result<()> {
        let needed = [TopicSpec { name: topic(dead_letter), partitions: 1 }];
        let made = log.create(&needed).await;
        made.map_err(|e| {
            let name = topic(dead_letter);
            e.hint(format!("what is done with letters is noted in {name}: create it, with one partition"))
        })
    }

    /// Writes marks; they are durable when this returns.
    pub(super) async fn write(log: &dyn Log, dead_letter: &str, marks: &[(At, Mark)]) -> Result<()> {
        let topic: Arc<str> = topic(dead_letter).into();
        let record = |((partition, offset), mark): &(At, Mark)| Record {
            topic: topic.clone(),
            key: Some(Bytes::from(format!("{partition}/{offset}"))),
            payload: serde_json::to_vec(mark).unwrap_or_default().into(),
            headers: Vec::new(),
        };
        log.producer().await?.send(marks.iter().map(record).collect()).await
    }

    /// Deletes the first marks as long as nobody needs them: their letters are gone, or a later mark speaks of the same one.
    pub(super) async fn sweep(log: &dyn Log, dead_letter: &str) -> Result<()> {
        let lows: BTreeMap<i32, i64> = log.bounds(dead_letter).await?.iter().map(|b| (b.partition, b.low)).collect();
        let records = records(log, dead_letter).await?;
        let last: BTreeMap<At, At> = records.iter().filter_map(|(place, m)| Some((at(m)?, *place))).collect();
        let mut free: BTreeMap<i32, i64> = BTreeMap::new();
        let mut held: BTreeSet<i32> = BTreeSet::new();
        for ((partition, offset), message) in &records {
            let needed = at(message).is_some_and(|letter| {
                lows.get(&letter.0).is_none_or(|low| letter.1 >= *low)
                    && last.get(&letter) == Some(&(*partition, *offset))
            });
            if needed {
                held.insert(*partition);
            } else if !held.contains(partition) {
                free.insert(*partition, offset + 1);
            }
        }
        for (partition, before) in free {
            log.trim(&topic(dead_letter), partition, before).await?;
        }
        Ok(())
    }
}
