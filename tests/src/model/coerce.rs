//! How JSON becomes the cells of the tables. A cell is JSON too: an instant is ISO text in UTC (seconds where the
//! microseconds are zero, else six digits), a date is `YYYY-MM-DD`, what is missing is null.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

/// The UUIDv5 of a text.
pub fn uuid5(namespace: Uuid, text: &str) -> String {
    Uuid::new_v5(&namespace, text.as_bytes()).to_string()
}

/// The value at a path of keys; null where there is none.
pub fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    path.split('.').fold(value, |value, key| value.get(key).unwrap_or(&Value::Null))
}

/// Text, trimmed; blank is null.
pub fn text(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::String(text) if text.trim().is_empty() => Value::Null,
        Value::String(text) => json!(text.trim()),
        other => json!(other.to_string()),
    }
}

/// An identifier: numbers lose their fraction.
pub fn id(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => json!(format!("{:.0}", number.as_f64().unwrap_or(0.0).trunc())),
        other => text(other),
    }
}

/// A 64-bit integer.
pub fn int(value: &Value) -> Value {
    match value {
        Value::Bool(flag) => json!(i64::from(*flag)),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => json!(integer),
            (None, Some(float)) if float.abs() < 9.2e18 => json!(float.trunc() as i64),
            _ => Value::Null,
        },
        Value::String(text) => text.trim().parse::<i64>().map_or(Value::Null, |integer| json!(integer)),
        _ => Value::Null,
    }
}

/// A 32-bit integer.
pub fn int32(value: &Value) -> Value {
    match int(value).as_i64() {
        Some(integer) if i32::try_from(integer).is_ok() => json!(integer),
        _ => Value::Null,
    }
}

/// True or false.
pub fn flag(value: &Value) -> Value {
    match value {
        Value::Bool(_) => value.clone(),
        Value::String(text) => json!(["true", "1", "yes"].contains(&text.trim().to_lowercase().as_str())),
        Value::Number(number) => json!(number.as_f64() != Some(0.0)),
        _ => Value::Null,
    }
}

/// The text of a decimal number, without trailing zeros; null when it is none.
pub fn decimal(value: &Value) -> Value {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return Value::Null,
    };
    let digits = text.strip_prefix(['-', '+']).unwrap_or(&text);
    let plain = !digits.is_empty()
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
        && digits.matches('.').count() <= 1
        && digits.contains(|c: char| c.is_ascii_digit());
    if plain { json!(without_zeros(&text)) } else { Value::Null }
}

/// A decimal text as it compares: by value.
pub fn without_zeros(text: &str) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    }
}

/// The text of a time of the API: not validated, `Z` spelled out.
pub fn ts_text(value: &Value) -> Value {
    match value {
        Value::String(text) if !text.trim().is_empty() => json!(text.trim().replace('Z', "+00:00")),
        _ => Value::Null,
    }
}

