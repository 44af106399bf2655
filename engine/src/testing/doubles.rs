//! APIs and hosts of files that exist in memory only, and answer what a test declares.
//!
//! A newer route wins over an older one. A request that nothing is declared for is answered 404, and remembered: a case in which
//! one was sent has failed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use connectors::clock::{Clock, ManualClock};
use connectors::download::{self, Checked};
use connectors::http::{Http, Request, Response};
use connectors::{Error, Result};
use futures::StreamExt as _;
use serde_json::{Map, Value, json};

use super::suite::{Answer, Fault, Route};
use crate::expr::time::format_timestamp;
use crate::sim::route;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something that answers in turn; its last answer stays.
struct Turns<T> {
    what: T,
    answers: Vec<Answer>,
    used: usize,
}

impl<T> Turns<T> {
    fn next(&mut self) -> Option<Answer> {
        let answer = self.answers.get(self.used).or(self.answers.last()).cloned();
        self.used += 1;
        answer
    }
}

/// What was asked and not declared.
#[derive(Default)]
pub struct Unanswered(Mutex<Vec<String>>);

impl Unanswered {
    /// Takes what was asked since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.0))
    }

    fn add(&self, what: String) {
        lock(&self.0).push(what);
    }
}

/// An API.
pub struct Api {
    name: String,
    /// The path of the connection's url, for links that come whole.
    base: String,
    timeout: Duration,
    clock: ManualClock,
    routes: Mutex<Vec<Turns<Route>>>,
    calls: Mutex<Vec<Map<String, Value>>>,
    unanswered: Arc<Unanswered>,
}

impl Api {
    /// An API below `url` without routes.
    pub fn new(name: &str, url: &str, timeout: Duration, clock: ManualClock, unanswered: Arc<Unanswered>) -> Self {
        let base = url::Url::parse(url).map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default();
        Api {
            name: name.to_owned(),
            base,
            timeout,
            clock,
            routes: Mutex::default(),
            calls: Mutex::default(),
            unanswered,
        }
    }

    /// Adds a route.
    pub fn declare(&self, route: Route) {
        let answers = route.answers.clone();
        lock(&self.routes).push(Turns { what: route, answers, used: 0 });
    }

    /// Takes the calls since the last time.
    pub fn take_calls(&self) -> Vec<Map<String, Value>> {
        std::mem::take(&mut *lock(&self.calls))
    }

    fn find(&self, method: &str, path: &str, query: &Value, body: &Value) -> Option<Answer> {
        let mut routes = lock(&self.routes);
        let fitting = routes.iter_mut().rev().find(|turns| {
            let route = &turns.what;
            route.method == method
                && route.path.fit(path).is_some()
                && route.query.iter().all(|(name, pattern)| pattern.fits(query.get(name), false))
                && route.body.as_ref().is_none_or(|pattern| pattern.fits(Some(body), false))
        });
        fitting.and_then(Turns::next)
    }
}

