//! What the tables of a domain must hold, computed from the account of a simulation run.
//!
//! The model is written from the facts of the domain and shares no code with the engine: it reads what was emitted, what the
//! fake API answered and which files were served ([`account`]), and says for each row and cell what is right ([`claimx`],
//! [`xact`]). Where the facts leave a choice (which of two events got a shared answer, what a clock showed) a cell is a set of
//! admissible values ([`expect::Cell`]). [`lake`] reads Delta tables, [`compare`] says in words what differs.
//!
//! ```text
//! let account = Account::read(&data.join("sim"))?;
//! let expected = claimx::expect(&account, &Options::default());
//! let differences = compare::folder(&expected, &data.join("tables"), 20).await?;
//! assert!(differences.is_empty(), "{}", differences.join("\n"));
//! ```

pub mod account;
pub mod claimx;
pub mod coerce;
pub mod compare;
pub mod expect;
pub mod lake;
pub mod xact;

/// Why a message is dead at the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dead {
    /// It is not JSON, or no object.
    NotAnObject,
    /// A required field is missing or blank.
    Missing(&'static str),
    /// A field cannot be what it has to be.
    Wrong(&'static str),
}
