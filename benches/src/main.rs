//! Figures: how fast flows run and how much memory they take, measured where a user sees it, from outside the process.
//!
//! `cargo bench --profile dev --bench engine -- [SCENARIO...] [--events N] [--runs R] [--under COMMAND]` runs the scenarios (all without a name)
//! and prints the median and the best of their runs. The dev profile is the one that the program and the tests are built
//! with, so nothing else is compiled. Scenarios that run flows start this same binary again as `engine run ...`, so that
//! memory and processor time are those of the engine alone.

use std::io::Write;
use std::process::ExitCode;

mod child;
mod flatten;
mod flows;
mod merge;
mod report;
mod rows;

/// What the command line asks for.
struct Asked {
    scenarios: Vec<String>,
    events: u64,
    runs: usize,
    /// A command that the engine is run under, word by word.
    under: Vec<String>,
}

const SCENARIOS: [&str; 5] = ["enrich", "flatten", "ingest", "merge", "rows"];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    // The scenarios' child: the engine's own command line.
    if arguments.next().as_deref() == Some("run") {
        return engine::cli::main();
    }
    let asked = match parse(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(problem) => return complain(&problem),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.to_string()),
    };
    for scenario in &asked.scenarios {
        let measured = runtime.block_on(async {
            match scenario.as_str() {
                "enrich" => flows::enrich(&asked).await,
                "flatten" => flatten::flatten(asked.runs),
                "ingest" => flows::ingest(&asked).await,
                "merge" => merge::merge(asked.runs).await,
                _ => rows::rows(asked.runs),
            }
        });
        let written = measured.and_then(|report| write!(std::io::stdout(), "{report}").map_err(|e| e.to_string()));
        if let Err(problem) = written {
            return complain(&format!("{scenario}: {problem}"));
        }
    }
    ExitCode::SUCCESS
}

fn complain(problem: &str) -> ExitCode {
    eprintln!("{problem}");
    ExitCode::FAILURE
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked { scenarios: Vec::new(), events: 100_000, runs: 3, under: Vec::new() };
    // `cargo bench` adds `--bench`.
    let mut arguments = arguments.filter(|a| a != "--bench");
    while let Some(argument) = arguments.next() {
        let number = |value: Option<String>| {
            let value = value.and_then(|v| v.parse::<u64>().ok()).filter(|n| *n > 0);
            value.ok_or_else(|| format!("{argument} needs a number above zero"))
        };
        match argument.as_str() {
            "--events" => asked.events = number(arguments.next())?,
            "--runs" => asked.runs = usize::try_from(number(arguments.next())?).map_err(|e| e.to_string())?,
            "--under" => {
                asked.under = arguments.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
            }
            name if SCENARIOS.contains(&name) => asked.scenarios.push(argument),
            other => return Err(format!("no scenario is called {other}; there are {}", SCENARIOS.join(", "))),
        }
    }
    if asked.scenarios.is_empty() {
        asked.scenarios = SCENARIOS.map(str::to_owned).to_vec();
    }
    Ok(asked)
}
