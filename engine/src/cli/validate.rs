//! `engine validate`: whether a topology would start, and everything that is wrong with it. Nothing is connected.

use std::path::Path;

use crate::topology::{Diagnostics, Environment, load};

/// What a check found.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Whether the topology would start.
    pub starts: bool,
    /// Errors and warnings, by position.
    pub diagnostics: Diagnostics,
    /// One line: what was found.
    pub summary: String,
}

/// Checks a topology. `data` is what `{data}` means.
pub fn check(path: &Path, environment: &Environment, data: &Path) -> Checked {
    let (starts, diagnostics, what) = match load(path, environment, data) {
        Ok(loaded) => {
            let plan = loaded.plan;
            let (flows, tables, topics) = (plan.flows.len(), plan.tables.len(), plan.topics.len());
            (true, loaded.warnings, format!("valid; flows: {flows}, tables: {tables}, topics: {topics}"))
        }
        Err(problems) => (false, problems, "does not start".to_owned()),
    };
    let errors = diagnostics.items.iter().filter(|d| d.code.starts_with('E')).count();
    let warnings = diagnostics.items.len() - errors;
    let mut summary = format!("{}: {what}", path.display());
    for (count, word) in [(errors, "errors"), (warnings, "warnings")] {
        if count > 0 {
            summary += &format!("; {word}: {count}");
        }
    }
    Checked { starts, diagnostics, summary }
}

impl Checked {
    /// As a person reads it.
    pub fn render(&self) -> String {
        format!("{}{}\n", self.diagnostics.render(), self.summary)
    }

    /// As a program reads it.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({"starts": self.starts, "diagnostics": self.diagnostics.to_json()})
    }
}
