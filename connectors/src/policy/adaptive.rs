//! How many calls at a time a system bears.
//!
//! The bound that a connection declares is the most. Below it the limit follows the answers: a refusal for too many calls, or
//! answers that take much longer than usual, take a part of it away; every answer that is as quick as usual gives a little back
//! (additive increase, multiplicative decrease: the rule by which connections share a network). What was sent before the
//! limit was last cut has no say, so one crowd of refusals is one cut.

use std::time::Duration;

use crate::clock::Micros;

/// What is left of the limit after a refusal.
const REFUSED: f64 = 0.7;
/// What is left of it when answers take too long.
const SLOW: f64 = 0.9;
/// Slow answers alone leave at least this part of the most: who waits for a place has a deadline.
const SLOWEST: f64 = 0.5;
/// So many times the usual latency are too long …
const TIMES: f64 = 2.5;
/// … if it is at least so much more, in microseconds: below, a pause of this machine looks the same.
const MORE: f64 = 100_000.0;
/// How much one answer moves the recent latency.
const RECENT: f64 = 0.2;
/// How much the usual latency follows the recent one when that is higher: a system that stays slow is usual one day.
const FOLLOW: f64 = 0.01;

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// With an answer.
    Answered,
    /// It was refused because there are too many.
    Refused,
    /// Without an answer.
    Silent,
}

/// A limit that adapts.
///
/// ```
/// use connectors::policy::{Adaptive, Load};
///
/// let mut limit = Adaptive::new(20);
/// assert_eq!(limit.record(0, 1_000, Load::Refused), 14);
/// assert_eq!(limit.record(500, 2_000, Load::Refused), 14, "it was sent before the cut");
/// assert_eq!(limit.record(3_000, 4_000, Load::Refused), 9);
/// for call in 5..1_000 {
///     limit.record(call * 1_000, call * 1_000 + 900, Load::Answered);
/// }
/// assert_eq!(limit.limit(), 20);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Adaptive {
    most: f64,
    limit: f64,
    /// In microseconds; nothing before the first answer.
    usual: Option<f64>,
    recent: f64,
    /// When the limit was last cut.
    cut: Option<Micros>,
}

impl Adaptive {
    /// A limit of `most` calls, which it begins with; 0 counts as 1.
    pub fn new(most: usize) -> Self {
        let most = most.max(1) as f64;
        Adaptive { most, limit: most, usual: None, recent: 0.0, cut: None }
    }

    /// How many calls may be under way.
    pub fn limit(&self) -> usize {
        // Between 1 and what was a usize.
        self.limit as usize
    }

    /// Takes in how an exchange ended that took from `begun` to `now`. Returns the limit.
    pub fn record(&mut self, begun: Micros, now: Micros, load: Load) -> usize {
        let took = Duration::from_micros(now.saturating_sub(begun).max(0).unsigned_abs()).as_micros() as f64;
        let has_say = self.cut.is_none_or(|cut| begun >= cut);
        match (load, self.usual) {
            (Load::Refused, _) => {
                if has_say {
                    self.reduce(REFUSED, 1.0, now);
                }
            }
            (Load::Answered, None) => (self.usual, self.recent) = (Some(took), took),
            (Load::Silent, None) => {}
            // A connection that is refused at once says nothing about how fast answers are.
            (Load::Silent, Some(usual)) if took <= usual => {}
            (_, Some(usual)) => {
                self.recent += (took - self.recent) * RECENT;
                let follow = if self.recent < usual { RECENT } else { FOLLOW };
                self.usual = Some(usual + (self.recent - usual) * follow);
                let slow = self.recent > usual * TIMES && self.recent - usual > MORE;
                match (has_say, slow) {
                    (false, _) => {}
                    (true, true) => self.reduce(SLOW, self.most * SLOWEST, now),
                    (true, false) => self.limit = (self.limit + 1.0 / self.limit).min(self.most),
                }
            }
        }
        self.limit()
    }

    /// Takes a part of the limit away, down to `least`; less than that stays as it is.
    fn reduce(&mut self, to: f64, least: f64, now: Micros) {
        self.limit = (self.limit * to).max(least.min(self.limit)).max(1.0);
        self.cut = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Micros = 1_000;

    /// `count` calls one after the other, each of which takes `took`. Returns the limit and the end.
    fn calls(limit: &mut Adaptive, from: Micros, count: i64, took: Micros) -> (usize, Micros) {
        for call in 0..count {
            limit.record(from + call * took, from + (call + 1) * took, Load::Answered);
        }
        (limit.limit(), from + count * took)
    }

    #[test]
    fn slow_answers_cut_it_and_quick_ones_bring_it_back() {
        let mut limit = Adaptive::new(20);
        let (at, now) = calls(&mut limit, 0, 50, 40 * MS);
        assert_eq!(at, 20, "nothing is wrong");
        let (slow, now) = calls(&mut limit, now, 15, 2_000 * MS);
        assert_eq!(slow, 10, "while every answer takes fifty times as long");
        let (back, _) = calls(&mut limit, now, 2_000, 40 * MS);
        assert_eq!(back, 20);
    }

    #[test]
    fn a_system_that_stays_slower_is_taken_as_it_is() {
        let mut limit = Adaptive::new(20);
        let (_, now) = calls(&mut limit, 0, 50, 40 * MS);
        let (at, _) = calls(&mut limit, now, 5_000, 300 * MS);
        assert_eq!(at, 20);
    }

    #[test]
    fn jitter_of_some_milliseconds_is_no_load() {
        let mut limit = Adaptive::new(20);
        let (_, now) = calls(&mut limit, 0, 50, MS);
        let (at, _) = calls(&mut limit, now, 50, 20 * MS);
        assert_eq!(at, 20);
    }

    proptest! {
        #[test]
        fn it_stays_between_one_and_the_most(most in 0usize..50, steps in prop::collection::vec((0i64..5_000_000, 0u8..3), 0..300)) {
            let mut limit = Adaptive::new(most);
            let mut now = 0;
            for (took, load) in steps {
                let load = [Load::Answered, Load::Refused, Load::Silent][usize::from(load)];
                let at = limit.record(now, now + took, load);
                now += took;
                prop_assert!(at >= 1 && at <= most.max(1), "{at} of {most}");
            }
        }
    }
}
