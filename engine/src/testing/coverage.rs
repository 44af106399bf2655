//! Which parts of a topology the cases of its suites reached: stages and their branches, blocks, retries.
//!
//! The parts are read off the plan, and what was reached off the flows while they ran. A part is reached when any case of any suite
//! of the topology came there; that a case also says what must be so there is up to whoever writes it.

use std::collections::{BTreeMap, BTreeSet};

use sonic_rs::JsonValueTrait as _;

use crate::dataflow::visit::{How, Visit};
use crate::plan::{Flow, Input, Leave, Plan, Stage, StageKind, Status, Trigger};

/// A part of a flow: the flow's name, and what of it.
pub type Part = (String, String);

/// What the suites of one topology reached of it.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// The topology's file.
    pub topology: String,
    /// Its parts, in order.
    pub parts: Vec<Part>,
    /// Those that were reached.
    pub reached: BTreeSet<Part>,
    /// Those that a suite says no message can reach, and why.
    pub unreachable: BTreeMap<Part, String>,
}

impl Coverage {
    /// The parts that count: some message can reach them, or has.
    pub fn counted(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| !self.unreachable.contains_key(*part) || self.reached.contains(*part))
    }

    /// The parts that some message can reach, and no case did.
    pub fn missing(&self) -> impl Iterator<Item = &Part> {
        self.counted().filter(|part| !self.reached.contains(*part))
    }

    /// The parts that a suite calls unreachable and a case reached.
    pub fn disproved(&self) -> impl Iterator<Item = &Part> {
        self.unreachable.keys().filter(|part| self.reached.contains(*part))
    }

    /// As a person reads it: a line, and one for each part that was not reached.
    pub fn render(&self) -> String {
        let missing: Vec<&Part> = self.missing().collect();
        let all = self.counted().count();
        let mut out = format!("coverage of {}: {} of {all} parts\n", self.topology, all - missing.len());
        for (flow, part) in missing {
            out += &format!("  not reached: flow {flow}, {part}\n");
        }
        for ((flow, part), why) in &self.unreachable {
            let word = if self.reached.contains(&(flow.clone(), part.clone())) {
                "reached all the same"
            } else {
                "unreachable"
            };
            out += &format!("  {word}: flow {flow}, {part} ({why})\n");
        }
        out
    }
}

const RUNS: &str = "runs";
const OVER: &str = "its `when` is false";

/// All parts of `plan`.
pub fn parts(plan: &Plan) -> Vec<Part> {
    plan.flows.iter().flat_map(|flow| of_flow(flow).into_iter().map(|part| (flow.name.clone(), part))).collect()
}

fn of_flow(flow: &Flow) -> Vec<String> {
    let mut parts = vec!["source: a message is read".to_owned(), "source: a message cannot be read".to_owned()];
    for (index, stage) in flow.stages.iter().enumerate() {
        let mut add = |what: &str| parts.push(format!("stage {}: {what}", stage.name));
        if stage.when.is_some() {
            add(OVER);
        }
        match &stage.kind {
            StageKind::Route { cases, .. } => {
                cases.keys().for_each(|case| add(&format!("case {case}")));
                add("else");
            }
            StageKind::Filter { .. } => ["keeps", "else"].into_iter().for_each(add),
            StageKind::Dedup { .. } => ["first", "duplicate"].into_iter().for_each(add),
            StageKind::Pick { missing, .. } => {
                add("binds");
                match missing {
                    Some(_) => add("missing"),
                    // Whoever reads only what it produced does not see these.
                    None if is_read_alone(flow, index) => add("null"),
                    None => {}
                }
            }
            StageKind::Each { .. } | StageKind::Aggregate { .. } => add(RUNS),
            StageKind::Enrich(_) | StageKind::Download(_) | StageKind::Upload(_) => {
                [RUNS, "fails"].into_iter().for_each(add);
            }
        }
    }
    let blocks = flow.rows.iter().map(|r| ("rows", &r.name, &r.trigger, r.when.is_some()));
    let sends = flow.sends.iter().map(|s| ("send", &s.name, &s.trigger, s.when.is_some()));
    for (kind, name, trigger, conditional) in blocks.chain(sends) {
        match trigger {
            Trigger::Documents(_) => parts.push(format!("{kind} {name}: fires")),
            Trigger::Outcomes(list) => {
                let possible = list.iter().filter(|status| may_retry(flow) || **status != Status::Retried);
                parts.extend(possible.map(|status| format!("{kind} {name}: on {}", status.as_str())));
            }
        }
        if conditional {
            parts.push(format!("{kind} {name}: {OVER}"));
        }
    }
    if may_retry(flow) {
        parts.extend((1..=flow.source.retry.delays.len()).map(|failure| format!("retry after failure {failure}")));
    }
    parts.push("a message is dead".to_owned());
    parts
}

