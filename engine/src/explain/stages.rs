//! Stages: what each does, what it reads, what it keeps in memory and what bounds that.

use serde::Serialize;

use super::words::{bytes, count, span};
use crate::dataflow::form;
use crate::expr::Expr;
use crate::plan::{Call, Connection, Flow, Input, Leave, Paginate, Plan, Stage, StageKind, Status};
use crate::stage::{dedup, download, enrich, upload};

/// A stage.
#[derive(Debug, Serialize)]
pub struct StageForm {
    /// Its name, and its binding's.
    pub name: String,
    /// Its kind, as topologies spell it.
    pub kind: &'static str,
    /// What it reads.
    pub reads: String,
    /// The condition under which it runs; else the document goes on with a null binding.
    pub when: Option<String>,
    /// What it does.
    pub does: Vec<String>,
    /// The expression by which documents are exchanged between workers; without it each stays where it is.
    pub exchanged_by: Option<String>,
    /// What it keeps in memory.
    pub keeps: Vec<Keeps>,
    /// At most so many documents at a time; none: it answers at once.
    pub at_a_time: Option<usize>,
    /// What each document may take, where it waits for the outside.
    pub deadline: Option<String>,
    /// Who reads what it binds: stages and blocks, by name.
    pub read_by: Vec<String>,
}

/// Something that a stage keeps in memory.
#[derive(Debug, Serialize)]
pub struct Keeps {
    /// What.
    pub what: String,
    /// What bounds it.
    pub bound: String,
    /// What becomes of it at a restart.
    pub restart: String,
}

/// The name of what an input is, as `from` would say it.
pub(super) fn input(flow: &Flow, input: Input) -> String {
    let name = |index: usize| flow.stages.get(index).map_or("?", |stage| &*stage.name);
    match input {
        Input::Source => "the messages".to_owned(),
        Input::After(index) => format!("all documents behind {}", name(index)),
        Input::Produced(index) => format!("the documents that {} produced", name(index)),
    }
}

/// How documents leave early.
fn leaves(leave: &Leave) -> String {
    match leave {
        Leave::Transient(text) => format!("fails and is tried again: {text}"),
        Leave::Permanent(text) => format!("dead: {text}"),
        Leave::Skip(text) => format!("skipped: {text}"),
        Leave::Warn(text) => format!("skipped with a warning in the log: {text}"),
    }
}

/// A request, as its templates say it.
fn request(call: &Call) -> Vec<String> {
    let mut lines = vec![format!("{} {} of {}", call.method, call.path.text(), call.connection)];
    let named = |what: &str, name: &String, value: &Expr| format!("{what} {name} = {}", value.text());
    lines.extend(call.query.iter().map(|(n, e)| named("query", n, e)));
    lines.extend(call.body.iter().map(|(n, e)| named("body", n, e)));
    lines.extend(call.headers.iter().map(|(n, e)| named("header", n, e)));
    if !call.absent.is_empty() {
        let statuses: Vec<String> = call.absent.iter().map(u16::to_string).collect();
        lines.push(format!("status {} means that there is nothing: null is bound", statuses.join(", ")));
    }
    lines.extend(call.max_answer.map(|most| format!("an answer is at most {}", bytes(most))));
    lines.extend(call.paginate.as_ref().map(|paginate| {
        let (how, pages) = match paginate {
            Paginate::Link { pages } => ("the `Link` header".to_owned(), pages),
            Paginate::Next { url, pages } => (format!("the url {}", url.text()), pages),
            Paginate::Cursor { value, parameter, pages } => {
                (format!("{} as parameter {parameter}", value.text()), pages)
            }
        };
        format!("further pages by {how}, at most {pages}")
    }));
    lines
}

/// How many exchanges a connection makes at a time.
fn concurrency(plan: &Plan, connection: &str) -> usize {
    match plan.connections.get(connection) {
        Some(Connection::Http(api)) => api.concurrency,
        Some(Connection::Web(web)) => web.concurrency,
        Some(Connection::ObjectStore(place)) => place.concurrency,
        _ => 1,
    }
}

