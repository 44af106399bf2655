//! Instants. They are texts in expressions: any ISO form comes in, the canonical one goes out (see
//! [`time`](super::super::time)). What cannot be read gives null.

use sonic_rs::{JsonNumberTrait, JsonValueTrait};

use super::super::time::{SECOND, format_timestamp, in_range, parse_timestamp};
use super::super::value::Value;
use super::super::{Env, Json};
use super::{Arguments, Fault, Function, argument, text_argument, text_or_null};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::of_values("now()", 0, |_, env| Ok(Value::instant(env.now)), "The present instant."),
    Function::plain(
        "iso(timestamp)",
        1,
        iso,
        "The canonical text of an instant: UTC, seconds or six digits behind the point.",
    ),
    Function::plain(
        "before(a, b)",
        2,
        before,
        "Whether an instant lies before another; null if either cannot be read.",
    ),
    Function::plain("add(timestamp, seconds)", 2, add, "The instant so many seconds later."),
];

fn instant(arguments: Arguments<'_, '_>, at: usize) -> Option<i64> {
    text_argument(arguments, at).and_then(parse_timestamp)
}

fn iso(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    Ok(text_or_null(instant(arguments, 0).map(format_timestamp)))
}

fn before(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    let order = instant(arguments, 0).zip(instant(arguments, 1)).map(|(a, b)| a < b);
    Ok(order.map_or_else(Json::new_null, Json::new_bool))
}

fn add(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    let later = instant(arguments, 0).zip(argument(arguments, 1).as_number()).and_then(|(instant, seconds)| {
        let micros = match seconds.as_i64() {
            Some(seconds) => seconds.checked_mul(SECOND)?,
            None => (seconds.as_f64()? * SECOND as f64).round() as i64,
        };
        instant.checked_add(micros).filter(|instant| in_range(*instant))
    });
    Ok(text_or_null(later.map(format_timestamp)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;

    #[test]
    fn instants_have_an_order_whatever_their_form() {
        check(
            r#"{"t":"2026-01-10T12:00:00.1234567+01:00","n":1768046400}"#,
            &[
                ("t < now()", "true"),
                ("t > '2026-01-10T11:00:00Z'", "true"),
                ("'2026-01-10' <= t", "true"),
                ("date(t) >= t", "false"),
                ("timestamp(t) >= t && timestamp(t) <= t", "true"),
                ("[t > 'soon', t > n, t < missing, 'a' < 'b']", "[null,null,null,null]"),
            ],
        );
    }

    #[test]
    fn instants() {
        check(
            r#"{"t":"2026-01-10T12:00:00.1234567+01:00","n":1768046400}"#,
            &[
                ("now()", r#""2026-01-10T12:00:00+00:00""#),
                ("iso(t)", r#""2026-01-10T11:00:00.123456+00:00""#),
                ("iso(n)", "null"),
                ("iso(trim('soon'))", "null"),
                ("before(t, now())", "true"),
                ("before(now(), t)", "false"),
                ("before('2026-01-10T12:00:00Z', now())", "false"),
                ("before(missing, t)", "null"),
                ("add('2026-01-10', `86400`)", r#""2026-01-11T00:00:00+00:00""#),
                ("add(now(), `-0.5`)", r#""2026-01-10T11:59:59.500000+00:00""#),
                ("add(now(), `1e300`)", "null"),
                ("add(now(), `9223372036854775807`)", "null"),
            ],
        );
    }
}
