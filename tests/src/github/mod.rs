//! The GitHub topology, a domain of YAML alone: the program runs it, and what it leaves is compared with what must be there.

mod archive;
mod guide;
mod model;
mod odd;
mod simulation;

use std::path::{Path, PathBuf};

use crate::model::account::Account;
use crate::model::{compare, lake};
use crate::program::topologies;

fn topology() -> PathBuf {
    topologies().join("github.yaml")
}

/// Fails with what differs between `tables` in `data` and what the account implies.
async fn assert_tables_agree(account: &Account, data: &Path, tables: &[&str]) {
    assert!(!account.emitted.is_empty(), "an empty account proves nothing");
    let expected = model::expect(account);
    let mut differences = Vec::new();
    for name in tables {
        let table = &expected[name];
        assert!(!table.rows.is_empty(), "no row of {name} is expected");
        let rows = lake::read(&data.join("tables").join(name)).await.unwrap();
        differences.extend(compare::table(table, &rows, 20));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
