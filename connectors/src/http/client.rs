//! Calls that are worth making: bounded, paced, retried, and broken off when the other side is down.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use super::health::{Health, News};
use super::places::{Places, load};
use super::{Classes, Http, Options, Request, Response, Wire};
use crate::clock::{Clock, Micros};
use crate::policy::{Backoff, Breaker, BreakerState, Permit, Random, Rate, Threshold, Verdict};
use crate::{Category, Error, Result};

/// Calls of one API. Cheap to clone; clones share everything.
///
/// A call takes a place among [`Options::concurrency`], or fewer while the API shows that it bears no more, then waits for the rate limit, then asks the breaker; it holds
/// its place for one exchange only, never while it waits for a retry. Delays go through the clock, which may shorten them.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    wire: Arc<dyn Http>,
    clock: Arc<dyn Clock>,
    classes: Classes,
    backoff: Backoff,
    places: Places,
    breaker: Mutex<Breaker>,
    rate: Option<Mutex<Rate>>,
    jitter: Mutex<Random>,
    counts: Counts,
    name: String,
    health: Mutex<Health>,
}

#[derive(Default)]
struct Counts {
    calls: AtomicU64,
    exchanges: AtomicU64,
    retries: AtomicU64,
    failures: AtomicU64,
    rejections: AtomicU64,
    under_way: AtomicU64,
    bytes: AtomicU64,
    statuses: [AtomicU64; 6],
}

/// What a client has done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Calls that were asked for.
    pub calls: u64,
    /// Requests that were sent.
    pub exchanges: u64,
    /// Requests that were sent again after a failure.
    pub retries: u64,
    /// Calls that ended with an error, rejections included.
    pub failures: u64,
    /// Calls that the breaker rejected.
    pub rejections: u64,
    /// Requests that wait for their answer now.
    pub under_way: u64,
    /// Bytes of answers.
    pub bytes: u64,
    /// Requests by the class of the answer's status: at 2 those that were answered with 2xx, and so on; at 0 those without
    /// an answer.
    pub statuses: [u64; 6],
    /// How many requests at a time it sends at present.
    pub limit: usize,
    /// The phase of the breaker.
    pub breaker: BreakerState,
}

impl Client {
    /// Calls `options.url` over the network.
    pub fn new(options: &Options, clock: Arc<dyn Clock>) -> Result<Self> {
        let wire = Arc::new(Wire::new(options, Arc::clone(&clock))?);
        Ok(Client::over(wire, options, clock))
    }

    /// Calls over `wire`.
    pub fn over(wire: Arc<dyn Http>, options: &Options, clock: Arc<dyn Clock>) -> Self {
        let threshold = Threshold { cooldown: clock.scaled(options.breaker.cooldown), ..options.breaker };
        // Jitter has to differ between processes, not to be a secret; under a clock of tests it repeats itself.
        let seed = clock.now().unsigned_abs();
        Client {
            shared: Arc::new(Shared {
                wire,
                classes: Classes::new(options),
                backoff: options.backoff,
                places: Places::new(options.concurrency.clamp(1, Semaphore::MAX_PERMITS)),
                breaker: Mutex::new(Breaker::new(threshold)),
                rate: options.rate.map(|(per_second, burst)| Mutex::new(Rate::new(per_second, burst))),
                jitter: Mutex::new(Random::new(seed)),
                counts: Counts::default(),
                name: if options.name.is_empty() {
                    crate::redact::redact(&options.url).into_owned()
                } else {
                    options.name.clone()
                },
                health: Mutex::default(),
                clock,
            }),
        }
    }

    /// Sends `request` until it has an answer, its failure is not transient, or the retries are used up.
    ///
    /// A rejection by the breaker is [`Category::CircuitOpen`] with the rest of the cooldown in `retry_after`. The other
    /// errors are those of the last exchange. Giving the call up frees its place and says nothing about the server.
    pub async fn send(&self, request: &Request) -> Result<Response> {
        let shared = &*self.shared;
        add(&shared.counts.calls, 1);
        let result = shared.send(request).await;
        if result.is_err() {
            add(&shared.counts.failures, 1);
        }
        result
    }

    /// How many requests at a time it sends at present.
    pub fn limit(&self) -> usize {
        self.shared.places.limit()
    }

    /// What it has done so far.
    pub fn snapshot(&self) -> Snapshot {
        let counts = &self.shared.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Snapshot {
            calls: read(&counts.calls),
            exchanges: read(&counts.exchanges),
            retries: read(&counts.retries),
            failures: read(&counts.failures),
            rejections: read(&counts.rejections),
            under_way: read(&counts.under_way),
            bytes: read(&counts.bytes),
            statuses: std::array::from_fn(|class| counts.statuses.get(class).map_or(0, read)),
            limit: self.limit(),
            breaker: lock(&self.shared.breaker).state(),
        }
    }
}

