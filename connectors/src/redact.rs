//! What a person may read of a text that may hold secrets.
//!
//! URLs carry credentials in their query (presigned links), in their user-info, and error texts repeat both. Everything
//! that leaves the process in a log, a table, a header, a metric or an error goes through here. The rules look at text,
//! not at parsed URLs, because the secret is most often found in the middle of somebody else's sentence or JSON.

use std::borrow::Cow;
use std::ops::Range;

/// Stands where a secret was.
pub const REDACTED: &str = "[REDACTED]";

/// The longest error text that is kept, in characters.
pub const LONGEST: usize = 500;

/// Stands where the rest of a text was.
pub const CUT: &str = "...";

/// Query parameters whose values are secret, in lower case.
pub const SECRET_KEYS: &[&str] = &[
    "access_token",
    "api_key",
    "apikey",
    "auth",
    "authorization",
    "key",
    "password",
    "pwd",
    "se",
    "secret",
    "sig",
    "sign",
    "signature",
    "sp",
    "spr",
    "sr",
    "st",
    "sv",
    "token",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
];

/// Members of objects whose values are secret whatever they hold, in lower case.
pub const SECRET_MEMBERS: &[&str] = &[
    "access_token",
    "accesstoken",
    "api_key",
    "apikey",
    "authorization",
    "client_secret",
    "password",
    "pwd",
    "refresh_token",
    "secret",
    "token",
    "x-api-key",
];

