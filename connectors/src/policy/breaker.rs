//! When to stop calling a system that does not answer, and how to find out that it is back.
//!
//! *Closed*: every call is admitted; so many counted failures in a row open the breaker. *Open*: every call is rejected
//! until the cooldown has passed. *Half open*: a few calls at a time are admitted; one failure opens it again, enough
//! successes close it.
//!
//! Each admitted call holds a [`Permit`] and gives it back with a [`Verdict`]. A permit remembers the phase it was given
//! in: a call that began before the breaker opened has no say in what happens afterwards, so a late success of a
//! forgotten call cannot close it and a crowd of late failures cannot keep it open.

use std::time::Duration;

use crate::clock::Micros;

/// When a breaker opens and closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// Counted failures in a row that open it; 0 never opens it.
    pub failures: u32,
    /// How long it stays open.
    pub cooldown: Duration,
    /// Calls at a time while it is half open; 0 counts as 1.
    pub trials: u32,
    /// Successes that close it; 0 counts as 1.
    pub successes: u32,
}

impl Default for Threshold {
    fn default() -> Self {
        Threshold { failures: 5, cooldown: Duration::from_secs(60), trials: 3, successes: 2 }
    }
}

/// What a call said about the health of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answered as it should.
    Success,
    /// It did not answer, or said that it cannot.
    Failure,
    /// Nothing: refused credentials, a permanent error, a call that was given up.
    Neutral,
}

/// The phase of a breaker, numbered as the metric shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BreakerState {
    /// Calls are admitted.
    Closed = 0,
    /// Calls are rejected.
    Open = 1,
    /// A few calls are admitted.
    HalfOpen = 2,
}

/// Leave for one call. It must be given back with [`Breaker::record`], or a half-open breaker loses a place.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    generation: u64,
}

/// A circuit breaker.
///
/// ```
/// use std::time::Duration;
/// use connectors::policy::{Breaker, BreakerState, Threshold, Verdict};
///
/// let mut breaker = Breaker::new(Threshold { failures: 1, cooldown: Duration::from_secs(60), trials: 1, successes: 1 });
/// let permit = breaker.admit(0).expect("closed");
/// breaker.record(permit, Verdict::Failure, 0);
/// assert_eq!(breaker.admit(0).err(), Some(Duration::from_secs(60)));
///
/// let trial = breaker.admit(60_000_000).expect("half open");
/// assert!(breaker.admit(60_000_000).is_err(), "one trial at a time");
/// breaker.record(trial, Verdict::Success, 60_000_000);
/// assert_eq!(breaker.state(), BreakerState::Closed);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Breaker {
    threshold: Threshold,
    phase: Phase,
    /// Counts the changes of phase.
    generation: u64,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed { failures: u32 },
    Open { until: Micros },
    HalfOpen { under_way: u32, successes: u32 },
}

impl Breaker {
    /// A closed breaker.
    pub fn new(threshold: Threshold) -> Self {
        Breaker { threshold, phase: Phase::Closed { failures: 0 }, generation: 0 }
    }

