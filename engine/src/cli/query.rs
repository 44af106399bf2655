//! `engine query DIR "SELECT ..."`: SQL over the tables below a folder, each under the name of its own folder.

use std::path::PathBuf;

use super::{Failed, terminal};

/// Query tables with SQL
#[derive(clap::Args)]
pub struct Args {
    /// The folder that the tables are in
    tables: PathBuf,
    /// The query; without one the tables are listed
    sql: Option<String>,
}

/// Runs it.
pub async fn run(args: Args) -> Result<(), Failed> {
    let printed = connectors::delta::query(&args.tables, args.sql.as_deref()).await?;
    terminal::put(&format!("{printed}\n"))
}
