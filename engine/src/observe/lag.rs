//! How far behind the groups are: their committed positions against the ends of the partitions, asked of the logs.
//!
//! This is the one part of the metrics that costs calls, so an answer is kept for `FRESH`, whoever asks how often; and a
//! log that does not answer within `PATIENCE` leaves its series out rather than hold up the others.

use std::sync::Arc;
use std::time::Duration;

use connectors::clock::Micros;
use connectors::log::Log;
use connectors::{Error, Result};
use futures::future::join_all;
use tokio::sync::Mutex;

use super::Subject;
use crate::plan::{Flow, SourceKind};

/// How long an answer is kept, in microseconds.
const FRESH: Micros = 5_000_000;
/// How long a log may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where a group, or a dead letter topic, stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A partition that a flow reads.
    Behind {
        /// The topology.
        topology: String,
        /// The flow.
        flow: String,
        /// Its group.
        group: String,
        /// The topic, its own or a retry topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Messages from the position to the end.
        messages: u64,
    },
    /// A dead letter topic.
    Dead {
        /// The topology.
        topology: String,
        /// The flow.
        flow: String,
        /// The topic.
        topic: String,
        /// Messages in it.
        messages: u64,
    },
}

/// Asks, and keeps the answer for a while.
#[derive(Default)]
pub struct Lag(Mutex<Option<(Micros, Arc<Vec<Standing>>)>>);

impl Lag {
    /// Where all groups of `subjects` stand.
    pub async fn of(&self, subjects: &[Subject], now: Micros) -> Arc<Vec<Standing>> {
        let mut kept = self.0.lock().await;
        if let Some((at, standing)) = &*kept
            && (0..FRESH).contains(&(now - at))
        {
            return standing.clone();
        }
        let mut asked: Vec<(&str, &str)> = Vec::new();
        let mut asks = Vec::new();
        for subject in subjects {
            for flow in subject.outside.flows(&subject.plan) {
                let name = (subject.plan.name.as_str(), flow.name.as_str());
                // The instances of a flow are one group.
                if !asked.contains(&name) {
                    asked.push(name);
                    asks.push(standing(subject, flow));
                }
            }
        }
        let standing = Arc::new(join_all(asks).await.into_iter().flatten().collect::<Vec<_>>());
        // Before the flows run there is nothing worth keeping.
        if !subjects.is_empty() {
            *kept = Some((now, standing.clone()));
        }
        standing
    }
}

/// Where one flow stands; nothing where its log does not answer.
async fn standing(subject: &Subject, flow: &Flow) -> Vec<Standing> {
    let answer = tokio::time::timeout(PATIENCE, ask(subject, flow)).await;
    let answer = answer.unwrap_or_else(|_| Err(Error::transient("the log does not answer in time")));
    answer.unwrap_or_else(|error| {
        tracing::debug!(topology = %subject.plan.name, flow = %flow.name, %error, "no consumer lag");
        Vec::new()
    })
}

async fn ask(subject: &Subject, flow: &Flow) -> Result<Vec<Standing>> {
    let SourceKind::Topic { connection, topic, group } = &flow.source.kind else { return Ok(Vec::new()) };
    let (topology, name) = (&subject.plan.name, &flow.name);
    let log: &Arc<dyn Log> = subject.outside.log(connection)?;
    let mut all = Vec::new();
    for topic in std::iter::once(topic.as_str()).chain(flow.source.retry.topics()) {
        let position = log.position(group, topic).await?;
        for bounds in log.bounds(topic).await? {
            let at = position.get(&bounds.partition).copied().unwrap_or(bounds.low).max(bounds.low);
            all.push(Standing::Behind {
                topology: topology.clone(),
                flow: name.clone(),
                group: group.clone(),
                topic: topic.to_owned(),
                partition: bounds.partition,
                messages: (bounds.high - at).max(0).unsigned_abs(),
            });
        }
    }
    let dead = &flow.source.retry.dead_letter;
    if !dead.is_empty() {
        let bounds = subject.outside.log(&flow.source.retry.connection)?.bounds(dead).await?;
        let messages = bounds.iter().map(|b| (b.high - b.low).max(0).unsigned_abs()).sum();
        all.push(Standing::Dead { topology: topology.clone(), flow: name.clone(), topic: dead.clone(), messages });
    }
    Ok(all)
}
