//! Simulations, alone and with the topology that names them: what one says of the other must be there.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use crate::plan::{Plan, SourceKind};
use crate::sim::{self, Simulation};
use crate::topology::{self, Diagnostic, Diagnostics, Environment, Severity, code};

/// An address such as a simulation gets when it runs.
const SOMEWHERE: ([u8; 4], u16) = ([127, 0, 0, 1], 40_000);

/// What is wrong with the simulation in a file.
pub(super) fn alone(path: &Path) -> Diagnostics {
    sim::load(path).err().unwrap_or_default()
}

/// What is wrong with the simulation in `path`, which the topology in `of` names: alone, and with it. `starts` says whether the
/// topology does so without it.
pub(super) fn named(path: &Path, of: &Path, starts: bool, environment: &Environment, data: &Path) -> Diagnostics {
    let simulation = match sim::load(path) {
        Ok(simulation) => simulation,
        Err(problems) => return problems,
    };
    let variables = topology::head_of(of).unwrap_or_default().variables;
    let provided = simulation.environment(SocketAddr::from(SOMEWHERE));
    let found = match topology::load(of, &environment.clone().overlay(provided), data) {
        Ok(loaded) => fits(&simulation, &loaded.plan, &variables),
        Err(problems) => {
            let mut found = unread(&simulation, &variables);
            if starts && found.is_empty() {
                found.extend(problems.items.iter().find_map(|problem| spoilt(&simulation, problem, &problems)));
            }
            found
        }
    };
    Diagnostics::new(found, vec![simulation.source().clone()])
}

/// What `simulation` says of a topology that is not so. `variables` are those that the topology's file names.
pub fn fits(simulation: &Simulation, plan: &Plan, variables: &BTreeSet<String>) -> Vec<Diagnostic> {
    let source = simulation.source();
    let mut problems = unread(simulation, variables);
    let wrong = |code, at, message: String| Diagnostic::new(code, source, at, message);
    let topic = simulation.topic();
    let read = |name: &str| {
        plan.flows.iter().any(|flow| matches!(&flow.source.kind, SourceKind::Topic { topic, .. } if topic == name))
    };
    if plan.topics.values().all(|known| known.name != topic) {
        // A topic is named in full here, and by its name in the topology everywhere else.
        let problem = wrong(code::UNKNOWN_TOPIC, simulation.topic_at(), format!("there is no topic `{topic}`"));
        let names = plan.topics.values().map(|known| known.name.as_str()).filter(|name| read(name));
        problems.push(match plan.topics.get(topic) {
            Some(meant) => problem.help("events need the full name of the topic").write(&*meant.name),
            None => problem.nearest(topic, names),
        });
    } else if !read(topic) {
        let problem = wrong(code::UNREAD_TOPIC, simulation.topic_at(), format!("no flow reads the topic `{topic}`"));
        let names: Vec<&str> =
            plan.topics.values().map(|known| known.name.as_str()).filter(|name| read(name)).collect();
        problems.push(problem.expected(format!("one of `{}`", names.join("`, `"))));
    }
    for (table, at) in simulation.tables() {
        if !plan.tables.contains_key(table) {
            let problem = wrong(code::UNKNOWN_TABLE, at, format!("there is no table `{table}`"));
            problems.push(problem.nearest(table, plan.tables.keys().map(String::as_str)));
        }
    }
    problems
}

/// What is provided and not read.
fn unread(simulation: &Simulation, variables: &BTreeSet<String>) -> Vec<Diagnostic> {
    let unread = simulation.provides().filter(|(name, _)| !variables.contains(*name));
    let problem = |(name, at): (&str, _)| {
        let message = format!("the topology does not read the variable `{name}`");
        let problem = Diagnostic::new(code::PROVIDES, simulation.source(), at, message);
        problem.nearest(name, variables.iter().map(String::as_str))
    };
    unread.map(problem).collect()
}

/// The variable whose value keeps the topology from starting.
fn spoilt(simulation: &Simulation, problem: &Diagnostic, all: &Diagnostics) -> Option<Diagnostic> {
    if problem.severity != Severity::Error {
        return None;
    }
    let position = &problem.position;
    let line = all.sources.iter().find(|source| source.name == position.file).map_or("", |s| s.line(position.line));
    let named = |name: &str| line.contains(&format!("${{{name}")) || problem.message.contains(&format!("`{name}`"));
    let (name, at) = simulation.provides().find(|(name, _)| named(name)).or_else(|| simulation.provides().next())?;
    let message = format!("with the value of `{name}` the topology does not start: {}", problem.message);
    let place = format!("it is read at {}:{}:{}", position.file, position.line, position.column);
    Some(Diagnostic::new(code::PROVIDES, simulation.source(), at, message).help(place))
}
