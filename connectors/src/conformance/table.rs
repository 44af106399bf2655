//! The suite for [`Table`]: merge, insert, column groups, absence, positions, fences, reads of older versions; and a random
//! walk against a model. It panics where an implementation differs.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use deltalake::arrow::array::RecordBatch;

use crate::Category;
use crate::table::{Cell, Column, ColumnType, CommitError, Group, Mode, Row, Table, TableSpec, Transactions};

/// A table as a person would read it: key to row.
pub type Rows = BTreeMap<Vec<Cell>, Vec<Cell>>;

fn column(name: &str, kind: ColumnType, nullable: bool) -> Column {
    Column { name: name.into(), kind, nullable, about: Some(format!("the {name} of the row")) }
}

/// A merged table with every column type, a kept column, two versioned groups and one without a version.
pub fn orders() -> TableSpec {
    let columns = vec![
        column("order_id", ColumnType::Id, false),
        column("status", ColumnType::String, true),
        column("amount", ColumnType::Float64, true),
        column("items", ColumnType::Int64, true),
        column("priority", ColumnType::Int32, true),
        column("express", ColumnType::Bool, true),
        column("due", ColumnType::Date, true),
        column("updated_at", ColumnType::Timestamp, true),
        column("paid_at", ColumnType::Timestamp, true),
        column("paid_by", ColumnType::Text, true),
        column("note", ColumnType::Json, true),
        column("created_at", ColumnType::Timestamp, true),
    ];
    TableSpec {
        name: "orders".into(),
        columns,
        key: vec![0],
        partition: vec![],
        mode: Mode::Merge,
        keep: vec![11],
        groups: vec![
            Group { name: "order".into(), version: Some(7), columns: vec![1, 2, 3, 4, 5, 6, 7] },
            Group { name: "payment".into(), version: Some(8), columns: vec![8, 9] },
            Group { name: "note".into(), version: None, columns: vec![10] },
        ],
    }
}

/// A merged table with a key of two columns, partitioned by one that may change.
pub fn stock() -> TableSpec {
    TableSpec {
        name: "stock".into(),
        columns: vec![
            column("shop", ColumnType::Id, false),
            column("article", ColumnType::Int64, false),
            column("region", ColumnType::String, true),
            column("count", ColumnType::Int64, true),
            column("counted_at", ColumnType::Timestamp, true),
        ],
        key: vec![0, 1],
        partition: vec![2],
        mode: Mode::Merge,
        keep: vec![],
        groups: vec![Group { name: "count".into(), version: Some(4), columns: vec![2, 3, 4] }],
    }
}

/// A table that only inserts, partitioned by a day that follows from the key.
pub fn events() -> TableSpec {
    TableSpec {
        name: "events".into(),
        columns: vec![
            column("event_id", ColumnType::Id, false),
            column("day", ColumnType::Date, true),
            column("body", ColumnType::Json, true),
        ],
        key: vec![0],
        partition: vec![1],
        mode: Mode::Insert,
        keep: vec![],
        groups: vec![Group { name: "rest".into(), version: None, columns: vec![1, 2] }],
    }
}

/// A row of `spec` that carries just `cells`.
pub fn row(spec: &TableSpec, cells: &[(&str, Cell)]) -> Row {
    let mut row = vec![None; spec.columns.len()];
    for (name, cell) in cells {
        row[spec.column(name).unwrap()] = Some(cell.clone());
    }
    row
}

/// Text.
pub fn text(value: &str) -> Cell {
    Cell::Text(value.into())
}

/// The cells of `batch`, row by row.
pub fn cells(batch: &RecordBatch) -> Vec<Vec<Cell>> {
    crate::rows::of_batch(batch).unwrap().into_iter().map(|row| row.into_iter().flatten().collect()).collect()
}

/// All rows of `table`, of the version that `not_past` asks for.
pub async fn rows(table: &dyn Table, spec: &TableSpec, not_past: Option<&Transactions>) -> Rows {
    let all: Vec<usize> = (0..spec.columns.len()).collect();
    let mut out = Rows::new();
    for row in table.scan(&all, not_past).await.unwrap().iter().flat_map(cells) {
        let key = spec.key.iter().map(|index| row[*index].clone()).collect();
        assert!(out.insert(key, row).is_none(), "a key of {} is there twice", spec.name);
    }
    out
}

