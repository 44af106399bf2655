//! The account of a simulation run: JSON lines of what was emitted, answered and served.

use std::io::{BufRead, BufReader, Error, ErrorKind};
use std::path::Path;

use serde_json::{Value, json};

use super::coerce;

/// A message that the simulation put on a topic.
#[derive(Clone, Debug)]
pub struct Emitted {
    /// The topic's full name.
    pub topic: String,
    /// The message: JSON, or a text that is the payload as it was sent.
    pub value: Value,
}

/// An answer of the fake API.
#[derive(Clone, Debug)]
pub struct Answer {
    /// When the request came in, in microseconds since 1970.
    pub at: i64,
    /// `GET` or `POST`.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The status; 0 where there was none.
    pub status: u16,
    /// Whether the whole answer reached the client.
    pub whole: bool,
    /// The body.
    pub body: Value,
}

/// A file that was served.
#[derive(Clone, Debug)]
pub struct File {
    /// The link that was asked for.
    pub url: String,
    /// Its length.
    pub bytes: i64,
    /// Its checksum, in hexadecimal.
    pub sha256: String,
    /// Whether the whole file reached the client.
    pub whole: bool,
    /// The status that was answered; null where none was.
    pub status: Value,
}

/// All that happened outside the engine.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Messages in the order of their emission.
    pub emitted: Vec<Emitted>,
    /// Answers in the order of their instants.
    pub answers: Vec<Answer>,
    /// Files in the order in which they were served.
    pub files: Vec<File>,
}

impl Account {
    /// Reads `emitted.jsonl`, `answers.jsonl` and `files.jsonl` of a directory. A file that is missing is empty.
    pub fn read(directory: &Path) -> std::io::Result<Account> {
        let [emitted, answers, files] =
            ["emitted.jsonl", "answers.jsonl", "files.jsonl"].map(|name| lines(&directory.join(name)));
        Ok(Account::of(&emitted?, &answers?, &files?))
    }

    /// The account that these lines hold.
    pub fn of(emitted: &[Value], answers: &[Value], files: &[Value]) -> Account {
        let mut account = Account {
            emitted: emitted
                .iter()
                .map(|line| Emitted { topic: word(&line["topic"]), value: line["value"].clone() })
                .collect(),
            answers: answers.iter().map(answer).collect(),
            files: files
                .iter()
                .map(|line| File {
                    url: word(&line["url"]),
                    bytes: line["bytes"].as_i64().unwrap_or(0),
                    sha256: word(&line["sha256"]),
                    whole: served(&line["fault"]),
                    status: status(line),
                })
                .collect(),
        };
        account.answers.sort_by_key(|answer| answer.at);
        account
    }
}

fn answer(line: &Value) -> Answer {
    let path = word(&line["path"]);
    let body = match &line["body"] {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| line["body"].clone()),
        body => body.clone(),
    };
    Answer {
        at: instant(&line["at"]),
        method: word(&line["method"]).to_uppercase(),
        path: path.split('?').next().unwrap_or_default().to_owned(),
        status: u16::try_from(line["status"].as_u64().unwrap_or(0)).unwrap_or(0),
        whole: unbroken(&line["fault"]),
        body,
    }
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Whether what was sent came through: a fault that breaks the connection keeps it, one that delays or leads elsewhere does not.
fn unbroken(fault: &Value) -> bool {
    !matches!(fault.as_str(), Some("timeout" | "reset" | "truncated"))
}

/// Whether a file came through. Its line has no status, so a fault that is one (`503`, `403` of an expired link) counts too.
fn served(fault: &Value) -> bool {
    matches!(fault.as_str(), None | Some("" | "slow" | "redirect" | "generic_type"))
}

/// The status of a file's answer: what its line says, else what its fault is called after.
fn status(line: &Value) -> Value {
    let fault = line["fault"].as_str().unwrap_or_default();
    match (&line["status"], fault) {
        (Value::Null, "timeout" | "reset") => Value::Null,
        (Value::Null, "expired" | "unsigned" | "forged") => json!(403),
        (Value::Null, "away") => json!(302),
        (Value::Null, fault) => fault.parse::<u16>().map_or(json!(200), |status| json!(status)),
        (status, _) => status.clone(),
    }
}

/// An instant as ISO text, or as a number of seconds, milliseconds or microseconds, told apart by size.
fn instant(value: &Value) -> i64 {
    match value {
        Value::String(text) => coerce::instant(text).unwrap_or(0),
        Value::Number(number) => match number.as_f64().unwrap_or(0.0) {
            seconds if seconds < 1e11 => (seconds * 1e6) as i64,
            milliseconds if milliseconds < 1e14 => (milliseconds * 1e3) as i64,
            microseconds => microseconds as i64,
        },
        _ => 0,
    }
}

fn lines(path: &Path) -> std::io::Result<Vec<Value>> {
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    let mut values = Vec::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let value = serde_json::from_str(&line).map_err(|error| {
            Error::new(ErrorKind::InvalidData, format!("{}:{}: {error}", path.display(), index + 1))
        })?;
        values.push(value);
    }
    Ok(values)
}
