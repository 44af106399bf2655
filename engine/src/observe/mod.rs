//! What a running process shows of itself: metrics, health, logs.
//!
//! - [`series`] is the catalogue: every metric with its kind, its labels and its meaning.
//! - [`gather`] reads their values off the runs at the moment somebody asks; nothing is counted for it.
//! - [`lag`] asks the topics how far behind the groups are.
//! - [`exposition`] writes values as Prometheus reads them.
//! - [`health`] judges whether the process is alive and ready, with its reasons.
//! - [`server`] answers over HTTP: `/metrics`, `/health/live`, `/health/ready`.
//! - [`logs`] is where lines go: standard error, and a file a flow.
//!
//! All of it reads. Nothing here changes what a run does, and a run goes on when any of it fails.

pub mod exposition;
pub mod gather;
pub mod health;
pub mod lag;
pub mod logs;
pub mod series;
pub mod server;

use std::sync::{Arc, PoisonError, RwLock};

use connectors::clock::{Clock, Micros};

use crate::dataflow::{Control, Stats};
use crate::plan::Plan;
use crate::run::{Outside, Run};

/// A flow that runs, as far as it can be seen from outside.
#[derive(Clone)]
pub struct Flow {
    /// Its name.
    pub name: String,
    /// What it says of itself.
    pub control: Arc<Control>,
    /// What it has counted.
    pub stats: Arc<Stats>,
}

/// A run, as far as it can be seen from outside.
#[derive(Clone)]
pub struct Subject {
    /// What runs.
    pub plan: Arc<Plan>,
    /// What it reaches.
    pub outside: Arc<Outside>,
    /// Its flows.
    pub flows: Vec<Flow>,
}

impl Subject {
    /// Of `run`.
    pub fn of(run: &Run) -> Self {
        let flow = |f: &crate::dataflow::flow::Running| Flow {
            name: f.name.clone(),
            control: f.control.clone(),
            stats: f.stats.clone(),
        };
        Subject { plan: run.plan.clone(), outside: run.outside.clone(), flows: run.flows.iter().map(flow).collect() }
    }
}

/// How far a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It opens what its topologies name.
    Connecting,
    /// Its flows run.
    Running,
    /// Its flows finish what they have read.
    Stopping,
}

/// The process as whoever asks finds it.
pub struct Observed {
    clock: Arc<dyn Clock>,
    begun: Micros,
    state: RwLock<(Phase, Arc<Vec<Subject>>)>,
    lag: lag::Lag,
}

impl Observed {
    /// A process that begins.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = RwLock::new((Phase::Connecting, Arc::default()));
        Observed { begun: clock.now(), clock, state, lag: lag::Lag::default() }
    }

    /// Its flows run now.
    pub fn running(&self, runs: &[Run]) {
        let subjects = Arc::new(runs.iter().map(Subject::of).collect());
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = (Phase::Running, subjects);
    }

    /// Its flows have been told to end.
    pub fn stopping(&self) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).0 = Phase::Stopping;
    }

    /// How far it is, and what runs.
    pub fn look(&self) -> (Phase, Arc<Vec<Subject>>) {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All metrics, as text.
    pub async fn metrics(&self) -> Result<String, std::fmt::Error> {
        let (_, subjects) = self.look();
        let now = self.clock.now();
        let lag = self.lag.of(&subjects, now).await;
        exposition::text(gather::gather(&subjects, &lag, now, self.begun))
    }

    /// Whether it is alive and ready.
    pub fn health(&self) -> health::Health {
        let (phase, subjects) = self.look();
        health::judge(phase, &health::signs(&subjects, self.clock.now()))
    }
}
