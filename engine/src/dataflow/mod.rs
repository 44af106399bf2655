//! How a flow runs: a timely dataflow from a source to sinks, and a committer beside it.
//!
//! This is the only module that names timely and differential. It rests on one rule: **every message in flight holds a
//! capability for its epoch**. Work that is not finished keeps the frontier back; when the frontier of all sinks has passed
//! an epoch, all that its messages caused is durable, and only then do their offsets move.
//!
//! ```text
//! source ─ read ─ stages ─┬─ emit ─ tables ─┐
//!            │ messages   ├─ emit ─ topics ─┤
//!            ▼            └─ notes          ▼
//!          ledger ◄──────────┘           durable ──► committer
//!            └─ outcomes ─ emit ─ tables, topics ─────┘
//! ```
//! - [`source`] mints epochs, a tick at a time; [`poller`] is its other half, outside the dataflow.
//! - [`operators`] are the stages: synchronous ones, asynchronous ones with bounds and a deadline.
//! - [`ledger`] knows which messages are open and settles each with exactly one outcome.
//! - [`emit`] turns documents and outcomes into patches of rows and into records.
//! - [`patch`] is what differential consolidates; [`table_sink`] commits it, [`topic_sink`] writes records.
//! - [`observe`] lets a test wait until a flow has nothing to do, [`visit`] is what it sees of each message.
//! - [`epochs`] says what position an epoch stands for; `build` puts it all together by what [`form`] decides, [`flow`] runs it.
//!
//! *An operator that fails never drops its capability*: it says so on [`Control`] and stays; the process ends.

mod build;
pub mod chunk;
pub mod control;
pub mod count;
pub mod emit;
pub mod epochs;
pub mod flow;
pub mod form;
pub mod ledger;
pub mod observe;
pub mod operators;
pub mod patch;
pub mod poller;
pub mod source;
pub mod table_sink;
#[cfg(test)]
mod tests;
pub mod topic_sink;
pub mod view;
pub mod visit;
pub mod wire;

pub use control::{Control, Stats};

/// The timely timestamp: milliseconds since 1970, or one more than the last where the clock stood still.
pub type Epoch = u64;

/// A stream of `D` within one flow.
pub(crate) type Stream<'s, D> = timely::dataflow::Stream<'s, Epoch, Vec<D>>;
/// How operators fill containers.
pub(crate) type Builder<D> = timely::container::CapacityContainerBuilder<Vec<D>>;
/// A capability of this dataflow.
pub(crate) type Capability = timely::dataflow::operators::Capability<Epoch>;
