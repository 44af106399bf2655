//! `engine run FILE...`: runs topologies, with or without their simulations.
//!
//! Each topology stays its own plan and its own run. They share the process: the embedded log, the data folder, the signals,
//! and the end, which is the end of all. Whatever is wrong with any of them is told before anything starts.
//!
//! Exit status: 0, it ended as it was asked to, and a run that was to be drained was drained and balanced; 1, something went
//! wrong while it ran; 2, a topology, the settings or the command line are wrong; 130, it was interrupted twice.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use connectors::clock::{Clock, SystemClock};

use super::{Failed, terminal};
use crate::observe::{Observed, server};
use crate::plan::{Flow, Plan};
use crate::remote;
use crate::run::{self, Embedded, Local, Options, Ready, Run, choose, together};
use crate::topology::Environment;

mod dry;
mod simulate;
mod watch;

use simulate::Simulated;

/// The port of metrics and health when none is given.
const METRICS_PORT: u16 = 8000;

/// Under `--sim` five minutes take 300 ms.
const SIM_SCALE: f64 = 0.001;

/// Run topologies
#[derive(clap::Args)]
pub struct Args {
    /// The topologies
    #[arg(required = true, value_name = "TOPOLOGY")]
    topologies: Vec<PathBuf>,
    /// The folder that everything is written to
    #[arg(long, default_value = "data", value_name = "DIR")]
    data: PathBuf,
    /// Only these flows: a flow's name or alias, TOPOLOGY/FLOW, or a topology's name or alias for all its flows
    #[arg(long, alias = "worker", value_name = "NAME")]
    flow: Vec<String>,
    /// Start the topologies' simulations, feed the run from them, and stop when drained
    #[arg(long)]
    sim: bool,
    /// How many events each simulation emits
    #[arg(long, requires = "sim", default_value_t = 3000, value_name = "N")]
    events: u64,
    /// Decides everything that the simulations draw by lot
    #[arg(long, requires = "sim", default_value_t = 1, value_name = "S")]
    seed: u64,
    /// Events a second from each simulation; as fast as they are taken without it
    #[arg(long, requires = "sim", value_name = "N")]
    rate: Option<f64>,
    /// Multiplies retry, cache and breaker delays [default: 1, with --sim 0.001]
    #[arg(long, value_name = "X")]
    time_scale: Option<f64>,
    /// Stop when every topic has been consumed to its end and nothing is in flight
    #[arg(long)]
    until_drained: bool,
    /// Threads for each flow
    #[arg(long, default_value_t = 1, value_name = "N")]
    workers: usize,
    /// Instances of each flow, in one group: they share its partitions
    #[arg(short = 'c', long, default_value_t = 1, value_name = "N")]
    count: usize,
    /// Write no table: rows are computed and counted
    #[arg(long)]
    no_delta: bool,
    /// Allow downloads from addresses of this machine
    #[arg(long)]
    allow_local_urls: bool,
    /// Work against this machine only: brokers elsewhere are refused, missing topics are created
    #[arg(long)]
    dev: bool,
    /// The port of metrics and health; 0 is any that is free [default: 8000, and without if that is taken]
    #[arg(long, value_name = "N")]
    metrics_port: Option<u16>,
    /// The address that metrics and health are served on
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    listen: IpAddr,
    /// Read a few messages, show what each sink would get, and write nothing. APIs are called, because calls are reads
    #[arg(long, conflicts_with_all = ["sim", "until_drained", "workers", "count"])]
    dry_run: bool,
    /// How many messages of each source a dry run reads
    #[arg(long, requires = "dry_run", default_value_t = 5, value_name = "N")]
    messages: usize,
    /// A dry run makes no call either: a message stops where one would be
    #[arg(long, requires = "dry_run")]
    no_calls: bool,
    /// The folder of the log files, one a flow [default: $LOG_DIR, else ./logs, with --sim DIR/logs]
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
}

