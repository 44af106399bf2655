//! The outside of a dry run: everything is read where it is, and whatever would be written goes nowhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use connectors::clock::Clock;
use connectors::http::{Client, Http, Request, Response, Wire};
use connectors::log::{Log, Message, Source};
use connectors::redact::redact;
use connectors::spool::Spool;
use connectors::store::{self, Store};
use connectors::table::Table;
use connectors::{Error, Result, delta, discard, download, embedded, file};
use tokio::sync::mpsc;

use super::look::{Feed, LookedAt, ReadLog, ReadTable};
use crate::expr::Env;
use crate::plan::{self, Connection, Flow, SourceKind};
use crate::run::systems::{http_options, local_path, open_log, table_options, web_options};
use crate::run::{Options, Systems};
use crate::stage::download::Download;
use crate::stage::upload::Upload;
use crate::stage::{Document, Run, Usage, Verdict};

/// How a call fails that is not made: of a failure that says so nothing else is to be told.
pub(super) const NOT_SENT: &str = "not sent in this dry run";

/// Something that a run would do and a dry run does not.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The stage.
    pub stage: Arc<str>,
    /// What it would do.
    pub what: String,
    /// Whether the message goes no further, because what follows depends on it.
    pub stops: bool,
}

/// What happened outside since it was last asked.
#[derive(Debug, Default)]
pub struct Told {
    /// Calls that were made: connection, request, answer.
    pub calls: Vec<String>,
    /// What was not done.
    pub planned: Vec<Planned>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where calls and plans are noted.
#[derive(Clone, Debug, Default)]
struct Notes(Arc<Mutex<Told>>);

/// The systems of a dry run.
pub struct Dry {
    options: Options,
    calls: bool,
    notes: Notes,
    feeds: Arc<Mutex<BTreeMap<String, mpsc::UnboundedSender<Message>>>>,
    /// Where stores are, by their connections.
    stores: Mutex<BTreeMap<String, String>>,
}

impl Dry {
    /// With calls of APIs, or without.
    pub fn new(options: &Options, calls: bool) -> Self {
        Dry {
            options: options.clone(),
            calls,
            notes: Notes::default(),
            feeds: Arc::default(),
            stores: Mutex::default(),
        }
    }

    /// Takes what happened since the last call.
    pub fn take_told(&self) -> Told {
        std::mem::take(&mut *lock(&self.notes.0))
    }

    /// Gives messages to `flow`, once its source was opened.
    pub fn feed(&self, flow: &Flow) -> Option<mpsc::UnboundedSender<Message>> {
        let name = match &flow.source.kind {
            SourceKind::Topic { topic, group, .. } => feed_name(group, topic),
            SourceKind::File { path } => path.display().to_string(),
        };
        lock(&self.feeds).remove(&name)
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.options.clock.clone()
    }
}

/// What tells the feeds of a log apart.
pub(super) fn feed_name(group: &str, topic: &str) -> String {
    format!("{group} of {topic}")
}

#[async_trait]
impl Systems for Dry {
    async fn log(&self, _: &str, kafka: &plan::Kafka) -> Result<Arc<dyn Log>> {
        let log: Option<Arc<dyn Log>> = match &kafka.brokers {
            Some(_) => Some(open_log(kafka, &self.options.data, self.clock()).await?),
            None => match embedded::look(self.options.data.join("topics"), self.clock()).await? {
                Some(log) => Some(Arc::new(log)),
                None => None,
            },
        };
        Ok(Arc::new(ReadLog { log, feeds: self.feeds.clone() }))
    }

    fn client(&self, name: &str, api: &plan::Http) -> Result<Client> {
        let options = http_options(name, api);
        let wire = Wire::new(&options, self.clock())?;
        let calls = Calls { name: name.to_owned(), wire, made: self.calls, notes: self.notes.clone() };
        Ok(Client::over(Arc::new(calls), &options, self.clock()))
    }

    fn downloader(&self, _: &str, web: &plan::Web) -> Result<download::Downloader> {
        download::Downloader::new(&web_options(web, &self.options.local), self.clock())
    }

    async fn spool(&self, _: &str, place: &plan::ObjectStore) -> Result<Arc<dyn Spool>> {
        Ok(Arc::new(LookedAt { root: local_path(&place.url)? }))
    }

    /// Nothing is asked of it: an upload is only told.
    async fn store(&self, name: &str, place: &plan::ObjectStore) -> Result<Store> {
        lock(&self.stores).insert(name.to_owned(), redact(&place.url).into_owned());
        let options = store::Options { url: "memory:///".to_owned(), ..store::Options::default() };
        Store::open(&options, &*self.options.clock).await
    }

