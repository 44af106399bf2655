//! Lines of files as messages: one JSON Lines file, or a directory of `*.jsonl` files.
//!
//! The topic of a message is the name of its file, the partition is 0, the time is the file's last change, the payload
//! is the line without its end. Empty lines are skipped.
//!
//! **The offset of a message is the byte at which its line begins.** A position may therefore be any byte: reading
//! resumes at the first line that begins there or later, so both "the start of the next line" and "the offset of the
//! last line plus one" mean the same. Files may grow and new ones may appear; with [`Options::follow`] a last line is
//! delivered only when its line end is there. A file that has become shorter than its position was replaced: an error.
//!
//! Positions are kept in a JSON file that the caller names, written to a temporary file, synced and renamed: after a
//! crash it holds either the old or the new ones. One source may use it at a time; groups are not told apart.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use crate::clock::Micros;
use crate::log::{self, Message, Partition, Polled, Position};
use crate::{Error, Result};

/// How often growing files are looked at while a poll waits.
const LOOK: Duration = Duration::from_millis(100);

/// What is read and where positions are kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// A file, or a directory whose `*.jsonl` files are read.
    pub path: PathBuf,
    /// The file of positions; made when it is not there.
    pub positions: PathBuf,
    /// Whether files may still be written to: a last line without its end is then not yet a message.
    pub follow: bool,
    /// A longer line is an error.
    pub max_line_bytes: usize,
}

impl Options {
    /// Reads `path` as it is; lines up to 16 MiB.
    pub fn new(path: impl Into<PathBuf>, positions: impl Into<PathBuf>) -> Self {
        Options { path: path.into(), positions: positions.into(), follow: false, max_line_bytes: 16 << 20 }
    }
}

/// Reads files as topics.
pub struct Source {
    options: Arc<Options>,
    files: BTreeMap<Arc<str>, Tail>,
    assigned: Vec<Partition>,
    committed: BTreeMap<String, u64>,
    /// Which file is read first; moves on, so that a long file starves no other.
    turn: usize,
}

#[derive(Clone, Debug)]
struct Tail {
    path: PathBuf,
    next: u64,
}

impl Source {
    /// Opens the source; the path must be there.
    pub async fn open(options: Options) -> Result<Self> {
        let options = Arc::new(options);
        let (found, committed) = blocking({
            let options = options.clone();
            move || Ok((find(&options.path)?, load(&options.positions)?))
        })
        .await?;
        let mut source = Source { options, files: BTreeMap::new(), assigned: Vec::new(), committed, turn: 0 };
        source.add(found);
        Ok(source)
    }

    fn add(&mut self, found: Vec<(Arc<str>, PathBuf)>) {
        for (topic, path) in found {
            if !self.files.contains_key(&topic) {
                let next = self.committed.get(&*topic).copied().unwrap_or(0);
                self.assigned.push((topic.clone(), 0));
                self.files.insert(topic, Tail { path, next });
            }
        }
    }
}

#[async_trait]
impl log::Source for Source {
    async fn poll(&mut self, max_messages: usize, max_bytes: usize, wait: Duration) -> Result<Polled> {
        let deadline = Instant::now() + wait;
        loop {
            let mut tails: Vec<(Arc<str>, Tail)> =
                self.files.iter().map(|(t, tail)| (t.clone(), tail.clone())).collect();
            let first = self.turn.checked_rem(tails.len()).unwrap_or(0);
            tails.rotate_left(first);
            let options = self.options.clone();
            let (messages, moved, found) = blocking(move || {
                let (messages, moved) = read(&options, tails, max_messages.max(1), max_bytes)?;
                let found = if messages.is_empty() { find(&options.path)? } else { Vec::new() };
                Ok((messages, moved, found))
            })
            .await?;
            // From here on nothing waits: a poll that was cancelled above has moved nothing.
            self.turn = self.turn.wrapping_add(1);
            for (topic, next) in moved {
                if let Some(tail) = self.files.get_mut(&topic) {
                    tail.next = next;
                }
            }
            self.add(found);
            let now = Instant::now();
            if !messages.is_empty() || !self.assigned.is_empty() || now >= deadline {
                return Ok(Polled { messages, assigned: std::mem::take(&mut self.assigned), revoked: Vec::new() });
            }
            tokio::time::sleep_until(deadline.min(now + LOOK)).await;
        }
    }

