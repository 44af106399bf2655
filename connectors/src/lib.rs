//! How the outside is reached.
//!
//! The modules of the contract ([`error`], [`clock`], [`log`], [`table`], [`http`]) hold plain async traits and the values
//! that cross them; every other module is one system behind one of the traits. No connector knows another, none knows a
//! dataflow, and none knows what a topology means. Each trait has an in-memory double that passes the same conformance
//! suite ([`conformance`]) as the real system.

pub mod builder;
pub mod clock;
pub mod columns;
pub mod conformance;
pub mod delta;
pub mod discard;
pub mod download;
pub mod embedded;
pub mod error;
pub mod file;
pub mod http;
pub mod kafka;
pub mod local;
pub mod log;
pub mod memory;
pub mod memory_table;
pub mod policy;
pub mod redact;
pub mod rows;
pub mod spool;
pub mod store;
pub mod table;

#[cfg(test)]
mod fake_server;

pub use error::{Category, Error, Result};
