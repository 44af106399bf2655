//! One flow: where its messages come from, what they pass, what leaves it, where failures go, and when its offsets move.

use serde::Serialize;

use super::blocks::{self, RowsBlock, SendBlock};
use super::stages::{self, Keeps, StageForm};
use super::tables::{self, TableForm};
use super::words::{bytes, count, span};
use crate::dataflow::control::{COST_PLUS, COST_TIMES};
use crate::dataflow::{form, poller};
use crate::plan::{Connection, Flow, Plan, SourceKind};
use crate::run::connect::PRESENT;
use crate::topology::value::kind_name;

/// A flow.
#[derive(Debug, Serialize)]
pub struct FlowForm {
    /// Its name.
    pub name: String,
    /// Other names it answers to.
    pub aliases: Vec<String>,
    /// Where its messages come from.
    pub reads: Reads,
    /// The fields of `event`.
    pub event: Vec<Field>,
    /// How its work is shared out between workers.
    pub workers: Workers,
    /// Its stages, in order.
    pub stages: Vec<StageForm>,
    /// What it writes to tables.
    pub rows: Vec<RowsBlock>,
    /// What it writes to topics.
    pub send: Vec<SendBlock>,
    /// Where a message goes that failed and may be tried again.
    pub retries: Vec<Delay>,
    /// Where a message goes that failed for good; none: nowhere, only blocks with `on: [dead]` see it.
    pub dead_letter: Option<String>,
    /// The tables it feeds.
    pub tables: Vec<TableForm>,
    /// What it keeps in memory besides its stages.
    pub keeps: Vec<Keeps>,
    /// When its offsets are committed.
    pub commit: Commit,
}

/// Where messages come from.
#[derive(Debug, Serialize)]
pub struct Reads {
    /// The topic's full name, or the path of files.
    pub from: String,
    /// The connection, if it is a topic.
    pub connection: Option<String>,
    /// The group whose position is resumed from and committed.
    pub group: Option<String>,
    /// Retry topics that the same flow reads.
    pub retry_topics: Vec<String>,
    /// How much is read ahead.
    pub budget: String,
    /// Which parts of a message are kept besides `event`.
    pub kept: Vec<&'static str>,
}

/// A field of `event`.
#[derive(Debug, Serialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type; `!` is required.
    pub kind: String,
    /// The expression it is computed by; without it, it is the message's own key of that name.
    pub computed: Option<String>,
}

/// How the work is shared out between workers.
#[derive(Debug, Serialize)]
pub struct Workers {
    /// Where documents go to another worker, in order.
    pub exchanges: Vec<String>,
}

/// A retry topic.
#[derive(Debug, Serialize)]
pub struct Delay {
    /// Which failure of a message leads here, from 1.
    pub failure: usize,
    /// How long it waits there.
    pub delay: String,
    /// The topic.
    pub topic: String,
}

/// When offsets are committed.
#[derive(Debug, Serialize)]
pub struct Commit {
    /// Where the position is kept.
    pub position: String,
    /// What must be so of all that a message caused, before its offset is committed.
    pub after: Vec<String>,
}

/// What `flow` compiles to.
pub(super) fn explain(plan: &Plan, flow: &Flow) -> FlowForm {
    let fed: Vec<TableForm> =
        form::tables(flow).filter_map(|name| Some(tables::explain(plan, flow, name, plan.tables.get(name)?))).collect();
    let stages: Vec<StageForm> =
        flow.stages.iter().enumerate().map(|(index, stage)| stages::explain(plan, flow, index, stage)).collect();
    let retry = &flow.source.retry;
    let delays = retry.delays.iter().enumerate();
    FlowForm {
        name: flow.name.clone(),
        aliases: flow.aliases.clone(),
        reads: reads(plan, flow),
        event: event(flow),
        workers: workers(flow, &stages),
        rows: flow.rows.iter().enumerate().filter_map(|(index, r)| blocks::rows(plan, flow, index, r)).collect(),
        send: flow.sends.iter().map(|block| blocks::send(plan, flow, block)).collect(),
        retries: delays
            .map(|(at, (delay, topic))| Delay { failure: at + 1, delay: span(*delay), topic: topic.clone() })
            .collect(),
        dead_letter: Some(retry.dead_letter.clone()).filter(|topic| !topic.is_empty()),
        commit: commit(plan, flow, &fed),
        keeps: keeps(flow, &fed),
        stages,
        tables: fed,
    }
}

