//! The download itself.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use url::Url;

use super::address::{Lookup, System};
use super::types::{HEAD, essence};
use super::web::{Answer, Web, Wire};
use super::{Checked, Options, Types, Urls, sniff};
use crate::clock::Clock;
use crate::http::retry_after;
use crate::policy::{Rows, Statuses};
use crate::redact::{brief, redact};
use crate::spool::Spool;
use crate::{Category, Error, Result};

/// The default table. The first row that fits decides; what fits no row is unknown.
const TABLE: Rows = &[
    (401..=401, Category::Auth),
    (429..=429, Category::Transient),
    (400..=499, Category::Permanent),
    (500..=599, Category::Transient),
];

/// What a download brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// Where it is in the spool.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, in lower-case hexadecimal.
    pub sha256: String,
    /// What the server called it, without parameters.
    pub content_type: Option<String>,
    /// The extension in the URL, in lower case.
    pub extension: Option<String>,
    /// What the first bytes look like.
    pub sniffed: Option<&'static str>,
    /// Where it came from after all redirects, redacted.
    pub final_url: String,
}

/// Fetches files. Cheap to clone; clones share their connections and places.
#[derive(Clone)]
pub struct Downloader {
    shared: Arc<Shared>,
}

struct Shared {
    urls: Urls,
    types: Types,
    max_size: u64,
    idle_timeout: Duration,
    redirects: usize,
    places: Semaphore,
    web: Arc<dyn Web>,
    clock: Arc<dyn Clock>,
    statuses: Statuses,
}

impl Downloader {
    /// A downloader that asks the resolver of this machine.
    pub fn new(options: &Options, clock: Arc<dyn Clock>) -> Result<Self> {
        Downloader::resolving(options, Arc::new(System), clock)
    }

    /// A downloader that asks `lookup` for the addresses of public names.
    pub fn resolving(options: &Options, lookup: Arc<dyn Lookup>, clock: Arc<dyn Clock>) -> Result<Self> {
        Ok(Downloader::over(Arc::new(Wire::new(options, lookup)?), options, clock))
    }

    /// A downloader that asks `web`, which is told checked URLs only.
    pub fn over(web: Arc<dyn Web>, options: &Options, clock: Arc<dyn Clock>) -> Self {
        Downloader {
            shared: Arc::new(Shared {
                types: options.types.clone(),
                max_size: options.max_size,
                idle_timeout: options.idle_timeout,
                redirects: options.redirects,
                places: Semaphore::new(options.concurrency.clamp(1, Semaphore::MAX_PERMITS)),
                web,
                urls: Urls::new(&options.allow, &options.allow_local),
                clock,
                statuses: Statuses::new(TABLE, Category::Unknown, &options.classify),
            }),
        }
    }

    /// Checks `url` as [`Downloader::fetch`] does, without asking anybody.
    pub fn check(&self, url: &str) -> Result<()> {
        let checked = self.shared.urls.check(url)?;
        self.shared.types.admit(&checked.url).map(drop)
    }

    /// Checks whether `url` may be asked at all, whatever the type of its file, without asking anybody.
    pub fn admits(&self, url: &str) -> Result<()> {
        self.shared.urls.check(url).map(drop)
    }

    /// Downloads `url` to `path` in `spool`, replacing what is there.
    ///
    /// Permanent: what is refused (URL, address, type, size), statuses 4xx, a disk that is full or not writable. Auth: 401.
    /// Transient: everything that another try may mend, an empty or truncated file among it. The status of the answer, if
    /// one came, is in the error. Dropping the call ends the download and deletes what there is of the file.
    pub async fn fetch(&self, url: &str, spool: &dyn Spool, path: &str) -> Result<Downloaded> {
        let shared = &*self.shared;
        let checked = shared.urls.check(url)?;
        let extension = shared.types.admit(&checked.url)?;
        let _place = shared.places.acquire().await.map_err(|_| Error::transient("downloads are shut down"))?;
        let (answer, url) = shared.follow(checked).await?;
        let shown = brief(url.as_str());
        let received = shared.receive(answer, &shown, extension, spool, path).await;
        // The answer was a 200; whatever went wrong came after it.
        let received = received.map_err(|error| Error { status: Some(200), ..error })?;
        Ok(Downloaded { final_url: redact(url.as_str()).into_owned(), ..received })
    }
}

