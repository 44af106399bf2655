//! Systems that end the process at a named point, the n-th time it is passed: what a kill there leaves is on disk and on the
//! brokers, nothing is finished, closed or told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use connectors::clock::Clock;
use connectors::http::Client;
use connectors::log::{
    Bounds, Log, Message, Partition, Polled, Position, Producer, Record, Source, Subscription, TopicSpec,
};
use connectors::spool::Spool;
use connectors::store::Store;
use connectors::table::{CommitError, Committed, RecordBatch, Row, Table, TableStats, Transactions};
use connectors::{Result, delta, download, file};
use deltalake::logstore::object_store::{
    self, CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, local::LocalFileSystem, path::Path,
};
use engine::plan::{self, Connection};
use engine::run::instance::Instance;
use engine::run::{Options, Real, Systems};
use futures::stream::BoxStream;

/// Every point, in the order in which a message meets them.
pub const ALL: &[&str] =
    &["polled", "rows", "files", "committed", "maintained", "records", "recorded", "position", "positioned"];

/// A point, and how often it is still passed.
#[derive(Debug)]
struct Left(String, AtomicU32);

impl Left {
    /// The process is at `point`.
    fn at(&self, point: &str) {
        if self.0 == point && self.1.fetch_sub(1, Ordering::SeqCst) == 1 {
            // No destructor runs, and no other thread goes on.
            std::process::abort();
        }
    }
}

/// The real systems, up to the point.
pub struct Crashing {
    inner: Real,
    clock: Arc<dyn Clock>,
    left: Arc<Left>,
}

impl Crashing {
    /// Ends the process when it passes `point` for the time `count`.
    pub fn new(options: &Options, point: &str, count: u32) -> Self {
        assert!(ALL.contains(&point), "no point is called {point}");
        let left = Arc::new(Left(point.to_owned(), AtomicU32::new(count)));
        Crashing { inner: Real::new(options), clock: options.clock.clone(), left }
    }
}

#[async_trait]
impl Systems for Crashing {
    async fn log(&self, name: &str, kafka: &plan::Kafka) -> Result<Arc<dyn Log>> {
        Ok(Arc::new(Doomed(self.inner.log(name, kafka).await?, self.left.clone())))
    }
    fn client(&self, name: &str, api: &plan::Http) -> Result<Client> {
        self.inner.client(name, api)
    }
    fn downloader(&self, name: &str, web: &plan::Web) -> Result<download::Downloader> {
        self.inner.downloader(name, web)
    }
    async fn spool(&self, name: &str, place: &plan::ObjectStore) -> Result<Arc<dyn Spool>> {
        self.inner.spool(name, place).await
    }
    async fn store(&self, name: &str, place: &plan::ObjectStore) -> Result<Store> {
        self.inner.store(name, place).await
    }
    async fn table(&self, _: &str, table: &plan::Table, _: Option<&Connection>) -> Result<(Arc<dyn Table>, bool)> {
        let store = Arc::new(Doomed(LocalFileSystem::new(), self.left.clone()));
        let options = delta::Options { store: Some(store), ..delta::Options::at(table.url.clone()) };
        let open = delta::Table::open(options, (*table.spec).clone(), self.clock.clone()).await?;
        Ok((Arc::new(Doomed(open, self.left.clone())), true))
    }
    async fn lines(&self, options: file::Options) -> Result<Box<dyn Source>> {
        self.inner.lines(options).await
    }
    async fn instance(&self, topology: &str, flow: &str) -> Result<Option<Instance>> {
        self.inner.instance(topology, flow).await
    }
}

/// Passes everything on, up to the point.
#[derive(Debug)]
struct Doomed<T>(T, Arc<Left>);

