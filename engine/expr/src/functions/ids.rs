//! Identities, and the types of columns as functions.
//!
//! An id is the same whether a system writes it as a number or as a text: `7`, `7.0` and `" 7 "` name one thing.

use std::borrow::Cow;

use connectors::table::ColumnType;
use sha2::{Digest, Sha256};
use sonic_rs::JsonValueTrait;
use uuid::Uuid;

use super::super::coerce::{coerce, text_of};
use super::super::value::{NULL, Value};
use super::super::{Env, Json};
use super::{Arguments, Fault, Function, argument, take, take_text, text_argument, text_or_null};

/// The type of a column as a function: the coercion, null where the value does not fit.
macro_rules! conversion {
    ($signature:literal, $kind:ident, $about:literal) => {
        Function::of_values(
            $signature,
            1,
            |arguments, _| Ok(take(arguments, 0).converted(ColumnType::$kind).unwrap_or(NULL)),
            $about,
        )
    };
}

pub(super) const FUNCTIONS: &[Function] = &[
    conversion!("id(value)", Id, "An id as text: numbers without fraction, texts trimmed; null if blank or no id."),
    conversion!(
        "string(value)",
        String,
        "Trimmed text; null if blank. Numbers, booleans and containers as their text."
    ),
    conversion!("text(value)", Text, "Text as it is, blanks kept."),
    conversion!("int64(value)", Int64, "An integer: floats truncated, integers in a text; null if neither."),
    conversion!("int32(value)", Int32, "An integer of 32 bits; null if it does not fit."),
    conversion!("float64(value)", Float64, "A float."),
    conversion!("bool(value)", Bool, "A boolean: texts by true, 1 and yes, numbers by not being zero."),
    conversion!("decimal(value)", Decimal, "An exact decimal as text, normalised."),
    conversion!("timestamp(value)", Timestamp, "An instant as canonical text; null if unreadable."),
    conversion!("date(value)", Date, "A date, or the date of an instant, as text."),
    Function::of_values("json(value)", 1, to_json, "The canonical JSON text of a value."),
    Function::plain("same(a, b)", 2, same_ids, "Whether two values are one id; false if either is null or no id."),
    Function::of_values(
        "uuid5(namespace, name)",
        2,
        uuid5,
        "A UUID by SHA-1 (RFC 9562); the namespace is a UUID, or 'url', 'dns', 'oid', 'x500'.",
    ),
    Function::plain("sha256(text)", 1, sha256, "The SHA-256 of a text, in hexadecimal."),
    Function::plain(
        "present('table', key)",
        2,
        present,
        "Whether the table holds a row of the key; false for a null key.",
    )
    .literal(&[0]),
];

/// Whether `a` and `b` are one id.
pub(super) fn same(a: &Json, b: &Json) -> bool {
    match (a.as_str(), b.as_str()) {
        (Some(a), Some(b)) => a.trim() == b.trim() && !a.trim().is_empty(),
        _ => match (coerce(ColumnType::Id, a), coerce(ColumnType::Id, b)) {
            (Ok(a), Ok(b)) => a == b && !a.is_null(),
            _ => false,
        },
    }
}

fn same_ids(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    Ok(Json::new_bool(same(argument(arguments, 0), argument(arguments, 1))))
}

pub(super) fn to_json<'v>(arguments: &mut [Value<'v>], _: &Env) -> Result<Value<'v>, Fault> {
    let value = take(arguments, 0);
    Ok(if value.is_null() { NULL } else { Value::Text(value.into_json_text()) })
}

fn uuid5<'v>(arguments: &mut [Value<'v>], _: &Env) -> Result<Value<'v>, Fault> {
    let Some(namespace) = take_text(arguments, 0) else { return Ok(NULL) };
    let namespace = match &*namespace {
        "url" => Uuid::NAMESPACE_URL,
        "dns" => Uuid::NAMESPACE_DNS,
        "oid" => Uuid::NAMESPACE_OID,
        "x500" => Uuid::NAMESPACE_X500,
        other => other.parse().map_err(|_| {
            Fault("the namespace of `uuid5` must be a UUID, or 'url', 'dns', 'oid' or 'x500'".to_owned())
        })?,
    };
    // The name is the text of whatever it is.
    let name = take(arguments, 1).converted(ColumnType::Text).unwrap_or(NULL).into_str();
    let hyphenated = |name: Cow<'_, str>| {
        let uuid = Uuid::new_v5(&namespace, name.as_bytes()).hyphenated();
        uuid.encode_lower(&mut Uuid::encode_buffer()).to_owned()
    };
    Ok(name.map(hyphenated).into())
}

