//! `engine run FILE`: runs a topology, with or without its simulation.
//!
//! Exit status: 0, it ended as it was asked to, and a run that was to be drained was drained and balanced; 1, something went
//! wrong while it ran; 2, the topology, the settings or the command line are wrong; 130, it was interrupted twice.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use connectors::clock::{Clock, SystemClock};

use super::{Failed, Loading};
use crate::plan::Plan;
use crate::run::drained::Watch;
use crate::run::progress::Progress;
use crate::run::summary::Summary;
use crate::run::{self, Local, Options, Run};
use crate::sim;
use crate::topology::Environment;

/// Under `--sim` five minutes take 300 ms.
const SIM_SCALE: f64 = 0.001;

/// The file beside the account that holds the simulation's port.
const PORT: &str = "port";

/// Run a topology
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    loading: Loading,
    /// Only these flows, by name or alias
    #[arg(long, alias = "worker", value_name = "NAME")]
    flow: Vec<String>,
    /// Start the topology's simulation, feed the run from it, and stop when drained
    #[arg(long)]
    sim: bool,
    /// How many events the simulation emits
    #[arg(long, default_value_t = 3000, value_name = "N")]
    events: u64,
    /// Decides everything that the simulation draws by lot
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// Events a second from the simulation; as fast as they are taken without it
    #[arg(long, value_name = "N")]
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
    /// Allow downloads from addresses of this machine
    #[arg(long)]
    allow_local_urls: bool,
    /// Work against local systems only: missing topics are created
    #[arg(long)]
    dev: bool,
}

/// Runs it.
pub async fn run(args: Args, environment: Environment) -> Result<(), Failed> {
    let scale = args.time_scale.unwrap_or(if args.sim { SIM_SCALE } else { 1.0 });
    if !(scale.is_finite() && scale > 0.0 && args.workers > 0) {
        return Err(Failed::usage("--time-scale and --workers must be greater than zero"));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new(scale));
    let mut bound = None;
    let mut environment = environment;
    if args.sim {
        let simulation = load_simulation(&args.loading.topology)?;
        let listening = simulation.bind(simulation_address(&args.loading.data).await).await?;
        // What the simulation provides wins over the environment: a drill never reaches the real thing.
        environment = environment.overlay(listening.environment());
        bound = Some(listening);
    }
    let plan = args.loading.load(&environment)?;
    let options = Options {
        data: args.loading.data.clone(),
        flows: args.flow.clone(),
        workers: args.workers,
        create_topics: args.sim || args.dev,
        local: match &bound {
            _ if args.allow_local_urls => Local::Allowed,
            Some(bound) => Local::Only(vec![bound.address().to_string()]),
            None => Local::Refused,
        },
        clock: clock.clone(),
    };
    let run = run::run(plan, &options).await.map_err(Failed::running)?;
    let mut simulation = None;
    if let Some(bound) = bound {
        let topic_log = run.outside.first_log()?;
        let options = sim::Options {
            seed: args.seed,
            events: args.events,
            account_dir: args.loading.data.join("sim"),
            clock: clock.clone(),
            emit: Some(sim::Emit { producer: topic_log.producer().await?, log: topic_log.clone() }),
            rate: args.rate,
        };
        let port = bound.address().port();
        match bound.start(options).await {
            Ok(started) => {
                keep_port(&args.loading.data, port).await?;
                simulation = Some(started);
            }
            Err(error) => {
                run.stop();
                return Err(error.into());
            }
        }
    }
    watch(run, simulation, &args, &*clock).await
}

/// Where the simulation listens: links that an earlier run gave out, and that still wait in topics, lead to its port. If that
/// is taken, any other will do.
async fn simulation_address(data: &Path) -> std::net::SocketAddr {
    let kept = tokio::fs::read_to_string(data.join("sim").join(PORT)).await.ok();
    let port: u16 = kept.and_then(|port| port.trim().parse().ok()).unwrap_or(0);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    match tokio::net::TcpListener::bind(address).await {
        Ok(_) => address,
        Err(error) => {
            tracing::warn!(%address, %error, "the simulation moves: links of an earlier run lead nowhere");
            ([127, 0, 0, 1], 0).into()
        }
    }
}

async fn keep_port(data: &Path, port: u16) -> Result<(), Failed> {
    let path = data.join("sim").join(PORT);
    let kept = tokio::fs::write(&path, port.to_string()).await;
    kept.map_err(|e| Failed::running(vec![format!("{}: {e}", path.display())]))
}

