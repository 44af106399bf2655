//! Runs a topology: connects what it names, starts its flows, watches them, stops them.
//!
//! Loading has four steps that never mix: parse, check, connect, run. The first two are [`crate::topology`]; [`connect`] is
//! the third and touches the outside for the first time; only this module spawns.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use connectors::clock::Clock;

use crate::dataflow::flow::{Running, start};
use crate::plan::{Plan, SourceKind};

pub mod connect;
pub mod drained;
pub mod progress;
pub mod summary;

pub use connect::Outside;

/// How a topology is run.
#[derive(Clone)]
pub struct Options {
    /// The folder that everything is written to.
    pub data: PathBuf,
    /// Which flows; none means all.
    pub flows: Vec<String>,
    /// Threads for each flow.
    pub workers: usize,
    /// Whether missing topics are created.
    pub create_topics: bool,
    /// Addresses on this machine that files may be downloaded from.
    pub local: Local,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

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

/// Connects the chosen flows of `plan` and starts them. Every problem is reported, not only the first.
pub async fn run(plan: Plan, options: &Options) -> Result<Run, Vec<String>> {
    let plan = Arc::new(plan);
    let chosen = choose(&plan, &options.flows)?;
    let outside = Arc::new(Outside::open(&plan, &chosen, options).await?);
    let mut connected = Vec::new();
    let mut problems = Vec::new();
    for &index in &chosen {
        let flow = &plan.flows[index];
        match outside.connect(&plan, flow).await {
            Ok(ready) => connected.push((flow.clone(), ready)),
            Err(problem) => problems.push(format!("flow {}: {problem}", flow.name)),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut flows = Vec::new();
    for (flow, ready) in connected {
        flows.push(start(&plan.name, flow, ready, options.workers).map_err(|e| vec![e])?);
    }
    Ok(Run { plan, outside, flows })
}

/// The indexes of the flows called `names`, by name or alias.
fn choose(plan: &Plan, names: &[String]) -> Result<Vec<usize>, Vec<String>> {
    if names.is_empty() {
        return Ok((0..plan.flows.len()).collect());
    }
    let mut chosen = Vec::new();
    let mut unknown = Vec::new();
    for name in names {
        match plan.flows.iter().position(|f| f.name == *name || f.aliases.contains(name)) {
            Some(index) if chosen.contains(&index) => {}
            Some(index) => chosen.push(index),
            None => {
                let known: Vec<&str> = plan.flows.iter().map(|f| f.name.as_str()).collect();
                unknown.push(format!("no flow is called `{name}`; there are {}", known.join(", ")));
            }
        }
    }
    if unknown.is_empty() { Ok(chosen) } else { Err(unknown) }
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
