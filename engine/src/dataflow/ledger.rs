//! The ledger: which messages are open, and what each ended as.
//!
//! It holds the messages of each open epoch and a capability for it. When the frontier of all notes has passed an epoch,
//! nothing more can happen to its messages in a stage, and each gets exactly one outcome: the worst that was noted. Retries,
//! dead letters and outcome documents leave from here at the message's own epoch, so they are durable before the epoch is.
//!
//! It waits for the stages, not for the sinks: only stages can fail a message. A sink that fails stalls its flow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use connectors::Category;
use connectors::clock::Clock;
use connectors::log::{Headers, Record};
use hashbrown::HashMap;
use sonic_rs::Object;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::control::Stats;
use super::observe::Observer;
use super::visit::How;
use super::wire::{Held, Note};
use super::{Builder, Capability, Epoch, Stream};
use crate::expr::{Bindings, Json, time};
use crate::plan::{Retry, Status};
use crate::stage::message::{header, source_json};
use crate::stage::{Document, Failure, Usage};

/// The longest history that a message carries.
const HISTORY_BYTES: usize = 32 << 10;

/// What was noted of one message.
#[derive(Default)]
struct Noted {
    failure: Option<Failure>,
    skipped: Option<Arc<str>>,
    used: Usage,
}

/// A message's outcome, for the blocks that say `on`.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Outcome {
    /// What it ended as.
    pub status: u8,
    /// `event`, `source` and `outcome`.
    pub document: Document,
}

/// What the ledger's operator needs.
pub struct Book {
    /// What happens to failures.
    pub retry: Retry,
    /// The group whose messages these are; none for files.
    pub group: Option<Arc<str>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Counters.
    pub stats: Arc<Stats>,
    /// Whether any block says `on`.
    pub outcomes: bool,
    /// Hears of every outcome, for a test.
    pub observer: Option<Arc<Observer>>,
    /// Whether any expression reads `source`.
    pub source: bool,
}

/// Builds the operator: records for retry topics and dead letters, and outcomes.
pub(crate) fn ledger<'s>(
    held: Stream<'s, Held>,
    notes: Stream<'s, Note>,
    book: Book,
) -> (Stream<'s, Record>, Stream<'s, Outcome>) {
    let mut builder = OperatorBuilder::new("Ledger".to_owned(), held.scope());
    let mut held = builder.new_input(held, Pipeline);
    let mut notes = builder.new_input(notes, Exchange::new(Note::id));
    let (records, records_stream) = builder.new_output();
    let (outcomes, outcomes_stream) = builder.new_output();
    let mut records = OutputBuilder::<_, Builder<Record>>::from(records);
    let mut outcomes = OutputBuilder::<_, Builder<Outcome>>::from(outcomes);
    let ended: Arc<str> = Arc::from("outcome");
    builder.build(move |_| {
        let mut open: BTreeMap<Epoch, (Capability, Capability, Vec<Held>)> = BTreeMap::new();
        let mut noted: HashMap<u64, Noted> = HashMap::new();
        move |frontiers| {
            let (mut records, mut outcomes) = (records.activate(), outcomes.activate());
            held.for_each(|time, data| {
                let (Some(c0), Some(c1)) = (time.retain_least(0), time.retain_least(1)) else { return };
                open.entry(*c0.time()).or_insert_with(|| (c0, c1, Vec::new())).2.append(data);
            });
            notes.for_each(|_, data| {
                for note in data.drain(..) {
                    let entry = noted.entry(note.id()).or_default();
                    match note {
                        Note::Used(_, usage) => entry.used += usage,
                        Note::Skipped(_, reason) => {
                            entry.skipped.get_or_insert(reason);
                        }
                        Note::Failed(_, mut failure) => {
                            failure.category = book.retry.category(&failure.message, failure.category);
                            let worse = entry.failure.as_ref().is_none_or(|f| severity(f) < severity(&failure));
                            if worse {
                                entry.failure = Some(failure);
                            }
                        }
                    }
                }
            });
            while let Some((&epoch, _)) = open.first_key_value() {
                if frontiers.iter().any(|f| f.less_equal(&epoch)) {
                    break;
                }
                let Some((_, (c0, c1, messages))) = open.pop_first() else { break };
                let now = book.clock.now();
                for message in messages {
                    let noted = noted.remove(&message.delivered.meta.id).unwrap_or_default();
                    let (status, record) = settle(&message, &noted, &book, now);
                    count(&book.stats, status, noted.failure.as_ref());
                    if book.outcomes || book.observer.is_some() {
                        let document = outcome_document(&message, &noted, status, now, book.source);
                        if let Some(observer) = &book.observer {
                            let how = How::Ended { document: document.clone(), record: record.clone() };
                            observer.visited(&document.meta, &ended, how);
                            observer.ended(document.clone());
                        }
                        if book.outcomes {
                            outcomes.session(&c1).give(Outcome { status: status as u8, document });
                        }
                    }
                    if let Some(record) = record {
                        records.session(&c0).give(record);
                    }
                }
            }
        }
    });
    (records_stream, outcomes_stream)
}

