//! Uploads that fail because a test says so.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Error;

/// What becomes of the next uploads of a store that was made [`with_faults`](super::Store::with_faults).
#[derive(Debug, Default)]
pub struct Faults {
    next: Mutex<Next>,
}

#[derive(Debug, Default)]
struct Next {
    refusals: VecDeque<Error>,
    losses: VecDeque<Error>,
}

impl Faults {
    /// The next `count` uploads do nothing and fail with `error`.
    pub fn refuse(&self, count: u32, error: &Error) {
        self.lock().refusals.extend((0..count).map(|_| error.clone()));
    }

    /// The next `count` uploads land, and the caller is told that they failed with `error`.
    pub fn lose(&self, count: u32, error: &Error) {
        self.lock().losses.extend((0..count).map(|_| error.clone()));
    }

    /// Why an upload that begins is refused.
    pub(super) fn refused(&self) -> Option<Error> {
        self.lock().refusals.pop_front()
    }

    /// How an upload that has landed is said to have failed.
    pub(super) fn lost(&self) -> Option<Error> {
        self.lock().losses.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, Next> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
