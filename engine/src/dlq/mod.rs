//! Dead letters: finding them, replaying them, deleting them.
//!
//! A flow's dead letter topic holds the messages that it has given up, unchanged, with headers that tell why. A topic forgets
//! nothing in its middle, on Kafka as on the embedded log, so what was done with a letter is noted beside it: the topic
//! `DEAD_LETTER.handled` holds one record for each letter that was replayed or purged ([`Marks`]).
//!
//! **Promises.** A letter is replayed at least once: it is written to its flow's topic, that is acknowledged, and only then it is
//! noted. If the process ends in between, the next replay writes it again. What is noted is not replayed again unless it is asked for,
//! and every replay says how many there were before. Nothing is deleted that was not replayed first, unless it is
//! asked for; and deleting begins at the start of a partition and ends at the first letter that stays. A letter behind it that was
//! purged is hidden until that one goes.
//!
//! **What it does not promise.** Two replays at a time may both write a letter. A group's position could not say what was done
//! with single letters: it knows one offset a partition, and a letter in the middle could not be handled before those in front of it.

mod filter;
mod letter;
mod marks;
mod purge;
mod queue;
mod replay;
#[cfg(test)]
mod tests;

pub use filter::{Filter, place};
pub use letter::Letter;
pub use marks::{Mark, Marks};
pub use purge::purge;
pub use queue::{Home, Queue, Scan, queues};
pub use replay::{Options, replay};

/// What was done with a letter, or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is on its flow's topic again, for the time that is said.
    Replayed(u32),
    /// It was replayed before, so often, and was left alone.
    Already(u32),
    /// It is deleted, or will be when those before it are.
    Purged,
    /// It was not replayed, so it was not deleted.
    Kept,
}
