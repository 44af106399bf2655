//! Texts. An argument that is no text gives null.

use std::borrow::Cow;

use sonic_rs::{JsonType, JsonValueTrait};

use super::super::coerce::ts_text;
use super::super::value::{NULL, Value};
use super::super::{Env, Json, json};
use super::redact::redact_text;
use super::{Arguments, Fault, Form, Function, Run, argument, ids, take, take_text, text_argument, text_or_null};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::of_values(
        "split(text, separator)",
        2,
        split,
        "The parts between the separators; null if the separator is empty.",
    ),
    Function::plain("lower(text)", 1, |a, _| mapped(a, str::to_lowercase), "The text in lower case."),
    Function::plain("upper(text)", 1, |a, _| mapped(a, str::to_uppercase), "The text in upper case."),
    Function::of_values(
        "trim(text)",
        1,
        |a, _| Ok(take_text(a, 0).map(|text| cut(text, str::trim)).into()),
        "The text without blanks at its ends.",
    ),
    Function::of_values(
        "parse_json(text)",
        1,
        parse_json,
        "The value that a JSON text holds, null if it is none; what is no text stays as it is.",
    ),
    Function::of_values(
        "to_json(value)",
        1,
        ids::to_json,
        "The canonical JSON text of a value: no blanks, keys sorted.",
    ),
    Function::of_values(
        "redact(text)",
        1,
        |a, _| Ok(take_text(a, 0).map(redact_text).into()),
        "The text with the secrets of its urls replaced by [REDACTED]; in a JSON text string by string.",
    ),
    Function::new(
        "safe_name(text, bytes)",
        1,
        Some(2),
        Form::Plain(Run::Json(|a, _| mapped(a, |text| safe_name(text, most(argument(a, 1)))))),
        "A name that is safe in every file store, its extension kept, at most 200 bytes, or as many as are given.",
    ),
    Function::plain(
        "ts_text(text)",
        1,
        |a, _| Ok(text_or_null(ts_text(argument(a, 0)))),
        "A time as it came: trimmed, Z as +00:00, not checked; null if blank.",
    ),
];

/// The longest name that [`safe_name`] makes, in bytes.
const MAX_NAME: usize = 200;
/// A suffix longer than this is no extension.
const MAX_EXTENSION: usize = 20;

fn mapped(arguments: Arguments<'_, '_>, change: impl FnOnce(&str) -> String) -> Result<Json, Fault> {
    Ok(text_or_null(text_argument(arguments, 0).map(change)))
}

/// A piece of a text, borrowed if the text is.
fn cut<'v>(text: Cow<'v, str>, piece: fn(&str) -> &str) -> Cow<'v, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(piece(text)),
        Cow::Owned(text) if piece(&text).len() == text.len() => Cow::Owned(text),
        Cow::Owned(text) => Cow::Owned(piece(&text).to_owned()),
    }
}

fn split<'v>(arguments: &mut [Value<'v>], _: &Env) -> Result<Value<'v>, Fault> {
    let (Some(text), Some(separator)) = (take_text(arguments, 0), take_text(arguments, 1)) else { return Ok(NULL) };
    if separator.is_empty() {
        return Ok(NULL);
    }
    Ok(Value::List(match (text, separator.as_bytes()) {
        // One byte is found faster than a text.
        (Cow::Borrowed(text), [byte]) => {
            let mut parts = Vec::with_capacity(8);
            parts.extend(text.split(char::from(*byte)).map(Value::from));
            parts
        }
        (Cow::Borrowed(text), _) => text.split(&*separator).map(Value::from).collect(),
        (Cow::Owned(text), _) => text.split(&*separator).map(|part| Value::from(part.to_owned())).collect(),
    }))
}

fn parse_json<'v>(arguments: &mut [Value<'v>], _: &Env) -> Result<Value<'v>, Fault> {
    let value = take(arguments, 0);
    if value.kind() != JsonType::String {
        return Ok(value);
    }
    let text = value.into_str().unwrap_or_default();
    Ok(Value::from(json::parse(text.as_bytes()).unwrap_or_default()))
}

/// Whether some file store or some reader of a file list takes `c` for more than a character of a name.
fn is_unsafe(c: char) -> bool {
    let reorders = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || reorders || r#"<>:"/\|?*"#.contains(c)
}

/// How many bytes a name may have.
fn most(bytes: &Json) -> usize {
    bytes.as_u64().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(MAX_NAME).clamp(1, MAX_NAME)
}

/// Whether a system takes the name for a device, whatever stands behind its first dot.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let numbered =
        |device| stem.strip_prefix(device).is_some_and(|n| n.chars().count() == 1 && n.chars().all(is_number));
    matches!(&*stem, "con" | "prn" | "aux" | "nul" | "conin$" | "conout$") || numbered("com") || numbered("lpt")
}

/// Digits, those above a line among them.
fn is_number(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '\u{b9}' | '\u{b2}' | '\u{b3}')
}

