//! The cluster: connecting to it, its topics, and reading outside groups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::context::{Context, Troubles};
use super::health::Health;
use super::member::message;
use super::producer::Producer;
use super::source::Source;
use super::{Options, error};
use crate::clock::Clock;
use crate::log::{self, Bounds, Message, Subscription, TopicSpec};
use crate::{Category, Error, Result};

/// One try of the first contact; between tries its errors are looked at.
const CONTACT: Duration = Duration::from_millis(500);

/// The pause before a topic without a leader is asked for again.
const SETTLING: Duration = Duration::from_millis(100);

/// A Kafka cluster.
pub struct Log {
    options: Arc<Options>,
    clock: Arc<dyn Clock>,
    client: Arc<BaseConsumer<Context>>,
    /// By group a client that asks for its position: finding a coordinator takes long, and a group is asked about each of its
    /// topics. As many as the process asks about.
    groups: Arc<Mutex<BTreeMap<String, Arc<BaseConsumer<Context>>>>>,
    health: Arc<Health>,
    /// One for all writers: a producer batches across them.
    producer: Mutex<Option<Arc<Producer>>>,
}

impl Log {
    /// Connects and asks for the topics once, so that a wrong address or password is said now and not by the first flow.
    pub async fn connect(options: Options, clock: Arc<dyn Clock>) -> Result<Self> {
        options.check()?;
        let options = Arc::new(options);
        let client: BaseConsumer<Context> = options
            .client()
            .create_with_context(Context::default())
            .map_err(|e| error::of("setting up the Kafka client", &e))?;
        let client = Arc::new(client);
        blocking({
            let (client, options) = (client.clone(), options.clone());
            move || contact(&client, &options)
        })
        .await?;
        let health = Arc::new(Health::new(&options.brokers));
        Ok(Log { options, clock, client, groups: Arc::default(), health, producer: Mutex::new(None) })
    }

    /// A client that changes topics. It is made for each change, of which there are few.
    fn admin(&self) -> Result<AdminClient<Context>> {
        let made = self.options.client().create_with_context(Context::default());
        made.map_err(|e| error::of("setting up the Kafka client", &e))
    }

    /// Runs `work` on a thread that may block, with the client and the time it has.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&BaseConsumer<Context>, Duration) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (client, timeout, health) = (self.client.clone(), self.options.request_timeout, self.health.clone());
        blocking(move || {
            serve(&client);
            work(&client, timeout).inspect(|_| health.answered())
        })
        .await
    }
}

/// Runs `work` on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::transient(format!("work on Kafka was given up: {error}"))),
    }
}

/// Lets the client pass on its log lines and errors. It belongs to no group: there are never messages.
fn serve(client: &BaseConsumer<Context>) {
    for _ in 0..32 {
        let _ = client.poll(Duration::ZERO);
    }
}

/// The first contact.
fn contact(client: &BaseConsumer<Context>, options: &Options) -> Result<()> {
    let deadline = Instant::now() + options.connect_timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = client.fetch_metadata(None, left.min(CONTACT));
        serve(client);
        let Err(failure) = answer else { return Ok(()) };
        let troubles = client.context().troubles();
        let hopeless = match &troubles.cause {
            Some((code, _)) if error::category(*code) == Category::Auth => true,
            Some((RDKafkaErrorCode::Resolve | RDKafkaErrorCode::SSL, _)) => troubles.all_down,
            _ => false,
        };
        if hopeless || left.is_zero() {
            return Err(unreachable(&options.brokers, &troubles, &failure));
        }
        // The failure may have come at once: give the connections time to change their state.
        let _ = client.poll(Duration::from_millis(50));
    }
}

fn unreachable(brokers: &str, troubles: &Troubles, failure: &KafkaError) -> Error {
    let what = format!("connecting to Kafka at {brokers}");
    match &troubles.cause {
        Some((code, reason)) => {
            let mut error = error::coded(&what, *code);
            error.message = format!("{what} failed: {}", plain(reason));
            // A broker hangs up on whoever speaks another protocol, without a word.
            let silent = *code == RDKafkaErrorCode::AllBrokersDown;
            if silent { error.hint("check the security protocol, and that the brokers run") } else { error }
        }
        None => error::of(&what, failure).hint("check that the brokers run and that this machine reaches their ports"),
    }
}

/// A reason of librdkafka without the name of its connection before it and the state of that behind it.
fn plain(reason: &str) -> &str {
    let reason = reason.split(" (after ").next().unwrap_or(reason);
    match reason.split_once(": ") {
        Some((connection, rest)) if connection.contains('/') => rest,
        _ => reason,
    }
}

