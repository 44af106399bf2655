//! `engine validate FILE…`: whether topologies would start, and everything that is wrong with them. Nothing is connected, unless
//! `--connect` asks for it, and then nothing is written anywhere.
//!
//! Exit status: 0, all would start; 1, a connection that was tried does not answer; 2, a file is wrong.

use std::path::PathBuf;
use std::time::Duration;

use super::{Failed, terminal};
use crate::check::{self, Checked};
use crate::run::probe::{self, Probe};
use crate::topology::Environment;

/// Check a topology without a connection
#[derive(clap::Args)]
pub struct Args {
    /// The topologies, also test files and simulations
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The folder that `{data}` stands for
    #[arg(long, default_value = "data", value_name = "DIR")]
    data: PathBuf,
    /// How the result is written
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    format: Format,
    /// Also try each connection: nothing is written, sent or made
    #[arg(long)]
    connect: bool,
    /// How long a connection may take, in seconds
    #[arg(long, default_value_t = 5, value_name = "N", requires = "connect")]
    timeout: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people: each problem with its line.
    Text,
    /// For programs: a line of JSON for each file.
    Json,
}

/// Runs `engine validate`. What it accepts, starts.
pub async fn run(args: &Args, environment: &Environment) -> Result<(), Failed> {
    let checked = check::check(&args.files, environment, &args.data);
    let mut silent = 0;
    for file in &checked {
        let probes = match &file.plan {
            Some(plan) if args.connect && file.starts() => {
                Some(probe::probe(plan, &args.data, Duration::from_secs(args.timeout.max(1))).await)
            }
            _ => None,
        };
        silent += probes.iter().flatten().filter(|probe| probe.outcome.is_err()).count();
        show(file, probes.as_deref(), args.format)?;
    }
    let broken = checked.iter().filter(|file| !file.starts()).count();
    match (broken, silent) {
        (0, 0) => Ok(()),
        (0, 1) => Err(Failed::running(vec!["a connection cannot be used as it is".into()])),
        (0, _) => Err(Failed::running(vec![format!("{silent} connections cannot be used as they are")])),
        _ => Err(Failed::usage(format!("{broken} of {} files cannot run", args.files.len()))),
    }
}

fn show(file: &Checked, probes: Option<&[Probe]>, format: Format) -> Result<(), Failed> {
    if format == Format::Json {
        let mut json = file.to_json();
        if let Some(probes) = probes {
            json["connections"] = probes.iter().map(Probe::to_json).collect();
        }
        return terminal::put(&format!("{json}\n"));
    }
    terminal::say(file.render().trim_end());
    for probe in probes.unwrap_or_default() {
        terminal::say(format_args!("  {probe}"));
    }
    Ok(())
}