fn sha256(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    Ok(text_or_null(
        text_of(argument(arguments, 0))
            .map(|text| Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    ))
}

fn present(arguments: Arguments<'_, '_>, env: &Env) -> Result<Json, Fault> {
    let Some(present) = &env.present else {
        return Err(Fault("`present` cannot be asked here: there are no tables in sight".to_owned()));
    };
    let (table, key) = (text_argument(arguments, 0).unwrap_or_default(), argument(arguments, 1));
    Ok(Json::new_bool(!key.is_null() && present(table, key)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;

    #[test]
    fn ids_are_the_same_as_text_and_as_number() {
        check(
            r#"{"n":4895140,"f":4895140.0,"t":" 4895140 ","z":"","o":{},"b":true}"#,
            &[
                ("same(n, t)", "true"),
                ("same(n, f)", "true"),
                ("same(f, '4895140')", "true"),
                ("same('4895140.0', n)", "false"),
                ("same('a', 'A')", "false"),
                ("same(z, z)", "false"),
                ("same(missing, missing)", "false"),
                ("same(o, o)", "false"),
                ("same(b, b)", "false"),
                ("id(f)", r#""4895140""#),
                ("present('t', 'k')", "true"),
                ("present('t', 'x')", "false"),
                ("present('t', missing)", "false"),
            ],
        );
    }

    #[test]
    fn conversions_answer_null_to_what_does_not_fit() {
        check(
            r#"{"n":1.9,"t":" x ","o":{"b":1,"a":[]},"d":"2026-01-10T23:30:00-01:00"}"#,
            &[
                ("[int64(n), int32(`3000000000`), int64('12'), int64('12.0'), int64(`true`)]", "[1,null,12,null,1]"),
                ("[string(n), string(t), string(o), text(t)]", r#"["1.9","x","{\"a\":[],\"b\":1}"," x "]"#),
                (
                    "[decimal('1.50'), decimal('x'), float64('2'), bool('YES'), bool('no')]",
                    r#"["1.5",null,2.0,true,false]"#,
                ),
                ("[timestamp(d), date(d), timestamp(n)]", r#"["2026-01-11T00:30:00+00:00","2026-01-11",null]"#),
                ("[json(o), json(t), json(missing)]", r#"["{\"a\":[],\"b\":1}","\" x \"",null]"#),
            ],
        );
    }

    #[test]
    fn version_of_text_or_number() {
        // "007" and 7 are 7, 2.0 is 2, other text stays, what has no text counts as missing.
        let expr =
            "if(contains(`[\"string\", \"number\"]`, type(v)), coalesce(string(int64(v)), string(v)), null) || '1'";
        for (value, expected) in
            [("\"007\"", "7"), ("7", "7"), ("2.0", "2"), ("\"b2\"", "b2"), ("\" \"", "1"), ("true", "1"), ("[1]", "1")]
        {
            check(&format!("{{\"v\":{value}}}"), &[(expr, &format!("\"{expected}\""))]);
        }
    }

    #[test]
    fn hashes() {
        check(
            r#"{"e":"a","n":7}"#,
            &[
                ("uuid5('dns', 'www.example.org')", r#""74738ff5-5367-5958-9aee-98fffdcd1876""#),
                (
                    "uuid5('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'www.example.org')",
                    r#""74738ff5-5367-5958-9aee-98fffdcd1876""#,
                ),
                ("uuid5('nowhere', e)", "the namespace of `uuid5` must be a UUID, or 'url', 'dns', 'oid' or 'x500'"),
                ("uuid5('url', missing)", "null"),
                ("uuid5(uuid5('url', 'a'), 'b') == uuid5(uuid5('url', 'a'), 'b')", "true"),
                ("uuid5('url', n) == uuid5('url', '7')", "true"),
                ("sha256('abc')", r#""ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad""#),
                ("sha256(missing)", "null"),
            ],
        );
    }
}