    /// Its phase. An open breaker is half open from the first call after its cooldown on.
    pub fn state(&self) -> BreakerState {
        match self.phase {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open { .. } => BreakerState::Open,
            Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// How long a call would be rejected for from `now` on, without asking for a permit; `None` if it may be admitted.
    pub fn rejects(&self, now: Micros) -> Option<Duration> {
        match self.phase {
            Phase::Closed { .. } => None,
            Phase::Open { until } if now < until => Some(Duration::from_micros(until.abs_diff(now))),
            Phase::Open { .. } => None,
            // The trials under way will decide; nobody knows when.
            Phase::HalfOpen { under_way, .. } if under_way >= self.threshold.trials.max(1) => {
                Some(self.threshold.cooldown / 10)
            }
            Phase::HalfOpen { .. } => None,
        }
    }

    /// Admits a call, or tells how long to stay away.
    pub fn admit(&mut self, now: Micros) -> Result<Permit, Duration> {
        if let Some(remaining) = self.rejects(now) {
            return Err(remaining);
        }
        if let Phase::Open { .. } = self.phase {
            self.enter(Phase::HalfOpen { under_way: 0, successes: 0 });
        }
        if let Phase::HalfOpen { under_way, .. } = &mut self.phase {
            *under_way += 1;
        }
        Ok(Permit { generation: self.generation })
    }

    /// Takes a permit back and learns what came of the call.
    pub fn record(&mut self, permit: Permit, verdict: Verdict, now: Micros) {
        if permit.generation != self.generation {
            return;
        }
        match (&mut self.phase, verdict) {
            (Phase::Closed { failures }, Verdict::Success) => *failures = 0,
            (Phase::Closed { failures }, Verdict::Failure) => {
                *failures = failures.saturating_add(1);
                if self.threshold.failures > 0 && *failures >= self.threshold.failures {
                    self.open(now);
                }
            }
            (Phase::HalfOpen { under_way, successes }, Verdict::Success) => {
                *under_way = under_way.saturating_sub(1);
                *successes += 1;
                if *successes >= self.threshold.successes.max(1) {
                    self.enter(Phase::Closed { failures: 0 });
                }
            }
            (Phase::HalfOpen { .. }, Verdict::Failure) => self.open(now),
            (Phase::HalfOpen { under_way, .. }, Verdict::Neutral) => *under_way = under_way.saturating_sub(1),
            (Phase::Closed { .. }, Verdict::Neutral) | (Phase::Open { .. }, _) => {}
        }
    }

    fn open(&mut self, now: Micros) {
        let cooldown = i64::try_from(self.threshold.cooldown.as_micros()).unwrap_or(i64::MAX);
        self.enter(Phase::Open { until: now.saturating_add(cooldown) });
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Micros = 1_000_000;

    fn breaker() -> Breaker {
        Breaker::new(Threshold::default())
    }

    fn call(breaker: &mut Breaker, verdict: Verdict, now: Micros) {
        let permit = breaker.admit(now).unwrap();
        breaker.record(permit, verdict, now);
    }

    #[test]
    fn only_failures_in_a_row_open_it() {
        let mut breaker = breaker();
        for _ in 0..4 {
            call(&mut breaker, Verdict::Failure, 0);
        }
        call(&mut breaker, Verdict::Success, 0);
        for _ in 0..4 {
            call(&mut breaker, Verdict::Failure, 0);
            call(&mut breaker, Verdict::Neutral, 0);
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        call(&mut breaker, Verdict::Failure, 0);
        assert_eq!(breaker.state(), BreakerState::Open);
        assert_eq!(breaker.admit(20 * SECOND).unwrap_err(), Duration::from_secs(40));
    }

    #[test]
    fn calls_from_before_it_opened_have_no_say() {
        let mut breaker = breaker();
        let mut early: Vec<_> = (0..8).map(|_| breaker.admit(0).unwrap()).collect();
        for permit in early.drain(..5) {
            breaker.record(permit, Verdict::Failure, 0);
        }
        let trial = breaker.admit(60 * SECOND).unwrap();
        for permit in early {
            breaker.record(permit, Verdict::Failure, 60 * SECOND);
        }
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        breaker.record(trial, Verdict::Success, 60 * SECOND);
        call(&mut breaker, Verdict::Success, 60 * SECOND);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_failed_trial_opens_it_for_another_cooldown() {
        let mut breaker = breaker();
        for _ in 0..5 {
            call(&mut breaker, Verdict::Failure, 0);
        }
        call(&mut breaker, Verdict::Failure, 60 * SECOND);
        assert_eq!(breaker.admit(60 * SECOND).unwrap_err(), Duration::from_secs(60));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Admit,
        Record(usize, Verdict),
        Wait(i64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let verdict = prop_oneof![Just(Verdict::Success), Just(Verdict::Failure), Just(Verdict::Neutral)];
        prop::collection::vec(
            prop_oneof![
                3 => Just(Step::Admit),
                3 => (0usize..8, verdict).prop_map(|(which, verdict)| Step::Record(which, verdict)),
                1 => (0i64..90).prop_map(|seconds| Step::Wait(seconds * SECOND)),
            ],
            0..200,
        )
    }

    proptest! {
        /// The oracle keeps its own books: who was admitted in which phase, and what has been said since.
        #[test]
        fn it_never_opens_early_admits_too_many_or_locks_itself_out(steps in steps()) {
            let threshold = Threshold::default();
            let mut breaker = Breaker::new(threshold);
            let mut now = 0;
            let mut held: Vec<Permit> = Vec::new();
            let mut in_a_row = 0;
            for step in steps {
                match step {
                    Step::Wait(by) => now += by,
                    Step::Admit => match breaker.admit(now) {
                        Ok(permit) => held.push(permit),
                        Err(remaining) => {
                            prop_assert!(breaker.state() != BreakerState::Closed);
                            prop_assert!(remaining <= threshold.cooldown && !remaining.is_zero());
                        }
                    },
                    Step::Record(which, verdict) if which < held.len() => {
                        let permit = held.swap_remove(which);
                        let (before, current) = (breaker.state(), permit.generation == breaker.generation);
                        breaker.record(permit, verdict, now);
                        if before == BreakerState::Closed && current {
                            match verdict {
                                Verdict::Success => in_a_row = 0,
                                Verdict::Failure => in_a_row += 1,
                                Verdict::Neutral => {}
                            }
                            prop_assert_eq!(breaker.state() == BreakerState::Open, in_a_row == threshold.failures);
                        }
                        if before != breaker.state() {
                            prop_assert!(verdict != Verdict::Neutral && current);
                            in_a_row = 0;
                        }
                    }
                    Step::Record(..) => {}
                }
                if breaker.state() == BreakerState::HalfOpen {
                    let trials = held.iter().filter(|permit| permit.generation == breaker.generation).count();
                    prop_assert!(trials <= threshold.trials as usize);
                }
            }
            // Whatever happened: when every call has ended and the cooldown has passed, calls are admitted again.
            for permit in held {
                breaker.record(permit, Verdict::Neutral, now);
            }
            prop_assert!(breaker.admit(now + 61 * SECOND).is_ok());
        }
    }
}
