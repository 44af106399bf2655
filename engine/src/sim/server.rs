//! The server: takes requests, lets some of them fail, answers the rest and writes the account.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use connectors::clock::Clock;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Simulation;
use super::account::{Account, Book};
use super::connection::Cut;
use super::declaration::{Fault, FaultKind, Faulty, Files};
use super::eval::{Asked, Counts};
use super::files::refusal;
use super::route;

/// The largest body of a request that is read.
const MOST: usize = 1 << 20;

/// What every request is answered from.
pub(super) struct Server {
    /// What is simulated.
    pub simulation: Arc<Simulation>,
    /// How many events there will be: what comes into being later is not found.
    pub events: u64,
    /// Where links start: `http://127.0.0.1:8000`.
    pub url: String,
    /// What the time is.
    pub clock: Arc<dyn Clock>,
    /// What was done.
    pub account: Account,
    /// How often what was asked for.
    pub counts: Counts,
    /// Calls of routes.
    pub calls: AtomicU64,
    /// Requests of files.
    pub files: AtomicU64,
}

impl Asked for Server {
    fn link(&self, path: &str) -> String {
        let Some(files) = &self.simulation.world.files else {
            return String::new();
        };
        let nth = self.counts.next(&format!("link {path}"));
        let scaled = |millis: i64| {
            let scaled = self.clock.scaled(Duration::from_millis(u64::try_from(millis).unwrap_or(0)));
            i64::try_from(scaled.as_millis()).unwrap_or(i64::MAX)
        };
        let now = self.clock.now() / 1_000;
        format!("{}{}", self.url, files.link(self.simulation.world.draw, path, now, nth, scaled))
    }

    fn count(&self, what: &str) -> u64 {
        self.counts.next(what)
    }
}

/// Answers one request.
pub(super) async fn answer(
    State(server): State<Arc<Server>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or("").to_owned();
    let result = match &server.simulation.world.files {
        Some(files) if path.starts_with(&files.under) => server.file(files, &path, &query, &cut).await,
        _ => server.call(request, &path, &query, &cut).await,
    };
    result.unwrap_or_else(|error| {
        // Without an account an answer would be one that nobody can check.
        tracing::error!(%error, "the simulation cannot write its account");
        reply(500, "text/plain", Body::from(error.to_string()), None)
    })
}

impl Server {
    /// Whether this attempt fails, and how.
    fn fault(&self, faults: &[Faulty], what: &str) -> Option<Fault> {
        let nth = self.counts.next(what);
        Fault::draw(faults, self.simulation.world.draw.with("fault").with(what).with(nth))
    }

