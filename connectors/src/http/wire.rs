//! The wire: one exchange over reqwest.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::{Auth, Http, Options, Request, Response};
use crate::clock::Clock;
use crate::redact::redact;
use crate::{Error, Result};

/// So much of the body of a failure is read, so that its connection can be used again.
const FAILURE_BODY: usize = 16 << 10;

/// Exchanges with one origin over pooled connections. Proxies of the environment are not used.
pub struct Wire {
    client: reqwest::Client,
    base: Url,
    headers: HeaderMap,
    timeout: Duration,
    max_answer: usize,
    clock: Arc<dyn Clock>,
}

impl Wire {
    /// Prepares exchanges with `options.url`; nothing is connected yet.
    pub fn new(options: &Options, clock: Arc<dyn Clock>) -> Result<Self> {
        let base = base(&options.url)?;
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .timeout(options.timeout)
            .connect_timeout(options.timeout.min(Duration::from_secs(10)))
            .pool_max_idle_per_host(options.concurrency)
            .user_agent(concat!("engine/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::permanent(format!("no HTTP client for {}: {}", redact(base.as_str()), cause(&e))))?;
        let headers = headers(options)?;
        Ok(Wire { client, base, headers, timeout: options.timeout, max_answer: options.max_answer, clock })
    }

    fn url(&self, request: &Request) -> Result<Url> {
        let target = &request.target;
        let absolute = target.contains("://") && !target.starts_with(['/', '?']);
        let text = match (absolute, target.chars().next()) {
            (true, _) => target.clone(),
            // The base ends without a slash and the path begins with one, so a path cannot grow into the host.
            (false, None | Some('/' | '?')) => format!("{}{target}", self.base.as_str().trim_end_matches('/')),
            (false, _) => format!("{}/{target}", self.base.as_str().trim_end_matches('/')),
        };
        let url = Url::parse(&text).map_err(|e| Error::permanent(format!("{request}: not a URL: {e}")))?;
        if url.origin() != self.base.origin() || !url.username().is_empty() || url.password().is_some() {
            let elsewhere = format!("{request}: leads away from {}", self.base.origin().ascii_serialization());
            return Err(Error::permanent(elsewhere).hint("credentials are sent to the connection's own origin only"));
        }
        if has_dot_segment(target) {
            return Err(Error::permanent(format!("{request}: a segment of the path is . or .."))
                .hint("a value that became part of the path is not what was expected"));
        }
        Ok(url)
    }

    /// An error of the client, without the URL, which may hold secrets.
    fn failed(&self, request: &Request, error: reqwest::Error) -> Error {
        let host = self.base.host_str().unwrap_or_default();
        let host = self.base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let error = error.without_url();
        if error.is_timeout() {
            return Error::transient(format!("{request}: no answer from {host} within {:?}", self.timeout));
        }
        if error.is_builder() {
            return Error::permanent(format!("{request}: not a valid request: {}", cause(&error)));
        }
        let what = if error.is_connect() { "cannot connect to" } else { "lost the connection to" };
        Error::transient(format!("{request}: {what} {host}: {}", cause(&error)))
    }
}

#[async_trait::async_trait]
impl Http for Wire {
    async fn send_once(&self, request: &Request) -> Result<Response> {
        let mut headers = self.headers.clone();
        for (name, value) in &request.headers {
            let (name, value) = header(name, value, false)?;
            headers.insert(name, value);
        }
        let mut call = self.client.request(request.method.clone(), self.url(request)?).headers(headers);
        if let Some(body) = &request.body {
            call = call.body(body.clone());
        }
        let requested_at = self.clock.now();
        let mut answer = call.send().await.map_err(|e| self.failed(request, e))?;
        let status = answer.status().as_u16();
        let headers = std::mem::take(answer.headers_mut());
        let body = if (200..300).contains(&status) {
            match read(&mut answer, self.max_answer).await.map_err(|e| self.failed(request, e))? {
                (body, true) => body,
                (_, false) => {
                    let mut error =
                        Error::permanent(format!("{request}: the answer is longer than {} bytes", self.max_answer))
                            .hint("raise the connection's max_answer, or ask for less at a time");
                    error.status = Some(status);
                    return Err(error);
                }
            }
        } else {
            // The status has said it all; a body that breaks off changes nothing.
            read(&mut answer, FAILURE_BODY).await.map(|(body, _)| body).unwrap_or_default()
        };
        Ok(Response { status, headers, body, requested_at })
    }
}

/// Reads at most `limit` bytes; false if there was more.
async fn read(answer: &mut reqwest::Response, limit: usize) -> Result<(Bytes, bool), reqwest::Error> {
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await? {
        if chunk.len() > limit - body.len() {
            return Ok((body.freeze(), false));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body.freeze(), true))
}

fn base(url: &str) -> Result<Url> {
    let refuse = |why: &str| Error::permanent(format!("{} is no URL of an API: {why}", redact(url)));
    let parsed = Url::parse(url).map_err(|e| refuse(&e.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
        return Err(refuse("it must begin with https:// or http:// and a host"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(refuse("it holds credentials").hint("move them to the connection's auth"));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(refuse("it has a query or a fragment").hint("a query belongs to the call"));
    }
    Ok(parsed)
}

/// Whether the path of `target` walks upwards, encoded or not: the call would reach another resource than was meant.
fn has_dot_segment(target: &str) -> bool {
    let path = target.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase().replace("%2e", ".");
    path.split(['/', '\\']).any(|segment| matches!(segment, "." | ".."))
}

fn headers(options: &Options) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    for (name, value) in &options.headers {
        let (name, value) = header(name, value, true)?;
        headers.insert(name, value);
    }
    if let Some(value) = authorization(&options.auth) {
        let (name, value) = header(AUTHORIZATION.as_str(), &value, true)?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Checks that a name and a value are those of a header.
pub fn check_header(name: &str, value: &str) -> Result<()> {
    header(name, value, false).map(drop)
}

fn header(name: &str, value: &str, sensitive: bool) -> Result<(HeaderName, HeaderValue)> {
    let key: HeaderName = name.parse().map_err(|_| Error::permanent(format!("{name:?} is no name of a header")))?;
    let mut value: HeaderValue = value.parse().map_err(|_| {
        Error::permanent(format!(
            "the value of header {name} holds a line break or another character that is not allowed"
        ))
    })?;
    value.set_sensitive(sensitive);
    Ok((key, value))
}

fn authorization(auth: &Auth) -> Option<String> {
    match auth {
        Auth::None => None,
        Auth::Basic { username, password } => {
            Some(format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))))
        }
        Auth::Token(token) => Some(format!("Basic {}", without_scheme(token, "basic"))),
        Auth::Bearer(token) => Some(format!("Bearer {}", without_scheme(token, "bearer"))),
    }
}

fn without_scheme<'a>(token: &'a str, scheme: &str) -> &'a str {
    let token = token.trim();
    match token.split_once(char::is_whitespace) {
        Some((word, rest)) if word.eq_ignore_ascii_case(scheme) => rest.trim(),
        _ => token,
    }
}

/// The innermost reason of an error, which is the one that tells something.
pub(crate) fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    crate::redact::brief(&innermost.to_string()).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Category;
    use crate::clock::ManualClock;