impl Shared {
    async fn send(&self, request: &Request) -> Result<Response> {
        let mut attempt = 0;
        let mut last = None;
        loop {
            let error = match self.exchange(request).await {
                Ok(response) => return Ok(response),
                // Its own failure may have opened the breaker. What it was answered counts; if the rejection did, a request
                // that always fails would wait for ever.
                Err(error) if error.category == Category::CircuitOpen => return Err(last.unwrap_or(error)),
                Err(error) => error,
            };
            if !matches!(error.category, Category::Transient | Category::Unknown) {
                return Err(error);
            }
            let random = lock(&self.jitter).draw();
            let Some(wait) = self.backoff.next(attempt, error.retry_after, random) else { return Err(error) };
            tracing::debug!(%error, ?wait, attempt, "trying again");
            self.clock.sleep(self.clock.scaled(wait)).await;
            last = Some(error);
            attempt += 1;
            add(&self.counts.retries, 1);
        }
    }

    /// One exchange and the judgement of its answer.
    async fn exchange(&self, request: &Request) -> Result<Response> {
        // Asked before as well as after the waits: a rejected call must neither queue nor use up the rate.
        if let Some(remaining) = lock(&self.breaker).rejects(self.clock.now()) {
            return Err(self.rejected(request, remaining));
        }
        let place = self.places.acquire().await.ok_or_else(|| Error::transient(format!("{request}: shut down")))?;
        let wait = self.rate.as_ref().map(|rate| lock(rate).reserve(self.clock.now()));
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            self.clock.sleep(wait).await;
        }
        let permit = lock(&self.breaker).admit(self.clock.now()).map_err(|wait| self.rejected(request, wait))?;
        let mut trial = Trial { shared: self, permit: Some(permit) };
        add(&self.counts.exchanges, 1);
        add(&self.counts.under_way, 1);
        let begun = self.clock.now();
        let answer = self.wire.send_once(request).await;
        place.leave(begun, self.clock.now(), load(answer.as_ref().ok().map(|response| response.status)));
        let class = answer.as_ref().map_or(0, |response| usize::from(response.status / 100));
        if let Some(count) = self.counts.statuses.get(class) {
            add(count, 1);
        }
        let result = answer.and_then(|response| {
            self.classes.judge(request, &response, self.clock.now())?;
            Ok(response)
        });
        let opened = trial.settle(match &result {
            Ok(_) => Verdict::Success,
            Err(error) if matches!(error.category, Category::Transient | Category::Unknown) => Verdict::Failure,
            Err(_) => Verdict::Neutral,
        });
        self.tell(result.as_ref().map(|_| ()), opened);
        if let Ok(response) = &result {
            add(&self.counts.bytes, response.body.len() as u64);
        }
        result
    }

    /// Says what is new about the API as a whole.
    fn tell(&self, result: std::result::Result<(), &Error>, opened: bool) {
        let news = lock(&self.health).record(result, opened, self.clock.now());
        let (name, error) = (&self.name, result.err());
        match (news, error) {
            (Some(News::Refused), Some(error)) => tracing::warn!("connection {name}: credentials refused: {error}"),
            (Some(News::Unreachable), Some(error)) => {
                tracing::warn!("connection {name}: cannot be reached: {error}; it is tried again")
            }
            (Some(News::Down), Some(error)) => {
                tracing::warn!(
                    "connection {name}: too many failures, calls pause and are tried again; the last: {error}"
                );
            }
            (Some(News::Well), _) => tracing::info!("connection {name}: answers again"),
            _ => {}
        }
    }

    fn rejected(&self, request: &Request, remaining: std::time::Duration) -> Error {
        add(&self.counts.rejections, 1);
        let message = format!("{request}: not sent, the circuit breaker is open for another {remaining:?}");
        let mut error = Error::new(Category::CircuitOpen, message).hint("the calls before it failed; see their errors");
        error.retry_after = Some(remaining);
        error
    }
}

/// An exchange under way. Its permit goes back to the breaker also when the call is given up.
struct Trial<'a> {
    shared: &'a Shared,
    permit: Option<Permit>,
}

impl Trial<'_> {
    /// Gives the permit back. Returns whether the breaker opened over it.
    fn settle(&mut self, verdict: Verdict) -> bool {
        let Some(permit) = self.permit.take() else { return false };
        let now: Micros = self.shared.clock.now();
        let mut breaker = lock(&self.shared.breaker);
        let before = breaker.state();
        breaker.record(permit, verdict, now);
        let after = breaker.state();
        drop(breaker);
        self.shared.counts.under_way.fetch_sub(1, Ordering::Relaxed);
        if before != after {
            tracing::debug!(connection = self.shared.name, ?before, ?after, "circuit breaker");
        }
        before == BreakerState::Closed && after == BreakerState::Open
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        self.settle(Verdict::Neutral);
    }
}

fn add(count: &AtomicU64, by: u64) {
    count.fetch_add(by, Ordering::Relaxed);
}

/// The states behind the locks are valid after every step, so a panic elsewhere leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
