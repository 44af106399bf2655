//! When a consumer gives its brokers a rest: a state machine without a clock of its own.

use std::time::Duration;

use crate::clock::Micros;

/// Failures further apart than this are not "in a row": idle connections are closed now and then without harm.
const MEMORY_US: Micros = 60_000_000;

/// Opens after so many failures in a row, and closes when the cool-down has passed.
#[derive(Debug)]
pub(super) struct Breaker {
    limit: u32,
    cooldown_us: Micros,
    failures: u32,
    last: Micros,
    open_until: Option<Micros>,
}

impl Breaker {
    pub(super) fn new(limit: u32, cooldown: Duration) -> Self {
        let cooldown_us = Micros::try_from(cooldown.as_micros()).unwrap_or(Micros::MAX);
        Breaker { limit: limit.max(1), cooldown_us, failures: 0, last: 0, open_until: None }
    }

    /// A broker failed. True when that opened the breaker.
    pub(super) fn fail(&mut self, now: Micros) -> bool {
        if self.is_open(now) {
            return false;
        }
        if now.saturating_sub(self.last) > MEMORY_US {
            self.failures = 0;
        }
        self.last = now;
        self.failures += 1;
        if self.failures < self.limit {
            return false;
        }
        self.failures = 0;
        self.open_until = Some(now.saturating_add(self.cooldown_us));
        true
    }

    /// A broker did what it was asked for.
    pub(super) fn succeed(&mut self) {
        self.failures = 0;
    }

    /// Whether the consumer rests at `now`.
    pub(super) fn is_open(&mut self, now: Micros) -> bool {
        if self.open_until.is_some_and(|until| now >= until) {
            self.open_until = None;
        }
        self.open_until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    fn breaker() -> Breaker {
        Breaker::new(3, Duration::from_secs(30))
    }

    #[test]
    fn it_opens_at_the_limit_once_and_closes_by_itself() {
        let mut breaker = breaker();
        assert_eq!([0, 1, 2, 3].map(|s| breaker.fail(s * SECOND)), [false, false, true, false]);
        assert!(breaker.is_open(31 * SECOND));
        assert!(!breaker.is_open(32 * SECOND));
        assert!(!breaker.fail(33 * SECOND), "it starts to count again");
    }

    #[test]
    fn only_failures_in_a_row_count() {
        let mut breaker = breaker();
        breaker.fail(0);
        breaker.fail(1);
        breaker.succeed();
        assert!(!breaker.fail(2));
        assert!(!breaker.fail(3));
        assert!(!breaker.fail(3 + 2 * MEMORY_US), "the ones before are too old");
    }
}
