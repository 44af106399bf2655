//! Records and the positions they came from, in one transaction.
//!
//! A transaction is opened, filled and committed in one call, never left open across a wait for new data. The group's
//! metadata goes with it, so a member that was thrown out of its group is refused: its generation is over. An earlier owner
//! of the same name is fenced by the epoch of its producer, and what it left open is ended, when this one starts.
//!
//! The answer to a commit may be lost. Then nothing is written again before it is known what became of it: a new producer of
//! the name ends the transaction one way or the other, and since the positions are part of it, they say which way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{Producer as _, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use super::health::Health;
use super::producer::{Batch, Context, enqueue};
use super::{Options, error};
use crate::log::{Partition, Position, Record};
use crate::{Category, Error, Result};

/// A transactional producer.
pub(super) struct Transactions {
    options: Options,
    health: Arc<Health>,
    name: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// None after an error that it does not survive: the next one is made when it is needed.
    client: Option<ThreadedProducer<Context>>,
    /// The positions of a transaction of which nobody knows whether it was committed.
    doubt: Position,
}

/// Why a transaction was not committed.
struct Failure {
    error: Error,
    /// Whether the brokers were asked to commit it: then it may have been, all the same, unless it can be aborted.
    asked: bool,
    /// Whether it cannot even be tried to abort it.
    stuck: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure { error, asked: false, stuck: false }
    }
}

impl Transactions {
    /// Transactions under `name`. Fences who had the name before and ends what that one left open. Blocks.
    pub(super) fn start(options: &Options, health: Arc<Health>, name: String) -> Result<Self> {
        let transactions = Transactions { options: options.clone(), health, name, state: Mutex::default() };
        let client = transactions.create().map_err(|error| match error.category {
            Category::Auth => error,
            _ => error.hint("if these brokers have no transactions, say `delivery: at_least_once`"),
        })?;
        transactions.state().client = Some(client);
        Ok(transactions)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn create(&self) -> Result<ThreadedProducer<Context>> {
        let timeout = self.timeout();
        let ms = |duration: Duration| duration.as_millis().to_string();
        let mut config = self.options.producer();
        config.set("transactional.id", &self.name);
        config.set("transaction.timeout.ms", ms(timeout));
        // A record may not outlive its transaction, and a request not outlast it.
        config.set("delivery.timeout.ms", ms(timeout));
        config.set("socket.timeout.ms", ms(self.options.request_timeout.min(timeout)));
        let what = format!("starting transactions as {}", self.name);
        let failed = |error: KafkaError| Error { category: category(&error), ..error::of(&what, &error) };
        let client: ThreadedProducer<Context> =
            config.create_with_context(Context { health: self.health.clone() }).map_err(failed)?;
        client.init_transactions(self.options.request_timeout).map_err(failed)?;
        Ok(client)
    }

    /// How long a transaction may be open: what the connection's producer says, else the default.
    fn timeout(&self) -> Duration {
        let said = self.options.producer.get("transaction.timeout.ms").and_then(|ms| ms.parse().ok());
        said.map_or(self.options.transaction_timeout, Duration::from_millis)
    }

    /// Partitions that are not ours any more: whatever became of a transaction, it is no more ours to find out.
    pub(super) fn forget(&self, partitions: &[Partition]) {
        self.state().doubt.retain(|partition, _| !partitions.contains(partition));
    }

    /// Does all of it or nothing. `committed` asks for the group's positions on the partitions that it is given. Blocks.
    pub(super) fn commit(
        &self,
        records: &[Record],
        position: &Position,
        group: &ConsumerGroupMetadata,
        committed: impl FnOnce(&Position) -> Result<Position>,
    ) -> Result<()> {
        let mut state = self.state();
        if !state.doubt.is_empty() {
            state.client = None;
            state.client = Some(self.create()?);
            let found = committed(&state.doubt)?;
            let doubt = std::mem::take(&mut state.doubt);
            let landed = doubt.iter().all(|(partition, offset)| found.get(partition) == Some(offset));
            tracing::info!(name = self.name, landed, "what became of a transaction is known");
            if landed {
                return Ok(());
            }
        }
        let producer = match state.client.take() {
            Some(producer) => producer,
            None => self.create()?,
        };
        let timeout = self.timeout() / 2;
        let Err(Failure { error, asked, stuck }) = run(&producer, records, position, group, timeout) else {
            state.client = Some(producer);
            return Ok(());
        };
        // After an abort that worked the producer is as good as new, and the transaction is no more. After any other error a
        // new one is made, which ends it: nobody knows how, if it was asked to be committed.
        let hopeless = stuck || producer.client().fatal_error().is_some();
        if !hopeless && producer.abort_transaction(timeout).is_ok() {
            state.client = Some(producer);
        } else if asked {
            tracing::warn!(name = self.name, %error, "whether a transaction was committed is not known yet");
            state.doubt = position.clone();
        } else {
            tracing::warn!(name = self.name, %error, "the transactional producer is replaced");
        }
        Err(error)
    }
}

fn run(
    producer: &ThreadedProducer<Context>,
    records: &[Record],
    position: &Position,
    group: &ConsumerGroupMetadata,
    timeout: Duration,
) -> Result<(), Failure> {
    producer.begin_transaction().map_err(|e| failed(&e))?;
    let batch = Batch::new();
    for record in records {
        while !enqueue(producer, record, &batch)? {
            producer.flush(timeout).map_err(|e| failed(&e))?;
        }
    }
    producer.flush(timeout).map_err(|e| failed(&e))?;
    if let Some(failure) = batch.failure() {
        return Err(failure.into());
    }
    {
        let mut list = TopicPartitionList::with_capacity(position.len());
        for ((topic, partition), offset) in position {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).map_err(|e| failed(&e))?;
        }
        if list.count() > 0 {
            producer.send_offsets_to_transaction(&list, group, timeout).map_err(|e| failed(&e))?;
        }
    }
    let deadline = Instant::now() + timeout;
    loop {
        let Err(error) = producer.commit_transaction(timeout) else { return Ok(()) };
        let (retriable, abortable) = match &error {
            KafkaError::Transaction(e) => (e.is_retriable(), e.txn_requires_abort()),
            // The flush before it.
            _ => (false, true),
        };
        if !retriable || Instant::now() > deadline {
            return Err(Failure { error: failed(&error), asked: true, stuck: !abortable });
        }
    }
}

fn failed(error: &KafkaError) -> Error {
    let category = category(error);
    let failed = Error { category, ..error::of("the transaction", error) };
    match category {
        Category::Permanent if is_fenced(error) => {
            failed.hint("another process makes transactions under this name, or this one stood still: start it again")
        }
        _ => failed,
    }
}

fn is_fenced(error: &KafkaError) -> bool {
    matches!(error.rdkafka_error_code(), Some(Code::Fenced | Code::ProducerFenced | Code::FencedInstanceId))
}

/// A fenced producer has a successor: nothing that this process does can help.
fn category(error: &KafkaError) -> Category {
    match error.rdkafka_error_code() {
        _ if is_fenced(error) => Category::Permanent,
        code => code.map_or(Category::Transient, error::category),
    }
}
