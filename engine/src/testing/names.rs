//! Checks what a case names against its topology, before anything runs: an expectation about a column that does not exist would
//! otherwise hold for ever as `$absent`.

use connectors::Category;
use serde_json::Value;

use super::coverage::parts;
use super::pattern::Pattern;
use super::records::{CALL, FILE, MESSAGE, OUTCOME, connections, table, topic, topics};
use super::suite::{Act, Case, Claim, Fail, Mode, Suite, Unreachable, What};
use crate::plan::{Connection, Plan, SourceKind, StageKind, Status};
use crate::topology::{Diagnostic, Source, Span, code};

/// What a case names and the topology does not have.
pub fn check(case: &Case, plan: &Plan, source: &Source) -> Vec<Diagnostic> {
    let mut names = Names { plan, source, problems: Vec::new() };
    for (flow, at) in case.flows.iter().zip(&case.flows_at) {
        if plan.flows.iter().all(|f| f.name != *flow && !f.aliases.contains(flow)) {
            names.unknown(code::TEST, "flow", flow, *at, names.flows());
        }
    }
    for step in &case.steps {
        match &step.act {
            Act::Send(sends) => sends.iter().for_each(|(name, at, _)| names.topic(name, *at)),
            Act::Answer(routes) => routes.iter().for_each(|(name, at, _)| names.api(name, *at)),
            Act::Fail(places) => places.iter().for_each(|(name, at, fail)| names.fails(name, *at, fail)),
            Act::Expect(claims) => claims.iter().for_each(|claim| names.claim(claim)),
            Act::Serve(_) | Act::Advance(_) | Act::Drain | Act::Restart { .. } => {}
        }
    }
    names.problems
}

/// What is said to be unreachable and is no part of the topology.
pub fn unreachable(suite: &Suite, plan: &Plan) -> Vec<Diagnostic> {
    let mut names = Names { plan, source: &suite.source, problems: Vec::new() };
    let all = parts(plan);
    for Unreachable { flow, part, .. } in &suite.unreachable {
        if !names.flows().contains(&&*flow.0) {
            names.unknown(code::TEST, "flow", &flow.0, flow.1, names.flows());
        } else if !all.contains(&(flow.0.clone(), part.0.clone())) {
            let of_flow = all.iter().filter(|(of, _)| *of == flow.0).map(|(_, part)| part.as_str()).collect();
            names.unknown(code::TEST, "part", &part.0, part.1, of_flow);
        }
    }
    // One flow is named once for all its parts.
    names.problems.dedup();
    names.problems
}

struct Names<'a> {
    plan: &'a Plan,
    source: &'a Source,
    problems: Vec<Diagnostic>,
}

impl<'a> Names<'a> {
    fn unknown(&mut self, code: &'static str, what: &str, given: &str, at: Span, names: Vec<&str>) {
        let problem = Diagnostic::new(code, self.source, at, format!("there is no {what} `{given}`"));
        self.problems.push(problem.nearest(given, names));
    }