/// The positions `(application, next offset)`.
pub fn at(positions: &[(&str, i64)]) -> Transactions {
    positions.iter().map(|(application, version)| ((*application).to_owned(), *version)).collect()
}

/// What a table does to one row, said as plainly as can be.
pub fn apply(spec: &TableSpec, rows: &mut Rows, row: &Row) {
    let key: Vec<Cell> = spec.key.iter().map(|index| row[*index].clone().unwrap()).collect();
    let Some(held) = rows.get_mut(&key) else {
        rows.insert(key, row.iter().map(|cell| cell.clone().unwrap_or(Cell::Null)).collect());
        return;
    };
    if spec.mode == Mode::Insert {
        return;
    }
    for group in &spec.groups {
        if let Some(version) = group.version {
            let ours = row[version].clone().unwrap_or(Cell::Null);
            // Null sorts before every value, so it loses against all but null.
            if ours < held[version] {
                continue;
            }
        }
        for column in &group.columns {
            if let Some(cell) = &row[*column] {
                held[*column] = cell.clone();
            }
        }
    }
    for column in &spec.keep {
        if let (true, Some(cell)) = (held[*column].is_null(), &row[*column]) {
            held[*column] = cell.clone();
        }
    }
}

/// Runs every case. `open` makes an empty table each time it is called.
pub async fn suite<F, O>(open: F)
where
    F: Fn(TableSpec) -> O,
    O: Future<Output = Arc<dyn Table>>,
{
    an_empty_table_is_empty(open(orders()).await).await;
    rows_and_positions_are_one_commit(open(orders()).await).await;
    a_group_is_guarded_by_its_version(open(orders()).await).await;
    absent_is_not_null(open(orders()).await).await;
    the_first_kept_value_stays(open(orders()).await).await;
    positions_fence_and_only_grow(open(orders()).await).await;
    a_replay_changes_nothing(open(orders()).await).await;
    insert_keeps_the_first_row(open(events()).await).await;
    columns_are_inserted_as_rows_are(open(events()).await).await;
    a_row_may_move_to_another_partition(open(stock()).await).await;
    partition_values_come_back(open(stock()).await).await;
    bad_rows_are_refused(open(orders()).await).await;
    older_versions_can_be_read(open(orders()).await).await;
    for (seed, spec) in (1..).zip([orders(), stock(), events()]) {
        random_walk(open(spec.clone()).await.as_ref(), &spec, seed, 12, 40).await;
    }
}

async fn an_empty_table_is_empty(table: Arc<dyn Table>) {
    assert!(rows(table.as_ref(), &orders(), None).await.is_empty());
    assert_eq!(table.transactions().await.unwrap(), Transactions::new());
    let before = table.stats().await.unwrap();
    let done = table.commit(vec![], &Transactions::new()).await.unwrap();
    assert_eq!((done.version, before.rows), (before.version, 0), "nothing to write is no commit");
}

async fn rows_and_positions_are_one_commit(table: Arc<dyn Table>) {
    let spec = orders();
    let first = row(&spec, &[("order_id", text("o1")), ("status", text("new")), ("updated_at", Cell::Timestamp(10))]);
    let second = row(&spec, &[("order_id", text("o2")), ("amount", Cell::Float(1.5f64.to_bits()))]);
    let done = table.commit(vec![second, first.clone()], &at(&[("orders-0", 2), ("orders-1", 5)])).await.unwrap();
    assert_eq!((done.inserted, done.updated, done.recognised), (2, 0, false));
    assert_eq!(table.transactions().await.unwrap(), at(&[("orders-0", 2), ("orders-1", 5)]));
    assert_eq!(table.stats().await.unwrap().rows, 2);

    let newer = row(&spec, &[("order_id", text("o1")), ("status", text("sent")), ("updated_at", Cell::Timestamp(11))]);
    let next = table.commit(vec![newer.clone()], &at(&[("orders-0", 3)])).await.unwrap();
    assert_eq!((next.inserted, next.updated, next.version), (0, 1, done.version + 1));
    let found = rows(table.as_ref(), &spec, None).await;
    assert_eq!(found[&vec![text("o1")]][1], text("sent"));

    let only = table.commit(vec![], &at(&[("orders-0", 9)])).await.unwrap();
    assert_eq!(only.version, next.version + 1, "positions alone are a commit");
    let same = table.commit(vec![newer], &at(&[("orders-0", 12)])).await.unwrap();
    assert_eq!((same.updated, same.files_rewritten), (0, 0), "the same row again");
    assert_eq!(
        table.transactions().await.unwrap(),
        at(&[("orders-0", 12), ("orders-1", 5)]),
        "recorded without a change"
    );
}

