//! Time as a dependency: the wall clock, a wall clock whose delays are scaled, and a clock that tests move by hand.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
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

/// A clock that stands still until a test moves it. Clones are the same clock. It knows who sleeps, and until when.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    shared: Arc<Hands>,
}

#[derive(Debug, Default)]
struct Hands {
    now: AtomicI64,
    sleepers: Mutex<Sleepers>,
}

#[derive(Debug, Default)]
struct Sleepers {
    next: u64,
    due: BTreeMap<(Micros, u64), Waker>,
}

impl Hands {
    fn sleepers(&self) -> MutexGuard<'_, Sleepers> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: Micros) -> Self {
        let clock = ManualClock::default();
        clock.shared.now.store(now, Ordering::SeqCst);
        clock
    }

    /// Moves the clock forward and wakes every sleeper that is due.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().saturating_add(micros(by)));
    }

    /// Moves the clock to `now`, never back, and wakes every sleeper that is due.
    pub fn set(&self, now: Micros) {
        let mut sleepers = self.shared.sleepers();
        self.shared.now.fetch_max(now, Ordering::SeqCst);
        let later = sleepers.due.split_off(&(now.saturating_add(1), 0));
        let due = std::mem::replace(&mut sleepers.due, later);
        drop(sleepers);
        due.into_values().for_each(Waker::wake);
    }

    /// When the first sleeper is due; `None` if nobody sleeps.
    pub fn next_due(&self) -> Option<Micros> {
        self.shared.sleepers().due.first_key_value().map(|((due, _), _)| *due)
    }
}

fn micros(duration: Duration) -> Micros {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A sleep on a [`ManualClock`]; it is forgotten when dropped.
struct Sleep<'c> {
    hands: &'c Hands,
    due: Micros,
    id: Option<u64>,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut sleepers = self.hands.sleepers();
        if self.hands.now.load(Ordering::SeqCst) >= self.due {
            return Poll::Ready(());
        }
        let id = self.id.unwrap_or(sleepers.next);
        sleepers.next = sleepers.next.max(id + 1);
        sleepers.due.insert((self.due, id), context.waker().clone());
        drop(sleepers);
        self.id = Some(id);
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.hands.sleepers().due.remove(&(self.due, id));
        }
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Micros {
        self.shared.now.load(Ordering::SeqCst)
    }

    async fn sleep(&self, duration: Duration) {
        let due = self.now().saturating_add(micros(duration));
        Sleep { hands: &self.shared, due, id: None }.await;
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
        assert_eq!(clock.next_due(), Some(2_000_000));
        clock.advance(Duration::from_secs(1));
        sleeper.await.expect("the sleeper ends");
        assert_eq!(clock.next_due(), None);
    }

    #[tokio::test]
    async fn a_sleep_that_is_given_up_is_not_waited_for() {
        let clock = ManualClock::at(5);
        let given_up = tokio::time::timeout(Duration::ZERO, clock.sleep(Duration::from_secs(1))).await;
        assert!(given_up.is_err());
        assert_eq!(clock.next_due(), None);
    }
}
