//! Retry, breaker and rate limit: the pure state machines that live beside the connectors, which use them too.

pub use connectors::policy::*;
