//! Numbers as decimal text, exactly: no float stands between a message and a column.

/// More digits than this in one number are refused: `1e999999999` is twelve bytes and would be a gigabyte.
const MAX_DIGITS: usize = 1_000;

/// A decimal number: no leading zeros before the point, no trailing ones behind it, zero without a sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// Whether it is below zero.
    pub negative: bool,
    /// The digits before the point, `0` if there are none.
    pub integer: String,
    /// The digits behind the point.
    pub fraction: String,
}

impl Decimal {
    /// Reads a number as JSON writes it, and beyond that a leading `+`, leading zeros and a missing digit before or behind
    /// the point. No spaces, no `inf`, no `NaN`.
    ///
    /// ```
    /// use expr::number::Decimal;
    /// assert_eq!(Decimal::parse("-012.5000e1").unwrap().to_string(), "-125");
    /// ```
    pub fn parse(text: &str) -> Option<Decimal> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, text.get(1..)?),
            b'+' => (false, text.get(1..)?),
            _ => (false, text),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (rest, 0),
        };
        let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if integer.len() + fraction.len() == 0 || !digits(integer) || !digits(fraction) {
            return None;
        }
        let all = format!("{integer}{fraction}");
        let all = all.as_str();
        if all.bytes().all(|digit| digit == b'0') {
            return Some(Decimal { negative: false, integer: "0".to_owned(), fraction: String::new() });
        }
        let point = i64::try_from(integer.len()).ok()?.checked_add(exponent)?;
        let limit = i64::try_from(MAX_DIGITS).ok()?;
        if all.len() > MAX_DIGITS || point.abs() > limit {
            return None;
        }
        let (integer, fraction) = match usize::try_from(point) {
            Ok(point) if point <= all.len() => (all.get(..point)?.to_owned(), all.get(point..)?.to_owned()),
            Ok(point) => (format!("{all:0<point$}"), String::new()),
            Err(_) => {
                let width = all.len() + usize::try_from(-point).ok()?;
                (String::new(), format!("{all:0>width$}"))
            }
        };
        let integer = integer.trim_start_matches('0');
        Some(Decimal {
            negative,
            integer: if integer.is_empty() { "0".to_owned() } else { integer.to_owned() },
            fraction: fraction.trim_end_matches('0').to_owned(),
        })
    }

    /// The number without what is behind the point.
    pub fn truncated(self) -> Decimal {
        Decimal { negative: self.negative && self.integer != "0", integer: self.integer, fraction: String::new() }
    }

    /// The number as an `i64`, if it is one after truncation.
    pub fn to_i64(&self) -> Option<i64> {
        let magnitude: i128 = self.integer.parse().ok()?;
        i64::try_from(if self.negative { -magnitude } else { magnitude }).ok()
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        let point = if self.fraction.is_empty() { "" } else { "." };
        write!(f, "{sign}{}{point}{}", self.integer, self.fraction)
    }
}

/// Whether `text` is an integer: an optional sign and digits.
pub fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether `text` is a number by the grammar of JSON.
pub fn is_json_number(text: &str) -> bool {
    let rest = text.strip_prefix('-').unwrap_or(text);
    let integer = rest.bytes().take_while(|byte| byte.is_ascii_digit()).count();
    let leading_zero = integer > 1 && rest.starts_with('0');
    let Some(mut rest) = rest.get(integer..) else { return false };
    if integer == 0 || leading_zero {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(|byte| byte.is_ascii_digit()).count();
        rest = fraction.get(digits..).unwrap_or("");
        if digits == 0 {
            return false;
        }
    }
    match rest.strip_prefix(['e', 'E']) {
        Some(exponent) => is_integer(exponent),
        None => rest.is_empty(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals() {
        for (text, expected) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("007", "7"),
            ("12.50", "12.5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("+1", "1"),
            ("1e3", "1000"),
            ("1.25E-3", "0.00125"),
            ("-120e-1", "-12"),
            ("123456789012345678901234567890.123456789", "123456789012345678901234567890.123456789"),
            ("0e999999999999", "0"),
        ] {
            assert_eq!(Decimal::parse(text).unwrap().to_string(), expected, "{text}");
        }
        for text in
            ["", "-", ".", "e5", "1e", "1e5.0", "1 ", "0x10", "NaN", "inf", "1_000", "1e999999999", "--1", "1,5"]
        {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn json_numbers() {
        for text in ["0", "-0", "10", "1.5", "1e5", "1E+5", "-1.5e-5"] {
            assert!(is_json_number(text), "{text}");
        }
        for text in ["", "-", "01", "1.", ".5", "+1", "1e", "1e5.0", "1 ", "NaN", "0x1"] {
            assert!(!is_json_number(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn normal_form_is_a_fixed_point(text in "[-+]?[0-9]{0,20}(\\.[0-9]{0,20})?(e[-+]?[0-9]{1,2})?") {
            if let Some(decimal) = Decimal::parse(&text) {
                let again = Decimal::parse(&decimal.to_string()).unwrap();
                prop_assert_eq!(&again, &decimal);
                let (a, b): (f64, f64) = (text.parse().unwrap(), decimal.to_string().parse().unwrap());
                prop_assert_eq!(a, b);
            }
        }
    }
}
