//! The program's verbs, one file each. Everything that people read goes to standard error, except what was asked for, which
//! goes to standard output.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::observe::logs::{self, Logging};
use crate::topology::Environment;
use clap::{Parser, Subcommand};

mod dlq;
mod explain;
mod graph;
mod new;
mod query;
mod run;
mod schema;
mod sim;
mod terminal;
mod test;
mod topics;
mod validate;

/// Declarative dataflow from events through APIs and files into Delta Lake.
#[derive(Parser)]
#[command(name = "engine", version, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// How much is logged: error, warning, info, debug, in upper or lower case, or a filter such as `engine=debug`
    /// [default: info; for a dry run warning; for tests, in which failures are meant, off]
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
}

#[derive(Subcommand)]
enum Verb {
    /// Run topologies
    Run(run::Args),
    /// Check a topology without a connection
    Validate(validate::Args),
    /// Tell what a topology compiles to
    Explain(explain::Args),
    /// Run the tests of topologies
    Test(test::Args),
    /// Serve a simulation alone
    Sim(sim::Args),
    /// Write a topology to start from, with its simulation and its tests
    New(new::Args),
    /// Draw a topology
    Graph(graph::Args),
    /// Print what may stand in a file, for editors or as a page
    Schema(schema::Args),
    /// Show topics, their partitions and the groups' positions
    Topics(topics::ListArgs),
    /// Write the lines of a file to a topic
    Produce(topics::ProduceArgs),
    /// Print the messages of a topic as JSON lines
    Consume(topics::ConsumeArgs),
    /// Look at dead letters, replay and purge them
    Dlq(dlq::Args),
    /// Query tables with SQL
    Query(query::Args),
}

/// A failure that ends the program: what to print, and its exit status.
pub struct Failed {
    status: u8,
    problems: Vec<String>,
}

impl Failed {
    /// The topology, the command line or the settings are wrong.
    fn usage(problem: impl Into<String>) -> Self {
        Failed { status: 2, problems: vec![problem.into()] }
    }

    /// Something went wrong while it ran.
    fn running(problems: Vec<String>) -> Self {
        Failed { status: 1, problems }
    }
}

impl Failed {
    /// Prints what happened; the exit status of it.
    fn tell(&self) -> ExitCode {
        for problem in &self.problems {
            terminal::say(format_args!("error: {problem}"));
        }
        ExitCode::from(self.status)
    }
}

impl From<connectors::Error> for Failed {
    fn from(error: connectors::Error) -> Self {
        Failed::running(vec![error.to_string()])
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let environment = Environment::from_process();
    let logging = match logs(&cli, &environment) {
        Ok(logging) => logging,
        Err(failed) => return failed.tell(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            return Failed::running(vec![format!("no runtime: {e}")]).tell();
        }
    };
    let result = runtime.block_on(async {
        match cli.verb {
            Verb::Run(args) => run::run(args, environment).await,
            Verb::Validate(args) => validate::run(&args, &environment).await,
            Verb::Explain(args) => explain::run(&args, &environment),
            // Its runs have runtimes of their own.
            Verb::Test(args) => tokio::task::block_in_place(|| test::run(&args)),
            Verb::Sim(args) => sim::run(args).await,
            Verb::New(args) => new::run(&args),
            Verb::Graph(args) => graph::run(&args, &environment),
            Verb::Schema(args) => schema::run(&args),
            Verb::Topics(args) => topics::list(args, environment).await,
            Verb::Produce(args) => topics::produce(args, environment).await,
            Verb::Consume(args) => topics::consume(args, environment).await,
            Verb::Dlq(args) => dlq::run(args, environment).await,
            Verb::Query(args) => query::run(args).await,
        }
    });
    // Tasks that still run, such as a poll that waits, are not waited for.
    runtime.shutdown_background();
    drop(logging);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => failed.tell(),
    }
}

/// Begins logging. Only a run writes files, and where nobody asked for them it goes on without those that it cannot write.
fn logs(cli: &Cli, environment: &Environment) -> Result<Logging, Failed> {
    let usual = match &cli.verb {
        Verb::Test(_) => "off",
        // What it shows is the news.
        Verb::Run(run) if run.writes_nothing() => "warning",
        _ => "info",
    };
    let mut options = logs::Options {
        level: cli.log_level.clone().unwrap_or_else(|| usual.to_owned()),
        json_logs: environment.get("JSON_LOGS").map(str::to_owned),
        folder: None,
    };
    let run = match &cli.verb {
        Verb::Run(run) if !run.writes_nothing() => run,
        _ => return logs::begin(&options).map_err(Failed::usage),
    };
    let asked = run.log_dir(environment);
    options.folder = Some(asked.clone().unwrap_or_else(|| run.default_log_dir()));
    match (logs::begin(&options), asked) {
        (Ok(logging), _) => Ok(logging),
        (Err(problem), Some(_)) => Err(Failed::usage(problem)),
        (Err(problem), None) => {
            options.folder = None;
            let logging = logs::begin(&options).map_err(Failed::usage)?;
            tracing::warn!("no log files: {problem}");
            Ok(logging)
        }
    }
}

/// Where a topology's file and the data are: shared by the verbs that load one.
#[derive(clap::Args, Clone)]
struct Loading {
    /// The topology
    #[arg(value_name = "TOPOLOGY")]
    topology: PathBuf,
    /// The folder that everything is written to
    #[arg(long, default_value = "data", value_name = "DIR")]
    data: PathBuf,
}

impl Loading {
    /// Reads and checks the topology.
    fn load(&self, environment: &Environment) -> Result<crate::plan::Plan, Failed> {
        match crate::topology::load(&self.topology, environment, &self.data) {
            // Warnings are for whoever writes a topology: `engine validate` shows them.
            Ok(loaded) => Ok(loaded.plan),
            Err(problems) => Err(broken(&self.topology, &problems, "a topology")),
        }
    }
}

/// Shows what is wrong with a file that was to be `what`.
fn broken(file: &std::path::Path, problems: &crate::topology::Diagnostics, what: &str) -> Failed {
    terminal::say(problems.render().trim_end());
    Failed::usage(format!("{} is not {what} that can run", file.display()))
}
