//! An API that exists in memory only.

use std::future::Future;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::{HeaderMap, Http, Request, Response};
use crate::Result;

type Script = Box<dyn Fn(Request) -> BoxFuture<'static, Result<Response>> + Send + Sync>;

/// The in-memory double of [`Wire`](super::Wire): a function answers.
///
/// ```
/// use connectors::http::{Http, Request, Scripted};
///
/// # futures::executor::block_on(async {
/// let api = Scripted::new(|request| async move { Ok(Scripted::json(200, format!(r#"{{"path":"{}"}}"#, request.target))) });
/// let answer = api.send_once(&Request::get("/orders/1")).await.unwrap();
/// assert_eq!(&answer.body[..], br#"{"path":"/orders/1"}"#);
/// # });
/// ```
pub struct Scripted {
    script: Script,
}

impl Scripted {
    /// An API that answers with what `script` returns.
    pub fn new<F>(script: impl Fn(Request) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Response>> + Send + 'static,
    {
        Scripted { script: Box::new(move |request| script(request).boxed()) }
    }

    /// A JSON answer, requested at 0.
    pub fn json(status: u16, body: impl Into<Bytes>) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(reqwest::header::CONTENT_TYPE, reqwest::header::HeaderValue::from_static("application/json"));
        Response { status, headers, body: body.into(), requested_at: 0 }
    }
}

#[async_trait::async_trait]
impl Http for Scripted {
    async fn send_once(&self, request: &Request) -> Result<Response> {
        (self.script)(request.clone()).await
    }
}