    async fn table(&self, _: &str, table: &plan::Table, place: Option<&Connection>) -> Result<(Arc<dyn Table>, bool)> {
        let spec = (*table.spec).clone();
        let rows = discard::Table::new(spec.clone());
        let there = match table_options(table, place).filter(|_| !self.options.discard) {
            Some(options) => delta::Table::look(options, spec, self.clock()).await?,
            None => None,
        };
        Ok((Arc::new(ReadTable { rows, there }), false))
    }

    async fn lines(&self, options: file::Options) -> Result<Box<dyn Source>> {
        let (sender, messages) = mpsc::unbounded_channel();
        lock(&self.feeds).insert(options.path.display().to_string(), sender);
        Ok(Box::new(Feed { messages }))
    }

    fn download(&self, stage: Download) -> Arc<dyn Run> {
        Arc::new(DryDownload { stage, notes: self.notes.clone() })
    }

    fn upload(&self, stage: Upload) -> Arc<dyn Run> {
        let url = lock(&self.stores).get(&stage.plan.connection).cloned().unwrap_or_default();
        Arc::new(DryUpload { stage, url, notes: self.notes.clone() })
    }
}

impl Notes {
    fn plan(&self, stage: &Arc<str>, what: String, stops: bool) {
        lock(&self.0).planned.push(Planned { stage: stage.clone(), what, stops });
    }
}

/// An API that is called and told of, or only told of.
struct Calls {
    name: String,
    wire: Wire,
    made: bool,
    notes: Notes,
}

#[async_trait]
impl Http for Calls {
    async fn send_once(&self, request: &Request) -> Result<Response> {
        if !self.made {
            let what = format!("{request} of {} is not sent", self.name);
            self.notes.plan(&Arc::from(self.name.as_str()), what, true);
            return Err(Error::permanent(format!("{request}: {NOT_SENT}")));
        }
        let answer = self.wire.send_once(request).await;
        let became = match &answer {
            Ok(response) => format!("{}, {} bytes", response.status, response.body.len()),
            Err(error) => error.to_string(),
        };
        lock(&self.notes.0).calls.push(format!("{request} of {}: {became}", self.name));
        answer
    }
}

/// Checks what would be downloaded, and goes no further.
struct DryDownload {
    stage: Download,
    notes: Notes,
}

#[async_trait]
impl Run for DryDownload {
    async fn run(&self, document: Document, env: &Env) -> (Verdict, Usage) {
        let stage = &self.stage;
        let wanted = match stage.wanted(&document, env) {
            Ok(wanted) => wanted,
            Err(failure) => return (Verdict::Failed(failure), Usage::default()),
        };
        if wanted.expired && stage.refresh.is_none() {
            return (Verdict::Failed(stage.expired()), Usage::default());
        }
        if !wanted.expired
            && let Err(error) = stage.downloader.check(&wanted.url)
        {
            return (Verdict::Failed(stage.failed(&error)), Usage::default());
        }
        let first = if wanted.expired { " after a new link is asked for, because this one has ended" } else { "" };
        let what = format!("download {} into {} as {}{first}", redact(&wanted.url), stage.plan.spool, wanted.name);
        self.notes.plan(&stage.name, what, true);
        (Verdict::Skipped("not downloaded in a dry run".into()), Usage::default())
    }

    fn limit(&self) -> usize {
        self.stage.limit()
    }
}

/// Tells what would be uploaded. If the file is there, the message goes on as if it had been.
struct DryUpload {
    stage: Upload,
    /// Where the store is.
    url: String,
    notes: Notes,
}

#[async_trait]
impl Run for DryUpload {
    async fn run(&self, document: Document, env: &Env) -> (Verdict, Usage) {
        let stage = &self.stage;
        let wanted = match stage.wanted(&document, env) {
            Ok(wanted) => wanted,
            Err(failure) => return (Verdict::Failed(failure), Usage::default()),
        };
        let there = match stage.spool.length(&wanted.file).await {
            Ok(there) => there,
            Err(error) => return (Verdict::Failed(stage.failed(&error)), Usage::default()),
        };
        let (from, to, store) =
            (format!("{} of {}", wanted.file, stage.plan.spool), &wanted.to, &stage.plan.connection);
        let verdict = match there {
            Some(bytes) => {
                self.notes.plan(&stage.name, format!("upload {from}, {bytes} bytes, to {store} as {to}"), false);
                Verdict::On(document.bind(&stage.name, stage.stored(&self.url, to, bytes)))
            }
            None => {
                let what =
                    format!("{from} is not there; if {store} holds {to} as recorded it is done, else it is gone");
                self.notes.plan(&stage.name, what, true);
                Verdict::Skipped("not uploaded in a dry run".into())
            }
        };
        (verdict, Usage::default())
    }

    fn limit(&self) -> usize {
        self.stage.limit()
    }
}