async fn a_group_is_guarded_by_its_version(table: Arc<dyn Table>) {
    let spec = orders();
    let order =
        |status: &str, at: Cell| row(&spec, &[("order_id", text("o")), ("status", text(status)), ("updated_at", at)]);
    let t = Cell::Timestamp;
    // (what is written, what the status is afterwards)
    let steps = [
        (order("no version", Cell::Null), "no version"),
        (order("20", t(20)), "20"),
        (order("10", t(10)), "20"),
        (order("null", Cell::Null), "20"),
        (order("20 again", t(20)), "20 again"),
        (order("30", t(30)), "30"),
    ];
    for (row, expected) in steps {
        table.commit(vec![row], &Transactions::new()).await.unwrap();
        assert_eq!(rows(table.as_ref(), &spec, None).await[&vec![text("o")]][1], text(expected));
    }
    // An older order with a newer payment: each group for itself; the group without a version takes what comes.
    let mixed = row(
        &spec,
        &[
            ("order_id", text("o")),
            ("status", text("old")),
            ("updated_at", t(5)),
            ("paid_at", t(7)),
            ("paid_by", text("card")),
            ("note", text("{}")),
        ],
    );
    table.commit(vec![mixed], &Transactions::new()).await.unwrap();
    let found = rows(table.as_ref(), &spec, None).await;
    let row_found = &found[&vec![text("o")]];
    assert_eq!((&row_found[1], &row_found[7]), (&text("30"), &t(30)));
    assert_eq!((&row_found[8], &row_found[9], &row_found[10]), (&t(7), &text("card"), &text("{}")));
    // Without the version's own cell a row counts as the oldest.
    let bare = row(&spec, &[("order_id", text("o")), ("status", text("bare"))]);
    table.commit(vec![bare], &Transactions::new()).await.unwrap();
    assert_eq!(rows(table.as_ref(), &spec, None).await[&vec![text("o")]][1], text("30"));
}

async fn absent_is_not_null(table: Arc<dyn Table>) {
    let spec = orders();
    let full = row(
        &spec,
        &[
            ("order_id", text("full")),
            ("status", text("new")),
            ("items", Cell::Int(3)),
            ("express", Cell::Bool(true)),
            ("due", Cell::Date(19_000)),
            ("updated_at", Cell::Timestamp(1)),
        ],
    );
    table.commit(vec![full], &Transactions::new()).await.unwrap();
    // In one batch: a row with few cells beside one with many.
    let few = row(&spec, &[("order_id", text("full")), ("express", Cell::Null), ("updated_at", Cell::Timestamp(2))]);
    let many = row(&spec, &[("order_id", text("many")), ("status", text("x")), ("items", Cell::Int(1))]);
    table.commit(vec![few, many], &Transactions::new()).await.unwrap();
    let found = rows(table.as_ref(), &spec, None).await;
    let full = &found[&vec![text("full")]];
    assert_eq!(
        (&full[1], &full[3], &full[5], &full[6]),
        (&text("new"), &Cell::Int(3), &Cell::Null, &Cell::Date(19_000))
    );
    assert_eq!(found[&vec![text("many")]][3], Cell::Int(1));
}

async fn the_first_kept_value_stays(table: Arc<dyn Table>) {
    let spec = orders();
    let created = |cell: Cell| row(&spec, &[("order_id", text("o")), ("created_at", cell)]);
    for (cell, expected) in [
        (Cell::Null, Cell::Null),
        (Cell::Timestamp(5), Cell::Timestamp(5)),
        (Cell::Timestamp(3), Cell::Timestamp(5)),
        (Cell::Null, Cell::Timestamp(5)),
    ] {
        table.commit(vec![created(cell)], &Transactions::new()).await.unwrap();
        assert_eq!(rows(table.as_ref(), &spec, None).await[&vec![text("o")]][11], expected);
    }
}

