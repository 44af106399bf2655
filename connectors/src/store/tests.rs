//! Uploads into a folder, into memory, and against a store that says no.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::Category;
use crate::clock::SystemClock;
use crate::fake_server::{answer, serve};
use crate::spool::Memory;

fn clock() -> SystemClock {
    SystemClock::new(1.0)
}

fn sha256(content: &[u8]) -> String {
    format!("{:x}", Sha256::digest(content))
}

async fn open(url: &str) -> Result<Store> {
    Store::open(&Options { url: url.into(), ..Options::default() }, &clock()).await
}

async fn spooled(content: Vec<u8>) -> Memory {
    let spool = Memory::default();
    let mut writer = spool.create("in/a.bin").await.unwrap();
    writer.write(content.into()).await.unwrap();
    writer.commit().await.unwrap();
    spool
}

async fn upload(store: &Store, spool: &Memory, to: &str, sha256: &str) -> Result<u64> {
    store.upload(&Upload { spool, from: "in/a.bin", to, content_type: Some("image/png"), sha256 }).await
}

/// Every place keeps the same promises; only where the checksum is differs.
async fn conformance(store: &Store, records: bool) {
    for length in [0, 1, PART - 1, PART, PART + 1, 3 * PART + 5] {
        let content: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        let (sum, spool) = (sha256(&content), spooled(content).await);
        let to = format!("orders/7/ü #1 100% {length}.bin");
        assert_eq!(store.head(&to).await.unwrap(), None);
        assert!(!store.holds(&to, length as u64, &sum).await.unwrap());

        let wrong = upload(store, &spool, &to, &sha256(b"something else")).await.unwrap_err();
        assert_eq!(wrong.category, Category::Transient);
        assert_eq!(store.head(&to).await.unwrap(), None, "what is not the right file does not appear");

        assert_eq!(upload(store, &spool, &to, &sum).await.unwrap(), length as u64);
        let recorded = records.then(|| sum.clone());
        assert_eq!(store.head(&to).await.unwrap(), Some(Stored { bytes: length as u64, sha256: recorded }));
        assert!(store.holds(&to, length as u64, &sum).await.unwrap());
        assert!(!store.holds(&to, length as u64 + 1, &sum).await.unwrap());
        assert!(!store.holds(&to, length as u64, &sha256(b"something else")).await.unwrap());

        let other = b"shorter".to_vec();
        let (sum, spool) = (sha256(&other), spooled(other).await);
        upload(store, &spool, &to, &sum).await.unwrap();
        assert!(store.holds(&to, 7, &sum).await.unwrap(), "an upload replaces what is there");
        upload(store, &spool, &to, "").await.unwrap();
        assert_eq!(store.head(&to).await.unwrap(), Some(Stored { bytes: 7, sha256: None }), "a checksum nobody knows");
    }
    for path in ["", "../a", "a/../b", "/a", "a//b", "a\\b", "a\nb"] {
        let spool = spooled(b"x".to_vec()).await;
        assert_eq!(upload(store, &spool, path, "").await.unwrap_err().category, Category::Permanent, "{path:?}");
    }
    let gone =
        store.upload(&Upload { spool: &Memory::default(), from: "a", to: "a", content_type: None, sha256: "" }).await;
    assert_eq!(gone.unwrap_err().category, Category::Transient);
}

#[tokio::test]
async fn a_folder_keeps_the_promises() {
    let root = tempfile::tempdir().unwrap();
    conformance(&open(root.path().join("made/here").to_str().unwrap()).await.unwrap(), false).await;
    conformance(&open(&format!("file://{}", root.path().join("by url").display())).await.unwrap(), false).await;
}

#[tokio::test]
async fn memory_keeps_the_promises() {
    conformance(&open("memory:///base").await.unwrap(), true).await;
}

#[tokio::test]
async fn urls_open_without_asking_anybody() {
    let key = "c2VjcmV0LWtleQ==";
    let account =
        [("azure_storage_account_name".to_owned(), "acc".to_owned()), ("account_key".to_owned(), key.to_owned())];
    let cases = [
        ("abfss://ws@onelake.dfs.fabric.microsoft.com/house.Lakehouse/Files/a", "house.Lakehouse/Files/a"),
        ("abfss://files@acc.dfs.core.windows.net/a/b", "a/b"),
        ("az://files/a", "a"),
    ];
    for (url, expected) in cases {
        let options = Options { url: url.into(), storage: account.clone().into() };
        let store = Store::open(&options, &clock()).await.unwrap();
        assert!(matches!(&store.place, Place::Objects { prefix, .. } if prefix.as_ref() == expected), "{url}");
        assert!(!format!("{options:?}").contains(key));
    }
    let s3 = [("aws_region".to_owned(), "eu-west-1".to_owned())].into();
    assert!(Store::open(&Options { url: "s3://bucket/a".into(), storage: s3 }, &clock()).await.is_ok());
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let typo = [("azure_acount".to_owned(), "hunter2".to_owned())].into();
    let cases = [
        (Options { url: "az://files/a".into(), storage: typo }, "unknown option \"azure_acount\""),
        (Options { url: "gs://bucket/a".into(), ..Options::default() }, "no such kind of store"),
        (Options { url: "ftp://h/a".into(), ..Options::default() }, "ftp"),
        (Options { url: " ".into(), ..Options::default() }, "the url is empty"),
        (Options { url: "/dev/null/a".into(), ..Options::default() }, "/dev/null/a"),
    ];
    for (options, expected) in cases {
        let error = Store::open(&options, &clock()).await.err().unwrap();
        assert!(error.message.contains(expected) && !error.to_string().contains("hunter2"), "{error}");
    }
}

/// A store in the manner of S3 on a server that answers every request with `status`.
async fn refusing(status: u16) -> Store {
    let address = serve(move |_| answer(status, &[], b"<Error><Code>X</Code></Error>")).await;
    let storage = [
        ("aws_endpoint", format!("http://{address}")),
        ("aws_allow_http", "true".into()),
        ("aws_region", "x".into()),
        ("aws_access_key_id", "id".into()),
        ("aws_secret_access_key", "hunter2".into()),
    ];
    let storage = storage.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Store::open(&Options { url: "s3://bucket/base".into(), storage }, &clock()).await.unwrap()
}

#[tokio::test]
async fn a_store_that_says_no_is_understood() {
    let spool = spooled(b"x".to_vec()).await;
    for (status, category) in
        [(401, Category::Auth), (403, Category::Permanent), (404, Category::Permanent), (400, Category::Permanent)]
    {
        let error = upload(&refusing(status).await, &spool, "a.bin", &sha256(b"x")).await.unwrap_err();
        assert_eq!(error.category, category, "{status}: {error}");
        assert!(error.message.starts_with("cannot write s3://bucket/base/a.bin: "), "{error}");
        assert!(!error.to_string().contains("hunter2"));
    }
}
