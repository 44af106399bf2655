//! What an answer means: the table of statuses, and how long the server wants us to stay away.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime};

use super::{HeaderMap, Options, Request, Response};
use crate::clock::Micros;
use crate::policy::{Rows, Statuses};
use crate::{Category, Error};

/// The default table. The first row that fits decides; what fits no row is transient.
const TABLE: Rows = &[(401..=401, Category::Auth), (429..=429, Category::Transient), (400..=499, Category::Permanent)];

/// Headers that say how long to stay away, in their order of preference, and the milliseconds in their unit.
const WISHES: &[(&str, u64)] = &[("x-ms-retry-after-ms", 1), ("retry-after-ms", 1), ("retry-after", 1000)];

/// The meaning of statuses for one connection.
#[derive(Clone, Debug)]
pub struct Classes {
    success: Vec<u16>,
    statuses: Statuses,
    json: bool,
}

impl Classes {
    /// The default table with the overrides of `options`.
    pub fn new(options: &Options) -> Self {
        let statuses = Statuses::new(TABLE, Category::Transient, &options.classify);
        Classes { success: options.success.clone(), statuses, json: options.json }
    }

    /// What a status that is no success means.
    pub fn category(&self, status: u16) -> Category {
        self.statuses.category(status)
    }

    /// `Ok` if `response` is an answer, else the failure it stands for. `now` is what a date in `Retry-After` is compared
    /// with.
    pub fn judge(&self, request: &Request, response: &Response, now: Micros) -> Result<(), Error> {
        let status = response.status;
        if self.success.contains(&status) {
            return self.judge_content(request, response);
        }
        let category = self.category(status);
        let mut error = Error::new(category, format!("{request}: answered {status}{}", reason(status)));
        error.status = Some(status);
        error.retry_after = retry_after(&response.headers, now);
        error.hint = hint(status).map(str::to_owned);
        Err(error)
    }

    fn judge_content(&self, request: &Request, response: &Response) -> Result<(), Error> {
        let Some(content_type) = response.header("content-type").filter(|_| self.json) else { return Ok(()) };
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if matches!(essence.as_str(), "application/json" | "text/json") || essence.ends_with("+json") {
            return Ok(());
        }
        let essence = crate::redact::brief(&essence).into_owned();
        let mut error = Error::transient(format!("{request}: answered {essence:?} in place of JSON"))
            .hint("a gateway or a login page may stand in front of the API");
        error.status = Some(response.status);
        Err(error)
    }
}

/// How long the server wants us to stay away: seconds, milliseconds, or a date (all three forms of HTTP).
pub fn retry_after(headers: &HeaderMap, now: Micros) -> Option<Duration> {
    WISHES.iter().find_map(|(name, unit)| {
        let text = headers.get(*name)?.to_str().ok()?.trim();
        match text.parse::<u64>() {
            Ok(count) => Some(Duration::from_millis(count.saturating_mul(*unit))),
            Err(_) => {
                let until = http_date(text)?;
                Some(Duration::from_micros(u64::try_from(until.saturating_sub(now)).unwrap_or(0)))
            }
        }
    })
}

fn http_date(text: &str) -> Option<Micros> {
    let old = |format| NaiveDateTime::parse_from_str(text, format).ok().map(|date| date.and_utc().timestamp_micros());
    DateTime::parse_from_rfc2822(text)
        .ok()
        .map(|date| date.timestamp_micros())
        .or_else(|| old("%A, %d-%b-%y %H:%M:%S GMT"))
        .or_else(|| old("%a %b %e %H:%M:%S %Y"))
}

fn reason(status: u16) -> String {
    let known = reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    known.map(|reason| format!(" {reason}")).unwrap_or_default()
}

fn hint(status: u16) -> Option<&'static str> {
    Some(match status {
        300..=399 => "redirects of an API are not followed; correct the connection's url",
        401 => "check the connection's auth",
        403 => "the credentials are not allowed to do this",
        404 | 410 => "it does not exist; check the path",
        429 => "lower the connection's rate or concurrency",
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn response(status: u16, headers: &[(&'static str, &str)]) -> Response {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Response { status, headers, body: Bytes::new(), requested_at: 0 }
    }

    #[test]
    fn every_status_has_its_category() {
        use Category::{Auth, Permanent, Transient};
        let classes = Classes::new(&Options::default());
        let cases = [
            (201, Transient),
            (204, Transient),
            (301, Transient),
            (302, Transient),
            (400, Permanent),
            (401, Auth),
            (403, Permanent),
            (404, Permanent),
            (418, Permanent),
            (429, Transient),
            (500, Transient),
            (501, Transient),
            (503, Transient),
            (599, Transient),
        ];
        for (status, category) in cases {
            let error = classes.judge(&Request::get("/a"), &response(status, &[]), 0).unwrap_err();
            assert_eq!((error.category, error.status), (category, Some(status)));
        }
        assert!(classes.judge(&Request::get("/a"), &response(200, &[]), 0).is_ok());
    }

    #[test]
    fn overrides_win_and_a_status_wins_over_its_class() {
        let classify = [(404, Category::Transient), (5, Category::Permanent), (503, Category::Unknown)].into();
        let classes = Classes::new(&Options { classify, success: vec![200, 201], ..Options::default() });
        assert_eq!(classes.category(404), Category::Transient);
        assert_eq!(classes.category(500), Category::Permanent);
        assert_eq!(classes.category(503), Category::Unknown);
        assert_eq!(classes.category(400), Category::Permanent);
        assert!(classes.judge(&Request::get("/a"), &response(201, &[]), 0).is_ok());
    }

    #[test]
    fn an_answer_must_be_json() {
        let judge = |json, content_type| {
            let classes = Classes::new(&Options { json, ..Options::default() });
            classes
                .judge(&Request::get("/a"), &response(200, &[("content-type", content_type)]), 0)
                .map_err(|e| e.category)
        };
        for content_type in ["application/json", "Application/JSON; charset=utf-8", "application/hal+json"] {
            assert_eq!(judge(true, content_type), Ok(()));
        }
        assert_eq!(judge(true, "text/html"), Err(Category::Transient));
        assert_eq!(judge(false, "text/html"), Ok(()));
    }

    #[test]
    fn wishes_are_read_in_every_form() {
        let now = 784_111_777 * 1_000_000; // 1994-11-06 08:49:37
        let cases = [
            (("retry-after", "20"), Some(20_000)),
            (("retry-after", " 0 "), Some(0)),
            (("x-ms-retry-after-ms", "1500"), Some(1500)),
            (("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT"), Some(10_000)),
            (("retry-after", "Sunday, 06-Nov-94 08:49:47 GMT"), Some(10_000)),
            (("retry-after", "Sun Nov  6 08:49:47 1994"), Some(10_000)),
            (("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT"), Some(0)),
            (("retry-after", "soon"), None),
            (("retry-after", "-5"), None),
            (("retry-after", "99999999999999999999"), None),
        ];
        for (header, expected) in cases {
            let wish = retry_after(&response(429, &[header]).headers, now).map(|wish| wish.as_millis());
            assert_eq!(wish, expected, "{header:?}");
        }
    }

    #[test]
    fn an_error_hides_the_secrets_of_the_path() {
        let classes = Classes::new(&Options::default());
        let error = classes.judge(&Request::get("/a?token=abc&n=1"), &response(404, &[]), 0).unwrap_err();
        assert_eq!(error.message, "GET /a?token=[REDACTED]&n=1: answered 404 Not Found");
    }
}
