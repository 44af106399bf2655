//! The third step of loading: opens what a topology names. Every connection is opened once and shared by its flows.
//!
//! A password that is refused and a host that nobody knows are said here, at the start, not after an hour.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use connectors::clock::Clock;
use connectors::http::Client;
use connectors::log::{Gate, Log, Message, Producer, Subscription, TopicSpec};
use connectors::spool::Spool;
use connectors::store::Store;
use connectors::{Error, Result, columns, download, file, http};
use indexmap::{IndexMap, IndexSet};

use super::Options;
use super::systems::Systems;
use crate::dataflow::flow::{Connected, OpenTable};
use crate::dataflow::form;
use crate::dataflow::operators::Surroundings;
use crate::expr::{Present, Refused};
use crate::plan::{self, Connection, Flow, Plan, SourceKind, StageKind};
use crate::stage::Run;
use crate::stage::call::Caller;
use crate::stage::dedup::{Seen, key_text};
use crate::stage::download::Download;
use crate::stage::enrich::Enrich;
use crate::stage::message::header;
use crate::stage::presence::Presence;
use crate::stage::upload::Upload;

/// At most so many keys are known of a table that expressions ask for.
pub const PRESENT: usize = 2_000_000;

/// Everything that is open.
pub struct Outside {
    systems: Arc<dyn Systems>,
    logs: IndexMap<String, Arc<dyn Log>>,
    clients: IndexMap<String, Client>,
    webs: IndexMap<String, (download::Downloader, usize)>,
    stores: IndexMap<String, (Arc<Store>, usize)>,
    spools: IndexMap<String, Arc<dyn Spool>>,
    tables: IndexMap<String, OpenTable>,
    chosen: Vec<usize>,
    clock: Arc<dyn Clock>,
    topology: String,
    data: PathBuf,
}

impl Outside {
    /// Opens what the flows with the indexes `chosen` need.
    pub async fn open(
        plan: &Plan,
        chosen: &[usize],
        options: &Options,
        systems: Arc<dyn Systems>,
    ) -> Result<Self, Vec<String>> {
        let mut outside = Outside {
            systems,
            logs: IndexMap::new(),
            clients: IndexMap::new(),
            webs: IndexMap::new(),
            stores: IndexMap::new(),
            spools: IndexMap::new(),
            tables: IndexMap::new(),
            chosen: chosen.to_vec(),
            clock: options.clock.clone(),
            topology: plan.name.clone(),
            data: options.data.clone(),
        };
        let flows: Vec<&Flow> = chosen.iter().map(|i| &plan.flows[*i]).collect();
        let needs = Needs::of(plan, &flows);
        let mut problems = Vec::new();
        for name in &needs.connections {
            if let Err(error) = outside.open_connection(plan, name, needs.spools.contains(name)).await {
                problems.push(format!("connection {name}: {error}"));
            }
        }
        if problems.is_empty()
            && let Err(more) = outside.check_topics(plan, &flows, options).await
        {
            problems.extend(more);
        }
        for name in &needs.tables {
            if let Err(error) = outside.open_table(plan, name, &needs).await {
                problems.push(format!("table {name}: {error}"));
            }
        }
        if problems.is_empty() { Ok(outside) } else { Err(problems) }
    }

    async fn open_connection(&mut self, plan: &Plan, name: &str, spool: bool) -> Result<()> {
        let systems = &self.systems;
        match plan.connections.get(name) {
            None => return Err(Error::permanent("is not declared")),
            Some(Connection::Kafka(kafka)) => {
                self.logs.insert(name.to_owned(), systems.log(name, kafka).await?);
            }
            Some(Connection::Http(api)) => {
                self.clients.insert(name.to_owned(), systems.client(name, api)?);
            }
            Some(Connection::Web(web)) => {
                self.webs.insert(name.to_owned(), (systems.downloader(name, web)?, web.concurrency));
            }
            Some(Connection::ObjectStore(place)) if spool => {
                self.spools.insert(name.to_owned(), systems.spool(name, place).await?);
            }
            Some(Connection::ObjectStore(place)) => {
                let store = Arc::new(systems.store(name, place).await?);
                self.stores.insert(name.to_owned(), (store, place.concurrency));
            }
            Some(Connection::Delta(_)) => {}
        }
        Ok(())
    }

