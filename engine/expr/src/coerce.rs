//! From JSON to the cells of columns, and back.
//!
//! Null is null for every type, and so is a text of nothing but blanks, except for `text` (which keeps blanks), `bool`
//! (where it is not true) and `json`. What does not fit its type is a [`Mismatch`]; nothing is guessed. The rules by type:
//!
//! | type | null | number | text | boolean | list, object |
//! |---|---|---|---|---|---|
//! | `id` | null | its digits, fraction dropped | trimmed | no | no |
//! | `string` | null | its own text | trimmed | `true`, `false` | JSON text |
//! | `text` | null | its own text | as it is | `true`, `false` | JSON text |
//! | `int64`, `int32` | null | truncated | of an integer | 1, 0 | no |
//! | `float64` | null | as it is | of a number | no | no |
//! | `bool` | null | not zero | `true`, `1`, `yes` in any case are true | as it is | no |
//! | `decimal` | null | exact | of a number | no | no |
//! | `timestamp`, `date` | null | no | ISO | no | no |
//! | `json` | null | JSON text | JSON text | JSON text | JSON text |
//!
//! [`coerce`] is idempotent: `coerce(kind, &cell_to_json(&cell, kind))` is `cell` again, for every cell that it makes.

use std::borrow::Cow;

use connectors::table::{Cell, ColumnType};
use sonic_rs::{JsonType, JsonValueTrait};

use super::number::{Decimal, is_integer};
use super::time::{format_date, format_timestamp, parse_date, parse_timestamp};
use super::{Json, json};

/// A value that does not fit a type. It holds the type of what was found, never the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} was expected, not {got}", article(*expected))]
pub struct Mismatch {
    /// The type that was asked for.
    pub expected: ColumnType,
    /// What was found: a type, or a type and what is wrong with its value.
    pub got: &'static str,
}

fn article(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Id => "an id",
        ColumnType::String | ColumnType::Text => "a text",
        ColumnType::Int64 => "an integer",
        ColumnType::Int32 => "an integer of 32 bits",
        ColumnType::Float64 => "a number",
        ColumnType::Bool => "a boolean",
        ColumnType::Decimal => "a decimal number",
        ColumnType::Timestamp => "an ISO timestamp",
        ColumnType::Date => "an ISO date",
        ColumnType::Json => "JSON",
    }
}

