//! The simulations that run beside topologies: where each listens, and where its account is.
//!
//! The account is `DIR/sim` when one topology is given, `DIR/sim/TOPOLOGY` when several are: it stays where it is, whichever
//! of their flows are chosen.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use connectors::clock::Clock;

use super::{Args, Failed, terminal};
use crate::check;
use crate::plan::Plan;
use crate::run::Run;
use crate::sim;
use crate::topology::{Diagnostics, Head};

/// The file beside the account that holds the simulation's port.
const PORT: &str = "port";

/// A simulation that has an address.
pub(super) struct Bound {
    bound: sim::Bound,
    account: PathBuf,
    /// The variables that its topology names.
    variables: BTreeSet<String>,
}

impl Bound {
    pub(super) fn address(&self) -> SocketAddr {
        self.bound.address()
    }

    /// The variables that its topology needs to talk to it.
    pub(super) fn environment(&self) -> std::collections::BTreeMap<String, String> {
        self.bound.environment()
    }

    /// What it says of its topology that is not so.
    pub(super) fn problems(&self, plan: &Plan) -> Diagnostics {
        let simulation = self.bound.simulation();
        Diagnostics::new(check::fits(simulation, plan, &self.variables), vec![simulation.source().clone()])
    }
}

/// A simulation at work.
pub(super) struct Simulated {
    /// The topology that it feeds.
    pub(super) topology: String,
    /// Whether all flows of the topology run, so that the rows which the simulation implies come to be.
    pub(super) whole: bool,
    /// The simulation.
    pub(super) running: sim::Running,
}

/// Takes an address for the simulation of the topology in `file`.
pub(super) async fn bind(file: &Path, args: &Args) -> Result<Bound, Failed> {
    let (head, simulation) = load(file)?;
    let mut account = args.data.join("sim");
    if args.topologies.len() > 1 {
        account.push(&head.name);
    }
    let bound = simulation.bind(address(&account).await).await?;
    Ok(Bound { bound, account, variables: head.variables })
}

/// Serves, and emits into the log of its topic.
pub(super) async fn start(
    bound: Bound,
    run: &Run,
    whole: bool,
    args: &Args,
    clock: &Arc<dyn Clock>,
) -> Result<Simulated, Failed> {
    let Bound { bound, account, .. } = bound;
    let topic = run.plan.topics.values().find(|topic| topic.name == bound.simulation().topic());
    let topic_log = match topic.map(|topic| run.outside.log(&topic.connection)) {
        Some(Ok(log)) => log,
        // Of flows that are not chosen the logs are not open.
        _ => run.outside.first_log()?,
    };
    let options = sim::Options {
        seed: args.seed,
        events: args.events,
        account_dir: account.clone(),
        clock: clock.clone(),
        emit: Some(sim::Emit { producer: topic_log.producer().await?, log: topic_log.clone() }),
        rate: args.rate,
    };
    let port = bound.address().port();
    let running = bound.start(options).await?;
    let kept = account.join(PORT);
    tokio::fs::write(&kept, port.to_string())
        .await
        .map_err(|e| Failed::running(vec![format!("{}: {e}", kept.display())]))?;
    Ok(Simulated { topology: run.plan.name.clone(), whole, running })
}

/// Where the simulation listens: links that an earlier run gave out, and that still wait in topics, lead to its port. If that
/// is taken, any other will do.
async fn address(account: &Path) -> SocketAddr {
    let kept = tokio::fs::read_to_string(account.join(PORT)).await.ok();
    let port: u16 = kept.and_then(|port| port.trim().parse().ok()).unwrap_or(0);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    match tokio::net::TcpListener::bind(address).await {
        Ok(_) => address,
        Err(error) => {
            tracing::warn!(%address, %error, "the simulation moves: links of an earlier run lead nowhere");
            ([127, 0, 0, 1], 0).into()
        }
    }
}

/// The name of the topology in a file, and the simulation that it names.
fn load(topology: &Path) -> Result<(Head, sim::Simulation), Failed> {
    let head = crate::topology::head_of(topology).map_err(|problems| {
        terminal::say(problems.render().trim_end());
        Failed::usage(format!("{} cannot be read", topology.display()))
    })?;
    let file = head.simulation.as_ref();
    let file = file.ok_or_else(|| Failed::usage(format!("{} names no simulation", topology.display())))?;
    let simulation = sim::load(file).map_err(|problems| crate::cli::broken(file, &problems, "a simulation"))?;
    Ok((head, simulation))
}
