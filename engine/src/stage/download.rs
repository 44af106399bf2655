//! `download` fetches a file into the spool and binds what it found: `{path, bytes, sha256, content_type, extension, url,
//! downloaded_at, refreshes}`.
//!
//! ```yaml
//! file:
//!   download:
//!     connection: web
//!     spool: spool
//!     url: event.download_url
//!     name: join('/', [event.id, basename(event.download_url)])
//!     expires: event.expires_at
//!     refresh: {connection: api, get: "/photos/{event.id}", url: answer.link, margin: 60s, times: 2}
//! ```
//! A link that has expired, or will within `margin`, is refreshed before it is asked, and so is one that is answered by 401
//! or 403, at most `times` for one message. If the new link is the old one, or is refused as well, the failure is transient:
//! a later try gets another. Without `refresh` an expired link is a permanent failure, before anything is asked.

use std::sync::Arc;

use async_trait::async_trait;
use connectors::clock::{Clock, Micros};
use connectors::download::{Downloaded, Downloader};
use connectors::spool::Spool;
use connectors::table::{Cell, ColumnType};
use connectors::{Category, Error};
use sonic_rs::JsonValueTrait;

use super::call::Caller;
use super::{Document, Failure, Run, Usage, Verdict};
use crate::expr::{Env, Expr, Json, coerce, json, time};
use crate::plan::{self, Place, Refresh};

/// A built `download`.
pub struct Download {
    /// The name it binds.
    pub name: Arc<str>,
    /// Where it is declared.
    pub place: Place,
    /// As it is declared.
    pub plan: plan::Download,
    /// Fetches.
    pub downloader: Downloader,
    /// Where files wait.
    pub spool: Arc<dyn Spool>,
    /// How a new link is had.
    pub refresh: Option<(Caller, Refresh)>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Downloads at a time.
    pub concurrency: usize,
}

#[async_trait]
impl Run for Download {
    async fn run(&self, document: Document, env: &Env) -> (Verdict, Usage) {
        let mut usage = Usage::default();
        let verdict = match self.fetch(&document, env, &mut usage).await {
            Ok(file) => Verdict::On(document.bind(&self.name, file)),
            Err(failure) => Verdict::Failed(failure),
        };
        (verdict, usage)
    }

    fn limit(&self) -> usize {
        at_a_time(self.concurrency)
    }
}

/// How many documents may be in the stage at a time; `concurrency` is how many downloads its connection makes at a time.
pub fn at_a_time(concurrency: usize) -> usize {
    // Who refreshes a link or waits for a place does not keep others from downloading.
    concurrency.max(1) * 2
}

/// What a document asks the stage for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The link.
    pub url: String,
    /// The file's name in the spool.
    pub name: String,
    /// When the link ends; none if it never does.
    pub end: Option<Micros>,
    /// Whether the link has ended, or will within the margin of a refresh.
    pub expired: bool,
}

impl Download {
    /// What `document` asks for: nobody is asked yet.
    pub fn wanted(&self, document: &Document, env: &Env) -> Result<Wanted, Failure> {
        let url = self.text(&self.plan.url, "url", document, env)?;
        let name = self.text(&self.plan.name, "name", document, env)?;
        let end = self.end(document, env)?;
        let expired = end.is_some_and(|end| self.clock.now() >= end.saturating_sub(self.margin()));
        Ok(Wanted { url, name, end, expired })
    }