impl Args {
    /// The folder of the log files that was asked for.
    pub(super) fn log_dir(&self, environment: &Environment) -> Option<PathBuf> {
        self.log_dir.clone().or_else(|| environment.get("LOG_DIR").map(PathBuf::from))
    }

    /// Whether it is a dry run: then not even logs are written into files.
    pub(super) fn writes_nothing(&self) -> bool {
        self.dry_run
    }

    /// The folder of the log files when nobody asked for one. A drill writes nothing outside its data folder: who tries it
    /// out removes one folder, and nothing is left.
    pub(super) fn default_log_dir(&self) -> PathBuf {
        if self.sim { self.data.join("logs") } else { PathBuf::from("logs") }
    }
}

/// A topology that was read, and what of it runs.
struct Topology {
    plan: Arc<Plan>,
    chosen: Vec<usize>,
    simulation: Option<simulate::Bound>,
}

impl Topology {
    fn flows(&self) -> Vec<&Flow> {
        self.chosen.iter().filter_map(|index| self.plan.flows.get(*index)).collect()
    }

    /// Whether all of it runs.
    fn whole(&self) -> bool {
        self.chosen.len() == self.plan.flows.len()
    }
}

/// Runs them.
pub async fn run(args: Args, environment: Environment) -> Result<(), Failed> {
    let scale = args.time_scale.unwrap_or(if args.sim { SIM_SCALE } else { 1.0 });
    if !(scale.is_finite() && scale > 0.0 && args.workers > 0 && args.count > 0) {
        return Err(Failed::usage("--time-scale, --workers and --count must be greater than zero"));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new(scale));
    let mut topologies = read(&args, &environment).await?;
    // What is not chosen has been checked, and is neither connected nor simulated.
    topologies.retain(|topology| !topology.chosen.is_empty());
    if args.dry_run {
        return dry::run(&args, &topologies, &clock).await;
    }
    let observed = Arc::new(Observed::new(clock.clone()));
    let serving = serve(&args, &observed).await?;
    let embedded = Embedded::default();
    let runs = start(&args, &topologies, &embedded, &clock).await?;
    let door = open_door(&args, &embedded).await;
    observed.running(&runs);
    let mut simulated = Vec::new();
    for (topology, instances) in topologies.iter_mut().zip(runs.chunks(args.count)) {
        let (Some(bound), Some(run)) = (topology.simulation.take(), instances.first()) else { continue };
        match simulate::start(bound, run, topology.whole(), &args, &clock).await {
            Ok(started) => simulated.push(started),
            Err(failed) => {
                runs.iter().for_each(Run::stop);
                return Err(failed);
            }
        }
    }
    let ended = watch::watch(runs, simulated, &args, &observed, &*clock).await;
    drop((door, serving));
    ended
}

