//! A member of a group in this process.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};

use super::group::{Groups, Member, Step};
use super::{Fetch, Inner, Store, Write};
use crate::log::{self, Gate, Message, Partition, Polled, Position, Record, Subscription};
use crate::{Error, Result};

/// While a head is held, the gate is asked again after this time: gates look at clocks, and nobody tells when they open.
const GATE_PERIOD: Duration = Duration::from_millis(20);

/// How many messages of a delayed partition are read at once; those behind a refused one are read again later.
const DELAYED_READ: usize = 64;

/// A member of a group; leaves it when dropped.
pub struct Source<S: Store> {
    inner: Arc<Inner<S>>,
    group: String,
    member: Member,
    delayed: BTreeSet<String>,
    gate: Gate,
    lanes: BTreeMap<Partition, Lane>,
    assigned: Vec<Partition>,
    revoked: Vec<Partition>,
    /// Which lane is read first; moves on with every poll, so that a busy partition starves no other.
    turn: usize,
}

/// What is known of a partition that this member owns.
struct Lane {
    /// The next offset to deliver.
    next: i64,
    delayed: bool,
    /// The message at `next`, while the gate refuses it.
    held: Option<Message>,
}

impl<S: Store> Source<S> {
    pub(super) fn join(inner: Arc<Inner<S>>, subscription: Subscription) -> Self {
        let Subscription { group, topics, delayed, gate } = subscription;
        let all = topics.into_iter().chain(delayed.iter().cloned()).collect();
        let member = lock(&inner).join(&group, all);
        inner.store.catalogue().signal();
        Source {
            inner,
            group,
            member,
            delayed: delayed.into_iter().collect(),
            gate,
            lanes: BTreeMap::new(),
            assigned: Vec::new(),
            revoked: Vec::new(),
            turn: 0,
        }
    }

    /// Brings the lanes in line with what this member owns. Cancelled halfway, the next call does the rest.
    async fn rebalance(&mut self) -> Result<()> {
        let Step { owned, released } = lock(&self.inner).step(&self.group, self.member, self.inner.store.catalogue());
        if released {
            self.inner.store.catalogue().signal();
        }
        let revoked = &mut self.revoked;
        self.lanes.retain(|partition, _| {
            let keep = owned.contains(partition);
            if !keep {
                revoked.push(partition.clone());
            }
            keep
        });
        let mut positions: Option<(Arc<str>, BTreeMap<i32, i64>)> = None;
        for partition in owned {
            if self.lanes.contains_key(&partition) {
                continue;
            }
            // The partitions come sorted: one look-up a topic.
            let committed = match &positions {
                Some((topic, committed)) if *topic == partition.0 => committed.get(&partition.1),
                _ => {
                    let committed = self.inner.store.position(&self.group, &partition.0).await?;
                    positions.insert((partition.0.clone(), committed)).1.get(&partition.1)
                }
            };
            let low = self.inner.store.catalogue().span(&partition.0, partition.1).map_or(0, |span| span.low);
            let next = committed.map_or(low, |committed| low.max(*committed));
            let delayed = self.delayed.contains(&*partition.0);
            self.assigned.push(partition.clone());
            self.lanes.insert(partition, Lane { next, delayed, held: None });
        }
        Ok(())
    }

    /// What to read now: partitions with something new whose head is not held.
    fn fetches(&mut self, max_messages: usize) -> Vec<Fetch> {
        let catalogue = self.inner.store.catalogue();
        let mut fetches = Vec::new();
        for ((topic, partition), lane) in &mut self.lanes {
            if let Some(head) = &lane.held {
                if !(self.gate)(head) {
                    continue;
                }
                // Read again with what follows it: so a cancelled poll has nothing to lose.
                lane.held = None;
            }
            let Some(span) = catalogue.span(topic, *partition) else { continue };
            // Retention may have passed a reader that was away for long.
            lane.next = lane.next.max(span.low);
            if lane.next < span.high {
                let max = if lane.delayed { DELAYED_READ.min(max_messages) } else { max_messages };
                fetches.push(Fetch { topic: topic.clone(), partition: *partition, offset: lane.next, max });
            }
        }
        if !fetches.is_empty() {
            let first = self.turn % fetches.len();
            fetches.rotate_left(first);
            self.turn = self.turn.wrapping_add(1);
        }
        fetches
    }

