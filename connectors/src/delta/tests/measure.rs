//! How fast a merge is, beside delta-rs' own MERGE. Run with
//! `cargo test -p connectors --lib delta::tests::measure -- --ignored --nocapture`.

use std::time::Instant;

use deltalake::datafusion::prelude::{SessionContext, col};

use super::{Options, Table, clock};
use crate::conformance::table::{Random, at, orders, row, text};
use crate::rows;
use crate::table::{Cell, Row, Table as _, TableSpec};

fn order(spec: &TableSpec, id: i64, round: i64) -> Row {
    let cells = [
        ("order_id", text(&format!("{:016x}-{id:08}", (id as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)))),
        ("status", text(["new", "paid", "sent"][(id + round) as usize % 3])),
        ("amount", Cell::Float((id as f64 * 0.25).to_bits())),
        ("items", Cell::Int(id % 17)),
        ("express", Cell::Bool(id % 2 == 0)),
        ("due", Cell::Date(19_000 + (id % 300) as i32)),
        ("updated_at", Cell::Timestamp(1_700_000_000_000_000 + round * 1_000_000)),
        ("paid_by", text("card")),
        ("note", text(&format!("{{\"n\":{id},\"round\":{round}}}"))),
        ("created_at", Cell::Timestamp(1_700_000_000_000_000)),
    ];
    row(spec, &cells)
}

fn report(what: &str, rows: usize, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    #[allow(clippy::print_stdout)]
    {
        println!("{what}: {rows} rows in {seconds:.3} s, {:.0} rows/s", rows as f64 / seconds);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn merge_20_000_rows_into_200_000() {
    let folder = tempfile::tempdir().unwrap();
    let spec = orders();
    let table = Table::open(Options::at(folder.path().to_str().unwrap()), spec.clone(), clock()).await.unwrap();
    for chunk in 0..10 {
        let rows = (chunk * 20_000..(chunk + 1) * 20_000).map(|id| order(&spec, id, 0)).collect();
        let started = Instant::now();
        table.commit(rows, &at(&[("p", chunk + 1)])).await.unwrap();
        report("load 20,000 new keys", 20_000, started);
    }
    let mut random = Random(1);
    for round in 1..=4 {
        let mut ids: Vec<i64> =
            (0..10_000).map(|_| random.below(200_000) as i64).chain(200_000 * round..).take(20_000).collect();
        ids.sort_unstable();
        ids.dedup();
        let rows: Vec<Row> = ids.iter().map(|id| order(&spec, *id, round)).collect();
        let (count, replay) = (rows.len(), rows.clone());
        let started = Instant::now();
        let done = table.commit(rows, &at(&[("p", 100 + round)])).await.unwrap();
        report(&format!("merge, half new ({done:?})"), count, started);
        let started = Instant::now();
        let done = table.commit(replay, &at(&[("p", 100 + round)])).await.unwrap();
        assert_eq!((done.inserted, done.updated), (0, 0));
        report("the same again", count, started);
    }
    let started = Instant::now();
    table.maintain().await.unwrap();
    report("maintain", 1, started);

    let theirs = table.state.into_inner().table;
    let ids: Vec<i64> = (0..10_000).map(|n| n * 20).chain(5_000_000..5_010_000).collect();
    let batch = rows::batch(&spec.columns, &ids.iter().map(|id| order(&spec, *id, 9)).collect::<Vec<_>>()).unwrap();
    let source = SessionContext::new().read_batch(batch).unwrap();
    let names: Vec<String> = spec.columns.iter().map(|c| c.name.clone()).collect();
    let started = Instant::now();
    theirs
        .merge(source, col("target.order_id").eq(col("source.order_id")))
        .with_source_alias("source")
        .with_target_alias("target")
        .when_matched_update(|update| {
            names.iter().fold(update, |update, name| update.update(name.as_str(), col(format!("source.{name}"))))
        })
        .unwrap()
        .when_not_matched_insert(|insert| {
            names.iter().fold(insert, |insert, name| insert.set(name.as_str(), col(format!("source.{name}"))))
        })
        .unwrap()
        .await
        .unwrap();
    report("delta-rs MERGE, plain update, half new", 20_000, started);
}
