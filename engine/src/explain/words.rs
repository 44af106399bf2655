//! Sizes, durations and counts as people read them.

use std::time::Duration;

/// A size: `32 MiB`, `1500 bytes`.
pub fn bytes(bytes: usize) -> String {
    const UNITS: [(usize, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    if bytes == usize::MAX {
        return "any size".to_owned();
    }
    match UNITS.iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}

/// A duration in the largest units that fit it: `5m`, `90s`, `250ms`.
pub fn span(duration: Duration) -> String {
    const UNITS: [(u128, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let ms = duration.as_millis();
    if ms == 0 {
        return format!("{}us", duration.as_micros());
    }
    match UNITS.iter().find(|(unit, _)| ms.is_multiple_of(*unit)) {
        // A day is 24 hours, and says more so.
        Some((86_400_000, _)) if ms <= 2 * 86_400_000 => format!("{}h", ms / 3_600_000),
        Some((unit, name)) => format!("{}{name}", ms / unit),
        None => format!("{ms}ms"),
    }
}

/// So many of them: `1 call`, `3 calls`, `2 successes`.
pub fn count(count: usize, what: &str) -> String {
    match (count, what.ends_with('s')) {
        (1, _) => format!("1 {what}"),
        (_, true) => format!("{count} {what}es"),
        _ => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_said_in_their_largest_unit() {
        let spans =
            [(0, "0us"), (250, "250ms"), (90_000, "90s"), (300_000, "5m"), (86_400_000, "24h"), (604_800_000, "7d")];
        for (ms, text) in spans {
            assert_eq!(span(Duration::from_millis(ms)), text);
        }
        assert_eq!([bytes(32 << 20), bytes(1500), bytes(1 << 10)], ["32 MiB", "1500 bytes", "1 KiB"]);
        assert_eq!([count(1, "call"), count(2, "call"), count(2, "success")], ["1 call", "2 calls", "2 successes"]);
    }
}
