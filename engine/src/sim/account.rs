//! The account: what the simulation did, as JSON lines in one folder, so that tables and files can be checked from outside.
//!
//! - `emitted.jsonl` `{topic, key, value, duplicate_of}`: the messages on the topic, in order of emission; `duplicate_of` is
//!   the number (from 0) of the line that a message repeats. It is a function of the seed: [`Account::emitted_to`] makes it
//!   agree with what the topic holds, whatever a killed run left.
//! - `answers.jsonl` `{at, method, path, status, fault, body}`: every call; `path` with its query, `status` null when nothing was
//!   answered, `body` the whole body also where only a part of it got through.
//! - `files.jsonl` `{url, bytes, sha256, fault}`: every request of a file; size and hash are those of the whole file, also where
//!   a `fault` kept it from getting through.
//! - `seed`: the seed. Another seed on the same folder is refused.
//!
//! The files only grow, over all runs. A line is written before the answer it describes leaves the process, so that a
//! process that is killed has told nobody what the account does not hold. A line that was torn is cut off at the next start.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use connectors::{Error, Result};
use tokio::sync::{mpsc, oneshot};

/// How many lines wait for the writer before callers do.
const WAITING: usize = 1_024;

/// Which file a line goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Book {
    /// `answers.jsonl`
    Answers,
    /// `files.jsonl`
    Files,
}

struct Entry {
    book: Book,
    line: Vec<u8>,
    written: oneshot::Sender<io::Result<()>>,
}

/// The open account. Clones write to the same files; the writer ends with the last of them.
#[derive(Clone)]
pub(super) struct Account {
    entries: mpsc::Sender<Entry>,
    folder: PathBuf,
}

impl Account {
    /// Opens the account in `folder`, for `seed`. Blocks: call it off the runtime's threads.
    pub(super) fn open(folder: &Path, seed: u64) -> Result<Account> {
        std::fs::create_dir_all(folder).map_err(|e| at(folder, &e))?;
        let path = folder.join("seed");
        match std::fs::read_to_string(&path) {
            Ok(text) if text.trim() == seed.to_string() => {}
            Ok(text) if !text.trim().is_empty() => {
                let what = format!("{} holds a run of seed {}, not of seed {seed}", folder.display(), text.trim());
                return Err(Error::permanent(what).hint("give the same --seed, or another --data directory"));
            }
            Ok(_) => replace(&path, &seed.to_string())?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => replace(&path, &seed.to_string())?,
            Err(e) => return Err(at(&path, &e)),
        }
        let mut answers = append(&folder.join("answers.jsonl"))?;
        let mut files = append(&folder.join("files.jsonl"))?;
        let (entries, mut incoming) = mpsc::channel::<Entry>(WAITING);
        let write = move || {
            let mut batch = Vec::new();
            while incoming.blocking_recv_many(&mut batch, WAITING) > 0 {
                let mut result = Ok(());
                for (book, file) in [(Book::Answers, &mut answers), (Book::Files, &mut files)] {
                    let lines: Vec<u8> =
                        batch.iter().filter(|e| e.book == book).flat_map(|e| e.line.iter().copied()).collect();
                    if let Err(error) = file.write_all(&lines) {
                        result = Err(error);
                    }
                }
                for entry in batch.drain(..) {
                    let result = result.as_ref().map_err(|e| io::Error::new(e.kind(), e.to_string()));
                    // A caller that has gone does not want to know.
                    let _ = entry.written.send(result.copied());
                }
            }
        };
        std::thread::Builder::new().name("account".to_owned()).spawn(write).map_err(|e| at(folder, &e))?;
        Ok(Account { entries, folder: folder.to_owned() })
    }

    /// Writes one line; it is in the file when this returns.
    pub(super) async fn write(&self, book: Book, value: &serde_json::Value) -> Result<()> {
        let mut line = value.to_string().into_bytes();
        line.push(b'\n');
        let (written, result) = oneshot::channel();
        let gone = || Error::permanent(format!("the account in {} is closed", self.folder.display()));
        self.entries.send(Entry { book, line, written }).await.map_err(|_| gone())?;
        result.await.map_err(|_| gone())?.map_err(|e| at(&self.folder, &e))
    }

