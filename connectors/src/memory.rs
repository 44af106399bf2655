//! Topics in memory: the double of the durable logs, for tests and simulations.
//!
//! Semantics are those of the embedded log, groups and gates included, because both stand on [`crate::local`]; only
//! nothing survives the process. Positions and records of one call are visible together or not at all.
//!
//! ```
//! # use std::{sync::Arc, time::Duration};
//! # use connectors::{clock::ManualClock, log::{Log, Record, Subscription, TopicSpec}, memory};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> connectors::Result<()> {
//! let log = memory::Log::new(Arc::new(ManualClock::at(0)));
//! log.create(&[TopicSpec { name: "orders".into(), partitions: 2 }]).await?;
//! let record = Record { topic: "orders".into(), key: None, payload: "{}".into(), headers: vec![] };
//! log.producer().await?.send(vec![record]).await?;
//!
//! let (topics, gate) = (vec!["orders".into()], Arc::new(|_: &_| true));
//! let mut source = log.subscribe(Subscription { group: "g".into(), topics, delayed: vec![], gate }).await?;
//! let polled = source.poll(100, 1 << 20, Duration::from_secs(1)).await?;
//! assert_eq!(polled.messages.len(), 1);
//! # Ok(())
//! # }
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;

use crate::Result;
use crate::clock::Clock;
use crate::local::{self, Catalogue, Fetch, Span, Write, no_topic};
use crate::log::{Message, Partition};

/// Topics in memory.
pub type Log = local::Log<Store>;

impl Log {
    /// A log without topics. `clock` gives the messages their time.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        local::Log::over(Store::default(), clock)
    }
}

/// Records and positions in maps.
#[derive(Debug, Default)]
pub struct Store {
    catalogue: Catalogue,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    records: HashMap<Partition, Vec<Message>>,
    /// Next offsets by group and topic, then by partition.
    positions: BTreeMap<(String, Arc<str>), BTreeMap<i32, i64>>,
}

#[async_trait]
impl local::Store for Store {
    fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    async fn write(&self, write: Write) -> Result<()> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for topic in &write.topics {
            let spans = usize::try_from(topic.partitions).unwrap_or(0);
            self.catalogue.add(&topic.name, vec![Span::default(); spans]);
        }
        if let Some((partition, record)) =
            write.records.iter().find(|(partition, record)| self.catalogue.span(&record.topic, *partition).is_none())
        {
            tracing::debug!(topic = %record.topic, partition, "write to a partition that does not exist");
            return Err(no_topic(&record.topic));
        }
        let mut highs: BTreeMap<Partition, i64> = BTreeMap::new();
        for (partition, record) in write.records {
            let messages = state.records.entry((record.topic.clone(), partition)).or_default();
            let offset = i64::try_from(messages.len()).unwrap_or(i64::MAX);
            highs.insert((record.topic.clone(), partition), offset + 1);
            messages.push(Message {
                topic: record.topic,
                partition,
                offset,
                time: write.time,
                key: record.key,
                payload: record.payload,
                headers: record.headers,
            });
        }
        if let Some((group, position)) = write.positions {
            for ((topic, partition), offset) in position {
                state.positions.entry((group.clone(), topic)).or_default().insert(partition, offset);
            }
        }
        drop(state);
        for ((topic, partition), high) in highs {
            // Two writes may come here in either order.
            self.catalogue.set(&topic, partition, |span| span.high = span.high.max(high));
        }
        Ok(())
    }

    async fn scan(&self, fetches: Vec<Fetch>, max_messages: usize, max_bytes: usize) -> Result<Vec<Message>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let (mut messages, mut bytes) = (Vec::new(), 0);
        for Fetch { topic, partition, offset, max } in fetches {
            let Some(records) = state.records.get(&(topic, partition)) else { continue };
            for message in records.iter().skip(usize::try_from(offset).unwrap_or(0)).take(max) {
                if messages.len() >= max_messages || (bytes >= max_bytes && !messages.is_empty()) {
                    return Ok(messages);
                }
                bytes += message.size();
                messages.push(message.clone());
            }
        }
        Ok(messages)
    }

    async fn position(&self, group: &str, topic: &str) -> Result<BTreeMap<i32, i64>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        Ok(state.positions.get(&(group.to_string(), Arc::from(topic))).cloned().unwrap_or_default())
    }

    async fn trim(&self, topic: &str, partition: i32, before: i64) -> Result<()> {
        // The messages stay in memory, where an offset is an index; nobody reads below the span.
        self.catalogue.set(topic, partition, |span| span.low = span.low.max(before));
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::conformance;

    #[tokio::test]
    async fn conforms() {
        conformance::log::all(Arc::new(Log::new(Arc::new(SystemClock::new(1.0)))), "memory").await;
    }
}
