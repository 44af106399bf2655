//! The check of files as `engine validate` does it: everything that can be found without a connection, over all files at once.
//!
//! A file is a topology, unless it says of itself that it is one of tests or a simulation. With a topology goes the simulation
//! that it names, and with several what two of them claim: what passes here starts, together and with `--sim`.

mod simulation;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

pub use simulation::fits;

use crate::plan::{Place, Plan};
use crate::run::together;
use crate::testing;
use crate::topology::{self, Diagnostic, Diagnostics, Environment, Severity, Source, Span, code};

/// What a check found in a file.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The file.
    pub path: PathBuf,
    /// What it compiles to, if it is a topology that would start.
    pub plan: Option<Arc<Plan>>,
    /// Errors and warnings, by position.
    pub diagnostics: Diagnostics,
    what: String,
}

/// Checks files. `data` is what `{data}` means.
pub fn check(paths: &[PathBuf], environment: &Environment, data: &Path) -> Vec<Checked> {
    let mut checked: Vec<Checked> = paths.iter().map(|path| one(path, environment, data)).collect();
    let with_plans: Vec<(usize, Arc<Plan>)> =
        checked.iter().enumerate().filter_map(|(at, file)| Some((at, file.plan.clone()?))).collect();
    let plans: Vec<&Plan> = with_plans.iter().map(|(_, plan)| &**plan).collect();
    for clash in together::clashes(&plans) {
        let Some(file) = with_plans.get(clash.plan).and_then(|(at, _)| checked.get_mut(*at)) else { continue };
        let problem = file.at(clash.code, clash.place.as_ref(), clash.message);
        file.add(vec![problem.help("they cannot run in one process: change one, or run them apart")]);
    }
    checked
}

fn one(path: &Path, environment: &Environment, data: &Path) -> Checked {
    let file = |plan: Option<Plan>, diagnostics, what: String| Checked {
        path: path.to_owned(),
        plan: plan.map(Arc::new),
        diagnostics,
        what,
    };
    let head = topology::head_of(path).unwrap_or_default();
    if head.is_suite {
        let (cases, diagnostics) = testing::check(path);
        return file(None, diagnostics, format!("valid; cases: {cases}"));
    }
    if head.is_simulation {
        return file(None, simulation::alone(path), "valid; a simulation".into());
    }
    match topology::load(path, environment, data) {
        Ok(loaded) => {
            let (flows, tables, topics) = (loaded.plan.flows.len(), loaded.plan.tables.len(), loaded.plan.topics.len());
            let what = format!("valid; flows: {flows}, tables: {tables}, topics: {topics}");
            let mut checked = file(Some(loaded.plan), loaded.warnings, what);
            checked.simulation(&head, environment, data);
            checked
        }
        Err(problems) => {
            let mut checked = file(None, problems, String::new());
            checked.simulation(&head, environment, data);
            checked
        }
    }
}

impl Checked {
    /// Whether it would start.
    pub fn starts(&self) -> bool {
        !self.diagnostics.has_errors()
    }

    /// One line: what was found.
    pub fn summary(&self) -> String {
        let count = |severity| self.diagnostics.items.iter().filter(|d| d.severity == severity).count();
        let mut summary =
            format!("{}: {}", self.path.display(), if self.starts() { &self.what } else { "does not start" });
        for (count, word) in [(count(Severity::Error), "errors"), (count(Severity::Warning), "warnings")] {
            if count > 0 {
                summary += &format!("; {word}: {count}");
            }
        }
        summary
    }

    /// As a person reads it.
    pub fn render(&self) -> String {
        format!("{}{}\n", self.diagnostics.render(), self.summary())
    }

    /// As a program reads it.
    pub fn to_json(&self) -> Value {
        json!({
            "file": self.path.display().to_string(),
            "starts": self.starts(),
            "diagnostics": self.diagnostics.to_json(),
        })
    }

    /// A problem of this file at a place of its plan; without one at its first key.
    fn at(&self, code: &'static str, place: Option<&Place>, message: String) -> Diagnostic {
        let nothing = Source::new(self.path.display().to_string(), "");
        let source = self.diagnostics.sources.iter().find(|s| *s.name == *nothing.name).unwrap_or(&nothing);
        let start = place.map_or(0, |place| {
            let line = source.line(place.line);
            let within = line.char_indices().nth(place.column.saturating_sub(1)).map_or(line.len(), |(at, _)| at);
            source.start(place.line) + within
        });
        let start = if place.is_none() { source.text.find("topology:").unwrap_or(0) } else { start };
        let rest = source.text.get(start..).unwrap_or("");
        let length = rest.find(|c: char| !(c.is_alphanumeric() || "_-.".contains(c))).unwrap_or(rest.len());
        Diagnostic::new(code, source, Span { start, end: start + length }, message)
    }

    fn add(&mut self, problems: Vec<Diagnostic>) {
        let all = std::mem::take(&mut self.diagnostics);
        let items = all.items.into_iter().chain(problems).collect();
        self.diagnostics = Diagnostics::new(items, all.sources);
    }

    /// Checks the simulation that the topology names: `--sim` starts it.
    fn simulation(&mut self, head: &topology::Head, environment: &Environment, data: &Path) {
        let (Some(path), Some(span)) = (&head.simulation, head.simulation_at) else { return };
        let broken = simulation::named(path, &self.path, self.starts(), environment, data);
        let nothing = Source::new("", "");
        let own = self.diagnostics.sources.first().unwrap_or(&nothing).clone();
        let unread = broken.items.iter().find(|problem| problem.code == code::FILE);
        if let Some(problem) = unread {
            let told = Diagnostic::new(code::FILE, &own, span, problem.message.clone());
            let help = problem.help.clone().unwrap_or_else(|| "the path is relative to this file".into());
            self.add(vec![told.help(help)]);
            return;
        }
        self.diagnostics.sources.extend(broken.sources);
        self.add(broken.items);
    }
}
