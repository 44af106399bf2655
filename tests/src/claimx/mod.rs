//! The ClaimX topology as a whole: the program runs it, and what it leaves is compared with what must be there.

mod api;
pub mod crash;
mod edit;
mod odd;
mod outside;
mod refresh;
mod settings;
mod simulation;

use std::path::{Path, PathBuf};

use crate::model::account::Account;
use crate::model::claimx::{Options, expect};
use crate::model::compare;
use crate::program::topologies;

/// The topology.
pub fn topology() -> PathBuf {
    topologies().join("claimx.yaml")
}

/// Fails with what differs between the tables in `data` and what the account in `data` implies.
pub async fn assert_tables_agree(data: &Path) {
    let account = Account::read(&data.join("sim")).expect("an account");
    assert!(!account.emitted.is_empty() && !account.answers.is_empty(), "an empty account proves nothing");
    let differences = compare::folder(&expect(&account, &Options::default()), &data.join("tables"), 20).await.unwrap();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
