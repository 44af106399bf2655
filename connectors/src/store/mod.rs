//! Places for files: a folder, or an object store behind a URL.
//!
//! | url | place |
//! |---|---|
//! | a path, `file:///path` | a folder of this machine, made if it is not there |
//! | `abfss://container@account.dfs…/path`, `az://container/path`, `https://account.blob…/container/path` | Azure, OneLake included |
//! | `s3://bucket/path` | S3 and what speaks like it |
//! | `memory:///path` | memory; every `open` is a new, empty one |
//!
//! An upload is whole or not at all, and it is durable when the call returns. It overwrites. Folders get their files as a
//! spool does ([`Directory`]); object stores get small files in one request and long ones in parts of [`PART`] bytes, of
//! which a few are in memory at a time. The checksum is recorded with the object as the metadata `sha256`; a folder records
//! none, there a file is compared by reading it.

mod failure;
mod faults;
mod probe;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, BackoffConfig, ClientOptions, GetOptions, ObjectStore, ObjectStoreExt as _,
    ObjectStoreScheme, PutMultipartOptions, PutOptions, PutPayload, RetryConfig, WriteMultipart,
};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use url::Url;

use crate::clock::Clock;
use crate::redact::redact;
use crate::spool::{Directory, Spool, check_path};
use crate::{Error, Result};
use failure::failure;
pub use faults::Faults;
pub use probe::probe;

/// The length of a part, and the longest file that is sent in one request.
pub const PART: usize = 8 << 20;

/// Parts of one upload that are under way at a time.
const PARTS_AT_A_TIME: usize = 4;

/// The name under which the checksum is recorded.
const CHECKSUM: &str = "sha256";

/// Which place it is.
#[derive(Clone, Default)]
pub struct Options {
    /// Its URL or path.
    pub url: String,
    /// Options of the object store (`azure_storage_account_name`, `aws_region`, `timeout`, …), as the `object_store` crate
    /// names them. Their values are treated as secrets.
    pub storage: BTreeMap<String, String>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.storage.keys().collect();
        f.debug_struct("Options").field("url", &redact(&self.url)).field("storage", &keys).finish()
    }
}

/// A place for files. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    place: Place,
    /// The URL as errors show it.
    shown: Arc<str>,
    /// What a test does to uploads.
    faults: Option<Arc<Faults>>,
}

#[derive(Clone)]
enum Place {
    Folder(Directory),
    Objects { store: Arc<dyn ObjectStore>, prefix: Path },
}

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its length.
    pub bytes: u64,
    /// The checksum that was recorded with it; folders record none.
    pub sha256: Option<String>,
}

/// What is to be uploaded.
#[derive(Clone, Copy)]
pub struct Upload<'a> {
    /// Where the file is.
    pub spool: &'a dyn Spool,
    /// Its path there.
    pub from: &'a str,
    /// Its path in the store.
    pub to: &'a str,
    /// Its content type, for stores that keep one.
    pub content_type: Option<&'a str>,
    /// The SHA-256 it must have, in lower-case hexadecimal; empty if it is not known.
    pub sha256: &'a str,
}

/// Checks that a place can be opened, as far as that is known without reaching it. Nothing is made.
pub fn check(options: &Options) -> Result<()> {
    let shown = redact(&options.url);
    let refuse = |why: String| Error::permanent(format!("cannot open the store {shown}: {why}"));
    match Url::parse(&options.url) {
        Ok(url) if options.url.contains("://") && url.scheme() == "file" => {
            url.to_file_path().map(drop).map_err(|()| refuse("it is no path of this machine".into()))
        }
        Ok(url) if options.url.contains("://") => {
            let (scheme, _) = ObjectStoreScheme::parse(&url).map_err(|e| refuse(redact(&e.to_string()).into()))?;
            connect(scheme, &options.url, &options.storage, &refuse).map(drop)
        }
        _ if options.url.trim().is_empty() => Err(refuse("the url is empty".into())),
        _ => Ok(()),
    }
}