/// Serves metrics and health. A port that was asked for must be free; the usual one need not.
async fn serve(args: &Args, observed: &Arc<Observed>) -> Result<Option<server::Serving>, Failed> {
    let address = SocketAddr::from((args.listen, args.metrics_port.unwrap_or(METRICS_PORT)));
    match server::serve(observed.clone(), address).await {
        Ok(serving) => {
            tracing::info!(address = %serving.address(), "metrics and health are served");
            Ok(Some(serving))
        }
        Err(error) if args.metrics_port.is_none() && args.listen.is_loopback() => {
            tracing::warn!(%error, "no metrics; --metrics-port asks for another port");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Lets other commands reach the embedded log while this process has it open. A run does its work without, too.
async fn open_door(args: &Args, embedded: &Embedded) -> Option<remote::Door> {
    let door = remote::serve(embedded.0.get()?, &args.data).await;
    door.inspect_err(|error| tracing::warn!(%error, "other commands cannot look at the topics of this run")).ok()
}

/// Reads and checks all topologies, and chooses what runs.
async fn read(args: &Args, environment: &Environment) -> Result<Vec<Topology>, Failed> {
    let mut problems = Vec::new();
    let mut read = Vec::new();
    for file in &args.topologies {
        let mut environment = environment.clone();
        let mut simulation = None;
        if args.sim {
            let bound = simulate::bind(file, args).await?;
            // What the simulation provides wins over the environment, for its own topology: a drill never reaches the real thing.
            environment = environment.overlay(bound.environment());
            simulation = Some(bound);
        }
        match crate::topology::load(file, &environment, &args.data) {
            // Warnings are for whoever writes a topology: `engine validate` shows them.
            Ok(loaded) => {
                let misfits = simulation.as_ref().map(|bound| bound.problems(&loaded.plan)).unwrap_or_default();
                if misfits.has_errors() {
                    terminal::say(misfits.render().trim_end());
                    problems.push(format!("the simulation of {} does not fit it", file.display()));
                }
                read.push((Arc::new(loaded.plan), simulation));
            }
            Err(diagnostics) => {
                terminal::say(diagnostics.render().trim_end());
                problems.push(format!("{} is not a topology that can run", file.display()));
            }
        }
    }
    let plans: Vec<&Plan> = read.iter().map(|(plan, _)| &**plan).collect();
    problems.extend(together::clashes(&plans).into_iter().map(|clash| clash.message));
    // A name may belong to a file that could not be read.
    let chosen = if problems.is_empty() { choose(&plans, &args.flow) } else { Err(Vec::new()) };
    let chosen = chosen.map_err(|more| {
        problems.extend(more);
        Failed { status: 2, problems: std::mem::take(&mut problems) }
    })?;
    let with = |((plan, simulation), chosen)| Topology { plan, chosen, simulation };
    let topologies: Vec<Topology> = read.into_iter().zip(chosen).map(with).collect();
    for topology in &topologies {
        if topology.chosen.is_empty() {
            terminal::say(format_args!(
                "{}: none of its flows is chosen, so it is checked and not run",
                topology.plan.name
            ));
        }
        if args.dev {
            problems.extend(together::not_local(&topology.plan, &topology.flows()));
        }
        if args.count > 1 {
            problems.extend(together::not_several(&topology.plan, &topology.flows()));
        }
    }
    if problems.is_empty() { Ok(topologies) } else { Err(Failed { status: 2, problems }) }
}

/// Connects everything, then starts everything: for each topology as many runs as instances were asked for.
async fn start(
    args: &Args,
    topologies: &[Topology],
    embedded: &Embedded,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Run>, Failed> {
    let mut problems = Vec::new();
    let mut ready: Vec<Ready> = Vec::new();
    for topology in topologies {
        let options = Options {
            data: args.data.clone(),
            workers: args.workers,
            create_topics: args.sim || args.dev,
            local: match &topology.simulation {
                _ if args.allow_local_urls => Local::Allowed,
                Some(bound) => Local::Only(vec![bound.address().to_string()]),
                None => Local::Refused,
            },
            discard: args.no_delta,
            embedded: embedded.clone(),
            clock: clock.clone(),
        };
        for _ in 0..args.count {
            match run::open(topology.plan.clone(), &topology.chosen, &options).await {
                Ok(open) => ready.push(open),
                Err(more) => {
                    // With one topology everybody knows whose connection it is.
                    let several = topologies.len() > 1;
                    let told = |p| if several { format!("{}: {p}", topology.plan.name) } else { p };
                    problems.extend(more.into_iter().map(told));
                    break;
                }
            }
        }
    }
    if !problems.is_empty() {
        return Err(Failed::running(problems));
    }
    let mut runs = Vec::new();
    for ready in ready {
        match ready.start() {
            Ok(run) => runs.push(run),
            Err(problems) => {
                runs.iter().for_each(Run::stop);
                return Err(Failed::running(problems));
            }
        }
    }
    Ok(runs)
}
