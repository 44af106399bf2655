//! Kafka topics, over librdkafka.
//!
//! Guarantees. Reading: at least once; positions are committed only by [`crate::log::Source::commit`], synchronously,
//! and only for partitions that this member owns. A group that has no position starts at the earliest message. Each
//! partition has a queue of its own, so a delayed topic's head is held without pausing or seeking, while the main queue
//! is served all the time by a thread: rebalances and heartbeats go on however long the engine is busy.
//! Writing: idempotent, acknowledged by all in-sync replicas; a key's partition is the one of Kafka's Java clients.
//! With [`Options::transactional_id`], records and positions can be committed in one transaction.
//!
//! A consumer whose brokers fail [`Options::breaker_failures`] times in a row stops for [`Options::breaker_cooldown`] and goes
//! on by itself. Its polls find nothing meanwhile. That the brokers are gone is said once for all clients of a [`Log`], and
//! once when they are back; what librdkafka says about each of its connections is on the level `debug`.

mod breaker;
mod config;
mod context;
mod error;
mod health;
mod log;
mod member;
mod producer;
mod source;
mod transaction;

pub use config::{Options, Security, Side, check_setting};
pub use log::Log;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
