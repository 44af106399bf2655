//! Whole-system tests. One binary, because each one links the query engine.
#![allow(clippy::unwrap_used)]

mod model;
mod odd;
#[cfg(test)]
mod settings;
