//! `engine graph FILE`: a topology, or some of its flows, as a drawing.

use std::path::PathBuf;

use super::{Failed, Loading, terminal};
use crate::graph::{Graph, Options};
use crate::run::choose::choose;
use crate::topology::Environment;

/// Draw a topology: its flows, topics, tables and what they call
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    loading: Loading,
    /// Only this flow; repeat it for several
    #[arg(long = "flow", value_name = "NAME")]
    flows: Vec<String>,
    /// How the drawing is written
    #[arg(long, default_value = "mermaid", value_name = "FORMAT")]
    format: Format,
    /// Edges say what they carry, with types
    #[arg(long)]
    types: bool,
    /// Retry topics and dead letters too, dashed
    #[arg(long)]
    errors: bool,
    /// Write it into this file instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// Mermaid, which pages in Markdown show.
    Mermaid,
    /// The language of Graphviz.
    Dot,
    /// A picture.
    Svg,
}

/// Runs `engine graph`. Nothing is connected.
pub fn run(args: &Args, environment: &Environment) -> Result<(), Failed> {
    let plan = args.loading.load(environment)?;
    let chosen = choose(&[&plan], &args.flows).map_err(|problems| Failed { status: 2, problems })?;
    let flows = chosen.into_iter().next().unwrap_or_default();
    let graph = Graph::of(&plan, &flows, &Options { types: args.types, errors: args.errors });
    let text = match args.format {
        Format::Mermaid => graph.mermaid(),
        Format::Dot => graph.dot(),
        Format::Svg => graph.svg().map_err(|problem| Failed::running(vec![problem]))?,
    };
    let Some(file) = &args.output else { return terminal::put(&text) };
    std::fs::write(file, text).map_err(|e| Failed::running(vec![format!("cannot write {}: {e}", file.display())]))
}
