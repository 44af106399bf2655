//! A consumer that is always served: a thread polls its main queue (rebalances, errors, the group's liveness), while
//! messages wait in a queue for each partition until somebody takes them.
//!
//! A partition's queue is split off *before* the partition is assigned: librdkafka leaves a queue that the application
//! has taken alone when fetching starts, so no message can slip into the main queue first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::statistics::Statistics;
use rdkafka::{ClientContext, TopicPartitionList};
use tokio::sync::Notify;

use super::breaker::Breaker;
use super::health::Health;
use super::{Options, context, error};
use crate::clock::Clock;
use crate::log::{Gate, Message, Partition, Polled};
use crate::{Category, Error, Result};

/// How long the serving thread sleeps at most before it looks whether it is to end.
const SERVE: Duration = Duration::from_millis(100);

/// A consumer and the thread that serves it.
pub(super) struct Member {
    pub(super) consumer: Arc<BaseConsumer<Context>>,
    pub(super) shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

/// What the thread, the rebalance callback and the source share.
pub(super) struct Shared {
    group: String,
    brokers: String,
    health: Arc<Health>,
    delayed: BTreeSet<String>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Something to look at: messages, a rebalance, an error.
    pub(super) changed: Arc<Notify>,
    /// Held while positions are committed and while partitions are taken away, so that no commit names a partition that
    /// was lost meanwhile.
    pub(super) commits: Mutex<()>,
}

struct State {
    lanes: BTreeMap<Partition, Lane>,
    assigned: Vec<Partition>,
    revoked: Vec<Partition>,
    breaker: Breaker,
    failure: Option<Error>,
    closing: bool,
    /// Which lane is drained first; moves on, so that a busy partition starves no other.
    turn: usize,
}

struct Lane {
    queue: PartitionQueue<Context>,
    delayed: bool,
    /// What comes before the queue: the head that the gate refuses.
    pending: VecDeque<Message>,
}

/// The context of a member.
pub(super) struct Context {
    shared: Arc<Shared>,
    /// Needed to split queues off; weak, for the consumer owns this context.
    consumer: OnceLock<Weak<BaseConsumer<Context>>>,
}

impl Member {
    /// Joins `group` to read `topics`, of which `delayed` are gated.
    pub(super) fn join(
        options: &Options,
        clock: Arc<dyn Clock>,
        health: Arc<Health>,
        group: &str,
        topics: &BTreeSet<String>,
        delayed: BTreeSet<String>,
    ) -> Result<Self> {
        let cooldown = clock.scaled(options.breaker_cooldown);
        let shared = Arc::new(Shared {
            group: group.to_string(),
            brokers: options.brokers.clone(),
            health,
            delayed,
            clock,
            state: Mutex::new(State {
                lanes: BTreeMap::new(),
                assigned: Vec::new(),
                revoked: Vec::new(),
                breaker: Breaker::new(options.breaker_failures, cooldown),
                failure: None,
                closing: false,
                turn: 0,
            }),
            changed: Arc::default(),
            commits: Mutex::default(),
        });
        let what = format!("joining group {group}");
        let context = Context { shared: shared.clone(), consumer: OnceLock::new() };
        let consumer: BaseConsumer<Context> =
            options.consumer(group).create_with_context(context).map_err(|e| error::of(&what, &e))?;
        let consumer = Arc::new(consumer);
        let _ = consumer.context().consumer.set(Arc::downgrade(&consumer));
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(|e| error::of(&what, &e))?;
        let thread = std::thread::Builder::new()
            .name("kafka-member".into())
            .spawn({
                let (consumer, shared) = (consumer.clone(), shared.clone());
                move || serve(&consumer, &shared)
            })
            .map_err(|e| Error::transient(format!("{what} failed: no thread to serve it: {e}")))?;
        Ok(Member { consumer, shared, thread })
    }

