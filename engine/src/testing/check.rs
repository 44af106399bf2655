//! Compares what a step expects with what is there, and says how they differ.
//!
//! Each record that is expected must be a record of its own: two that are the same need two. Which is which is decided so that as
//! many as possible find theirs; what finds none is shown beside the one that is nearest.

use serde_json::{Map, Value};

use super::pattern::{Difference, Pattern, compare_fields};
use super::suite::{Claim, Mode, Wanted};
use crate::topology::Span;

/// A record that is there.
pub type Record = Map<String, Value>;

/// One way in which a claim does not hold.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// Where what is not so is written.
    pub at: Span,
    /// What is not so.
    pub message: String,
    /// Fields that are as expected, to tell which record is meant.
    pub same: Vec<(String, String)>,
    /// Fields that are not.
    pub differences: Vec<Difference>,
}

impl Mismatch {
    fn plain(at: Span, message: String) -> Self {
        Mismatch { at, message, same: Vec::new(), differences: Vec::new() }
    }
}

/// How `found` differs from what `claim` says of it. `what` names one of the records, such as `a row of orders`.
pub fn check(claim: &Claim, what: &str, found: &[Record]) -> Vec<Mismatch> {
    let wanted = &claim.records;
    if let Mode::Count(count) = claim.mode {
        return match found.len() {
            there if there == count => Vec::new(),
            there => vec![Mismatch::plain(claim.at, format!("{what}: {count} expected, {there} are there"))],
        };
    }
    let whole = claim.mode == Mode::Whole;
    let fits: Vec<Vec<usize>> = wanted
        .iter()
        .map(|w| {
            (0..found.len()).filter(|f| found.get(*f).is_some_and(|f| differences(w, f, whole).is_empty())).collect()
        })
        .collect();
    let owner = if claim.mode == Mode::Ordered {
        let mut owner = vec![None; found.len()];
        for (index, fits) in fits.iter().enumerate().filter(|(index, fits)| fits.contains(index)) {
            debug_assert!(!fits.is_empty());
            if let Some(slot) = owner.get_mut(index) {
                *slot = Some(index);
            }
        }
        owner
    } else {
        assign(&fits, found.len())
    };
    let mut shown = vec![false; found.len()];
    let mut mismatches = Vec::new();
    for (index, wanted) in wanted.iter().enumerate().filter(|(index, _)| !owner.contains(&Some(*index))) {
        let free = |f: &usize| owner.get(*f).is_some_and(Option::is_none) && shown.get(*f) == Some(&false);
        let nearest = match claim.mode {
            Mode::Ordered => Some(index).filter(|f| found.len() > *f),
            _ => (0..found.len())
                .filter(free)
                .min_by_key(|f| found.get(*f).map_or(usize::MAX, |f| distance(wanted, f, whole))),
        };
        // Nothing in common is no likeness.
        let nearest = nearest.filter(|f| {
            let alike = |found: &Record| wanted.fields.iter().any(|(name, p)| p.fits(found.get(name), whole));
            claim.mode == Mode::Ordered || found.get(*f).is_some_and(|f| wanted.fields.len() == 1 || alike(f))
        });
        mismatches.push(match nearest.and_then(|f| Some((f, found.get(f)?))) {
            Some((f, found)) => {
                if let Some(slot) = shown.get_mut(f) {
                    *slot = true;
                }
                against(wanted, found, what, whole)
            }
            None => {
                let fields: Vec<String> = wanted.fields.iter().map(|(n, p)| format!("{n}: {}", p.shown())).collect();
                Mismatch::plain(wanted.at, format!("{what} is missing: {{{}}}", fields.join(", ")))
            }
        });
    }
    if claim.mode != Mode::Some {
        let others = found
            .iter()
            .enumerate()
            .filter(|(f, _)| owner.get(*f).is_some_and(Option::is_none) && shown.get(*f) == Some(&false));
        mismatches.extend(others.map(|(_, record)| {
            Mismatch::plain(
                claim.at,
                format!("{what} is not expected: {}", cut(&Value::Object(record.clone()).to_string())),
            )
        }));
    }
    mismatches
}

fn differences(wanted: &Wanted, found: &Record, whole: bool) -> Vec<Difference> {
    let mut differences = Vec::new();
    compare_fields("", &wanted.fields, found, whole, &mut differences);
    differences
}

/// The fewer fields differ the nearer; what is declared first weighs most, because keys stand first.
fn distance(wanted: &Wanted, found: &Record, whole: bool) -> usize {
    let first = wanted.fields.first().is_some_and(|(name, pattern)| !pattern.fits(found.get(name), whole));
    differences(wanted, found, whole).len() + if first { wanted.fields.len() } else { 0 }
}