#[async_trait]
impl Log for Doomed<Arc<dyn Log>> {
    async fn missing(&self, topics: &[TopicSpec]) -> Result<Vec<String>> {
        self.0.missing(topics).await
    }
    async fn create(&self, topics: &[TopicSpec]) -> Result<()> {
        self.0.create(topics).await
    }
    async fn topics(&self) -> Result<Vec<String>> {
        self.0.topics().await
    }
    async fn bounds(&self, topic: &str) -> Result<Vec<Bounds>> {
        self.0.bounds(topic).await
    }
    async fn read(&self, topic: &str, partition: i32, offset: i64, max: usize) -> Result<Vec<Message>> {
        self.0.read(topic, partition, offset, max).await
    }
    async fn position(&self, group: &str, topic: &str) -> Result<BTreeMap<i32, i64>> {
        self.0.position(group, topic).await
    }
    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn Source>> {
        Ok(Box::new(Doomed(self.0.subscribe(subscription).await?, self.1.clone())))
    }
    async fn producer(&self) -> Result<Arc<dyn Producer>> {
        Ok(Arc::new(Doomed(self.0.producer().await?, self.1.clone())))
    }
    async fn trim(&self, topic: &str, partition: i32, before: i64) -> Result<()> {
        self.0.trim(topic, partition, before).await
    }
}

#[async_trait]
impl Producer for Doomed<Arc<dyn Producer>> {
    async fn send(&self, records: Vec<Record>) -> Result<()> {
        self.1.at("records");
        self.0.send(records).await?;
        self.1.at("recorded");
        Ok(())
    }
}

#[async_trait]
impl Source for Doomed<Box<dyn Source>> {
    async fn poll(&mut self, max_messages: usize, max_bytes: usize, wait: Duration) -> Result<Polled> {
        let polled = self.0.poll(max_messages, max_bytes, wait).await?;
        if !polled.messages.is_empty() {
            self.1.at("polled");
        }
        Ok(polled)
    }
    async fn commit(&mut self, position: &Position) -> Result<()> {
        self.1.at("position");
        self.0.commit(position).await?;
        self.1.at("positioned");
        Ok(())
    }
    async fn committed(&mut self) -> Result<Position> {
        self.0.committed().await
    }
    fn is_transactional(&self) -> bool {
        self.0.is_transactional()
    }
    async fn commit_with_records(&mut self, records: Vec<Record>, position: &Position) -> Result<()> {
        self.1.at("records");
        self.1.at("position");
        if matches!(&*self.1.0, "recorded") {
            // Somewhere within the transaction: it takes a few milliseconds.
            let left = self.1.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_micros(700 * u64::from(left.1.load(Ordering::SeqCst)))).await;
                left.at("recorded");
            });
        }
        self.0.commit_with_records(records, position).await?;
        self.1.at("positioned");
        Ok(())
    }
    fn release(&mut self, partitions: &[Partition]) {
        self.0.release(partitions);
    }
    async fn close(&mut self) -> Result<()> {
        self.0.close().await
    }
}

#[async_trait]
impl Table for Doomed<delta::Table> {
    async fn commit(&self, rows: Vec<Row>, transactions: &Transactions) -> Result<Committed, CommitError> {
        self.1.at("rows");
        let committed = self.0.commit(rows, transactions).await?;
        self.1.at("committed");
        if self.1.0 == "maintained" {
            // Runs come to it every hundred commits; here the process ends somewhere within it.
            let left = self.1.clone();
            let count = u64::from(left.1.load(Ordering::SeqCst));
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(3 * count)).await;
                left.at("maintained");
            });
            self.0.maintain().await?;
        }
        Ok(committed)
    }
    async fn insert(&self, batch: RecordBatch, transactions: &Transactions) -> Result<Committed, CommitError> {
        self.0.insert(batch, transactions).await
    }
    async fn transactions(&self) -> Result<Transactions> {
        self.0.transactions().await
    }
    async fn scan(&self, columns: &[usize], not_past: Option<&Transactions>) -> Result<Vec<RecordBatch>> {
        self.0.scan(columns, not_past).await
    }
    async fn stats(&self) -> Result<TableStats> {
        self.0.stats().await
    }
    async fn maintain(&self) -> Result<()> {
        self.0.maintain().await
    }
}

impl fmt::Display for Doomed<LocalFileSystem> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Doomed<LocalFileSystem> {
    async fn put_opts(&self, path: &Path, payload: PutPayload, opts: PutOptions) -> object_store::Result<PutResult> {
        if path.as_ref().contains("_delta_log/") && path.as_ref().ends_with(".json") {
            // The data files of the commit are written.
            self.1.at("files");
        }
        self.0.put_opts(path, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(path, opts).await
    }
    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.0.get_opts(path, options).await
    }
    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.0.delete_stream(paths)
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.0.list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}
