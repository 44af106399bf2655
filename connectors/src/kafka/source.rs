//! A member of a group as a source.

use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::{Instant, timeout_at};

use super::health::Health;
use super::log::{blocking, committed};
use super::member::Member;
use super::transaction::Transactions;
use super::{Options, error};
use crate::clock::Clock;
use crate::log::{self, Gate, Polled, Position, Record, Subscription};
use crate::{Error, Result};

/// While a head is held, the gate is asked again after this time: gates look at clocks, and nobody tells when they open.
const GATE_PERIOD: Duration = Duration::from_millis(20);
/// A waiting poll looks again after this time even if nobody woke it: wake-ups of librdkafka were known to be lost.
const LOOK_PERIOD: Duration = Duration::from_millis(250);

/// Reads as a member of a group; leaves it when dropped.
pub(super) struct Source {
    /// Present until the source is closed.
    member: Option<Member>,
    group: String,
    gate: Gate,
    options: Arc<Options>,
    transactions: Option<Arc<Transactions>>,
}

impl Source {
    pub(super) fn join(
        options: &Arc<Options>,
        clock: Arc<dyn Clock>,
        health: Arc<Health>,
        subscription: Subscription,
    ) -> Result<Self> {
        let Subscription { group, topics, delayed, gate } = subscription;
        let all = topics.into_iter().chain(delayed.iter().cloned()).collect();
        let id = options.transactional_id.as_ref().map(|id| format!("{id}.{group}"));
        let transactions = id.map(|id| Arc::new(Transactions::new(options, health.clone(), id)));
        let member = Member::join(options, clock, health, &group, &all, delayed.into_iter().collect())?;
        Ok(Source { member: Some(member), group, gate, options: options.clone(), transactions })
    }

    fn member(&self) -> Result<&Member> {
        self.member.as_ref().ok_or_else(|| Error::permanent(format!("the source of group {} is closed", self.group)))
    }
}

#[async_trait]
impl log::Source for Source {
    async fn poll(&mut self, max_messages: usize, max_bytes: usize, wait: Duration) -> Result<Polled> {
        let shared = self.member()?.shared.clone();
        let max_messages = max_messages.clamp(1, self.options.max_poll_records.max(1));
        let deadline = Instant::now() + wait;
        loop {
            // Enabled before looking: what comes between the look and the wait is not missed.
            let mut changed = pin!(shared.changed.notified());
            changed.as_mut().enable();
            if let Some(polled) = shared.take(&self.gate, max_messages, max_bytes)? {
                return Ok(polled);
            }
            let now = Instant::now();
            if now >= deadline {
                return Ok(Polled::default());
            }
            let period = if shared.is_holding() { GATE_PERIOD } else { LOOK_PERIOD };
            let _ = timeout_at(deadline.min(now + period), changed).await;
        }
    }

    async fn commit(&mut self, position: &Position) -> Result<()> {
        let member = self.member()?;
        let (consumer, shared) = (member.consumer.clone(), member.shared.clone());
        let (position, what) = (position.clone(), format!("committing the position of group {}", self.group));
        blocking(move || {
            // A revocation waits until the commit is done: it never names a partition that somebody else owns.
            let _commits = shared.commits.lock().unwrap_or_else(PoisonError::into_inner);
            let owned = shared.owned();
            let mut list = TopicPartitionList::new();
            for ((topic, partition), offset) in position.iter().filter(|(partition, _)| owned.contains(*partition)) {
                list.add_partition_offset(topic, *partition, Offset::Offset(*offset))
                    .map_err(|e| error::of(&what, &e))?;
            }
            if list.count() == 0 {
                return Ok(());
            }
            consumer.commit(&list, CommitMode::Sync).map_err(|e| error::of(&what, &e))?;
            shared.succeeded();
            Ok(())
        })
        .await
    }

    async fn committed(&mut self) -> Result<Position> {
        let member = self.member()?;
        let (consumer, owned) = (member.consumer.clone(), member.shared.owned());
        let (timeout, what) = (self.options.request_timeout, format!("reading the position of group {}", self.group));
        blocking(move || {
            let mut list = TopicPartitionList::with_capacity(owned.len());
            for (topic, partition) in &owned {
                list.add_partition(topic, *partition);
            }
            let offsets = committed(&consumer, list, timeout).map_err(|e| error::of(&what, &e))?;
            Ok(offsets.into_iter().map(|(topic, partition, offset)| ((Arc::from(topic), partition), offset)).collect())
        })
        .await
    }

    fn is_transactional(&self) -> bool {
        self.transactions.is_some()
    }

    async fn commit_with_records(&mut self, records: Vec<Record>, position: &Position) -> Result<()> {
        let Some(transactions) = self.transactions.clone() else {
            let message = format!("group {} cannot write records and its position in one transaction", self.group);
            return Err(Error::permanent(message).hint("the Kafka connection needs a transactional id"));
        };
        let member = self.member()?;
        let (consumer, shared) = (member.consumer.clone(), member.shared.clone());
        let (position, group) = (position.clone(), self.group.clone());
        blocking(move || {
            let _commits = shared.commits.lock().unwrap_or_else(PoisonError::into_inner);
            let owned = shared.owned();
            if let Some((topic, partition)) = position.keys().find(|partition| !owned.contains(*partition)) {
                return Err(Error::transient(format!(
                    "nothing was written: group {group} gave partition {partition} of {topic} to another member"
                )));
            }
            let metadata = consumer.group_metadata().ok_or_else(|| {
                Error::transient(format!("nothing was written: group {group} has not been joined yet"))
            })?;
            transactions.commit(&records, &position, &metadata)
        })
        .await
    }

    async fn close(&mut self) -> Result<()> {
        let Some(member) = self.member.take() else { return Ok(()) };
        blocking(move || {
            member.leave();
            Ok(())
        })
        .await
    }
}

impl Drop for Source {
    /// Leaves the group on a thread of its own: leaving waits for the coordinator.
    fn drop(&mut self) {
        let Some(member) = self.member.take() else { return };
        let leaver = std::thread::Builder::new().name("kafka-leave".into()).spawn(move || member.leave());
        if let Err(error) = leaver {
            tracing::warn!(group = self.group, %error, "left without telling the group: it notices after the session timeout");
        }
    }
}
