//! How long to wait between tries that are made in one place: exponential, with jitter, and with respect for what the
//! other side asked.

use std::time::Duration;

/// The waits between tries of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait before the first retry, at most; each later one doubles it.
    pub base: Duration,
    /// No wait is longer.
    pub cap: Duration,
    /// Tries after the first.
    pub retries: u32,
}

impl Backoff {
    /// The wait before retry number `attempt` (0 is the first), or `None` when the failure must leave.
    ///
    /// Half of the wait is fixed, `random` decides the other half, so clients that failed together do not return
    /// together. What the other side `asked` for wins over that; a wish beyond the cap is not waited for here.
    ///
    /// ```
    /// use std::time::Duration;
    /// use connectors::policy::Backoff;
    ///
    /// let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(10), retries: 2 };
    /// assert_eq!(backoff.next(0, None, 0), Some(Duration::from_millis(500)));
    /// assert_eq!(backoff.next(1, Some(Duration::from_secs(7)), 0), Some(Duration::from_secs(7)));
    /// assert_eq!(backoff.next(1, Some(Duration::from_secs(60)), 0), None);
    /// assert_eq!(backoff.next(2, None, 0), None);
    /// ```
    pub fn next(&self, attempt: u32, asked: Option<Duration>, random: u64) -> Option<Duration> {
        if attempt >= self.retries {
            return None;
        }
        match asked {
            Some(asked) => (asked <= self.cap).then_some(asked),
            None => {
                let full = self.base.saturating_mul(2u32.saturating_pow(attempt)).min(self.cap);
                let half = full / 2;
                Some(half + half.mul_f64(random as f64 / u64::MAX as f64))
            }
        }
    }
}

/// A reproducible sequence of random numbers (SplitMix64), for jitter only.
#[derive(Clone, Copy, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence that `seed` names.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_wait_lies_between_half_and_all_of_the_doubled_base(
            base in 1u64..10_000, cap in 1u64..100_000, attempt in 0u32..40, random: u64,
        ) {
            let backoff = Backoff { base: Duration::from_millis(base), cap: Duration::from_millis(cap), retries: 40 };
            let full = Duration::from_millis((base as u128 * (1u128 << attempt)).min(cap as u128) as u64);
            let wait = backoff.next(attempt, None, random).expect("a retry is left");
            prop_assert!(wait >= full / 2 && wait <= full, "{wait:?} for {full:?}");
        }

        #[test]
        fn a_wish_is_met_in_full_or_not_at_all(asked in 0u64..100, cap in 0u64..100, random: u64) {
            let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(cap), retries: 1 };
            let asked = Duration::from_secs(asked);
            prop_assert_eq!(backoff.next(0, Some(asked), random), (asked <= backoff.cap).then_some(asked));
        }
    }
}
