//! Secrets in JSON texts.
//!
//! A JSON text is not parsed: what is secret stands in its strings, and each of them is a text by itself, whose end is the end of
//! what may be secret in it. So nothing behind a secret is lost, and a string that is itself a JSON text is looked into as one.
//! What a member is called says nothing: a row holds the message as it came, and only links carry what must not stay. A text without
//! secrets is not copied; of one with secrets all but the strings that hold one stays byte for byte.

use std::borrow::Cow;

use memchr::{Memchr3, memchr, memchr2, memchr2_iter, memchr3_iter, memmem, memrchr};
use sonic_rs::JsonValueTrait;

use super::redact_text;
use crate::json;

/// What a JSON text came to.
pub(super) enum Redacted {
    /// There is nothing secret in it.
    Nothing,
    To(String),
}

/// `text` without its secrets, if it is the text of an object or a list.
pub(super) fn redact(text: &str) -> Option<Redacted> {
    let first = text.bytes().find(|byte| !byte.is_ascii_whitespace())?;
    if first != b'{' && first != b'[' {
        return None;
    }
    // Without a string it is no document that holds anything.
    memchr(b'"', text.as_bytes())?;
    if is_plain(text) {
        return Some(plain(text));
    }
    let bytes = text.as_bytes();
    let mut walk = Walk { text, out: String::new(), copied: 0 };
    let mut marks = Marks::of(text);
    let (mut open, mut done, mut escaped, mut skip) = (None, 0, false, usize::MAX);
    for at in memchr2_iter(b'"', b'\\', bytes) {
        if at == skip {
            continue;
        }
        match (bytes.get(at), open) {
            (Some(b'\\'), None) => return None,
            (Some(b'\\'), Some(_)) => {
                escaped = true;
                skip = at + 1;
            }
            (_, None) => {
                if !is_structure(bytes.get(done..at)?) {
                    return None;
                }
                open = Some(at + 1);
                escaped = false;
            }
            (_, Some(start)) => {
                let marked = marks.any(start, at);
                walk.string(start, at, escaped, marked)?;
                open = None;
                done = at + 1;
            }
        }
    }
    if open.is_some() || !is_structure(bytes.get(done..)?) {
        return None;
    }
    Some(walk.end())
}

/// Whether quotes alone say where strings are, and nothing but the signs of a url says where secrets are. Nearly every message is so.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr(b'\\', bytes).is_none() && !names_bearer(bytes)
}

/// The same for such a text: only the strings that hold a sign are looked at. What stands between two strings is looked at as one
/// too, which does no harm.
fn plain(text: &str) -> Redacted {
    let mut walk = Walk { text, out: String::new(), copied: 0 };
    let bytes = text.as_bytes();
    let mut done = 0;
    for at in memchr3_iter(b'=', b'%', b'@', bytes) {
        if at < done {
            continue;
        }
        let start = memrchr(b'"', bytes.get(..at).unwrap_or_default()).map_or(0, |quote| quote + 1);
        done = memchr(b'"', bytes.get(at..).unwrap_or_default()).map_or(text.len(), |quote| at + quote);
        let piece = text.get(start..done).unwrap_or_default();
        // Most of what holds an `@` is an address of mail.
        let is_mail = bytes.get(at) == Some(&b'@') && memchr2(b'=', b'%', piece.as_bytes()).is_none();
        if !(is_mail && memmem::find(piece.as_bytes(), b"://").is_none())
            && let Cow::Owned(redacted) = redact_text(Cow::Borrowed(piece))
        {
            walk.replace(start, done, &redacted);
        }
    }
    walk.end()
}

/// Whether the word `bearer` may stand in a text; nobody writes it in another way.
pub(super) fn names_bearer(bytes: &[u8]) -> bool {
    [&b"earer"[..], b"EARER"].iter().any(|word| memmem::find(bytes, word).is_some())
}

/// What stands between strings: brackets, commas, colons, blanks, numbers, and the letters of `true`, `false` and `null`.
fn is_structure(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| {
        matches!(
            byte,
            b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' | b'{' | b'}' | b'[' | b']' | b'0'..=b'9' | b'+' | b'-' | b'.'
        ) || matches!(byte, b'e' | b'E' | b't' | b'r' | b'u' | b'f' | b'a' | b'l' | b's' | b'n')
    })
}

/// The places of a text that may belong to a secret, in order.
struct Marks<'t> {
    signs: Memchr3<'t>,
    next: Option<usize>,
    /// Whether the word `bearer` may stand anywhere.
    bearer: bool,
}

impl<'t> Marks<'t> {
    fn of(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        let bearer = names_bearer(bytes);
        let mut signs = memchr3_iter(b'=', b'%', b'@', bytes);
        let next = signs.next();
        Marks { signs, next, bearer }
    }

    /// Whether there is one from `start` to `end`. It is asked from the front to the back.
    fn any(&mut self, start: usize, end: usize) -> bool {
        while self.next.is_some_and(|next| next < start) {
            self.next = self.signs.next();
        }
        self.bearer || self.next.is_some_and(|next| next < end)
    }
}

struct Walk<'t> {
    text: &'t str,
    out: String,
    /// Up to where `text` is in `out`.
    copied: usize,
}