async fn positions_fence_and_only_grow(table: Arc<dyn Table>) {
    let spec = orders();
    let order = |id: &str| row(&spec, &[("order_id", text(id))]);
    table.commit(vec![order("a")], &at(&[("p0", 10), ("p1", 10)])).await.unwrap();
    let error = table.commit(vec![order("b")], &at(&[("p0", 9), ("p1", 11)])).await.unwrap_err();
    match error {
        CommitError::Fenced { application, found, ours } => {
            assert_eq!((application.as_str(), found, ours), ("p0", 10, 9))
        }
        other => panic!("not fenced: {other}"),
    }
    assert_eq!(rows(table.as_ref(), &spec, None).await.len(), 1, "nothing of it was written");
    // One position is there, one is new: the rows are reconciled, the new one is recorded.
    let done = table.commit(vec![order("a"), order("c")], &at(&[("p0", 10), ("p1", 12)])).await.unwrap();
    assert_eq!((done.inserted, done.updated), (1, 0));
    assert_eq!(table.transactions().await.unwrap(), at(&[("p0", 10), ("p1", 12)]));
    // Positions that are there already do not prove that a row is.
    let late = table.commit(vec![order("d")], &at(&[("p0", 10), ("p1", 12)])).await.unwrap();
    assert_eq!((late.inserted, late.recognised), (1, false));
}

async fn a_replay_changes_nothing(table: Arc<dyn Table>) {
    let spec = orders();
    let mut random = Random(7);
    let batches: Vec<Vec<Row>> = (0..4).map(|_| random.rows(&spec, 30)).collect();
    for (batch, version) in batches.iter().zip(1..) {
        table.commit(batch.clone(), &at(&[("p", version)])).await.unwrap();
    }
    let before = rows(table.as_ref(), &spec, None).await;
    let version = table.stats().await.unwrap().version;
    // The last batch once more: every row of it is there, so nothing is written.
    let done = table.commit(batches[3].clone(), &at(&[("p", 4)])).await.unwrap();
    assert_eq!((done.updated, done.inserted, done.files_rewritten, done.version), (0, 0, 0, version));
    assert_eq!(rows(table.as_ref(), &spec, None).await, before);
}

async fn insert_keeps_the_first_row(table: Arc<dyn Table>) {
    let spec = events();
    let event =
        |id: &str, body: &str| row(&spec, &[("event_id", text(id)), ("day", Cell::Date(1)), ("body", text(body))]);
    table.commit(vec![event("a", "1"), event("b", "1")], &at(&[("p", 2)])).await.unwrap();
    let done = table.commit(vec![event("b", "2"), event("c", "2")], &at(&[("p", 3)])).await.unwrap();
    assert_eq!((done.inserted, done.updated, done.files_rewritten, done.rows_copied), (1, 0, 0, 0));
    let found = rows(table.as_ref(), &spec, None).await;
    let bodies: Vec<&Cell> = found.values().map(|row| &row[2]).collect();
    assert_eq!(bodies, [&text("1"), &text("1"), &text("2")]);
    let version = table.stats().await.unwrap().version;
    let none = table.commit(vec![event("a", "3")], &at(&[("p", 4)])).await.unwrap();
    assert_eq!((none.inserted, none.version), (0, version + 1), "the position is still recorded");
}

