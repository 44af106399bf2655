//! A store that fails: before a commit, after it, and while the table is looked for.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use deltalake::logstore::ObjectStoreRef;
use deltalake::logstore::object_store::{
    self, CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, path::Path,
};
use futures::stream::{self, BoxStream, StreamExt as _};

use super::{clock, memory, within};
use crate::Category;
use crate::conformance::table::{self as suite, Random, at, orders, row, text};
use crate::delta::Table;
use crate::table::{Cell, CommitError, Table as _};

/// Passes everything on, but for the faults that are ordered.
#[derive(Debug)]
struct Faulty {
    inner: ObjectStoreRef,
    /// Commits that land although the answer is an error.
    lose_answers: AtomicU32,
    /// Commits that do not land.
    refuse_commits: AtomicU32,
    /// Listings that fail as a token that expired does.
    refuse_listings: AtomicU32,
    /// Reads of commits that fail.
    refuse_reads: AtomicU32,
}

fn take(count: &AtomicU32) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

fn broken() -> object_store::Error {
    object_store::Error::Generic { store: "faulty", source: "connection reset".into() }
}

fn is_commit(path: &Path) -> bool {
    path.as_ref().contains("_delta_log/") && path.as_ref().ends_with(".json")
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, path: &Path, payload: PutPayload, opts: PutOptions) -> object_store::Result<PutResult> {
        if is_commit(path) && take(&self.refuse_commits) {
            return Err(broken());
        }
        let done = self.inner.put_opts(path, payload, opts).await?;
        if is_commit(path) && take(&self.lose_answers) { Err(broken()) } else { Ok(done) }
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, opts).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        if is_commit(path) && take(&self.refuse_reads) {
            return Err(broken());
        }
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        if take(&self.refuse_listings) {
            let denied = object_store::Error::Unauthenticated { path: "tables".into(), source: "401".into() };
            return stream::once(async { Err(denied) }).boxed();
        }
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

async fn faulty() -> (Arc<Faulty>, Table) {
    let none = || AtomicU32::new(0);
    let store = Arc::new(Faulty {
        inner: memory(),
        lose_answers: none(),
        refuse_commits: none(),
        refuse_listings: none(),
        refuse_reads: none(),
    });
    let root: ObjectStoreRef = store.clone();
    let table = Table::open(within(&root), orders(), clock()).await.unwrap();
    (store, table)
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_recognised_and_not_repeated() {
    let (store, table) = faulty().await;
    let spec = orders();
    let order = |id: &str| row(&spec, &[("order_id", text(id)), ("items", Cell::Int(1))]);
    store.lose_answers.store(1, Ordering::SeqCst);
    let done = table.commit(vec![order("a"), order("b")], &at(&[("p", 2)])).await.unwrap();
    assert_eq!((done.recognised, done.version, done.inserted), (true, 1, 2));
    assert_eq!(suite::rows(&table, &spec, None).await.len(), 2);
    // Positions alone.
    store.lose_answers.store(1, Ordering::SeqCst);
    let done = table.commit(vec![], &at(&[("p", 3)])).await.unwrap();
    assert_eq!((done.recognised, done.version), (true, 2));
    let next = table.commit(vec![order("c")], &at(&[("p", 4)])).await.unwrap();
    assert_eq!((next.recognised, next.version), (false, 3));
}

#[tokio::test]
async fn it_is_recognised_by_the_next_call_when_the_store_stays_away() {
    let (store, table) = faulty().await;
    let spec = orders();
    let rows = vec![row(&spec, &[("order_id", text("a"))])];
    store.lose_answers.store(1, Ordering::SeqCst);
    store.refuse_reads.store(1000, Ordering::SeqCst);
    let error = table.commit(rows.clone(), &at(&[("p", 1)])).await.unwrap_err();
    match error {
        CommitError::Failed(error) => assert!(error.category.is_retryable(), "{error}"),
        CommitError::Fenced { .. } => panic!("fenced by itself"),
    }
    store.refuse_reads.store(0, Ordering::SeqCst);
    let done = table.commit(rows.clone(), &at(&[("p", 1)])).await.unwrap();
    assert_eq!((done.recognised, done.version, done.inserted), (true, 1, 1));
    assert_eq!(suite::rows(&table, &spec, None).await.len(), 1);
    // Once it is known, the same rows again are simply nothing new.
    let again = table.commit(rows, &at(&[("p", 1)])).await.unwrap();
    assert_eq!((again.recognised, again.inserted, again.version), (false, 0, 1));
}

#[tokio::test]
async fn other_rows_at_the_same_positions_are_not_taken_for_the_lost_commit() {
    let (store, table) = faulty().await;
    let spec = orders();
    let order = |id: &str| row(&spec, &[("order_id", text(id))]);
    store.lose_answers.store(1, Ordering::SeqCst);
    store.refuse_reads.store(1000, Ordering::SeqCst);
    assert!(table.commit(vec![order("a")], &at(&[("p", 1)])).await.is_err());
    store.refuse_reads.store(0, Ordering::SeqCst);
    let done = table.commit(vec![order("a"), order("b")], &at(&[("p", 1)])).await.unwrap();
    assert_eq!((done.recognised, done.inserted), (false, 1));
    assert_eq!(suite::rows(&table, &spec, None).await.len(), 2);
}

#[tokio::test]
async fn a_random_walk_through_faults_ends_at_the_model() {
    let (store, table) = faulty().await;
    let spec = orders();
    let (mut random, mut model) = (Random(5), suite::Rows::new());
    for commit in 1..=40 {
        let batch = random.rows(&spec, 20);
        batch.iter().for_each(|row| suite::apply(&spec, &mut model, row));
        store.lose_answers.store(random.below(3) as u32, Ordering::SeqCst);
        store.refuse_commits.store(random.below(2) as u32, Ordering::SeqCst);
        while let Err(error) = table.commit(batch.clone(), &at(&[("p", commit)])).await {
            assert!(matches!(error, CommitError::Failed(error) if error.category.is_retryable()));
        }
        assert!(suite::rows(&table, &spec, None).await == model, "commit {commit}");
    }
    assert_eq!(table.transactions().await.unwrap(), at(&[("p", 40)]));
}

#[tokio::test]
async fn an_error_is_never_taken_for_a_missing_table() {
    let (store, table) = faulty().await;
    let spec = orders();
    table.commit(vec![row(&spec, &[("order_id", text("a"))])], &at(&[("p", 1)])).await.unwrap();
    let root: ObjectStoreRef = store.clone();
    store.refuse_listings.store(1, Ordering::SeqCst);
    let error = Table::open(within(&root), spec.clone(), clock()).await.unwrap_err();
    assert_eq!(error.category, Category::Auth, "{error}");
    assert!(error.message.contains("orders") && error.hint.is_some(), "{error}");
    let table = Table::open(within(&root), spec.clone(), clock()).await.unwrap();
    assert_eq!(suite::rows(&table, &spec, None).await.len(), 1);
}

#[tokio::test]
async fn a_table_whose_making_was_not_answered_is_opened() {
    let store = Arc::new(Faulty {
        inner: memory(),
        lose_answers: AtomicU32::new(1),
        refuse_commits: AtomicU32::new(0),
        refuse_listings: AtomicU32::new(0),
        refuse_reads: AtomicU32::new(0),
    });
    let root: ObjectStoreRef = store.clone();
    let table = Table::open(within(&root), orders(), clock()).await.unwrap();
    assert_eq!(table.stats().await.unwrap().version, 0);
}
