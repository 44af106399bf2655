//! Writing letters to their flow's topic again.

use std::sync::Arc;

use bytes::Bytes;
use connectors::clock::Micros;
use connectors::log::{Log, Message, Record};
use connectors::{Error, Result};

use super::marks::At;
use super::{Action, Filter, Home, Letter, Mark, Marks, Queue};
use crate::expr::time::format_timestamp;
use crate::stage::message::header::*;

/// Headers of a letter that do not go with it: they tell of the life that ended.
const LEFT: &[&str] = &[ATTEMPT, RETRY_COUNT, CATEGORY, ERROR, STAGE, PLACE, ORIGIN, DUE, HISTORY, REPLAYED, GROUP];

/// How letters are replayed.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Those that were replayed before, too.
    pub again: bool,
    /// Nothing is written.
    pub dry_run: bool,
    /// At most so many are written.
    pub limit: usize,
}

/// Replays the letters that `filter` takes and tells `report` of each. Returns how many were written, or would be.
pub async fn replay(
    queue: &Queue,
    log: &Arc<dyn Log>,
    filter: &Filter,
    options: Options,
    now: impl Fn() -> Micros,
    report: &mut dyn FnMut(&Letter, Action),
) -> Result<usize> {
    let marks = Marks::load(&**log, &queue.topic).await?;
    let mut scan = queue.scan(log.clone()).await?;
    let mut written = 0;
    let mut producer = None;
    while let Some(messages) = scan.next().await? {
        let mut records: Vec<Record> = Vec::new();
        let mut letters: Vec<(Letter, u32)> = Vec::new();
        let mut notes: Vec<(At, Mark)> = Vec::new();
        for letter in messages.into_iter().map(|message| queue.letter(message, &marks)) {
            let Some(home) = queue.home(&letter).filter(|_| queue.takes(&letter, filter)) else { continue };
            let before = letter.replays();
            if before > 0 && !options.again {
                report(&letter, Action::Already(before));
                continue;
            }
            if written == options.limit {
                break;
            }
            written += 1;
            let (times, at) = (letter.lives().saturating_add(before).saturating_add(1), now());
            records.push(record(&letter.message, home, times, at));
            notes.push(((letter.message.partition, letter.message.offset), Mark::Replayed { times, at }));
            letters.push((letter, times));
        }
        if !options.dry_run && !records.is_empty() {
            if producer.is_none() {
                prepare(queue, &**log).await?;
                producer = Some(log.producer().await?);
            }
            // First what replaces the letters, then the note: between the two a letter is replayed twice, never lost.
            if let Some(producer) = &producer {
                producer.send(records).await?;
            }
            Marks::write(&**log, &queue.topic, &notes).await?;
        }
        for (letter, times) in &letters {
            report(letter, Action::Replayed(*times));
        }
        if written == options.limit {
            break;
        }
    }
    Ok(written)
}

/// Nothing is written before it is known that all of it can be.
async fn prepare(queue: &Queue, log: &dyn Log) -> Result<()> {
    for home in queue.homes.iter().filter(|home| home.chosen) {
        if log.bounds(&home.topic).await?.is_empty() {
            let message = format!("topic {}, which flow {} reads, does not exist", home.topic, home.flow);
            return Err(Error::permanent(message).hint("create it, or start the flow once"));
        }
    }
    Marks::prepare(log, &queue.topic).await
}

/// The message as it was, for its flow to try from the start, with what tells that it was replayed, and for whom.
fn record(letter: &Message, home: &Home, times: u32, now: Micros) -> Record {
    let from = format!("{}/{}/{}", letter.topic, letter.partition, letter.offset);
    let mut headers: Vec<_> = letter.headers.iter().filter(|(name, _)| !LEFT.contains(&&**name)).cloned().collect();
    let mut put = |name: &str, value: String| headers.push((Arc::from(name), Bytes::from(value)));
    let at = format_timestamp(now);
    let history = letter.header(HISTORY).unwrap_or_default();
    put(HISTORY, format!("{history}\n{at} replayed from {from}").trim_start().to_owned());
    put(REPLAYED, format!("{times} {at} {from}"));
    put(GROUP, home.group.clone());
    Record { topic: home.topic.as_str().into(), key: letter.key.clone(), payload: letter.payload.clone(), headers }
}
