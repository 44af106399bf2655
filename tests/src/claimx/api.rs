//! An API of the test's own: it gives the answers it is told to give, and fails as often as it is told to fail.
//!
//! It speaks HTTP by hand, because what it must be able to do is what a server library prevents: answers that stop in the
//! middle, connections that are reset, requests that are never answered.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::Utc;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// [`USER`] as it is in the header `Authorization`.
const CREDENTIALS: &str = "Basic b2RkOnNlY3JldA==";

/// The user name and password that it accepts.
pub const USER: (&str, &str) = ("odd", "secret");

/// A running API. It ends with the runtime of the test.
pub struct Api {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    /// Status and body by method and path; those of a POST by the project in its body.
    answers: BTreeMap<(String, String), (u16, Value)>,
    /// The share of requests that fail, in percent.
    faults: u64,
    calls: Mutex<BTreeMap<(String, String), u64>>,
    account: Mutex<Vec<Value>>,
    unexpected: Mutex<BTreeSet<String>>,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Busy,
    Broken,
    Truncated,
    Reset,
    Hang,
}

impl Api {
    /// Serves on `address` (port 0: any that is free). `answers` are those of the corpus: `{method, path, status, body}`, a
    /// POST with `project` beside them.
    pub async fn start(address: SocketAddr, answers: &[Value], faults: u64) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = answers
            .iter()
            .map(|answer| {
                let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
                let place = if answer["method"] == "POST" { text("project") } else { text("path") };
                let status = u16::try_from(answer["status"].as_u64().unwrap()).unwrap();
                ((text("method"), place), (status, answer["body"].clone()))
            })
            .collect();
        let state = Arc::new(State {
            answers,
            faults,
            calls: Mutex::default(),
            account: Mutex::default(),
            unexpected: Mutex::default(),
        });
        let served = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, served.clone()));
            }
        });
        Api { address, state }
    }

    /// What it answered, as lines of an account.
    pub fn account(&self) -> Vec<Value> {
        self.state.account.lock().unwrap().clone()
    }

    /// Requests that nothing was to ask for.
    pub fn unexpected(&self) -> BTreeSet<String> {
        self.state.unexpected.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let Some((head, body)) = read(&mut stream).await else { return };
    let at = Utc::now();
    let mut words = head.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let place = if method == "POST" { body["projectId"].to_string() } else { path.to_owned() };
    let key = (method.to_owned(), place);
    let fault = state.fault(&key);
    let (status, body) = if !head.contains(CREDENTIALS) {
        (401, json!({"message": "who are you?"}))
    } else if let Some(answer) = state.answers.get(&key) {
        answer.clone()
    } else {
        state.unexpected.lock().unwrap().insert(format!("{method} {target}"));
        (404, Value::Null)
    };
    let (status, name) = match fault {
        None => (status, None),
        Some(Fault::Busy) => (429, None),
        Some(Fault::Broken) => (500, None),
        Some(Fault::Truncated) => (status, Some("truncated")),
        Some(Fault::Reset) => (0, Some("reset")),
        Some(Fault::Hang) => (0, Some("timeout")),
    };
    let line =
        json!({"at": at.to_rfc3339(), "method": method, "path": path, "status": status, "body": body, "fault": name});
    state.account.lock().unwrap().push(line);
    let text = body.to_string();
    let wait = if status == 429 { "retry-after: 1\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-type: application/json\r\n{wait}content-length: {}\r\n\r\n",
        text.len()
    );
    let sent = match fault {
        Some(Fault::Hang) => return tokio::time::sleep(Duration::from_secs(3600)).await,
        Some(Fault::Reset) => stream.set_zero_linger(),
        Some(Fault::Truncated) => {
            stream.write_all(&[head.as_bytes(), &text.as_bytes()[..text.len() / 2]].concat()).await
        }
        _ => stream.write_all(&[head.as_bytes(), text.as_bytes()].concat()).await,
    };
    // Whoever asked may be gone.
    if sent.is_ok() {
        let _ = stream.shutdown().await;
    }
}

impl State {
    /// Whether this attempt fails, decided by what is asked and how often it was.
    fn fault(&self, key: &(String, String)) -> Option<Fault> {
        let attempt = {
            let mut calls = self.calls.lock().unwrap();
            let count = calls.entry(key.clone()).or_default();
            *count += 1;
            *count
        };
        let mut hasher = DefaultHasher::new();
        (key, attempt).hash(&mut hasher);
        let draw = hasher.finish();
        let faults = [Fault::Busy, Fault::Broken, Fault::Truncated, Fault::Reset, Fault::Hang];
        (draw % 100 < self.faults).then(|| faults[(draw / 100 % 5) as usize])
    }
}

/// The head of a request and its body.
async fn read(stream: &mut TcpStream) -> Option<(String, Value)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            let body = bytes.get(end + 4..)?;
            if body.len() >= length.unwrap_or(0) {
                return Some((head, serde_json::from_slice(body).unwrap_or_default()));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