fn load_simulation(topology: &Path) -> Result<sim::Simulation, Failed> {
    let file = crate::topology::simulation_of(topology).map_err(|problems| {
        eprint!("{}", problems.render());
        Failed::usage(format!("{} cannot be read", topology.display()))
    })?;
    let file = file.ok_or_else(|| Failed::usage(format!("{} names no simulation", topology.display())))?;
    sim::load(&file).map_err(|problems| Failed { status: 2, problems })
}

/// Watches a run until it is drained, cannot go on, or is interrupted.
async fn watch(run: Run, simulation: Option<sim::Running>, args: &Args, clock: &dyn Clock) -> Result<(), Failed> {
    let until_drained = args.until_drained || simulation.is_some();
    let mut interrupts = Interrupts::new()?;
    let mut drained = Watch::default();
    let mut problems = Vec::new();
    let mut shown = tokio::time::Instant::now();
    let mut interrupted = false;
    loop {
        tokio::select! {
            () = interrupts.next() => {
                eprintln!("stopping: what has been read is finished first; interrupt again to stop at once");
                interrupted = true;
                break;
            }
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
        if let Some(problem) = run.failure() {
            problems.push(problem);
            break;
        }
        if let Some(problem) = simulation.as_ref().and_then(sim::Running::failure) {
            problems.push(format!("simulation: {problem}"));
            break;
        }
        let more = simulation.as_ref().is_some_and(|s| !s.done());
        if until_drained {
            match drained.look(&run, more).await {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => {
                    problems.push(error.to_string());
                    break;
                }
            }
        }
        if shown.elapsed() >= Duration::from_secs(1) {
            shown = tokio::time::Instant::now();
            let emitted = simulation.as_ref().map_or_else(String::new, |s| format!("{} events emitted, ", s.emitted()));
            eprintln!("{emitted}{}", Progress::of(&run, clock.now() / 1000));
        }
    }
    run.stop();
    let plan = run.plan.clone();
    let conservation = conservation(&run);
    let (outside, more) = tokio::select! {
        ended = run.join(Duration::from_secs(60)) => ended,
        () = interrupts.next() => std::process::exit(130),
    };
    problems.extend(more);
    if let Some(simulation) = &simulation {
        simulation.stop().await;
    }
    if !problems.is_empty() {
        return Err(Failed::running(problems));
    }
    if interrupted && until_drained {
        return Err(Failed::running(vec!["interrupted before it was drained; run it again to go on".to_owned()]));
    }
    if !until_drained {
        return Ok(());
    }
    finish(&plan, &outside, simulation.as_ref(), conservation, args).await
}

/// Messages that entered a flow and have no outcome, or more than one.
fn conservation(run: &Run) -> Vec<String> {
    let unbalanced = run.flows.iter().filter_map(|flow| {
        let (entered, settled) = (flow.stats.messages.load(Ordering::SeqCst), flow.stats.settled());
        (entered != settled)
            .then(|| format!("flow {}: {entered} messages entered, {settled} have an outcome", flow.name))
    });
    unbalanced.collect()
}

async fn finish(
    plan: &Plan,
    outside: &run::Outside,
    simulation: Option<&sim::Running>,
    mut problems: Vec<String>,
    args: &Args,
) -> Result<(), Failed> {
    let summary = Summary::read(plan, outside).await?;
    for expected in simulation.into_iter().flat_map(sim::Running::expected) {
        let rows = summary.tables.iter().find(|(name, ..)| *name == expected.table).map(|(_, rows, _)| *rows);
        if args.flow.is_empty() && rows != Some(expected.rows) {
            let found = rows.map_or("is missing".to_owned(), |r| format!("holds {r} rows"));
            problems.push(format!("table {} {found}, the simulation implies {}", expected.table, expected.rows));
        }
    }
    let state = if problems.is_empty() { "drained and balanced" } else { "drained, not balanced" };
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let tables = args.loading.data.join("tables");
    let first = summary.tables.first().and_then(|(_, _, url)| url.rsplit('/').next()).unwrap_or("t").to_owned();
    let hint = format!("query: engine query {} \"SELECT * FROM {first} LIMIT 5\"", tables.display());
    writeln!(out, "{state}\n{summary}{hint}").map_err(|e| Failed::running(vec![format!("standard output: {e}")]))?;
    if problems.is_empty() { Ok(()) } else { Err(Failed::running(problems)) }
}

/// SIGINT and SIGTERM, from the moment this is made: a signal that comes while nobody waits is not lost.
struct Interrupts {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Interrupts {
    fn new() -> Result<Self, Failed> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |e: std::io::Error| Failed::running(vec![format!("signals: {e}")]);
        Ok(Interrupts {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
