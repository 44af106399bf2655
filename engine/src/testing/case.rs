//! Runs one case: its steps in order, until one does not hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use connectors::clock::Micros;
use connectors::log::{Log as _, Record as Sending};
use connectors::{Error, memory};

use super::check::{Mismatch, Record, check};
use super::coverage::{self, Part};
use super::life::Life;
use super::records;
use super::suite::{Act, Case, Claim, Fail, Named, Sent, What};
use super::world::{Place, World};
use crate::plan::{Plan, SourceKind};
use crate::topology::Span;

/// A case while it runs.
struct Running<'c> {
    plan: Arc<Plan>,
    case: &'c Case,
    world: Arc<World>,
    life: Option<Life>,
    /// Calls by connection and outcomes by flow that no step has looked at yet.
    calls: BTreeMap<String, Vec<Record>>,
    outcomes: BTreeMap<String, Vec<Record>>,
    reached: BTreeSet<Part>,
}

/// What became of a case.
#[derive(Default)]
pub struct Ran {
    /// In what it does not hold.
    pub mismatches: Vec<Mismatch>,
    /// The parts of its topology that it reached.
    pub reached: BTreeSet<Part>,
}

/// Runs `case` of a topology, its clock at `start`.
pub fn run(case: &Case, plan: &Arc<Plan>, start: Micros) -> Ran {
    let failed = |at: Span, message: String| Mismatch { at, message, same: Vec::new(), differences: Vec::new() };
    let world = Arc::new(World::new(plan, start));
    let life = match Life::start(plan, &case.flows, &world) {
        Ok(life) => life,
        Err(problems) => {
            let mismatches = problems.into_iter().map(|problem| failed(case.at, problem)).collect();
            return Ran { mismatches, ..Ran::default() };
        }
    };
    let mut running = Running {
        plan: plan.clone(),
        case,
        world,
        life: Some(life),
        calls: BTreeMap::new(),
        outcomes: BTreeMap::new(),
        reached: BTreeSet::new(),
    };
    let mut mismatches = Vec::new();
    let mut last = case.at;
    for step in &case.steps {
        last = step.at;
        match running.step(&step.act) {
            Ok(found) => mismatches = found,
            Err(problem) => mismatches.push(failed(step.at, problem)),
        }
        if !mismatches.is_empty() {
            break;
        }
    }
    // Why an expectation does not hold is often that something was asked that nobody thought of.
    let unanswered = running.world.unanswered.take();
    let asked = |what: &String| failed(last, format!("nothing is declared for what was asked of {what}"));
    mismatches.extend(unanswered.iter().map(asked));
    running.look();
    if let Some(life) = running.life.take() {
        life.crash();
    }
    Ran { mismatches, reached: running.reached }
}