    async fn fetch(&self, document: &Document, env: &Env, usage: &mut Usage) -> Result<Json, Failure> {
        let Wanted { mut url, name, end, expired } = self.wanted(document, env)?;
        let mut refreshes = 0;
        if expired {
            url = match &self.refresh {
                None => return Err(self.expired()),
                Some(refresh) => {
                    refreshes += 1;
                    let new = self.new_link(refresh, document, env, usage).await?;
                    // Within the margin the old link still works.
                    if new == url && end.is_some_and(|end| self.clock.now() >= end) {
                        let same = "the link has expired; a refresh gave the same link";
                        return Err(self.failed(&Error::transient(same)));
                    }
                    new
                }
            };
        }
        loop {
            let error = match self.downloader.fetch(&url, &*self.spool, &name).await {
                Ok(file) => return Ok(self.bound(&file, refreshes)),
                Err(error) => error,
            };
            let refused = matches!(error.status, Some(401 | 403));
            let Some(refresh) = self.refresh.as_ref().filter(|_| refused) else { return Err(self.failed(&error)) };
            if refreshes >= refresh.1.times {
                return Err(self.failed(&Error { category: Category::Transient, ..error }));
            }
            refreshes += 1;
            let new = self.new_link(refresh, document, env, usage).await?;
            if new == url {
                let same = Error::transient(format!("{}; a refresh gave the same link", error.message));
                return Err(self.failed(&Error { status: error.status, ..same }));
            }
            url = new;
        }
    }

    /// The failure of a link that has ended and cannot be replaced.
    pub fn expired(&self) -> Failure {
        self.failed(&Error::permanent("the link has expired"))
    }

    /// What an error of a connector means for the message.
    pub fn failed(&self, error: &Error) -> Failure {
        Failure::of(error, &self.name, &self.place)
    }

    fn value(&self, expr: &Expr, what: &str, document: &Document, env: &Env) -> Result<Json, Failure> {
        let value = expr.eval(&document.scope(env));
        value.map_err(|e| self.failed(&Error::permanent(format!("{what}: {e}"))))
    }

    fn text(&self, expr: &Expr, what: &str, document: &Document, env: &Env) -> Result<String, Failure> {
        let value = self.value(expr, what, document, env)?;
        let text = value.as_str().filter(|t| !t.is_empty()).map(str::to_owned);
        text.ok_or_else(|| self.failed(&Error::permanent(format!("{what} is not a text"))))
    }

    /// The instant from which the link is of no use; none if it never expires.
    fn end(&self, document: &Document, env: &Env) -> Result<Option<Micros>, Failure> {
        let Some(expires) = &self.plan.expires else { return Ok(None) };
        Ok(match coerce(ColumnType::Timestamp, &self.value(expires, "expires", document, env)?) {
            Ok(Cell::Timestamp(end)) => Some(end),
            _ => None,
        })
    }

    /// How long before its end a link is refreshed.
    fn margin(&self) -> Micros {
        let refresh = self.plan.refresh.as_ref();
        refresh.map_or(0, |r| Micros::try_from(self.clock.scaled(r.margin).as_micros()).unwrap_or(Micros::MAX))
    }

    async fn new_link(
        &self,
        (caller, refresh): &(Caller, Refresh),
        document: &Document,
        env: &Env,
        usage: &mut Usage,
    ) -> Result<String, Failure> {
        let rendered = caller.render(&document.scope(env))?;
        let (answer, calls) = caller.send(&rendered, env).await;
        usage.calls += calls;
        usage.refreshes += 1;
        let answer = answer.map_err(|e| self.failed(&e))?;
        let mut with_answer = document.clone();
        with_answer.bindings.set("answer".into(), answer.value);
        let link = self.value(&refresh.url, "refresh", &with_answer, env)?;
        let link = link.as_str().filter(|l| !l.is_empty()).map(str::to_owned);
        link.ok_or_else(|| self.failed(&Error::transient("the refreshed answer has no link")))
    }

    fn bound(&self, file: &Downloaded, refreshes: usize) -> Json {
        let optional = |text: Option<&str>| text.map_or_else(Json::new, json::text);
        json::object([
            ("path", json::text(&file.path)),
            ("bytes", json::integer(i64::try_from(file.bytes).unwrap_or(i64::MAX))),
            ("sha256", json::text(&file.sha256)),
            ("content_type", optional(file.content_type.as_deref())),
            ("extension", optional(file.extension.as_deref().or(file.sniffed))),
            ("url", json::text(&file.final_url)),
            ("downloaded_at", json::text(&time::format_timestamp(self.clock.now()))),
            ("refreshes", json::integer(i64::try_from(refreshes).unwrap_or(i64::MAX))),
        ])
    }
}
