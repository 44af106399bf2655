//! The outside of a case: systems in memory that outlive the flows, so that a restart finds what was durable.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use connectors::clock::{Clock, ManualClock, Micros};
use connectors::http::Client;
use connectors::log::{Log, Source, Subscription, TopicSpec};
use connectors::spool::{Memory, Spool};
use connectors::store::{self, Store};
use connectors::table::Table;
use connectors::{Error, Result, download, file, memory, memory_table};

use super::doubles::{Api, Files, Unanswered, Web};
use crate::plan::{self, Connection, Flow, Plan, SourceKind};
use crate::run::Systems;
use crate::run::systems::{http_options, web_options};
use crate::stage::message::header;

/// The log that stands for files of lines, and the group that reads it.
const LINES: &str = "lines";

/// Systems in memory.
pub struct World {
    /// The time.
    pub clock: ManualClock,
    /// Files of hosts.
    pub files: Arc<Files>,
    /// What was asked and not declared.
    pub unanswered: Arc<Unanswered>,
    logs: Mutex<BTreeMap<String, memory::Log>>,
    tables: Mutex<BTreeMap<String, Arc<memory_table::Table>>>,
    apis: BTreeMap<String, Arc<Api>>,
    spools: Mutex<BTreeMap<String, Memory>>,
    stores: Mutex<BTreeMap<String, (Store, Arc<store::Faults>)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// Empty systems for `plan`, at the instant `start`.
    pub fn new(plan: &Plan, start: Micros) -> Self {
        let clock = ManualClock::at(start);
        let unanswered = Arc::new(Unanswered::default());
        let api = |(name, connection): (&String, &Connection)| match connection {
            Connection::Http(api) => {
                let double = Api::new(name, &api.url, api.timeout, clock.clone(), unanswered.clone());
                Some((name.clone(), Arc::new(double)))
            }
            _ => None,
        };
        World {
            apis: plan.connections.iter().filter_map(api).collect(),
            files: Arc::new(Files::new(unanswered.clone())),
            unanswered,
            logs: Mutex::default(),
            tables: Mutex::default(),
            spools: Mutex::default(),
            stores: Mutex::default(),
            clock,
        }
    }

    /// The API of a connection.
    pub fn api(&self, name: &str) -> Option<&Arc<Api>> {
        self.apis.get(name)
    }

    /// A table, once a flow has opened it.
    pub fn table_named(&self, name: &str) -> Option<Arc<memory_table::Table>> {
        lock(&self.tables).get(name).cloned()
    }

    /// The log of a connection.
    pub fn log_named(&self, name: &str) -> memory::Log {
        lock(&self.logs)
            .entry(name.to_owned())
            .or_insert_with(|| memory::Log::new(Arc::new(self.clock.clone())))
            .clone()
    }

    /// A store or a spool, once a flow has opened it.
    pub fn place(&self, name: &str) -> Option<Place> {
        let store = lock(&self.stores).get(name).cloned().map(|(store, faults)| Place::Store(store, faults));
        store.or_else(|| lock(&self.spools).get(name).cloned().map(Place::Spool))
    }

    /// Lets everything that waits for the clock look at it.
    pub fn tick(&self, now: Micros) {
        self.clock.set(now);
        lock(&self.logs).values().for_each(memory::Log::wake);
    }

    /// The log, the group and the topics that `flow` reads; those behind the first are retry topics.
    pub fn reads(&self, flow: &Flow) -> (memory::Log, String, Vec<String>) {
        match &flow.source.kind {
            SourceKind::Topic { connection, topic, group } => {
                let topics = std::iter::once(topic.as_str()).chain(flow.source.retry.topics());
                (self.log_named(connection), group.clone(), topics.map(str::to_owned).collect())
            }
            SourceKind::File { path } => (self.log_named(LINES), LINES.to_owned(), vec![path.display().to_string()]),
        }
    }

    /// Messages that `flow` has not committed: how many could be read now, and when the first of the others is due.
    pub async fn unread(&self, flow: &Flow) -> Result<(u64, Option<Micros>)> {
        let now = self.clock.now();
        let (log, group, topics) = self.reads(flow);
        let (mut ready, mut next) = (0, None::<Micros>);
        for (index, topic) in topics.iter().enumerate() {
            let position = log.position(&group, topic).await?;
            for bounds in log.bounds(topic).await? {
                let at = position.get(&bounds.partition).copied().unwrap_or(bounds.low);
                let left = usize::try_from(bounds.high - at).unwrap_or(0);
                for message in log.read(topic, bounds.partition, at, left).await? {
                    let due = message.header(header::DUE).and_then(|due| due.parse::<Micros>().ok());
                    match due.filter(|due| index > 0 && *due > now) {
                        // What is behind it waits for it.
                        Some(due) => {
                            next = Some(next.map_or(due, |next| next.min(due)));
                            break;
                        }
                        None => ready += 1,
                    }
                }
            }
        }
        Ok((ready, next))
    }
}

/// Where files are.
pub enum Place {
    /// Where they end, and what lets uploads fail.
    Store(Store, Arc<store::Faults>),
    /// Where they wait.
    Spool(Memory),
}

/// Shared by the runs of a case.
pub struct Shared(pub Arc<World>);

#[async_trait]
impl Systems for Shared {
    async fn log(&self, name: &str, _: &plan::Kafka) -> Result<Arc<dyn Log>> {
        Ok(Arc::new(self.0.log_named(name)))
    }

    fn client(&self, name: &str, api: &plan::Http) -> Result<Client> {
        let double = self.0.api(name).ok_or_else(|| Error::permanent("is no API"))?;
        Ok(Client::over(double.clone(), &http_options(name, api), Arc::new(self.0.clock.clone())))
    }

    fn downloader(&self, _: &str, web: &plan::Web) -> Result<download::Downloader> {
        let double = Arc::new(Web::new(web.idle_timeout, self.0.clock.clone(), self.0.files.clone()));
        let options = web_options(web, &crate::run::Local::Refused);
        Ok(download::Downloader::over(double, &options, Arc::new(self.0.clock.clone())))
    }

    async fn spool(&self, name: &str, _: &plan::ObjectStore) -> Result<Arc<dyn Spool>> {
        Ok(Arc::new(lock(&self.0.spools).entry(name.to_owned()).or_default().clone()))
    }

    async fn store(&self, name: &str, _: &plan::ObjectStore) -> Result<Store> {
        Ok(lock(&self.0.stores).entry(name.to_owned()).or_insert_with(Store::with_faults).0.clone())
    }

    async fn table(&self, name: &str, table: &plan::Table, _: Option<&Connection>) -> Result<(Arc<dyn Table>, bool)> {
        let new = || Arc::new(memory_table::Table::new((*table.spec).clone()));
        Ok((lock(&self.0.tables).entry(name.to_owned()).or_insert_with(new).clone(), true))
    }

    async fn lines(&self, options: file::Options) -> Result<Box<dyn Source>> {
        let (log, topic) = (self.0.log_named(LINES), options.path.display().to_string());
        log.create(&[TopicSpec { name: topic.clone(), partitions: 1 }]).await?;
        let gate = Arc::new(|_: &connectors::log::Message| true);
        log.subscribe(Subscription { group: LINES.to_owned(), topics: vec![topic], delayed: Vec::new(), gate }).await
    }
}
