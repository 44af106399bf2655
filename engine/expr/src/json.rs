//! JSON as this engine reads and writes it: one tree for each message, and one text for each value.
//!
//! [`parse`] is the only way bytes become a tree. It keeps the text of every number (`40.0` stays `40.0`, integers of any
//! length keep their digits), and refuses, with a position, a lone surrogate, `NaN`, bytes that are not UTF-8 and text behind
//! the value. Of a key that appears twice in one object the last value counts, as nearly every reader has it. Nesting is limited
//! to [`MAX_DEPTH`], so nothing that walks a tree can exhaust the stack.
//!
//! The whole tree is built, once. A lazy scan for single paths is faster only where a flow reads one or two fields of its
//! messages; it would have to know every path beforehand, and would not see a broken message behind the last one.
//!
//! [`to_text`] is the only way a value becomes text. It is canonical: no spaces, keys sorted. Equal values have equal texts
//! whatever made them, so a replay writes the same bytes.

use sonic_rs::{JsonContainerTrait, JsonNumberTrait, JsonType, JsonValueTrait};

use super::Json;
use super::repeated::{has_repeated_key, last_wins};

/// How deep arrays and objects may be nested.
pub const MAX_DEPTH: usize = 128;

/// The null that missing values are.
pub static NULL: Json = Json::new();

/// Why bytes are not JSON; that they are none says whoever asked for it. The message holds nothing of the bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct JsonError {
    /// What is wrong and where.
    pub message: String,
    /// The byte at which it was seen, where that is known.
    pub offset: Option<usize>,
}

impl JsonError {
    fn at(offset: usize, message: &str) -> JsonError {
        JsonError { message: format!("{message} at byte {offset}"), offset: Some(offset) }
    }
}

/// Reads one JSON value.
///
/// ```
/// use expr::json::{parse, to_text};
/// let value = parse(br#"{"b": 40.0, "a": [1, "x"]}"#).unwrap();
/// assert_eq!(to_text(&value), r#"{"a":[1,"x"],"b":40.0}"#);
/// assert_eq!(to_text(&parse(br#"{"a": 1, "a": 2}"#).unwrap()), r#"{"a":2}"#);
/// ```
pub fn parse(bytes: &[u8]) -> Result<Json, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|error| JsonError::at(error.valid_up_to(), "invalid UTF-8"))?;
    check_depth(bytes)?;
    let mut deserializer = sonic_rs::Deserializer::from_str(text).use_rawnumber();
    let value =
        deserializer.deserialize::<Json>().and_then(|value| deserializer.end().map(|()| value)).map_err(|error| {
            // The rest of the parser's message quotes the input, which may hold secrets.
            let message = error.to_string();
            JsonError::at(error.offset(), message.split(" at line ").next().unwrap_or("syntax error"))
        })?;
    Ok(if has_repeated_key(&value) { last_wins(&value) } else { value })
}

/// The value of a text that [`Tape::read`](super::tape::Tape::read) reads, or of a part of one: what [`parse`] looks for beside
/// the syntax was looked for there.
pub(crate) fn parse_read(text: &str) -> Json {
    sonic_rs::Deserializer::from_str(text).use_rawnumber().deserialize().unwrap_or_default()
}

