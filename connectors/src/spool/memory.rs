//! A spool in memory.

use std::collections::{BTreeMap, VecDeque};
use std::io::Cursor;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncRead;

use super::{Spool, Writer, check_path};
use crate::{Error, Result};

/// The in-memory double of a spool. Clones share their files.
#[derive(Clone, Default)]
pub struct Memory {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Bytes>,
    refusal: Option<Error>,
    refusals: VecDeque<Error>,
}

impl Memory {
    /// Makes every write fail with `error`, or none.
    pub fn refuse(&self, error: Option<Error>) {
        self.with(|state| state.refusal = error);
    }

    /// The next `count` files are refused with `error`.
    pub fn refuse_next(&self, count: u32, error: &Error) {
        self.with(|state| state.refusals.extend((0..count).map(|_| error.clone())));
    }

    /// The paths of all files.
    pub fn paths(&self) -> Vec<String> {
        self.with(|state| state.files.keys().cloned().collect())
    }

    /// The content of the file at `path`.
    pub fn get(&self, path: &str) -> Option<Bytes> {
        self.with(|state| state.files.get(path).cloned())
    }

    fn with<T>(&self, step: impl FnOnce(&mut State) -> T) -> T {
        step(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait::async_trait]
impl Spool for Memory {
    async fn create(&self, path: &str) -> Result<Box<dyn Writer>> {
        check_path(path)?;
        if let Some(error) = self.with(|state| state.refusals.pop_front()) {
            return Err(error);
        }
        Ok(Box::new(Pending { spool: self.clone(), path: path.to_owned(), content: BytesMut::new() }))
    }

    async fn open(&self, path: &str) -> Result<Option<Box<dyn AsyncRead + Send + Unpin>>> {
        check_path(path)?;
        Ok(self.get(path).map(|content| Box::new(Cursor::new(content)) as _))
    }

    async fn length(&self, path: &str) -> Result<Option<u64>> {
        check_path(path)?;
        Ok(self.get(path).map(|content| content.len() as u64))
    }

    async fn remove(&self, path: &str) -> Result<()> {
        check_path(path)?;
        self.with(|state| state.files.remove(path));
        Ok(())
    }
}

struct Pending {
    spool: Memory,
    path: String,
    content: BytesMut,
}

#[async_trait::async_trait]
impl Writer for Pending {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        match self.spool.with(|state| state.refusal.clone()) {
            Some(error) => Err(error),
            None => {
                self.content.extend_from_slice(&chunk);
                Ok(())
            }
        }
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        let Pending { spool, path, content } = *self;
        spool.with(|state| match state.refusal.clone() {
            Some(error) => Err(error),
            None => {
                state.files.insert(path, content.freeze());
                Ok(())
            }
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_keeps_the_promises_of_a_spool() {
        super::super::conformance(&Memory::default()).await.unwrap();
    }
}
