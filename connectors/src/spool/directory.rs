//! A spool in a folder of this machine.
//!
//! A file is written to `.partial/` under a name of its own, synced, renamed to its path, and then the folders on the way
//! are synced: when [`Writer::commit`] returns, the file survives a loss of power. What a crash leaves in `.partial/` is
//! swept when the folder is opened again.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWriteExt as _, BufWriter};

use super::{Spool, Writer, check_path};
use crate::clock::Clock;
use crate::{Error, Result};

/// Where files are while they are written.
const PARTIAL: &str = ".partial";

/// Leftovers younger than this may be another process at work.
const LEFTOVER: Duration = Duration::from_secs(24 * 3600);

/// Bytes that are collected before the disk is asked.
const BUFFER: usize = 256 << 10;

/// A folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Directory {
    root: Arc<PathBuf>,
}

impl Directory {
    /// Opens the folder `root`, which is made if it is not there, and sweeps what was left behind more than a day ago.
    pub async fn open(root: impl Into<PathBuf>, clock: &dyn Clock) -> Result<Self> {
        let root = root.into();
        let now = clock.now();
        blocking(move || {
            let partial = root.join(PARTIAL);
            std::fs::create_dir_all(&partial).map_err(|e| io_error("make the folder", &partial, &e))?;
            sweep(&partial, now);
            // Absolute from here on, so errors name a place that can be found.
            let root = root.canonicalize().map_err(|e| io_error("open the folder", &root, &e))?;
            Ok(Directory { root: Arc::new(root) })
        })
        .await
    }

    /// Where the file `path` is on the disk.
    pub fn file(&self, path: &str) -> Result<PathBuf> {
        check_path(path)?;
        // Some systems do not tell upper from lower case.
        if path.split('/').next().is_some_and(|first| first.eq_ignore_ascii_case(PARTIAL)) {
            return Err(Error::permanent(format!(
                "{path:?} is no path of a file: {PARTIAL} is the spool's own folder"
            )));
        }
        Ok(self.root.join(path))
    }
}

impl Directory {
    /// How many files are in it, those that are being written aside.
    pub async fn count(&self) -> Result<u64> {
        let root = self.root.clone();
        blocking(move || {
            let mut count = 0;
            let mut folders = vec![root.to_path_buf()];
            while let Some(folder) = folders.pop() {
                let entries = std::fs::read_dir(&folder).map_err(|e| io_error("read the folder", &folder, &e))?;
                for entry in entries.filter_map(std::result::Result::ok) {
                    let is_folder = entry.file_type().is_ok_and(|t| t.is_dir());
                    if is_folder && entry.file_name() != PARTIAL {
                        folders.push(entry.path());
                    } else if !is_folder {
                        count += 1;
                    }
                }
            }
            Ok(count)
        })
        .await
    }
}

impl Directory {
    /// Deletes the files that were written before the instant `before`, with the folders that they leave empty. Returns how many
    /// bytes are left, those of files that are being written among them.
    pub async fn sweep(&self, before: crate::clock::Micros) -> Result<u64> {
        let root = self.root.clone();
        let before = std::time::UNIX_EPOCH + Duration::from_micros(u64::try_from(before).unwrap_or(0));
        blocking(move || {
            let mut left = 0;
            let mut folders = vec![root.to_path_buf()];
            while let Some(folder) = folders.pop() {
                // What cannot be looked at, or has left meanwhile, is not counted.
                for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                    let (path, Ok(metadata)) = (entry.path(), entry.metadata()) else { continue };
                    if metadata.is_dir() {
                        folders.push(path);
                        continue;
                    }
                    let old = metadata.modified().is_ok_and(|at| at < before);
                    // Files that are being written have their own sweep.
                    if old && !path.starts_with(root.join(PARTIAL)) && remove(&root, &path).is_ok() {
                        tracing::info!(path = %path.display(), "deleted a file of the spool that nobody came for");
                    } else {
                        left += metadata.len();
                    }
                }
            }
            Ok(left)
        })
        .await
    }
}

/// Deletes a file, and the folders that became empty.
fn remove(root: &Path, path: &Path) -> Result<()> {
    found("delete", path, std::fs::remove_file(path))?;
    // The first folder that is not empty, or is being filled again, ends it.
    for folder in path.ancestors().skip(1).take_while(|folder| *folder != root) {
        if std::fs::remove_dir(folder).is_err() {
            break;
        }
    }
    Ok(())
}

#[async_trait::async_trait]
impl Spool for Directory {
    async fn create(&self, path: &str) -> Result<Box<dyn Writer>> {
        let target = self.file(path)?;
        let partial = self.root.join(PARTIAL).join(uuid::Uuid::new_v4().simple().to_string());
        let file = tokio::fs::File::create_new(&partial).await.map_err(|e| io_error("write", &partial, &e))?;
        Ok(Box::new(Staged {
            file: BufWriter::with_capacity(BUFFER, file),
            partial: Partial(partial),
            target,
            root: Arc::clone(&self.root),
        }))
    }

    async fn open(&self, path: &str) -> Result<Option<Box<dyn AsyncRead + Send + Unpin>>> {
        let path = self.file(path)?;
        Ok(found("read", &path, tokio::fs::File::open(&path).await)?.map(|file| Box::new(file) as _))
    }

    async fn length(&self, path: &str) -> Result<Option<u64>> {
        let path = self.file(path)?;
        Ok(found("look at", &path, tokio::fs::metadata(&path).await)?.map(|metadata| metadata.len()))
    }