impl Store {
    /// Opens the place. Object stores are not asked for anything yet.
    pub async fn open(options: &Options, clock: &dyn Clock) -> Result<Self> {
        let shown: Arc<str> = redact(&options.url).into();
        let refuse = |why: String| Error::permanent(format!("cannot open the store {shown}: {why}"));
        let place = match Url::parse(&options.url) {
            Ok(url) if options.url.contains("://") && url.scheme() == "file" => {
                let path = url.to_file_path().map_err(|()| refuse("it is no path of this machine".into()))?;
                Place::Folder(Directory::open(path, clock).await?)
            }
            Ok(url) if options.url.contains("://") => {
                let (scheme, prefix) =
                    ObjectStoreScheme::parse(&url).map_err(|e| refuse(redact(&e.to_string()).into()))?;
                Place::Objects { store: connect(scheme, &options.url, &options.storage, &refuse)?, prefix }
            }
            _ if options.url.trim().is_empty() => return Err(refuse("the url is empty".into())),
            _ => Place::Folder(Directory::open(&options.url, clock).await?),
        };
        Ok(Store { place, shown, faults: None })
    }

    /// Files below `prefix` in `store`.
    pub fn over(store: Arc<dyn ObjectStore>, prefix: Path) -> Self {
        let shown = format!("{store}/{prefix}").into();
        Store { place: Place::Objects { store, prefix }, shown, faults: None }
    }

    /// A store in memory, and what lets its uploads fail: the double of tests.
    pub fn with_faults() -> (Self, Arc<Faults>) {
        let faults = Arc::new(Faults::default());
        let store = Store::over(Arc::new(InMemory::new()), Path::default());
        (Store { faults: Some(faults.clone()), shown: "memory://".into(), ..store }, faults)
    }

    /// The URL without secrets.
    pub fn url(&self) -> &str {
        &self.shown
    }

    /// Uploads a file of the spool and returns its length. What is at the destination is replaced.
    ///
    /// A file that is not in the spool, or not the one that was meant, is a transient error: downloading it again helps.
    pub async fn upload(&self, upload: &Upload<'_>) -> Result<u64> {
        check_path(upload.to)?;
        if let Some(error) = self.faults.as_ref().and_then(|faults| faults.refused()) {
            return Err(error);
        }
        let missing =
            || Error::transient(format!("{} is not in the spool", upload.from)).hint("it has to be downloaded again");
        let length = upload.spool.length(upload.from).await?.ok_or_else(missing)?;
        let reader = upload.spool.open(upload.from).await?.ok_or_else(missing)?;
        let mut source = Checked { reader, hash: Sha256::new(), bytes: 0, name: upload.from };
        match &self.place {
            Place::Folder(folder) => {
                let mut writer = folder.create(upload.to).await?;
                while let Some(part) = source.part(256 << 10).await? {
                    writer.write(part).await?;
                }
                source.verify(upload.sha256, length)?;
                writer.commit().await?;
            }
            Place::Objects { store, prefix } => {
                let path = self.path(prefix, upload.to)?;
                self.put(&**store, &path, upload, length, &mut source).await?;
                let stored = store.head(&path).await.map_err(|e| self.failed("look at", upload.to, &e))?;
                if stored.size != length {
                    let message =
                        format!("{}/{} has {} bytes after an upload of {length}", self.shown, upload.to, stored.size);
                    return Err(Error::transient(message));
                }
            }
        }
        match self.faults.as_ref().and_then(|faults| faults.lost()) {
            Some(error) => Err(error),
            None => Ok(length),
        }
    }