#[async_trait]
impl Http for Api {
    async fn send_once(&self, request: &Request) -> Result<Response> {
        let requested_at = self.clock.now();
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        // A link to the next page is a whole URL.
        let path = match url::Url::parse(path) {
            Ok(url) => url.path().strip_prefix(self.base.as_str()).unwrap_or(url.path()).to_owned(),
            Err(_) => path.to_owned(),
        };
        let query = route::query(query);
        let body: Value = request.body.as_ref().and_then(|b| serde_json::from_slice(b).ok()).unwrap_or_default();
        let method = request.method.as_str();
        let found = self.find(method, &path, &query, &body);
        let mut call = Map::new();
        call.insert(method.to_ascii_lowercase(), json!(path));
        call.insert("query".into(), if query.as_object().is_some_and(Map::is_empty) { Value::Null } else { query });
        call.insert("body".into(), body);
        call.insert("at".into(), json!(format_timestamp(requested_at)));
        call.insert("status".into(), json!(found.as_ref().map_or(404, |a| a.status)));
        if let Some(fault) = found.as_ref().and_then(|a| a.fault) {
            call.insert("status".into(), Value::Null);
            call.insert("fault".into(), json!(format!("{fault:?}").to_lowercase()));
        }
        lock(&self.calls).push(call);
        let Some(answer) = found else {
            self.unanswered.add(format!("connection {}: {method} {}", self.name, request.target));
            return Ok(Response { status: 404, headers: HeaderMap::new(), body: Bytes::new(), requested_at });
        };
        if !answer.delay.is_zero() {
            self.clock.sleep(answer.delay).await;
        }
        match answer.fault {
            Some(Fault::Timeout) => {
                self.clock.sleep(self.timeout).await;
                Err(Error::transient(format!("{request}: no answer within {:?}", self.timeout)))
            }
            Some(Fault::Reset) => Err(Error::transient(format!("{request}: no answer: connection reset"))),
            Some(Fault::Truncated) => Err(Error::transient(format!("{request}: the answer broke off"))),
            None => {
                let headers = headers(&answer, Some("application/json"));
                Ok(Response { status: answer.status, headers, body: answer.body, requested_at })
            }
        }
    }
}

/// All hosts of files.
pub struct Web {
    idle_timeout: Duration,
    clock: ManualClock,
    files: Arc<Files>,
}

/// What the hosts hold; shared by all `web` connections.
#[derive(Default)]
pub struct Files {
    files: Mutex<Vec<Turns<String>>>,
    unanswered: Arc<Unanswered>,
}

impl Files {
    /// No files.
    pub fn new(unanswered: Arc<Unanswered>) -> Self {
        Files { files: Mutex::default(), unanswered }
    }

    /// Puts a file at `url`.
    pub fn declare(&self, url: String, answers: Vec<Answer>) {
        lock(&self.files).push(Turns { what: url, answers, used: 0 });
    }
}

impl Web {
    /// The hosts as a connection with this patience sees them.
    pub fn new(idle_timeout: Duration, clock: ManualClock, files: Arc<Files>) -> Self {
        Web { idle_timeout, clock, files }
    }
}

#[async_trait]
impl download::Web for Web {
    async fn get(&self, url: &Checked) -> Result<download::Answer> {
        let whole = url.url.as_str();
        let path = whole.split('?').next().unwrap_or(whole);
        let found = {
            let mut files = lock(&self.files.files);
            files.iter_mut().rev().find(|turns| turns.what == whole || turns.what == path).and_then(Turns::next)
        };
        let Some(answer) = found else {
            self.files.unanswered.add(format!("a file: GET {}", connectors::redact::redact(whole)));
            let body = futures::stream::empty().boxed();
            return Ok(download::Answer { status: 404, headers: HeaderMap::new(), body });
        };
        match answer.fault {
            Some(Fault::Timeout) => {
                self.clock.sleep(self.idle_timeout).await;
                return Err(Error::transient(format!("no answer within {:?}", self.idle_timeout)));
            }
            Some(Fault::Reset) => return Err(Error::transient("no answer: connection reset")),
            Some(Fault::Truncated) | None => {}
        }
        let mut headers = headers(&answer, None);
        headers.insert("content-length", HeaderValue::from(answer.body.len()));
        let mut pieces = vec![Ok(answer.body.clone())];
        if answer.fault == Some(Fault::Truncated) {
            let half = answer.body.slice(..answer.body.len() / 2);
            pieces = vec![Ok(half), Err(Error::transient("the download broke off: connection reset"))];
        }
        let body = futures::stream::iter(pieces).boxed();
        Ok(download::Answer { status: answer.status, headers, body })
    }
}

/// The headers of an answer; what is no header was refused when the file was read.
fn headers(answer: &Answer, content_type: Option<&'static str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(content_type) = content_type {
        headers.insert("content-type", HeaderValue::from_static(content_type));
    }
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            headers.insert(name, value);
        }
    }
    headers
}