    /// All topics that the flows read and write must exist, or may be created.
    async fn check_topics(&self, plan: &Plan, flows: &[&Flow], options: &Options) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        for (connection, topics) in topics_of(plan, flows) {
            let Some(Connection::Kafka(kafka)) = plan.connections.get(&connection) else { continue };
            let log = self.log(&connection).map_err(|e| vec![e.to_string()])?;
            // The embedded log is ours alone: nobody else could create its topics.
            let create = options.create_topics || kafka.create || kafka.brokers.is_none();
            let result =
                if create { log.create(&topics).await.map(|()| Vec::new()) } else { log.missing(&topics).await };
            match result {
                Ok(missing) => problems.extend(missing.into_iter().map(|topic| {
                    format!(
                        "topic {topic} does not exist (create it, or set `create: true` on connection {connection})"
                    )
                })),
                Err(error) => problems.push(format!("connection {connection}: {error}")),
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    async fn open_table(&mut self, plan: &Plan, name: &str, needs: &Needs) -> Result<()> {
        let table = plan.tables.get(name).ok_or_else(|| Error::permanent("is not declared"))?;
        let place = plan.connections.get(&table.connection);
        let (open, written) = self.systems.table(name, table, place).await?;
        let presence = match (needs.present.contains(name), table.spec.key.as_slice()) {
            (true, [key]) => {
                let presence = Presence::new(PRESENT);
                let mut wanted = vec![*key];
                wanted.extend(table.spec.main_version());
                for batch in open.scan(&wanted, None).await? {
                    let versions = if wanted.len() > 1 { Some(columns::texts(&batch, 1)?) } else { None };
                    for (row, key) in columns::texts(&batch, 0)?.into_iter().enumerate() {
                        let whole = versions.as_ref().is_none_or(|v| v[row].is_some());
                        key.filter(|_| whole).iter().for_each(|key| presence.insert(key));
                    }
                }
                Some(Arc::new(presence))
            }
            _ => None,
        };
        self.tables.insert(name.to_owned(), OpenTable { table: open, plan: table.clone(), presence, written });
        Ok(())
    }

    /// What `flow` runs with.
    pub async fn connect(&self, plan: &Plan, flow: &Flow) -> Result<Connected> {
        let clock = self.clock.clone();
        let producer: Option<Arc<dyn Producer>> = match form::writes_with(plan, flow) {
            Some(connection) => Some(self.log(connection)?.producer().await?),
            None => None,
        };
        let source: Box<dyn connectors::log::Source> = match &flow.source.kind {
            SourceKind::Topic { connection, topic, group } => {
                let log = self.log(connection)?;
                log.subscribe(Subscription {
                    group: group.clone(),
                    topics: vec![topic.clone()],
                    delayed: flow.source.retry.topics().map(str::to_owned).collect(),
                    gate: gate(clock.clone()),
                })
                .await?
            }
            SourceKind::File { path } => self.systems.lines(self.file_options(flow, path)).await?,
        };
        let topics = flow
            .sends
            .iter()
            .filter_map(|s| Some((s.topic.clone(), Arc::from(plan.topics.get(&s.topic)?.name.as_str()))))
            .collect();
        let tables: IndexMap<String, OpenTable> =
            form::tables(flow).filter_map(|name| Some((name.to_owned(), self.tables.get(name)?.clone()))).collect();
        let mut runs: IndexMap<Arc<str>, Arc<dyn Run>> = IndexMap::new();
        let mut seen = IndexMap::new();
        for stage in &flow.stages {
            if let Some(run) = self.run(stage)? {
                runs.insert(stage.name.clone(), run);
            }
            if let StageKind::Dedup { window, table, .. } = &stage.kind {
                seen.insert(stage.name.clone(), self.seen(flow, *window, table.as_ref()).await?);
            }
        }
        let surroundings = Surroundings { clock, present: Some(self.present()), refused: Some(self.refused()) };
        Ok(Connected { source, producer, tables, topics, runs, seen, surroundings, observer: None })
    }

    fn run(&self, stage: &plan::Stage) -> Result<Option<Arc<dyn Run>>> {
        let (name, place) = (stage.name.clone(), stage.place.clone());
        let caller = |call: &plan::Call| -> Result<Caller> {
            let client = find(&self.clients, &call.connection)?;
            Ok(Caller::new(client.clone(), call.clone(), name.clone(), place.clone()))
        };
        Ok(Some(match &stage.kind {
            StageKind::Enrich(enrich) => {
                let caller = caller(&enrich.call)?;
                Arc::new(Enrich::new(enrich, caller, self.clock.clone(), name.clone(), place.clone()))
            }
            StageKind::Download(download) => {
                let (downloader, concurrency) = find(&self.webs, &download.connection)?;
                let spool = find(&self.spools, &download.spool)?.clone();
                let refresh =
                    download.refresh.as_ref().map(|r| Ok::<_, Error>((caller(&r.call)?, r.clone()))).transpose()?;
                self.systems.download(Download {
                    name: name.clone(),
                    place: place.clone(),
                    plan: download.clone(),
                    downloader: downloader.clone(),
                    spool,
                    refresh,
                    clock: self.clock.clone(),
                    concurrency: *concurrency,
                })
            }
            StageKind::Upload(upload) => {
                let (store, concurrency) = find(&self.stores, &upload.connection)?;
                self.systems.upload(Upload {
                    name: name.clone(),
                    place: place.clone(),
                    plan: upload.clone(),
                    store: store.clone(),
                    spool: find(&self.spools, &upload.spool)?.clone(),
                    clock: self.clock.clone(),
                    concurrency: *concurrency,
                    spent: std::sync::Mutex::default(),
                })
            }
            _ => return Ok(None),
        }))
    }

    /// The keys that a dedup has seen, and how far the table that holds them was committed.
    async fn seen(&self, flow: &Flow, window: std::time::Duration, from: Option<&plan::DedupTable>) -> Result<Seen> {
        let mut seen = Seen::new(window);
        let Some(from) = from else { return Ok(seen) };
        let table = find(&self.tables, &from.table)?;
        let wanted = [from.key, from.at];
        // First the positions, then the rows: a commit of another process in between adds keys that nobody is misjudged by.
        let application = format!("{}/{}/", self.topology, flow.name);
        for (name, offset) in table.table.transactions().await? {
            let partition = name.strip_prefix(&application).and_then(|name| name.rsplit_once('-'));
            if let Some((topic, partition)) = partition
                && let Ok(partition) = partition.parse()
            {
                seen.hold((topic.into(), partition), offset);
            }
        }
        for batch in table.table.scan(&wanted, None).await? {
            let now = self.clock.now();
            for (key, at) in columns::texts(&batch, 0)?.into_iter().zip(columns::instants(&batch, 1)?) {
                if let (Some(key), Some(at)) = (key, at) {
                    seen.restore(&key, at.min(now));
                }
            }
        }
        Ok(seen)
    }

    fn present(&self) -> Present {
        let known: BTreeMap<String, Arc<Presence>> =
            self.tables.iter().filter_map(|(n, t)| Some((n.clone(), t.presence.clone()?))).collect();
        Arc::new(move |table, key| known.get(table).is_some_and(|p| p.contains(&key_text(key))))
    }

    fn refused(&self) -> Refused {
        let webs: BTreeMap<String, download::Downloader> =
            self.webs.iter().map(|(name, (downloader, _))| (name.clone(), downloader.clone())).collect();
        Arc::new(move |connection, url| Some(webs.get(connection)?.admits(url).err()?.message))
    }

    /// How the file source of `flow` is read, and where its positions are: the only ones it has.
    pub fn file_options(&self, flow: &Flow, path: &Path) -> file::Options {
        let positions = format!("{}.{}.json", self.topology, flow.name);
        file::Options::new(path, self.data.join("positions").join(positions))
    }

    /// The log behind a connection.
    pub fn log(&self, connection: &str) -> Result<&Arc<dyn Log>> {
        find(&self.logs, connection)
    }

    /// The log that a simulation feeds: the first.
    pub fn first_log(&self) -> Result<&Arc<dyn Log>> {
        self.logs.first().map(|(_, log)| log).ok_or_else(|| Error::permanent("the topology reads no topic"))
    }

    /// The rest of a file source: what is found in it is not consumed yet.
    pub async fn rest_of(&self, flow: &Flow, path: &Path) -> Result<Box<dyn connectors::log::Source>> {
        self.systems.lines(self.file_options(flow, path)).await
    }

    /// The open tables, by name.
    pub fn tables(&self) -> impl Iterator<Item = (&String, &OpenTable)> {
        self.tables.iter()
    }

    /// The flows that are connected.
    pub fn flows<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = &'a Flow> {
        self.chosen.iter().filter_map(|i| plan.flows.get(*i))
    }

    /// For each store that flows upload to: its name, its place, how many files it holds.
    pub async fn files(&self) -> Result<Vec<(String, String, u64)>> {
        let mut files = Vec::new();
        for (name, (store, _)) in &self.stores {
            files.push((name.clone(), store.url().to_owned(), store.count().await?));
        }
        Ok(files)
    }

    /// Logs that cannot be reached at present, and why.
    pub fn troubles(&self) -> impl Iterator<Item = (&String, String)> {
        self.logs.iter().filter_map(|(name, log)| Some((name, log.trouble()?)))
    }

    /// What the clients have done: calls, retries within the client, the breaker's state.
    pub fn clients(&self) -> impl Iterator<Item = (&String, http::Snapshot)> {
        self.clients.iter().map(|(name, client)| (name, client.snapshot()))
    }
}

fn find<'a, T>(map: &'a IndexMap<String, T>, name: &str) -> Result<&'a T> {
    map.get(name).ok_or_else(|| Error::permanent(format!("connection {name} is not open")))
}

