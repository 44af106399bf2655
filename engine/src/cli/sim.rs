//! `engine sim FILE`: serves a simulation's API and files alone, for a topology that runs elsewhere.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use connectors::clock::SystemClock;

use super::Failed;
use super::terminal::say;
use crate::sim;

/// Serve a simulation alone
#[derive(clap::Args)]
pub struct Args {
    /// The simulation
    #[arg(value_name = "SIMULATION")]
    file: PathBuf,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8765", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Decides everything that is drawn by lot
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// The folder that the account is written to
    #[arg(long, default_value = "data", value_name = "DIR")]
    data: PathBuf,
    /// Shortens delays, and with them the life of links
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    time_scale: f64,
}

/// Serves until it is interrupted.
pub async fn run(args: Args) -> Result<(), Failed> {
    let simulation = sim::load(&args.file).map_err(|problems| super::broken(&args.file, &problems, "a simulation"))?;
    let bound = simulation.bind(args.listen).await?;
    for (name, value) in bound.environment() {
        say(format_args!("{name}={value}"));
    }
    let options = sim::Options {
        seed: args.seed,
        events: 0,
        account_dir: args.data.join("sim"),
        clock: Arc::new(SystemClock::new(args.time_scale)),
        emit: None,
        rate: None,
    };
    let running = bound.start(options).await?;
    say(format_args!("serving on http://{}; interrupt to stop", running.address()));
    let _ = tokio::signal::ctrl_c().await;
    running.stop().await;
    Ok(())
}
