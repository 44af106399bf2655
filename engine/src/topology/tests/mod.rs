//! The language as a whole: one good topology with every key, and for each problem a case that shows it.
#![allow(clippy::unwrap_used)]

mod broken;
mod cases;
mod good;
mod mutation;
mod sweep;