    async fn put(
        &self,
        store: &dyn ObjectStore,
        path: &Path,
        upload: &Upload<'_>,
        length: u64,
        source: &mut Checked<'_>,
    ) -> Result<()> {
        let failed = |e: object_store::Error| self.failed("write", upload.to, &e);
        let mut attributes = Attributes::new();
        if !upload.sha256.is_empty() {
            attributes.insert(Attribute::Metadata(CHECKSUM.into()), upload.sha256.to_owned().into());
        }
        if let Some(content_type) = upload.content_type {
            attributes.insert(Attribute::ContentType, content_type.to_owned().into());
        }
        if length <= PART as u64 {
            let content = source.part(PART + 1).await?.unwrap_or_default();
            source.verify(upload.sha256, length)?;
            let options = PutOptions { attributes, ..PutOptions::default() };
            store.put_opts(path, PutPayload::from_bytes(content), options).await.map_err(failed)?;
            return Ok(());
        }
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        let begun = store.put_multipart_opts(path, options).await.map_err(failed)?;
        let mut parts = WriteMultipart::new_with_chunk_size(begun, PART);
        let sent = async {
            while let Some(part) = source.part(PART).await? {
                parts.wait_for_capacity(PARTS_AT_A_TIME).await.map_err(failed)?;
                parts.put(part);
            }
            source.verify(upload.sha256, length)
        };
        match sent.await {
            Ok(()) => parts.finish().await.map(drop).map_err(failed),
            Err(error) => {
                // The parts are of no use; a store that cannot delete them now forgets them later.
                if let Err(e) = parts.abort().await {
                    tracing::debug!(error = %redact(&e.to_string()), "parts of a broken upload stay");
                }
                Err(error)
            }
        }
    }

    /// What is at `path`; `None` if nothing is.
    pub async fn head(&self, path: &str) -> Result<Option<Stored>> {
        check_path(path)?;
        match &self.place {
            Place::Folder(folder) => Ok(folder.length(path).await?.map(|bytes| Stored { bytes, sha256: None })),
            Place::Objects { store, prefix } => {
                let options = GetOptions { head: true, ..GetOptions::default() };
                match store.get_opts(&self.path(prefix, path)?, options).await {
                    Ok(found) => {
                        let sha256 = found.attributes.get(&Attribute::Metadata(CHECKSUM.into())).map(|v| v.to_string());
                        Ok(Some(Stored { bytes: found.meta.size, sha256 }))
                    }
                    Err(object_store::Error::NotFound { .. }) => Ok(None),
                    Err(e) => Err(self.failed("look at", path, &e)),
                }
            }
        }
    }

    /// The paths of all files, sorted; of an object store only.
    pub async fn list(&self) -> Result<Vec<String>> {
        use futures::TryStreamExt as _;
        let Place::Objects { store, prefix } = &self.place else {
            return Err(Error::permanent("the files of a folder are not listed"));
        };
        let listed: Vec<_> = store.list(Some(prefix)).try_collect().await.map_err(|e| self.failed("list", "", &e))?;
        let below = |path: &Path| match path.prefix_match(prefix) {
            Some(parts) => parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"),
            None => path.to_string(),
        };
        let mut paths: Vec<String> = listed.iter().map(|found| below(&found.location)).collect();
        paths.sort();
        Ok(paths)
    }

    /// The whole content of the file at `path`, of an object store only; `None` if it is not there.
    pub async fn read(&self, path: &str) -> Result<Option<Bytes>> {
        check_path(path)?;
        let Place::Objects { store, prefix } = &self.place else {
            return Err(Error::permanent("the files of a folder are not read"));
        };
        match store.get(&self.path(prefix, path)?).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(|e| self.failed("read", path, &e))?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.failed("read", path, &e)),
        }
    }

    /// How many files it holds.
    pub async fn count(&self) -> Result<u64> {
        use futures::TryStreamExt as _;
        match &self.place {
            Place::Folder(folder) => folder.count().await,
            Place::Objects { store, prefix } => {
                let counted = store.list(Some(prefix)).try_fold(0, |count, _| async move { Ok(count + 1) });
                counted.await.map_err(|e| self.failed("list", "", &e))
            }
        }
    }

    /// Whether the file at `path` has this length and checksum. Where no checksum was recorded the file is read.
    pub async fn holds(&self, path: &str, bytes: u64, sha256: &str) -> Result<bool> {
        let Some(stored) = self.head(path).await? else { return Ok(false) };
        if stored.bytes != bytes {
            return Ok(false);
        }
        if let Some(recorded) = stored.sha256 {
            return Ok(recorded.eq_ignore_ascii_case(sha256));
        }
        let mut hash = Sha256::new();
        match &self.place {
            Place::Folder(folder) => {
                let Some(reader) = folder.open(path).await? else { return Ok(false) };
                let mut source = Checked { reader, hash, bytes: 0, name: path };
                while source.part(256 << 10).await?.is_some() {}
                hash = source.hash;
            }
            Place::Objects { store, prefix } => {
                let failed = |e: object_store::Error| self.failed("read", path, &e);
                let mut content = store.get(&self.path(prefix, path)?).await.map_err(failed)?.into_stream();
                while let Some(chunk) = content.next().await {
                    hash.update(chunk.map_err(failed)?);
                }
            }
        }
        Ok(format!("{:x}", hash.finalize()).eq_ignore_ascii_case(sha256))
    }

    fn path(&self, prefix: &Path, path: &str) -> Result<Path> {
        Path::parse(format!("{prefix}/{path}"))
            .map_err(|e| Error::permanent(format!("{path:?} is no path in {}: {e}", self.shown)))
    }

    fn failed(&self, what: &str, path: &str, error: &object_store::Error) -> Error {
        failure(&format!("cannot {what} {}/{path}", self.shown.trim_end_matches('/')), error)
    }
}

