//! Flows of a topology of the repository, end to end: its raw topic is filled before, and the engine runs until it is drained.
//!
//! Topics are those of the embedded log, tables and files are on the local disk, the API is the topology's own simulation in
//! this process, without faults. The two share the machine's processors; processor time and memory are the engine's alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use connectors::clock::{Clock, SystemClock};
use connectors::embedded;
use connectors::log::{Log, TopicSpec};
use engine::sim;

use crate::Asked;
use crate::child;
use crate::report::Report;

const TOPOLOGY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../topologies/claimx.yaml");
const SIMULATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../topologies/sim/claimx.yaml");
/// How long every answer of the API takes.
const LATENCY: Duration = Duration::from_millis(5);
/// Partitions of the raw topic: what the engine creates by itself.
const PARTITIONS: i32 = 6;

/// Raw topic to entity tables: two flows, a topic between them, one or more calls of the API for most events.
pub async fn enrich(asked: &Asked) -> Result<Report, String> {
    flows("enrich", &["ingester", "enricher"], asked).await
}

/// Raw topic to dedup, one table and the next topic: no call.
pub async fn ingest(asked: &Asked) -> Result<Report, String> {
    flows("ingest", &["ingester"], asked).await
}

async fn flows(name: &str, flows: &[&str], asked: &Asked) -> Result<Report, String> {
    let (events, runs) = (asked.events, asked.runs);
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let filled = folder.path().join("filled");
    fill(&filled, events).await?;
    let mut report = Report::new(format!("{name}: {events} events through {}", flows.join(" and ")));
    for run in 0..runs {
        let data = folder.path().join(format!("run-{run}"));
        copy_topics(&filled, &data)?;
        measure(&data, flows, asked, &mut report).await?;
        std::fs::remove_dir_all(&data).map_err(|e| e.to_string())?;
    }
    Ok(report)
}

async fn measure(data: &Path, flows: &[&str], asked: &Asked, report: &mut Report) -> Result<(), String> {
    let events = asked.events;
    let served = simulation()?.bind(([127, 0, 0, 1], 0).into()).await.map_err(|e| e.to_string())?;
    let mut environment: BTreeMap<String, String> = served.environment();
    // What is not there at once is asked for again soon.
    environment.insert("KAFKA_RETRY_DELAYS".into(), "[1s, 2s]".into());
    let served = served.start(options(data.join("answers"), events, None)).await.map_err(|e| e.to_string())?;
    let data_text = data.display().to_string();
    let mut arguments = vec!["run", TOPOLOGY, "--data", &data_text, "--until-drained", "--log-level", "warn"];
    arguments.extend(flows.iter().flat_map(|flow| ["--flow", flow]));
    let usage = child::run(&asked.under, &arguments, &environment, &data.join("engine.log")).await?;
    let calls = served.calls();
    served.stop().await;
    report.more("throughput", "events/s", events as f64 / usage.wall.as_secs_f64());
    report.less("wall", "s", usage.wall.as_secs_f64());
    report.less("processor", "s", usage.processor.as_secs_f64());
    report.more("per processor second", "events", events as f64 / usage.processor.as_secs_f64());
    report.less("peak memory", "MiB", usage.memory_mib);
    report.less("calls of the API", "", calls as f64);
    Ok(())
}

/// Puts `events` on the raw topic of the embedded log below `data`.
async fn fill(data: &Path, events: u64) -> Result<(), String> {
    let log = embedded::Log::open(data.join("topics"), embedded::Options::default(), clock()).await;
    let log: Arc<dyn Log> = Arc::new(log.map_err(|e| e.to_string())?);
    let bound = simulation()?.bind(([127, 0, 0, 1], 0).into()).await.map_err(|e| e.to_string())?;
    let topic = TopicSpec { name: bound.simulation().topic().to_owned(), partitions: PARTITIONS };
    log.create(&[topic]).await.map_err(|e| e.to_string())?;
    let producer = log.producer().await.map_err(|e| e.to_string())?;
    let emit = sim::Emit { producer, log: log.clone() };
    let running = bound.start(options(data.join("sim"), events, Some(emit))).await.map_err(|e| e.to_string())?;
    while !running.done() {
        if let Some(failure) = running.failure() {
            return Err(failure);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.stop().await;
    Ok(())
}

fn simulation() -> Result<sim::Simulation, String> {
    let simulation = sim::load(Path::new(SIMULATION)).map_err(|problems| problems.render())?;
    Ok(simulation.calm(LATENCY))
}

fn options(account_dir: PathBuf, events: u64, emit: Option<sim::Emit>) -> sim::Options {
    sim::Options { seed: 1, events, account_dir, clock: clock(), emit, rate: None }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new(1.0))
}

fn copy_topics(from: &Path, to: &Path) -> Result<(), String> {
    let (from, to) = (from.join("topics"), to.join("topics"));
    std::fs::create_dir_all(&to).map_err(|e| e.to_string())?;
    for entry in std::fs::read_dir(&from).map_err(|e| e.to_string())? {
        let entry = entry.map_err(|e| e.to_string())?;
        std::fs::copy(entry.path(), to.join(entry.file_name())).map_err(|e| e.to_string())?;
    }
    Ok(())
}
