//! The engine's side: serves its log on the loopback address, and keeps the door.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use connectors::log::Log;
use connectors::{Error, Result};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::wire::{Answer, Ask, ENOUGH, Kept, LONGEST, Sent, specs};

/// A log that is served. The door and the server are gone when this is dropped.
pub struct Door {
    path: PathBuf,
    task: AbortHandle,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
        // One that stays leads nowhere, which whoever tries it is told.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Messages in one answer, at most.
const MOST: usize = 1000;

/// Messages that are read at a time: an answer holds no more than [`ENOUGH`] and so many of the longest messages.
const STEP: usize = 16;

/// What every request needs.
struct Served {
    /// The run holds the log, and closes it when it ends.
    log: Weak<dyn Log>,
    /// Digests are compared, so that the time it takes says nothing about the token.
    token: [u8; 32],
}

/// Serves `log`, the embedded one below `data`, for as long as somebody else holds it.
pub async fn serve(log: &Arc<dyn Log>, data: &Path) -> Result<Door> {
    let fail = |e: std::io::Error| Error::permanent(format!("the log cannot be served: {e}"));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(fail)?;
    let address = listener.local_addr().map_err(fail)?;
    let token = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    let path = super::door(data);
    let card = serde_json::json!({"address": address, "token": token}).to_string();
    let written = path.clone();
    let place = tokio::task::spawn_blocking(move || place(&written, &card)).await;
    place.map_err(|e| Error::permanent(e.to_string()))?.map_err(|e| {
        Error::permanent(format!("{}: {e}", path.display())).hint("other commands cannot reach this engine's topics")
    })?;
    let served = Served { log: Arc::downgrade(log), token: Sha256::digest(token).into() };
    let router = Router::new().route("/log", post(answer)).with_state(Arc::new(served));
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the log is not served any more");
        }
    });
    Ok(Door { path, task: task.abort_handle() })
}

/// Writes the door for this user alone, whole or not at all.
fn place(path: &Path, card: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let new = path.with_extension("new");
    // One that is there already may belong to others.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(card.as_bytes())?;
    drop(file);
    std::fs::rename(&new, path)
}

async fn answer(State(served): State<Arc<Served>>, headers: HeaderMap, request: Request) -> Response {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let given: [u8; 32] = Sha256::digest(given.unwrap_or_default()).into();
    if given != served.token {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Ok(body) = axum::body::to_bytes(request.into_body(), LONGEST).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let Some(log) = served.log.upgrade() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    match serde_json::from_slice(&body) {
        Ok(ask) => axum::Json(done(&*log, ask).await.unwrap_or_else(Answer::failed)).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

async fn done(log: &dyn Log, ask: Ask) -> Result<Answer> {
    Ok(match ask {
        Ask::Missing(topics) => Answer::Names(log.missing(&specs(topics)).await?),
        Ask::Create(topics) => {
            log.create(&specs(topics)).await?;
            Answer::Done
        }
        Ask::Topics => Answer::Names(log.topics().await?),
        Ask::Bounds(topic) => Answer::bounds(&log.bounds(&topic).await?),
        Ask::Read { topic, partition, offset, max } => {
            let (mut kept, mut bytes, mut next) = (Vec::new(), 0, offset);
            while bytes < ENOUGH && kept.len() < max.min(MOST) {
                let step = STEP.min(max.min(MOST) - kept.len());
                let read = log.read(&topic, partition, next, step).await?;
                let Some(last) = read.last() else { break };
                next = last.offset + 1;
                for message in &read {
                    if bytes >= ENOUGH {
                        break;
                    }
                    bytes += message.size();
                    kept.push(Kept::of(message));
                }
            }
            Answer::Messages(kept)
        }
        Ask::Position { group, topic } => Answer::Position(log.position(&group, &topic).await?.into_iter().collect()),
        Ask::Send(records) => {
            let records = records.into_iter().map(Sent::record).collect::<Result<Vec<_>>>()?;
            log.producer().await?.send(records).await?;
            Answer::Done
        }
        Ask::Trim { topic, partition, before } => {
            log.trim(&topic, partition, before).await?;
            Answer::Done
        }
    })
}
