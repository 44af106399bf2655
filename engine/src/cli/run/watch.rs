//! Watches runs until they are drained, one cannot go on, or somebody interrupts; then ends them and says what there is.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use connectors::clock::Clock;

use super::{Args, Failed, Simulated, terminal};
use crate::observe::Observed;
use crate::plan::Plan;
use crate::run::drained::Watch;
use crate::run::progress::Progress;
use crate::run::summary::Summary;
use crate::run::{Outside, Run};
use crate::sim;

/// How long stopped flows may take to finish what they have read.
const PATIENCE: Duration = Duration::from_secs(60);

/// Watches `runs` to their end.
pub(super) async fn watch(
    runs: Vec<Run>,
    simulated: Vec<Simulated>,
    args: &Args,
    observed: &Observed,
    clock: &dyn Clock,
) -> Result<(), Failed> {
    let until_drained = args.until_drained || !simulated.is_empty();
    let mut interrupts = Interrupts::new()?;
    let mut drained = Watch::default();
    let mut problems = Vec::new();
    let mut shown = tokio::time::Instant::now();
    // Who watches wants to see it move; in a log a line now and then is enough.
    let person = std::io::stderr().is_terminal();
    let pace = Duration::from_secs(if person { 1 } else { 30 });
    let mut interrupted = false;
    loop {
        tokio::select! {
            () = interrupts.next() => {
                interrupted = true;
                break;
            }
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
        if let Some(problem) = runs.iter().find_map(Run::failure) {
            problems.push(problem);
            break;
        }
        if let Some(problem) = simulated.iter().find_map(|s| s.running.failure()) {
            problems.push(format!("simulation: {problem}"));
            break;
        }
        if until_drained {
            let more = simulated.iter().any(|s| !s.running.done());
            // A broker that is gone may keep it waiting: a signal is heard all the same.
            let looked = tokio::select! {
                looked = drained.look(&runs, more) => looked,
                () = interrupts.next() => {
                    interrupted = true;
                    break;
                }
            };
            match looked {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => {
                    problems.push(error.to_string());
                    break;
                }
            }
        }
        if shown.elapsed() >= pace {
            shown = tokio::time::Instant::now();
            tell(&runs, &simulated, clock.now() / 1000, person);
        }
    }
    if interrupted {
        let stopping = "stopping: what has been read is finished first; interrupt again to stop at once";
        if person { terminal::say(stopping) } else { tracing::info!("{stopping}") }
    }
    observed.stopping();
    runs.iter().for_each(Run::stop);
    let conservation: Vec<String> = runs.iter().flat_map(conservation).collect();
    let mut left = Vec::new();
    let ends = async {
        // All were told to stop, so they end side by side: waiting for one after the other takes as long as the slowest.
        let mut ended = Vec::new();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        for run in runs {
            let plan = run.plan.clone();
            let patience = deadline.saturating_duration_since(tokio::time::Instant::now());
            let (outside, more) = run.join(patience).await;
            ended.push((plan, outside, more));
        }
        ended
    };
    let ended = tokio::select! {
        ended = ends => ended,
        () = interrupts.next() => std::process::exit(130),
    };
    for (plan, outside, more) in ended {
        problems.extend(more);
        left.push((plan, outside));
    }
    for simulation in &simulated {
        simulation.running.stop().await;
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
    // The instances of a topology have left one and the same thing.
    let left: Vec<_> = left.into_iter().step_by(args.count).collect();
    finish(&left, &simulated, conservation, args).await
}

/// Says how it goes: to a person in one line, else as an event a flow.
fn tell(runs: &[Run], simulated: &[Simulated], now: i64, person: bool) {
    if person {
        let emitted: u64 = simulated.iter().map(|s| s.running.emitted()).sum();
        let emitted = if simulated.is_empty() { String::new() } else { format!("{emitted} events emitted, ") };
        terminal::say(format_args!("{emitted}{}", Progress::of(runs, now)));
        return;
    }
    for (run, flow) in runs.iter().flat_map(|run| run.flows.iter().map(move |flow| (run, flow))) {
        let Progress { messages, calls, refreshes, files, rows, failed, lag_ms } = Progress::of_flow(flow, now);
        let (topology, flow) = (run.plan.name.as_str(), flow.name.as_str());
        tracing::info!(topology, flow, messages, calls, refreshes, files, rows, failed, lag_ms, "progress");
    }
}

/// Messages that entered a flow and have no outcome, or more than one.
fn conservation(run: &Run) -> Vec<String> {
    let unbalanced = run.flows.iter().filter_map(|flow| {
        let (entered, settled) = (flow.stats.messages.load(Ordering::SeqCst), flow.stats.settled());
        (entered != settled).then(|| {
            format!("flow {}/{}: {entered} messages entered, {settled} have an outcome", run.plan.name, flow.name)
        })
    });
    unbalanced.collect()
}

/// Prints what the topologies left, and compares it with what the simulations imply.
async fn finish(
    left: &[(Arc<Plan>, Arc<Outside>)],
    simulated: &[Simulated],
    mut problems: Vec<String>,
    args: &Args,
) -> Result<(), Failed> {
    let mut shown = String::new();
    let mut first = None;
    let mut unwritten = false;
    for (plan, outside) in left {
        let summary = Summary::read(plan, outside).await?;
        if left.len() > 1 {
            shown += &format!("topology {}\n", plan.name);
        }
        shown += &summary.to_string();
        unwritten |= outside.tables().any(|(_, table)| !table.written);
        let simulation = simulated.iter().find(|s| s.topology == plan.name && s.whole);
        problems.extend(simulation.map(|s| missing(&summary, outside, &s.running)).unwrap_or_default());
        let written = outside.tables().find(|(_, table)| table.written);
        first = first.or(written.and_then(|(_, table)| table.plan.url.rsplit('/').next().map(str::to_owned)));
    }
    let state = if problems.is_empty() { "drained and balanced" } else { "drained, not balanced" };
    if unwritten {
        let compared = if simulated.is_empty() { "" } else { ", and not compared with what the simulation implies" };
        shown += &format!("tables are not written: their rows were computed{compared}\n");
    }
    if let Some(table) = first {
        let tables = args.data.join("tables");
        shown += &format!("query: engine query {} \"SELECT * FROM {table} LIMIT 5\"\n", tables.display());
    }
    terminal::put(&format!("{state}\n{shown}"))?;
    if problems.is_empty() { Ok(()) } else { Err(Failed::running(problems)) }
}

/// The tables that do not hold the rows which the simulation implies. Tables that are not written are not asked.
fn missing(summary: &Summary, outside: &Outside, simulation: &sim::Running) -> Vec<String> {
    let unwritten = |name: &str| outside.tables().any(|(table, open)| table == name && !open.written);
    let mut problems = Vec::new();
    for expected in simulation.expected().into_iter().filter(|e| !unwritten(&e.table)) {
        let rows = summary.tables.iter().find(|(name, ..)| *name == expected.table).map(|(_, rows, _)| *rows);
        if rows != Some(expected.rows) {
            let found = rows.map_or("is missing".to_owned(), |r| format!("holds {r} rows"));
            problems.push(format!("table {} {found}, the simulation implies {}", expected.table, expected.rows));
        }
    }
    problems
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