async fn columns_are_inserted_as_rows_are(table: Arc<dyn Table>) {
    let spec = events();
    let batch = |ids: &[&str], body: Cell| {
        let cells = |id: &&str| row(&spec, &[("event_id", text(id)), ("day", Cell::Date(1)), ("body", body.clone())]);
        crate::rows::batch(&spec.columns, &ids.iter().map(cells).collect::<Vec<_>>()).unwrap()
    };
    let done = table.insert(batch(&["b", "a"], text("1")), &at(&[("p", 2)])).await.unwrap();
    assert_eq!((done.inserted, done.version), (2, 1));
    let done = table.insert(batch(&["c", "a"], Cell::Null), &at(&[("p", 3)])).await.unwrap();
    assert_eq!((done.inserted, done.files_rewritten), (1, 0));
    let found = rows(table.as_ref(), &spec, None).await;
    assert_eq!(found.values().map(|row| &row[2]).collect::<Vec<_>>(), [&text("1"), &text("1"), &Cell::Null]);
    let twice = table.insert(batch(&["d", "d"], text("1")), &at(&[("p", 4)])).await.unwrap_err();
    assert!(matches!(twice, CommitError::Failed(e) if e.category == Category::Permanent));
    let fenced = table.insert(batch(&["e"], text("1")), &at(&[("p", 1)])).await.unwrap_err();
    assert!(matches!(fenced, CommitError::Fenced { .. }));
}

async fn a_row_may_move_to_another_partition(table: Arc<dyn Table>) {
    let spec = stock();
    for (region, version) in [("north", 1), ("south", 2), ("lost", 1)] {
        let moved = row(
            &spec,
            &[
                ("shop", text("s")),
                ("article", Cell::Int(1)),
                ("region", text(region)),
                ("counted_at", Cell::Timestamp(version)),
            ],
        );
        table.commit(vec![moved], &Transactions::new()).await.unwrap();
    }
    let found = rows(table.as_ref(), &spec, None).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[&vec![text("s"), Cell::Int(1)]][2], text("south"));
}

async fn partition_values_come_back(table: Arc<dyn Table>) {
    let spec = stock();
    let regions =
        ["plain", "a b", "50%", "%20", "a/b", "a=b", "ü ñ 東", "?#&+", "'\"", "__HIVE_DEFAULT_PARTITION__x", ":"];
    let mut expected = Rows::new();
    for round in 0..2 {
        let batch: Vec<Row> = regions
            .iter()
            .map(|region| text(region))
            .chain([Cell::Null])
            .zip(0..)
            .map(|(region, article)| {
                let article = Cell::Int(article);
                let cells = [
                    ("shop", text("s")),
                    ("article", article),
                    ("region", region),
                    ("count", Cell::Int(round)),
                    ("counted_at", Cell::Timestamp(round)),
                ];
                row(&spec, &cells)
            })
            .collect();
        batch.iter().for_each(|row| apply(&spec, &mut expected, row));
        table.commit(batch, &Transactions::new()).await.unwrap();
        assert_eq!(rows(table.as_ref(), &spec, None).await, expected);
    }
}

async fn bad_rows_are_refused(table: Arc<dyn Table>) {
    let spec = orders();
    let good = row(&spec, &[("order_id", text("o"))]);
    let bad: [(Vec<Row>, &str); 6] = [
        (vec![row(&spec, &[("status", text("x"))])], "order_id"),
        (vec![row(&spec, &[("order_id", Cell::Null)])], "order_id"),
        (vec![good.clone(), good.clone()], "same key"),
        (vec![row(&spec, &[("order_id", text("o")), ("items", text("three"))])], "items"),
        (vec![row(&spec, &[("order_id", text("o")), ("priority", Cell::Int(1 << 40))])], "priority"),
        (vec![vec![None; 3]], "cells"),
    ];
    for (batch, named) in bad {
        match table.commit(batch, &at(&[("p", 1)])).await {
            Err(CommitError::Failed(error)) => {
                assert_eq!(error.category, Category::Permanent);
                assert!(error.message.contains(named), "{} does not name {named}", error.message);
            }
            other => panic!("a bad row was not refused: {other:?}"),
        }
    }
    assert_eq!(table.transactions().await.unwrap(), Transactions::new());
    assert!(rows(table.as_ref(), &spec, None).await.is_empty());
}