    async fn commit(&mut self, position: &Position) -> Result<()> {
        let mut committed = self.committed.clone();
        for ((topic, _), offset) in position {
            committed.insert(topic.to_string(), u64::try_from(*offset).unwrap_or(0));
        }
        let (path, text) = (self.options.positions.clone(), committed.clone());
        blocking(move || save(&path, &text)).await?;
        self.committed = committed;
        Ok(())
    }

    async fn committed(&mut self) -> Result<Position> {
        let offset = |topic: &str| self.committed.get(topic).and_then(|at| i64::try_from(*at).ok()).unwrap_or(0);
        Ok(self.files.keys().map(|topic| ((topic.clone(), 0), offset(topic))).collect())
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::transient(format!("work on files was given up: {error}"))),
    }
}

fn failed<'a>(what: &'a str, path: &'a Path) -> impl Fn(std::io::Error) -> Error + 'a {
    move |error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => {
            Error::permanent(format!("{what} {} failed: {error}", path.display()))
        }
        _ => Error::transient(format!("{what} {} failed: {error}", path.display())),
    }
}

/// The files to read, by topic.
fn find(path: &Path) -> Result<Vec<(Arc<str>, PathBuf)>> {
    let topic = |path: &Path| path.file_name().map(|name| Arc::from(name.to_string_lossy()));
    if path.metadata().map_err(failed("reading", path))?.is_file() {
        return Ok(topic(path).map(|topic| (topic, path.to_path_buf())).into_iter().collect());
    }
    let mut found = Vec::new();
    for entry in path.read_dir().map_err(failed("listing", path))? {
        let path = entry.map_err(failed("listing", path))?.path();
        if path.is_file() && path.extension().is_some_and(|extension| extension == "jsonl") {
            found.extend(topic(&path).map(|topic| (topic, path)));
        }
    }
    found.sort();
    Ok(found)
}

/// Messages, and how far each file was read.
type Read = (Vec<Message>, Vec<(Arc<str>, u64)>);

fn read(options: &Options, tails: Vec<(Arc<str>, Tail)>, max_messages: usize, max_bytes: usize) -> Result<Read> {
    let (mut messages, mut moved) = (Vec::new(), Vec::new());
    let mut left = max_bytes;
    for (topic, tail) in tails {
        if messages.len() >= max_messages || (left == 0 && !messages.is_empty()) {
            break;
        }
        let path = &tail.path;
        let file = File::open(path).map_err(failed("opening", path))?;
        let metadata = file.metadata().map_err(failed("reading", path))?;
        if metadata.len() < tail.next {
            let (length, next) = (metadata.len(), tail.next);
            return Err(Error::permanent(format!(
                "{} has {length} bytes, but {next} were read before: it was replaced",
                path.display()
            ))
            .hint(format!("give the new file another name, or remove it from {}", options.positions.display())));
        }
        if metadata.len() == tail.next {
            continue;
        }
        let time = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let time = time.and_then(|time| Micros::try_from(time.as_micros()).ok()).unwrap_or(0);
        let mut lines = Lines::open(file, tail.next, options).map_err(failed("reading", path))?;
        let mut next = lines.next;
        while messages.len() < max_messages && (left > 0 || messages.is_empty()) {
            let Some((offset, line)) = lines.read().map_err(failed("reading", path))? else { break };
            if line.len() > options.max_line_bytes && messages.is_empty() {
                let most = options.max_line_bytes;
                return Err(Error::permanent(format!(
                    "the line at byte {offset} of {} is longer than {most} bytes",
                    path.display()
                )));
            }
            if line.len() > options.max_line_bytes {
                // What comes before it is delivered first.
                break;
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                next = lines.next;
                continue;
            }
            let message = Message {
                topic: topic.clone(),
                partition: 0,
                offset: i64::try_from(offset).unwrap_or(i64::MAX),
                time,
                key: None,
                payload: Bytes::copy_from_slice(line),
                headers: Vec::new(),
            };
            left = left.saturating_sub(message.size());
            messages.push(message);
            next = lines.next;
        }
        moved.push((topic, next));
    }
    Ok((messages, moved))
}

