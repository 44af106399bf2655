//! Instants and dates as text: ISO 8601 in, one canonical form out.
//!
//! An instant is microseconds since 1970-01-01 UTC, a date is days since then. What is read: `2026-01-10T12:00:00`, with a
//! space or `t` for the `T`, without seconds, or the date alone (midnight), or all of it without its marks, `20260110T120000`; any
//! number of fractional digits behind a point or a comma, of which those beyond microseconds are cut; then `Z`, an offset (`+01:00`,
//! `+0100`, `+01`) or nothing, which means UTC. Eight digits alone are a number and no date. Years are 0001 to 9999. What is written: seconds where the microseconds are zero, else six digits, and always `+00:00`.

/// Microseconds of a second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds of a day.
pub const DAY: i64 = 86_400 * SECOND;

/// The days since 1970-01-01 of a day of the proleptic Gregorian calendar; `None` when there is no such day.
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    const LENGTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = LENGTHS.get(usize::try_from(month - 1).ok()?)? + i64::from(month == 2 && leap);
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years begin in March, so the leap day is the last one (Hinnant, "chrono-compatible low-level date algorithms").
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// The year, month and day of `days`; the inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// Reads text from its beginning.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// Takes one byte that is one of `wanted`.
    fn take(&mut self, wanted: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        wanted.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    /// Takes a number of exactly `width` digits.
    fn number(&mut self, width: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(width)?;
        let mut value = 0;
        for digit in digits {
            value = value * 10 + i64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
        }
        self.0 = rest;
        Some(value)
    }

    /// Takes the digits of a fraction of a second, as microseconds.
    fn fraction(&mut self) -> Option<i64> {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        (count > 0).then(|| (0..6).fold(0, |value, at| value * 10 + digits.get(at).map_or(0, |d| i64::from(d - b'0'))))
    }

    fn is_digit(&self) -> bool {
        self.peek().is_some_and(|byte| byte.is_ascii_digit())
    }

    /// Takes a date, and says whether hyphens stand in it.
    fn date(&mut self) -> Option<(i64, bool)> {
        let year = self.number(4)?;
        let marked = self.take(b"-").is_some();
        let month = self.number(2)?;
        if marked {
            self.take(b"-")?;
        }
        Some((days_from_civil(year, month, self.number(2)?)?, marked))
    }

    /// Takes an hour, a minute and what follows, as microseconds since midnight; `marked` if colons stand between them.
    fn time(&mut self, marked: bool) -> Option<i64> {
        let hour = self.number(2)?;
        let mark = |reader: &mut Self| if marked { reader.take(b":").is_some() } else { reader.is_digit() };
        if !mark(self) {
            return None;
        }
        let minute = self.number(2)?;
        let mut second = 0;
        let mut micros = 0;
        if mark(self) {
            second = self.number(2)?;
            if self.take(b".,").is_some() {
                micros = self.fraction()?;
            }
        }
        (hour < 24 && minute < 60 && second < 60).then_some((hour * 3600 + minute * 60 + second) * SECOND + micros)
    }

    /// Takes what is left of an offset, as seconds east of UTC; nothing means UTC.
    fn offset(&mut self) -> Option<i64> {
        let seconds = match self.take(b"Zz+-") {
            None | Some(b'Z' | b'z') => 0,
            Some(sign) => {
                let hours = self.number(2)?;
                let minutes = match self.peek() {
                    None => 0,
                    Some(_) => {
                        self.take(b":");
                        self.number(2)?
                    }
                };
                if hours > 23 || minutes > 59 {
                    return None;
                }
                (hours * 3600 + minutes * 60) * if sign == b'-' { -1 } else { 1 }
            }
        };
        self.0.is_empty().then_some(seconds)
    }
}

/// The instant that `text` names.
///
/// ```
/// use expr::time::{format_timestamp, parse_timestamp};
/// let instant = parse_timestamp("2026-01-10T23:15:51.5801239+01:00").unwrap();
/// assert_eq!(format_timestamp(instant), "2026-01-10T22:15:51.580123+00:00");
/// ```
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let mut reader = Reader(text.trim().as_bytes());
    let (days, marked) = reader.date()?;
    let joints: &[u8] = if marked { b"Tt " } else { b"Tt" };
    let time = match reader.take(joints) {
        Some(_) => reader.time(marked)?,
        None if reader.0.is_empty() && marked => 0,
        None => return None,
    };
    // An offset can lead out of the years that have a text.
    Some(days * DAY + time - reader.offset()? * SECOND).filter(|micros| in_range(*micros))
}

/// The date that `text` names: a date, or the date in UTC of an instant.
pub fn parse_date(text: &str) -> Option<i32> {
    i32::try_from(parse_timestamp(text)?.div_euclid(DAY)).ok()
}

/// The instant of the compact form `20260110T120000Z`.
pub fn parse_compact(text: &str) -> Option<i64> {
    let mut reader = Reader(text.as_bytes());
    let days = days_from_civil(reader.number(4)?, reader.number(2)?, reader.number(2)?)?;
    reader.take(b"T")?;
    let (hour, minute, second) = (reader.number(2)?, reader.number(2)?, reader.number(2)?);
    reader.take(b"Z")?;
    (reader.0.is_empty() && hour < 24 && minute < 60 && second < 60)
        .then_some(days * DAY + (hour * 3600 + minute * 60 + second) * SECOND)
}

