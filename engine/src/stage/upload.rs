//! `upload` puts a file of the spool into a store and binds `{path, url, bytes, uploaded_at}`.
//!
//! ```yaml
//! stored:
//!   upload: {connection: files, spool: spool, file: event.path, to: "{event.order_id}/{event.name}", sha256: event.sha256, bytes: event.bytes}
//! ```
//! The file is removed from the spool when the offset of its message has been committed, not before: until then the message
//! may be delivered again. A file that is gone is done if the destination has the recorded length and checksum. If not, it has
//! to be downloaded again: with `missing: bind` the stage binds `{missing: true}`, for a send block that asks for that; without,
//! it is a transient failure. With `keep: true` the file stays in the spool.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use connectors::Error;
use connectors::clock::Clock;
use connectors::log::Position;
use connectors::spool::Spool;
use connectors::store::{self, Store};
use sonic_rs::JsonValueTrait;

use super::{Document, Failure, Origin, Run, Usage, Verdict};
use crate::expr::{Env, Escape, Expr, Json, json, time};
use crate::plan::{self, Place};

/// A built `upload`.
pub struct Upload {
    /// The name it binds.
    pub name: Arc<str>,
    /// Where it is declared.
    pub place: Place,
    /// As it is declared.
    pub plan: plan::Upload,
    /// Where files go.
    pub store: Arc<Store>,
    /// Where they wait.
    pub spool: Arc<dyn Spool>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Uploads at a time.
    pub concurrency: usize,
    /// Files that are stored and whose message is not committed yet: bounded by the messages in flight.
    pub spent: Mutex<Vec<(Origin, String)>>,
}

#[async_trait]
impl Run for Upload {
    async fn run(&self, document: Document, env: &Env) -> (Verdict, Usage) {
        let verdict = match self.put(&document, env).await {
            Ok((stored, file)) => {
                if let (false, Some(file)) = (self.plan.keep, file) {
                    let here = document.meta.here.clone();
                    self.spent.lock().unwrap_or_else(PoisonError::into_inner).push((here, file));
                }
                Verdict::On(document.bind(&self.name, stored))
            }
            Err(failure) => Verdict::Failed(failure),
        };
        (verdict, Usage::default())
    }

    fn limit(&self) -> usize {
        at_a_time(self.concurrency)
    }

    async fn committed(&self, position: &Position) {
        let passed = |o: &Origin| position.get(&(o.topic.clone(), o.partition)).is_some_and(|next| o.offset < *next);
        let files: Vec<String> = {
            let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
            let (gone, kept) = std::mem::take(&mut *spent).into_iter().partition(|(origin, _)| passed(origin));
            *spent = kept;
            let gone: Vec<(Origin, String)> = gone;
            gone.into_iter().map(|(_, file)| file).collect()
        };
        for file in files {
            if let Err(error) = self.spool.remove(&file).await {
                tracing::warn!(stage = %self.name, %error, "a file stays in the spool");
            }
        }
    }
}

/// How many documents may be in the stage at a time; `concurrency` is how many uploads its connection makes at a time.
pub fn at_a_time(concurrency: usize) -> usize {
    concurrency.max(1)
}

/// What a document asks the stage for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The path in the spool.
    pub file: String,
    /// The path in the store.
    pub to: String,
    /// The content type.
    pub content_type: Option<String>,
    /// The checksum that was recorded at the download.
    pub sha256: String,
    /// The length that was recorded at the download.
    pub length: Option<u64>,
}

impl Upload {
    /// What `document` asks for: nothing is looked at yet.
    pub fn wanted(&self, document: &Document, env: &Env) -> Result<Wanted, Failure> {
        let file = self.text(&self.plan.file, "file", document, env)?;
        let scope = document.scope(env);
        let to = match self.plan.to.render(&scope, Escape::ObjectPath) {
            Ok(Some(to)) => to,
            Ok(None) => return Err(self.failed(&Error::permanent("a value in the path is null"))),
            Err(e) => return Err(self.failed(&Error::permanent(format!("path: {e}")))),
        };
        let optional = |expr: &Option<Expr>| expr.as_ref().map(|e| e.eval(&scope)).and_then(Result::ok);
        let text = |value: Option<Json>| value.as_ref().and_then(|v| v.as_str()).map(str::to_owned);
        Ok(Wanted {
            file,
            to,
            content_type: text(optional(&self.plan.content_type)),
            sha256: text(optional(&self.plan.sha256)).unwrap_or_default(),
            length: optional(&self.plan.bytes).and_then(|b| b.as_u64()),
        })
    }

    /// What the stage binds for a file of so many bytes that is at `to` in the store at `url`.
    pub fn stored(&self, url: &str, to: &str, bytes: u64) -> Json {
        json::object([
            ("path", json::text(to)),
            ("url", json::text(&format!("{}/{to}", url.trim_end_matches('/')))),
            ("bytes", json::integer(i64::try_from(bytes).unwrap_or(i64::MAX))),
            ("uploaded_at", json::text(&time::format_timestamp(self.clock.now()))),
        ])
    }

    async fn put(&self, document: &Document, env: &Env) -> Result<(Json, Option<String>), Failure> {
        let Wanted { file, to, content_type, sha256, length } = self.wanted(document, env)?;
        let upload = store::Upload {
            spool: &*self.spool,
            from: &file,
            to: &to,
            content_type: content_type.as_deref(),
            sha256: &sha256,
        };
        let there = self.spool.length(&file).await.map_err(|e| self.failed(&e))?;
        let bytes = match (there, length) {
            (None, Some(length)) if self.store.holds(&to, length, &sha256).await.map_err(|e| self.failed(&e))? => {
                length
            }
            (None, _) if self.plan.bind_missing => {
                return Ok((json::object([("missing", Json::from(true)), ("path", json::text(&to))]), None));
            }
            _ => self.store.upload(&upload).await.map_err(|e| self.failed(&e))?,
        };
        Ok((self.stored(self.store.url(), &to, bytes), Some(file)))
    }

    /// What an error of a connector means for the message.
    pub fn failed(&self, error: &Error) -> Failure {
        Failure::of(error, &self.name, &self.place)
    }

    fn text(&self, expr: &Expr, what: &str, document: &Document, env: &Env) -> Result<String, Failure> {
        let value = expr.eval(&document.scope(env));
        let value = value.map_err(|e| self.failed(&Error::permanent(format!("{what}: {e}"))))?;
        let text = value.as_str().filter(|t| !t.is_empty()).map(str::to_owned);
        text.ok_or_else(|| self.failed(&Error::permanent(format!("{what} is not a text"))))
    }
}
