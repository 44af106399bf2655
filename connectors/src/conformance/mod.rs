//! Suites that every implementation of a trait passes, the in-memory double and the real system alike: so a test that
//! runs on the double says something about the system.

pub mod log;