/// The parser is recursive and has no limit of its own.
fn check_depth(bytes: &[u8]) -> Result<(), JsonError> {
    // Nearly every message has fewer brackets than may be nested, and counting them is a fraction of parsing.
    if opening_brackets(bytes) <= MAX_DEPTH {
        return Ok(());
    }
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for (offset, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(JsonError::at(offset, &format!("nested deeper than {MAX_DEPTH} levels")));
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// How many brackets open in `bytes`, eight bytes at a time: `[` and `{` differ in one bit.
fn opening_brackets(bytes: &[u8]) -> usize {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let (chunks, rest) = bytes.as_chunks();
    let mut count = rest.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
    for chunk in chunks {
        let word = u64::from_le_bytes(*chunk);
        // A byte of `other` is zero where there is a bracket; the sum carries into the high bit of every other byte.
        let other = (word | 0x2020_2020_2020_2020) ^ 0x7b7b_7b7b_7b7b_7b7b;
        count += (!(((other & LOW) + LOW) | other | LOW)).count_ones() as usize;
    }
    count
}

/// The canonical text of a value.
pub fn to_text(value: &Json) -> String {
    let mut out = String::with_capacity(if value.is_object() { 512 } else { 32 });
    write_text(value, &mut out);
    out
}

fn write_text(value: &Json, out: &mut String) {
    match value.get_type() {
        JsonType::Null => out.push_str("null"),
        JsonType::Boolean => out.push_str(if value.as_bool() == Some(true) { "true" } else { "false" }),
        JsonType::Number => with_number_text(value, |text| out.push_str(text)),
        JsonType::String => write_string(value.as_str().unwrap_or_default(), out),
        JsonType::Array => {
            out.push('[');
            for (at, child) in elements(value).iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_text(child, out);
            }
            out.push(']');
        }
        JsonType::Object => {
            out.push('{');
            for (at, (key, child)) in entries(value).into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_string(key, out);
                out.push(':');
                write_text(child, out);
            }
            out.push('}');
        }
    }
}

pub(crate) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = first_escaped(rest.as_bytes()) {
        let (plain, tail) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(plain);
        match tail.as_bytes().first() {
            Some(b'"') => out.push_str("\\\""),
            Some(b'\\') => out.push_str("\\\\"),
            Some(b'\n') => out.push_str("\\n"),
            Some(b'\r') => out.push_str("\\r"),
            Some(b'\t') => out.push_str("\\t"),
            byte => out.push_str(&format!("\\u{:04x}", byte.copied().unwrap_or_default())),
        }
        rest = tail.get(1..).unwrap_or_default();
    }
    out.push_str(rest);
    out.push('"');
}

/// Where the first byte is that a JSON text cannot hold as it is, eight bytes at a time.
fn first_escaped(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let is_escaped = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    let (chunks, rest) = bytes.as_chunks();
    for (number, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        // A subtraction borrows into the high bit where the byte is smaller, or zero; bytes above 0x7f do not count.
        let low = word.wrapping_sub(ONES * 0x20);
        let quote = (word ^ (ONES * 0x22)).wrapping_sub(ONES);
        let backslash = (word ^ (ONES * 0x5c)).wrapping_sub(ONES);
        // A borrow may run on into the next byte, so this says perhaps; the bytes themselves say where.
        if (low | quote | backslash) & !word & HIGH != 0
            && let Some(at) = chunk.iter().position(is_escaped)
        {
            return Some(number * 8 + at);
        }
    }
    rest.iter().position(is_escaped).map(|at| chunks.len() * 8 + at)
}

/// Calls `use_text` with the text of a number as the message writes it, or with the shortest text of a computed one.
pub fn with_number_text<R>(value: &Json, use_text: impl FnOnce(&str) -> R) -> R {
    match value.as_raw_number() {
        Some(raw) => use_text(raw.as_str()),
        None => use_text(&value.as_number().map(|number| number.to_string()).unwrap_or_default()),
    }
}

/// The JSON of a number from its text, which must be one by the grammar of JSON.
pub fn number(text: &str) -> Option<Json> {
    if !super::number::is_json_number(text) {
        return None;
    }
    sonic_rs::Deserializer::from_str(text).use_rawnumber().deserialize().ok()
}

/// The JSON of an integer.
pub fn integer(value: i64) -> Json {
    Json::new_i64(value)
}

/// The JSON of a float; null for what is not finite.
pub fn float(value: f64) -> Json {
    Json::new_f64(value).unwrap_or_default()
}

/// The JSON of a text.
pub fn text(value: &str) -> Json {
    Json::copy_str(value)
}

/// The JSON of an object. A key that is given twice keeps its last value.
pub fn object<'k>(pairs: impl IntoIterator<Item = (&'k str, Json)>) -> Json {
    let mut object = sonic_rs::Object::new();
    for (key, value) in pairs {
        object.insert(key, value);
    }
    object.into_value()
}

