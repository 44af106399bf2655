//! Which instance of a flow a process runs: a name that no other living process has, and that the next process has again.
//!
//! Transactions have such a name, so that a start ends what a killed predecessor left open instead of waiting until the brokers
//! do. The name is `topology.flow.PLACE.N`: the data folder says the place, by an id that is made once and kept in it, and `N` is
//! the first number whose file in that folder nobody has locked. The system takes a lock back when its process ends, however
//! it ended.

use std::fs::{File, TryLockError};
use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};

use connectors::{Error, Result};

/// More instances of a flow on one data folder than anybody runs.
const MOST: usize = 1000;

/// A claim to a name, for as long as it lives.
#[derive(Debug)]
pub struct Instance {
    name: String,
    _lock: File,
}

impl Instance {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Claims the first free name for `flow` of `topology` below `data`.
    pub async fn claim(data: &Path, topology: &str, flow: &str) -> Result<Self> {
        let (folder, of) = (data.join("instances"), format!("{topology}.{flow}"));
        let claimed = tokio::task::spawn_blocking(move || claim(&folder, &of).map_err(|e| failed(&folder, &e)));
        claimed.await.map_err(|e| Error::transient(format!("claiming an instance was given up: {e}")))?
    }
}

fn failed(folder: &Path, error: &IoError) -> Error {
    Error::permanent(format!("claiming an instance in {}: {error}", folder.display()))
        .hint("the data folder must be writable, and its file system must know locks")
}

fn claim(folder: &Path, of: &str) -> Result<Instance, IoError> {
    std::fs::create_dir_all(folder)?;
    let place = place(folder)?;
    for number in 0..MOST {
        let lock =
            File::options().create(true).truncate(false).write(true).open(folder.join(format!("{of}.{number}")))?;
        match lock.try_lock() {
            Ok(()) => return Ok(Instance { name: format!("{of}.{place}.{number}"), _lock: lock }),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(IoError::new(ErrorKind::ResourceBusy, format!("{MOST} instances of {of} run already")))
}

/// The id of the folder, made by whoever is first.
fn place(folder: &Path) -> Result<String, IoError> {
    let path: PathBuf = folder.join("place");
    match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        read => return read.map(|text| text.trim().to_owned()),
    }
    // Whole from the first moment on: written aside, and linked under its name unless somebody else was first.
    let id = uuid::Uuid::new_v4().simple().to_string();
    let aside = folder.join(format!("place.{id}"));
    std::fs::write(&aside, &id)?;
    let linked = std::fs::hard_link(&aside, &path);
    std::fs::remove_file(&aside)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => std::fs::read_to_string(&path).map(|text| text.trim().to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_living_have_names_of_their_own_and_a_successor_has_its_predecessors() {
        let folder = tempfile::tempdir().unwrap();
        let claim = || Instance::claim(folder.path(), "shop", "orders");
        let (first, second) = (claim().await.unwrap(), claim().await.unwrap());
        assert_ne!(first.name(), second.name());
        assert!(first.name().starts_with("shop.orders.") && first.name().ends_with(".0"), "{}", first.name());
        let name = first.name().to_owned();
        drop(first);
        assert_eq!(claim().await.unwrap().name(), name);
        let elsewhere = tempfile::tempdir().unwrap();
        let other = Instance::claim(elsewhere.path(), "shop", "orders").await.unwrap();
        assert_ne!(other.name(), name);
        assert!(Instance::claim(Path::new("/proc/nowhere"), "shop", "orders").await.is_err());
    }
}
