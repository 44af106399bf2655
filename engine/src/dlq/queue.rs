//! Dead letter topics, and the flows whose letters they hold.

use std::collections::VecDeque;
use std::sync::Arc;

use connectors::Result;
use connectors::log::{Bounds, Log, Message};

use super::{Filter, Letter, Marks};
use crate::plan::{Plan, SourceKind};
use crate::stage::message::header;

/// Letters that are read and written at once.
const BATCH: usize = 500;

/// A flow whose letters a queue holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// Its topology.
    pub topology: String,
    /// Its name.
    pub flow: String,
    /// The topic it reads, where its letters are replayed to.
    pub topic: String,
    /// The group it reads it in: other flows may read the same topic.
    pub group: String,
    /// Whether its letters are meant.
    pub chosen: bool,
}

/// A dead letter topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// The kafka connection that it and the flows' topics live in.
    pub connection: String,
    /// Its full name.
    pub topic: String,
    /// The flows that write to it.
    pub homes: Vec<Home>,
}

/// The dead letter topics of the flows of `plan` with the indexes `chosen`, in the order of the flows.
pub fn queues(plan: &Plan, chosen: &[usize]) -> Vec<Queue> {
    let mut queues: Vec<Queue> = Vec::new();
    for (index, flow) in plan.flows.iter().enumerate() {
        let SourceKind::Topic { connection, topic, group } = &flow.source.kind else { continue };
        let dead_letter = &flow.source.retry.dead_letter;
        if dead_letter.is_empty() {
            continue;
        }
        let home = Home {
            topology: plan.name.clone(),
            flow: flow.name.clone(),
            topic: topic.clone(),
            group: group.clone(),
            chosen: chosen.contains(&index),
        };
        match queues.iter_mut().find(|q| q.topic == *dead_letter && q.connection == *connection) {
            Some(queue) => queue.homes.push(home),
            None => {
                let (connection, topic) = (connection.clone(), dead_letter.clone());
                queues.push(Queue { connection, topic, homes: vec![home] });
            }
        }
    }
    queues.retain(|queue| queue.homes.iter().any(|home| home.chosen));
    queues
}

impl Queue {
    /// The letter that `message` is.
    pub fn letter(&self, message: Message, marks: &Marks) -> Letter {
        let origin = message.header(header::ORIGIN).unwrap_or_default();
        let topic = origin.rsplitn(3, '/').nth(2);
        // One that does not say where it comes from belongs to the first; one from elsewhere is another topology's, which has
        // its dead letters here too, and is nobody's.
        let reads = |home: &Home| topic == Some(home.topic.as_str());
        // Of several flows that read one topic the one whose group gave it up.
        let group = message.header(header::GROUP);
        let home = self.homes.iter().position(|home| reads(home) && group == Some(home.group.as_str()));
        let home = home.or_else(|| self.homes.iter().position(reads));
        let home = home.unwrap_or(if topic.is_none() { 0 } else { usize::MAX });
        Letter { mark: marks.of(&message), home, message }
    }

    /// The flow that `letter` belongs to.
    pub fn home(&self, letter: &Letter) -> Option<&Home> {
        self.homes.get(letter.home)
    }

    /// Whether `letter` belongs to a chosen flow and is one that `filter` takes.
    pub fn takes(&self, letter: &Letter, filter: &Filter) -> bool {
        self.home(letter).is_some_and(|home| home.chosen) && filter.takes(letter)
    }

    /// Begins to read the letters that are there now.
    pub async fn scan(&self, log: Arc<dyn Log>) -> Result<Scan> {
        let left = log.bounds(&self.topic).await?.into();
        Ok(Scan { log, topic: self.topic.clone(), left })
    }
}

/// The messages of a topic, up to where it ended at the start.
pub struct Scan {
    log: Arc<dyn Log>,
    topic: String,
    left: VecDeque<Bounds>,
}

impl Scan {
    /// The next messages, all of one partition, in order; nothing at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Message>>> {
        while let Some(bounds) = self.left.front_mut() {
            if bounds.low < bounds.high {
                let mut read = self.log.read(&self.topic, bounds.partition, bounds.low, BATCH).await?;
                read.retain(|message| message.offset < bounds.high);
                if let Some(last) = read.last() {
                    bounds.low = last.offset + 1;
                    return Ok(Some(read));
                }
            }
            self.left.pop_front();
        }
        Ok(None)
    }
}
