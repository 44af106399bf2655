//! The compliance suite of JMESPath (`compliance/*.json`, see the README beside them), run over this interpreter.

#![allow(clippy::unwrap_used)]

use sonic_rs::{JsonContainerTrait, JsonValueTrait};

use super::tape::Tape;
use super::{Bindings, Env, Expr, Root, Scope, json};

const SUITES: &[(&str, &str)] = &[
    ("basic", include_str!("compliance/basic.json")),
    ("benchmarks", include_str!("compliance/benchmarks.json")),
    ("boolean", include_str!("compliance/boolean.json")),
    ("current", include_str!("compliance/current.json")),
    ("escape", include_str!("compliance/escape.json")),
    ("filters", include_str!("compliance/filters.json")),
    ("functions", include_str!("compliance/functions.json")),
    ("identifiers", include_str!("compliance/identifiers.json")),
    ("indices", include_str!("compliance/indices.json")),
    ("literal", include_str!("compliance/literal.json")),
    ("multiselect", include_str!("compliance/multiselect.json")),
    ("pipe", include_str!("compliance/pipe.json")),
    ("slice", include_str!("compliance/slice.json")),
    ("syntax", include_str!("compliance/syntax.json")),
    ("unicode", include_str!("compliance/unicode.json")),
    ("wildcard", include_str!("compliance/wildcard.json")),
];

/// Cases where this engine means to differ: the expression, and why.
const DEVIATIONS: &[(&str, &str)] = &[
    (
        "sum(z, y, x, w, v, u, t, s, r, q, p, o, n, m, l, k, j, i, h, g, f, e, d, c, b, a)",
        "a benchmark of parsing: `sum` takes one list",
    ),
    ("foo[bar > baz][qux > baz]", "a benchmark of parsing that is no expression of the grammar"),
];

/// What an expression comes to: its value, or the time at which it fails.
fn outcome(text: &str, given: &super::Json) -> Result<super::Json, &'static str> {
    let expr = Expr::parse(text).map_err(|_| "parse")?;
    let env = Env::at(0);
    let bindings = Bindings::default();
    let of = |root| expr.eval(&Scope { bindings: &bindings, root: Some(root), env: &env }).map_err(|_| "eval");
    let found = of(given.into());
    // Over a message as it came it is the same.
    let message = json::to_text(given);
    if let Some(tape) = Tape::read(&message) {
        let shown = |value: &Result<super::Json, &'static str>| value.as_ref().map(json::to_text).map_err(|e| *e);
        assert_eq!(shown(&found), shown(&of(Root::Part(tape.root()))), "{text} over {message}");
    }
    found
}

#[test]
fn compliance_suite() {
    let (mut cases, mut wrong) = (0, Vec::new());
    for (name, text) in SUITES {
        let suite = json::parse(text.as_bytes()).unwrap();
        for group in json::elements(&suite) {
            let given = group.get("given").unwrap();
            for case in json::elements(group.get("cases").unwrap()) {
                let expression = case.get("expression").and_then(|text| text.as_str()).unwrap();
                cases += 1;
                let found = outcome(expression, given);
                let right = match (case.get("error").and_then(|error| error.as_str()), &found) {
                    // Names, counts and syntax are known without data.
                    (Some("syntax" | "unknown-function" | "invalid-arity"), found) => matches!(found, Err("parse")),
                    (Some(_), found) => found.is_err(),
                    (None, Err(_)) => false,
                    (None, Ok(value)) => {
                        case.as_object().unwrap().get(&"result").is_none_or(|wanted| json::equal(wanted, value))
                    }
                };
                if right == DEVIATIONS.iter().any(|(deviation, _)| *deviation == expression) {
                    wrong.push(format!(
                        "{name}: {expression} gives {}",
                        found.map_or_else(str::to_owned, |v| json::to_text(&v))
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cases} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases > 800, "{cases} cases: the suite is not whole");
}
