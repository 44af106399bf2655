//! The row path on one thread: a message's text to JSON, and on to the cells of a row.

use std::time::Instant;

use connectors::table::ColumnType;
use engine::expr::{Bindings, Env, Expr, Json, Scope, coerce, json};

use crate::report::Report;

const MESSAGES: usize = 50_000;

/// For each column its type and its expression: paths, choices, a search in a list, a projection, text functions.
const COLUMNS: [(ColumnType, &str); 12] = [
    (ColumnType::Id, "order.id"),
    (ColumnType::String, "order.status"),
    (ColumnType::String, "order.customer.name"),
    (ColumnType::String, "lower(coalesce(string(order.customer.mail), order.customer.login))"),
    (ColumnType::String, "join(', ', [order.address.city, order.address.country])"),
    (ColumnType::Int64, "length(order.lines)"),
    (ColumnType::String, "find(order.lines, 'sku', order.main).title"),
    (ColumnType::Decimal, "order.lines[0].price"),
    (ColumnType::Json, "order.lines[].sku"),
    (ColumnType::Bool, "order.paid"),
    (ColumnType::Timestamp, "order.placed_at"),
    (ColumnType::Date, "date(order.placed_at)"),
];

/// Runs it.
pub fn rows(runs: usize) -> Result<Report, String> {
    let messages: Vec<String> = (0..MESSAGES).map(message).collect();
    let bytes: usize = messages.iter().map(String::len).sum();
    let columns: Vec<(ColumnType, Expr)> = COLUMNS
        .iter()
        .map(|(kind, text)| Ok((*kind, Expr::parse(text).map_err(|e| format!("{text}: {e}"))?)))
        .collect::<Result<_, String>>()?;
    let size = bytes / MESSAGES;
    let mut report =
        Report::new(format!("rows: messages of {size} bytes to rows of {} columns, one thread", COLUMNS.len()));
    for _ in 0..runs {
        let began = Instant::now();
        let parsed: Vec<Json> =
            messages.iter().map(|m| json::parse(m.as_bytes()).map_err(|e| e.to_string())).collect::<Result<_, _>>()?;
        let parsing = began.elapsed().as_secs_f64();
        report.more("parse", "messages/s", MESSAGES as f64 / parsing);
        report.more("parse, bytes", "MB/s", bytes as f64 / parsing / 1e6);

        let env = Env::at(0);
        let began = Instant::now();
        let mut filled = 0_usize;
        for order in &parsed {
            let mut bindings = Bindings::default();
            bindings.set("order".into(), order.clone());
            let scope = Scope { bindings: &bindings, root: None, env: &env };
            for (kind, expr) in &columns {
                let value = expr.value(&scope).map_err(|e| e.to_string())?;
                filled += usize::from(coerce(*kind, &value).is_ok_and(|cell| !cell.is_null()));
            }
        }
        let evaluating = began.elapsed().as_secs_f64();
        if filled < MESSAGES * (COLUMNS.len() - 2) {
            return Err(format!("only {filled} cells have a value"));
        }
        report.more("evaluate", "rows/s", MESSAGES as f64 / evaluating);
        report.less("evaluate, a cell", "ns", evaluating * 1e9 / (MESSAGES * COLUMNS.len()) as f64);
    }
    Ok(report)
}

fn message(n: usize) -> String {
    let line = |i: usize| serde_json::json!({"sku": format!("S{}", n + i), "title": format!("Article {i}"), "price": 12.5, "count": i});
    serde_json::json!({
        "id": 7_000_000 + n,
        "status": " OPEN ",
        "customer": {"name": "Ada Byron", "mail": format!("Ada.{n}@Example.org"), "login": "ada"},
        "address": {"street": "1 Main St", "city": "Oslo", "country": "NO", "code": "0150"},
        "lines": (0..5).map(line).collect::<Vec<_>>(),
        "main": format!("S{}", n + 3),
        "paid": n.is_multiple_of(2),
        "placed_at": "2026-01-10T08:00:00.123456Z",
        "note": "left at the door, as agreed on the telephone",
    })
    .to_string()
}
