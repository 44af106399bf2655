//! Whether somebody answers at a url, without any credentials.

use std::time::Duration;

use url::Url;

use crate::redact::redact;
use crate::{Error, Result};

/// Asks for the headers of `url`, once, with nothing that says who asks; redirects are not followed. Whatever the answer is, somebody
/// is there: its status.
pub async fn reach(url: &str, timeout: Duration) -> Result<u16> {
    let url = Url::parse(url).map_err(|e| Error::permanent(format!("{} is no URL: {e}", redact(url))))?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(timeout)
        .user_agent(concat!("engine/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| Error::permanent(format!("no HTTP client: {e}")))?;
    match client.head(url).send().await {
        Ok(answer) => Ok(answer.status().as_u16()),
        Err(error) => {
            let error = error.without_url();
            let what = if error.is_timeout() { "no answer from" } else { "cannot connect to" };
            let mut cause: &dyn std::error::Error = &error;
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            Err(Error::transient(format!("{what} {host}: {cause}")))
        }
    }
}