/// What a choice of flows needs of the outside.
struct Needs {
    connections: IndexSet<String>,
    spools: IndexSet<String>,
    tables: IndexSet<String>,
    present: IndexSet<String>,
}

impl Needs {
    fn of(plan: &Plan, flows: &[&Flow]) -> Self {
        let mut connections = IndexSet::new();
        let (mut spools, mut tables, mut present) = (IndexSet::new(), IndexSet::new(), IndexSet::new());
        for flow in flows {
            if let SourceKind::Topic { connection, .. } = &flow.source.kind {
                connections.insert(connection.clone());
            }
            connections.extend(flow.sends.iter().filter_map(|s| Some(plan.topics.get(&s.topic)?.connection.clone())));
            tables.extend(flow.rows.iter().map(|r| r.table.clone()));
            for stage in &flow.stages {
                match &stage.kind {
                    StageKind::Enrich(enrich) => {
                        connections.insert(enrich.call.connection.clone());
                    }
                    StageKind::Download(download) => {
                        connections.extend([download.connection.clone(), download.spool.clone()]);
                        connections.extend(download.refresh.as_ref().map(|r| r.call.connection.clone()));
                        spools.insert(download.spool.clone());
                    }
                    StageKind::Upload(upload) => {
                        connections.extend([upload.connection.clone(), upload.spool.clone()]);
                        spools.insert(upload.spool.clone());
                    }
                    StageKind::Dedup { table: Some(from), .. } => {
                        tables.insert(from.table.clone());
                    }
                    _ => {}
                }
            }
            present.extend(form::present(flow));
            connections.extend(form::refused(flow));
        }
        tables.extend(present.iter().cloned());
        Needs { connections, spools, tables, present }
    }
}

