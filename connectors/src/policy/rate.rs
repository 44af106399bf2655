//! How fast to call: so many a second in the long run, and so many at once after a pause.

use std::time::Duration;

use crate::clock::Micros;

/// A rate limit (the generic cell rate algorithm: one number of state instead of a bucket that is refilled).
///
/// In any span of `w` seconds at most `burst + w * per_second` calls begin, give or take the one on the border.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Nanoseconds between two calls in the long run.
    interval: i128,
    /// How far ahead of that schedule a burst may run, in nanoseconds.
    tolerance: i128,
    /// When the schedule has caught up with every call so far, in nanoseconds; `None` before the first call.
    caught_up: Option<i128>,
}

impl Rate {
    /// `per_second` calls in the long run, `burst` at once. A rate that is not a positive number is no limit; a burst of
    /// 0 counts as 1.
    pub fn new(per_second: f64, burst: u32) -> Self {
        let interval = if per_second > 0.0 { (1e9 / per_second).min(1e18) as i128 } else { 0 };
        Rate { interval, tolerance: interval * i128::from(burst.max(1) - 1), caught_up: None }
    }

    /// Takes the next free place and tells how long to wait for it. The place is taken whether it is used or not.
    ///
    /// ```
    /// use std::time::Duration;
    /// use connectors::policy::Rate;
    ///
    /// let mut rate = Rate::new(10.0, 2);
    /// let waits: Vec<_> = (0..4).map(|_| rate.reserve(0).as_millis()).collect();
    /// assert_eq!(waits, [0, 0, 100, 200]);
    /// ```
    pub fn reserve(&mut self, now: Micros) -> Duration {
        let now = i128::from(now) * 1000;
        let start = self.caught_up.map_or(now, |at| at.max(now));
        self.caught_up = Some(start + self.interval);
        let wait = (start - self.tolerance - now).max(0);
        // Rounded up to the resolution of the clock, or a waiter would be woken before its place is free.
        Duration::from_micros(u64::try_from((wait + 999) / 1000).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_span_holds_more_calls_than_burst_and_rate_allow(
            per_second in 1u32..1000, burst in 1u32..20, gaps in prop::collection::vec(0i64..200_000, 1..100),
        ) {
            let mut rate = Rate::new(f64::from(per_second), burst);
            let mut now = 0;
            let mut begun: Vec<i64> = Vec::new();
            for gap in gaps {
                now += gap;
                begun.push(now + rate.reserve(now).as_micros() as i64);
            }
            for (i, first) in begun.iter().enumerate() {
                for (j, last) in begun.iter().enumerate().skip(i) {
                    let allowed = f64::from(burst) + (last - first) as f64 / 1e6 * f64::from(per_second) + 1.0;
                    prop_assert!((j - i + 1) as f64 <= allowed, "{} calls in {} us", j - i + 1, last - first);
                }
            }
        }

        #[test]
        fn a_caller_slower_than_the_rate_never_waits(per_second in 1u32..1000, calls in 1usize..50) {
            let mut rate = Rate::new(f64::from(per_second), 1);
            let gap = 1_000_000 / i64::from(per_second) + 1;
            for call in 0..calls {
                prop_assert_eq!(rate.reserve(call as i64 * gap), Duration::ZERO);
            }
        }
    }

    #[test]
    fn a_rate_that_is_no_number_is_no_limit() {
        for per_second in [0.0, -1.0, f64::NAN] {
            let mut rate = Rate::new(per_second, 0);
            assert!((0..100).all(|_| rate.reserve(0).is_zero()));
        }
    }
}
