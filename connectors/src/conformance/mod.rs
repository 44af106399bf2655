//! What every implementation of a trait promises, as tests that any implementation can run. The systems and their in-memory
//! doubles pass the same suites.

pub mod log;
pub mod table;
