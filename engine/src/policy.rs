<<<<<<< HEAD
//! What happens to failures: the state machines of [`connectors::policy`], which connectors and stages share.
=======
//! Retry, breaker and rate limit: the pure state machines that live beside the connectors, which use them too.
>>>>>>> http

pub use connectors::policy::*;
