//! The emitter: puts the emissions on their topic, exactly once each, however often it is killed.
//!
//! Every message carries its number in the header `emission` (`seed:number`), and a batch is sent only when the one before it
//! is durable. So the end of the topic alone says what is missing: all batches before the newest one are whole, and of the
//! newest one those numbers are missing that cannot be read back. A failed send is treated like a restart.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use connectors::clock::Clock;
use connectors::log::{Bounds, Log, Producer, Record};
use connectors::{Error, Result};

use super::Simulation;
use super::account::Account;
use super::emission::BATCH;

/// The header that numbers the messages.
const HEADER: &str = "emission";

/// What has been emitted, for all to see.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// How many messages are on the topic.
    pub emitted: AtomicU64,
    /// Whether all are.
    pub done: AtomicBool,
    /// Why it ended before.
    pub failure: OnceLock<String>,
}

/// Puts emissions on a topic.
pub(super) struct Emitter {
    /// What is emitted.
    pub simulation: Arc<Simulation>,
    /// The seed.
    pub seed: u64,
    /// How many there will be.
    pub events: u64,
    /// The name of the topic.
    pub topic: Arc<str>,
    /// The system of the topic.
    pub log: Arc<dyn Log>,
    /// Writes to it.
    pub producer: Arc<dyn Producer>,
    /// Waits.
    pub clock: Arc<dyn Clock>,
    /// Messages in a second; as fast as it goes without.
    pub rate: Option<f64>,
    /// Where emissions are written down.
    pub account: Account,
    /// Who wants to know.
    pub progress: Arc<Progress>,
}

impl Emitter {
    /// [`Self::resume`], as often as it takes. The flows wait for a topic that does not answer; so does the simulation.
    pub(super) async fn begin(&self) -> Result<File> {
        let mut told = false;
        loop {
            match self.resume().await {
                Err(error) if error.category.is_retryable() => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(%error, topic = %self.topic, "the simulation cannot emit; it tries again");
                    }
                    self.clock.sleep(Duration::from_millis(200)).await;
                }
                result => return result,
            }
        }
    }

    /// Reads back what the topic holds, completes its newest batch and brings the account up to it.
    pub(super) async fn resume(&self) -> Result<File> {
        let found = self.newest().await?;
        let next = found.last().map_or(0, |newest| newest + 1);
        let first = next.saturating_sub(1) / BATCH * BATCH;
        let missing: Vec<u64> = (first..next).filter(|i| !found.contains(i)).collect();
        if !missing.is_empty() {
            self.producer.send(missing.iter().map(|i| self.record(*i)).collect()).await?;
        }
        self.progress.emitted.store(next, Ordering::SeqCst);
        let (simulation, account, topic) = (self.simulation.clone(), self.account.clone(), self.topic.clone());
        let write = move || {
            let emission = |i| simulation.events.emission(&simulation.world, i).line(&topic);
            account.emitted_to((0..next).map(emission))
        };
        tokio::task::spawn_blocking(write).await.map_err(|e| Error::permanent(format!("the account's writer: {e}")))?
    }

    /// Emits all there is to emit. Failures that may pass are told and tried again for ever; others end it.
    pub(super) async fn run(self, file: File) {
        let mut file = Some(file);
        let mut pause = Duration::from_millis(200);
        loop {
            let result = match file.take() {
                Some(file) => self.emit(file).await,
                None => match self.resume().await {
                    Ok(file) => self.emit(file).await,
                    Err(error) => Err(error),
                },
            };
            match result {
                Ok(()) => return self.progress.done.store(true, Ordering::SeqCst),
                Err(error) if !error.category.is_retryable() => {
                    // Nobody else writes it.
                    let _ = self.progress.failure.set(error.to_string());
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, topic = %self.topic, "the simulation cannot emit; it tries again");
                    self.clock.sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(10));
                }
            }
        }
    }

    async fn emit(&self, mut file: File) -> Result<()> {
        let most = self.rate.map_or(BATCH, |rate| (rate / 10.0).clamp(1.0, BATCH as f64) as u64);
        let mut next = self.progress.emitted.load(Ordering::SeqCst);
        while next < self.events {
            let end = (next + most).min((next / BATCH + 1) * BATCH).min(self.events);
            self.producer.send((next..end).map(|i| self.record(i)).collect()).await?;
            let (simulation, topic) = (self.simulation.clone(), self.topic.clone());
            let write = move || {
                let emission = |i| simulation.events.emission(&simulation.world, i).line(&topic);
                let lines: Vec<u8> = (next..end).flat_map(emission).collect();
                file.write_all(&lines).map(|()| file)
            };
            let written = tokio::task::spawn_blocking(write).await;
            file = written
                .map_err(std::io::Error::other)
                .flatten()
                .map_err(|e| Error::permanent(format!("cannot write emitted.jsonl: {e}")))?;
            self.progress.emitted.store(end, Ordering::SeqCst);
            if let Some(rate) = self.rate {
                self.clock.sleep(Duration::from_secs_f64((end - next) as f64 / rate.max(0.001))).await;
            }
            next = end;
        }
        Ok(())
    }

    fn record(&self, i: u64) -> Record {
        let emission = self.simulation.events.emission(&self.simulation.world, i);
        Record {
            topic: self.topic.clone(),
            key: Some(Bytes::from(emission.key)),
            payload: Bytes::from(emission.value.to_string()),
            headers: vec![(Arc::from(HEADER), Bytes::from(format!("{}:{i}", self.seed)))],
        }
    }

    /// The numbers at the end of the topic: at least all of the newest batch that are there.
    async fn newest(&self) -> Result<BTreeSet<u64>> {
        let mut found = BTreeSet::new();
        for bounds in self.log.bounds(&self.topic).await? {
            self.end(bounds, &mut found).await?;
        }
        Ok(found)
    }

    /// Reads one partition backwards until it has shown a number of an older batch than its newest.
    async fn end(&self, bounds: Bounds, found: &mut BTreeSet<u64>) -> Result<()> {
        const WINDOW: i64 = 256;
        let (mut high, mut own) = (bounds.high, BTreeSet::new());
        while high > bounds.low {
            let low = (high - WINDOW).max(bounds.low);
            let mut at = low;
            while at < high {
                let most = usize::try_from(high - at).unwrap_or(0);
                let messages = self.log.read(&self.topic, bounds.partition, at, most).await?;
                let Some(last) = messages.last().map(|m| m.offset) else { break };
                for message in messages.iter().filter(|m| m.offset < high) {
                    own.extend(self.number(message.header(HEADER))?);
                }
                at = last + 1;
            }
            high = low;
            let whole = |(first, last): (&u64, &u64)| first / BATCH < last / BATCH;
            if own.first().zip(own.last()).is_some_and(whole) {
                break;
            }
        }
        found.append(&mut own);
        Ok(())
    }

    /// The number in a header; none where somebody else wrote the message.
    fn number(&self, header: Option<&str>) -> Result<Option<u64>> {
        let Some((seed, number)) = header.and_then(|h| h.split_once(':')) else {
            return Ok(None);
        };
        if seed != self.seed.to_string() {
            let what = format!("topic {} holds the events of seed {seed}, not of seed {}", self.topic, self.seed);
            return Err(
                Error::permanent(what).hint("give the same --seed, or another topic prefix or --data directory")
            );
        }
        Ok(number.parse().ok())
    }
}
