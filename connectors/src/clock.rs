//! Time as a dependency: the wall clock, a wall clock whose delays are scaled, and a clock that tests move by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

/// A point in time: microseconds since 1970-01-01 UTC.
pub type Micros = i64;

/// Where the engine gets the time from.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Micros;
    /// Returns when `duration` of real time has passed. Use [`Clock::scaled`] first for delays that a drill shortens.
    async fn sleep(&self, duration: Duration);
    /// A retry, cache or breaker delay as it is waited for here: `duration` times the clock's scale.
    fn scaled(&self, duration: Duration) -> Duration {
        duration
    }
}

/// The wall clock. `scale` shortens retry, cache and breaker delays: 0.001 makes five minutes 300 ms.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    scale: f64,
}

impl SystemClock {
    /// A clock whose delays are multiplied by `scale`; 1.0 is real time.
    pub fn new(scale: f64) -> Self {
        SystemClock { scale }
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Micros {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn scaled(&self, duration: Duration) -> Duration {
        duration.mul_f64(self.scale)
    }
}

/// A clock that stands still until a test moves it.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    now: Arc<AtomicI64>,
    moved: Arc<tokio::sync::Notify>,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: Micros) -> Self {
        ManualClock { now: Arc::new(AtomicI64::new(now)), moved: Arc::default() }
    }

    /// Moves the clock forward and wakes every sleeper that is due.
    pub fn advance(&self, by: Duration) {
        self.now.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
        self.moved.notify_waiters();
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Micros {
        self.now.load(Ordering::SeqCst)
    }

    async fn sleep(&self, duration: Duration) {
        let due = self.now() + i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        loop {
            let moved = self.moved.notified();
            if self.now() >= due {
                return;
            }
            moved.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_clock_has_moved_far_enough() {
        let clock = ManualClock::at(0);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(2)).await }
        });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeper.await.expect("the sleeper ends");
    }
}
