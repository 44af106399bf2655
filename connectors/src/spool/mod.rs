//! The spool: where files wait between their download and their upload.
//!
//! A file appears under its path whole or not at all: it is written elsewhere, made durable, and only then given its
//! name. Writing a path again replaces the file. [`Directory`] is a folder of this machine, [`Bounded`] one that cannot fill it, [`Memory`] the double of
//! tests; all pass [`conformance`].
//!
//! Paths are relative, with `/` between segments, without empty segments, `.`, `..`, backslashes and control characters;
//! anything else is a permanent error, so no name that came from outside reaches out of the spool.

mod bounded;
mod directory;
mod memory;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::AsyncRead;

use crate::{Error, Result};

pub use bounded::{Bounded, Bounds};
pub use directory::Directory;
pub use memory::Memory;

/// A place for files on their way.
#[async_trait]
pub trait Spool: Send + Sync + 'static {
    /// Begins a file. Nothing is to be seen at `path` before [`Writer::commit`].
    async fn create(&self, path: &str) -> Result<Box<dyn Writer>>;

    /// Opens the file at `path` for reading; `None` if it is not there.
    async fn open(&self, path: &str) -> Result<Option<Box<dyn AsyncRead + Send + Unpin>>>;

    /// The length of the file at `path` in bytes; `None` if it is not there.
    async fn length(&self, path: &str) -> Result<Option<u64>>;

    /// Deletes the file at `path`, if it is there.
    async fn remove(&self, path: &str) -> Result<()>;
}

/// A file that is being written. Dropping it without [`Writer::commit`] leaves nothing behind.
#[async_trait]
pub trait Writer: Send {
    /// Appends `chunk`.
    async fn write(&mut self, chunk: Bytes) -> Result<()>;

    /// Makes the file durable and gives it its path.
    async fn commit(self: Box<Self>) -> Result<()>;
}

/// Refuses what is no path of a file (see the module's documentation).
pub fn check_path(path: &str) -> Result<()> {
    let refuse = |why: &str| {
        let shown = crate::redact::brief(path).into_owned();
        Err(Error::permanent(format!("{shown:?} is no path of a file: {why}")))
    };
    for segment in path.split('/') {
        match segment {
            "" => return refuse("a segment is empty"),
            "." | ".." => return refuse("a segment is . or .."),
            _ if segment.len() > 255 => return refuse("a segment is longer than 255 bytes"),
            _ if segment.contains(|c: char| c == '\\' || c.is_control()) => {
                return refuse("it holds a backslash or a control character");
            }
            _ => {}
        }
    }
    Ok(())
}

/// What every spool promises. Panics where one does not keep it; for tests of implementations.
pub async fn conformance(spool: &dyn Spool) -> Result<()> {
    use tokio::io::AsyncReadExt as _;

    async fn write(spool: &dyn Spool, path: &str, chunks: &[&'static [u8]]) -> Result<Box<dyn Writer>> {
        let mut writer = spool.create(path).await?;
        for chunk in chunks {
            writer.write(Bytes::from_static(chunk)).await?;
        }
        Ok(writer)
    }
    async fn read(spool: &dyn Spool, path: &str) -> Result<Option<Vec<u8>>> {
        let Some(mut reader) = spool.open(path).await? else { return Ok(None) };
        let mut content = Vec::new();
        reader.read_to_end(&mut content).await.map_err(|e| Error::transient(e.to_string()))?;
        Ok(Some(content))
    }

    assert_eq!(spool.length("a/b.txt").await?, None, "nothing is there");
    assert_eq!(read(spool, "a/b.txt").await?, None, "nothing is there to be read");
    spool.remove("a/b.txt").await?;

    let writer = write(spool, "a/b.txt", &[b"one", b"", b"two"]).await?;
    assert_eq!(spool.length("a/b.txt").await?, None, "not there before the commit");
    writer.commit().await?;
    assert_eq!(spool.length("a/b.txt").await?, Some(6));
    assert_eq!(read(spool, "a/b.txt").await?.as_deref(), Some(&b"onetwo"[..]));

    drop(write(spool, "a/b.txt", &[b"gone"]).await?);
    assert_eq!(read(spool, "a/b.txt").await?.as_deref(), Some(&b"onetwo"[..]), "a dropped writer changes nothing");
    let (first, second) = (write(spool, "a/b.txt", &[b"1"]).await?, write(spool, "a/b.txt", &[b"22"]).await?);
    second.commit().await?;
    first.commit().await?;
    assert_eq!(read(spool, "a/b.txt").await?.as_deref(), Some(&b"1"[..]), "the last commit wins, whole");

    write(spool, "a/ü #1 100%.txt", &[b"x"]).await?.commit().await?;
    spool.remove("a/b.txt").await?;
    assert_eq!(spool.length("a/b.txt").await?, None);
    assert_eq!(spool.length("a/ü #1 100%.txt").await?, Some(1), "its neighbour stays");
    spool.remove("a/ü #1 100%.txt").await?;

    for path in ["", "/a", "a/", "a//b", "../a", "a/../../b", "a\\b", "a\nb", ".", "a/./b"] {
        let error = spool.create(path).await.err().map(|e| e.category);
        assert_eq!(error, Some(crate::Category::Permanent), "{path:?} is refused");
    }
    Ok(())
}