/// The lines of a file from a byte on.
struct Lines<'a> {
    file: BufReader<File>,
    options: &'a Options,
    line: Vec<u8>,
    /// Where the next line begins.
    next: u64,
}

impl<'a> Lines<'a> {
    fn open(file: File, from: u64, options: &'a Options) -> std::io::Result<Self> {
        let mut file = BufReader::with_capacity(256 << 10, file);
        let mut next = from;
        if let Some(before) = from.checked_sub(1) {
            // One byte earlier: the rest of the line that `from` lies in, or only its end, is skipped.
            file.seek(SeekFrom::Start(before))?;
            next = before + u64::try_from(file.skip_until(b'\n')?).unwrap_or(0);
        }
        Ok(Lines { file, options, line: Vec::new(), next })
    }

    /// The next line without its end, and where it begins. A line beyond the limit is cut one byte behind it.
    fn read(&mut self) -> std::io::Result<Option<(u64, &[u8])>> {
        self.line.clear();
        let limit = u64::try_from(self.options.max_line_bytes).unwrap_or(u64::MAX).saturating_add(2);
        let read = std::io::Read::take(&mut self.file, limit).read_until(b'\n', &mut self.line)?;
        let ended = self.line.last() == Some(&b'\n');
        if read == 0 || (!ended && self.options.follow && self.line.len() <= self.options.max_line_bytes) {
            return Ok(None);
        }
        let offset = self.next;
        self.next += u64::try_from(read).unwrap_or(0);
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        Ok(Some((offset, line.strip_suffix(b"\r").unwrap_or(line))))
    }
}

fn load(path: &Path) -> Result<BTreeMap<String, u64>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(failed("reading positions from", path)(error)),
    };
    serde_json::from_slice(&text).map_err(|error| {
        Error::permanent(format!("{} holds no positions: {error}", path.display()))
            .hint("it must be an object of file names and byte offsets; remove it to read from the start")
    })
}