fn reads(plan: &Plan, flow: &Flow) -> Reads {
    let (from, connection, group) = match &flow.source.kind {
        SourceKind::Topic { connection, topic, group } => {
            (topic.clone(), Some(connection.clone()), Some(group.clone()))
        }
        SourceKind::File { path } => (path.display().to_string(), None, None),
    };
    let most = match connection.as_ref().and_then(|name| plan.connections.get(name)) {
        Some(Connection::Kafka(kafka)) => kafka.max_poll_records.map_or(poller::BATCH, |most| most.min(poller::BATCH)),
        _ => poller::BATCH,
    };
    let keep = form::keep(flow);
    let kept = [(keep.raw, "raw"), (keep.source, "source")];
    Reads {
        from,
        connection,
        group,
        retry_topics: flow.source.retry.topics().map(str::to_owned).collect(),
        budget: format!(
            "{} or {} a poll, while messages and rows in flight are within {}; a message counts {COST_TIMES} times its bytes and {}",
            count(most, "message"),
            bytes(poller::BATCH_BYTES),
            bytes(flow.source.budget),
            bytes(COST_PLUS)
        ),
        kept: kept.into_iter().filter(|(kept, _)| *kept).map(|(_, name)| name).collect(),
    }
}

fn event(flow: &Flow) -> Vec<Field> {
    let field = |field: &crate::plan::Field| Field {
        name: field.name.to_string(),
        kind: format!("{}{}", kind_name(field.kind), if field.required { "!" } else { "" }),
        computed: field.expr.as_ref().map(|expr| expr.text().to_owned()),
    };
    flow.source.message.iter().map(field).collect()
}

fn workers(flow: &Flow, stages: &[StageForm]) -> Workers {
    let mut exchanges = vec!["a message goes to one worker by its identity, and its documents stay there".to_owned()];
    let by_key = stages.iter().filter_map(|stage| Some((&stage.name, stage.exchanged_by.as_ref()?)));
    exchanges.extend(by_key.map(|(name, key)| format!("before {name}: documents go to one worker by {key}")));
    exchanges.extend(
        form::tables(flow).map(|table| format!("before table {table}: all rows go to one worker, which commits them")),
    );
    exchanges.push("what became of a message goes back to the worker that holds it".to_owned());
    Workers { exchanges }
}

/// What a flow keeps besides its stages.
fn keeps(flow: &Flow, fed: &[TableForm]) -> Vec<Keeps> {
    let mut keeps = vec![Keeps {
        what: "each message, until it has its outcome: for a retry or the dead letters".to_owned(),
        bound: format!("the budget of {}", bytes(flow.source.budget)),
        restart: "read again from the committed position".to_owned(),
    }];
    keeps.extend(fed.iter().map(|table| Keeps {
        what: format!("rows that wait for a commit of table {}", table.name),
        bound: "its flush bounds, and the same budget".to_owned(),
        restart: "made again from the messages".to_owned(),
    }));
    keeps.extend(form::present(flow).into_iter().map(|table| Keeps {
        what: format!("hashes of the keys of table {table}, for `present`"),
        bound: format!("{PRESENT} keys, the oldest leaves"),
        restart: format!("read back from table {table}"),
    }));
    keeps
}

fn commit(plan: &Plan, flow: &Flow, fed: &[TableForm]) -> Commit {
    let mut after = vec!["every stage and block has finished with the message, and it has its one outcome".to_owned()];
    if let Some(connection) = form::writes_with(plan, flow) {
        let mut topics: Vec<String> = Vec::new();
        for send in &flow.sends {
            let name = plan.topics.get(&send.topic).map_or(send.topic.as_str(), |topic| &topic.name);
            if !topics.iter().any(|known| known == name) {
                topics.push(name.to_owned());
            }
        }
        topics.extend(flow.source.retry.topics().map(str::to_owned));
        topics.extend(Some(flow.source.retry.dead_letter.clone()).filter(|topic| !topic.is_empty()));
        if !topics.is_empty() {
            after.push(format!("its messages are durable on {connection}: {}", topics.join(", ")));
        }
    }
    for table in fed {
        let first = match table.after.as_slice() {
            [] => String::new(),
            parents => format!(", which waits for table {}", parents.join(", ")),
        };
        after.push(format!("its rows are committed to table {}{first}", table.name));
    }
    Commit {
        position: match &flow.source.kind {
            SourceKind::Topic { group, connection, .. } => {
                format!("offsets of group {group} on {connection}: one past the last message of which all of this is so, and of all before it")
            }
            SourceKind::File { .. } => {
                "the byte behind the last line of which all of this is so, and of all before it; in a file below positions/".to_owned()
            }
        },
        after,
    }
}
