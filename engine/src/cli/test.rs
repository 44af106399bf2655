//! `engine test FILE|DIR…`: runs the tests of topologies.
//!
//! Exit status: 0, every case holds; 1, one does not; 2, a file is wrong.

use std::path::PathBuf;

use super::{Failed, terminal};
use crate::testing;

/// Run the tests of topologies
#[derive(clap::Args)]
pub struct Args {
    /// Test files, or folders of them
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Only cases whose name holds this text
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Also print which parts of the topologies no case reached: stages, branches, blocks, retries
    #[arg(long)]
    coverage: bool,
    /// How the result is written
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// What does not hold, then a line for each suite.
    Text,
    /// One JSON document.
    Json,
}

/// Runs `engine test`.
pub fn run(args: &Args) -> Result<(), Failed> {
    let report = testing::run(&args.paths, args.filter.as_deref());
    let text = match args.format {
        Format::Text if args.coverage => report.render() + &report.render_coverage(),
        Format::Text => report.render(),
        Format::Json => format!("{}\n", report.to_json()),
    };
    terminal::put(&text)?;
    let (passed, failed) = report.counts();
    match () {
        () if !report.broken.is_empty() => Err(Failed::usage("a file of tests, or its topology, is wrong")),
        () if failed > 0 => Err(Failed::running(vec![format!("{failed} of {} cases failed", passed + failed)])),
        () if passed == 0 => Err(Failed::usage("no case was run")),
        () => Ok(()),
    }
}
