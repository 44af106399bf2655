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
    number.checked_mul(unit_ms).map(Duration::from_millis)
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

/// Whether values of one type can ever become another. Text may hold anything.
pub fn fits(from: Option<ColumnType>, to: Option<ColumnType>) -> bool {
    use ColumnType::{Bool, Date, Decimal, Float64, Id, Int32, Int64, Json, String, Text, Timestamp};
    let (Some(from), Some(to)) = (from, to) else { return true };
    match (from, to) {
        (a, b) if a == b => true,
        (Id | String | Text | Json, _) | (_, String | Text | Json) => true,
        (Bool, _) | (_, Bool) => false,
        (Timestamp | Date, Timestamp | Date) => true,
        (Timestamp | Date, _) => false,
        (Float64 | Decimal, Id) => false,
        (_, Date) => false,
        (Int64 | Int32 | Float64 | Decimal, _) => true,
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