/// Microseconds of the instant a text names. No offset means UTC; fractions beyond microseconds are cut.
pub fn instant(text: &str) -> Option<i64> {
    let text = text.trim();
    if text.len() == 10 {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        return Some(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros());
    }
    let filled;
    let text = if text.len() >= 16 && text.as_bytes().get(16) != Some(&b':') {
        filled = format!("{}:00{}", text.get(..16)?, text.get(16..)?);
        &filled
    } else {
        text
    };
    let (head, fraction_and_zone) = text.split_at_checked(19).unwrap_or((text, ""));
    let digits = fraction_and_zone
        .strip_prefix('.')
        .map_or(0, |rest| rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
    let (fraction, zone) = if digits > 0 { fraction_and_zone.split_at(1 + digits) } else { ("", fraction_and_zone) };
    let seconds = NaiveDateTime::parse_from_str(&head.replacen(['t', ' '], "T", 1), "%Y-%m-%dT%H:%M:%S").ok()?;
    let mut micros: String = fraction.trim_start_matches('.').chars().take(6).collect();
    while micros.len() < 6 {
        micros.push('0');
    }
    let offset = match zone {
        "" | "Z" | "z" => 0,
        zone => {
            let sign = if zone.starts_with('-') { -1 } else { 1 };
            let digits: String = zone.strip_prefix(['+', '-'])?.chars().filter(|c| *c != ':').collect();
            let (hours, minutes) = match digits.len() {
                2 => (digits.parse::<i64>().ok()?, 0),
                4 => (digits.get(..2)?.parse::<i64>().ok()?, digits.get(2..)?.parse::<i64>().ok()?),
                _ => return None,
            };
            if hours > 23 || minutes > 59 {
                return None;
            }
            sign * (hours * 3600 + minutes * 60)
        }
    };
    Some(seconds.and_utc().timestamp_micros() + micros.parse::<i64>().ok()? - offset * 1_000_000)
}

/// The canonical text of an instant.
pub fn iso(micros: i64) -> String {
    let time = DateTime::<Utc>::from_timestamp_micros(micros).unwrap_or_default();
    let format = if micros % 1_000_000 == 0 { "%Y-%m-%dT%H:%M:%S+00:00" } else { "%Y-%m-%dT%H:%M:%S%.6f+00:00" };
    time.format(format).to_string()
}

/// The UTC date of an instant.
pub fn date(micros: i64) -> String {
    iso(micros).chars().take(10).collect()
}

/// Elements of a list that are objects; a wrong container is empty.
pub fn objects(value: &Value) -> Vec<&Value> {
    value.as_array().map(|list| list.iter().filter(|element| element.is_object()).collect()).unwrap_or_default()
}

/// An answer as a list: an array, what a wrapper holds, or the one object.
pub fn list<'v>(answer: &'v Value, wrappers: &[&str]) -> Vec<&'v Value> {
    let inner = wrappers.iter().map(|name| at(answer, name)).find(|inner| !inner.is_null()).unwrap_or(answer);
    if inner.is_object() { vec![inner] } else { objects(inner) }
}

/// The parameters of a link's query, as written.
fn query(url: &str) -> impl Iterator<Item = (&str, &str)> {
    let query = url.split('#').next().unwrap_or_default().split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter_map(|pair| pair.split_once('='))
}

/// When a link expires, from its signature.
pub fn expiry(url: &str) -> Option<i64> {
    let value = |name: &str| query(url).find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    if let (Some(signed), Some(lifetime)) = (value("systemDate"), value("expires")) {
        return signed.parse::<i64>().ok()?.checked_add(lifetime.parse().ok()?)?.checked_mul(1000);
    }
    let signed = NaiveDateTime::parse_from_str(value("X-Amz-Date")?, "%Y%m%dT%H%M%SZ").ok()?;
    Some(signed.and_utc().timestamp_micros() + value("X-Amz-Expires")?.parse::<i64>().ok()? * 1_000_000)
}

/// Query keys whose values are secret.
const SECRET: &str = " sig signature sign sv se st sp sr spr x-amz-signature x-amz-credential x-amz-security-token token \
                      access_token api_key apikey key secret password pwd auth authorization ";

/// A link as it may be stored: without the user it names, and without secrets in its query.
pub fn redact(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some((_, host)) = host.rsplit_once('@').filter(|_| !scheme.is_empty()) {
        let (_, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        return redact(&format!("{scheme}://[REDACTED]\u{1}{host}{path}")).replace('\u{1}', "@");
    }
    let Some((head, tail)) = url.split_once('?') else { return url.to_owned() };
    let (query, fragment) = tail.split_once('#').map_or((tail, None), |(query, fragment)| (query, Some(fragment)));
    let pairs: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((key, _)) if SECRET.contains(&format!(" {} ", key.to_lowercase())) => format!("{key}=[REDACTED]"),
            _ => pair.to_owned(),
        })
        .collect();
    let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
    format!("{head}?{}{fragment}", pairs.join("&"))
}

/// The last segment of a link's path; null when it is empty.
pub fn last_segment(url: &str) -> Value {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    text(&json!(path.rsplit('/').next().unwrap_or_default()))
}

/// The extension of a link: of its last segment, else of what its query names.
pub fn extension(url: &str) -> Value {
    let of =
        |name: &str| name.rsplit_once('.').map(|(_, extension)| extension.to_lowercase()).filter(|e| !e.is_empty());
    let segment = last_segment(url);
    let named = ["filename", "file", "name"].iter().find_map(|name| query(url).find(|(key, _)| key == name));
    segment.as_str().and_then(of).or_else(|| named.and_then(|(_, value)| of(value))).map_or(Value::Null, |e| json!(e))
}