fn severity(failure: &Failure) -> u8 {
    match failure.category {
        Category::Permanent => 2,
        _ => 1,
    }
}

fn count(stats: &Stats, status: Status, failure: Option<&Failure>) {
    let category = failure.map_or(Category::Unknown, |f| f.category);
    match status {
        Status::Done => drop(stats.done.fetch_add(1, Ordering::Relaxed)),
        Status::Skipped => drop(stats.skipped.fetch_add(1, Ordering::Relaxed)),
        Status::Retried => stats.retried.add(category),
        Status::Dead => stats.dead.add(category),
    }
    if let Some(stage) = failure.and_then(|f| stats.failures.get(&*f.stage)) {
        stage.add(category);
    }
}

/// The one outcome of a message, and the record that keeps a failed one.
fn settle(held: &Held, noted: &Noted, book: &Book, now: i64) -> (Status, Option<Record>) {
    let Some(failure) = &noted.failure else {
        return (if noted.skipped.is_some() { Status::Skipped } else { Status::Done }, None);
    };
    let meta = &held.delivered.meta;
    match failure.category.is_retryable().then(|| next_try(book, meta.attempt, failure.retry_after)).flatten() {
        Some((wait, topic)) => {
            let record = failed_record(held, failure, (topic, None), Some(now.saturating_add(wait)), now);
            (Status::Retried, Some(record))
        }
        None if book.retry.dead_letter.is_empty() => (Status::Dead, None),
        None => {
            let to = (book.retry.dead_letter.as_str(), book.group.as_deref());
            (Status::Dead, Some(failed_record(held, failure, to, None, now)))
        }
    }
}

/// How long the next try waits, and in which topic. All that waits in a topic waits equally long, so that its head is always
/// the first that is due; who asks for more patience gets the first topic that has it, or the last.
fn next_try(book: &Book, attempt: u32, asked: Option<i64>) -> Option<(i64, &str)> {
    let left = book.retry.delays.get(usize::try_from(attempt).ok()?..)?;
    let wait = |delay: &std::time::Duration| i64::try_from(book.clock.scaled(*delay).as_micros()).unwrap_or(i64::MAX);
    let patient = left.iter().find(|(delay, _)| wait(delay) >= asked.unwrap_or(0)).or(left.last());
    patient.map(|(delay, topic)| (wait(delay), topic.as_str()))
}