/// Who reads what the stage at `index` binds or lets pass.
fn readers(flow: &Flow, index: usize) -> Vec<String> {
    let reads = |input: Input| matches!(input, Input::After(i) | Input::Produced(i) if i == index);
    let stages = flow.stages.iter().filter(|s| reads(s.input)).map(|s| s.name.to_string());
    let fires = |trigger: &crate::plan::Trigger| matches!(trigger, crate::plan::Trigger::Documents(i) if reads(*i));
    let rows = flow.rows.iter().filter(|r| fires(&r.trigger)).map(|r| format!("rows {}", r.name));
    let sends = flow.sends.iter().filter(|s| fires(&s.trigger)).map(|s| format!("send {}", s.name));
    stages.chain(rows).chain(sends).collect()
}

/// What the stage at `index` of `flow` compiles to.
pub(super) fn explain(plan: &Plan, flow: &Flow, index: usize, stage: &Stage) -> StageForm {
    let mut form = StageForm {
        name: stage.name.to_string(),
        kind: stage.kind.name(),
        reads: input(flow, stage.input),
        when: stage.when.as_ref().map(|when| when.text().to_owned()),
        does: Vec::new(),
        exchanged_by: form::exchanged_by(stage).map(|key| key.text().to_owned()),
        keeps: Vec::new(),
        at_a_time: None,
        deadline: None,
        read_by: readers(flow, index),
    };
    describe(plan, stage, &mut form);
    if form.at_a_time.is_some() {
        form.deadline = Some(span(flow.source.deadline));
    }
    form
}

fn describe(plan: &Plan, stage: &Stage, form: &mut StageForm) {
    match &stage.kind {
        StageKind::Route { by, cases, otherwise, .. } => {
            form.does.push(format!("labels by {}", by.text()));
            let case =
                |(value, labels): (&String, &Vec<std::sync::Arc<str>>)| format!("{value}: {}", labels.join(", "));
            form.does.extend(cases.iter().map(case));
            form.does.push(format!("any other value: {}", leaves(otherwise)));
        }
        StageKind::Pick { value, missing } => {
            form.does.push(format!("binds {}", value.text()));
            form.does.push(match missing {
                Some(leave) => format!("null: {}", leaves(leave)),
                None => "null is bound as well, and not produced".to_owned(),
            });
        }
        StageKind::Each { list } => form.does.push(format!("one document for each element of {}", list.text())),
        StageKind::Filter { keep, otherwise } => {
            form.does.push(format!("keeps where {}", keep.text()));
            form.does.push(format!("else: {}", leaves(otherwise)));
        }
        StageKind::Dedup { .. } => dedup_form(plan, stage, form),
        StageKind::Enrich(_) => enrich_form(plan, stage, form),
        StageKind::Download(_) | StageKind::Upload(_) => file_form(plan, stage, form),
        StageKind::Aggregate { by, count, sum } => {
            form.does.extend(by.iter().map(|(name, value)| format!("by {name} = {}", value.text())));
            form.does.extend(count.iter().map(|name| format!("{name} = how many documents")));
            form.does.extend(sum.iter().map(|(name, value)| format!("{name} = sum of {}", value.text())));
            form.does.push("documents go on unchanged".to_owned());
            form.keeps.push(Keeps {
                what: "the count and the sums of each group".to_owned(),
                bound: "the number of groups".to_owned(),
                restart: "begins anew".to_owned(),
            });
        }
    }
}

