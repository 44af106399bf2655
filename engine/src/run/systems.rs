//! How the systems that a topology names are opened: the real ones by [`Real`], doubles in memory by a test.
//!
//! Everything that a run reaches outside through is made here, so whoever brings another [`Systems`] runs the same flows over
//! something else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use connectors::clock::Clock;
use connectors::http::Client;
use connectors::log::{Log, Source};
use connectors::spool::{Bounded, Bounds, Directory, Spool};
use connectors::store::Store;
use connectors::table::Table;
use connectors::{Error, Result, delta, discard, download, embedded, file, http, kafka, store};

use super::{Local, Options};
use crate::plan::{self, Connection};
use crate::stage::Run;
use crate::stage::download::Download;
use crate::stage::upload::Upload;

/// Opens systems. Each connection and each table is opened once in a run.
#[async_trait]
pub trait Systems: Send + Sync + 'static {
    /// The log of a `kafka` connection.
    async fn log(&self, name: &str, kafka: &plan::Kafka) -> Result<Arc<dyn Log>>;
    /// The calls of an `http` connection.
    fn client(&self, name: &str, api: &plan::Http) -> Result<Client>;
    /// The downloads of a `web` connection.
    fn downloader(&self, name: &str, web: &plan::Web) -> Result<download::Downloader>;
    /// An `object_store` connection where files wait.
    async fn spool(&self, name: &str, place: &plan::ObjectStore) -> Result<Arc<dyn Spool>>;
    /// An `object_store` connection that files go to.
    async fn store(&self, name: &str, place: &plan::ObjectStore) -> Result<Store>;
    /// A table in the `delta` connection `place`, and whether what is committed to it stays.
    async fn table(
        &self,
        name: &str,
        table: &plan::Table,
        place: Option<&Connection>,
    ) -> Result<(Arc<dyn Table>, bool)>;
    /// A file of lines, or a folder of them.
    async fn lines(&self, options: file::Options) -> Result<Box<dyn Source>>;

    /// What runs in the place of a stage that downloads: itself.
    fn download(&self, stage: Download) -> Arc<dyn Run> {
        Arc::new(stage)
    }

    /// What runs in the place of a stage that uploads: itself.
    fn upload(&self, stage: Upload) -> Arc<dyn Run> {
        Arc::new(stage)
    }
}

/// The systems as they are declared.
pub struct Real {
    options: Options,
}

impl Real {
    /// Systems as `options` say; opening them may write below its data folder.
    pub fn new(options: &Options) -> Self {
        Real { options: options.clone() }
    }
}

#[async_trait]
impl Systems for Real {
    async fn log(&self, _: &str, kafka: &plan::Kafka) -> Result<Arc<dyn Log>> {
        let open = || open_log(kafka, &self.options.data, self.options.clock.clone());
        match &kafka.brokers {
            // One process opens it once, whatever its topologies call it.
            None => Ok(self.options.embedded.0.get_or_try_init(open).await?.clone()),
            Some(_) => open().await,
        }
    }

    fn client(&self, name: &str, api: &plan::Http) -> Result<Client> {
        Client::new(&http_options(name, api), self.options.clock.clone())
    }

    fn downloader(&self, _: &str, web: &plan::Web) -> Result<download::Downloader> {
        download::Downloader::new(&web_options(web, &self.options.local), self.options.clock.clone())
    }

    async fn spool(&self, _: &str, place: &plan::ObjectStore) -> Result<Arc<dyn Spool>> {
        let clock = self.options.clock.clone();
        let folder = Directory::open(local_path(&place.url)?, &*clock).await?;
        let bounds = Bounds { bytes: place.spool.bytes, age: place.spool.age };
        Ok(Arc::new(Bounded::open(folder, bounds, clock).await?))
    }

    async fn store(&self, _: &str, place: &plan::ObjectStore) -> Result<Store> {
        let storage = place.options.iter().map(|(k, v)| (k.clone(), v.0.clone())).collect();
        Store::open(&store::Options { url: place.url.clone(), storage }, &*self.options.clock).await
    }

    async fn table(&self, _: &str, table: &plan::Table, place: Option<&Connection>) -> Result<(Arc<dyn Table>, bool)> {
        let spec = (*table.spec).clone();
        let Some(options) = table_options(table, place).filter(|_| !self.options.discard) else {
            return Ok((Arc::new(discard::Table::new(spec)), false));
        };
        Ok((Arc::new(delta::Table::open(options, spec, self.options.clock.clone()).await?), true))
    }