    async fn call(&self, request: Request, path: &str, query: &str, cut: &Cut) -> connectors::Result<Response> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let at = instant(self.clock.now());
        let method = request.method().as_str().to_owned();
        let full = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let note = |status: Option<u16>, fault: Option<&str>, body: &Value| json!({"at": at, "method": method, "path": full, "status": status, "fault": fault, "body": body});
        let simulation = &self.simulation;
        let allowed = simulation.auth.as_ref().is_none_or(|auth| {
            let given = request.headers().get(header::AUTHORIZATION);
            given.is_some_and(|given| given.as_bytes() == auth.header().as_bytes())
        });
        if !allowed {
            let body = json!({"error": "the credentials are wrong"});
            self.account.write(Book::Answers, &note(Some(401), None, &body)).await?;
            return Ok(reply(401, JSON, Body::from(body.to_string()), None));
        }
        let body = axum::body::to_bytes(request.into_body(), MOST).await.unwrap_or_default();
        let asked = route::Request {
            method: &method,
            path,
            query: route::query(query),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        };
        let Some((route, names)) = simulation.routes.iter().find_map(|r| Some((r, r.fit(&asked)?))) else {
            let body = json!({"error": "there is no such route"});
            self.account.write(Book::Answers, &note(Some(404), None, &body)).await?;
            return Ok(reply(404, JSON, Body::from(body.to_string()), None));
        };
        let what = format!("{method} {path}");
        let draw = simulation.world.draw.with("latency").with(what.as_str());
        self.wait(route.latency.draw(draw.with(self.calls.load(Ordering::Relaxed)))).await;
        let fault = self.fault(&route.faults, &what);
        let name = fault.map(Fault::name);
        match fault {
            Some(Fault::Status(status, retry_after)) => {
                let body = json!({"error": format!("status {status} by the simulation")});
                self.account.write(Book::Answers, &note(Some(status), name.as_deref(), &body)).await?;
                Ok(reply(status, JSON, Body::from(body.to_string()), retry_after))
            }
            Some(Fault::Kind(FaultKind::Timeout | FaultKind::Reset, lasts)) => {
                self.account.write(Book::Answers, &note(None, name.as_deref(), &Value::Null)).await?;
                self.wait(lasts).await;
                cut.cut();
                Ok(reply(500, JSON, Body::empty(), None))
            }
            fault => {
                let (status, body) = route.answer(&simulation.world, self.events, names, &asked, self);
                self.account.write(Book::Answers, &note(Some(status), name.as_deref(), &body)).await?;
                let bytes = Bytes::from(body.to_string());
                Ok(match fault {
                    Some(_) => self.half(status, JSON, bytes),
                    None => reply(status, JSON, Body::from(bytes), None),
                })
            }
        }
    }

    async fn file(&self, files: &Files, path: &str, query: &str, cut: &Cut) -> connectors::Result<Response> {
        self.files.fetch_add(1, Ordering::Relaxed);
        let draw = self.simulation.world.draw;
        let address = files.address(path, query);
        let (bytes, kind) = files.content(draw, &address.file);
        let url = format!("{}{path}?{query}", self.url);
        let hash: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        let note = |fault: Option<&str>| json!({"url": url, "bytes": bytes.len(), "sha256": hash, "fault": fault});
        self.wait(files.latency.draw(draw.with("latency").with(self.files.load(Ordering::Relaxed)))).await;
        if let Err(reason) = files.allows(draw, &address, self.clock.now() / 1_000) {
            self.account.write(Book::Files, &note(Some(reason))).await?;
            return Ok(reply(403, JSON, Body::from(refusal(reason).to_string()), None));
        }
        if let Some(place) = files.place(&address.file) {
            let (status, name) = match (place.status, &place.redirect) {
                (Some(status), _) => (status, Some(status.to_string())),
                (None, Some(_)) => (302, Some("away".to_owned())),
                (None, None) => (200, None),
            };
            self.account.write(Book::Files, &note(name.as_deref())).await?;
            let body = if status == 200 { Body::from(bytes) } else { Body::from("by the simulation") };
            let mut answer = reply(status, kind, body, None);
            let to = place.redirect.as_ref().and_then(|to| to.parse().ok());
            answer.headers_mut().extend(to.map(|to| (header::LOCATION, to)));
            return Ok(answer);
        }
        let fault = self.fault(&files.faults, &format!("file {}", address.file));
        // What has moved once does not move on.
        let fault = fault.filter(|f| !(address.moved && matches!(f, Fault::Kind(FaultKind::Redirect, _))));
        self.account.write(Book::Files, &note(fault.map(Fault::name).as_deref())).await?;
        let bytes = Bytes::from(bytes);
        Ok(match fault {
            None => reply(200, kind, Body::from(bytes), None),
            Some(Fault::Status(status, after)) => reply(status, "text/plain", Body::from("by the simulation"), after),
            Some(Fault::Kind(fault, lasts)) => match fault {
                FaultKind::GenericType => reply(200, "application/octet-stream", Body::from(bytes), None),
                FaultKind::Truncated => self.half(200, kind, bytes),
                FaultKind::Slow => self.slow(kind, bytes, lasts),
                FaultKind::Redirect => {
                    let mut moved = reply(302, "text/plain", Body::empty(), None);
                    let to = format!("{}{}", self.url, Files::moved(path, query));
                    moved.headers_mut().extend(to.parse().ok().map(|to| (header::LOCATION, to)));
                    moved
                }
                FaultKind::Timeout | FaultKind::Reset => {
                    self.wait(lasts).await;
                    cut.cut();
                    reply(500, "text/plain", Body::empty(), None)
                }
            },
        })
    }

    async fn wait(&self, duration: Duration) {
        if !duration.is_zero() {
            self.clock.sleep(duration).await;
        }
    }

    /// The whole length is promised, half of it sent; then the connection ends.
    fn half(&self, status: u16, kind: &str, bytes: Bytes) -> Response {
        let length = bytes.len();
        let clock = self.clock.clone();
        let broken = async move {
            clock.sleep(Duration::from_millis(5)).await;
            Err(io::Error::from(io::ErrorKind::ConnectionReset))
        };
        let body = stream::iter([Ok(bytes.slice(..length / 2))]).chain(stream::once(broken));
        let mut half = reply(status, kind, Body::from_stream(body), None);
        half.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        half
    }

    /// Eight pieces with pauses.
    fn slow(&self, kind: &str, bytes: Bytes, lasts: Duration) -> Response {
        let (length, clock) = (bytes.len(), self.clock.clone());
        let piece = length.div_ceil(8).max(1);
        let pieces: Vec<Bytes> =
            (0..length).step_by(piece).map(|at| bytes.slice(at..(at + piece).min(length))).collect();
        let body = stream::iter(pieces).then(move |piece| {
            let clock = clock.clone();
            async move {
                clock.sleep(lasts / 8).await;
                Ok::<_, io::Error>(piece)
            }
        });
        let mut slow = reply(200, kind, Body::from_stream(body), None);
        slow.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        slow
    }
}

const JSON: &str = "application/json";

fn reply(status: u16, kind: &str, body: Body, retry_after: Option<Duration>) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.extend(kind.parse().ok().map(|kind| (header::CONTENT_TYPE, kind)));
    headers.extend(retry_after.map(|after| (header::RETRY_AFTER, after.as_secs().into())));
    response
}

/// An instant as it stands in the account.
fn instant(micros: i64) -> String {
    let instant = chrono::DateTime::from_timestamp_micros(micros).unwrap_or_default();
    instant.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}
