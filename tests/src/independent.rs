//! The tables as another Delta reader sees them, against another model of the domain: `tests/independent.py`, which shares
//! neither code nor language with the engine and with [`crate::model`].
//!
//! Python, and for the first time its package index, are needed. See [`crate::needs`].

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::claimx::topology;
use crate::needs;
use crate::program::{Engine, kept};

/// Tests run at a time, and a folder is made by one of them.
static MAKING: Mutex<()> = Mutex::new(());

/// A Python that has the packages: in a folder of its own, called `name`, made when it is not there or when the packages changed.
pub fn python(name: &str, packages: &Path) -> Result<PathBuf, String> {
    let _made_once = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = kept(name);
    let (python, made_for) = (folder.join("bin/python"), folder.join("packages.txt"));
    let wanted = std::fs::read_to_string(packages).map_err(|e| e.to_string())?;
    if std::fs::read_to_string(&made_for).is_ok_and(|made| made == wanted) && python.exists() {
        return Ok(python);
    }
    needs::command(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    needs::command(Command::new(&python).args(install).arg(packages))?;
    std::fs::write(&made_for, wanted).map_err(|e| e.to_string())?;
    Ok(python)
}

#[test]
fn another_reader_finds_every_row_and_file_that_the_account_implies() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = python("python", &tests.join("independent.txt"));
    if !needs::met("reading the tables with another reader", python.as_ref().map(|_| ()).map_err(Clone::clone)) {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    Engine::simulate(&topology(), data.path(), 1, 3000).finish().expect(0);
    let said = needs::command(Command::new(python.unwrap()).arg(tests.join("independent.py")).arg(data.path()));
    assert!(said.is_ok(), "{}", said.unwrap_err());
}
