//! The files of logs: one a flow and day below a folder.
//!
//! `TOPOLOGY-FLOW.log.2026-01-10` holds the lines of a flow on a day (UTC), `TOPOLOGY-FLOW.log` leads to the newest; `engine.log`
//! is what belongs to no flow. The last [`KEPT`] days are kept. Lines are handed to a thread for each file, so nothing that
//! logs waits for the disk; when the disk is far behind, lines are left out. There are as many files as flows that said
//! something.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_appender::rolling::{RollingFileAppender, Rotation};

/// Days that are kept.
pub(super) const KEPT: usize = 14;

/// The open files.
pub(super) struct Files {
    folder: PathBuf,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// By name; none: it could not be opened, which was said.
    files: BTreeMap<String, Option<(NonBlocking, WorkerGuard)>>,
    closed: bool,
}

impl Files {
    /// Files below `folder`, which is created.
    pub(super) fn open(folder: &Path) -> Result<Self, String> {
        let made = std::fs::create_dir_all(folder).and_then(|()| folder.canonicalize());
        let folder = made.map_err(|e| format!("the folder of the logs, {}: {e}", folder.display()))?;
        let probe = tempfile_in(&folder);
        std::fs::write(&probe, "")
            .and_then(|()| std::fs::remove_file(&probe))
            .map_err(|e| format!("the folder of the logs, {}, cannot be written: {e}", folder.display()))?;
        Ok(Files { folder, open: Mutex::default() })
    }

    /// Writes a line to the file of a flow.
    pub(super) fn write(&self, topology: Option<&str>, flow: Option<&str>, line: &[u8]) {
        let name = match (topology, flow) {
            (Some(topology), Some(flow)) => format!("{}-{}", plain(topology), plain(flow)),
            _ => "engine".to_owned(),
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.closed {
            return;
        }
        let file = open.files.entry(name).or_insert_with_key(|name| self.file(name));
        if let Some((file, _)) = file {
            // It only fills a queue.
            let _ = file.write_all(line);
        }
    }

    /// Writes what waits, and closes all files.
    pub(super) fn close(&self) {
        let files = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.closed = true;
            std::mem::take(&mut open.files)
        };
        // Each guard waits for its file.
        drop(files);
    }

    fn file(&self, name: &str) -> Option<(NonBlocking, WorkerGuard)> {
        let name = format!("{name}.log");
        let appender = RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            // Without a suffix: with one, the files of `a` would be pruned together with those of `a-b`.
            .filename_prefix(name.clone())
            .latest_symlink(name.clone())
            .max_log_files(KEPT)
            .build(&self.folder);
        match appender {
            Ok(appender) => Some(tracing_appender::non_blocking(appender)),
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "{} is not written: {error}", self.folder.join(name).display());
                None
            }
        }
    }
}

fn tempfile_in(folder: &Path) -> PathBuf {
    folder.join(format!(".probe-{}", std::process::id()))
}

/// A name of a topology or a flow as a part of a file's name.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '_' }).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_flow_has_its_file_and_nothing_leaves_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(&folder.path().join("logs")).unwrap();
        files.write(Some("shop"), Some("orders"), b"one\n");
        files.write(Some("shop"), Some("users"), b"two\n");
        files.write(Some("shop"), Some("orders"), b"three\n");
        files.write(Some(".."), Some("/../x"), b"four\n");
        files.write(None, None, b"five\n");
        files.close();
        files.write(None, None, b"late\n");
        let read = |name: &str| std::fs::read_to_string(folder.path().join("logs").join(name)).unwrap();
        assert_eq!((read("shop-orders.log"), read("shop-users.log")), ("one\nthree\n".into(), "two\n".into()));
        assert_eq!((read("..-_.._x.log"), read("engine.log")), ("four\n".into(), "five\n".into()));
        let names = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 1);
    }
}