impl Shared {
    /// Asks for a file and follows redirects, each one checked, until an answer is a 200.
    async fn follow(&self, mut checked: Checked) -> Result<(Answer, Url)> {
        let mut last = None;
        for _ in 0..=self.redirects {
            let answer = self.ask(&checked).await?;
            let status = answer.status;
            last = Some(status);
            let location = answer.headers.get(LOCATION).and_then(|location| location.to_str().ok());
            match (status, location) {
                (200, _) => return Ok((answer, checked.url)),
                (301 | 302 | 303 | 307 | 308, Some(location)) => {
                    checked = self.urls.follow(&checked.url, location).map_err(|mut error| {
                        error.message = format!("{}: redirected: {}", brief(checked.url.as_str()), error.message);
                        error.status = Some(status);
                        error
                    })?;
                }
                _ => return Err(self.refused(&checked.url, &answer)),
            }
        }
        let message = format!("{}: more than {} redirects", brief(checked.url.as_str()), self.redirects);
        Err(Error { status: last, ..Error::permanent(message) })
    }

    async fn ask(&self, checked: &Checked) -> Result<Answer> {
        let shown = brief(checked.url.as_str());
        let silent = |_| Error::transient(format!("{shown}: no answer within {:?}", self.idle_timeout));
        let answer = timeout(self.idle_timeout, self.web.get(checked)).await.map_err(silent)?;
        answer.map_err(|error| named(&shown, error))
    }

    /// Streams the file of `answer` to the spool.
    async fn receive(
        &self,
        mut answer: Answer,
        shown: &str,
        extension: Option<String>,
        spool: &dyn Spool,
        path: &str,
    ) -> Result<Downloaded> {
        let named = |error: Error| named(shown, error);
        let header = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
        let content_type = header(CONTENT_TYPE).map(essence).filter(|essence| !essence.is_empty());
        let settled = self.types.check_content_type(extension.as_deref(), content_type.as_deref()).map_err(named)?;
        let promised = header(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        if promised.is_some_and(|promised| promised > self.max_size) {
            return Err(self.too_long(shown));
        }

        let mut writer = spool.create(path).await?;
        let (mut bytes, mut hash, mut head) = (0u64, Sha256::new(), Vec::with_capacity(HEAD));
        let mut checked = settled;
        while let Some(chunk) = self.next(&mut answer, shown).await? {
            bytes += chunk.len() as u64;
            if bytes > self.max_size {
                return Err(self.too_long(shown));
            }
            hash.update(&chunk);
            head.extend(chunk.iter().take(HEAD - head.len()));
            if !checked && head.len() == HEAD {
                self.types.check_head(extension.as_deref(), &head).map_err(named)?;
                checked = true;
            }
            writer.write(chunk).await?;
        }
        if promised.is_some_and(|promised| promised != bytes) {
            let message = format!("{shown}: {bytes} bytes came, {} were announced", promised.unwrap_or_default());
            return Err(Error::transient(message));
        }
        if bytes == 0 {
            return Err(Error::transient(format!("{shown}: the file is empty")));
        }
        if !checked {
            self.types.check_head(extension.as_deref(), &head).map_err(named)?;
        }
        writer.commit().await?;
        Ok(Downloaded {
            path: path.to_owned(),
            bytes,
            sha256: format!("{:x}", hash.finalize()),
            content_type,
            extension,
            sniffed: sniff(&head),
            final_url: String::new(),
        })
    }

    async fn next(&self, answer: &mut Answer, shown: &str) -> Result<Option<Bytes>> {
        match timeout(self.idle_timeout, answer.body.next()).await {
            Ok(chunk) => chunk.transpose().map_err(|error| named(shown, error)),
            Err(_) => Err(Error::transient(format!("{shown}: nothing came for {:?}", self.idle_timeout))),
        }
    }

    /// The failure that an answer other than 200 stands for.
    fn refused(&self, url: &Url, answer: &Answer) -> Error {
        let message = format!("{}: answered {}", brief(url.as_str()), status_name(answer.status));
        let mut error = Error::new(self.statuses.category(answer.status), message);
        error.status = Some(answer.status);
        error.retry_after = retry_after(&answer.headers, self.clock.now());
        error
    }

    fn too_long(&self, shown: &str) -> Error {
        Error::permanent(format!("{shown}: the file is longer than {} bytes", self.max_size))
            .hint("raise the connection's max_size if such files are wanted")
    }
}

fn status_name(status: u16) -> String {
    reqwest::StatusCode::from_u16(status).map_or_else(|_| status.to_string(), |status| status.to_string())
}

fn named(shown: &str, mut error: Error) -> Error {
    error.message = format!("{shown}: {}", error.message);
    error
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