    async fn lines(&self, options: file::Options) -> Result<Box<dyn Source>> {
        if let Some(folder) = options.positions.parent() {
            let made = tokio::fs::create_dir_all(folder).await;
            made.map_err(|e| Error::permanent(format!("{}: {e}", folder.display())))?;
        }
        Ok(Box::new(file::Source::open(options).await?))
    }
}

/// Where a table is; none if its connection writes none.
pub(super) fn table_options(table: &plan::Table, place: Option<&Connection>) -> Option<delta::Options> {
    let mut options = delta::Options::at(table.url.clone());
    if let Some(Connection::Delta(place)) = place {
        options.storage_options = place.options.iter().map(|(k, v)| (k.clone(), v.0.clone())).collect();
        if !place.write {
            return None;
        }
    }
    Some(options)
}

/// Opens a Kafka cluster, or the embedded log below `data`.
pub async fn open_log(kafka: &plan::Kafka, data: &Path, clock: Arc<dyn Clock>) -> Result<Arc<dyn Log>> {
    Ok(match &kafka.brokers {
        None => Arc::new(embedded::Log::open(data.join("topics"), embedded::Options::default(), clock).await?),
        Some(brokers) => Arc::new(kafka::Log::connect(kafka_options(kafka, brokers), clock).await?),
    })
}

pub(super) fn local_path(url: &str) -> Result<PathBuf> {
    match url.strip_prefix("file://").or((!url.contains("://")).then_some(url)) {
        Some(path) => Ok(path.into()),
        None => Err(Error::permanent("a spool is a folder of this machine").hint("use a path or a file:// url")),
    }
}

pub(super) fn kafka_options(kafka: &plan::Kafka, brokers: &str) -> kafka::Options {
    let defaults = kafka::Options::new(brokers);
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    kafka::Options {
        security: kafka::Security {
            protocol: given(&kafka.protocol),
            mechanism: given(&kafka.mechanism),
            username: given(&kafka.username),
            password: given(&kafka.password.0),
            ca_location: kafka.ca.clone(),
        },
        consumer: kafka.consumer.clone(),
        producer: kafka.producer.clone(),
        max_poll_records: kafka.max_poll_records.unwrap_or(defaults.max_poll_records),
        session_timeout: kafka.session_timeout.unwrap_or(defaults.session_timeout),
        max_poll_interval: kafka.max_poll_interval.unwrap_or(defaults.max_poll_interval),
        heartbeat: kafka.heartbeat.unwrap_or(defaults.heartbeat),
        partitions: kafka.partitions,
        replication: kafka.replication,
        ..defaults
    }
}

/// An `http` connection as its client takes it.
pub fn http_options(name: &str, api: &plan::Http) -> http::Options {
    let defaults = http::Options::default();
    http::Options {
        name: name.to_owned(),
        url: api.url.clone(),
        auth: match &api.auth {
            plan::Auth::None => http::Auth::None,
            plan::Auth::Basic(username, password) => {
                http::Auth::Basic { username: username.clone(), password: password.0.clone() }
            }
            plan::Auth::Token(token) => http::Auth::Token(token.0.clone()),
            plan::Auth::Bearer(token) => http::Auth::Bearer(token.0.clone()),
        },
        headers: api.headers.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        timeout: api.timeout,
        concurrency: api.concurrency,
        backoff: connectors::policy::Backoff {
            retries: u32::try_from(api.retries).unwrap_or(u32::MAX),
            ..defaults.backoff
        },
        max_answer: api.max_answer,
        breaker: connectors::policy::Threshold {
            failures: api.breaker.failures,
            cooldown: api.breaker.cooldown,
            trials: api.breaker.trials,
            successes: api.breaker.successes,
        },
        rate: api.rate,
        classify: api.classify.clone(),
        ..defaults
    }
}

/// The declared table; without one the usual table, never everything.
fn web_types(web: &plan::Web) -> download::Types {
    let usual = download::Types::default();
    download::Types {
        allowed: if web.types.is_empty() {
            usual.allowed
        } else {
            web.types.iter().map(|(extension, types)| (extension.clone(), types.clone())).collect()
        },
        generic: if web.generic.is_empty() { usual.generic } else { web.generic.clone() },
    }
}

/// A `web` connection as its downloader takes it.
pub fn web_options(web: &plan::Web, local: &Local) -> download::Options {
    download::Options {
        allow: web.allow.clone(),
        allow_local: match local {
            Local::Refused => Vec::new(),
            Local::Only(addresses) => addresses.clone(),
            Local::Allowed => vec!["*".to_owned()],
        },
        max_size: web.max_size,
        idle_timeout: web.idle_timeout,
        concurrency: web.concurrency,
        redirects: web.redirects,
        types: web_types(web),
        classify: web.classify.clone(),
    }
}
