//! Whole-system tests. One binary, because each one links the query engine.
#![allow(clippy::unwrap_used)]

mod claimx;
mod model;
mod odd;
mod program;
#[cfg(test)]
mod settings;
