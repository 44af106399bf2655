//! Values of test files: JSON that is sent, and patterns that what is there is compared with.
//!
//! A pattern is a value, or one of a few matchers. A mapping fits an object that holds at least its keys; a list fits a list of the
//! same length.
//!
//! | Matcher | Fits |
//! |---|---|
//! | `$any` | anything that is there and not null |
//! | `$absent` | null, or nothing |
//! | `{$like: "a*z"}` | a text; `*` is any text |
//! | `{$regex: "a[0-9]+"}` | a text, the whole of it |
//! | `{$near: 1.5, within: 0.1}` | a number, or the text of one, no further away |
//! | `{$near: 2026-01-10T12:00:00Z, within: 5s}` | an instant, no further away |
//! | `{$json: PATTERN}` | a text that holds JSON which fits |
//! | `{$text: "$any"}` | this very text, which begins with `$` |

use std::time::Duration;

use connectors::clock::Micros;
use regex::Regex;
use serde_json::{Map, Value};

use crate::expr::number::is_json_number;
use crate::expr::time::{format_timestamp, parse_timestamp};
use crate::topology::node::{Entry, Node, Value as Tree};
use crate::topology::value::duration;
use crate::topology::{Diagnostic, Source, Span, code};

/// What a value is compared with.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// Equal to this.
    Is(Value),
    /// There, and not null.
    Any,
    /// Null, or not there.
    Absent,
    /// A text with `*` for any text.
    Like(String),
    /// A text that a regular expression describes, from its begin to its end.
    Regex(Regex),
    /// A number or an instant, at most so far away.
    Near(Near),
    /// A text that holds JSON.
    Json(Box<Pattern>),
    /// An object with these members.
    Fields(Vec<(String, Pattern)>),
    /// A list of these.
    Items(Vec<Pattern>),
}

/// A number or an instant, and how far away another may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Near {
    /// A number.
    Number(f64, f64),
    /// An instant, in microseconds.
    Instant(Micros, Duration),
}

impl Near {
    /// What `{$near: value, within: within}` says; none if it makes no sense.
    fn read(value: &str, within: &str) -> Option<Near> {
        if let (Ok(value), Ok(within)) = (value.parse(), within.parse()) {
            return Some(Near::Number(value, within)).filter(|_| within >= 0.0);
        }
        Some(Near::Instant(parse_timestamp(value)?, duration(within)?))
    }

    fn fits(&self, found: &Value) -> bool {
        match self {
            Near::Number(value, within) => {
                let found = found.as_f64().or_else(|| found.as_str()?.trim().parse().ok());
                // What is written as decimals is not exact.
                found.is_some_and(|found| (found - value).abs() <= within + f64::EPSILON * value.abs().max(1.0))
            }
            Near::Instant(value, within) => {
                let found = found.as_str().and_then(parse_timestamp);
                found.is_some_and(|found| u128::from(found.abs_diff(*value)) <= within.as_micros())
            }
        }
    }

    fn shown(&self) -> String {
        match self {
            Near::Number(value, within) => format!("{{$near: {value}, within: {within}}}"),
            Near::Instant(value, within) => {
                format!("{{$near: {}, within: {within:?}}}", format_timestamp(*value))
            }
        }
    }
}

/// One difference between a pattern and a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where, such as `body.lines[0].sku`.
    pub path: String,
    /// What was expected there; none if nothing was.
    pub expected: Option<String>,
    /// What is there; none if nothing is.
    pub got: Option<String>,
}

/// The words of matchers that take a value, and of those that take none.
const WITH: [&str; 5] = ["$like", "$regex", "$near", "$json", "$text"];
const ALONE: [&str; 2] = ["$any", "$absent"];

