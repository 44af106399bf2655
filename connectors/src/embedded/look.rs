//! The embedded log as it is, for whoever must not change a byte of it.
//!
//! A log that is opened to be written to is touched by that alone. This one opens the file for reading: messages and positions
//! can be asked for, whatever would write is refused. A file whose engine was killed has to be repaired before it can be read:
//! then a copy of it, which nobody else sees, is repaired and read instead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use redb::{Database, DatabaseError, ReadOnlyDatabase, ReadableDatabase as _, TableError};

use super::store::{Read, SPANS, TOPICS, blocking, failed, fill, position, scan};
use crate::clock::Clock;
use crate::local::{self, Catalogue, Fetch, Write};
use crate::log::Message;
use crate::{Error, Result};

/// The records and positions of a file that is only read.
pub struct Store {
    file: Arc<File>,
}

struct File {
    path: PathBuf,
    db: Source,
    catalogue: Catalogue,
    ids: BTreeMap<Arc<str>, u32>,
}

/// Where the records are read from.
enum Source {
    /// The file itself.
    File(ReadOnlyDatabase),
    /// A repaired copy of it, which has no name any more.
    Copy(Database),
}

impl Source {
    fn read(&self) -> Read {
        match self {
            Source::File(db) => db.begin_read(),
            Source::Copy(db) => db.begin_read(),
        }
    }
}

/// Whether there are topics in `dir`. Opening a log that is written to would make them.
pub fn is_there(dir: impl AsRef<Path>) -> bool {
    dir.as_ref().join("topics.redb").exists()
}

/// The topics in `dir`, to be read only; none if there are none.
pub async fn look(dir: impl AsRef<Path>, clock: Arc<dyn Clock>) -> Result<Option<local::Log<Store>>> {
    let path = dir.as_ref().join("topics.redb");
    let file = blocking(move || open(path)).await?;
    Ok(file.map(|file| local::Log::over(Store { file: Arc::new(file) }, clock)))
}

fn open(path: PathBuf) -> Result<Option<File>> {
    if !path.exists() {
        return Ok(None);
    }
    let db = match ReadOnlyDatabase::open(&path) {
        Ok(db) => Source::File(db),
        Err(DatabaseError::RepairAborted) => Source::Copy(repaired(&path)?),
        Err(DatabaseError::DatabaseAlreadyOpen) => {
            let message = format!("{} is in use: another engine is running on it", path.display());
            return Err(Error::permanent(message).hint("stop the other engine first"));
        }
        Err(error) => return Err(failed(&path, "opening", error.into())),
    };
    let catalogue = Catalogue::default();
    let ids = load(&db, &catalogue).map_err(|error| failed(&path, "reading", error))?;
    Ok(Some(File { path, db, catalogue, ids }))
}

/// A copy of the file, repaired. Its name is gone as soon as it is open.
fn repaired(path: &Path) -> Result<Database> {
    let copy = std::env::temp_dir().join(format!("engine-{}.redb", uuid::Uuid::new_v4().simple()));
    let opened = private_copy(path, &copy)
        .map_err(|e| Error::transient(format!("copying {} to {} failed: {e}", path.display(), copy.display())))
        .and_then(|_| Database::create(&copy).map_err(|e| failed(path, "repairing a copy of", e.into())));
    // A system that keeps the names of open files cleans its temporary folder up by itself.
    let _ = std::fs::remove_file(&copy);
    opened
}

/// A copy for this user alone, to be written to: the temporary folder is everybody's, and the file may only be read.
fn private_copy(path: &Path, to: &Path) -> std::io::Result<u64> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    std::io::copy(&mut std::fs::File::open(path)?, &mut options.open(to)?)
}

/// Fills the catalogue; the ids of topics.
fn load(db: &Source, catalogue: &Catalogue) -> Result<BTreeMap<Arc<str>, u32>, redb::Error> {
    let read = db.read()?;
    let topics = match read.open_table(TOPICS) {
        Ok(topics) => topics,
        // Nobody has written to it yet.
        Err(TableError::TableDoesNotExist(_)) => return Ok(BTreeMap::new()),
        Err(error) => return Err(error.into()),
    };
    let spans = read.open_table(SPANS)?;
    Ok(fill(catalogue, &topics, &spans)?.into_iter().collect())
}

impl Store {
    fn refused(&self) -> Error {
        Error::permanent(format!("{} is only read here", self.file.path.display()))
    }
}

