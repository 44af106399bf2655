//! Runs a topology: connects what it names, starts its flows, watches them, stops them.
//!
//! Loading has four steps that never mix: parse, check, connect, run. The first two are [`crate::topology`]; [`connect`] is
//! the third and touches the outside for the first time; only this module spawns.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use connectors::clock::Clock;
use connectors::log::Log;

use crate::dataflow::flow::{Connected, Running, start};
use crate::plan::{Flow, Plan, SourceKind};

pub mod choose;
pub mod connect;
pub mod drained;
pub mod dry;
pub mod probe;
pub mod progress;
pub mod summary;
pub mod systems;
pub mod together;

pub use choose::choose;
pub use connect::Outside;
pub use systems::{Real, Systems};

/// How topologies are run.
#[derive(Clone)]
pub struct Options {
    /// The folder that everything is written to.
    pub data: PathBuf,
    /// Threads for each flow.
    pub workers: usize,
    /// Whether missing topics are created.
    pub create_topics: bool,
    /// Addresses on this machine that files may be downloaded from.
    pub local: Local,
    /// Whether no table is opened or written: rows are computed and counted.
    pub discard: bool,
    /// The embedded log, which everything that runs on these options shares.
    pub embedded: Embedded,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// The one embedded log of a process, opened when it is first needed. Clones share it.
#[derive(Clone, Default)]
pub struct Embedded(pub(crate) Arc<tokio::sync::OnceCell<Arc<dyn Log>>>);

/// Which addresses on this machine may be downloaded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// None: the rule.
    Refused,
    /// Only these, as `host:port`: the simulation's.
    Only(Vec<String>),
    /// All: asked for by `--allow-local-urls`.
    Allowed,
}

/// A topology that runs.
pub struct Run {
    /// What it is.
    pub plan: Arc<Plan>,
    /// What it reaches.
    pub outside: Arc<Outside>,
    /// Its flows.
    pub flows: Vec<Running>,
}

/// A topology whose flows are connected and wait for their start.
pub struct Ready {
    plan: Arc<Plan>,
    outside: Arc<Outside>,
    flows: Vec<(Flow, Connected)>,
    workers: usize,
}

/// Connects the flows of `plan` with the indexes `chosen`. Every problem is reported, not only the first.
pub async fn open(plan: Arc<Plan>, chosen: &[usize], options: &Options) -> Result<Ready, Vec<String>> {
    open_over(plan, chosen, options, Arc::new(Real::new(options)), false).await
}

/// Like [`open`], over `systems`. With `observed` each flow has an observer; then there must be one worker.
pub async fn open_over(
    plan: Arc<Plan>,
    chosen: &[usize],
    options: &Options,
    systems: Arc<dyn Systems>,
    observed: bool,
) -> Result<Ready, Vec<String>> {
    let outside = Arc::new(Outside::open(&plan, chosen, options, systems).await?);
    let mut flows = Vec::new();
    let mut problems = Vec::new();
    for flow in chosen.iter().filter_map(|index| plan.flows.get(*index)) {
        match outside.connect(&plan, flow).await {
            Ok(mut ready) => {
                ready.observer = observed.then(Arc::default);
                flows.push((flow.clone(), ready));
            }
            Err(problem) => problems.push(format!("flow {}: {problem}", flow.name)),
        }
    }
    if problems.is_empty() { Ok(Ready { plan, outside, flows, workers: options.workers }) } else { Err(problems) }
}

impl Ready {
    /// Starts the flows.
    pub fn start(self) -> Result<Run, Vec<String>> {
        let Ready { plan, outside, flows: ready, workers } = self;
        let mut flows = Vec::new();
        for (flow, connected) in ready {
            flows.push(start(&plan.name, flow, connected, workers).map_err(|e| vec![e])?);
        }
        Ok(Run { plan, outside, flows })
    }
}

/// Connects and starts all flows of `plan`.
pub async fn run(plan: Plan, options: &Options) -> Result<Run, Vec<String>> {
    let all: Vec<usize> = (0..plan.flows.len()).collect();
    open(Arc::new(plan), &all, options).await?.start()
}

impl Run {
    /// Why a flow cannot go on, if one cannot.
    pub fn failure(&self) -> Option<String> {
        self.flows.iter().find_map(|f| {
            let ended =
                || (f.is_finished() && !f.control.is_stopped()).then(|| format!("flow {} ended by itself", f.name));
            f.control.failure().or_else(ended)
        })
    }

    /// Asks every flow to read no more and to finish what it has.
    pub fn stop(&self) {
        for flow in &self.flows {
            flow.control.stop();
        }
    }

    /// Waits until every flow has ended, at most `patience`. Returns what went wrong.
    pub async fn join(self, patience: Duration) -> (Arc<Outside>, Vec<String>) {
        let Run { outside, flows, .. } = self;
        let mut problems = Vec::new();
        let deadline = tokio::time::Instant::now() + patience;
        for flow in flows {
            let (name, control) = (flow.name.clone(), flow.control.clone());
            match tokio::time::timeout_at(deadline, flow.join()).await {
                Ok(Ok(())) => problems.extend(control.failure().map(|f| format!("flow {name}: {f}"))),
                Ok(Err(problem)) => problems.push(problem),
                Err(_) => {
                    problems.push(format!("flow {name}: not finished in time; what is not committed is read again"))
                }
            }
        }
        (outside, problems)
    }

    /// Whether a flow reads something that never ends by itself.
    pub fn reads_topics(&self) -> bool {
        self.plan.flows.iter().any(|f| matches!(f.source.kind, SourceKind::Topic { .. }))
    }
}
