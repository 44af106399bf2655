//! When a run is drained: every topic but the dead letters consumed to its end by every group, no retry waiting, nothing in
//! flight, seen twice in a row.

use std::sync::atomic::Ordering;
use std::time::Duration;

use connectors::Result;

use super::Run;
use crate::plan::SourceKind;

/// Looks twice.
#[derive(Debug, Default)]
pub struct Watch {
    before: bool,
}

impl Watch {
    /// Whether the runs are drained now and were so the last time: all of them, because one may write what another reads.
    /// `more` says that something is still to be emitted.
    pub async fn look(&mut self, runs: &[Run], more: bool) -> Result<bool> {
        let idle = !more && runs.iter().all(settled);
        // Sinks that wait for more rows only hold up the end.
        for flow in runs.iter().flat_map(|run| &run.flows) {
            flow.control.set_hurry(idle);
        }
        let mut drained = idle;
        for run in runs.iter().filter(|_| idle) {
            drained &= match consumed(run).await {
                Ok(consumed) => consumed,
                // A broker that does not answer now may answer the next time.
                Err(error) if error.category.is_retryable() => {
                    tracing::debug!(%error, "looking whether the run is drained");
                    false
                }
                Err(error) => return Err(error),
            };
            if !drained {
                break;
            }
        }
        Ok(std::mem::replace(&mut self.before, drained) && drained)
    }
}

/// Whether every message that entered a flow has its outcome.
fn settled(run: &Run) -> bool {
    run.flows.iter().all(|f| f.stats.messages.load(Ordering::Relaxed) == f.stats.settled())
}

/// Whether every group stands at the end of everything it reads, retry topics included, and nothing is in flight.
async fn consumed(run: &Run) -> Result<bool> {
    for running in &run.flows {
        if running.control.in_flight() > 0 {
            return Ok(false);
        }
        let Some(flow) = run.plan.flows.iter().find(|f| f.name == running.name) else { continue };
        let (connection, topic, group) = match &flow.source.kind {
            SourceKind::Topic { connection, topic, group } => (connection, topic, group),
            SourceKind::File { path } => {
                // A reader of its own that starts from the committed position: what it finds is not consumed yet.
                let mut rest = run.outside.rest_of(flow, path).await?;
                if !rest.poll(1, 1, Duration::ZERO).await?.messages.is_empty() {
                    return Ok(false);
                }
                continue;
            }
        };
        let log = run.outside.log(connection)?;
        for topic in std::iter::once(topic.as_str()).chain(flow.source.retry.topics()) {
            let position = log.position(group, topic).await?;
            for bounds in log.bounds(topic).await? {
                let at = position.get(&bounds.partition).copied().unwrap_or(bounds.low).max(bounds.low);
                if at < bounds.high {
                    return Ok(false);
                }
            }
        }
    }
    Ok(true)
}