/// The names of all topics.
fn names(client: &BaseConsumer<Context>, timeout: Duration) -> Result<BTreeSet<String>> {
    let metadata = client.fetch_metadata(None, timeout).map_err(|e| error::of("listing the topics", &e))?;
    let topics = metadata.topics().iter().filter(|topic| topic.error().is_none() && !topic.partitions().is_empty());
    Ok(topics.map(|topic| topic.name().to_string()).collect())
}

fn bounds(client: &BaseConsumer<Context>, topic: &str, timeout: Duration) -> Result<Vec<Bounds>> {
    let what = format!("reading the bounds of topic {topic}");
    let metadata = client.fetch_metadata(Some(topic), timeout).map_err(|e| error::of(&what, &e))?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(Vec::new()) };
    match found.error().map(RDKafkaErrorCode::from) {
        None => {}
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => return Ok(Vec::new()),
        // A topic that is there but cannot be described is not an empty one.
        Some(code) => return Err(error::coded(&what, code)),
    }
    let mut partitions: Vec<i32> = found.partitions().iter().map(|partition| partition.id()).collect();
    partitions.sort_unstable();
    let bounds = partitions.into_iter().map(|partition| {
        let (low, high) = client.fetch_watermarks(topic, partition, timeout).map_err(|e| error::of(&what, &e))?;
        Ok(Bounds { partition, low, high })
    });
    bounds.collect()
}

#[async_trait]
impl log::Log for Log {
    async fn missing(&self, topics: &[TopicSpec]) -> Result<Vec<String>> {
        let there = self.ask(names).await?;
        Ok(topics.iter().map(|topic| &topic.name).filter(|name| !there.contains(*name)).cloned().collect())
    }

