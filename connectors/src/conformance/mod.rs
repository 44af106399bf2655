//! What every implementation of a trait must do, as suites that run against any of them: the real systems and their doubles.

pub mod table;