/// Whether anything in `flow` can fail in a way that may pass.
fn may_retry(flow: &Flow) -> bool {
    let leaves = |leave: &Leave| matches!(leave, Leave::Transient(_));
    flow.stages.iter().any(|stage| match &stage.kind {
        StageKind::Enrich(_) | StageKind::Download(_) | StageKind::Upload(_) => true,
        StageKind::Pick { missing, .. } => missing.as_ref().is_some_and(leaves),
        StageKind::Filter { otherwise, .. } | StageKind::Route { otherwise, .. } => leaves(otherwise),
        StageKind::Each { .. } | StageKind::Dedup { .. } | StageKind::Aggregate { .. } => false,
    })
}

fn is_read_alone(flow: &Flow, index: usize) -> bool {
    let reads = |input: Input| input == Input::Produced(index);
    let fires = |trigger: &Trigger| matches!(trigger, Trigger::Documents(input) if reads(*input));
    flow.stages.iter().any(|s| reads(s.input))
        || flow.rows.iter().any(|r| fires(&r.trigger))
        || flow.sends.iter().any(|s| fires(&s.trigger))
}

/// The parts of `flow` that these visits reached.
pub fn reached(flow: &Flow, visits: &[Visit]) -> BTreeSet<Part> {
    // Blocks that fire for outcomes come behind the end that they fire for.
    let mut ends: BTreeMap<u64, String> = BTreeMap::new();
    let mut parts = BTreeSet::new();
    for visit in visits {
        if let How::Ended { document, .. } = &visit.how {
            let status = document.bindings.get("outcome").and_then(|o| o.get("status")?.as_str().map(str::to_owned));
            ends.insert(visit.meta.id, status.unwrap_or_default());
        }
        let ended = ends.get(&visit.meta.id).map(String::as_str);
        parts.extend(part(flow, visit, ended).map(|part| (flow.name.clone(), part)));
    }
    parts
}

/// The part that one visit reached, of a message that `ended` so.
fn part(flow: &Flow, visit: &Visit, ended: Option<&str>) -> Option<String> {
    let at = &*visit.at;
    match &visit.how {
        How::Ended { .. } if ended == Some(Status::Dead.as_str()) => return Some("a message is dead".to_owned()),
        How::Ended { record, .. } => {
            let retried = record.as_ref().filter(|_| ended == Some(Status::Retried.as_str()));
            return retried.map(|_| format!("retry after failure {}", visit.meta.attempt + 1));
        }
        How::Bound { .. } if at == "source" => return Some("source: a message is read".to_owned()),
        How::Failed(_) if at == "source" => return Some("source: a message cannot be read".to_owned()),
        _ => {}
    }
    // Stages, row blocks and send blocks may have one name: what was made tells them apart.
    let rows = || flow.rows.iter().find(|r| &*r.name == at).map(|r| ("rows", &r.trigger));
    let sends = || flow.sends.iter().find(|s| &*s.name == at).map(|s| ("send", &s.trigger));
    let (kind, trigger) = match &visit.how {
        How::Row { .. } | How::NoRow => rows()?,
        How::Sent(_) | How::NotSent => sends()?,
        how => {
            let stage = flow.stages.iter().find(|stage| &*stage.name == at)?;
            return of_stage(stage, how).map(|what| format!("stage {at}: {what}"));
        }
    };
    let what = match (&visit.how, trigger) {
        (How::NoRow | How::NotSent, _) => OVER.to_owned(),
        (_, Trigger::Documents(_)) => "fires".to_owned(),
        (_, Trigger::Outcomes(_)) => format!("on {}", ended?),
    };
    Some(format!("{kind} {at}: {what}"))
}

fn of_stage(stage: &Stage, how: &How) -> Option<String> {
    let what = match (how, &stage.kind) {
        (How::Passed, _) => OVER,
        (How::Bound { branch: Some(case), .. }, StageKind::Route { .. }) => return Some(format!("case {case}")),
        (How::Skipped(_) | How::Failed(_), StageKind::Route { .. } | StageKind::Filter { .. }) => "else",
        (How::Bound { .. }, StageKind::Filter { .. }) => "keeps",
        (How::Bound { .. }, StageKind::Dedup { .. }) => "first",
        (How::Skipped(_), StageKind::Dedup { .. }) => "duplicate",
        (How::Bound { .. }, StageKind::Pick { .. }) => "binds",
        (How::Nothing, StageKind::Pick { .. }) => "null",
        (How::Skipped(_) | How::Failed(_), StageKind::Pick { missing: Some(_), .. }) => "missing",
        (How::Failed(_), StageKind::Enrich(_) | StageKind::Download(_) | StageKind::Upload(_)) => "fails",
        (How::Bound { .. } | How::Nothing | How::Many(_), _) => RUNS,
        _ => return None,
    };
    Some(what.to_owned())
}