async fn older_versions_can_be_read(table: Arc<dyn Table>) {
    let spec = orders();
    let order = |id: i64| row(&spec, &[("order_id", text(&id.to_string()))]);
    for version in 1..=5 {
        table.commit(vec![order(version)], &at(&[("p", version * 10), ("q", version)])).await.unwrap();
    }
    table.commit(vec![order(6)], &at(&[("q", 6)])).await.unwrap();
    for (limits, expected) in [
        (at(&[("p", 100)]), 6),
        (at(&[("p", 50)]), 6),
        (at(&[("p", 49)]), 4),
        (at(&[("p", 30)]), 3),
        (at(&[("p", 49), ("q", 2)]), 2),
        (at(&[("q", 5)]), 5),
        (at(&[("unknown", 0)]), 6),
        (at(&[("p", 9)]), 0),
    ] {
        assert_eq!(rows(table.as_ref(), &spec, Some(&limits)).await.len(), expected, "{limits:?}");
    }
    assert_eq!(rows(table.as_ref(), &spec, None).await.len(), 6, "and the newest is still the newest");
}

/// `commits` random batches of up to `size` rows, with replays of what was written before, against the model.
pub async fn random_walk(table: &dyn Table, spec: &TableSpec, seed: u64, commits: i64, size: u64) {
    let mut random = Random(seed);
    let mut model = Rows::new();
    let mut written: Vec<Vec<Row>> = Vec::new();
    for commit in 1..=commits {
        let batch = match random.below(4) {
            0 if !written.is_empty() => written[random.below(written.len() as u64) as usize].clone(),
            _ => random.rows(spec, size),
        };
        batch.iter().for_each(|row| apply(spec, &mut model, row));
        let transactions = at(&[("p", commit)]);
        // Whole rows may come as columns too, in any order.
        let done = match spec.mode {
            Mode::Insert if commit % 2 == 0 => {
                let columns = crate::rows::batch(&spec.columns, &batch).unwrap();
                table.insert(columns, &transactions).await.unwrap()
            }
            _ => table.commit(batch.clone(), &transactions).await.unwrap(),
        };
        assert!(done.inserted + done.updated <= batch.len() as u64);
        written.push(batch);
        assert!(
            rows(table, spec, None).await == model,
            "{} differs from the model, seed {seed}, commit {commit}",
            spec.name
        );
    }
    assert_eq!(table.stats().await.unwrap().rows, model.len() as u64);
}

/// A small generator of the same numbers everywhere (splitmix64).
#[derive(Clone, Copy, Debug)]
pub struct Random(pub u64);

impl Random {
    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ (x >> 31)) % end.max(1)
    }

    /// Up to `size` rows of `spec` with distinct keys, out of about twice as many.
    pub fn rows(&mut self, spec: &TableSpec, size: u64) -> Vec<Row> {
        let mut rows: BTreeMap<Vec<Cell>, Row> = BTreeMap::new();
        for _ in 0..=self.below(size) {
            let id = self.below(size * 2);
            let mut row: Row = Vec::with_capacity(spec.columns.len());
            for (index, column) in spec.columns.iter().enumerate() {
                let cell = if spec.key.contains(&index) {
                    Some(Self::cell(column.kind, id))
                } else if spec.mode == Mode::Insert && spec.partition.contains(&index) {
                    Some(Self::cell(column.kind, id % 3)) // follows from the key
                } else {
                    match self.below(5) {
                        0 => None,
                        1 => Some(Cell::Null),
                        _ => Some(Self::cell(column.kind, self.below(6))),
                    }
                };
                row.push(cell);
            }
            let key = spec.key.iter().map(|index| row[*index].clone().unwrap()).collect();
            rows.insert(key, row);
        }
        rows.into_values().collect()
    }

    fn cell(kind: ColumnType, n: u64) -> Cell {
        match kind {
            ColumnType::Int64 | ColumnType::Int32 => Cell::Int(n as i64 - 3),
            ColumnType::Float64 => Cell::Float((n as f64 / 4.0 - 1.0).to_bits()),
            ColumnType::Bool => Cell::Bool(n.is_multiple_of(2)),
            ColumnType::Timestamp => Cell::Timestamp(n as i64 * 1_000_003),
            ColumnType::Date => Cell::Date(n as i32 - 3),
            // Hard to write in paths and in statistics: spaces, escapes, other scripts, more than 64 bytes.
            _ => {
                let prefix = ["ä ", "%", "x/", "", "long "].get((n % 5) as usize).copied().unwrap_or_default();
                Cell::Text(format!("{}{n}", prefix.repeat(1 + 16 * (n as usize % 2))).into())
            }
        }
    }
}
