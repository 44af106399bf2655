//! Where dead letters are: in the logs of the topologies that were named, or of those that lie in the usual folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use connectors::clock::{Clock, SystemClock};
use connectors::log::Log;

use super::Selection;
use crate::cli::topics::must_be_there;
use crate::cli::{Failed, Loading, terminal};
use crate::dlq::{Queue, queues};
use crate::plan::{Connection, Kafka, Plan};
use crate::remote;
use crate::run::choose;
use crate::topology::{Environment, load};

/// Where topologies are looked for when none is named.
const FOLDER: &str = "topologies";

/// A dead letter topic and the log that it is in.
pub(super) struct Place {
    pub(super) queue: Queue,
    pub(super) log: Arc<dyn Log>,
}

/// Every dead letter topic of the chosen flows.
pub(super) async fn open(selection: &Selection, environment: &Environment) -> Result<Vec<Place>, Failed> {
    let plans = plans(selection, environment).await?;
    let all: Vec<&Plan> = plans.iter().collect();
    let chosen = choose(&all, &selection.flow).map_err(|problems| Failed { status: 2, problems })?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new(1.0));
    let mut embedded: Option<Arc<dyn Log>> = None;
    let mut places = Vec::new();
    for (plan, chosen) in plans.iter().zip(&chosen) {
        let mut clusters: Vec<(String, Arc<dyn Log>)> = Vec::new();
        for queue in queues(plan, chosen) {
            let Some(Connection::Kafka(kafka)) = plan.connections.get(&queue.connection) else { continue };
            let known = match kafka.brokers {
                None => embedded.clone(),
                Some(_) => clusters.iter().find(|(name, _)| *name == queue.connection).map(|(_, log)| log.clone()),
            };
            let log = match known {
                Some(log) => log,
                None => opened(kafka, &selection.data, &clock).await?,
            };
            match kafka.brokers {
                None => embedded = Some(log.clone()),
                Some(_) => clusters.push((queue.connection.clone(), log.clone())),
            }
            // Topologies may share one.
            if places.iter().all(|p: &Place| p.queue != queue) {
                places.push(Place { queue, log });
            }
        }
    }
    if places.is_empty() {
        return Err(Failed::usage("none of the chosen flows has a topic of dead letters"));
    }
    for id in &selection.ids {
        unambiguous(id, &places).await?;
    }
    Ok(places)
}

/// A place without its topic is in every topic that is as long: whoever means one letter must not replay several.
async fn unambiguous(id: &str, places: &[Place]) -> Result<(), Failed> {
    let Some((partition, offset)) = crate::dlq::place(id) else { return Ok(()) };
    let mut topics = Vec::new();
    for Place { queue, log } in places {
        let bounds = log.bounds(&queue.topic).await?;
        if bounds.iter().any(|b| b.partition == partition && (b.low..b.high).contains(&offset)) {
            topics.push(format!("{}/{id}", queue.topic));
        }
    }
    match topics.len() {
        0 | 1 => Ok(()),
        count => Err(Failed::usage(format!("{id} is a letter in {count} topics; say which: {}", topics.join(", ")))),
    }
}

async fn opened(kafka: &Kafka, data: &Path, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Log>, Failed> {
    must_be_there(kafka, data)?;
    Ok(remote::open(kafka, data, clock.clone()).await?)
}

/// The topologies. One that was named must be sound; of those that were found, the others are left out with a word.
async fn plans(selection: &Selection, environment: &Environment) -> Result<Vec<Plan>, Failed> {
    let mut plans = Vec::new();
    if !selection.topology.is_empty() {
        for topology in &selection.topology {
            plans.push(Loading { topology: topology.clone(), data: selection.data.clone() }.load(environment)?);
        }
        return Ok(plans);
    }
    for file in found().await {
        match load(&file, environment, &selection.data) {
            Ok(loaded) => plans.push(loaded.plan),
            Err(_) => terminal::say(format_args!(
                "{} cannot run as things are, so it is left out; `engine validate` tells why",
                file.display()
            )),
        }
    }
    if plans.is_empty() {
        return Err(Failed::usage(format!("no topology in the folder {FOLDER}: name one with --topology FILE")));
    }
    Ok(plans)
}

async fn found() -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Ok(mut entries) = tokio::fs::read_dir(FOLDER).await {
        while let Ok(Some(entry)) = entries.next_entry().await {
            if entry.path().extension().is_some_and(|extension| extension == "yaml") {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}