/// The cell that `value` becomes in a column of type `kind`.
///
/// ```
/// use connectors::table::{Cell, ColumnType};
/// use expr::{coerce, json::parse};
///
/// assert_eq!(coerce(ColumnType::Id, &parse(b"4895140.0").unwrap()), Ok(Cell::Text("4895140".into())));
/// assert_eq!(coerce(ColumnType::String, &parse(b"40.0").unwrap()), Ok(Cell::Text("40.0".into())));
/// let error = coerce(ColumnType::Int64, &parse(br#""12.0""#).unwrap()).unwrap_err();
/// assert_eq!(error.to_string(), "an integer was expected, not a text that cannot be read as one");
/// ```
pub fn coerce(kind: ColumnType, value: &Json) -> Result<Cell, Mismatch> {
    let found = value.get_type();
    let mismatch = || Mismatch {
        expected: kind,
        got: match found {
            JsonType::Null => "null",
            JsonType::Boolean => "a boolean",
            JsonType::Number if matches!(kind, ColumnType::Timestamp | ColumnType::Date) => "a number",
            JsonType::Number => "a number out of range",
            JsonType::String => "a text that cannot be read as one",
            JsonType::Array => "a list",
            JsonType::Object => "an object",
        },
    };
    let text = value.as_str();
    let blank = text.is_some_and(|text| text.trim().is_empty());
    if found == JsonType::Null || blank && !matches!(kind, ColumnType::Text | ColumnType::Bool | ColumnType::Json) {
        return Ok(Cell::Null);
    }
    let trimmed = text.map(str::trim);
    // The text of a number, or of a text that should be one.
    let number = || match (found, trimmed) {
        (JsonType::Number, _) => json::with_number_text(value, |text| Some(text.to_owned())),
        (_, text) => text.map(str::to_owned),
    };
    let cell = match kind {
        ColumnType::Id => match trimmed {
            Some(text) => Some(Cell::Text(text.into())),
            None if found == JsonType::Number => json::with_number_text(value, |text| {
                if is_integer(text) && text != "-0" {
                    return Some(Cell::Text(text.into()));
                }
                Decimal::parse(text).map(|decimal| Cell::Text(decimal.truncated().to_string().into()))
            }),
            None => None,
        },
        ColumnType::String => match trimmed {
            Some(text) => Some(Cell::Text(text.into())),
            None => text_of(value).map(|text| Cell::Text(text.into())),
        },
        ColumnType::Text => text_of(value).map(|text| Cell::Text(text.into())),
        ColumnType::Int64 => to_i64(value, trimmed).map(Cell::Int),
        ColumnType::Int32 => to_i64(value, trimmed).filter(|value| i32::try_from(*value).is_ok()).map(Cell::Int),
        ColumnType::Float64 => number()
            // Rust also reads `inf` and `nan`; a decimal with a decent exponent is what is meant.
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)))
            .and_then(|text| text.parse::<f64>().ok())
            .filter(|value| value.is_finite())
            .map(|value| Cell::Float(value.to_bits())),
        ColumnType::Bool => match (found, trimmed) {
            (_, Some(text)) => Some(Cell::Bool(["true", "1", "yes"].iter().any(|yes| text.eq_ignore_ascii_case(yes)))),
            (JsonType::Number, _) => Some(Cell::Bool(value.as_f64() != Some(0.0))),
            _ => value.as_bool().map(Cell::Bool),
        },
        ColumnType::Decimal => {
            number().and_then(|text| Decimal::parse(&text)).map(|decimal| Cell::Text(decimal.to_string().into()))
        }
        ColumnType::Timestamp => text.and_then(parse_timestamp).map(Cell::Timestamp),
        ColumnType::Date => text.and_then(parse_date).map(Cell::Date),
        ColumnType::Json => Some(Cell::Text(json::to_text(value).into())),
    };
    cell.ok_or_else(mismatch)
}

fn to_i64(value: &Json, trimmed: Option<&str>) -> Option<i64> {
    if let Some(text) = trimmed {
        return is_integer(text).then(|| text.parse().ok()).flatten();
    }
    match value.get_type() {
        JsonType::Boolean => value.as_bool().map(i64::from),
        JsonType::Number => json::with_number_text(value, |text| match text.parse() {
            Ok(integer) => Some(integer),
            Err(_) => Decimal::parse(text)?.to_i64(),
        }),
        _ => None,
    }
}

/// The text of a value: a text as it is, a number as the message writes it (with an exponent: as a float is written), a
/// boolean as `true` or `false`, a list or an object as its JSON text, nothing for null.
pub fn text_of(value: &Json) -> Option<Cow<'_, str>> {
    match value.get_type() {
        JsonType::Null => None,
        JsonType::String => value.as_str().map(Cow::Borrowed),
        JsonType::Boolean => Some(Cow::Borrowed(if value.as_bool() == Some(true) { "true" } else { "false" })),
        JsonType::Number => Some(Cow::Owned(json::with_number_text(value, |text| {
            match if text.contains(['e', 'E']) { value.as_f64() } else { None } {
                Some(float) => json::to_text(&json::float(float)),
                None => text.to_owned(),
            }
        }))),
        JsonType::Array | JsonType::Object => Some(Cow::Owned(json::to_text(value))),
    }
}

/// A time that stays the text it came as: trimmed, every `Z` as `+00:00`, not checked. Nothing for a blank text and for what
/// is no text.
pub fn ts_text(value: &Json) -> Option<String> {
    let text = value.as_str()?.trim();
    (!text.is_empty()).then(|| text.replace('Z', "+00:00"))
}