fn against(wanted: &Wanted, found: &Record, what: &str, whole: bool) -> Mismatch {
    let mut differences = differences(wanted, found, whole);
    let fits = |(name, pattern): &&(String, Pattern)| pattern.fits(found.get(name), whole);
    let shown =
        |(name, _): &(String, Pattern)| (name.clone(), cut(&found.get(name).cloned().unwrap_or_default().to_string()));
    let same = wanted.fields.iter().filter(fits).map(shown).collect();
    let first = wanted.fields.iter().position(|field| !fits(&field));
    let at = first.and_then(|index| wanted.places.get(index)).copied().unwrap_or(wanted.at);
    for difference in &mut differences {
        difference.got = difference.got.as_deref().map(cut);
    }
    Mismatch { at, message: format!("{what} differs"), same, differences }
}

fn cut(text: &str) -> String {
    const MOST: usize = 400;
    let cut: String = text.chars().take(MOST).collect();
    if cut.len() < text.len() { cut + "…" } else { cut }
}

/// For each found record the wanted one that it is taken for, as many as possible: augmenting paths.
fn assign(fits: &[Vec<usize>], found: usize) -> Vec<Option<usize>> {
    fn place(wanted: usize, fits: &[Vec<usize>], owner: &mut [Option<usize>], seen: &mut [bool]) -> bool {
        for &f in fits.get(wanted).into_iter().flatten() {
            if std::mem::replace(&mut seen[f], true) {
                continue;
            }
            if owner[f].is_none_or(|other| place(other, fits, owner, seen)) {
                owner[f] = Some(wanted);
                return true;
            }
        }
        false
    }
    let mut owner = vec![None; found];
    for wanted in 0..fits.len() {
        place(wanted, fits, &mut owner, &mut vec![false; found]);
    }
    owner
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::suite::What;
    use super::*;

    fn claim(mode: Mode, records: &[Value]) -> Claim {
        let wanted = |record: &Value| Wanted {
            at: Span::at(1),
            fields: record
                .as_object()
                .into_iter()
                .flatten()
                .map(|(n, v)| (n.clone(), Pattern::Is(v.clone())))
                .collect(),
            places: vec![Span::at(2); 9],
            values: Vec::new(),
        };
        let records = records.iter().map(wanted).collect();
        Claim { what: What::Rows, of: "t".into(), at: Span::at(0), mode, records }
    }

    fn messages(mode: Mode, wanted: &[Value], found: &[Value]) -> Vec<String> {
        let found: Vec<Record> = found.iter().filter_map(|v| v.as_object().cloned()).collect();
        check(&claim(mode, wanted), "a row", &found).into_iter().map(|m| m.message).collect()
    }

    #[test]
    fn each_record_needs_one_of_its_own() {
        let (a, b, ab) = (json!({"x": 1}), json!({"y": 2}), json!({"x": 1, "y": 2}));
        let none: [&str; 0] = [];
        let (only_a, both, twice) = ([a.clone()], [a.clone(), b.clone()], [a.clone(), a.clone()]);
        // The general one must not take the record that only it leaves to the other.
        assert_eq!(messages(Mode::Only, &[a.clone(), ab.clone()], &[ab.clone(), json!({"x": 1, "y": 3})]), none);
        assert_eq!(messages(Mode::Only, &twice, &only_a), ["a row is missing: {x: 1}"]);
        assert_eq!(messages(Mode::Only, &only_a, &both), [r#"a row is not expected: {"y":2}"#]);
        assert_eq!(messages(Mode::Some, &only_a, &both), none);
        assert_eq!(messages(Mode::Whole, &only_a, &[ab]), ["a row differs"]);
        assert_eq!(messages(Mode::Ordered, &both, &[b, a.clone()]).len(), 2);
        assert_eq!(messages(Mode::Count(2), &[], &[a]), ["a row: 2 expected, 1 are there"]);
    }

    #[test]
    fn a_difference_is_shown_field_by_field_at_its_place() {
        let found = [json!({"id": 1, "name": "Ada"}), json!({"id": 2, "name": "Bo"})];
        let found: Vec<Record> = found.iter().filter_map(|v| v.as_object().cloned()).collect();
        let claim = claim(Mode::Some, &[json!({"id": 2, "name": "Bob"})]);
        let [mismatch] = check(&claim, "a row", &found).try_into().expect("one");
        assert_eq!((mismatch.at, mismatch.same), (Span::at(2), vec![("id".to_owned(), "2".to_owned())]));
        let [difference] = mismatch.differences.try_into().expect("one");
        assert_eq!((difference.expected.as_deref(), difference.got.as_deref()), (Some("\"Bob\""), Some("\"Bo\"")));
    }
}