    async fn remove(&self, path: &str) -> Result<()> {
        let path = self.file(path)?;
        let root = Arc::clone(&self.root);
        blocking(move || remove(&root, &path)).await
    }
}

struct Staged {
    file: BufWriter<tokio::fs::File>,
    partial: Partial,
    target: PathBuf,
    root: Arc<PathBuf>,
}

#[async_trait::async_trait]
impl Writer for Staged {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.file.write_all(&chunk).await.map_err(|e| io_error("write", &self.target, &e))
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        let Staged { mut file, partial, target, root } = *self;
        file.flush().await.map_err(|e| io_error("write", &target, &e))?;
        file.get_ref().sync_all().await.map_err(|e| io_error("sync", &target, &e))?;
        blocking(move || {
            let folder = target.parent().unwrap_or(&root);
            let place = || {
                std::fs::create_dir_all(folder)?;
                std::fs::rename(&partial.0, &target)
            };
            // The folder may vanish in between, when its last file is removed: made anew, once.
            let placed = match place() {
                Err(e) if e.kind() == ErrorKind::NotFound => place(),
                placed => placed,
            };
            placed.map_err(|e| io_error("write", &target, &e))?;
            for folder in folder.ancestors().take_while(|folder| folder.starts_with(root.as_path())) {
                let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
                synced.map_err(|e| io_error("sync", folder, &e))?;
            }
            Ok(())
        })
        .await
    }
}

/// A file in `.partial/`, deleted when it is given up. After the rename there is nothing left to delete.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.0);
        let delete = move || drop(std::fs::remove_file(path));
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(delete)),
            Err(_) => delete(),
        }
    }
}

/// Deletes leftovers. What cannot be looked at or deleted does no harm but to the space.
fn sweep(partial: &Path, now: crate::clock::Micros) {
    let now = std::time::UNIX_EPOCH + Duration::from_micros(u64::try_from(now).unwrap_or(0));
    for entry in std::fs::read_dir(partial).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|m| m.modified()).map(|at| now.duration_since(at).unwrap_or_default());
        if age.is_ok_and(|age| age > LEFTOVER) && std::fs::remove_file(entry.path()).is_ok() {
            tracing::info!(path = %entry.path().display(), "deleted what a broken download had left");
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::transient(format!("the work on a file broke off: {e}")))?
}

/// `None` where there is no such file.
fn found<T>(what: &str, path: &Path, result: io::Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io_error(what, path, &e)),
    }
}

/// What an error of the file system means: only what another try cannot change is permanent.
fn io_error(what: &str, path: &Path, error: &io::Error) -> Error {
    let message = format!("cannot {what} {}: {error}", path.display());
    let hint = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space, then replay",
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only; choose another place",
        ErrorKind::PermissionDenied => "give the user of this process the right to write there",
        ErrorKind::InvalidFilename => "the name is not one for this file system",
        _ => return Error::transient(message),
    };
    Error::permanent(message).hint(hint)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Category;
    use crate::clock::{ManualClock, SystemClock};

    async fn directory(root: &Path) -> Directory {
        Directory::open(root, &SystemClock::new(1.0)).await.unwrap()
    }

    /// Everything below `root`, without the folder of partial files when it is empty.
    fn tree(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(root).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            match path.is_dir() {
                true => {
                    found.extend((name != PARTIAL).then(|| name.clone()));
                    found.extend(tree(&path).into_iter().map(|below| format!("{name}/{below}")));
                }
                false => found.push(name),
            }
        }
        found.sort();
        found
    }

    #[tokio::test]
    async fn it_keeps_the_promises_of_a_spool_and_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        super::super::conformance(&directory(root.path()).await).await.unwrap();
        // Dropped files are deleted beside the caller; the runtime of the test has one blocking pool for both.
        while !tree(root.path()).is_empty() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn only_old_leftovers_are_swept() {
        let root = tempfile::tempdir().unwrap();
        directory(root.path()).await;
        std::fs::write(root.path().join(PARTIAL).join("left"), b"x").unwrap();
        directory(root.path()).await;
        assert_eq!(tree(root.path()), [".partial/left"]);
        let later = SystemClock::new(1.0).now() + 25 * 3600 * 1_000_000;
        Directory::open(root.path(), &ManualClock::at(later)).await.unwrap();
        assert!(tree(root.path()).is_empty());
    }

    #[tokio::test]
    async fn the_folder_of_partial_files_is_no_path() {
        let root = tempfile::tempdir().unwrap();
        for path in [".partial/x", ".Partial/x"] {
            let refused = directory(root.path()).await.length(path).await.unwrap_err();
            assert_eq!(refused.category, Category::Permanent, "{path}");
        }
    }

    #[test]
    fn only_what_will_not_change_is_permanent() {
        let cases = [
            (28, Category::Permanent),  // no space left
            (30, Category::Permanent),  // read-only
            (13, Category::Permanent),  // access denied
            (1, Category::Permanent),   // not permitted
            (36, Category::Permanent),  // name too long
            (122, Category::Permanent), // quota
            (5, Category::Transient),   // input/output error
            (24, Category::Transient),  // too many open files
        ];
        for (code, category) in cases {
            let error = io_error("write", Path::new("/spool/a"), &io::Error::from_raw_os_error(code));
            assert_eq!(error.category, category, "{error}");
            assert!(error.message.contains("/spool/a"), "{error}");
        }
    }
}
