//! Records and the positions they came from, in one transaction.
//!
//! A transaction is opened, filled and committed in one call, never left open across a wait for new data. The group's
//! metadata goes with it, so a member that was thrown out of its group is refused. An earlier process with the same id
//! is fenced when this one starts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::KafkaError;
use rdkafka::producer::{Producer as _, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use super::health::Health;
use super::producer::{Batch, Context, enqueue};
use super::{Options, error};
use crate::log::{Position, Record};
use crate::{Error, Result};

/// A transactional producer.
pub(super) struct Transactions {
    options: Options,
    health: Arc<Health>,
    id: String,
    /// Made when it is first used, which fences the predecessor; made anew after an error that it does not survive.
    client: Mutex<Option<ThreadedProducer<Context>>>,
}

impl Transactions {
    pub(super) fn new(options: &Options, health: Arc<Health>, id: String) -> Self {
        Transactions { options: options.clone(), health, id, client: Mutex::new(None) }
    }

    fn create(&self) -> Result<ThreadedProducer<Context>> {
        let mut config = self.options.producer();
        config.set("transactional.id", &self.id);
        // A record may not outlive its transaction.
        config.set("transaction.timeout.ms", self.options.delivery_timeout.as_millis().to_string());
        let what = format!("starting transactions as {}", self.id);
        let context = Context { health: self.health.clone() };
        let client: ThreadedProducer<Context> =
            config.create_with_context(context).map_err(|e| error::of(&what, &e))?;
        client.init_transactions(self.options.request_timeout).map_err(|e| error::of(&what, &e))?;
        Ok(client)
    }

    /// Does all of it or nothing. Blocks.
    pub(super) fn commit(&self, records: &[Record], position: &Position, group: &ConsumerGroupMetadata) -> Result<()> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let producer = match client.take() {
            Some(producer) => producer,
            None => self.create()?,
        };
        let timeout = self.options.delivery_timeout;
        let result = run(&producer, records, position, group, timeout);
        match &result {
            Ok(()) => *client = Some(producer),
            // After an abort that worked the producer is as good as new; after any other error a new one is made.
            Err(_) if producer.client().fatal_error().is_none() && producer.abort_transaction(timeout).is_ok() => {
                *client = Some(producer);
            }
            Err(error) => tracing::warn!(id = self.id, %error, "the transactional producer is replaced"),
        }
        result
    }
}

fn run(
    producer: &ThreadedProducer<Context>,
    records: &[Record],
    position: &Position,
    group: &ConsumerGroupMetadata,
    timeout: Duration,
) -> Result<()> {
    let failed = |error: KafkaError| Error { category: category(&error), ..error::of("the transaction", &error) };
    producer.begin_transaction().map_err(failed)?;
    let batch = Batch::new();
    for record in records {
        while !enqueue(producer, record, &batch)? {
            producer.flush(timeout).map_err(failed)?;
        }
    }
    producer.flush(timeout).map_err(failed)?;
    if let Some(failure) = batch.failure() {
        return Err(failure);
    }
    let mut list = TopicPartitionList::with_capacity(position.len());
    for ((topic, partition), offset) in position {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).map_err(failed)?;
    }
    if list.count() > 0 {
        producer.send_offsets_to_transaction(&list, group, timeout).map_err(failed)?;
    }
    producer.commit_transaction(timeout).map_err(failed)
}

/// A fenced producer has a successor: nothing that this process does can help.
fn category(error: &KafkaError) -> crate::Category {
    use rdkafka::error::RDKafkaErrorCode as Code;
    match error {
        KafkaError::Transaction(e)
            if matches!(e.code(), Code::Fenced | Code::ProducerFenced | Code::FencedInstanceId) =>
        {
            crate::Category::Permanent
        }
        KafkaError::Transaction(e) => error::category(e.code()),
        _ => error.rdkafka_error_code().map_or(crate::Category::Transient, error::category),
    }
}
