//! Metrics and health over HTTP.
//!
//! - `GET /metrics`: the text that Prometheus reads.
//! - `GET /health/live`: 200 while it makes sense to let the process run, else 503.
//! - `GET /health/ready` and `GET /health`: 200 when it does its work, else 503.
//!
//! Health is told as JSON: `status`, `worker` (the topologies), `reasons`, `uptime_seconds`, `timestamp`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use connectors::{Error, Result};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::{Observed, exposition};
use crate::expr::time::format_timestamp;

/// A server at work. It ends when this is dropped.
pub struct Serving {
    address: SocketAddr,
    task: AbortHandle,
}

impl Serving {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves what is `observed` on `address`; port 0 is any that is free.
pub async fn serve(observed: Arc<Observed>, address: SocketAddr) -> Result<Serving> {
    let fail = |e: std::io::Error| Error::permanent(format!("metrics and health cannot be served on {address}: {e}"));
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let address = listener.local_addr().map_err(fail)?;
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/health", get(ready))
        .with_state(observed);
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "metrics and health are not served any more");
        }
    });
    Ok(Serving { address, task: task.abort_handle() })
}

async fn metrics(State(observed): State<Arc<Observed>>) -> Response {
    match observed.metrics().await {
        Ok(text) => ([(header::CONTENT_TYPE, exposition::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn live(State(observed): State<Arc<Observed>>) -> Response {
    let reasons = observed.health().dead;
    answer(&observed, if reasons.is_empty() { "alive" } else { "not_alive" }, reasons)
}

async fn ready(State(observed): State<Arc<Observed>>) -> Response {
    let reasons = observed.health().unready;
    answer(&observed, if reasons.is_empty() { "ready" } else { "not_ready" }, reasons)
}

fn answer(observed: &Observed, status: &str, reasons: Vec<String>) -> Response {
    let code = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let (_, subjects) = observed.look();
    let mut topologies: Vec<&str> = subjects.iter().map(|s| s.plan.name.as_str()).collect();
    topologies.dedup();
    let now = observed.clock.now();
    let body = serde_json::json!({
        "status": status,
        "worker": topologies.join(","),
        "reasons": reasons.iter().map(|r| connectors::redact::brief(r)).collect::<Vec<_>>(),
        "uptime_seconds": (now - observed.begun) / 1_000_000,
        "timestamp": format_timestamp(now),
    });
    (code, axum::Json(body)).into_response()
}