fn dedup_form(plan: &Plan, stage: &Stage, form: &mut StageForm) {
    let StageKind::Dedup { key, at, window, table } = &stage.kind else { return };
    form.does.push(format!("lets pass the first of each {}", key.text()));
    form.does.push(format!("remembers a key for {}, counted from {}", span(*window), at.text()));
    form.does.push(format!("later ones are {}: duplicate", Status::Skipped.as_str()));
    form.does.push("a message that failed before or was replayed is never judged".to_owned());
    let column = |table: &str, index: usize| {
        plan.tables.get(table).and_then(|t| t.spec.columns.get(index)).map_or("?", |c| c.name.as_str()).to_owned()
    };
    form.keeps.push(Keeps {
        what: format!("a hash of each key, {} bytes and the room of a hash table", dedup::KEY_BYTES),
        bound: format!(
            "the keys of {}, in {} buckets of {} and the one that is being filled",
            span(*window),
            dedup::BUCKETS,
            span(*window / u32::try_from(dedup::BUCKETS).unwrap_or(1))
        ),
        restart: match table {
            None => "forgotten".to_owned(),
            Some(from) => format!(
                "read back from {} of table {}, with its instant in {}",
                column(&from.table, from.key),
                from.table,
                column(&from.table, from.at)
            ),
        },
    });
}

fn enrich_form(plan: &Plan, stage: &Stage, form: &mut StageForm) {
    let StageKind::Enrich(stage) = &stage.kind else { return };
    form.does = request(&stage.call);
    form.at_a_time = Some(enrich::at_a_time(stage, concurrency(plan, &stage.call.connection)));
    if let Some(batch) = &stage.batch {
        form.does.push(format!(
            "documents of one {} share a call: up to {}, the first waits {} for others",
            batch.by.text(),
            batch.rows,
            span(batch.linger)
        ));
        form.keeps.push(Keeps {
            what: "documents that wait for others of their key".to_owned(),
            bound: format!("{} for each key, within the flow's budget", count(batch.rows, "document")),
            restart: "read again".to_owned(),
        });
    }
    if let Some(cache) = &stage.cache {
        let since = cache
            .since
            .as_ref()
            .map_or_else(String::new, |since| format!(", if it was asked for at or after {}", since.text()));
        form.does.push(format!(
            "an answer serves the same request for {}{since}; equal requests wait for one call",
            span(cache.ttl)
        ));
        form.keeps.push(Keeps {
            what: "answers by their request".to_owned(),
            bound: format!("{}, the oldest leaves", count(cache.size, "answer")),
            restart: "forgotten".to_owned(),
        });
    }
}

fn file_form(plan: &Plan, stage: &Stage, form: &mut StageForm) {
    match &stage.kind {
        StageKind::Download(stage) => {
            form.does.push(format!("fetches {} over {}", stage.url.text(), stage.connection));
            form.does.push(format!("into the spool {}, as {}", stage.spool, stage.name.text()));
            form.does.extend(stage.expires.iter().map(|at| format!("the link ends at {}", at.text())));
            match &stage.refresh {
                None => form.does.push("a link that has ended is dead before it is asked".to_owned()),
                Some(refresh) => {
                    form.does.push(format!(
                        "a link that ends within {}, or is answered by 401 or 403, is replaced by {}, at most {} a message:",
                        span(refresh.margin),
                        refresh.url.text(),
                        count(refresh.times, "time")
                    ));
                    form.does.extend(request(&refresh.call));
                }
            }
            form.at_a_time = Some(download::at_a_time(concurrency(plan, &stage.connection)));
        }
        StageKind::Upload(stage) => {
            form.does.push(format!("puts {} of the spool {}", stage.file.text(), stage.spool));
            form.does.push(format!("into {}, as {}", stage.connection, stage.to.text()));
            form.does.push(if stage.bind_missing {
                "a file that is gone from the spool, and not stored as recorded, is bound as missing".to_owned()
            } else {
                "a file that is gone from the spool, and not stored as recorded, fails and is tried again".to_owned()
            });
            form.at_a_time = Some(upload::at_a_time(concurrency(plan, &stage.connection)));
            if !stage.keep {
                form.keeps.push(Keeps {
                    what: "names of files that are stored and not yet deleted from the spool".to_owned(),
                    bound: "the messages in flight: a file is deleted when the offset of its message is committed"
                        .to_owned(),
                    restart: "uploaded again over itself".to_owned(),
                });
            }
        }
        _ => {}
    }
}