/// The elements of an array; nothing for everything else.
pub fn elements(value: &Json) -> &[Json] {
    value.as_array().map_or(&[], |array| array.as_slice())
}

/// The members of an object, sorted by key; nothing for everything else. (Computed objects have no order of their own.)
pub fn entries(value: &Json) -> Vec<(&str, &Json)> {
    let mut entries: Vec<_> = value.as_object().map(|object| object.iter().collect()).unwrap_or_default();
    if !entries.is_sorted_by_key(|(key, _)| *key) {
        entries.sort_unstable_by_key(|(key, _)| *key);
    }
    entries
}

/// The name of a value's type, as JMESPath's `type` says it.
pub fn type_name(value: &Json) -> &'static str {
    kind_name(value.get_type())
}

/// The name of a type.
pub(crate) fn kind_name(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Null => "null",
        JsonType::Boolean => "boolean",
        JsonType::Number => "number",
        JsonType::String => "string",
        JsonType::Array => "array",
        JsonType::Object => "object",
    }
}

/// Whether JMESPath takes a value for true: everything but null, false, and what is empty. Zero is true.
pub fn is_true(value: &Json) -> bool {
    match value.get_type() {
        JsonType::Null => false,
        JsonType::Boolean => value.as_bool() == Some(true),
        JsonType::Number => true,
        JsonType::String => value.as_str().is_some_and(|text| !text.is_empty()),
        JsonType::Array => value.as_array().is_some_and(|array| !array.is_empty()),
        JsonType::Object => value.as_object().is_some_and(|object| !object.is_empty()),
    }
}

