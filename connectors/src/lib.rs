//! How the outside is reached.
//!
//! The modules of the contract ([`error`], [`clock`], [`log`], [`table`], [`http`]) hold plain async traits and the values
//! that cross them; every other module is one system behind one of the traits. No connector knows another, none knows a
//! dataflow, and none knows what a topology means. Each trait has an in-memory double that passes the same conformance
//! suite ([`conformance`]) as the real system.

pub mod clock;
pub mod conformance;
pub mod embedded;
pub mod error;
pub mod kafka;
pub mod local;
pub mod log;
pub mod memory;
pub mod table;

pub use error::{Category, Error, Result};