/// By connection the topics that `flows` read and write.
pub(super) fn topics_of(plan: &Plan, flows: &[&Flow]) -> BTreeMap<String, Vec<TopicSpec>> {
    let mut topics: BTreeMap<String, Vec<TopicSpec>> = BTreeMap::new();
    let mut add = |connection: &str, name: &str, partitions: Option<i32>| {
        let default = match plan.connections.get(connection) {
            Some(Connection::Kafka(kafka)) => kafka.partitions,
            _ => 1,
        };
        let list = topics.entry(connection.to_owned()).or_default();
        if list.iter().all(|t| t.name != name) {
            list.push(TopicSpec { name: name.to_owned(), partitions: partitions.unwrap_or(default) });
        }
    };
    for flow in flows {
        if let SourceKind::Topic { connection, topic, .. } = &flow.source.kind {
            let declared = plan.topics.values().find(|t| t.name == *topic && t.connection == *connection);
            add(connection, topic, declared.and_then(|t| t.partitions));
        }
        let retry = &flow.source.retry;
        for topic in retry.topics() {
            add(&retry.connection, topic, None);
        }
        if !retry.dead_letter.is_empty() {
            add(&retry.connection, &retry.dead_letter, None);
        }
        for topic in flow.sends.iter().filter_map(|s| plan.topics.get(&s.topic)) {
            add(&topic.connection, &topic.name, topic.partitions);
        }
    }
    topics
}

/// Lets a message of a delayed topic pass when it is due.
fn gate(clock: Arc<dyn Clock>) -> Gate {
    Arc::new(move |message: &Message| {
        let due = message.header(header::DUE).and_then(|due| due.parse::<i64>().ok());
        due.is_none_or(|due| due <= clock.now())
    })
}