    fn wire(url: &str) -> Result<Wire> {
        Wire::new(&Options { url: url.into(), ..Options::default() }, Arc::new(ManualClock::at(0)))
    }

    #[test]
    fn targets_are_appended_and_never_leave_the_base() {
        let cases = [
            ("https://api.example.com", "/orders/1?full=true", Some("https://api.example.com/orders/1?full=true")),
            ("https://api.example.com/", "/orders", Some("https://api.example.com/orders")),
            ("https://api.example.com/v1", "orders", Some("https://api.example.com/v1/orders")),
            ("https://api.example.com/v1", "", Some("https://api.example.com/v1")),
            ("https://api.example.com/v1", "?n=2", Some("https://api.example.com/v1?n=2")),
            (
                "https://api.example.com/v1",
                "/go?to=https://x.example",
                Some("https://api.example.com/v1/go?to=https://x.example"),
            ),
            (
                "https://api.example.com/v1",
                "https://api.example.com/v2?page=2",
                Some("https://api.example.com/v2?page=2"),
            ),
            ("https://api.example.com", "@evil.example/", Some("https://api.example.com/@evil.example/")),
            ("https://api.example.com", ".evil.example/", Some("https://api.example.com/.evil.example/")),
            ("https://api.example.com", "//evil.example/", Some("https://api.example.com//evil.example/")),
            ("https://api.example.com/v1", "/../admin", None),
            ("https://api.example.com/v1", "/%2e%2E/admin", None),
            ("https://api.example.com/v1", "/..\\admin", None),
            ("https://api.example.com", "/orders/..", None),
            ("https://api.example.com", "/orders/.?n=1", None),
            ("https://api.example.com", "/orders/..a?n=../b", Some("https://api.example.com/orders/..a?n=../b")),
            ("https://api.example.com/v1", "https://evil.example/v1", None),
            ("https://api.example.com/v1", "http://api.example.com/v1", None),
            ("https://api.example.com/v1", "https://api.example.com:8443/v1", None),
            ("https://api.example.com/v1", "https://user@api.example.com/v1", None),
        ];
        for (base, target, expected) in cases {
            let url = wire(base).unwrap().url(&Request::get(target));
            assert_eq!(url.as_ref().ok().map(Url::as_str), expected, "{base} {target}");
            assert!(url.is_ok() || url.is_err_and(|e| e.category == Category::Permanent));
        }
    }

    #[test]
    fn a_base_that_is_none_is_refused() {
        for url in ["", "api.example.com", "ftp://h/", "https://u:p@h/", "https://h/?a=1", "file:///etc"] {
            let error = wire(url).err().unwrap();
            assert_eq!(error.category, Category::Permanent);
            assert!(!error.to_string().contains("u:p"), "{error}");
        }
    }

    #[test]
    fn credentials_become_one_header() {
        let basic = Auth::Basic { username: "user".into(), password: "pass".into() };
        let cases = [
            (basic, Some("Basic dXNlcjpwYXNz")),
            (Auth::Token("dXNlcjpwYXNz".into()), Some("Basic dXNlcjpwYXNz")),
            (Auth::Token(" Basic dXNlcjpwYXNz ".into()), Some("Basic dXNlcjpwYXNz")),
            (Auth::Token("basic  dXNlcjpwYXNz".into()), Some("Basic dXNlcjpwYXNz")),
            (Auth::Bearer("abc".into()), Some("Bearer abc")),
            (Auth::None, None),
        ];
        for (auth, expected) in cases {
            assert_eq!(authorization(&auth).as_deref(), expected);
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let auth = Auth::Basic { username: "user".into(), password: "hunter2".into() };
        let headers = [("x-key".to_owned(), "hunter2".to_owned())].into();
        let shown = format!("{:?}", Options { auth, headers, ..Options::default() });
        assert!(shown.contains("x-key") && !shown.contains("hunter2"), "{shown}");
    }
}