/// Replaces what is secret in `text`: values of [`SECRET_KEYS`] in `key=value`, what follows `bearer` or `basic`, and the
/// user-info of URLs. Separators may be percent-encoded (a URL within a URL) or written as JSON escapes. Doing it twice
/// changes nothing more; a text without secrets is not copied.
///
/// ```
/// use connectors::redact::redact;
///
/// assert_eq!(redact("https://files.example.com/a.pdf?v=2&sig=abc"), "https://files.example.com/a.pdf?v=2&sig=[REDACTED]");
/// assert_eq!(redact("refused: Bearer eyJhbGciOi"), "refused: Bearer [REDACTED]");
/// ```
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while at < text.len() {
        match secret_at(text, at) {
            Some(secret) if text.get(secret.clone()).is_some_and(|s| !s.is_empty() && s != REDACTED) => {
                out.push_str(text.get(copied..secret.start).unwrap_or_default());
                out.push_str(REDACTED);
                copied = secret.end;
                at = secret.end;
            }
            // An empty value must still let the scan go on past the separator.
            Some(secret) => at = secret.end.max(at + 1),
            None => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

/// [`redact`], cut to the [`LONGEST`] error text; what was cut ends in [`CUT`].
pub fn brief(text: &str) -> Cow<'_, str> {
    let redacted = redact(text);
    if redacted.char_indices().nth(LONGEST).is_none() {
        return redacted;
    }
    let end = redacted.char_indices().nth(LONGEST - CUT.len()).map_or(0, |(end, _)| end);
    Cow::Owned(format!("{}{CUT}", redacted.get(..end).unwrap_or_default()))
}

/// The secret that the separator at byte `at` announces. Separators are ASCII, so every border is a character border.
fn secret_at(text: &str, at: usize) -> Option<Range<usize>> {
    let (before, after) = (text.as_bytes().get(..at)?, text.as_bytes().get(at..)?);
    match after.first()? {
        b'=' if ends_with_secret_key(before) => Some(value(text, at + 1, false)),
        b'%' if starts_with(after, b"%3d") && ends_with_secret_key(before) => Some(value(text, at + 3, true)),
        b'\\' if starts_with(after, b"\\u003d") && ends_with_secret_key(before) => Some(value(text, at + 6, false)),
        b' ' | b'\t' if ends_with_word(before, b"bearer") || ends_with_word(before, b"basic") => {
            let blanks = after.iter().take_while(|b| b.is_ascii_whitespace()).count();
            Some(value(text, at + blanks, false))
        }
        b':' if after.starts_with(b"://") => {
            let start = at + 3;
            let rest = text.as_bytes().get(start..)?;
            let authority = rest.iter().take_while(|b| !b.is_ascii_whitespace() && !b"/?#\"'<>\\".contains(b)).count();
            let end = rest.get(..authority)?.iter().rposition(|b| *b == b'@')?;
            Some(start..start + end)
        }
        _ => None,
    }
}

/// The value that begins at `start`. A value within an encoded URL also ends at an encoded `&`.
fn value(text: &str, start: usize, encoded: bool) -> Range<usize> {
    let rest = text.as_bytes().get(start..).unwrap_or_default();
    let ends_at = |i: usize| {
        let here = rest.get(i..).unwrap_or_default();
        match here.first() {
            None | Some(b'&' | b'"' | b'<' | b'>' | b'\\') => true,
            // A list of URLs: the comma belongs to the list, unless no URL follows.
            Some(b',') => starts_with(here, b",http") || here.get(1).is_none_or(u8::is_ascii_whitespace),
            Some(b'%') => encoded && starts_with(here, b"%26"),
            Some(b) => b.is_ascii_whitespace(),
        }
    };
    start..start + (0..=rest.len()).find(|i| ends_at(*i)).unwrap_or(rest.len())
}

/// Whether `before` ends with a secret key that stands alone.
fn ends_with_secret_key(before: &[u8]) -> bool {
    let is_key = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let length = before.iter().rev().take_while(|b| is_key(b)).count();
    let (lead, mut key) = before.split_at(before.len() - length);
    // An encoded separator before the key leaves its digits in front of it: %26sig, \u0026sig.
    let digits = match lead.last() {
        Some(b'%') => 2,
        Some(b'\\') if key.first() == Some(&b'u') => 5,
        _ => 0,
    };
    key = key.get(digits..).unwrap_or_default();
    SECRET_KEYS.iter().any(|secret| key.eq_ignore_ascii_case(secret.as_bytes()))
}

fn ends_with_word(before: &[u8], word: &[u8]) -> bool {
    before.len().checked_sub(word.len()).is_some_and(|start| {
        let (lead, tail) = before.split_at(start);
        tail.eq_ignore_ascii_case(word) && !lead.last().is_some_and(u8::is_ascii_alphanumeric)
    })
}

fn starts_with(text: &[u8], lower: &[u8]) -> bool {
    text.get(..lower.len()).is_some_and(|head| head.eq_ignore_ascii_case(lower))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_are_replaced_and_the_rest_stays() {
        let cases = [
            ("nothing here", "nothing here"),
            ("https://h/p?a=1&b=2", "https://h/p?a=1&b=2"),
            ("https://h/p?sig=abc&a=1", "https://h/p?sig=[REDACTED]&a=1"),
            ("https://h/p?SIG=abc%2Bd%3D", "https://h/p?SIG=[REDACTED]"),
            (
                "https://h/p?a=1&X-Amz-Signature=ff&X-Amz-Date=2",
                "https://h/p?a=1&X-Amz-Signature=[REDACTED]&X-Amz-Date=2",
            ),
            ("https://h/p?sign=ab&expires=3", "https://h/p?sign=[REDACTED]&expires=3"),
            ("https://h/p?design=ab&resign=c", "https://h/p?design=ab&resign=c"),
            ("https://h/p?sig=&a=1", "https://h/p?sig=&a=1"),
            (
                "https://h/r?u=https%3A%2F%2Fg%2Ff%3Fsig%3Dabc%26a%3D1&b=2",
                "https://h/r?u=https%3A%2F%2Fg%2Ff%3Fsig%3D[REDACTED]%26a%3D1&b=2",
            ),
            (
                r#"{"u":"https://h/p?a=1\u0026sig=ab\u0026b=2","c":3}"#,
                r#"{"u":"https://h/p?a=1\u0026sig=[REDACTED]\u0026b=2","c":3}"#,
            ),
            (r#"{"u":"https://h/p?sig\u003dab"}"#, r#"{"u":"https://h/p?sig\u003d[REDACTED]"}"#),
            ("<a href=\"https://h/?a=1&amp;sig=ab\">", "<a href=\"https://h/?a=1&amp;sig=[REDACTED]\">"),
            ("https://h/1?sig=a,https://h/2?sig=b", "https://h/1?sig=[REDACTED],https://h/2?sig=[REDACTED]"),
            ("password=a,b;c)d then", "password=[REDACTED] then"),
            ("https://user:pass@h/p", "https://[REDACTED]@h/p"),
            ("https://user:p@ss@h/p?mail=a@b", "https://[REDACTED]@h/p?mail=a@b"),
            ("Authorization: Bearer  eyJ.x-y_z", "Authorization: Bearer  [REDACTED]"),
            ("authorization: basic dXNlcjpwYXNz", "authorization: basic [REDACTED]"),
            ("forbearer abc", "forbearer abc"),
            ("größe=ü&sig=ü€&x=ä", "größe=ü&sig=[REDACTED]&x=ä"),
        ];
        for (text, expected) in cases {
            assert_eq!(redact(text), expected, "{text}");
        }
    }

    #[test]
    fn a_clean_text_is_not_copied() {
        assert!(matches!(redact("https://h/p?a=1"), Cow::Borrowed(_)));
        assert!(matches!(redact("sig=[REDACTED]"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        for (length, kept) in [(499, 499), (500, 500), (501, 497), (600, 497)] {
            let text = brief(&"ä".repeat(length)).into_owned();
            let cut = if kept < length { CUT } else { "" };
            assert_eq!((text.matches('ä').count(), text.trim_start_matches('ä')), (kept, cut), "{length}");
        }
    }

    proptest! {
        #[test]
        fn twice_is_once(text in r#"(sig|key|bearer |basic |https://|[a-z@?&=,%\\"<> ä]|%3D|%26|\\u0026|\[REDACTED\]){0,40}"#) {
            let once = redact(&text).into_owned();
            prop_assert_eq!(redact(&once), once.as_str());
        }

        #[test]
        fn no_secret_survives_in_a_query(
            key in prop::sample::select(SECRET_KEYS), lead in "[a-z]{1,5}=[0-9]{1,5}", secret in "Q[A-Za-z0-9%+/_.~-]{8,40}",
        ) {
            let url = format!("https://host.example.com/p?{lead}&{key}={secret}&last=1");
            let redacted = redact(&url);
            prop_assert!(!redacted.contains(&secret));
            prop_assert!(redacted.ends_with("&last=1"));
        }
    }
}
