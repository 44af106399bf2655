//! What is computed from a message as it came is what is computed from its tree.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use connectors::builder::Builder;
use connectors::table::{Column, ColumnType};
use proptest::prelude::*;

use super::columns::Columns;
use super::fields::{Field, Fields};
use super::tape::Tape;
use super::tape::tests::any_json;
use super::{Bindings, Env, Expr, Scope, json};

/// Every node and every function that has a way of its own for values that are not JSON.
const EXPRESSIONS: &[&str] = &[
    "m",
    "m.a",
    "m.a.b",
    "m.*",
    "m.a.*",
    "m.*.b",
    "m[0]",
    "m.a[0]",
    "m.a[-1]",
    "m.a[1:]",
    "m.a[::-1]",
    "m.a[]",
    "m.*[]",
    "m.a[*].b",
    "m.a[?b]",
    "m.a[?@ == `1`]",
    "m.a[?type(@) == 'string' && trim(@) != ''].redact(@)",
    "m.a || m.b",
    "m.a && m.b",
    "!m.a",
    "m.a == m.b",
    "m.a != m.b",
    "m.a < m.b",
    "m.a >= m.b",
    "m.a == `7`",
    "m.a == '7'",
    "[m.a, m.b]",
    "{x: m.a, y: m.b.c}",
    "[m.a, [m.b]][1][0]",
    "type(m.a)",
    "keys(m)",
    "length(m)",
    "if(m.a, m.b, m.c)",
    "coalesce(m.a, m.b)",
    "string(m.a)",
    "text(m.a)",
    "id(m.a)",
    "int64(m.a)",
    "int32(m.a)",
    "float64(m.a)",
    "bool(m.a)",
    "decimal(m.a)",
    "timestamp(m.a)",
    "date(m.a)",
    "json(m.a)",
    "date(timestamp(m.a))",
    "timestamp(date(m.a))",
    "string(int64(m.a))",
    "int64(m.a) == m.a",
    "split(m.a, '=')",
    "split(m.a, '=')[-1]",
    "trim(m.a)",
    "parse_json(m.a)",
    "first(objects([parse_json(m.a)]))",
    "first(m.a)",
    "objects(m.a)",
    "to_json(m)",
    "redact(to_json(m))",
    "redact(m.a)",
    "uuid5('url', m.a)",
    "join(',', m.a)",
    "string(join(',', m.a[?type(@) == 'string'].redact(@)))",
    "now() > m.a",
    "[now(), date(now())]",
    "lower(string(m.a))",
    "sort_by(m.a, &@)",
    "map(&type(@), m.a)",
    "max_by(m.a, &b).b",
    "unique(m.a)",
    "m | a",
    "(m.a || m).b",
    "same(m.a, m.b)",
    "sha256(to_json(m.a))",
    "length(string(m.a))",
    "m.a.b == m.b.a",
    "starts_with(string(m.a), 'h')",
];

const ENV_NOW: i64 = 1_768_000_000_123_456;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn expressions(text in any_json(3)) {
        let Some(read) = Tape::read(&text) else { return Ok(()) };
        let (mut tree, mut tape) = (Bindings::default(), Bindings::default());
        tree.set("m".into(), json::parse(text.as_bytes()).unwrap());
        tape.set_tape("m".into(), Arc::new(read));
        let env = Env::at(ENV_NOW);
        for expression in EXPRESSIONS {
            let expr = Expr::parse(expression).unwrap();
            let of = |bindings: &Bindings| {
                let scope = Scope { bindings, root: None, env: &env };
                let value = expr.eval(&scope).map(|value| json::to_text(&value));
                (value, expr.test(&scope))
            };
            prop_assert_eq!(of(&tape), of(&tree), "{} over {}", expression, text);
        }
    }

    // The columns of a table of every type, from fields that were found and from fields that were computed.
    #[test]
    fn fields_and_columns(
        text in any_json(2), kinds in prop::collection::vec(prop::option::of(prop::sample::select(&ColumnType::ALL[..])), 6),
        picks in prop::collection::vec(0usize..12, 6), required in prop::collection::vec(prop::bool::weighted(0.1), 6),
    ) {
        const SOURCES: [&str; 12] = [
            "a", "b", "prefix", "a.b", "if(string(a), a, b)", "first(objects([parse_json(c)]))", "event.f0", "uuid5('url', event.f0)", "event",
            "join(',', list(a)[?type(@) == 'string'])", "to_json(b)", "date(event.f0)",
        ];
        let fields = (0..6).map(|i| Field {
            name: format!("f{i}").into(),
            // A field without an expression is the message's own.
            expr: (picks[i] != 0 || i == 0).then(|| Expr::parse(SOURCES[picks[i]]).unwrap()),
            kind: kinds[i],
            required: required[i],
        });
        let fields = Fields::new(fields.collect(), "event".into(), "raw".into());
        let env = Env::at(ENV_NOW);
        let (tape, tree) = fields.both_ways(text.as_bytes(), &env);
        let Some(tape) = tape else { return Ok(()) };
        let (Ok(tape), Ok(tree)) = (&tape, &tree) else {
            prop_assert_eq!(tape.err(), tree.err());
            return Ok(());
        };
        let shown = |bindings: &Bindings| bindings.iter().map(|(n, v)| format!("{n}={}", json::to_text(v))).collect::<Vec<_>>();
        let expressions = ["event.f0", "event.f1", "event.f2.a", "date(event.f3)", "event.f4[0]", "raw.a", "redact(to_json(raw))", "string(event.f5)"];
        let kinds = [&ColumnType::ALL[..], &[ColumnType::Text; 5]].concat();
        let table: Vec<Column> = kinds.iter().enumerate().map(|(i, kind)| Column { name: format!("c{i}"), kind: *kind, nullable: true, about: None }).collect();
        let values: Vec<(usize, Expr)> = (0..table.len()).map(|i| (i, Expr::parse(expressions[(i + picks[0]) % 8]).unwrap())).collect();
        let columns = Columns::new(&table, &[], &values);
        let row = |bindings: &Bindings| {
            let mut builder = Builder::new(&table, 1);
            columns.append(&Scope { bindings, root: None, env: &env }, &mut builder, false).unwrap();
            connectors::rows::of_batch(&builder.finish(1).unwrap()).unwrap()
        };
        prop_assert_eq!(row(tape), row(tree), "{}", text);
        prop_assert_eq!(shown(tape), shown(tree), "{}", text);
    }
}
