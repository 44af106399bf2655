//! A whole flow over doubles: a log and tables in memory, and tables that commit when the test lets them.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connectors::clock::{Clock, SystemClock};
use connectors::log::{Log, Record, Subscription, TopicSpec};
use connectors::table::{CommitError, Committed, Row, Table, TableStats, Transactions};
use connectors::{Error, memory, memory_table};
use indexmap::IndexMap;
use tokio::sync::Semaphore;

use super::flow::{Connected, OpenTable, Running, start};
use super::operators::Surroundings;
use crate::topology::{Environment, load_str};

/// Children come first in the file, and commit at once; their parents commit when they must.
const TOPOLOGY: &str = "
topology: shop
language: 1
connections:
  bus: {kafka: {brokers: embedded}}
  lake: {delta: {url: '{data}/tables'}}
topics:
  orders: {name: orders, external: written, message: {id: id!, customer: id!}}
tables:
  orders: {key: [order_id], parent: customers, flush: {rows: 1}, columns: {order_id: id!, customer_id: id!}}
  customers: {key: [customer_id], flush: {rows: 1000000, age: 1h}, columns: {customer_id: id!}}
flows:
  orders:
    source:
      topic: orders
      group: g
      retry: {dead_letter: dead}
    rows:
      order: {table: orders, from: source, columns: {order_id: event.id, customer_id: event.customer}}
      customer: {table: customers, from: source, columns: {customer_id: event.customer}}
";

/// A table that commits only with a permit, and writes down that it did.
struct Gated {
    name: &'static str,
    inner: memory_table::Table,
    permits: Semaphore,
    order: Arc<Mutex<Vec<(&'static str, usize)>>>,
}

#[async_trait]
impl Table for Gated {
    async fn commit(&self, rows: Vec<Row>, transactions: &Transactions) -> Result<Committed, CommitError> {
        self.permits.acquire().await.unwrap().forget();
        let count = rows.len();
        let committed = self.inner.commit(rows, transactions).await?;
        self.order.lock().unwrap().push((self.name, count));
        Ok(committed)
    }

    async fn transactions(&self) -> connectors::Result<Transactions> {
        self.inner.transactions().await
    }

    async fn scan(
        &self,
        columns: &[usize],
        not_past: Option<&Transactions>,
    ) -> connectors::Result<Vec<connectors::table::RecordBatch>> {
        self.inner.scan(columns, not_past).await
    }

    async fn stats(&self) -> connectors::Result<TableStats> {
        self.inner.stats().await
    }

    async fn maintain(&self) -> connectors::Result<()> {
        self.inner.maintain().await
    }
}

/// A flow that runs, and what it reads and writes.
struct Shop {
    log: memory::Log,
    tables: Vec<Arc<Gated>>,
    order: Arc<Mutex<Vec<(&'static str, usize)>>>,
    running: Running,
}

impl Shop {
    /// Starts the flow with three orders of two customers, and one message that is dead, on its topic.
    async fn open() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new(1.0));
        let plan = load_str("shop.yaml", TOPOLOGY, &Environment::default(), "data").unwrap().plan;
        let flow = plan.flows[0].clone();
        let log = memory::Log::new(clock.clone());
        let topics = ["orders", "dead"].map(|name| TopicSpec { name: name.into(), partitions: 1 });
        log.create(&topics).await.unwrap();
        let payloads = [r#"{"id":1,"customer":7}"#, r#"{"id":2,"customer":8}"#, r#"{"id":3,"customer":7}"#, "{}"];
        let record =
            |text: &str| Record { topic: "orders".into(), key: None, payload: text.to_owned().into(), headers: vec![] };
        let producer = log.producer().await.unwrap();
        producer.send(payloads.iter().map(|text| record(text)).collect()).await.unwrap();
        let subscription = Subscription {
            group: "g".into(),
            topics: vec!["orders".into()],
            delayed: vec![],
            gate: Arc::new(|_| true),
        };
        let source = log.subscribe(subscription).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let tables: Vec<Arc<Gated>> = ["orders", "customers"]
            .into_iter()
            .map(|name| {
                let inner = memory_table::Table::new((*plan.tables[name].spec).clone());
                Arc::new(Gated { name, inner, permits: Semaphore::new(0), order: order.clone() })
            })
            .collect();
        let open = |t: &Arc<Gated>| OpenTable {
            table: t.clone(),
            plan: plan.tables[t.name].clone(),
            presence: None,
            written: true,
        };
        let connected = Connected {
            source,
            producer: Some(producer),
            tables: tables.iter().map(|t| (t.name.to_owned(), open(t))).collect(),
            topics: IndexMap::new(),
            runs: IndexMap::new(),
            seen: IndexMap::new(),
            surroundings: Surroundings { clock, present: None, refused: None },
            observer: None,
        };
        Shop { log, tables, order, running: start("shop", flow, connected, 1).unwrap() }
    }

    async fn until(&self, what: impl AsyncFn() -> bool) {
        while !what().await {
            assert_eq!(self.running.control.failure(), None);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn position(&self) -> Option<i64> {
        self.log.position("g", "orders").await.unwrap().get(&0).copied()
    }

    async fn dead_letters(&self) -> i64 {
        self.log.bounds("dead").await.unwrap().iter().map(|b| b.high).sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_moves_only_after_everything_it_caused_is_durable() {
    let shop = Shop::open().await;
    shop.until(async || shop.running.stats.settled() == 4).await;
    // The dead letter is written, every message has its outcome; the tables hold nothing yet.
    shop.until(async || shop.dead_letters().await == 1).await;
    assert_eq!(shop.position().await, None);
    // One of two tables is not enough.
    shop.tables[1].permits.add_permits(100);
    shop.until(async || !shop.order.lock().unwrap().is_empty()).await;
    assert_eq!(shop.position().await, None);
    shop.tables[0].permits.add_permits(100);
    shop.until(async || shop.position().await == Some(4)).await;
    let stats = shop.tables[0].inner.stats().await.unwrap();
    assert_eq!((stats.rows, shop.running.stats.settled()), (3, 4));
    shop.running.control.stop();
    shop.running.join().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_is_committed_after_its_parent() {
    let shop = Shop::open().await;
    shop.tables.iter().for_each(|table| table.permits.add_permits(100));
    // The parent's own bounds are far away: it commits because its child asks.
    shop.until(async || shop.position().await == Some(4)).await;
    let order = shop.order.lock().unwrap().clone();
    let rows =
        |name: &str, upto: usize| order[..upto].iter().filter(|(n, _)| *n == name).map(|(_, c)| c).sum::<usize>();
    for (at, (name, _)) in order.iter().enumerate().filter(|(_, (name, _))| *name == "orders") {
        assert!(rows("customers", at) > 0, "{name} was committed first: {order:?}");
    }
    assert_eq!((rows("customers", order.len()), rows("orders", order.len())), (2, 3));
    shop.running.control.stop();
    shop.running.join().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_refuses_for_good_ends_the_flow_and_moves_no_offset() {
    let shop = Shop::open().await;
    shop.tables[1].inner.refuse(Error::permanent("the disk is gone"));
    shop.tables.iter().for_each(|table| table.permits.add_permits(100));
    while shop.running.control.failure().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let reason = shop.running.control.failure().unwrap();
    assert!(reason.contains("customers") && reason.contains("the disk is gone"), "{reason}");
    let log = shop.log;
    shop.running.control.stop();
    shop.running.join().await.unwrap();
    assert_eq!(log.position("g", "orders").await.unwrap(), Default::default());
}
