//! Asking a host for a file: over the network, or whatever a test puts in its place.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use reqwest::header::ACCEPT_ENCODING;

use super::address::{Lookup, NotPublic, PublicOnly};
use super::{Checked, Options};
use crate::http::{HeaderMap, cause};
use crate::{Error, Result};

/// What a host answered.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, in pieces. An error ends it.
    pub body: BoxStream<'static, Result<Bytes>>,
}

/// One exchange with a host. It follows no redirect and judges no status; errors name no URL.
#[async_trait]
pub trait Web: Send + Sync + 'static {
    /// Asks for the file at `url`, which was checked. An error means that there is no answer. Giving the call up loses
    /// nothing.
    async fn get(&self, url: &Checked) -> Result<Answer>;
}

/// The network.
pub(super) struct Wire {
    /// Connects to public addresses only.
    public: reqwest::Client,
    /// Connects to the addresses of the local network that are allowed by name and port; not there if none is.
    local: Option<reqwest::Client>,
}

impl Wire {
    /// The network, public names resolved by `lookup`.
    pub(super) fn new(options: &Options, lookup: Arc<dyn Lookup>) -> Result<Self> {
        let build = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|e| Error::permanent(format!("no HTTP client for downloads: {}", cause(&e))))
        };
        let local = (!options.allow_local.is_empty()).then(|| build(client(options))).transpose()?;
        Ok(Wire { public: build(client(options).dns_resolver(Arc::new(PublicOnly(lookup))))?, local })
    }
}

#[async_trait]
impl Web for Wire {
    async fn get(&self, url: &Checked) -> Result<Answer> {
        let client = match (url.local, &self.local) {
            (true, Some(local)) => local,
            _ => &self.public,
        };
        // The bytes of the file, not a compressed form of them: length and checksum are those of the file.
        let call = client.get(url.url.clone()).header(ACCEPT_ENCODING, "identity").send();
        let answer = call.await.map_err(|e| {
            let e = e.without_url();
            match not_public(&e) {
                Some(inside) => Error::permanent(format!("the host is refused: {inside}"))
                    .hint("if it is meant to be inside, name it with its port in the connection's local addresses"),
                None if e.is_connect() => Error::transient(format!("cannot connect: {}", cause(&e))),
                None => Error::transient(format!("no answer: {}", cause(&e))),
            }
        })?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let broken =
            |e: reqwest::Error| Error::transient(format!("the download broke off: {}", cause(&e.without_url())));
        let body = stream::try_unfold(answer, move |mut answer| async move {
            Ok(answer.chunk().await.map_err(broken)?.map(|chunk| (chunk, answer)))
        });
        Ok(Answer { status, headers, body: body.boxed() })
    }
}

fn client(options: &Options) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .no_gzip()
        .referer(false)
        .connect_timeout(options.idle_timeout.min(Duration::from_secs(10)))
        .pool_max_idle_per_host(options.concurrency)
        .user_agent(concat!("engine/", env!("CARGO_PKG_VERSION")))
}

fn not_public(error: &reqwest::Error) -> Option<NotPublic> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(inside) = error.downcast_ref::<NotPublic>() {
            return Some(*inside);
        }
        source = error.source();
    }
    None
}
