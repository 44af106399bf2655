//! What became of the cases, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::check::Mismatch;
use super::coverage::Coverage;
use crate::topology::{Diagnostics, Source};

/// What became of all suites.
#[derive(Default)]
pub struct Report {
    /// The suites that could be read, in order.
    pub suites: Vec<SuiteReport>,
    /// What is wrong with files of tests, or with topologies under the environment of a case.
    pub broken: Vec<Diagnostics>,
    /// What was reached of each topology, in the order of their first suites.
    pub coverage: Vec<Coverage>,
}

/// What became of one suite.
pub struct SuiteReport {
    /// Its name.
    pub name: String,
    /// Its file.
    pub source: Source,
    /// Its cases: the name, the offset of the name, and in what it does not hold.
    pub cases: Vec<(String, usize, Vec<Mismatch>)>,
}

impl Report {
    /// How many cases hold, and how many do not.
    pub fn counts(&self) -> (usize, usize) {
        let cases = || self.suites.iter().flat_map(|s| &s.cases);
        let failed = cases().filter(|(_, _, mismatches)| !mismatches.is_empty()).count();
        (cases().count() - failed, failed)
    }

    /// Whether everything holds, and something was tested.
    pub fn passed(&self) -> bool {
        let (passed, failed) = self.counts();
        self.broken.is_empty() && failed == 0 && passed > 0
    }

    /// As a person reads it: what does not hold, then a line for each suite.
    pub fn render(&self) -> String {
        let mut out = String::new();
        for broken in &self.broken {
            out += &broken.render();
        }
        // Writing to a string cannot fail.
        for suite in &self.suites {
            for (name, _, mismatches) in suite.cases.iter().filter(|(_, _, m)| !m.is_empty()) {
                let _ = writeln!(out, "FAILED {}: {name}", suite.name);
                mismatches.iter().for_each(|mismatch| out += &render(mismatch, &suite.source));
                out.push('\n');
            }
        }
        for suite in &self.suites {
            let failed = suite.cases.iter().filter(|(_, _, m)| !m.is_empty()).count();
            let _ = writeln!(out, "{}: {} passed, {failed} failed", suite.name, suite.cases.len() - failed);
        }
        out
    }

    /// As a program reads it.
    pub fn to_json(&self) -> Value {
        let mut cases = Vec::new();
        for suite in &self.suites {
            for (name, at, mismatches) in &suite.cases {
                let failures: Vec<Value> = mismatches.iter().map(|m| mismatch_json(m, &suite.source)).collect();
                cases.push(json!({
                    "suite": suite.name, "case": name, "file": suite.source.name.as_ref(),
                    "line": suite.source.position(*at).0, "passed": failures.is_empty(), "failures": failures,
                }));
            }
        }
        let (passed, failed) = self.counts();
        let broken: Vec<Value> =
            self.broken.iter().flat_map(|b| b.to_json().as_array().cloned().unwrap_or_default()).collect();
        let coverage: Vec<Value> = self
            .coverage
            .iter()
            .map(|of| {
                let missing: Vec<Value> =
                    of.missing().map(|(flow, part)| json!({"flow": flow, "part": part})).collect();
                let unreachable: Vec<Value> = of
                    .unreachable
                    .iter()
                    .map(|((flow, part), why)| json!({"flow": flow, "part": part, "why": why}))
                    .collect();
                let parts = of.counted().count();
                json!({
                    "topology": of.topology, "parts": parts, "reached": parts - missing.len(), "missing": missing,
                    "unreachable": unreachable,
                })
            })
            .collect();
        json!({"passed": passed, "failed": failed, "cases": cases, "diagnostics": broken, "coverage": coverage})
    }

    /// What was reached of each topology, as a person reads it.
    pub fn render_coverage(&self) -> String {
        self.coverage.iter().map(Coverage::render).collect()
    }
}

fn render(mismatch: &Mismatch, source: &Source) -> String {
    let (line, column) = source.position(mismatch.at.start);
    let mut out = format!("  {}:{line}:{column}: {}\n", source.name, mismatch.message);
    let widths = mismatch.same.iter().map(|(n, _)| n).chain(mismatch.differences.iter().map(|d| &d.path));
    let width = widths.map(|name| name.chars().count()).max().unwrap_or(0);
    for (name, value) in &mismatch.same {
        let _ = writeln!(out, "      {name:width$}  {value}");
    }
    for difference in &mismatch.differences {
        let path = &difference.path;
        if let Some(expected) = &difference.expected {
            let _ = writeln!(out, "    - {path:width$}  {expected}");
        }
        let _ = writeln!(out, "    + {path:width$}  {}", difference.got.as_deref().unwrap_or("(nothing)"));
    }
    out
}

fn mismatch_json(mismatch: &Mismatch, source: &Source) -> Value {
    let (line, column) = source.position(mismatch.at.start);
    let differences: Vec<Value> =
        mismatch.differences.iter().map(|d| json!({"path": d.path, "expected": d.expected, "got": d.got})).collect();
    json!({
        "file": source.name.as_ref(), "line": line, "column": column,
        "message": mismatch.message, "differences": differences,
    })
}