/// The message as it was, with headers that say what happened to it, for a topic; who gives it up says so.
fn failed_record(
    held: &Held,
    failure: &Failure,
    (topic, group): (&str, Option<&str>),
    due: Option<i64>,
    now: i64,
) -> Record {
    use header::*;
    let message = &held.delivered.message;
    let meta = &held.delivered.meta;
    let attempt = meta.attempt.saturating_add(1);
    let origin = format!("{}/{}/{}", meta.origin.topic, meta.origin.partition, meta.origin.offset);
    let first = message.header(FIRST_FAILURE).map_or_else(|| time::format_timestamp(now), str::to_owned);
    let trace = message.header(TRACE).map_or_else(|| format!("{origin}@{}", meta.entered), str::to_owned);
    let line = format!("{} {} {}: {}", time::format_timestamp(now), failure.stage, failure.category, failure.message);
    // A line is an attempt, whatever somebody's error text holds.
    let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut history = message.header(HISTORY).map_or_else(|| line.clone(), |h| format!("{h}\n{line}"));
    // Replays go on for ever; a header does not. The oldest lines leave first.
    while let Some((_, rest)) = history.split_once('\n').filter(|_| history.len() > HISTORY_BYTES) {
        history = rest.to_owned();
    }
    let mut headers: Headers = Headers::new();
    let ours = [ATTEMPT, RETRY_COUNT, CATEGORY, ERROR, STAGE, PLACE, ORIGIN, FIRST_FAILURE, DUE, TRACE, HISTORY];
    let is_ours = |name: &str| ours.contains(&name) || (group.is_some() && name == GROUP);
    headers.extend(message.headers.iter().filter(|(n, _)| !is_ours(n)).cloned());
    let mut put = |name: &str, value: String| headers.push((Arc::from(name), Bytes::from(value)));
    put(ATTEMPT, attempt.to_string());
    // A dead message is not tried again.
    put(RETRY_COUNT, if due.is_some() { attempt } else { meta.attempt }.to_string());
    put(CATEGORY, failure.category.as_str().to_owned());
    put(ERROR, failure.message.clone());
    put(STAGE, failure.stage.to_string());
    put(PLACE, failure.place.clone());
    put(ORIGIN, origin);
    put(FIRST_FAILURE, first);
    put(TRACE, trace);
    put(HISTORY, history);
    if let Some(group) = group {
        put(GROUP, group.to_owned());
    }
    if let Some(due) = due {
        put(DUE, due.to_string());
    }
    Record { topic: Arc::from(topic), key: message.key.clone(), payload: message.payload.clone(), headers }
}

/// `event`, `source` and `outcome`: what blocks with `on` can see.
fn outcome_document(held: &Held, noted: &Noted, status: Status, now: i64, with_source: bool) -> Document {
    let meta = &held.delivered.meta;
    let text = |t: &str| Json::from(t);
    let mut outcome = Object::with_capacity(9);
    outcome.insert("status", text(status.as_str()));
    outcome.insert("reason", noted.skipped.as_deref().map_or_else(Json::new, text));
    outcome.insert("attempts", Json::from(meta.attempt));
    outcome.insert("calls", Json::from(noted.used.calls));
    outcome.insert("refreshes", Json::from(noted.used.refreshes));
    outcome.insert("duration_ms", Json::from((now - meta.entered).max(0) / 1000));
    outcome.insert("at", text(&time::format_timestamp(now)));
    let error = noted.failure.as_ref().map_or_else(Json::new, |failure| {
        let mut error = Object::with_capacity(4);
        error.insert("message", text(&failure.message));
        error.insert("category", text(failure.category.as_str()));
        error.insert("stage", text(&failure.stage));
        error.insert("status", failure.status.map_or_else(Json::new, Json::from));
        error.into_value()
    });
    outcome.insert("error", error);
    let mut bindings = Bindings::default();
    let of = |name: &str| held.document.as_ref().and_then(|d| d.bindings.get(name)).cloned();
    bindings.set("event".into(), of("event").unwrap_or_default());
    bindings.set("raw".into(), of("raw").unwrap_or_default());
    if with_source {
        bindings.set("source".into(), of("source").unwrap_or_else(|| source_json(&held.delivered.message, meta)));
    }
    bindings.set("outcome".into(), outcome.into_value());
    Document { meta: meta.clone(), bindings, produced: true, element: 0 }
}
