//! When to try again, when to stop calling for a while, and how fast to call: pure state machines.
//!
//! Each one is a step function over plain values. None of them reads a clock, draws a random number, waits or reaches
//! outside: the caller passes the instant and the randomness in and does the waiting. So a test walks through hours in
//! microseconds, and the same sequence of inputs always gives the same answers. Instants are [`Micros`](crate::clock::Micros).

mod adaptive;
mod backoff;
mod breaker;
mod rate;
mod retry;
mod statuses;

pub use adaptive::{Adaptive, Load};
pub use backoff::{Backoff, Random};
pub use breaker::{Breaker, BreakerState, Permit, Threshold, Verdict};
pub use rate::Rate;
pub use retry::RetrySchedule;
pub use statuses::{Rows, Statuses};
