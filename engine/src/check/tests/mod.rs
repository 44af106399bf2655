//! Files of every sort, several at once, and whatever is done to them.

mod files;
mod mutants;
mod simulations;
mod suites;

use std::path::{Path, PathBuf};

/// The topologies that are shipped.
fn shipped() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topologies");
    let files = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    assert!(files.len() >= 3, "{files:?}");
    files
}