impl Walk<'_> {
    /// Takes the string between two quotes; nothing if it is none.
    fn string(&mut self, start: usize, end: usize, escaped: bool, marked: bool) -> Option<()> {
        let raw = self.text.get(start..end)?;
        if escaped {
            // The quotes make it a JSON text.
            let whole = json::parse(self.text.get(start - 1..=end)?.as_bytes()).ok()?;
            if let Cow::Owned(redacted) = redact_text(Cow::Borrowed(whole.as_str()?)) {
                let mut written = String::with_capacity(redacted.len() + 16);
                json::write_string(&redacted, &mut written);
                self.replace(start - 1, end + 1, &written);
            }
        } else if marked && let Cow::Owned(redacted) = redact_text(Cow::Borrowed(raw)) {
            // It has no quotes and no backslashes, and none came in.
            self.replace(start, end, &redacted);
        }
        Some(())
    }

    fn replace(&mut self, start: usize, end: usize, with: &str) {
        if self.copied == 0 {
            self.out.reserve(self.text.len() + 64);
        }
        self.out.push_str(self.text.get(self.copied..start).unwrap_or_default());
        self.out.push_str(with);
        self.copied = end;
    }

    fn end(mut self) -> Redacted {
        if self.copied == 0 {
            return Redacted::Nothing;
        }
        self.out.push_str(self.text.get(self.copied..).unwrap_or_default());
        Redacted::To(self.out)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::redact;
    use super::*;
    use crate::Json;

    #[test]
    fn strings_are_texts_by_themselves() {
        for (text, expected) in [
            // What follows a secret stays, in the string and behind it.
            (r#"{"a":"see https://h/p?sig=x now","b":"c"}"#, r#"{"a":"see https://h/p?sig=[REDACTED] now","b":"c"}"#),
            (r#"{"a":"https://h/p?sig=x y\"z","b":"key=1"}"#, r#"{"a":"https://h/p?sig=[REDACTED]","b":"key=1"}"#),
            (r#"["the key=4 of the bearer cable", "a"]"#, r#"["the key=4 of the bearer cable", "a"]"#),
            // Escapes are read, and written as the canonical text has them.
            (r#"{"a":"line\n\u00e9 ?a\u0026sig\u003dx\u0026b=\"2\""}"#, r#"{"a":"line\né ?a&sig=[REDACTED]&b=\"2\""}"#),
            (r#"{"a":"line\n\u00e9 ?a\u0026b"}"#, r#"{"a":"line\n\u00e9 ?a\u0026b"}"#),
            // A JSON text within a JSON text within one.
            (
                r#"{"data":"{\"u\":\"https://h/p?sig=x\",\"note\":\"last\",\"more\":\"[\\\"https://h?sig=y\\\",1]\"}","z":1}"#,
                r#"{"data":"{\"u\":\"https://h/p?sig=[REDACTED]\",\"note\":\"last\",\"more\":\"[\\\"https://h?sig=[REDACTED]\\\",1]\"}","z":1}"#,
            ),
            // A member's name says nothing.
            (r#"{"password": "kept", "token":12.5e3}"#, r#"{"password": "kept", "token":12.5e3}"#),
            (r#"{"https://u:p@h/":1}"#, r#"{"https://[REDACTED]@h/":1}"#),
            // No JSON text, so prose.
            (r#"{"a":"https://h/p?sig=x" and ?key=9"#, r#"{"a":"https://h/p?sig=[REDACTED]" and ?key=[REDACTED]"#),
            (r#"[see https://h/p?sig=x]"#, r#"[see https://h/p?sig=[REDACTED]"#),
        ] {
            assert_eq!(redact(text), expected, "{text}");
        }
    }

    #[test]
    fn a_text_without_secrets_is_not_copied() {
        for text in [r#"{"a":"https://h/p?x=1","b":["50 % of a@b","é\n"],"c":{"d":-1.5e3,"e":null}}"#, "[]", " {} "] {
            assert!(matches!(redact_text(Cow::Borrowed(text)), Cow::Borrowed(_)), "{text}");
        }
    }

    /// A tree without its secrets.
    fn walked(value: &Json) -> Json {
        let member = |(key, value): (&str, &Json)| (redact(key), walked(value));
        match value.as_str() {
            Some(text) => json::text(&redact(text)),
            None if value.is_array() => json::elements(value).iter().map(walked).collect::<Vec<_>>().into(),
            None if value.is_object() => {
                let members: Vec<_> = json::entries(value).into_iter().map(member).collect();
                json::object(members.iter().map(|(key, value)| (&**key, value.clone())))
            }
            None => value.clone(),
        }
    }

    proptest! {
        // Whatever a document holds, the text that is left is one, and each string in it is what it is alone.
        #[test]
        fn a_text_is_its_tree(
            texts in prop::collection::vec(r#"(https://|h/|\?|&|sig=|key=|x| |"|\\|\n|bearer |0123456789abcdef|é|\{"a":"|\}|%3D|@|\[){0,12}"#, 4),
        ) {
            let [a, b, c, d] = &texts[..] else { unreachable!() };
            let inner = serde_json::json!({"b": b, "c": [1.5, c, true]}).to_string();
            let text = serde_json::json!({"a": a, "inner": inner, "list": [{"d": d}, null], (d): 1}).to_string();
            let flat = serde_json::json!({"a": a, "b": [b, {(c): d}]}).to_string();
            for text in [text, flat] {
                let tree = json::parse(text.as_bytes()).unwrap();
                let redacted = json::parse(redact(&text).as_bytes()).unwrap();
                prop_assert_eq!(json::to_text(&redacted), json::to_text(&walked(&tree)), "{}", text);
            }
        }
    }
}