    /// Makes `emitted.jsonl` hold exactly `lines`: what agrees stays, the rest is cut off, what is missing is written.
    /// Blocks. Returns the file, open at its end.
    pub(super) fn emitted_to(&self, lines: impl Iterator<Item = Vec<u8>>) -> Result<File> {
        let path = self.folder.join("emitted.jsonl");
        let fail = |e: io::Error| at(&path, &e);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(fail)?;
        let mut reader = BufReader::new(file.try_clone().map_err(fail)?);
        let mut lines = lines.peekable();
        let (mut length, mut found) = (0_u64, Vec::new());
        while let Some(line) = lines.peek() {
            found.clear();
            reader.read_until(b'\n', &mut found).map_err(fail)?;
            if found != *line {
                break;
            }
            length += line.len() as u64;
            lines.next();
        }
        file.set_len(length).map_err(fail)?;
        let mut file = file;
        file.seek(SeekFrom::Start(length)).map_err(fail)?;
        let mut writer = BufWriter::new(file);
        for line in lines {
            writer.write_all(&line).map_err(fail)?;
        }
        writer.into_inner().map_err(|e| fail(e.into_error()))
    }
}

fn at(path: &Path, error: &io::Error) -> Error {
    Error::permanent(format!("cannot write the account {}: {error}", path.display()))
        .hint("check that the directory can be written and that the disk has room")
}

/// Writes a small file whole or not at all.
fn replace(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, path)).map_err(|e| at(path, &e))
}

/// Opens a file of lines for appending, without a torn last line.
fn append(path: &Path) -> Result<File> {
    let fail = |e: io::Error| at(path, &e);
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(fail)?;
    let length = file.metadata().map_err(fail)?.len();
    let (mut end, mut chunk) = (length, vec![0_u8; 64 * 1024]);
    while end > 0 {
        let start = end.saturating_sub(chunk.len() as u64);
        let part = chunk.get_mut(..usize::try_from(end - start).unwrap_or(0)).unwrap_or_default();
        file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(part)).map_err(fail)?;
        if let Some(newline) = part.iter().rposition(|b| *b == b'\n') {
            end = start + newline as u64 + 1;
            break;
        }
        end = start;
    }
    if end < length {
        file.set_len(end).map_err(fail)?;
    }
    Ok(file)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn lines(n: u64) -> impl Iterator<Item = Vec<u8>> {
        (0..n).map(|i| format!("{{\"i\":{i}}}\n").into_bytes())
    }

    #[test]
    fn emitted_is_made_to_agree_whatever_was_left() {
        let whole: Vec<u8> = lines(20).flatten().collect();
        let mut left: Vec<Vec<u8>> = (0..=whole.len()).step_by(7).map(|cut| whole[..cut].to_vec()).collect();
        left.push([whole.as_slice(), b"{\"i\":20}\n{\"i"].concat());
        left.push(b"something else\n".to_vec());
        for left in left {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("emitted.jsonl"), left).unwrap();
            let account = Account::open(folder.path(), 1).unwrap();
            let mut file = account.emitted_to(lines(20)).unwrap();
            assert_eq!(std::fs::read(folder.path().join("emitted.jsonl")).unwrap(), whole);
            file.write_all(b"more\n").unwrap();
            let more = [whole.as_slice(), b"more\n"].concat();
            assert_eq!(std::fs::read(folder.path().join("emitted.jsonl")).unwrap(), more);
        }
    }

    #[tokio::test]
    async fn a_torn_line_is_cut_off_and_lines_are_appended() {
        for (left, stays) in
            [("", ""), ("{\"a\":1}\n{\"a\":", "{\"a\":1}\n"), ("{\"a\":1}\n", "{\"a\":1}\n"), ("{", "")]
        {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("answers.jsonl"), left).unwrap();
            let account = Account::open(folder.path(), 1).unwrap();
            account.write(Book::Answers, &serde_json::json!({"a": 2})).await.unwrap();
            let text = std::fs::read_to_string(folder.path().join("answers.jsonl")).unwrap();
            assert_eq!(text, format!("{stays}{{\"a\":2}}\n"), "{left:?}");
        }
    }

    #[test]
    fn another_seed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        Account::open(folder.path(), 1).unwrap();
        Account::open(folder.path(), 1).unwrap();
        let error = Account::open(folder.path(), 2).err().unwrap().to_string();
        assert!(error.contains("seed 1") && error.contains("--seed"), "{error}");
    }
}