impl Running<'_> {
    fn step(&mut self, act: &Act) -> Result<Vec<Mismatch>, String> {
        match act {
            Act::Send(sends) => {
                self.send(sends)?;
                self.life()?.settle()?;
            }
            Act::Answer(routes) => {
                for (name, _, routes) in routes {
                    let api = self.world.api(name).ok_or_else(|| format!("connection {name} is no API"))?;
                    routes.iter().for_each(|route| api.declare(route.clone()));
                }
            }
            Act::Serve(files) => {
                for (url, _, answers) in files {
                    self.world.files.declare(url.clone(), answers.clone());
                }
            }
            Act::Fail(failures) => {
                for (name, _, fail) in failures {
                    self.fail(name, fail)?;
                }
            }
            Act::Advance(duration) => self.life()?.advance(*duration)?,
            Act::Drain => self.life()?.drain()?,
            Act::Restart { crash } => self.restart(*crash)?,
            Act::Expect(claims) => {
                self.collect();
                let mut mismatches = Vec::new();
                for claim in claims {
                    mismatches.extend(self.claim(claim)?);
                }
                return Ok(mismatches);
            }
        }
        Ok(Vec::new())
    }

    /// Lets the next writes to a table, a store or a spool fail.
    fn fail(&self, name: &str, fail: &Fail) -> Result<(), String> {
        if let Some(place) = self.world.place(name) {
            let error = Error::new(fail.category, format!("{name} refuses the file"));
            match place {
                Place::Store(_, faults) if fail.lose > 0 => faults.lose(fail.lose, &error),
                Place::Store(_, faults) => faults.refuse(fail.refuse, &error),
                Place::Spool(spool) => spool.refuse_next(fail.refuse, &error),
            }
            return Ok(());
        }
        let table = self.world.table_named(name).ok_or_else(|| format!("no flow writes to {name}"))?;
        let error = Error::new(fail.category, "the store refuses the commit");
        (0..fail.refuse).for_each(|_| table.refuse(error.clone()));
        if fail.lose > 0 {
            table.lose_answers(fail.lose);
        }
        Ok(())
    }

    fn life(&self) -> Result<&Life, String> {
        self.life.as_ref().ok_or_else(|| "the flows have ended".to_owned())
    }

    fn restart(&mut self, crash: bool) -> Result<(), String> {
        self.collect();
        if let Some(life) = self.life.take() {
            if crash {
                life.crash();
            } else {
                life.stop()?;
            }
        }
        let life = Life::start(&self.plan, &self.case.flows, &self.world).map_err(|problems| problems.join("; "))?;
        life.settle()?;
        self.life = Some(life);
        Ok(())
    }

    fn send(&self, sends: &Named<Vec<Sent>>) -> Result<(), String> {
        for (name, _, messages) in sends {
            let (log, topic) = self.topic(name)?;
            let record = |sent: &Sent| Sending {
                topic: topic.as_str().into(),
                key: sent.key.clone(),
                payload: sent.payload.clone(),
                headers: sent.headers.iter().map(|(n, v)| (n.as_str().into(), v.clone().into())).collect(),
            };
            let records = messages.iter().map(record).collect();
            let sent = self.life()?.block_on(async { log.producer().await?.send(records).await });
            sent.map_err(|e| format!("topic {name}: {e}"))?;
        }
        Ok(())
    }

    /// The log and the full name of a topic, or of the file that a flow reads.
    fn topic(&self, name: &str) -> Result<(memory::Log, String), String> {
        if let Some((connection, full)) = records::topic(&self.plan, name) {
            return Ok((self.world.log_named(&connection), full));
        }
        let reads = |kind: &SourceKind| matches!(kind, SourceKind::File { path } if path.display().to_string() == name);
        let flow = self.plan.flows.iter().find(|f| reads(&f.source.kind));
        flow.map(|flow| (self.world.reads(flow).0, name.to_owned())).ok_or_else(|| format!("there is no topic {name}"))
    }

    /// Notes which parts of the topology were reached since the last time.
    fn look(&mut self) {
        for (name, visits) in self.life.iter().flat_map(Life::take_visits) {
            let flow = self.plan.flows.iter().find(|flow| flow.name == name);
            self.reached.extend(flow.map(|flow| coverage::reached(flow, &visits)).unwrap_or_default());
        }
    }

    /// Takes what happened since the last time.
    fn collect(&mut self) {
        self.look();
        for name in self.plan.connections.keys() {
            if let Some(api) = self.world.api(name) {
                self.calls.entry(name.clone()).or_default().extend(api.take_calls());
            }
        }
        for (flow, documents) in self.life.iter().flat_map(Life::take_outcomes) {
            self.outcomes.entry(flow).or_default().extend(documents.iter().map(records::outcome));
        }
    }

    fn claim(&mut self, claim: &Claim) -> Result<Vec<Mismatch>, String> {
        let of = claim.of.as_str();
        let told = |e: Error| format!("{of}: {e}");
        Ok(match claim.what {
            What::Rows => {
                let spec = records::table(&self.plan, of).ok_or_else(|| format!("there is no table {of}"))?;
                let claim = records::as_columns_hold_it(claim, spec);
                check(&claim, &format!("a row of {of}"), &records::rows(&self.world, spec))
            }
            What::Messages => {
                let (connection, full) =
                    records::topic(&self.plan, of).ok_or_else(|| format!("there is no topic {of}"))?;
                let found = self.life()?.block_on(records::messages(&self.world, &connection, &full));
                check(claim, &format!("a message of {full}"), &found.map_err(told)?)
            }
            What::Calls => check(claim, &format!("a call of {of}"), &self.calls.remove(of).unwrap_or_default()),
            What::Outcomes => {
                check(claim, &format!("an outcome of {of}"), &self.outcomes.remove(of).unwrap_or_default())
            }
            What::Files => {
                let found = self.life()?.block_on(records::files(&self.world, of));
                check(claim, &format!("a file of {of}"), &found.map_err(told)?)
            }
        })
    }
}
