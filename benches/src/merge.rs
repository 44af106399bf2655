//! A merged table: a million rows of two hundred thousand keys, in fifty commits, to the local disk.

use std::sync::Arc;
use std::time::Instant;

use connectors::clock::SystemClock;
use connectors::delta;
use connectors::table::{Cell, Column, ColumnType, Group, Mode, Row, Table, TableSpec, Transactions};

use crate::report::Report;

const KEYS: u64 = 200_000;
const BATCHES: u64 = 50;
/// Each batch has so many rows, of different keys.
const ROWS: u64 = 20_000;

/// Runs it: keys drawn from everywhere, and keys that are close to each other as those of new things are.
pub async fn merge(runs: usize) -> Result<Report, String> {
    let total = BATCHES * ROWS;
    let mut report = Report::new(format!("merge: {total} rows of {KEYS} keys in {BATCHES} commits"));
    for _ in 0..runs {
        let (seconds, rewritten) = commits(|batch, row| spread(batch * ROWS + row)).await?;
        report.more("keys from everywhere", "rows/s", total as f64 / seconds);
        report.less("  a commit", "ms", seconds / BATCHES as f64 * 1000.0);
        report.less("  rows copied for one", "", rewritten as f64 / total as f64);
        let (seconds, rewritten) = commits(|batch, row| (batch * KEYS / BATCHES + row) % KEYS).await?;
        report.more("keys close together", "rows/s", total as f64 / seconds);
        report.less("  a commit of these", "ms", seconds / BATCHES as f64 * 1000.0);
        report.less("  rows copied for one of these", "", rewritten as f64 / total as f64);
    }
    Ok(report)
}

/// A permutation of the keys: the same for each run, and no two rows of one batch meet.
fn spread(n: u64) -> u64 {
    // 100,003 is a prime that does not divide the number of keys.
    (n % KEYS) * 100_003 % KEYS
}

/// The seconds that all commits took, and how many rows were only copied.
async fn commits(key: impl Fn(u64, u64) -> u64) -> Result<(f64, u64), String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let options = delta::Options::at(folder.path().join("orders").display().to_string());
    let table = delta::Table::open(options, orders(), Arc::new(SystemClock::new(1.0))).await;
    let table = table.map_err(|e| e.to_string())?;
    let (mut seconds, mut copied) = (0.0, 0);
    for batch in 0..BATCHES {
        let rows: Vec<Row> = (0..ROWS).map(|row| order(key(batch, row), batch)).collect();
        let position = i64::try_from((batch + 1) * ROWS).map_err(|e| e.to_string())?;
        let began = Instant::now();
        let transactions = Transactions::from([("bench/orders/orders-0".to_owned(), position)]);
        let committed = table.commit(rows, &transactions).await.map_err(|e| e.to_string())?;
        seconds += began.elapsed().as_secs_f64();
        copied += committed.rows_copied;
    }
    let stats = table.stats().await.map_err(|e| e.to_string())?;
    if stats.rows == KEYS { Ok((seconds, copied)) } else { Err(format!("the table holds {} rows", stats.rows)) }
}

fn orders() -> TableSpec {
    let column =
        |name: &str, kind: ColumnType| Column { name: name.into(), kind, nullable: name != "order_id", about: None };
    TableSpec {
        name: "orders".into(),
        columns: vec![
            column("order_id", ColumnType::Id),
            column("customer", ColumnType::String),
            column("city", ColumnType::String),
            column("status", ColumnType::String),
            column("total", ColumnType::Decimal),
            column("lines", ColumnType::Int64),
            column("paid", ColumnType::Bool),
            column("placed_on", ColumnType::Date),
            column("created_at", ColumnType::Timestamp),
            column("updated_at", ColumnType::Timestamp),
        ],
        key: vec![0],
        partition: vec![],
        mode: Mode::Merge,
        keep: vec![8],
        groups: vec![Group { name: "order".into(), version: Some(9), columns: vec![1, 2, 3, 4, 5, 6, 7, 9] }],
    }
}

fn order(key: u64, batch: u64) -> Row {
    let text = |text: String| Some(Cell::Text(text.into()));
    let number = i64::try_from(key).unwrap_or(0);
    let at = 1_750_000_000_000_000 + i64::try_from(batch).unwrap_or(0) * 1_000_000;
    vec![
        text(format!("{key:012}")),
        text(format!("customer {}", key % 5000)),
        text(["Oslo", "Lima", "Hanoi", "Quito"][usize::try_from(key % 4).unwrap_or(0)].to_owned()),
        text(format!("status {}", (key + batch) % 7)),
        text(format!("{}.{:02}", key % 900, key % 100)),
        Some(Cell::Int(number % 12)),
        Some(Cell::Bool(key.is_multiple_of(3))),
        Some(Cell::Date(20_000 + i32::try_from(key % 365).unwrap_or(0))),
        Some(Cell::Timestamp(at)),
        Some(Cell::Timestamp(at)),
    ]
}