/// The canonical text of an instant.
pub fn format_timestamp(micros: i64) -> String {
    let (year, month, day) = civil_from_days(micros.div_euclid(DAY));
    let rest = micros.rem_euclid(DAY);
    let (second, fraction) = (rest / SECOND, rest % SECOND);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut out = String::with_capacity(32);
    if (0..=9999).contains(&year) {
        digits(&mut out, year, 4);
    } else {
        out.push_str(&format!("{year:04}"));
    }
    for (mark, value) in [('-', month), ('-', day), ('T', hour), (':', minute), (':', second)] {
        out.push(mark);
        digits(&mut out, value, 2);
    }
    if fraction != 0 {
        out.push('.');
        digits(&mut out, fraction, 6);
    }
    out.push_str("+00:00");
    out
}

/// Writes the last `width` digits of `value`, which is not negative.
fn digits(out: &mut String, value: i64, width: u32) {
    for place in (0..width).rev() {
        let digit = value / 10i64.pow(place) % 10;
        out.push(char::from(b'0' + u8::try_from(digit).unwrap_or(0)));
    }
}

/// The ISO text of a date.
pub fn format_date(days: i32) -> String {
    let (year, month, day) = civil_from_days(i64::from(days));
    format!("{year:04}-{month:02}-{day:02}")
}

/// Whether an instant lies in the years that can be read and written.
pub fn in_range(micros: i64) -> bool {
    // 0001-01-01 and 10000-01-01.
    (-719_162 * DAY..2_932_897 * DAY).contains(&micros)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_every_accepted_form() {
        for (text, canonical) in [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00+00:00"),
            ("2026-01-10T12:00:00", "2026-01-10T12:00:00+00:00"),
            (" 2026-01-10 12:00:00z ", "2026-01-10T12:00:00+00:00"),
            ("2026-01-10T12:00Z", "2026-01-10T12:00:00+00:00"),
            ("2026-01-10", "2026-01-10T00:00:00+00:00"),
            ("2026-01-10T22:15:51.580+00:00", "2026-01-10T22:15:51.580000+00:00"),
            ("2026-01-10T22:15:51.1234567Z", "2026-01-10T22:15:51.123456+00:00"),
            ("2026-01-10T22:15:51.999999999-05:30", "2026-01-11T03:45:51.999999+00:00"),
            ("2026-01-01T00:30:00+0100", "2025-12-31T23:30:00+00:00"),
            ("2026-01-01T00:30:00+01", "2025-12-31T23:30:00+00:00"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00+00:00"),
            // The comma of ISO 8601, and its basic form.
            ("2026-01-10T22:15:51,58Z", "2026-01-10T22:15:51.580000+00:00"),
            ("20260110T120000Z", "2026-01-10T12:00:00+00:00"),
            ("20260110T1200", "2026-01-10T12:00:00+00:00"),
            ("20260110T221551,1234567+0100", "2026-01-10T21:15:51.123456+00:00"),
            ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500000+00:00"),
            ("2000-03-01T00:00:00.0000001Z", "2000-03-01T00:00:00+00:00"),
        ] {
            assert_eq!(parse_timestamp(text).map(format_timestamp).as_deref(), Some(canonical), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            // An offset leads out of the years that have a text.
            "9999-12-31T23:59:59-05:00",
            "0001-01-01T00:00:00+01:00",
            "now",
            "2026-1-1",
            "2026-02-29",
            "2100-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "0000-01-01",
            "2026-01-10T",
            "2026-01-10T24:00:00",
            "2026-01-10T12:60:00",
            "2026-01-10T12:00:60",
            "2026-01-10T12:00:00.",
            "2026-01-10T12:00:00.5Zx",
            "2026-01-10T12:00:00+24:00",
            "2026-01-10T12:00:00+1",
            "2026-01-10Z",
            "2026-01-10T12:00:00,",
            "20260110",
            "202601101200",
            "20260110 120000",
            "20260110T12",
            "20260110T12000",
            "20260110T12:00:00Z",
            "2026-0110T120000Z",
            "2026-01-10T120000Z",
            "20260229T120000Z",
            "1768046400000",
            "２０２６-01-10",
        ] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn compact_form() {
        assert_eq!(parse_compact("20260110T120000Z"), parse_timestamp("2026-01-10T12:00:00Z"));
        for text in ["", "20260110T120000", "20260110T250000Z", "20260110T120000Zx", "2026-01-10T12:00:00Z"] {
            assert_eq!(parse_compact(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_is_a_bijection(micros in -719_162 * DAY..2_932_897 * DAY) {
            prop_assert!(in_range(micros));
            prop_assert_eq!(parse_timestamp(&format_timestamp(micros)), Some(micros));
        }

        #[test]
        fn order_of_texts_is_order_of_dates(a in 0..50_000, b in 0..50_000) {
            prop_assert_eq!(format_date(a).cmp(&format_date(b)), a.cmp(&b));
            prop_assert_eq!(parse_date(&format_date(a)), Some(a));
        }
    }
}