    /// Passes on what the gate lets through and moves the lanes.
    fn deliver(&mut self, read: Vec<Message>) -> Vec<Message> {
        let mut messages = Vec::with_capacity(read.len());
        let mut lane: Option<(Partition, &mut Lane)> = None;
        let mut lanes: BTreeMap<&Partition, &mut Lane> = self.lanes.iter_mut().collect();
        for message in read {
            let same = lane.as_ref().is_some_and(|(p, _)| p.1 == message.partition && p.0 == message.topic);
            if !same {
                let partition = (message.topic.clone(), message.partition);
                lane = lanes.remove(&partition).map(|lane| (partition, lane));
            }
            let Some((_, lane)) = &mut lane else { continue };
            if lane.held.is_some() {
                continue;
            }
            if lane.delayed && !(self.gate)(&message) {
                lane.next = message.offset;
                lane.held = Some(message);
            } else {
                lane.next = message.offset + 1;
                messages.push(message);
            }
        }
        messages
    }

    fn owned(&self, position: &Position) -> Position {
        let groups = lock(&self.inner);
        let owns = |partition: &Partition| groups.owns(&self.group, self.member, partition);
        position.iter().filter(|(partition, _)| owns(partition)).map(|(p, offset)| (p.clone(), *offset)).collect()
    }
}

fn lock<S: Store>(inner: &Inner<S>) -> MutexGuard<'_, Groups> {
    inner.groups.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl<S: Store> log::Source for Source<S> {
    async fn poll(&mut self, max_messages: usize, max_bytes: usize, wait: Duration) -> Result<Polled> {
        let inner = self.inner.clone();
        let deadline = Instant::now() + wait;
        loop {
            // Enabled before looking: a write between the look and the wait is not missed.
            let mut changed = pin!(inner.store.catalogue().changed());
            changed.as_mut().enable();
            self.rebalance().await?;
            let fetches = self.fetches(max_messages.max(1));
            let messages = match fetches.is_empty() {
                true => Vec::new(),
                false => {
                    let read = inner.store.scan(fetches, max_messages.max(1), max_bytes).await?;
                    self.deliver(read)
                }
            };
            if !(messages.is_empty() && self.assigned.is_empty() && self.revoked.is_empty()) {
                let (assigned, revoked) = (std::mem::take(&mut self.assigned), std::mem::take(&mut self.revoked));
                return Ok(Polled { messages, assigned, revoked });
            }
            let now = Instant::now();
            if now >= deadline {
                return Ok(Polled::default());
            }
            let held = self.lanes.values().any(|lane| lane.held.is_some());
            let until = if held { deadline.min(now + GATE_PERIOD) } else { deadline };
            let _ = timeout_at(until, changed).await;
        }
    }

    async fn commit(&mut self, position: &Position) -> Result<()> {
        let position = self.owned(position);
        if position.is_empty() {
            return Ok(());
        }
        self.inner.write(Vec::new(), Some((self.group.clone(), position))).await
    }

    async fn committed(&mut self) -> Result<Position> {
        let mut position = Position::new();
        let topics: BTreeSet<Arc<str>> = self.lanes.keys().map(|(topic, _)| topic.clone()).collect();
        for topic in topics {
            for (partition, offset) in self.inner.store.position(&self.group, &topic).await? {
                let partition = (topic.clone(), partition);
                if self.lanes.contains_key(&partition) {
                    position.insert(partition, offset);
                }
            }
        }
        Ok(position)
    }

    async fn close(&mut self) -> Result<()> {
        lock(&self.inner).leave(&self.group, self.member);
        self.lanes.clear();
        self.inner.store.catalogue().signal();
        Ok(())
    }

    fn is_transactional(&self) -> bool {
        true
    }

    async fn commit_with_records(&mut self, records: Vec<Record>, position: &Position) -> Result<()> {
        let owned = self.owned(position);
        if let Some((topic, partition)) = position.keys().find(|partition| !owned.contains_key(*partition)) {
            let group = &self.group;
            return Err(Error::transient(format!(
                "nothing was written: group {group} gave partition {partition} of {topic} to another member"
            )));
        }
        let records = self.inner.place(records)?;
        let positions = Some((self.group.clone(), owned));
        self.inner.store.write(Write { topics: Vec::new(), records, time: self.inner.clock.now(), positions }).await
    }
}

impl<S: Store> Drop for Source<S> {
    fn drop(&mut self) {
        lock(&self.inner).leave(&self.group, self.member);
        self.inner.store.catalogue().signal();
    }
}
