//! x

pub mod expr;