    fn flows(&self) -> Vec<&'a str> {
        self.plan.flows.iter().map(|f| f.name.as_str()).collect()
    }

    fn topic(&mut self, name: &str, at: Span) {
        let is_file =
            |kind: &SourceKind| matches!(kind, SourceKind::File { path } if path.display().to_string() == name);
        if topic(self.plan, name).is_none() && !self.plan.flows.iter().any(|f| is_file(&f.source.kind)) {
            let full = topics(self.plan);
            let names = self.plan.topics.keys().map(String::as_str).chain(full.iter().map(|(_, name)| name.as_str()));
            self.unknown(code::UNKNOWN_TOPIC, "topic", name, at, names.collect());
        }
    }

    fn api(&mut self, name: &str, at: Span) {
        let names = connections(self.plan, |c| matches!(c, Connection::Http(_)));
        if !names.contains(&name) {
            self.unknown(code::UNKNOWN_CONNECTION, "http connection", name, at, names);
        }
    }

    fn table(&mut self, name: &str, at: Span) {
        if table(self.plan, name).is_none() {
            let names = self.plan.tables.keys().map(String::as_str).collect();
            self.unknown(code::UNKNOWN_TABLE, "table", name, at, names);
        }
    }

    /// What can fail: tables, stores, spools. The answer of a spool is never lost: it is a folder.
    fn fails(&mut self, name: &str, at: Span, fail: &Fail) {
        let places = connections(self.plan, |c| matches!(c, Connection::ObjectStore(_)));
        if !places.contains(&name) && table(self.plan, name).is_none() {
            let tables = self.plan.tables.keys().map(String::as_str);
            self.unknown(code::UNKNOWN_TABLE, "table, store or spool", name, at, tables.chain(places).collect());
        } else if fail.lose > 0 && self.is_spool(name) {
            let message = format!("`{name}` is a spool, whose answers are not lost");
            self.problems.push(Diagnostic::new(code::TEST, self.source, at, message).help("write `refuse`"));
        }
    }

    fn is_spool(&self, name: &str) -> bool {
        let stages = self.plan.flows.iter().flat_map(|flow| &flow.stages);
        stages.into_iter().any(|stage| match &stage.kind {
            StageKind::Download(download) => download.spool == name,
            StageKind::Upload(upload) => upload.spool == name,
            _ => false,
        })
    }

    fn claim(&mut self, claim: &Claim) {
        let (at, of) = (claim.at, claim.of.as_str());
        let fields = match claim.what {
            What::Rows => {
                self.table(of, at);
                let Some(spec) = table(self.plan, of) else { return };
                let columns: Vec<&str> = spec.columns.iter().map(|c| c.name.as_str()).collect();
                return self.fields(claim, code::UNKNOWN_COLUMN, &format!("column of {of} called"), &columns);
            }
            What::Messages => {
                self.topic(of, at);
                MESSAGE
            }
            What::Calls => {
                self.api(of, at);
                CALL
            }
            What::Outcomes => {
                if !self.flows().contains(&of) {
                    self.unknown(code::TEST, "flow", of, at, self.flows());
                }
                self.outcome_words(claim);
                OUTCOME
            }
            What::Files => {
                let names = connections(self.plan, |c| matches!(c, Connection::ObjectStore(_)));
                if !names.contains(&of) {
                    self.unknown(code::UNKNOWN_CONNECTION, "object_store connection", of, at, names);
                }
                FILE
            }
        };
        self.fields(claim, code::UNKNOWN_FIELD, "field", fields);
    }

    /// The words that an outcome's fields are made of: one that does not exist never fits.
    fn outcome_words(&mut self, claim: &Claim) {
        let mut stages: Vec<&str> = vec!["source"];
        for flow in self.plan.flows.iter().filter(|flow| flow.name == claim.of) {
            stages.extend(flow.stages.iter().map(|stage| &*stage.name));
            stages.extend(flow.rows.iter().map(|block| &*block.name));
            stages.extend(flow.sends.iter().map(|block| &*block.name));
        }
        let categories: Vec<&str> = Category::ALL.into_iter().map(Category::as_str).collect();
        let all = [("status", Status::WORDS), ("category", &categories[..]), ("stage", &stages[..])];
        for wanted in &claim.records {
            for ((name, pattern), at) in wanted.fields.iter().zip(&wanted.values) {
                let Some((what, words)) = all.iter().find(|(field, _)| field == name) else { continue };
                // Of a flow that there is not, no stage is known.
                if let Pattern::Is(Value::String(word)) = pattern
                    && words.len() > 1
                    && !words.contains(&word.as_str())
                {
                    self.unknown(code::TEST, &format!("{what} of an outcome called"), word, *at, words.to_vec());
                }
            }
        }
    }

    fn fields(&mut self, claim: &Claim, code: &'static str, what: &str, known: &[&str]) {
        debug_assert!(claim.records.is_empty() || !matches!(claim.mode, Mode::Count(_)));
        for wanted in &claim.records {
            for ((name, _), at) in wanted.fields.iter().zip(&wanted.places) {
                if !known.contains(&name.as_str()) {
                    self.unknown(code, what, name, *at, known.to_vec());
                }
            }
        }
    }
}
