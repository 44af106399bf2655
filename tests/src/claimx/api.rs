//! An API of the test's own: it gives the answers it is told to give, and fails as often as it is told to fail.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use chrono::Utc;
use serde_json::{Value, json};

use crate::http::{End, Reply, Request, serve};

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
        let address = serve(address, move |request| served.answer(request)).await;
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

impl State {
    fn answer(&self, request: &Request) -> Reply {
        let at = Utc::now();
        let (method, target) = (&request.method, &request.target);
        let path = target.split('?').next().unwrap_or_default();
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let place = if method == "POST" { body["projectId"].to_string() } else { path.to_owned() };
        let key = (method.clone(), place);
        let fault = self.fault(&key);
        let (status, body) = if !request.head.contains(CREDENTIALS) {
            (401, json!({"message": "who are you?"}))
        } else if let Some(answer) = self.answers.get(&key) {
            answer.clone()
        } else {
            self.unexpected.lock().unwrap().insert(format!("{method} {target}"));
            (404, Value::Null)
        };
        let (status, name, end) = match fault {
            None => (status, None, End::Whole),
            Some(Fault::Busy) => (429, None, End::Whole),
            Some(Fault::Broken) => (500, None, End::Whole),
            Some(Fault::Truncated) => (status, Some("truncated"), End::Half),
            Some(Fault::Reset) => (0, Some("reset"), End::Reset),
            Some(Fault::Hang) => (0, Some("timeout"), End::Hang),
        };
        let line = json!({"at": at.to_rfc3339(), "method": method, "path": path, "status": status, "body": body, "fault": name});
        self.account.lock().unwrap().push(line);
        let mut headers = vec![("content-type", "application/json".to_owned())];
        if status == 429 {
            headers.push(("retry-after", "1".to_owned()));
        }
        Reply { status, headers, body: body.to_string().into_bytes(), end }
    }

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
