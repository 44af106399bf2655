//! What happens to failures: the state machines of [`connectors::policy`], which connectors and stages share.

pub use connectors::policy::*;
