//! A spool folder that cannot fill the disk and forgets what nobody comes for.
//!
//! A file leaves the spool when the offset of its message is committed. A crash between the commit and the removal leaves a file
//! that no message speaks of any more; those are swept by their age, if one is set: longer than any message waits, for a message
//! whose file is gone has it downloaded again only if its topology says so. When the files together reach the bound, the next one is refused as a transient failure, and comes again when others
//! have left.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::AsyncRead;

use super::{Directory, Spool, Writer};
use crate::clock::{Clock, Micros};
use crate::{Error, Result};

/// How often a spool that is in use is swept: old files do no harm but to the space.
const EVERY: Micros = 3_600_000_000;

/// What a spool may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all files, those that are being written among them.
    pub bytes: u64,
    /// Files that were written longer ago are deleted.
    pub age: Duration,
}

/// A folder with bounds. Clones share them.
#[derive(Clone)]
pub struct Bounded {
    folder: Directory,
    bounds: Bounds,
    clock: Arc<dyn Clock>,
    state: Arc<State>,
}

/// Another process that uses the folder is noticed by the next sweep.
#[derive(Debug)]
struct State {
    used: AtomicI64,
    swept: AtomicI64,
}

impl Bounded {
    /// Puts bounds on `folder`, which is swept at once.
    pub async fn open(folder: Directory, bounds: Bounds, clock: Arc<dyn Clock>) -> Result<Self> {
        let state = Arc::new(State { used: AtomicI64::new(0), swept: AtomicI64::new(Micros::MIN) });
        let bounded = Bounded { folder, bounds, clock, state };
        bounded.sweep().await?;
        Ok(bounded)
    }

    /// Deletes what is too old, if that was not done a short while ago.
    async fn sweep(&self) -> Result<()> {
        let (now, last) = (self.clock.now(), self.state.swept.load(Ordering::Relaxed));
        let due = now >= last.saturating_add(EVERY);
        // One of those who come now does it.
        if !due || self.state.swept.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return Ok(());
        }
        let age = Micros::try_from(self.bounds.age.as_micros()).unwrap_or(Micros::MAX);
        let used = self.folder.sweep(now.saturating_sub(age)).await?;
        self.state.used.store(signed(used), Ordering::Relaxed);
        Ok(())
    }

    fn full(&self) -> Error {
        let most = self.bounds.bytes;
        Error::transient(format!("the spool is full: its files may hold {most} bytes together"))
            .hint("see why files are not uploaded, or raise the connection's spool.bytes")
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[async_trait]
impl Spool for Bounded {
    async fn create(&self, path: &str) -> Result<Box<dyn Writer>> {
        self.sweep().await?;
        if self.state.used.load(Ordering::Relaxed) >= signed(self.bounds.bytes) {
            return Err(self.full());
        }
        let inner = self.folder.create(path).await?;
        Ok(Box::new(Counted { inner: Some(inner), spool: self.clone(), path: path.to_owned(), written: 0 }))
    }

    async fn open(&self, path: &str) -> Result<Option<Box<dyn AsyncRead + Send + Unpin>>> {
        self.folder.open(path).await
    }

    async fn length(&self, path: &str) -> Result<Option<u64>> {
        self.folder.length(path).await
    }

    async fn remove(&self, path: &str) -> Result<()> {
        let length = self.folder.length(path).await?;
        self.folder.remove(path).await?;
        self.state.used.fetch_sub(signed(length.unwrap_or(0)), Ordering::Relaxed);
        Ok(())
    }
}

/// A file that is being written. What it holds counts until it is given up.
struct Counted {
    /// There until it is committed.
    inner: Option<Box<dyn Writer>>,
    spool: Bounded,
    path: String,
    written: i64,
}

#[async_trait]
impl Writer for Counted {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let length = i64::try_from(chunk.len()).unwrap_or(i64::MAX);
        self.written += length;
        if self.spool.state.used.fetch_add(length, Ordering::Relaxed) + length > signed(self.spool.bounds.bytes) {
            return Err(self.spool.full());
        }
        match &mut self.inner {
            Some(inner) => inner.write(chunk).await,
            None => Err(Error::permanent("a file was written to after its end")),
        }
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        let replaced = self.spool.folder.length(&self.path).await?;
        if let Some(inner) = self.inner.take() {
            inner.commit().await?;
        }
        // It stays; what was under its name before does not.
        self.written = signed(replaced.unwrap_or(0));
        Ok(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.spool.state.used.fetch_sub(self.written, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Category;
    use crate::clock::{ManualClock, SystemClock};

    const DAY: Duration = Duration::from_secs(24 * 3600);

    async fn spool(root: &std::path::Path, bytes: u64, clock: Arc<dyn Clock>) -> Bounded {
        let folder = Directory::open(root, &*clock).await.unwrap();
        Bounded::open(folder, Bounds { bytes, age: DAY }, clock).await.unwrap()
    }

    async fn put(spool: &Bounded, path: &str, bytes: usize) -> Result<()> {
        let mut writer = spool.create(path).await?;
        writer.write(vec![7; bytes].into()).await?;
        writer.commit().await
    }

    #[tokio::test]
    async fn it_keeps_the_promises_of_a_spool() {
        let root = tempfile::tempdir().unwrap();
        let spool = spool(root.path(), 1 << 20, Arc::new(SystemClock::new(1.0))).await;
        super::super::conformance(&spool).await.unwrap();
        assert_eq!(spool.state.used.load(Ordering::Relaxed), 0, "everything that came has left");
    }

    #[tokio::test]
    async fn a_full_spool_refuses_until_something_leaves() {
        let root = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new(1.0));
        let first = spool(root.path(), 100, clock.clone()).await;
        put(&first, "a/1", 60).await.unwrap();
        let error = put(&first, "a/2", 60).await.unwrap_err();
        assert_eq!(error.category, Category::Transient);
        assert_eq!(first.length("a/2").await.unwrap(), None);
        // What was given up does not count, and a file that replaces another counts once.
        put(&first, "a/1", 90).await.unwrap_err();
        put(&first, "a/1", 40).await.unwrap();
        assert_eq!(first.state.used.load(Ordering::Relaxed), 40);
        // A new process finds what is there.
        let second = spool(root.path(), 100, clock).await;
        put(&second, "a/2", 61).await.unwrap_err();
        second.remove("a/1").await.unwrap();
        put(&second, "a/2", 100).await.unwrap();
        assert_eq!(second.create("a/3").await.err().unwrap().category, Category::Transient);
    }

    #[tokio::test]
    async fn what_nobody_came_for_is_swept() {
        let root = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(SystemClock::new(1.0).now());
        let spool = spool(root.path(), 100, Arc::new(clock.clone())).await;
        put(&spool, "left/behind", 60).await.unwrap();
        clock.advance(Duration::from_secs(3 * 3600));
        put(&spool, "b", 1).await.unwrap();
        assert_eq!(spool.length("left/behind").await.unwrap(), Some(60), "it is not old yet");
        clock.advance(DAY);
        put(&spool, "c", 1).await.unwrap();
        assert_eq!(spool.length("left/behind").await.unwrap(), None);
        assert!(!root.path().join("left").exists(), "its folder went with it");
        assert_eq!(spool.state.used.load(Ordering::Relaxed), 1);
    }
}