/// A value as JSON text. Numbers keep their digits.
pub fn json_text(node: &Node) -> String {
    let quoted = |text: &str| Value::String(text.to_owned()).to_string();
    match &node.value {
        Tree::Null | Tree::Unset => "null".to_owned(),
        Tree::Scalar(scalar) => match scalar.text.as_str() {
            text @ ("true" | "false") if scalar.plain => text.to_owned(),
            text if scalar.plain && is_json_number(text) => text.to_owned(),
            text => quoted(text),
        },
        Tree::List(items) => format!("[{}]", items.iter().map(json_text).collect::<Vec<_>>().join(",")),
        Tree::Map(entries) => {
            let members = entries.iter().map(|e| format!("{}:{}", quoted(&e.key), json_text(&e.value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
    }
}

/// A value as JSON.
pub fn json(node: &Node) -> Value {
    serde_json::from_str(&json_text(node)).unwrap_or_default()
}

impl Pattern {
    /// Reads a pattern.
    pub fn read(node: &Node, source: &Source, problems: &mut Vec<Diagnostic>) -> Self {
        let mut wrong = |at: Span, given: &str, words: &[&'static str]| {
            let problem = Diagnostic::new(code::TEST, source, at, format!("`{given}` is no matcher here"));
            let help = "a text that begins with `$` is written {$text: \"$...\"}";
            let problem = problem.nearest(given, words.iter().copied());
            problems.push(if problem.help.is_some() { problem } else { problem.help(help) });
        };
        match &node.value {
            Tree::Scalar(scalar) if scalar.text.starts_with('$') => match scalar.text.as_str() {
                "$any" => Pattern::Any,
                "$absent" => Pattern::Absent,
                other => {
                    wrong(node.span, other, &ALONE);
                    Pattern::Any
                }
            },
            Tree::Map(entries) => match entries.as_slice() {
                [entry] if entry.key.starts_with('$') => match (entry.key.as_str(), entry.value.text()) {
                    ("$like", Some(text)) => Pattern::Like(text.to_owned()),
                    ("$regex", Some(text)) => match Regex::new(&format!("^(?s:{text})$")) {
                        Ok(regex) => Pattern::Regex(regex),
                        Err(error) => {
                            let what = format!("`{text}` is no regular expression");
                            let problem = Diagnostic::new(code::TEST, source, entry.value.span, what);
                            problems.push(problem.help(error.to_string().replace('\n', " ")));
                            Pattern::Any
                        }
                    },
                    ("$text", Some(text)) => Pattern::Is(Value::String(text.to_owned())),
                    ("$json", _) => Pattern::Json(Box::new(Pattern::read(&entry.value, source, problems))),
                    (other, _) => {
                        wrong(entry.at, other, &WITH);
                        Pattern::Any
                    }
                },
                [near, within] if near.key == "$near" && within.key == "within" => {
                    let text = |entry: &Entry| entry.value.text().unwrap_or_default().to_owned();
                    match Near::read(&text(near), &text(within)) {
                        Some(near) => Pattern::Near(near),
                        None => {
                            let what = "`$near` needs two numbers, or an instant and a duration";
                            let problem = Diagnostic::new(code::TEST, source, node.span, what);
                            problems.push(problem.help("such as {$near: 1.5, within: 0.1}"));
                            Pattern::Any
                        }
                    }
                }
                entries => Pattern::Fields(
                    entries.iter().map(|e| (e.key.clone(), Pattern::read(&e.value, source, problems))).collect(),
                ),
            },
            Tree::List(items) => Pattern::Items(items.iter().map(|n| Pattern::read(n, source, problems)).collect()),
            _ => Pattern::Is(json(node)),
        }
    }

    /// Whether `found` fits. With `whole` an object may hold nothing else.
    pub fn fits(&self, found: Option<&Value>, whole: bool) -> bool {
        let mut differences = Vec::new();
        self.compare("", found, whole, &mut differences);
        differences.is_empty()
    }

    /// Adds how `found` differs.
    pub fn compare(&self, path: &str, found: Option<&Value>, whole: bool, out: &mut Vec<Difference>) {
        let there = found.filter(|value| !value.is_null());
        let fits = match (self, there) {
            (Pattern::Any, Some(_)) | (Pattern::Absent | Pattern::Is(Value::Null), None) => true,
            (Pattern::Is(expected), Some(found)) => equal(expected, found),
            (Pattern::Like(pattern), Some(Value::String(text))) => like(pattern, text),
            (Pattern::Regex(regex), Some(Value::String(text))) => regex.is_match(text),
            (Pattern::Near(near), Some(found)) => near.fits(found),
            (Pattern::Json(inner), Some(Value::String(text))) => match serde_json::from_str::<Value>(text) {
                Ok(value) => return inner.compare(path, Some(&value), whole, out),
                Err(_) => false,
            },
            (Pattern::Fields(fields), Some(Value::Object(object))) => {
                return compare_fields(path, fields, object, whole, out);
            }
            (Pattern::Items(items), Some(Value::Array(found))) if items.len() == found.len() => {
                for (index, (item, found)) in items.iter().zip(found).enumerate() {
                    item.compare(&format!("{path}[{index}]"), Some(found), whole, out);
                }
                return;
            }
            _ => false,
        };
        if !fits {
            let (expected, got) = (Some(self.shown()), found.map(Value::to_string));
            out.push(Difference { path: path.to_owned(), expected, got });
        }
    }

    /// As a difference shows it.
    pub fn shown(&self) -> String {
        match self {
            Pattern::Is(value) => value.to_string(),
            Pattern::Any => "$any".to_owned(),
            Pattern::Absent => "$absent".to_owned(),
            Pattern::Like(pattern) => format!("{{$like: {}}}", Value::String(pattern.clone())),
            Pattern::Regex(regex) => {
                let text = regex.as_str();
                let inner = text.strip_prefix("^(?s:").and_then(|t| t.strip_suffix(")$")).unwrap_or(text);
                format!("{{$regex: {}}}", Value::String(inner.to_owned()))
            }
            Pattern::Near(near) => near.shown(),
            Pattern::Json(inner) => format!("{{$json: {}}}", inner.shown()),
            Pattern::Fields(fields) => {
                let fields: Vec<_> = fields.iter().map(|(name, p)| format!("{name}: {}", p.shown())).collect();
                format!("{{{}}}", fields.join(", "))
            }
            Pattern::Items(items) => format!("[{}]", items.iter().map(Pattern::shown).collect::<Vec<_>>().join(", ")),
        }
    }
}

/// Adds how the members of an object differ.
pub fn compare_fields(
    path: &str,
    fields: &[(String, Pattern)],
    object: &Map<String, Value>,
    whole: bool,
    out: &mut Vec<Difference>,
) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, pattern) in fields {
        pattern.compare(&below(name), object.get(name), whole, out);
    }
    if whole {
        let unnamed = object.iter().filter(|(name, value)| !value.is_null() && fields.iter().all(|(n, _)| n != *name));
        out.extend(unnamed.map(|(name, value)| Difference {
            path: below(name),
            expected: None,
            got: Some(value.to_string()),
        }));
    }
}

/// Numbers by their value, everything else as it is.
fn equal(a: &Value, b: &Value) -> bool {
    a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
}

/// Whether a text fits a pattern with `*` for any text.
fn like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or("")) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or(""),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::topology::node;

    fn read(text: &str) -> Pattern {
        let (source, mut problems) = (Source::new("t", text), Vec::new());
        let tree = node::parse(&source, &mut problems).expect("YAML");
        let pattern = Pattern::read(&tree, &source, &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        pattern
    }

    #[test]
    fn patterns_fit_what_they_say() {
        let cases = [
            ("1", json!(1.0), true),
            ("'1'", json!(1), false),
            ("$any", json!(0), true),
            ("$any", json!(null), false),
            ("$absent", json!(null), true),
            ("{$like: 'a*c*'}", json!("abcd"), true),
            ("{$like: 'a*c'}", json!("abcd"), false),
            ("{$like: 'ab*ba'}", json!("aba"), false),
            ("{$like: abc}", json!("abcd"), false),
            ("{$regex: 'a[0-9]+'}", json!("a12"), true),
            ("{$regex: 'a[0-9]'}", json!("a12"), false),
            ("{$regex: 'a.*c'}", json!("a\nc"), true),
            ("{$regex: '1'}", json!(1), false),
            ("{$near: 1.5, within: 0.1}", json!(1.6), true),
            ("{$near: 1.5, within: 0.1}", json!("1.45"), true),
            ("{$near: 1.5, within: 0.1}", json!(1.61), false),
            ("{$near: 2026-01-10T12:00:00Z, within: 5s}", json!("2026-01-10T12:00:05Z"), true),
            ("{$near: 2026-01-10T12:00:00Z, within: 5s}", json!("2026-01-10T11:59:54.9Z"), false),
            ("{$near: 2026-01-10T12:00:00Z, within: 5s}", json!("soon"), false),
            ("{$json: {a: 1}}", json!("{\"a\":1,\"b\":2}"), true),
            ("{$text: $any}", json!("$any"), true),
            ("{a: 1, c: $absent}", json!({"a": 1, "b": 2}), true),
            ("[1, $any]", json!([1, 2]), true),
            ("[1]", json!([1, 2]), false),
        ];
        for (pattern, value, fits) in cases {
            assert_eq!(read(pattern).fits(Some(&value), false), fits, "{pattern} and {value}");
        }
        assert!(!read("{a: 1}").fits(Some(&json!({"a": 1, "b": 2})), true));
        assert!(read("{a: 1}").fits(Some(&json!({"a": 1, "b": null})), true));
    }

    #[test]
    fn json_keeps_the_digits_of_numbers_and_the_quotes_of_texts() {
        let source = Source::new("t", "{a: 1.50, b: '1', c: true, d: 2026-01-10, e: [~]}");
        let tree = node::parse(&source, &mut Vec::new()).expect("YAML");
        assert_eq!(json_text(&tree), r#"{"a":1.50,"b":"1","c":true,"d":"2026-01-10","e":[null]}"#);
    }
}
