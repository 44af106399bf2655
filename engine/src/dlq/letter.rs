//! One dead letter, and what its headers say. Anybody may write to a topic, so every header may be missing or wrong.

use connectors::clock::Micros;
use connectors::log::Message;

use super::Mark;
use crate::stage::message::header;

/// More replays than anybody makes: a header can say any number.
const MOST_LIVES: u32 = 1_000_000;

/// A dead letter.
#[derive(Clone, Debug)]
pub struct Letter {
    /// As it is on the topic.
    pub message: Message,
    /// What was done with it.
    pub mark: Option<Mark>,
    /// The flow it belongs to: an index into the queue's homes; none is there for one of another topology.
    pub home: usize,
}

impl Letter {
    /// A header as text; empty where it is missing.
    pub fn text(&self, name: &str) -> &str {
        self.message.header(name).unwrap_or_default()
    }

    /// The key as text.
    pub fn key(&self) -> Option<String> {
        self.message.key.as_ref().map(|key| String::from_utf8_lossy(key).into_owned())
    }

    /// When it died.
    pub fn died(&self) -> Micros {
        self.message.time
    }

    /// How often its message was replayed before it died here.
    pub fn lives(&self) -> u32 {
        // The number that begins the header.
        self.text(header::REPLAYED).split(' ').next().and_then(|times| times.parse().ok()).unwrap_or(0).min(MOST_LIVES)
    }

    /// How often it was replayed since it is here.
    pub fn replays(&self) -> u32 {
        match self.mark {
            Some(Mark::Replayed { times, .. }) => times.saturating_sub(self.lives()),
            Some(Mark::Purged { .. }) | None => 0,
        }
    }

    /// How it failed each time, a line for each.
    pub fn history(&self) -> impl Iterator<Item = &str> {
        self.text(header::HISTORY).lines()
    }
}