/// Whether two values are equal: numbers by value, texts by their bytes, objects whatever their order.
pub fn equal(a: &Json, b: &Json) -> bool {
    let kind = a.get_type();
    if kind != b.get_type() {
        return false;
    }
    match kind {
        JsonType::Null => true,
        JsonType::Boolean => a.as_bool() == b.as_bool(),
        JsonType::Number => compare_numbers(a, b) == Some(std::cmp::Ordering::Equal),
        JsonType::String => a.as_str() == b.as_str(),
        JsonType::Array => {
            let (a, b) = (elements(a), elements(b));
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        JsonType::Object => match (a.as_object(), b.as_object()) {
            (Some(a), Some(b)) => {
                a.len() == b.len() && a.iter().all(|(key, value)| b.get(&key).is_some_and(|other| equal(value, other)))
            }
            _ => false,
        },
    }
}

/// The order of two numbers: exact between integers of 64 bits, else as floats.
pub fn compare_numbers(a: &Json, b: &Json) -> Option<std::cmp::Ordering> {
    let (a, b) = (a.as_number()?, b.as_number()?);
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fails(text: &str) -> JsonError {
        parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn keeps_numbers_as_written() {
        let text = "[0,-0,40.0,-74,1e5,0.1,123456789012345678901234567890,0.30000000000000004,1e999]";
        assert_eq!(to_text(&parse(text.as_bytes()).unwrap()), text);
        assert_eq!(to_text(&float(1.0)), "1.0");
        assert_eq!(to_text(&number("1.50").unwrap()), "1.50");
        assert!(number("01").is_none() && number("\"1\"").is_none());
    }

    #[test]
    fn text_is_canonical() {
        let text = r#" {"b" : {"z":1,"a":"\u0041\n\u0001\"\\é\u00e9/\/"} , "a":[ null,true,false,{},[] ]} "#;
        let canonical = r#"{"a":[null,true,false,{},[]],"b":{"a":"A\n\u0001\"\\éé//","z":1}}"#;
        assert_eq!(to_text(&parse(text.as_bytes()).unwrap()), canonical);
        assert_eq!(to_text(&object([("z", integer(1)), ("a", text_of("x"))])), r#"{"a":"x","z":1}"#);
    }

    fn text_of(value: &str) -> Json {
        text(value)
    }

    #[test]
    fn refuses_with_a_position() {
        for broken in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "NaN",
            "[NaN]",
            "Infinity",
            "01",
            "1.",
            "+1",
            "'a'",
            "\"a",
            "tru",
            "1 2",
            "{} x",
            "\"\\ud800\"",
            "\"\\udc00\\ud800\"",
            "\"\\x\"",
            "\"\u{1}\"",
            "[\"\t\"]",
            "{a:1}",
            "{1:1}",
        ] {
            let error = fails(broken);
            assert!(error.offset.is_some_and(|at| at <= broken.len()), "{broken}: {error:?}");
        }
        assert_eq!(parse(b"\"\xff\"").unwrap_err().offset, Some(1));
        assert_eq!(parse("\"\\ud83d\\ude00\"".as_bytes()).unwrap().as_str(), Some("😀"));
    }

    #[test]
    fn errors_do_not_quote_the_input() {
        assert!(!fails("{\"password\": hunter2}").to_string().contains("hunter2"));
    }

    #[test]
    fn the_last_of_repeated_keys_counts() {
        let many = (0..40).map(|n| format!("\"k{n}\":0")).collect::<Vec<_>>().join(",");
        let last = parse(format!("{{{many},\"k7\":1}}").as_bytes()).unwrap();
        assert_eq!(to_text(last.get("k7").unwrap()), "1");
        let cases = [
            (r#"{"a":{"b":[{"c":1,"c":2.0}]},"z":40.0}"#, r#"{"a":{"b":[{"c":2.0}]},"z":40.0}"#),
            (r#"{"\u0061":1,"a":2}"#, r#"{"a":2}"#),
            (r#"[{"a":1,"a":null}]"#, r#"[{"a":null}]"#),
        ];
        for (text, expected) in cases {
            assert_eq!(to_text(&parse(text.as_bytes()).unwrap()), expected);
        }
    }

    #[test]
    fn depth_bombs_are_refused() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(fails(&nested(MAX_DEPTH + 1)).offset, Some(MAX_DEPTH));
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
        assert!(parse("{\"a\":".repeat(100_000).as_bytes()).is_err());
        let wide = format!("[{}\"[[[\\\"[[[\"]", "[],".repeat(10_000));
        assert!(parse(wide.as_bytes()).is_ok());
    }

    #[test]
    fn what_must_be_escaped_is_found() {
        for length in 0..20 {
            for at in 0..length {
                for byte in 0..=127u8 {
                    let mut text = "é".repeat(length).into_bytes();
                    text[2 * at] = byte;
                    text[2 * at + 1] = b'x';
                    let text = String::from_utf8(text).unwrap();
                    let escaped = byte < 0x20 || byte == b'"' || byte == b'\\';
                    assert_eq!(first_escaped(text.as_bytes()), escaped.then_some(2 * at), "{text:?}");
                    let mut out = String::new();
                    write_string(&text, &mut out);
                    assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
                }
            }
        }
    }

    #[test]
    fn brackets_are_counted() {
        let every: Vec<u8> = (0..=255).collect();
        assert_eq!(opening_brackets(&every), 2);
        for length in 0..20 {
            assert_eq!(opening_brackets(&vec![b'['; length]), length);
            assert_eq!(opening_brackets(&vec![b'{'; length]), length);
            assert_eq!(opening_brackets(&vec![b']'; length]), 0);
        }
    }

    #[test]
    fn equality_is_by_value() {
        let value = |text: &str| parse(text.as_bytes()).unwrap();
        assert!(equal(&value("[1,{\"a\":1,\"b\":2.0}]"), &value("[1.0,{\"b\":2,\"a\":1}]")));
        assert!(equal(&value("1"), &float(1.0)));
        assert!(!equal(&value("9007199254740993"), &value("9007199254740992")));
        assert!(!equal(&value("1"), &value("\"1\"")));
        assert!(!equal(&value("{\"a\":null}"), &value("{\"b\":null}")));
    }
}
