//! Values that stand in YAML as text: durations, sizes, types.

use std::time::Duration;

use connectors::table::ColumnType;

/// Reads `250ms`, `30s`, `5m`, `24h`, `7d`, or a bare number of seconds.
///
/// ```
/// use engine::topology::value::duration;
/// use std::time::Duration;
/// assert_eq!(duration("5m"), Some(Duration::from_secs(300)));
/// assert_eq!(duration("90"), Some(Duration::from_secs(90)));
/// assert_eq!(duration("1 week"), None);
/// ```
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let unit_ms = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).filter(|duration| *duration <= LONGEST)
}

/// The longest duration: instants are counted from now, and their range ends somewhere.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Reads an instant such as `2026-01-10T08:00:00Z`, in microseconds.
pub fn instant(text: &str) -> Option<i64> {
    Some(chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros())
}

/// Reads `500B`, `64KiB`, `16MiB`, `1GiB`, `2TiB`, or a bare number of bytes.
pub fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift).filter(|bytes| usize::try_from(*bytes).is_ok())
}

/// What a flag was meant to be that is spelt as in YAML 1.1 or in another language.
pub fn meant_bool(text: &str) -> Option<&'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "1" => Some("true"),
        "false" | "no" | "off" | "n" | "0" => Some("false"),
        _ => None,
    }
}

/// A whole number that is written as a fraction, or in groups of digits.
pub fn meant_integer(text: &str) -> Option<String> {
    let plain: String = text.chars().filter(|c| !matches!(c, '_' | ',' | ' ')).collect();
    let number: f64 = plain.parse().ok()?;
    (number.fract() == 0.0 && (0.0..=f64::from(i32::MAX)).contains(&number) && plain != text || text.ends_with(".0"))
        .then(|| format!("{number:.0}"))
}

/// A duration with a unit as people write it, or a fraction.
pub fn meant_duration(text: &str) -> Option<String> {
    let (number, unit) = fraction(text)?;
    let unit_ms = match unit.as_str() {
        "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => 1.0,
        "" | "s" | "sec" | "secs" | "second" | "seconds" => 1000.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000.0,
        "d" | "day" | "days" => 86_400_000.0,
        "w" | "wk" | "week" | "weeks" => 604_800_000.0,
        _ => return None,
    };
    let ms = number * unit_ms;
    if !(ms >= 1.0 && ms.fract() == 0.0 && ms <= LONGEST.as_millis() as f64) {
        return None;
    }
    let units = [(86_400_000.0, "d"), (3_600_000.0, "h"), (60_000.0, "m"), (1000.0, "s"), (1.0, "ms")];
    let (size, unit) = units.into_iter().find(|(size, _)| (ms / size).fract() == 0.0)?;
    Some(format!("{:.0}{unit}", ms / size))
}

/// A size with a unit as people write it, or a fraction.
pub fn meant_size(text: &str) -> Option<String> {
    let (number, unit) = fraction(text)?;
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let power = match unit.as_str() {
        "" | "b" | "byte" | "bytes" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return None,
    };
    let (mut number, mut power) = (number, power);
    while number.fract() != 0.0 && power > 0 {
        (number, power) = (number * 1024.0, power - 1);
    }
    (number >= 1.0 && number.fract() == 0.0).then(|| format!("{number:.0}{}", units[power]))
}

/// A number, perhaps with a fraction, and the unit behind it in lower case.
fn fraction(text: &str) -> Option<(f64, String)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim().to_ascii_lowercase()))
}

/// What a type of another system is called here.
pub fn meant_type(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "str" | "varchar" | "char" | "keyword" => "string",
        "int" | "integer" | "long" | "bigint" | "i64" | "number" | "uint64" => "int64",
        "short" | "smallint" | "i32" => "int32",
        "float" | "double" | "real" | "f64" | "float32" => "float64",
        "boolean" => "bool",
        "numeric" | "money" => "decimal",
        "datetime" | "time" | "timestamptz" | "instant" => "timestamp",
        "object" | "map" | "struct" | "list" | "array" | "dict" | "variant" | "record" => "json",
        "uuid" | "guid" | "identifier" => "id",
        _ => return None,
    })
}

fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start()))
}

/// A delay as it stands in the name of a retry topic: in the largest of hours, minutes and seconds that divides it.
pub fn delay_name(delay: Duration) -> String {
    match delay.as_millis() {
        ms if ms % 1000 != 0 => format!("{ms}ms"),
        ms if ms % 60_000 != 0 => format!("{}s", ms / 1000),
        ms if ms % 3_600_000 != 0 => format!("{}m", ms / 60_000),
        ms => format!("{}h", ms / 3_600_000),
    }
}

/// The names of the types of columns.
pub const TYPES: &[(&str, ColumnType)] = &[
    ("id", ColumnType::Id),
    ("string", ColumnType::String),
    ("text", ColumnType::Text),
    ("int64", ColumnType::Int64),
    ("int32", ColumnType::Int32),
    ("float64", ColumnType::Float64),
    ("bool", ColumnType::Bool),
    ("decimal", ColumnType::Decimal),
    ("timestamp", ColumnType::Timestamp),
    ("date", ColumnType::Date),
    ("json", ColumnType::Json),
];

/// Reads a type with an optional `!`: the type (`None` is `any`) and whether it is required.
pub fn kind(text: &str) -> Option<(Option<ColumnType>, bool)> {
    let (name, required) = text.strip_suffix('!').map_or((text, false), |name| (name, true));
    if name == "any" {
        return Some((None, required));
    }
    TYPES.iter().find(|(n, _)| *n == name).map(|(_, kind)| (Some(*kind), required))
}

/// The name of a type.
pub fn kind_name(kind: Option<ColumnType>) -> &'static str {
    TYPES.iter().find(|(_, k)| Some(*k) == kind).map_or("any", |(name, _)| name)
}

/// Whether values of one type can ever become another. Text may hold anything; instants, dates and decimals are texts of one form.
pub fn fits(from: Option<ColumnType>, to: Option<ColumnType>) -> bool {
    use ColumnType::{Bool, Date, Decimal, Float64, Id, Int32, Int64, Json, String, Text, Timestamp};
    let (Some(from), Some(to)) = (from, to) else { return true };
    match (from, to) {
        (a, b) if a == b => true,
        (Id | String | Text | Json, _) | (_, String | Text | Json) => true,
        (Bool, to) => matches!(to, Int64 | Int32),
        (Timestamp | Date, to) => matches!(to, Timestamp | Date | Id),
        (Int64 | Int32 | Float64 | Decimal, to) => !matches!(to, Timestamp | Date),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_sizes_and_names() {
        let cases = [
            ("250ms", 250),
            ("30s", 30_000),
            ("30", 30_000),
            ("24h", 86_400_000),
            ("7d", 604_800_000),
            ("5 m", 300_000),
        ];
        for (text, ms) in cases {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "m", "-1s", "1.5h", "1w", "18446744073709551615d"] {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!(duration("40000d"), None);
        for (text, meant) in
            [("1.5h", Some("90m")), ("5 minutes", Some("5m")), ("1w", Some("7d")), ("soon", None), ("0.1ms", None)]
        {
            assert_eq!(meant_duration(text).as_deref(), meant, "{text}");
        }
        for (text, meant) in [("8MB", Some("8MiB")), ("1.5GiB", Some("1536MiB")), ("2G", Some("2GiB")), ("big", None)] {
            assert_eq!(meant_size(text).as_deref(), meant, "{text}");
        }
        for (text, meant) in [("12.0", Some("12")), ("1_000", Some("1000")), ("1.5", None), ("many", None)] {
            assert_eq!(meant_integer(text).as_deref(), meant, "{text}");
        }
        assert_eq!(size("16MiB"), Some(16 << 20));
        assert_eq!(size("7"), Some(7));
        assert_eq!(size("1MB"), None);
        for (text, name) in
            [("300", "5m"), ("40m", "40m"), ("90s", "90s"), ("60m", "1h"), ("7d", "168h"), ("1500ms", "1500ms")]
        {
            assert_eq!(duration(text).map(delay_name).as_deref(), Some(name));
        }
    }
}