    /// Leaves the group. Blocks until the coordinator knows, or cannot be told.
    pub(super) fn leave(self) {
        let lanes = {
            let mut state = self.shared.state();
            state.closing = true;
            std::mem::take(&mut state.lanes)
        };
        // The queues hold the consumer: it goes when they and the thread have gone.
        drop(lanes);
        let _ = self.thread.join();
    }
}

/// Polls the main queue until the member leaves.
fn serve(consumer: &BaseConsumer<Context>, shared: &Shared) {
    while !shared.state().closing {
        match consumer.poll(SERVE) {
            None => {}
            Some(Ok(stray)) => shared.stray(&stray),
            Some(Err(error)) => shared.failed(&error),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message in the main queue. It should not be there; if it is, it comes before those of its partition's queue.
    fn stray(&self, read: &BorrowedMessage<'_>) {
        let mut state = self.state();
        let lane = state.lanes.iter_mut().find(|((topic, p), _)| **topic == *read.topic() && *p == read.partition());
        if let Some((partition, lane)) = lane {
            lane.pending.push_back(message(read, &partition.0));
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// An error of the consumer.
    fn failed(&self, error: &KafkaError) {
        let mut state = self.state();
        self.note(&mut state, error);
        drop(state);
        self.changed.notify_waiters();
    }

    fn note(&self, state: &mut State, error: &KafkaError) {
        let Shared { group, brokers, .. } = self;
        let what = format!("reading as group {group} from Kafka at {brokers}");
        let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
        match error.rdkafka_error_code() {
            Some(code) if !fatal && error::is_connection(code) => {
                if state.breaker.fail(self.clock.now()) {
                    self.health.lost(code);
                }
            }
            Some(code) if error::category(code) == Category::Auth => state.failure = Some(error::coded(&what, code)),
            // Topics may come later; the group takes them up by itself.
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                tracing::warn!(group, brokers, "a topic of the subscription does not exist");
            }
            _ if fatal => state.failure = Some(error::of(&what, error).hint("restart the flow")),
            _ => tracing::info!(group, brokers, %error, "the consumer reports an error that it mends by itself"),
        }
    }

    /// A broker did what it was asked for.
    pub(super) fn succeeded(&self) {
        self.health.answered();
        self.state().breaker.succeed();
    }

    /// The partitions that this member owns.
    pub(super) fn owned(&self) -> BTreeSet<Partition> {
        self.state().lanes.keys().cloned().collect()
    }

    /// Whether a head waits for its gate.
    pub(super) fn is_holding(&self) -> bool {
        self.state().lanes.values().any(|lane| !lane.pending.is_empty())
    }

    /// Takes what is there; none when there is nothing to tell.
    pub(super) fn take(&self, gate: &Gate, max_messages: usize, max_bytes: usize) -> Result<Option<Polled>> {
        let mut state = self.state();
        if let Some(failure) = state.failure.take() {
            return Err(failure);
        }
        let resting = state.breaker.is_open(self.clock.now());
        let mut errors = Vec::new();
        let messages = match resting {
            true => Vec::new(),
            false => state.drain(gate, max_messages, max_bytes, &mut errors),
        };
        if !messages.is_empty() {
            state.breaker.succeed();
        }
        for error in &errors {
            self.note(&mut state, error);
        }
        let (assigned, revoked) = (std::mem::take(&mut state.assigned), std::mem::take(&mut state.revoked));
        let nothing = messages.is_empty() && assigned.is_empty() && revoked.is_empty();
        Ok((!nothing).then_some(Polled { messages, assigned, revoked }))
    }

    fn assign(&self, consumer: &Arc<BaseConsumer<Context>>, partitions: Vec<(String, i32)>) {
        let mut state = self.state();
        if state.closing {
            return;
        }
        self.health.answered();
        state.breaker.succeed();
        let mut names: BTreeSet<Arc<str>> = state.lanes.keys().map(|(topic, _)| topic.clone()).collect();
        for (topic, partition) in partitions {
            let Some(mut queue) = consumer.split_partition_queue(&topic, partition) else {
                tracing::error!(topic, partition, "the partition has no queue");
                continue;
            };
            let changed = self.changed.clone();
            queue.set_nonempty_callback(move || changed.notify_waiters());
            let name = names.get(&*topic).cloned().unwrap_or_else(|| Arc::from(&*topic));
            names.insert(name.clone());
            let delayed = self.delayed.contains(&topic);
            state.assigned.push((name.clone(), partition));
            state.lanes.insert((name, partition), Lane { queue, delayed, pending: VecDeque::new() });
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn revoke(&self, partitions: Vec<(String, i32)>) {
        let commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.state();
        for (topic, partition) in partitions {
            let partition = (Arc::from(topic), partition);
            if state.lanes.remove(&partition).is_some() {
                // What was given and taken between two polls was never there.
                let State { assigned, revoked, .. } = &mut *state;
                match assigned.iter().position(|known| *known == partition) {
                    Some(index) => drop(assigned.remove(index)),
                    None => revoked.push(partition),
                }
            }
        }
        drop((state, commits));
        self.changed.notify_waiters();
    }
}

impl State {
    fn drain(
        &mut self,
        gate: &Gate,
        max_messages: usize,
        max_bytes: usize,
        errors: &mut Vec<KafkaError>,
    ) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut bytes = 0;
        let lanes = self.lanes.len();
        let first = self.turn.checked_rem(lanes).unwrap_or(0);
        self.turn = self.turn.wrapping_add(1);
        let mut order: Vec<(&Partition, &mut Lane)> = self.lanes.iter_mut().collect();
        order.rotate_left(first);
        for ((topic, _), lane) in order {
            loop {
                if messages.len() >= max_messages || (bytes >= max_bytes && !messages.is_empty()) {
                    return messages;
                }
                let next = match lane.pending.pop_front() {
                    Some(message) => message,
                    None => match lane.queue.poll(Duration::ZERO) {
                        None => break,
                        Some(Ok(read)) => message(&read, topic),
                        Some(Err(error)) => {
                            errors.push(error);
                            break;
                        }
                    },
                };
                if lane.delayed && !gate(&next) {
                    lane.pending.push_front(next);
                    break;
                }
                bytes += next.size();
                messages.push(next);
            }
        }
        messages
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<(String, i32)> {
    list.elements().iter().map(|element| (element.topic().to_string(), element.partition())).collect()
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                if let Some(consumer) = self.consumer.get().and_then(Weak::upgrade) {
                    self.shared.assign(&consumer, partitions(list));
                }
            }
            Rebalance::Revoke(list) => self.shared.revoke(partitions(list)),
            Rebalance::Error(error) => self.shared.failed(error),
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        context::log(level, facility, line);
    }

    /// An outage ends when a broker is connected again, also while there is nothing to read.
    fn stats(&self, statistics: Statistics) {
        if statistics.brokers.values().any(|broker| broker.state == "UP") {
            self.shared.health.answered();
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The same error comes out of the poll that serves the queue, where it is counted.
        tracing::debug!(target: "kafka", %error, reason, "librdkafka reports an error");
    }
}

/// Copies a message out of librdkafka; `topic` is the shared spelling of its topic.
pub(super) fn message(read: &BorrowedMessage<'_>, topic: &Arc<str>) -> Message {
    let headers = read.headers().map_or_else(Vec::new, |headers| {
        let copy = |value: Option<&[u8]>| value.map_or_else(Bytes::new, Bytes::copy_from_slice);
        headers.iter().map(|header| (Arc::from(header.key), copy(header.value))).collect()
    });
    Message {
        topic: topic.clone(),
        partition: read.partition(),
        offset: read.offset(),
        time: read.timestamp().to_millis().map_or(0, |ms| ms.saturating_mul(1000)),
        key: read.key().map(Bytes::copy_from_slice),
        payload: read.payload().map_or_else(Bytes::new, Bytes::copy_from_slice),
        headers,
    }
}
