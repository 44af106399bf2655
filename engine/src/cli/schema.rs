//! `engine schema`: the languages of topologies, of their tests and of simulations, for editors as JSON Schema and for people as a page.

use super::{Failed, terminal};
use crate::sim;
use crate::testing::language::SUITE;
use crate::topology::{manual, schema};

/// Print what may stand in a file: JSON Schema for editors, or the reference
#[derive(clap::Args)]
pub struct Args {
    /// Of which files
    #[arg(default_value = "topology", value_name = "FILES")]
    of: Files,
    /// How it is written
    #[arg(long, default_value = "json", value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Files {
    /// Topologies.
    Topology,
    /// Tests of topologies.
    Test,
    /// Simulations.
    Sim,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Format {
    /// JSON Schema: name it in a file as `# yaml-language-server: $schema=FILE`.
    Json,
    /// The reference: of topologies `docs/language.md`, of simulations `docs/simulation.md`.
    Markdown,
}

/// Runs `engine schema`.
pub fn run(args: &Args) -> Result<(), Failed> {
    let text = match (args.of, args.format) {
        (Files::Topology, Format::Json) => schema::text(&schema::schema()),
        (Files::Test, Format::Json) => schema::text(&schema::schema_of(&SUITE, "Tests of a topology")),
        (Files::Sim, Format::Json) => schema::text(&schema::schema_of(&sim::language::SIMULATION, "Simulation")),
        (Files::Topology, Format::Markdown) => manual::markdown(),
        (Files::Sim, Format::Markdown) => sim::manual::markdown(),
        (Files::Test, Format::Markdown) => {
            return Err(Failed::usage(
                "the reference of tests is docs/testing.md; only those of topologies and simulations are generated",
            ));
        }
    };
    terminal::put(&text)
}
