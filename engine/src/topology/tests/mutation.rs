//! Whatever is done to a good topology: the loader does not panic, and either hands out a plan or says where an error is.

use proptest::prelude::*;

use super::super::load_str;
use super::good::{GOOD, environment};

#[derive(Clone, Debug)]
enum Mutation {
    Delete(usize),
    Duplicate(usize),
    Swap(usize, usize),
    Indent(usize, usize),
    Cut(usize, usize),
    Insert(usize, String),
    Keep(usize, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = 0..10_000usize;
    prop_oneof![
        at.clone().prop_map(Mutation::Delete),
        at.clone().prop_map(Mutation::Duplicate),
        (at.clone(), at.clone()).prop_map(|(a, b)| Mutation::Swap(a, b)),
        (at.clone(), 0..6usize).prop_map(|(a, n)| Mutation::Indent(a, n)),
        (at.clone(), 1..40usize).prop_map(|(a, n)| Mutation::Cut(a, n)),
        (at.clone(), "[\\[\\]{}:,'\"|>&*!?#$\\-\n é\u{0}a0.`@]{1,4}").prop_map(|(a, t)| Mutation::Insert(a, t)),
        (at.clone(), at).prop_map(|(a, b)| Mutation::Keep(a, b)),
    ]
}

fn mutate(text: &str, mutation: &Mutation) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let chars: Vec<char> = text.chars().collect();
    let (count, length) = (lines.len().max(1), chars.len().max(1));
    if lines.is_empty() {
        return text.to_owned();
    }
    match mutation {
        Mutation::Delete(at) => drop(lines.remove(at % count)),
        Mutation::Duplicate(at) => lines.insert(at % count, lines[at % count].clone()),
        Mutation::Swap(a, b) => lines.swap(a % count, b % count),
        Mutation::Indent(at, n) => lines[at % count] = format!("{}{}", " ".repeat(*n), lines[at % count].trim_start()),
        Mutation::Cut(at, n) => {
            let start = at % length;
            return chars.iter().take(start).chain(chars.iter().skip(start + n)).collect();
        }
        Mutation::Insert(at, added) => {
            let start = at % length;
            return chars
                .iter()
                .take(start)
                .copied()
                .chain(added.chars())
                .chain(chars.iter().skip(start).copied())
                .collect();
        }
        Mutation::Keep(a, b) => {
            let (a, b) = (a % count, b % count);
            lines = lines.into_iter().skip(a.min(b)).take(a.abs_diff(b)).collect();
        }
    }
    lines.join("\n") + "\n"
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_or_an_error_with_its_place(mutations in prop::collection::vec(mutation(), 1..5)) {
        let text = mutations.iter().fold(GOOD.to_owned(), |text, mutation| mutate(&text, mutation));
        match load_str("t.yaml", &text, &environment(), "/d") {
            Ok(loaded) => prop_assert!(!loaded.warnings.has_errors()),
            Err(problems) => {
                prop_assert!(problems.has_errors());
                for problem in &problems.items {
                    prop_assert!(problem.position.line >= 1 && problem.position.column >= 1);
                    prop_assert!(problem.position.line <= text.lines().count() + 1);
                }
                prop_assert!(!problems.render().contains("hunter2"));
            }
        }
    }
}