/// See `safe_name` in [`FUNCTIONS`]: separators, control and reserved characters become `_`; blanks around the name and
/// dots behind it go; the name of a device has `_` in front; what is left of a too long name is its beginning and its extension;
/// nothing becomes `_`.
fn safe_name(name: &str, most: usize) -> String {
    let name: String = name.chars().map(|c| if is_unsafe(c) { '_' } else { c }).collect();
    let tidy = |name: &str| name.trim_start().trim_end_matches(|c: char| c == '.' || c.is_whitespace()).to_owned();
    let mut name = tidy(&name);
    if is_device(&name) {
        name.insert(0, '_');
    }
    if name.len() > most {
        let longest = MAX_EXTENSION.min(most / 2);
        let extension = name.rfind('.').and_then(|dot| name.get(dot..)).filter(|suffix| suffix.len() <= longest);
        let extension = extension.unwrap_or_default().to_owned();
        let mut end = most - extension.len();
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name = tidy(&format!("{}{extension}", name.get(..end).unwrap_or_default()));
        if is_device(&name) {
            name.replace_range(..1, "_");
        }
    }
    if name.is_empty() { "_".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::check;
    use super::*;

    #[test]
    fn texts() {
        check(
            r#"{"t":" Äb,c ","n":5,"j":"{\"a\":[1.50]}","bad":"{","o":{"a":1}}"#,
            &[
                ("split(t, ',')", r#"[" Äb","c "]"#),
                ("split('', ',')", r#"[""]"#),
                ("split(t, trim(' '))", "null"),
                ("split(n, ',')", "null"),
                ("[lower(t), upper(t), trim(t), lower(n)]", r#"[" äb,c "," ÄB,C ","Äb,c",null]"#),
                ("parse_json(j).a", "[1.50]"),
                ("parse_json(bad)", "null"),
                ("parse_json(o)", r#"{"a":1}"#),
                ("to_json(o)", r#""{\"a\":1}""#),
                ("to_json(missing)", "null"),
                ("ts_text(' 2026-01-10T12:00:00.5Z ')", r#""2026-01-10T12:00:00.5+00:00""#),
                ("ts_text(' ')", "null"),
                ("ts_text(n)", "null"),
                ("ts_text('whenever')", r#""whenever""#),
            ],
        );
    }

    #[test]
    fn safe_names() {
        for (name, expected) in [
            ("a.pdf", "a.pdf"),
            ("../../etc/passwd", ".._.._etc_passwd"),
            ("a/b\\c:d*e?f\"g<h>i|j\u{0}k\nl.TXT", "a_b_c_d_e_f_g_h_i_j_k_l.TXT"),
            ("", "_"),
            (".", "_"),
            ("..", "_"),
            (" . . ", "_"),
            (".pdf", ".pdf"),
            ("a%2Fb.pdf", "a%2Fb.pdf"),
            ("name. ", "name"),
            ("gpj.\u{202e}exe", "gpj._exe"),
            ("\u{61c}a\u{2067}b", "_a_b"),
            // Devices of a system are no files.
            ("CON", "_CON"),
            ("nul.tar.gz", "_nul.tar.gz"),
            ("aux .pdf", "_aux .pdf"),
            ("com7.txt", "_com7.txt"),
            ("LPT\u{b2}", "_LPT\u{b2}"),
            ("com10.txt", "com10.txt"),
            ("console.log", "console.log"),
            ("contract.pdf", "contract.pdf"),
        ] {
            assert_eq!(safe_name(name, MAX_NAME), expected, "{name:?}");
        }
        for (name, most, expected) in [
            ("0123456789.pdf", 8, "0123.pdf"),
            ("0123456789.jpeg", 8, "01234567"),
            ("console", 3, "_on"),
            ("éé", 1, "_"),
        ] {
            assert_eq!(safe_name(name, most), expected, "{name:?}");
        }
        let safe_name = |name: &str| safe_name(name, MAX_NAME);
        let long = safe_name(&format!("{}.jpeg", "é".repeat(300)));
        assert!(long.len() <= MAX_NAME && long.len() > MAX_NAME - 4 && long.ends_with("é.jpeg"), "{long}");
        assert_eq!(safe_name(&"x".repeat(500)).len(), MAX_NAME);
        assert_eq!(safe_name(&format!("a.{}", "x".repeat(500))).len(), MAX_NAME);
    }

    proptest! {
        #[test]
        fn safe_names_are_safe_and_stable(
            name in "\\PC{0,300}|[ ./\\\\a\u{0}é]{0,300}|(con|nul|lpt|1|²|[. ]|x){0,4}", most in prop::sample::select(&[1usize, 3, 20, 200][..]),
        ) {
            let safe = safe_name(&name, most);
            prop_assert!(!safe.is_empty() && safe.len() <= most && safe != "." && safe != "..");
            prop_assert!(!safe.chars().any(is_unsafe) && !is_device(&safe));
            prop_assert_eq!(safe_name(&safe, most), safe);
        }
    }
}
