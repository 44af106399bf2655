//! Names that were probably meant where another one stands.
//!
//! A slip drops, adds, doubles or swaps a letter, hits another one, or breaks a name off; the first letter is seldom wrong. Names that are
//! about as near as the nearest are all told, because which of them was meant is not known.

use strsim::osa_distance;

/// How much further than the nearest a name may be and still be told.
const ABOUT: f64 = 0.25;
/// At most so many names are told.
const MOST: usize = 3;

/// The names that `given` was probably meant to be, the nearest first.
///
/// ```
/// use expr::nearest::near;
/// assert_eq!(near("kid", ["id", "kind", "at"]), ["kind"]);
/// assert_eq!(near("dat", ["data", "date", "day", "id"]), ["data", "date"]);
/// assert!(near("x", ["id", "at"]).is_empty());
/// ```
pub fn near<'n>(given: &str, names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    let mut found: Vec<(f64, &str)> = Vec::new();
    for name in names {
        if let Some(distance) = distance(given, name)
            && !found.iter().any(|(_, known)| *known == name)
        {
            found.push((distance, name));
        }
    }
    // The sort keeps the order of the names among those that are as near.
    found.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let limit = found.first().map_or(0.0, |(nearest, _)| nearest + ABOUT);
    found.into_iter().take_while(|(distance, _)| *distance <= limit).map(|(_, name)| name).take(MOST).collect()
}

/// The name that `given` was probably meant to be; of several that are about as near the nearest.
pub fn nearest<'n>(given: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    near(given, names).first().copied()
}

/// How far a slip has led from `name` to `given`; none: too far for one.
fn distance(given: &str, name: &str) -> Option<f64> {
    let (a, b) = (plain(given), plain(name));
    if a.is_empty() || b.is_empty() {
        return None;
    }
    // Another number or spelling of the same word.
    if a == b || singular(&a) == singular(&b) {
        return Some(0.0);
    }
    let (length, edits) = (a.chars().count(), osa_distance(&a, &b));
    // A word that breaks off is most often an abbreviation.
    if length >= 3 && b.starts_with(&a) {
        return Some(1.0 + 0.05 * edits as f64);
    }
    if edits > (length / 3).max(1) {
        return None;
    }
    let dropped = within(&a, &b) || within(&b, &a);
    let swapped = edits == 1 && length == b.chars().count() && letters(&a) == letters(&b);
    // Of two letters one that is another is half of the word.
    if length <= 2 && !dropped && !swapped {
        return None;
    }
    let first = if a.chars().next() == b.chars().next() { 0.0 } else { 0.5 };
    let other = if dropped || swapped { 0.0 } else { 0.35 };
    Some(edits as f64 + first + other)
}

/// A name without what spellings of one name differ in.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// A word without what makes a plural of it.
fn singular(word: &str) -> String {
    match word {
        _ if word.len() > 4 && word.ends_with("ies") => format!("{}y", &word[..word.len() - 3]),
        _ if word.len() > 3 && word.ends_with('s') && !word.ends_with("ss") => word[..word.len() - 1].to_owned(),
        _ => word.to_owned(),
    }
}

/// Whether the letters of one word come in the other, in their order.
fn within(short: &str, long: &str) -> bool {
    let mut rest = long.chars();
    short.chars().all(|c| rest.any(|other| other == c))
}

fn letters(word: &str) -> Vec<char> {
    let mut letters: Vec<char> = word.chars().collect();
    letters.sort_unstable();
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_nothing_else() {
        let fields = ["id", "kind", "data", "day", "date", "at", "customer", "placed_at", "lines", "order_id"];
        let cases: [(&str, &[&str]); 16] = [
            ("kid", &["kind"]),
            ("dat", &["data", "date"]),
            ("custmoer", &["customer"]),
            ("customers", &["customer"]),
            ("cust", &["customer"]),
            ("placedAt", &["placed_at"]),
            ("orderid", &["order_id"]),
            ("order-id", &["order_id"]),
            ("Lines", &["lines"]),
            ("liens", &["lines"]),
            ("di", &["id"]),
            ("ids", &["id"]),
            ("in", &[]),
            ("x", &[]),
            ("retries", &[]),
            ("", &[]),
        ];
        for (given, found) in cases {
            assert_eq!(near(given, fields), found, "{given}");
        }
        for (given, found) in
            [("tpoic", Some("topic")), ("topics", Some("topic")), ("retry_policies", Some("retry_policy")), ("x", None)]
        {
            assert_eq!(nearest(given, ["topic", "group", "retry_policy"]), found, "{given}");
        }
    }
}
