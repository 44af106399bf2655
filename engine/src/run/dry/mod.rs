//! A dry run: a few messages of the real sources go through the real stages, and what each sink would get is shown instead of
//! written.
//!
//! Nothing is written anywhere: no position, topic, table, file, folder. What a run would need to know is read where it is:
//! positions of groups, keys of tables for `dedup` and `present`, lengths of files in a spool. APIs are called, because calls
//! are reads, unless that is not wanted; then a message stops where its call would be. Downloads and uploads are checked as far
//! as that goes without asking anybody, and told. `systems` is the outside of it, `show` what people read.
//!
//! Each flow reads its own source only, with its retry topics as far as they are due: what one would send to another is shown, and not
//! read. Messages go one after the other, so that what is shown belongs to one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use connectors::clock::{Clock, Micros};
use connectors::log::{Log, Message, Source as _};
use connectors::{Error, Result, file};

use self::systems::Dry;
use super::{Options, Outside};
use crate::dataflow::flow::{Running, start};
use crate::plan::{Flow, Plan, SourceKind, StageKind};
use crate::stage::message::header;

mod look;
mod show;
mod systems;

/// What is wanted of a dry run.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// Messages of each topic or file that a flow reads.
    pub messages: usize,
    /// Whether APIs are called.
    pub calls: bool,
}

/// How long a message may take until it is given up; none of what it is to show needs the flow's own deadline.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often it is looked whether a message has its outcome.
const LOOK: Duration = Duration::from_millis(2);

/// The calls that the flows with the indexes `chosen` may make, a line each: to be told before they are made.
pub fn calls(plan: &Plan, chosen: &[usize]) -> Vec<String> {
    let mut calls: Vec<String> = Vec::new();
    for stage in chosen.iter().filter_map(|index| plan.flows.get(*index)).flat_map(|flow| &flow.stages) {
        // The link of a download is not refreshed: nothing is downloaded.
        if let StageKind::Enrich(enrich) = &stage.kind {
            let call = format!("{} {} of {}", enrich.call.method, enrich.call.path.text(), enrich.call.connection);
            if !calls.contains(&call) {
                calls.push(call);
            }
        }
    }
    calls
}

/// Runs the flows of `plan` with the indexes `chosen` dry and tells each text as soon as it is known.
pub async fn run(
    plan: Arc<Plan>,
    chosen: &[usize],
    options: &Options,
    wishes: Wishes,
    mut tell: impl FnMut(&str),
) -> Result<(), Vec<String>> {
    let systems = Arc::new(Dry::new(options, wishes.calls));
    let outside = Outside::open(&plan, chosen, options, systems.clone()).await?;
    for flow in chosen.iter().filter_map(|index| plan.flows.get(*index)) {
        let named = |e: Error| vec![format!("flow {}: {e}", flow.name)];
        let Next { messages, waiting } = read(&outside, flow, wishes.messages, &*options.clock).await.map_err(named)?;
        tell(&show::head(&plan, flow, &messages, &waiting));
        if messages.is_empty() {
            continue;
        }
        let mut connected = outside.connect(&plan, flow).await.map_err(named)?;
        connected.observer = Some(Arc::default());
        let sender =
            systems.feed(flow).ok_or_else(|| vec![format!("flow {}: its source was not opened", flow.name)])?;
        let running = start(&plan.name, flow.clone(), connected, 1).map_err(|e| vec![e])?;
        // Nobody waits for more rows: what is complete is shown.
        running.control.set_hurry(true);
        let mut problem = None;
        for (index, message) in messages.into_iter().enumerate() {
            let place = show::place(&message);
            if sender.send(message).is_err() {
                problem = Some(format!("flow {}: it has ended", flow.name));
                break;
            }
            problem = settled(&running, index + 1).await.err().map(|p| format!("flow {}: {place}: {p}", flow.name));
            let visits = running.observer.as_ref().map(|observer| observer.take_visits()).unwrap_or_default();
            tell(&show::message(flow, &place, &visits, &systems.take_told()));
            if problem.is_some() {
                break;
            }
        }
        running.control.stop();
        // What has no outcome yet never gets one here.
        running.control.abandon();
        running.join().await.map_err(|e| vec![e])?;
        if let Some(problem) = problem {
            return Err(vec![problem]);
        }
    }
    Ok(())
}

/// Waits until `count` messages have their outcome, and the flow holds nothing of them any more.
async fn settled(running: &Running, count: usize) -> Result<(), String> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(failure) = running.control.failure() {
            return Err(failure);
        }
        let entered = running.stats.messages.load(std::sync::atomic::Ordering::SeqCst);
        if entered == count as u64 && running.stats.settled() == entered && running.control.in_flight() == 0 {
            return Ok(());
        }
        if tokio::time::Instant::now() > deadline {
            return Err(format!(
                "it has no outcome after {} s; something it waits for does not answer",
                PATIENCE.as_secs()
            ));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What a flow would read next.
#[derive(Default)]
struct Next {
    /// Its messages.
    messages: Vec<Message>,
    /// Retry topics in which more messages wait for their time, each with how many, and the instant at which the first is due.
    waiting: Vec<(String, usize, Micros)>,
}

/// The first messages that `flow` would read of its own topic or files, behind the committed position, where there is one, and
/// those of its retry topics that are due.
async fn read(outside: &Outside, flow: &Flow, most: usize, clock: &dyn Clock) -> Result<Next> {
    let (connection, topic, group) = match &flow.source.kind {
        SourceKind::Topic { connection, topic, group } => (connection, topic, group),
        SourceKind::File { path } => {
            let mut lines = file::Source::open(outside.file_options(flow, path)).await?;
            let messages = lines.poll(most, usize::MAX, Duration::ZERO).await?.messages;
            return Ok(Next { messages, ..Next::default() });
        }
    };
    let log = outside.log(connection)?;
    let mut next = Next { messages: of_topic(&**log, group, topic, most).await?, ..Next::default() };
    let retry = &flow.source.retry;
    // Retry topics are made by the first message that needs one.
    let there = if retry.topics().next().is_some() { log.topics().await? } else { Vec::new() };
    for topic in retry.topics().filter(|topic| there.iter().any(|known| known == topic)) {
        let mut first = None;
        let mut held = BTreeSet::new();
        let mut waiting = 0;
        for message in of_topic(&**log, group, topic, most).await? {
            let due = due(&message).filter(|due| *due > clock.now());
            // One that is not due holds back those behind it.
            if let Some(due) = due {
                held.insert(message.partition);
                first = Some(first.map_or(due, |first: Micros| first.min(due)));
            }
            match held.contains(&message.partition) {
                true => waiting += 1,
                false => next.messages.push(message),
            }
        }
        next.waiting.extend(first.map(|first| (topic.to_owned(), waiting, first)));
    }
    Ok(next)
}

fn due(message: &Message) -> Option<Micros> {
    message.header(header::DUE)?.parse().ok()
}

/// The first messages of a topic behind the position of a group.
async fn of_topic(log: &dyn Log, group: &str, topic: &str, most: usize) -> Result<Vec<Message>> {
    let (position, bounds) = (log.position(group, topic).await?, log.bounds(topic).await?);
    let mut messages = Vec::new();
    for bounds in bounds {
        let from = position.get(&bounds.partition).copied().unwrap_or(bounds.low).max(bounds.low);
        let left = most - messages.len();
        if left > 0 && from < bounds.high {
            messages.extend(log.read(topic, bounds.partition, from, left).await?);
        }
    }
    messages.truncate(most);
    Ok(messages)
}