    async fn create(&self, topics: &[TopicSpec]) -> Result<()> {
        let missing = self.missing(topics).await?;
        let missing: Vec<&TopicSpec> = topics.iter().filter(|topic| missing.contains(&topic.name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let admin = self.admin()?;
        let new = missing.iter().map(|topic| {
            let partitions = if topic.partitions > 0 { topic.partitions } else { self.options.partitions };
            NewTopic::new(&topic.name, partitions, TopicReplication::Fixed(self.options.replication))
        });
        let new: Vec<NewTopic<'_>> = new.collect();
        let timeout = self.options.request_timeout;
        let wishes = AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
        let results = admin.create_topics(&new, &wishes).await.map_err(|e| error::of("creating topics", &e))?;
        for result in results {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => return Err(error::coded(&format!("creating topic {name}"), code)),
            }
        }
        // A topic is there for everybody only when its leaders are known; until then a producer would have to wait.
        let deadline = Instant::now() + timeout;
        while !self.missing(topics).await?.is_empty() {
            if Instant::now() > deadline {
                return Err(Error::transient("topics were created but the brokers do not show them yet"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn topics(&self) -> Result<Vec<String>> {
        Ok(self.ask(names).await?.into_iter().collect())
    }

    async fn bounds(&self, topic: &str) -> Result<Vec<Bounds>> {
        // A topic that was made a moment ago, or whose broker has just come back, has no leader yet: that passes. The brokers'
        // time is not scaled.
        let deadline = Instant::now() + self.options.request_timeout;
        loop {
            let wanted = topic.to_string();
            match self.ask(move |client, timeout| bounds(client, &wanted, timeout)).await {
                Err(error) if error.category == Category::Transient && Instant::now() < deadline => {
                    tokio::time::sleep(SETTLING).await;
                }
                result => return result,
            }
        }
    }

    async fn read(&self, topic: &str, partition: i32, offset: i64, max: usize) -> Result<Vec<Message>> {
        let (options, topic) = (self.options.clone(), topic.to_string());
        self.ask(move |client, timeout| {
            let all = bounds(client, &topic, timeout)?;
            let Some(bounds) = all.into_iter().find(|bounds| bounds.partition == partition) else {
                return Ok(Vec::new());
            };
            read(&options, &topic, bounds, offset.max(bounds.low), max)
        })
        .await
    }

    async fn position(&self, group: &str, topic: &str) -> Result<BTreeMap<i32, i64>> {
        let (options, groups) = (self.options.clone(), self.groups.clone());
        let (group, topic) = (group.to_string(), topic.to_string());
        self.ask(move |client, timeout| {
            let partitions: Vec<i32> = bounds(client, &topic, timeout)?.iter().map(|bounds| bounds.partition).collect();
            let what = format!("reading the position of group {group} on topic {topic}");
            let consumer = asker(&options, &groups, &group).map_err(|e| error::of(&what, &e))?;
            serve(&consumer);
            let mut list = TopicPartitionList::with_capacity(partitions.len());
            for partition in partitions {
                list.add_partition(&topic, partition);
            }
            let position = committed(&consumer, list, timeout).map_err(|e| error::of(&what, &e))?;
            Ok(position.into_iter().map(|(_, partition, offset)| (partition, offset)).collect())
        })
        .await
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn log::Source>> {
        Ok(Box::new(Source::join(&self.options, self.clock.clone(), self.health.clone(), subscription)?))
    }

    async fn producer(&self) -> Result<Arc<dyn log::Producer>> {
        let mut producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = &*producer {
            return Ok(producer.clone());
        }
        let new = Arc::new(Producer::new(self.options.clone(), self.health.clone())?);
        *producer = Some(new.clone());
        Ok(new)
    }

    async fn trim(&self, topic: &str, partition: i32, before: i64) -> Result<()> {
        let what = format!("deleting the messages of topic {topic}, partition {partition}, before offset {before}");
        let admin = self.admin()?;
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(topic, partition, Offset::Offset(before)).map_err(|e| error::of(&what, &e))?;
        let timeout = self.options.request_timeout;
        let wishes = AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
        let done = admin.delete_records(&list, &wishes).await.map_err(|e| error::of(&what, &e))?;
        for element in done.elements() {
            element.error().map_err(|e| error::of(&what, &e))?;
        }
        Ok(())
    }

    fn trouble(&self) -> Option<String> {
        self.health.trouble()
    }
}

/// The client that asks about `group`, made when it is asked about for the first time.
fn asker(
    options: &Options,
    groups: &Mutex<BTreeMap<String, Arc<BaseConsumer<Context>>>>,
    group: &str,
) -> Result<Arc<BaseConsumer<Context>>, KafkaError> {
    let mut groups = groups.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(consumer) = groups.get(group) {
        return Ok(consumer.clone());
    }
    let consumer: BaseConsumer<Context> = options.consumer(group).create_with_context(Context::default())?;
    Ok(groups.entry(group.to_owned()).or_insert(Arc::new(consumer)).clone())
}

/// The committed offsets of `list`, copied out of it: a list that is alive when its consumer is dropped blocks the drop
/// for ever.
pub(super) fn committed<C: rdkafka::consumer::ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: TopicPartitionList,
    timeout: Duration,
) -> Result<Vec<(String, i32, i64)>, KafkaError> {
    let list = consumer.committed_offsets(list, timeout)?;
    let mut offsets = Vec::with_capacity(list.count());
    for element in list.elements() {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            offsets.push((element.topic().to_string(), element.partition(), offset));
        }
    }
    Ok(offsets)
}

/// Reads one partition from `offset` up to the end that `bounds` says.
fn read(options: &Options, topic: &str, bounds: Bounds, offset: i64, max: usize) -> Result<Vec<Message>> {
    let mut messages = Vec::new();
    if offset >= bounds.high || max == 0 {
        return Ok(messages);
    }
    let Bounds { partition, high, .. } = bounds;
    let what = format!("reading topic {topic}, partition {partition}, from offset {offset}");
    let failed = |error: &KafkaError| error::of(&what, error);
    let name: Arc<str> = Arc::from(topic);
    let consumer: BaseConsumer<Context> = options
        .reader(&format!("{}-reader", options.client_id))
        .create_with_context(Context::default())
        .map_err(|e| failed(&e))?;
    {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).map_err(|e| failed(&e))?;
        consumer.assign(&list).map_err(|e| failed(&e))?;
    }
    let deadline = Instant::now() + options.request_timeout;
    while messages.len() < max {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        match consumer.poll(left.min(CONTACT)) {
            None => {}
            Some(Ok(read)) => {
                let message = message(&read, &name);
                let last = message.offset + 1 >= high;
                messages.push(message);
                if last {
                    return Ok(messages);
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(messages),
            Some(Err(e)) if e.rdkafka_error_code().is_some_and(error::is_connection) => {}
            Some(Err(e)) => return Err(failed(&e)),
        }
    }
    match messages.is_empty() {
        true => Err(error::coded(&what, RDKafkaErrorCode::OperationTimedOut)),
        false => Ok(messages),
    }
}
