//! Writing: all records of a call are handed to librdkafka at once and awaited together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::statistics::Statistics;
use tokio::sync::Notify;

use super::health::Health;
use super::{Options, context, error};
use crate::log::{self, Headers, Record};
use crate::{Category, Error, Result};

/// How long to wait for room in librdkafka's queue before trying again.
const FULL: Duration = Duration::from_millis(10);

/// Writes records; idempotent, acknowledged by all in-sync replicas.
pub(super) struct Producer {
    options: Arc<Options>,
    health: Arc<Health>,
    /// Replaced after a fatal error, which librdkafka does not recover from.
    client: Mutex<Arc<ThreadedProducer<Context>>>,
}

/// What is awaited of one call: one allocation for all its records.
pub(super) struct Batch {
    /// Records under way, and one for the call while it still adds some.
    left: AtomicUsize,
    failure: Mutex<Option<Error>>,
    done: Notify,
}

impl Batch {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Batch { left: AtomicUsize::new(1), failure: Mutex::default(), done: Notify::new() })
    }

    fn finish(&self, failure: Option<Error>) {
        if let Some(failure) = failure {
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_one();
        }
    }

    pub(super) fn failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The context of producers.
pub(super) struct Context {
    pub(super) health: Arc<Health>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        context::log(level, facility, line);
    }

    fn stats(&self, _: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        // What is not written in time fails its batch, which is told.
        tracing::debug!(target: "kafka", %error, reason, "the producer reports an error");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Arc<Batch>;

    fn delivery(&self, result: &DeliveryResult<'_>, batch: Arc<Batch>) {
        use rdkafka::message::Message as _;
        let failure = result.as_ref().err().map(|(error, message)| {
            let size = message.payload_len() + message.key_len();
            refused(message.topic(), size, error)
        });
        if failure.is_none() {
            self.health.answered();
        }
        batch.finish(failure);
    }
}

/// A record of `topic` was not written.
fn refused(topic: &str, size: usize, error: &KafkaError) -> Error {
    let too_large = matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge)
    );
    if too_large {
        return Error::new(Category::Permanent, format!("a message of {size} bytes is too large for topic {topic}"))
            .hint("raise message.max.bytes of the producer and max.message.bytes of the topic, or send less");
    }
    error::of(&format!("writing to topic {topic}"), error)
}

/// Hands one record to `client`; gives the batch back when its queue is full.
pub(super) fn enqueue(client: &ThreadedProducer<Context>, record: &Record, batch: &Arc<Batch>) -> Result<bool> {
    let mut message =
        BaseRecord::<[u8], [u8], Arc<Batch>>::with_opaque_to(&record.topic, batch.clone()).payload(&record.payload);
    if let Some(key) = &record.key {
        message = message.key(key);
    }
    if !record.headers.is_empty() {
        message = message.headers(headers(&record.headers));
    }
    batch.left.fetch_add(1, Ordering::AcqRel);
    let Err((error, _)) = client.send(message) else { return Ok(true) };
    batch.left.fetch_sub(1, Ordering::AcqRel);
    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) {
        return Ok(false);
    }
    let size = record.payload.len() + record.key.as_ref().map_or(0, bytes::Bytes::len);
    Err(refused(&record.topic, size, &error))
}

fn headers(headers: &Headers) -> OwnedHeaders {
    headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |all, (name, value)| {
        all.insert(Header { key: name, value: Some(&value[..]) })
    })
}

fn create(options: &Options, health: &Arc<Health>) -> Result<Arc<ThreadedProducer<Context>>> {
    let client = options.producer().create_with_context(Context { health: health.clone() });
    Ok(Arc::new(client.map_err(|e| error::of("setting up the Kafka producer", &e))?))
}

impl Producer {
    pub(super) fn new(options: Arc<Options>, health: Arc<Health>) -> Result<Self> {
        let client = Mutex::new(create(&options, &health)?);
        Ok(Producer { options, health, client })
    }

    /// The client; a new one when the old one has met its end.
    fn client(&self) -> Result<Arc<ThreadedProducer<Context>>> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((code, reason)) = client.client().fatal_error() {
            tracing::warn!(%code, reason, "the producer met a fatal error and is replaced");
            *client = create(&self.options, &self.health)?;
        }
        Ok(client.clone())
    }
}

#[async_trait]
impl log::Producer for Producer {
    async fn send(&self, records: Vec<Record>) -> Result<()> {
        let client = self.client()?;
        let batch = Batch::new();
        for record in &records {
            while !enqueue(&client, record, &batch)? {
                tokio::time::sleep(FULL).await;
            }
        }
        batch.finish(None);
        // Only the last one to finish notifies, and it leaves a permit: there is nothing to miss.
        batch.done.notified().await;
        batch.failure().map_or(Ok(()), Err)
    }
}
