//! Tests of topologies, written in YAML: what comes in, what APIs answer, how the clock moves, and what must then be so.
//!
//! A case runs the real flows, over systems in memory and a clock that only its steps move, so a retry after forty minutes takes
//! milliseconds. `docs/testing.md` explains the files.
//!
//! - `suite` reads a file into cases and steps, by the tables of [`language`]; `names` checks them against the topology.
//! - `world` is the outside of a case: the doubles of the connectors, and those of `doubles`. It outlives a restart.
//! - `life` is one run of the flows; it knows exactly when nothing is left to do but to wait for the clock.
//! - `case` runs the steps; `records` says what is there, `check` compares it with `pattern`s, [`report`] shows it.
//! - [`coverage`] says which parts of a topology its cases reached.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use indexmap::IndexMap;

use crate::plan::Plan;
use crate::topology::{self, Diagnostic, Diagnostics, Environment, Source, code};

mod case;
mod check;
pub mod coverage;
mod doubles;
pub mod language;
mod life;
mod names;
mod pattern;
mod records;
pub mod report;
mod suite;
mod world;

use coverage::Coverage;
pub use report::Report;
use report::SuiteReport;
use suite::{Case, Suite, Unreachable};

/// Runs the cases of test files whose name holds `filter`, several at a time. Of a folder all `*.yaml` below it are taken.
pub fn run(paths: &[PathBuf], filter: Option<&str>) -> Report {
    let mut report = Report::default();
    let mut jobs: Vec<Job> = Vec::new();
    let mut suites = Vec::new();
    for path in files(paths, &mut report) {
        let Some(mut suite) = load(&path, &mut report) else { continue };
        suite.cases.retain(|case| filter.is_none_or(|filter| case.name.contains(filter)));
        let plans = plans(&suite, &mut report);
        suites.push(suite);
        let index = suites.len() - 1;
        jobs.extend(plans.into_iter().enumerate().filter_map(|(case, plan)| Some((index, case, plan?))));
    }
    let mut results = perform(&suites, &jobs);
    let mut covered: IndexMap<PathBuf, Coverage> = IndexMap::new();
    for (index, suite) in suites.into_iter().enumerate() {
        let file = suite.topology.0.clone();
        let coverage = covered.entry(file.canonicalize().unwrap_or_else(|_| file.clone())).or_insert_with(|| {
            let plan = jobs.iter().find(|(of, ..)| *of == index).map(|(_, _, plan)| coverage::parts(plan));
            Coverage {
                topology: plain(&file).display().to_string(),
                parts: plan.unwrap_or_default(),
                ..Coverage::default()
            }
        });
        for Unreachable { flow, part, why } in suite.unreachable {
            coverage.unreachable.insert((flow.0, part.0), why);
        }
        let mut cases = Vec::new();
        for (at, case) in suite.cases.iter().enumerate() {
            let Some(ran) = results.remove(&(index, at)) else { continue };
            coverage.reached.extend(ran.reached);
            cases.push((case.name.clone(), case.at.start, ran.mismatches));
        }
        report.suites.push(SuiteReport { name: suite.name, cases, source: suite.source });
    }
    report.coverage = covered.into_values().collect();
    report
}

/// Checks a test file and its topology without running a case: how many cases there are, and what is wrong.
pub fn check(path: &Path) -> (usize, Diagnostics) {
    let mut report = Report::default();
    let cases = load(path, &mut report).map_or(0, |suite| {
        plans(&suite, &mut report);
        suite.cases.len()
    });
    let (mut items, mut sources) = (Vec::new(), Vec::new());
    for broken in report.broken {
        items.extend(broken.items.into_iter().filter(|item| item.severity == topology::Severity::Error));
        sources.extend(broken.sources);
    }
    (cases, Diagnostics::new(items, sources))
}

/// Starts all flows of `plan` over systems in memory, up to the dataflow that waits for messages, and ends them: why they do not
/// start.
pub fn start(plan: &Arc<Plan>) -> Result<(), Vec<String>> {
    let world = Arc::new(world::World::new(plan, 0));
    life::Life::start(plan, &[], &world)?.crash();
    Ok(())
}

/// A suite, a case of it, and what it runs.
type Job = (usize, usize, Arc<Plan>);
type Results = BTreeMap<(usize, usize), case::Ran>;

