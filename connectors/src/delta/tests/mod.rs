//! What is true of a Delta table beyond the suite that all tables pass: what other readers see, what a fault of the store
//! leaves behind, and what happens to tables that others have touched.

#![allow(clippy::unwrap_used)]

mod faults;
mod measure;

use std::collections::HashMap;
use std::sync::Arc;

use deltalake::arrow::array::AsArray as _;
use deltalake::arrow::datatypes::Int64Type;
use deltalake::datafusion::prelude::SessionContext;
use deltalake::kernel::{DataType, StructField};
use deltalake::logstore::ObjectStoreRef;
use deltalake::logstore::object_store::memory::InMemory;

use super::{Options, Table};
use crate::Category;
use crate::clock::{Clock, SystemClock};
use crate::conformance::table::{self as suite, Random, at, events, orders, row, stock, text};
use crate::table::{Cell, Column, ColumnType, CommitError, Group, Table as _, TableSpec, Transactions};

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new(0.001))
}

/// Options of a table in `store`.
fn within(store: &ObjectStoreRef) -> Options {
    Options { store: Some(store.clone()), ..Options::at("memory:///tables/t") }
}

fn memory() -> ObjectStoreRef {
    Arc::new(InMemory::new())
}

async fn open(store: &ObjectStoreRef, spec: TableSpec) -> Table {
    Table::open(within(store), spec, clock()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_conforms_in_memory() {
    suite::suite(|spec| async move { Arc::new(open(&memory(), spec).await) as Arc<dyn crate::table::Table> }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_conforms_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let next = std::sync::atomic::AtomicU32::new(0);
    suite::suite(|spec| {
        let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let options = Options::at(folder.path().join(format!("t {n}%")).to_str().unwrap());
        async move { Arc::new(Table::open(options, spec, clock()).await.unwrap()) as Arc<dyn crate::table::Table> }
    })
    .await;
}

/// Small files everywhere: each batch is spread over many, and row groups and batches are crossed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_equals_the_model_over_many_small_files() {
    for (seed, spec) in (10..).zip([orders(), stock(), events()]) {
        let options = Options { target_file_size: 4096, small_files: 3, ..within(&memory()) };
        let table = Table::open(options, spec.clone(), clock()).await.unwrap();
        suite::random_walk(&table, &spec, seed, 5, 9_000).await;
        let before = suite::rows(&table, &spec, None).await;
        table.maintain().await.unwrap();
        assert!(suite::rows(&table, &spec, None).await == before, "compaction changes no row");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_more_than_a_hundred_thousand_rows_is_one_commit() {
    let spec = orders();
    let table = open(&memory(), spec.clone()).await;
    let order = |id: i64, status: &str, at: i64| {
        let cells =
            [("order_id", text(&format!("{id:08}"))), ("status", text(status)), ("updated_at", Cell::Timestamp(at))];
        row(&spec, &cells)
    };
    let done = table.commit((0..120_000).map(|id| order(id, "a", 1)).collect(), &at(&[("p", 1)])).await.unwrap();
    assert_eq!((done.inserted, done.version), (120_000, 1));
    let mixed = (60_000..180_000).map(|id| order(id, "b", id % 3)).collect();
    let done = table.commit(mixed, &at(&[("p", 2)])).await.unwrap();
    assert_eq!((done.inserted, done.updated), (60_000, 40_000), "a third of the old ones is refused by its version");
    let found = suite::rows(&table, &spec, None).await;
    assert_eq!(found.len(), 180_000);
    let count = |status: &str| found.values().filter(|row| row[1] == text(status)).count();
    assert_eq!((count("a"), count("b")), (80_000, 100_000));
}

#[tokio::test]
async fn an_opened_table_goes_on_where_it_was_also_from_a_checkpoint() {
    let (store, spec) = (memory(), stock());
    let options = || Options { checkpoint_interval: 3, ..within(&store) };
    let (mut random, mut model) = (Random(3), suite::Rows::new());
    for round in 1..=8 {
        let table = Table::open(options(), spec.clone(), clock()).await.unwrap();
        let batch = random.rows(&spec, 20);
        batch.iter().for_each(|row| suite::apply(&spec, &mut model, row));
        table.commit(batch, &at(&[("p", round), (&format!("q{round}"), 1)])).await.unwrap();
        table.maintain().await.unwrap();
    }
    let table = Table::open(options(), spec.clone(), clock()).await.unwrap();
    assert_eq!(suite::rows(&table, &spec, None).await, model);
    let transactions = table.transactions().await.unwrap();
    assert_eq!((transactions.len(), transactions.get("p")), (9, Some(&8)));
    let listing = store.list_with_delimiter(Some(&"tables/t/_delta_log".into())).await.unwrap();
    assert!(
        listing.objects.iter().any(|o| o.location.as_ref().contains("checkpoint.parquet")),
        "there is a checkpoint"
    );
    // Positions of a commit behind the checkpoint are still found.
    assert!(suite::rows(&table, &spec, Some(&at(&[("p", 5)]))).await.len() <= model.len());
    table.commit(vec![], &at(&[("p", 9)])).await.unwrap();
}

#[tokio::test]
async fn another_engine_reads_the_same_rows() {
    let (store, spec) = (memory(), stock());
    let table = open(&store, spec.clone()).await;
    let mut random = Random(11);
    for version in 1..=5 {
        table.commit(random.rows(&spec, 200), &at(&[("p", version)])).await.unwrap();
    }
    let ours = suite::rows(&table, &spec, None).await;
    let state = table.state.lock().await;
    let context = SessionContext::new();
    context.register_table("t", state.table.table_provider().await.unwrap()).unwrap();
    let query = "select count(*), count(distinct concat(shop, '/', article)), sum(count) from t";
    let found = context.sql(query).await.unwrap().collect().await.unwrap();
    let number = |column: usize| found[0].column(column).as_primitive::<Int64Type>().value(0);
    let sum: i64 = ours.values().filter_map(|row| if let Cell::Int(n) = row[3] { Some(n) } else { None }).sum();
    assert_eq!((number(0), number(1), number(2)), (ours.len() as i64, ours.len() as i64, sum));
    // delta-rs replays the log for itself and finds the same positions.
    let log_store = state.table.log_store();
    let version = state.table.snapshot().unwrap().transaction_version(log_store.as_ref(), "p").await.unwrap();
    assert_eq!(version, Some(5));
}

#[tokio::test]
async fn the_schema_is_the_declared_one_with_its_meaning() {
    let (store, spec) = (memory(), orders());
    let table = open(&store, spec.clone()).await;
    let state = table.state.lock().await;
    let schema = state.table.snapshot().unwrap().schema();
    let types: Vec<String> = schema.fields().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
    let expected = [
        "order_id string",
        "status string",
        "amount double",
        "items long",
        "priority integer",
        "express boolean",
        "due date",
        "updated_at timestamp",
        "paid_at timestamp",
        "paid_by string",
        "note string",
        "created_at timestamp",
    ];
    assert_eq!(types, expected);
    let key = schema.field("order_id").unwrap();
    assert!(!key.is_nullable());
    assert_eq!(key.metadata().get("comment").map(ToString::to_string).as_deref(), Some("the order_id of the row"));
    let properties = state.table.snapshot().unwrap().metadata().configuration().clone();
    assert_eq!(properties.get("delta.targetFileSize").map(String::as_str), Some("33554432"));
}

#[tokio::test]
async fn columns_are_added_and_foreign_columns_kept() {
    let (store, spec) = (memory(), orders());
    let narrow = TableSpec {
        columns: spec.columns[..2].to_vec(),
        keep: vec![],
        groups: vec![Group { name: "order".into(), version: None, columns: vec![1] }],
        ..spec.clone()
    };
    let table = open(&store, narrow.clone()).await;
    table
        .commit(vec![row(&narrow, &[("order_id", text("a")), ("status", text("x"))])], &at(&[("p", 1)]))
        .await
        .unwrap();

    // The declaration grows: the new columns are there, and null in the old rows.
    let table = open(&store, spec.clone()).await;
    let cells = [("order_id", text("b")), ("items", Cell::Int(1)), ("note", text("n"))];
    table.commit(vec![row(&spec, &cells)], &at(&[("p", 2)])).await.unwrap();
    let found = suite::rows(&table, &spec, None).await;
    assert_eq!(
        (found.len(), &found[&vec![text("a")]][3], &found[&vec![text("b")]][3]),
        (2, &Cell::Null, &Cell::Int(1))
    );

    // The narrow one writes on, and does not touch what it does not know.
    let table = open(&store, narrow.clone()).await;
    table
        .commit(vec![row(&narrow, &[("order_id", text("b")), ("status", text("y"))])], &at(&[("p", 3)]))
        .await
        .unwrap();
    table.commit(vec![row(&narrow, &[("order_id", text("c"))])], &at(&[("p", 4)])).await.unwrap();
    let table = open(&store, spec.clone()).await;
    let found = suite::rows(&table, &spec, None).await;
    let b = &found[&vec![text("b")]];
    assert_eq!((&b[1], &b[3], &b[10]), (&text("y"), &Cell::Int(1), &text("n")));
    assert_eq!(found.len(), 3);
}

#[tokio::test]
async fn a_column_that_appears_while_the_table_is_open_is_kept() {
    let (store, spec) = (memory(), stock());
    let table = open(&store, spec.clone()).await;
    let cells = |count| {
        let count = Cell::Int(count);
        [("shop", text("s")), ("article", Cell::Int(1)), ("count", count.clone()), ("counted_at", Cell::Timestamp(1))]
    };
    table.commit(vec![row(&spec, &cells(1))], &at(&[("p", 1)])).await.unwrap();
    let foreign = table.state.lock().await.table.clone();
    foreign.add_columns().with_fields([StructField::new("theirs", DataType::STRING, true)]).await.unwrap();
    let done = table.commit(vec![row(&spec, &cells(2))], &at(&[("p", 2)])).await.unwrap();
    assert_eq!(done.updated, 1);
    let state = table.state.lock().await;
    assert!(state.table.snapshot().unwrap().schema().field("theirs").is_some());
}

#[tokio::test]
async fn a_table_that_is_not_the_declared_one_is_refused() {
    let store = memory();
    open(&store, stock()).await;
    let other = |change: &dyn Fn(&mut TableSpec)| {
        let mut spec = stock();
        change(&mut spec);
        spec
    };
    let cases = [
        (other(&|s| s.columns[3].kind = ColumnType::String), ["count", "long", "string"]),
        (other(&|s| s.partition = vec![]), ["partitioned", "region", "nothing"]),
        (other(&|s| s.columns[0].nullable = true), ["shop", "null", "may"]),
        (other(&|s| s.columns[3].name = "Count".into()), ["Count", "count", "called"]),
        (other(&|s| s.groups.clear()), ["region", "0 of key", "must be in one"]),
    ];
    for (spec, words) in cases {
        let error = Table::open(within(&store), spec, clock()).await.unwrap_err();
        assert_eq!(error.category, Category::Permanent, "{error}");
        assert!(words.iter().all(|word| error.message.contains(word)), "{error} does not say {words:?}");
    }
    let log = store.list_with_delimiter(Some(&"tables/t/_delta_log".into())).await.unwrap();
    assert_eq!(log.objects.len(), 1, "nothing was written");
}

#[tokio::test]
async fn an_empty_text_in_a_partition_is_null_and_not_a_key() {
    let spec = stock();
    let table = open(&memory(), spec.clone()).await;
    let cells =
        [("shop", text("s")), ("article", Cell::Int(1)), ("region", text("")), ("counted_at", Cell::Timestamp(1))];
    for _ in 0..2 {
        table.commit(vec![row(&spec, &cells)], &Transactions::new()).await.unwrap();
        let found = suite::rows(&table, &spec, None).await;
        assert_eq!(found[&vec![text("s"), Cell::Int(1)]][2], Cell::Null);
    }
    assert_eq!(table.stats().await.unwrap().version, 1, "the second time nothing changed");
}

#[tokio::test]
async fn every_type_can_partition() {
    let kinds = [
        (ColumnType::Int64, Cell::Int(-7)),
        (ColumnType::Int32, Cell::Int(7)),
        (ColumnType::Float64, Cell::Float(2.5f64.to_bits())),
        (ColumnType::Bool, Cell::Bool(true)),
        (ColumnType::Date, Cell::Date(-20_000)),
        (ColumnType::Timestamp, Cell::Timestamp(1_700_000_000_123_456)),
        (ColumnType::Text, text(" ü/%2F = ")),
    ];
    for (kind, value) in kinds {
        let column = |name: &str, kind| Column { name: name.into(), kind, nullable: name != "id", about: None };
        let spec = TableSpec {
            columns: vec![column("id", ColumnType::Id), column("part", kind), column("n", ColumnType::Int64)],
            key: vec![0],
            partition: vec![1],
            keep: vec![],
            groups: vec![Group { name: "rest".into(), version: None, columns: vec![1, 2] }],
            ..orders()
        };
        let options = Options { fixed_partitions: true, ..within(&memory()) };
        let table = Table::open(options, spec.clone(), clock()).await.unwrap();
        for n in 0..2 {
            let rows = [("a", value.clone()), ("b", Cell::Null)]
                .map(|(id, part)| row(&spec, &[("id", text(id)), ("part", part), ("n", Cell::Int(n))]));
            table.commit(rows.to_vec(), &Transactions::new()).await.unwrap();
            let found = suite::rows(&table, &spec, None).await;
            assert_eq!((found.len(), &found[&vec![text("a")]][1]), (2, &value), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn maintenance_compacts_and_keeps_positions_and_history() {
    let (store, spec) = (memory(), orders());
    let options = Options { small_files: 4, checkpoint_interval: 5, ..within(&store) };
    let table = Table::open(options, spec.clone(), clock()).await.unwrap();
    for id in 0..12 {
        let new = row(&spec, &[("order_id", text(&id.to_string())), ("items", Cell::Int(id))]);
        table.commit(vec![new], &at(&[("p", id + 1)])).await.unwrap();
    }
    let before = suite::rows(&table, &spec, None).await;
    assert_eq!(table.stats().await.unwrap().files, 12);
    table.maintain().await.unwrap();
    assert_eq!(table.stats().await.unwrap().files, 1);
    assert_eq!(suite::rows(&table, &spec, None).await, before);
    assert_eq!(suite::rows(&table, &spec, Some(&at(&[("p", 6)]))).await.len(), 6, "older versions are still there");
    assert_eq!(table.transactions().await.unwrap(), at(&[("p", 12)]));
    let again = row(&spec, &[("order_id", text("3")), ("items", Cell::Int(3))]);
    let done = table.commit(vec![again], &at(&[("p", 12)])).await.unwrap();
    assert_eq!((done.inserted, done.updated), (0, 0), "a compacted file holds the same keys");
}

#[tokio::test]
async fn a_foreign_feature_is_refused_at_the_door() {
    let (store, spec) = (memory(), orders());
    let table = open(&store, spec.clone()).await.state.into_inner().table;
    let properties = HashMap::from([("delta.appendOnly".to_owned(), "true".to_owned())]);
    table.set_tbl_properties().with_properties(properties).await.unwrap();
    let error = Table::open(within(&store), spec, clock()).await.unwrap_err();
    assert!(error.message.contains("append-only") && error.hint.is_some(), "{error}");
}

#[tokio::test]
async fn a_file_with_a_deletion_vector_is_refused_and_not_misread() {
    let (store, spec) = (memory(), orders());
    let table = open(&store, spec.clone()).await;
    let new = |items| row(&spec, &[("order_id", text("a")), ("items", Cell::Int(items))]);
    table.commit(vec![new(1)], &at(&[("p", 1)])).await.unwrap();
    let theirs = table.state.lock().await.table.clone();
    let view = theirs.snapshot().unwrap().log_data().iter().next().unwrap();
    let add = deltalake::kernel::Add {
        path: view.path().into_owned(),
        partition_values: HashMap::new(),
        size: view.size(),
        modification_time: view.modification_time(),
        data_change: true,
        stats: view.stats(),
        tags: None,
        deletion_vector: Some(deltalake::kernel::DeletionVectorDescriptor {
            storage_type: deltalake::kernel::StorageType::Inline,
            path_or_inline_dv: "^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L".into(),
            offset: None,
            size_in_bytes: 44,
            cardinality: 6,
        }),
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    };
    let actions =
        vec![deltalake::kernel::Action::Remove(view.remove_action(true)), deltalake::kernel::Action::Add(add)];
    let operation = deltalake::protocol::DeltaOperation::Delete { predicate: None };
    let snapshot = theirs.snapshot().unwrap();
    let commit = deltalake::kernel::transaction::CommitBuilder::default().with_actions(actions);
    commit.build(Some(snapshot), theirs.log_store(), operation).await.unwrap();
    let scanned = table.scan(&[0], None).await.unwrap_err();
    assert!(scanned.message.contains("deletion vector"), "{scanned}");
    let CommitError::Failed(refused) = table.commit(vec![new(2)], &at(&[("p", 2)])).await.unwrap_err() else {
        panic!("fenced");
    };
    assert!(refused.message.contains("deletion vector") && refused.category == Category::Permanent, "{refused}");
}

#[tokio::test]
async fn vacuum_takes_what_no_version_names_after_a_week_and_no_row() {
    let (store, spec) = (memory(), orders());
    let start = SystemClock::new(1.0).now();
    let clock = crate::clock::ManualClock::at(start);
    let table = Table::open(within(&store), spec.clone(), Arc::new(clock.clone())).await.unwrap();
    for version in 1..=4 {
        let new = row(&spec, &[("order_id", text("a")), ("updated_at", Cell::Timestamp(version))]);
        table.commit(vec![new], &at(&[("p", version)])).await.unwrap();
    }
    let files = || async { store.list_with_delimiter(Some(&"tables/t".into())).await.unwrap().objects.len() };
    table.maintain().await.unwrap();
    clock.advance(std::time::Duration::from_secs(2 * 24 * 3600));
    table.maintain().await.unwrap();
    assert_eq!(files().await, 4, "two days are not enough");
    assert_eq!(suite::rows(&table, &spec, Some(&at(&[("p", 2)]))).await.len(), 1);
    clock.advance(std::time::Duration::from_secs(8 * 24 * 3600));
    table.maintain().await.unwrap();
    assert_eq!(files().await, 1);
    assert_eq!(suite::rows(&table, &spec, None).await.len(), 1);
    let gone = table.scan(&[0], Some(&at(&[("p", 2)]))).await.unwrap_err();
    assert!(gone.hint.is_some(), "{gone}");
}

#[tokio::test]
async fn two_writers_of_one_table_both_land() {
    let (store, spec) = (memory(), orders());
    let tables = [open(&store, spec.clone()).await, open(&store, spec.clone()).await];
    for round in 1..=4 {
        for (who, table) in tables.iter().enumerate() {
            let mine = row(&spec, &[("order_id", text(&format!("{who}-{round}"))), ("items", Cell::Int(round))]);
            let shared = row(&spec, &[("order_id", text("shared")), ("updated_at", Cell::Timestamp(round))]);
            let done = table.commit(vec![mine, shared], &at(&[(&format!("p{who}"), round)])).await.unwrap();
            assert!(!done.recognised);
        }
    }
    assert_eq!(suite::rows(&tables[0], &spec, None).await.len(), 9);
    assert_eq!(tables[0].transactions().await.unwrap(), at(&[("p0", 4), ("p1", 4)]));
    // One takes over a partition of the other: the loser is told, although it had not seen it yet.
    tables[1].commit(vec![], &at(&[("p0", 9)])).await.unwrap();
    let lost = row(&spec, &[("order_id", text("lost"))]);
    let error = tables[0].commit(vec![lost], &at(&[("p0", 5)])).await.unwrap_err();
    assert!(matches!(error, CommitError::Fenced { found: 9, ours: 5, .. }), "{error}");
    assert_eq!(suite::rows(&tables[0], &spec, None).await.len(), 9);
}
