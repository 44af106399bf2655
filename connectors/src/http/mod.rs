//! APIs over HTTP.
//!
//! [`Http`] is one exchange on the wire: a request goes out, its whole answer comes back. [`Wire`] is the real one,
//! [`Scripted`] the one of tests. [`Client`] stands on top and adds what makes calls bearable for both sides: a bound on
//! calls at a time, a rate limit, a circuit breaker, retries, and the table that says what a status means.
//!
//! **Guarantees.** An answer is bounded by [`Options::max_answer`] while it arrives, after decompression. Redirects are not
//! followed: credentials go to the configured origin and nowhere else. Errors name method, host and redacted path, never
//! a header. A request may reach the server more than once (see [`Options::backoff`]), so it must be one that may be
//! repeated.

mod classify;
mod client;
mod health;
mod places;
mod reach;
mod scripted;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::clock::Micros;
use crate::policy::{Backoff, Threshold};
use crate::{Category, Result};

pub use classify::{Classes, retry_after};
pub use client::{Client, Snapshot};
pub use reach::reach;
pub use reqwest::Method;
pub use reqwest::header::HeaderMap;
pub use scripted::Scripted;
pub(crate) use wire::cause;
pub use wire::{Wire, check_header};

/// How an API knows us.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// By user name and password.
    Basic {
        /// The user name.
        username: String,
        /// The password.
        password: String,
    },
    /// By a ready value for `Authorization: Basic`, with or without that word in front.
    Token(String),
    /// By a bearer token.
    Bearer(String),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Auth::None => "None",
            Auth::Basic { .. } => "Basic([REDACTED])",
            Auth::Token(_) => "Token([REDACTED])",
            Auth::Bearer(_) => "Bearer([REDACTED])",
        })
    }
}

/// An API and how to treat it.
#[derive(Clone)]
pub struct Options {
    /// What log lines call it; where that is empty, its URL.
    pub name: String,
    /// What paths are appended to, without query.
    pub url: String,
    /// How it knows us.
    pub auth: Auth,
    /// Headers of every request; they are treated as secrets.
    pub headers: BTreeMap<String, String>,
    /// Total time of one exchange.
    pub timeout: Duration,
    /// Exchanges at a time.
    pub concurrency: usize,
    /// Tries after the first for transient failures, and the waits between them. What the server asks for in
    /// `Retry-After` is waited for up to the cap; a longer wish leaves with the error.
    pub backoff: Backoff,
    /// The longest answer, in bytes.
    pub max_answer: usize,
    /// When to stop calling for a while.
    pub breaker: Threshold,
    /// Calls a second in the long run, and calls at once after a pause.
    pub rate: Option<(f64, u32)>,
    /// What statuses mean where it differs from the default table: by status, or by class (`5` for every 5xx).
    pub classify: BTreeMap<u16, Category>,
    /// Statuses that are answers.
    pub success: Vec<u16>,
    /// Whether an answer of another content type than JSON is a (transient) failure.
    pub json: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            name: String::new(),
            url: String::new(),
            auth: Auth::None,
            headers: BTreeMap::new(),
            timeout: Duration::from_secs(30),
            concurrency: 20,
            backoff: Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(30), retries: 3 },
            max_answer: 16 << 20,
            breaker: Threshold::default(),
            rate: None,
            classify: BTreeMap::new(),
            success: vec![200],
            json: true,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("name", &self.name)
            .field("url", &crate::redact::redact(&self.url))
            .field("auth", &self.auth)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("timeout", &self.timeout)
            .field("concurrency", &self.concurrency)
            .field("backoff", &self.backoff)
            .field("max_answer", &self.max_answer)
            .field("breaker", &self.breaker)
            .field("rate", &self.rate)
            .field("classify", &self.classify)
            .field("success", &self.success)
            .field("json", &self.json)
            .finish()
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path and query, appended to the connection's URL; or an absolute URL of the same origin (a link to the next page).
    pub target: String,
    /// Headers besides those of the connection; they win over them.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<Bytes>,
}

impl Request {
    /// A GET of `target`.
    pub fn get(target: impl Into<String>) -> Self {
        Request { method: Method::GET, target: target.into(), headers: Vec::new(), body: None }
    }

    /// A POST of `body` to `target`.
    pub fn post(target: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Request { method: Method::POST, target: target.into(), headers: Vec::new(), body: Some(body.into()) }
    }
}

impl fmt::Display for Request {
    /// Method and redacted target, as errors name a request.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, crate::redact::redact(&self.target))
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body, decompressed. Of a failure only the beginning, if anything.
    pub body: Bytes,
    /// When the request was sent: the answer is at least as new as this.
    pub requested_at: Micros,
}

impl Response {
    /// The header `name`, if it is there and readable.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// One exchange with an API.
#[async_trait]
pub trait Http: Send + Sync + 'static {
    /// Sends `request` once and returns the whole answer, whatever its status. An error means that there is no answer:
    /// no connection, no time, an answer that is too long. Giving the call up loses nothing.
    async fn send_once(&self, request: &Request) -> Result<Response>;
}
