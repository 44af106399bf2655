//! `engine validate`: whether a topology would start, and everything that is wrong with it. Nothing is connected.

use std::path::{Path, PathBuf};

use super::{Failed, terminal};
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

/// Check a topology without a connection
#[derive(clap::Args)]
pub struct Args {
    /// The topologies
    #[arg(required = true, value_name = "TOPOLOGY")]
    files: Vec<PathBuf>,
    /// The folder that `{data}` stands for
    #[arg(long, default_value = "data", value_name = "DIR")]
    data: PathBuf,
    /// Print what was found as JSON on standard output, a line for each topology
    #[arg(long)]
    json: bool,
}

/// Runs `engine validate`. What it accepts, starts.
pub fn run(args: &Args, environment: &Environment) -> Result<(), Failed> {
    let mut broken = 0;
    for file in &args.files {
        let checked = check(file, environment, &args.data);
        if args.json {
            terminal::put(&format!("{}\n", checked.to_json()))?;
        } else {
            terminal::say(checked.render().trim_end());
        }
        broken += usize::from(!checked.starts);
    }
    if broken == 0 { Ok(()) } else { Err(Failed::usage(format!("{broken} of {} files cannot run", args.files.len()))) }
}