/// Runs the jobs, as many at a time as there are processors.
fn perform(suites: &[Suite], jobs: &[Job]) -> Results {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Results::new()));
    let work = || {
        while let Some((suite, case, plan)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Some((of, case_of)) = suites.get(*suite).and_then(|s| Some((s, s.cases.get(*case)?))) else { continue };
            let ran = case::run(case_of, plan, of.start);
            results.lock().unwrap_or_else(PoisonError::into_inner).insert((*suite, *case), ran);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// A path without what it takes back: `tests/a/../../b` is `b`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        let back = part == Component::ParentDir && matches!(plain.components().next_back(), Some(Component::Normal(_)));
        if back {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}

/// The test files at `paths`, sorted below a folder.
fn files(paths: &[PathBuf], report: &mut Report) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = files.len();
            below(path, &mut files);
            if let Some(found) = files.get_mut(before..) {
                found.sort();
            }
            if files.len() == before {
                let source = Source::new(path.display().to_string(), "");
                let problem = Diagnostic::new(code::FILE, &source, topology::Span::at(0), "there is no test file here");
                report.broken.push(Diagnostics::new(vec![problem], Vec::new()));
            }
        } else {
            files.push(path.clone());
        }
    }
    files
}

fn below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            below(&path, files);
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            files.push(path);
        }
    }
}

fn load(path: &Path, report: &mut Report) -> Option<Suite> {
    let mut problems = Vec::new();
    let source = match topology::read(path) {
        Ok(source) => source,
        Err(broken) => {
            report.broken.push(broken);
            return None;
        }
    };
    let suite = suite::read(source.clone(), path.parent().unwrap_or(Path::new("")), &mut problems);
    if problems.is_empty() {
        return suite;
    }
    report.broken.push(Diagnostics::new(problems, vec![source]));
    None
}

/// The variables that an environment of the suite sets and the topology does not read: setting them would show nothing.
fn unread(suite: &Suite, topology: &Source) -> Vec<Diagnostic> {
    let read = topology::variables(topology);
    let unread = suite.variables.iter().filter(|(name, _)| !read.contains(name));
    let problem = |(name, at): &(String, topology::Span)| {
        let message = format!("the topology does not read the variable `{name}`");
        Diagnostic::new(code::PROVIDES, &suite.source, *at, message).nearest(name, read.iter().map(String::as_str))
    };
    unread.map(problem).collect()
}

/// The plan of each case: one for each environment. A case that names what its topology does not have gets none.
fn plans(suite: &Suite, report: &mut Report) -> Vec<Option<Arc<Plan>>> {
    let topology = match topology::read(&suite.topology.0) {
        Ok(source) => source,
        Err(broken) => {
            let at = |problem: Diagnostic| Diagnostic {
                position: Diagnostic::new(code::FILE, &suite.source, suite.topology.1, "").position,
                ..problem
            };
            let problems = broken.items.into_iter().map(at).collect();
            report.broken.push(Diagnostics::new(problems, vec![suite.source.clone()]));
            return Vec::new();
        }
    };
    let name = suite.topology.0.display().to_string();
    let mut known: BTreeMap<&BTreeMap<String, String>, Option<Arc<Plan>>> = BTreeMap::new();
    let mut problems = unread(suite, &topology);
    let text = topology.text;
    let mut plan = |case: &'_ Case| -> Option<Arc<Plan>> {
        let environment: Environment = case.environment.clone().into_iter().collect();
        match topology::load_str(&name, &text, &environment, "data") {
            Ok(loaded) => Some(Arc::new(loaded.plan)),
            Err(broken) => {
                report.broken.push(broken);
                None
            }
        }
    };
    let mut plans = Vec::new();
    for case in &suite.cases {
        let plan = known.entry(&case.environment).or_insert_with(|| plan(case)).clone();
        let wrong = plan.as_ref().map(|plan| names::check(case, plan, &suite.source)).unwrap_or_default();
        plans.push(plan.filter(|_| wrong.is_empty()));
        problems.extend(wrong);
    }
    if let Some(plan) = known.values().flatten().next() {
        problems.extend(names::unreachable(suite, plan));
    }
    if !problems.is_empty() {
        report.broken.push(Diagnostics::new(problems, vec![suite.source.clone()]));
    }
    plans
}
