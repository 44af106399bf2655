//! Rules of this code base that no compiler knows. Each test is one rule; an exception stands in its list with the reason.
//!
//! Rules about code look at it without comments and texts, and without its test modules; see [`source`].

mod dependencies;
mod rules;
mod source;

pub use source::files;
