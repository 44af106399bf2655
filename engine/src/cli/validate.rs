//! `engine validate FILE...`: checks topologies without a connection.

use std::path::PathBuf;

use super::Failed;
use crate::topology::env::Environment;

/// Check a topology without a connection
#[derive(clap::Args)]
pub struct Args {
    /// The topologies
    #[arg(required = true, value_name = "TOPOLOGY")]
    files: Vec<PathBuf>,
    /// The folder that `{data}` stands for
    #[arg(long, default_value = "data", value_name = "DIR")]
    data: PathBuf,
}

/// Runs it. What it accepts, starts.
pub fn run(args: &Args, environment: Environment) -> Result<(), Failed> {
    let mut broken = 0;
    for file in &args.files {
        match crate::topology::load(file, &environment, &args.data) {
            Ok(loaded) => {
                eprint!("{}", loaded.warnings.render());
                let plan = loaded.plan;
                eprintln!(
                    "{}: topology {} is valid: {} flows, {} topics, {} tables",
                    file.display(),
                    plan.name,
                    plan.flows.len(),
                    plan.topics.len(),
                    plan.tables.len()
                );
            }
            Err(problems) => {
                eprint!("{}", problems.render());
                broken += 1;
            }
        }
    }
    if broken == 0 { Ok(()) } else { Err(Failed::usage(format!("{broken} of {} files cannot run", args.files.len()))) }
}