/// Replaces the file by a new one, durably.
fn save(path: &Path, positions: &BTreeMap<String, u64>) -> Result<()> {
    let text = serde_json::to_vec(positions).map_err(|error| Error::permanent(error.to_string()))?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(directory)?;
        let mut file = File::create(&temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        // The rename is durable when the directory is.
        File::open(directory)?.sync_all()
    };
    write().map_err(failed("writing positions to", path))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::log::Source as _;
    use proptest::prelude::*;

    fn options(dir: &Path) -> Options {
        Options::new(dir, dir.join("state/positions.json"))
    }

    async fn rest(source: &mut Source) -> Vec<(String, i64, String)> {
        let mut all = Vec::new();
        loop {
            let messages = source.poll(2, 1 << 20, Duration::ZERO).await.unwrap().messages;
            if messages.is_empty() {
                return all;
            }
            let text = |m: &Message| String::from_utf8(m.payload.to_vec()).unwrap();
            all.extend(messages.iter().map(|m| (m.topic.to_string(), m.offset, text(m))));
        }
    }

    fn texts(messages: &[(String, i64, String)]) -> Vec<&str> {
        messages.iter().map(|(_, _, text)| text.as_str()).collect()
    }

    #[tokio::test]
    async fn files_of_a_directory_are_topics_and_offsets_are_bytes() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.jsonl"), "{}\r\n\n  \n[1]\nlast").unwrap();
        std::fs::write(dir.path().join("b.jsonl"), "b\n").unwrap();
        std::fs::write(dir.path().join("notes.txt"), "no\n").unwrap();
        let mut source = Source::open(options(dir.path())).await.unwrap();
        let polled = source.poll(1, 1 << 20, Duration::ZERO).await.unwrap();
        assert_eq!(polled.assigned, [("a.jsonl".into(), 0), ("b.jsonl".into(), 0)]);
        assert_eq!(polled.messages.len(), 1);
        let mut all = rest(&mut source).await;
        all.sort();
        let expected = [("a.jsonl", 8, "[1]"), ("a.jsonl", 12, "last"), ("b.jsonl", 0, "b")];
        assert_eq!(all, expected.map(|(topic, offset, text)| (topic.to_string(), offset, text.to_string())));
    }

    #[tokio::test]
    async fn it_resumes_where_it_committed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.jsonl"), "one\ntwo\nthree\n").unwrap();
        let mut source = Source::open(options(dir.path())).await.unwrap();
        let all = rest(&mut source).await;
        // The offset of the second message plus one, as a caller that knows no bytes counts.
        let position = Position::from([(("a.jsonl".into(), 0), all[1].1 + 1)]);
        source.commit(&position).await.unwrap();
        assert_eq!(source.committed().await.unwrap(), position);
        drop(source);
        let mut source = Source::open(options(dir.path())).await.unwrap();
        assert_eq!(texts(&rest(&mut source).await), ["three"]);
    }

    #[tokio::test]
    async fn a_growing_file_is_followed_line_by_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        std::fs::write(&path, "one\ntw").unwrap();
        let mut source = Source::open(Options { follow: true, ..options(dir.path()) }).await.unwrap();
        assert_eq!(texts(&rest(&mut source).await), ["one"]);
        std::fs::write(&path, "one\ntwo\n").unwrap();
        assert_eq!(texts(&rest(&mut source).await), ["two"]);
        std::fs::write(dir.path().join("b.jsonl"), "new\n").unwrap();
        source.poll(1, 1, Duration::ZERO).await.unwrap();
        assert_eq!(texts(&rest(&mut source).await), ["new"]);
        std::fs::write(&path, "x\n").unwrap();
        let error = source.poll(1, 1, Duration::ZERO).await.unwrap_err();
        assert!(error.message.contains("a.jsonl") && error.message.contains("replaced"), "{error}");
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.jsonl"), "12345\n1234567\n").unwrap();
        let mut source = Source::open(Options { max_line_bytes: 5, ..options(dir.path()) }).await.unwrap();
        let before = source.poll(10, 1 << 20, Duration::ZERO).await.unwrap().messages;
        assert_eq!(before.len(), 1, "what comes before it is delivered");
        let error = source.poll(10, 1 << 20, Duration::ZERO).await.unwrap_err();
        assert!(error.message.contains("byte 6"), "{error}");
    }

    #[tokio::test]
    async fn damaged_positions_are_not_taken_for_none() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.jsonl"), "one\n").unwrap();
        std::fs::create_dir(dir.path().join("state")).unwrap();
        std::fs::write(dir.path().join("state/positions.json"), "{").unwrap();
        assert!(Source::open(options(dir.path())).await.err().unwrap().message.contains("positions.json"));
    }

    proptest! {
        /// From any byte: exactly the lines that begin there or later.
        #[test]
        fn any_byte_is_a_position(lines in prop::collection::vec("[a-z]{0,4}", 1..8), from in 0u64..40) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.jsonl");
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let from = from.min(text.len() as u64);
            std::fs::write(&path, &text).unwrap();
            let mut starts = Vec::new();
            let mut at = 0;
            for line in &lines {
                if at >= from && !line.is_empty() {
                    starts.push((at as i64, line.clone()));
                }
                at += line.len() as u64 + 1;
            }
            let tails = vec![("a.jsonl".into(), Tail { path, next: from })];
            let (messages, _) = read(&options(dir.path()), tails, 100, 1 << 20).unwrap();
            let read: Vec<_> =
                messages.iter().map(|m| (m.offset, String::from_utf8(m.payload.to_vec()).unwrap())).collect();
            prop_assert_eq!(read, starts);
        }
    }
}
