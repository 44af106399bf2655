//! `engine explain FILE`: what a topology compiles to. Nothing is connected.

use super::{Failed, Loading, terminal};
use crate::explain::explain;
use crate::run::choose;
use crate::topology::Environment;

/// Tell what a topology compiles to, without a connection
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    loading: Loading,
    /// Only these flows, by name or alias
    #[arg(long, value_name = "NAME")]
    flow: Vec<String>,
    /// How it is written
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// Runs `engine explain`.
pub fn run(args: &Args, environment: &Environment) -> Result<(), Failed> {
    let plan = args.loading.load(environment)?;
    let chosen = choose(&[&plan], &args.flow).map_err(|problems| Failed { status: 2, problems })?;
    let explanation = explain(&plan, &chosen.into_iter().next().unwrap_or_default());
    terminal::put(&match args.format {
        Format::Text => explanation.render(),
        Format::Json => format!("{}\n", explanation.to_json()),
    })
}