#[async_trait]
impl local::Store for Store {
    fn catalogue(&self) -> &Catalogue {
        &self.file.catalogue
    }

    async fn write(&self, _: Write) -> Result<()> {
        Err(self.refused())
    }

    async fn trim(&self, _: &str, _: i32, _: i64) -> Result<()> {
        Err(self.refused())
    }

    async fn scan(&self, fetches: Vec<Fetch>, max_messages: usize, max_bytes: usize) -> Result<Vec<Message>> {
        let file = self.file.clone();
        let work = move || {
            scan(&file.path, file.db.read(), |topic| file.ids.get(topic).copied(), fetches, max_messages, max_bytes)
        };
        blocking(work).await
    }

    async fn position(&self, group: &str, topic: &str) -> Result<BTreeMap<i32, i64>> {
        let (file, group, topic) = (self.file.clone(), group.to_string(), topic.to_string());
        blocking(move || position(&file.path, file.db.read(), &group, &topic)).await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::embedded::{Log, Options};
    use crate::log::{Log as _, Position, Record, TopicSpec};

    fn clock() -> Arc<dyn Clock> {
        Arc::new(SystemClock::new(1.0))
    }

    #[tokio::test]
    async fn what_is_there_is_read_and_no_byte_changes() {
        let dir = tempfile::tempdir().unwrap();
        assert!(look(dir.path(), clock()).await.unwrap().is_none());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is made");

        let log = Log::open(dir.path(), Options::default(), clock()).await.unwrap();
        log.create(&[TopicSpec { name: "orders".into(), partitions: 2 }]).await.unwrap();
        let record = |payload: &'static str| Record {
            topic: "orders".into(),
            key: Some("k".into()),
            payload: payload.into(),
            headers: Vec::new(),
        };
        let position = Position::from([(("orders".into(), 1), 1)]);
        log.commit_with_records(vec![record("a"), record("b")], "g", &position).await.unwrap();
        assert!(look(dir.path(), clock()).await.err().unwrap().message.contains("in use"));
        drop(log);

        let path = dir.path().join("topics.redb");
        let before = (std::fs::read(&path).unwrap(), std::fs::metadata(&path).unwrap().modified().unwrap());
        let log = look(dir.path(), clock()).await.unwrap().unwrap();
        assert_eq!(log.topics().await.unwrap(), ["orders"]);
        assert_eq!(log.position("g", "orders").await.unwrap(), [(1, 1)].into());
        let mut read = Vec::new();
        for bounds in log.bounds("orders").await.unwrap() {
            read.extend(log.read("orders", bounds.partition, bounds.low, 10).await.unwrap());
        }
        assert_eq!(read.iter().map(|m| &m.payload[..]).collect::<Vec<_>>(), [b"a", b"b"]);
        let refused = log.create(&[TopicSpec { name: "more".into(), partitions: 1 }]).await.unwrap_err();
        assert!(refused.message.contains("only read"), "{refused}");
        drop(log);
        assert_eq!((std::fs::read(&path).unwrap(), std::fs::metadata(&path).unwrap().modified().unwrap()), before);
    }

    #[cfg(unix)]
    #[test]
    fn a_copy_is_for_its_user_whatever_the_file_is() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::write(&from, "x").unwrap();
        for mode in [0o444, 0o777] {
            std::fs::set_permissions(&from, std::fs::Permissions::from_mode(mode)).unwrap();
            private_copy(&from, &to).unwrap();
            assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
            assert!(private_copy(&from, &to).is_err(), "nothing that is there is written to");
            std::fs::remove_file(&to).unwrap();
        }
    }

    #[tokio::test]
    async fn a_file_whose_engine_was_killed_is_read_from_a_copy() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path(), Options::default(), clock()).await.unwrap();
        log.create(&[TopicSpec { name: "orders".into(), partitions: 1 }]).await.unwrap();
        // What a kill leaves: the file as it is while it is open.
        let killed = tempfile::tempdir().unwrap();
        let path = killed.path().join("topics.redb");
        std::fs::copy(dir.path().join("topics.redb"), &path).unwrap();
        let before = std::fs::read(&path).unwrap();
        let seen = look(killed.path(), clock()).await.unwrap().unwrap();
        assert_eq!(seen.topics().await.unwrap(), ["orders"]);
        assert!(std::fs::read(&path).unwrap() == before);
        assert_eq!(std::fs::read_dir(killed.path()).unwrap().count(), 1);
    }
}