/// A file that is read in parts and hashed on the way.
struct Checked<'a> {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    hash: Sha256,
    bytes: u64,
    name: &'a str,
}

impl Checked<'_> {
    /// The next `length` bytes, fewer at the end, `None` after it.
    async fn part(&mut self, length: usize) -> Result<Option<Bytes>> {
        let mut part = BytesMut::with_capacity(length);
        let mut rest = (&mut self.reader).take(length as u64);
        loop {
            let read = rest.read_buf(&mut part).await;
            match read.map_err(|e| Error::transient(format!("cannot read {} from the spool: {e}", self.name)))? {
                0 => break,
                _ if part.len() >= length => break,
                _ => {}
            }
        }
        self.hash.update(&part);
        self.bytes += part.len() as u64;
        Ok((!part.is_empty()).then(|| part.freeze()))
    }

    /// Whether it was the file that was meant. Everything has been read.
    fn verify(&mut self, sha256: &str, length: u64) -> Result<()> {
        let found = format!("{:x}", std::mem::take(&mut self.hash).finalize());
        if (sha256.is_empty() || found.eq_ignore_ascii_case(sha256)) && self.bytes == length {
            return Ok(());
        }
        let message =
            format!("{} in the spool is not the file that was downloaded: its checksum is {found}", self.name);
        Err(Error::transient(message).hint("it has to be downloaded again"))
    }
}

fn connect(
    scheme: ObjectStoreScheme,
    url: &str,
    storage: &BTreeMap<String, String>,
    refuse: &dyn Fn(String) -> Error,
) -> Result<Arc<dyn ObjectStore>> {
    let client =
        ClientOptions::new().with_timeout(Duration::from_secs(120)).with_connect_timeout(Duration::from_secs(10));
    // A few tries here for what passes in a moment; everything longer is the business of whoever called.
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(10),
            base: 2.0,
        },
        max_retries: 3,
        retry_timeout: Duration::from_secs(60),
    };
    let unknown =
        |key: &str| refuse(format!("unknown option {key:?}")).hint("see the options of the object_store crate");
    let built = match scheme {
        ObjectStoreScheme::Memory => return Ok(Arc::new(InMemory::new())),
        ObjectStoreScheme::MicrosoftAzure => {
            let builder = MicrosoftAzureBuilder::new().with_url(url).with_client_options(client).with_retry(retry);
            let mut builder = builder;
            for (key, value) in storage {
                builder = builder.with_config(key.to_ascii_lowercase().parse().map_err(|_| unknown(key))?, value);
            }
            builder.build().map(|store| Arc::new(store) as Arc<dyn ObjectStore>)
        }
        ObjectStoreScheme::AmazonS3 => {
            let mut builder = AmazonS3Builder::new().with_url(url).with_client_options(client).with_retry(retry);
            for (key, value) in storage {
                builder = builder.with_config(key.to_ascii_lowercase().parse().map_err(|_| unknown(key))?, value);
            }
            builder.build().map(|store| Arc::new(store) as Arc<dyn ObjectStore>)
        }
        _ => return Err(refuse("no such kind of store".into()).hint("use a path, abfss://, az://, s3:// or memory://")),
    };
    built.map_err(|e| refuse(redact(&e.to_string()).into()))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
