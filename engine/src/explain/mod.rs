//! What a topology compiles to, for people who do not know how the engine is made, and as JSON for programs.
//!
//! Nothing here is written down twice: whatever the engine decides (which columns are found in one walk, by what documents are
//! exchanged, what a stage keeps in memory, what a commit waits for) is asked of the very functions and values that the dataflow
//! is built from: the plan, [`form`](crate::dataflow::form), the blocks of [`emit`](crate::dataflow::emit), the stages.

use serde::Serialize;

use crate::plan::{Connection, Plan};

mod blocks;
mod flow;
mod stages;
mod tables;
mod text;
pub mod words;

pub use blocks::{RowsBlock, SendBlock};
pub use flow::{Commit, Delay, Field, FlowForm, Reads, Workers};
pub use stages::{Keeps, StageForm};
pub use tables::{Guard, TableForm};

/// What a topology compiles to.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// Its name.
    pub topology: String,
    /// What it is for.
    pub about: String,
    /// Its file.
    pub file: String,
    /// What it reaches.
    pub connections: Vec<Reached>,
    /// Its flows, or those that were asked for.
    pub flows: Vec<FlowForm>,
}

/// A connection.
#[derive(Debug, Serialize)]
pub struct Reached {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Where it leads, and what bounds it.
    pub facts: Vec<String>,
}

/// What the flows of `plan` with the indexes `chosen` compile to.
pub fn explain(plan: &Plan, chosen: &[usize]) -> Explanation {
    let flows: Vec<FlowForm> =
        chosen.iter().filter_map(|index| plan.flows.get(*index)).map(|f| flow::explain(plan, f)).collect();
    let connections = plan.connections.iter().map(|(name, connection)| Reached {
        name: name.clone(),
        kind: connection.kind(),
        facts: reached(connection),
    });
    Explanation {
        topology: plan.name.clone(),
        about: plan.about.clone(),
        file: plan.file.display().to_string(),
        connections: connections.collect(),
        flows,
    }
}

/// Where a connection leads, without secrets, and what bounds it.
fn reached(connection: &Connection) -> Vec<String> {
    use words::{bytes, count, span};
    let url = |url: &str| connectors::redact::redact(url).into_owned();
    match connection {
        Connection::Kafka(kafka) => match &kafka.brokers {
            Some(brokers) => vec![format!("the brokers {brokers}")],
            None => vec!["the embedded log, one file below the data folder".to_owned()],
        },
        Connection::Http(api) => {
            let breaker = &api.breaker;
            let mut facts = vec![
                url(&api.url),
                format!("at most {} at a time, each at most {}", count(api.concurrency, "request"), span(api.timeout)),
                format!("an answer is at most {}", bytes(api.max_answer)),
                format!("a failure that may pass is tried again {} before it leaves the client", times(api.retries)),
                format!(
                    "breaker: {} in a row stop all calls for {}, then {} at a time are tried and {} close it; \
                     documents wait meanwhile and use up no retry",
                    count(breaker.failures as usize, "failure"),
                    span(breaker.cooldown),
                    count(breaker.trials as usize, "call"),
                    count(breaker.successes as usize, "success")
                ),
            ];
            facts.extend(
                api.rate.map(|(rate, burst)| format!("{rate} requests a second, {burst} at once after a pause")),
            );
            facts.extend(api.classify.iter().map(|(status, c)| format!("status {status} is {}", c.as_str())));
            facts
        }
        Connection::Web(web) => vec![
            format!("only the hosts {}, at each redirect too", web.allow.join(", ")),
            format!(
                "at most {} at a time, {} each, silence of at most {}, {}",
                count(web.concurrency, "download"),
                bytes(usize::try_from(web.max_size).unwrap_or(usize::MAX)),
                span(web.idle_timeout),
                count(web.redirects, "redirect")
            ),
        ],
        Connection::ObjectStore(place) => {
            vec![url(&place.url), format!("at most {} at a time", count(place.concurrency, "upload"))]
        }
        Connection::Delta(place) => {
            let mut facts = vec![url(&place.url)];
            if !place.write {
                facts.push("no table is written: rows are computed and counted".to_owned());
            }
            facts
        }
    }
}

fn times(count: usize) -> String {
    match count {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

impl Explanation {
    /// As a program reads it.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// As a person reads it.
    pub fn render(&self) -> String {
        text::render(self)
    }
}