/// The JSON of a cell: instants and dates as ISO text, decimals as text, JSON columns as the value they hold.
pub fn cell_to_json(cell: &Cell, kind: ColumnType) -> Json {
    match cell {
        Cell::Null => Json::new_null(),
        Cell::Bool(value) => Json::new_bool(*value),
        Cell::Int(value) => json::integer(*value),
        Cell::Float(bits) => json::float(f64::from_bits(*bits)),
        Cell::Text(text) if kind == ColumnType::Json => {
            json::parse(text.as_bytes()).unwrap_or_else(|_| json::text(text))
        }
        Cell::Text(text) => json::text(text),
        Cell::Timestamp(micros) => json::text(&format_timestamp(*micros)),
        Cell::Date(days) => json::text(&format_date(*days)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KINDS: [ColumnType; 11] = ColumnType::ALL;

    /// The cell in one word: `null`, `!` for a mismatch, else its content.
    fn shown(kind: ColumnType, text: &str) -> String {
        match coerce(kind, &json::parse(text.as_bytes()).unwrap()) {
            Err(_) => "!".to_owned(),
            Ok(Cell::Null) => "null".to_owned(),
            Ok(Cell::Bool(value)) => value.to_string(),
            Ok(Cell::Int(value)) => value.to_string(),
            Ok(Cell::Float(bits)) => format!("{:?}", f64::from_bits(bits)),
            Ok(Cell::Text(text)) => format!("'{text}'"),
            Ok(Cell::Timestamp(micros)) => format_timestamp(micros),
            Ok(Cell::Date(days)) => format_date(days),
        }
    }

    // One line a value: what it is as each of KINDS.
    #[test]
    fn every_kind_of_value_as_every_type() {
        const LINES: &[(&str, &str)] = &[
            ("null", "null | null | null | null | null | null | null | null | null | null | null"),
            ("true", "! | 'true' | 'true' | 1 | 1 | ! | true | ! | ! | ! | 'true'"),
            ("false", "! | 'false' | 'false' | 0 | 0 | ! | false | ! | ! | ! | 'false'"),
            ("0", "'0' | '0' | '0' | 0 | 0 | 0.0 | false | '0' | ! | ! | '0'"),
            ("-0.0", "'0' | '-0.0' | '-0.0' | 0 | 0 | -0.0 | false | '0' | ! | ! | '-0.0'"),
            (
                "4895140.0",
                "'4895140' | '4895140.0' | '4895140.0' | 4895140 | 4895140 | 4895140.0 | true | '4895140' | ! | ! | '4895140.0'",
            ),
            ("-74", "'-74' | '-74' | '-74' | -74 | -74 | -74.0 | true | '-74' | ! | ! | '-74'"),
            ("-1.90", "'-1' | '-1.90' | '-1.90' | -1 | -1 | -1.9 | true | '-1.9' | ! | ! | '-1.90'"),
            ("1e3", "'1000' | '1000.0' | '1000.0' | 1000 | 1000 | 1000.0 | true | '1000' | ! | ! | '1e3'"),
            (
                "3000000000",
                "'3000000000' | '3000000000' | '3000000000' | 3000000000 | ! | 3000000000.0 | true | '3000000000' | ! | ! | '3000000000'",
            ),
            (
                "12345678901234567890123",
                "'12345678901234567890123' | '12345678901234567890123' | '12345678901234567890123' | ! | ! | 1.2345678901234568e22 | true | '12345678901234567890123' | ! | ! | '12345678901234567890123'",
            ),
            (
                "0.1234567890123456789",
                "'0' | '0.1234567890123456789' | '0.1234567890123456789' | 0 | 0 | 0.12345678901234568 | true | '0.1234567890123456789' | ! | ! | '0.1234567890123456789'",
            ),
            ("1e999", "'D' | '1e999' | '1e999' | ! | ! | ! | true | 'D' | ! | ! | '1e999'"),
            ("\"\"", "null | null | '' | null | null | null | false | null | null | null | '\"\"'"),
            ("\"  \"", "null | null | '  ' | null | null | null | false | null | null | null | '\"  \"'"),
            ("\" 12 \"", "'12' | '12' | ' 12 ' | 12 | 12 | 12.0 | false | '12' | ! | ! | '\" 12 \"'"),
            ("\"12.0\"", "'12.0' | '12.0' | '12.0' | ! | ! | 12.0 | false | '12' | ! | ! | '\"12.0\"'"),
            ("\"1\"", "'1' | '1' | '1' | 1 | 1 | 1.0 | true | '1' | ! | ! | '\"1\"'"),
            ("\" YES\"", "'YES' | 'YES' | ' YES' | ! | ! | ! | true | ! | ! | ! | '\" YES\"'"),
            ("\"nan\"", "'nan' | 'nan' | 'nan' | ! | ! | ! | false | ! | ! | ! | '\"nan\"'"),
            (
                "\"2026-01-10T23:30:00.5-01:00\"",
                "'2026-01-10T23:30:00.5-01:00' | '2026-01-10T23:30:00.5-01:00' | '2026-01-10T23:30:00.5-01:00' | ! | ! | ! | false | ! | 2026-01-11T00:30:00.500000+00:00 | 2026-01-11 | '\"2026-01-10T23:30:00.5-01:00\"'",
            ),
            ("[1, \"a\"]", "! | '[1,\"a\"]' | '[1,\"a\"]' | ! | ! | ! | ! | ! | ! | ! | '[1,\"a\"]'"),
            (
                "{\"b\": 1.50, \"a\": null}",
                "! | '{\"a\":null,\"b\":1.50}' | '{\"a\":null,\"b\":1.50}' | ! | ! | ! | ! | ! | ! | ! | '{\"a\":null,\"b\":1.50}'",
            ),
        ];
        for (value, expected) in LINES {
            // `D` stands for the thousand digits of 1e999.
            let digits = format!("1{}", "0".repeat(999));
            let shown: Vec<_> = KINDS.iter().map(|kind| shown(*kind, value).replace(&digits, "D")).collect();
            assert_eq!(shown.join(" | "), *expected, "{value}");
        }
    }

    #[test]
    fn computed_numbers_have_texts_too() {
        assert_eq!(text_of(&json::float(40.0)).unwrap(), "40.0");
        assert_eq!(text_of(&json::integer(-7)).unwrap(), "-7");
        assert_eq!(coerce(ColumnType::Id, &json::float(7.0)), Ok(Cell::Text("7".into())));
        assert_eq!(coerce(ColumnType::Decimal, &json::float(0.1)), Ok(Cell::Text("0.1".into())));
    }

    #[test]
    fn mismatches_name_types_and_no_values() {
        let error = coerce(ColumnType::Timestamp, &json::parse(b"17").unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "an ISO timestamp was expected, not a number");
        let error = coerce(ColumnType::Id, &json::parse(b"{}").unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "an id was expected, not an object");
    }

    fn any_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<bool>().prop_map(|value| value.to_string()),
            "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,12})?(e[-+]?[0-9]{1,2})?",
            "[ -~é\n]{0,12}".prop_map(|text| json::to_text(&json::text(&text))),
            "(0|1|2)[0-9]{3}-(0|1)[0-9]-[0-3][0-9](T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{0,9})?(Z|[+-]0[0-9]:30)?)?"
                .prop_map(|text| format!("\"{text}\"")),
            "[-+]?[0-9]{0,12}(\\.[0-9]{1,4})?".prop_map(|text| format!("\"{text}\"")),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(|list| format!("[{}]", list.join(","))),
                (inner.clone(), inner).prop_map(|(a, b)| format!("{{\"b\":{a},\"a\":{b}}}")),
            ]
        })
    }

    proptest! {
        #[test]
        fn coercion_is_idempotent(text in any_json()) {
            let value = json::parse(text.as_bytes()).unwrap();
            for kind in KINDS {
                if let Ok(cell) = coerce(kind, &value) {
                    let back = cell_to_json(&cell, kind);
                    prop_assert_eq!(coerce(kind, &back), Ok(cell), "{:?} of {}", kind, text);
                }
            }
        }
    }
}
