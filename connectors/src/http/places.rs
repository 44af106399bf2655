//! The places of exchanges: as many as the limit says, which adapts to what the API bears.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::clock::Micros;
use crate::policy::{Adaptive, Load};

/// Places for exchanges.
pub(super) struct Places {
    free: Semaphore,
    state: Mutex<State>,
}

struct State {
    adaptive: Adaptive,
    /// How many places there are, taken or free. More than the limit until enough of them were given back.
    there: usize,
}

/// A place that is taken. It is free again when it is dropped.
pub(super) struct Place<'a> {
    places: &'a Places,
    permit: SemaphorePermit<'a>,
}

/// What an answer with `status`, or none, says about the load of the API.
pub(super) fn load(status: Option<u16>) -> Load {
    match status {
        None => Load::Silent,
        Some(429 | 503) => Load::Refused,
        Some(_) => Load::Answered,
    }
}

impl Places {
    /// `most` places.
    pub(super) fn new(most: usize) -> Self {
        let state = State { adaptive: Adaptive::new(most), there: most };
        Places { free: Semaphore::new(most), state: Mutex::new(state) }
    }

    /// Waits for a place; none when there will never be one again.
    pub(super) async fn acquire(&self) -> Option<Place<'_>> {
        let permit = self.free.acquire().await.ok()?;
        Some(Place { places: self, permit })
    }

    /// How many exchanges may be under way.
    pub(super) fn limit(&self) -> usize {
        self.lock().adaptive.limit()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Gives the place back after an exchange from `begun` to `now`.
    pub(super) fn leave(self, begun: Micros, now: Micros, load: Load) {
        let Place { places, permit } = self;
        let mut state = places.lock();
        let before = state.adaptive.limit();
        let limit = state.adaptive.record(begun, now, load);
        if limit < state.there {
            permit.forget();
            state.there -= 1;
        } else if limit > state.there {
            places.free.add_permits(limit - state.there);
            state.there = limit;
        }
        drop(state);
        if limit < before {
            tracing::debug!(before, limit, ?load, "fewer calls at a time");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// How many places can be taken at once.
    async fn count(places: &Places) -> usize {
        let mut taken = Vec::new();
        while let Ok(permit) = places.free.try_acquire() {
            taken.push(permit);
        }
        taken.len()
    }

    #[tokio::test]
    async fn there_are_as_many_places_as_the_limit_says() {
        let places = Places::new(10);
        let mut taken = Vec::new();
        for _ in 0..10 {
            taken.push(places.acquire().await.unwrap());
        }
        // One refusal cuts the limit to 7; three places vanish as they are given back, the rest stay.
        for (index, place) in taken.into_iter().enumerate() {
            place.leave(0, 1000, if index == 0 { Load::Refused } else { Load::Answered });
        }
        assert_eq!((places.limit(), count(&places).await), (7, 7));
        for call in 0..200 {
            places.acquire().await.unwrap().leave(2000 + call, 3000 + call, Load::Answered);
        }
        assert_eq!((places.limit(), count(&places).await), (10, 10));
        // A place that is given up is free again.
        drop(places.acquire().await.unwrap());
        assert_eq!(count(&places).await, 10);
    }
}
