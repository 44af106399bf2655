//! The simulation: events on a topic, an API that answers about them and files to fetch, all declared in YAML, so that a
//! topology runs whole on one machine and what it made can be checked.
//!
//! - *Entities* are the things that events and answers are about. Their attributes are trees of generators, drawn
//!   from a hash of the seed, the kind and the number: nothing is stored, and every answer about a thing agrees with every
//!   event about it. A pool grows with the events; children belong to a parent.
//! - *Events* are typed by weight, pick an entity and are written as a tree that sees `event.index`, `event.at`, `event.type`,
//!   `event.id`, `event.fields` and the entity with all it belongs to. Some are sent again. Event `i` is a function of the seed
//!   and `i` (and of the server's address, where it holds links); simulated time never looks at a clock.
//! - *Routes* answer requests, with `auth` only those that carry the credentials. A name in a path (`/orders/{order}`,
//!   `/orders/late-{order}`) that is an entity's is looked up by id (404 where there is none); the answer sees `path`, `query`,
//!   `body`, the entities and what `let` declares. Of several routes that fit, the first by name answers.
//! - *Files* have bytes that are a function of the seed and the address. With `link`, links are signed, and expire on the run's
//!   clock: an answer's link is signed when it is given, an event's at the instant it says. Without, an address is enough. Some
//!   `places` have files that are always gone, moved elsewhere, too large or called by a wrong type.
//! - *Faults* are declared with rates for the server, a route or the files, and drawn for each attempt.
//! - The account in the run's directory says what was emitted, answered and served.
//! - *Expectations* say which rows the events imply. They are computed from the generator alone, by no code that a topology
//!   runs through.
//!
//! ```yaml
//! simulation: shop
//! language: 1
//! provides: {SHOP_URL: "{url}/api"}          # variables of the topology; {url}, {address} and {port} are the server's
//! entities:
//!   order: {id: 1000, pool: {first: 10, every: 5, window: 20}, attributes: {city: {$choice: [Oslo, Lima]}}}
//! events:
//!   topic: shop.events
//!   start: 2026-01-01T00:00:00Z
//!   step: 1s
//!   id: {$uuid: true}
//!   key: "{event.id}"
//!   value: {id: "{event.id}", type: "{event.type}", order: "{order.id}"}
//!   types: {ORDERED: {weight: 1, pick: order}}
//! routes:
//!   order: {get: "/api/orders/{order}", answer: {id: "{order.id}", city: "{order.city}"}}
//! expect:
//!   - {table: orders, key: ["{order.id}"]}
//! ```

mod account;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod broken;
mod compile;
mod connection;
mod declaration;
mod draw;
mod emission;
mod emitter;
mod eval;
mod fault;
mod files;
mod generators;
mod grow;
pub mod language;
pub mod manual;
mod outside;
pub(crate) mod route;
mod routes;
mod server;
mod sight;
mod spelling;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod tree;
#[cfg(test)]
pub mod trial;
mod world;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use connectors::clock::Clock;
use connectors::log::{Log, Producer};
use connectors::{Error, Result};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use account::Account;
use connection::{Cut, Cuttable};
use emitter::{Emitter, Progress};
use server::Server;

use crate::topology::{self, Diagnostics, Source, Span};

/// A simulation as it is declared, checked.
#[derive(Debug)]
pub struct Simulation {
    source: Source,
    name: String,
    /// Variables with their values, and where each stands.
    provides: Vec<(String, String, Span)>,
    /// The topic, and where it stands.
    topic: (String, Span),
    auth: Option<declaration::Auth>,
    world: world::World,
    events: emission::Events,
    expect: Vec<emission::Expect>,
    routes: Vec<route::Route>,
}

/// Reads and checks the simulation in a file.
pub fn load(path: &Path) -> Result<Simulation, Diagnostics> {
    parse(topology::read(path)?)
}

/// Checks and compiles the simulation in a text.
pub fn parse(source: Source) -> Result<Simulation, Diagnostics> {
    let mut problems = Vec::new();
    match compile::compile(&source, &mut problems) {
        Some(simulation) if problems.is_empty() => Ok(simulation),
        _ => Err(Diagnostics::new(problems, vec![source])),
    }
}

impl Simulation {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its file.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The topic that events are put on.
    pub fn topic(&self) -> &str {
        &self.topic.0
    }

    /// Where its file names the topic.
    pub fn topic_at(&self) -> Span {
        self.topic.1
    }

    /// How many routes it has.
    pub fn routes(&self) -> usize {
        self.routes.len()
    }

    /// The tables that it expects rows in, and where its file names each.
    pub fn tables(&self) -> impl Iterator<Item = (&str, Span)> {
        self.expect.iter().map(|rows| (rows.table.as_str(), rows.at))
    }

    /// The variables that it provides, and where each stands in its file.
    pub fn provides(&self) -> impl Iterator<Item = (&str, Span)> {
        self.provides.iter().map(|(name, _, at)| (name.as_str(), *at))
    }

    /// The variables that a topology needs to talk to it when it listens there. They win over what the environment says, so that
    /// a simulated run never reaches a real service.
    pub fn environment(&self, address: SocketAddr) -> BTreeMap<String, String> {
        let (url, at, port) = (format!("http://{address}"), address.to_string(), address.port().to_string());
        let fill = |text: &String| text.replace("{url}", &url).replace("{address}", &at).replace("{port}", &port);
        self.provides.iter().map(|(name, text, _)| (name.clone(), fill(text))).collect()
    }

    /// The same world where nothing goes wrong and every answer of a route takes `latency`: for measurements.
    #[must_use]
    pub fn calm(mut self, latency: Duration) -> Self {
        let latency = declaration::Latency { mean: latency, ..Default::default() };
        for route in &mut self.routes {
            route.faults.clear();
            route.latency = latency;
        }
        if let Some(files) = &mut self.world.files {
            files.faults.clear();
        }
        self
    }

    /// Takes an address (port 0: any that is free), so that the variables are known before anything is served. What is asked
    /// before [`Bound::start`] waits for it.
    pub async fn bind(self, listen: SocketAddr) -> Result<Bound> {
        let fail = |e: std::io::Error| {
            Error::permanent(format!("the simulation cannot listen on {listen}: {e}")).hint("choose another port")
        };
        let listener = TcpListener::bind(listen).await.map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        Ok(Bound { simulation: self, listener, address })
    }
}

/// What a simulation runs with.
pub struct Options {
    /// What everything is drawn from.
    pub seed: u64,
    /// How many messages are emitted, over all runs.
    pub events: u64,
    /// The folder of the account.
    pub account_dir: PathBuf,
    /// Waits, and the expiry of links.
    pub clock: Arc<dyn Clock>,
    /// Where messages are emitted to; without, the server alone runs, and knows of everything that [`ALONE`] events bring.
    pub emit: Option<Emit>,
    /// Messages in a second; as fast as it goes without.
    pub rate: Option<f64>,
}

/// Where messages are emitted to.
pub struct Emit {
    /// Writes them.
    pub producer: Arc<dyn Producer>,
    /// Reads back what an earlier run wrote.
    pub log: Arc<dyn Log>,
}

/// So many events have happened for a server that runs alone.
pub const ALONE: u64 = 10_000_000;

/// How many rows a table holds once all that was emitted is through and nothing was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The table's name in the topology.
    pub table: String,
    /// Its rows.
    pub rows: u64,
}

/// A simulation that has an address.
#[derive(Debug)]
pub struct Bound {
    simulation: Simulation,
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The variables that a topology needs to talk to it.
    pub fn environment(&self) -> BTreeMap<String, String> {
        self.simulation.environment(self.address)
    }

    /// The simulation itself.
    pub fn simulation(&self) -> &Simulation {
        &self.simulation
    }

    /// By address, not as `localhost`, which may be another address too.
    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves, and emits from where an earlier run on the same topic and folder stopped. The topic must exist.
    ///
    /// # Errors
    /// When the folder or the topic holds a run of another seed, or cannot be reached.
    pub async fn start(self, options: Options) -> Result<Running> {
        let (environment, url) = (self.environment(), self.url());
        let Options { seed, events, account_dir, clock, emit, rate } = options;
        let mut simulation = self.simulation;
        simulation.world.draw = draw::Draw::of(seed);
        simulation.world.url.clone_from(&url);
        let simulation = Arc::new(simulation);
        let open = move || Ok((Account::open(&account_dir, seed)?, earlier_runs(&account_dir)?));
        let (account, runs) = tokio::task::spawn_blocking(open)
            .await
            .map_err(|e| Error::permanent(format!("opening the account: {e}")))??;
        let progress = Arc::new(Progress::default());
        let topic: Arc<str> = simulation.topic().into();
        let mut emitting = None;
        let mut known = ALONE;
        if let Some(Emit { producer, log }) = emit {
            let (clock, account, progress) = (clock.clone(), account.clone(), progress.clone());
            let simulation = simulation.clone();
            let topic = topic.clone();
            let emitter = Emitter { simulation, seed, events, topic, log, producer, clock, rate, account, progress };
            let file = emitter.begin().await?;
            known = events.max(emitter.progress.emitted.load(Ordering::SeqCst));
            emitting = Some(tokio::spawn(emitter.run(file)).abort_handle());
        } else {
            progress.done.store(true, Ordering::SeqCst);
        }
        let server = Arc::new(Server {
            simulation: simulation.clone(),
            events: known,
            url,
            clock,
            account,
            counts: eval::Counts::after(runs),
            calls: AtomicU64::new(0),
            files: AtomicU64::new(0),
        });
        let (stop, mut stopped) = watch::channel(false);
        let router = axum::Router::new().fallback(server::answer).with_state(server.clone());
        let service = router.into_make_service_with_connect_info::<Cut>();
        let shutdown = async move {
            // An error means that the run is gone, which is the same.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let serving = axum::serve(Cuttable(self.listener), service).with_graceful_shutdown(shutdown);
        let serving = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the simulation's server ended");
            }
        })
        .abort_handle();
        Ok(Running { address: self.address, environment, topic, simulation, progress, server, stop, serving, emitting })
    }
}

/// How many runs used this folder before; counts this one.
fn earlier_runs(folder: &Path) -> Result<u64> {
    let file = folder.join("runs");
    let runs = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0u64);
    let kept = std::fs::write(&file, (runs + 1).to_string());
    kept.map_err(|e| Error::permanent(format!("{}: {e}", file.display())))?;
    Ok(runs)
}

/// A simulation at work.
pub struct Running {
    address: SocketAddr,
    environment: BTreeMap<String, String>,
    topic: Arc<str>,
    simulation: Arc<Simulation>,
    progress: Arc<Progress>,
    server: Arc<Server>,
    stop: watch::Sender<bool>,
    serving: AbortHandle,
    emitting: Option<AbortHandle>,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The variables that a topology needs to talk to it.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// The topic that events are put on.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// How many messages are on the topic, those of earlier runs included.
    pub fn emitted(&self) -> u64 {
        self.progress.emitted.load(Ordering::SeqCst)
    }

    /// Whether all messages are on the topic.
    pub fn done(&self) -> bool {
        self.progress.done.load(Ordering::SeqCst)
    }

    /// Calls of the API in this run, faulted ones included.
    pub fn calls(&self) -> u64 {
        self.server.calls.load(Ordering::Relaxed)
    }

    /// Requests of files in this run, faulted ones included.
    pub fn files(&self) -> u64 {
        self.server.files.load(Ordering::Relaxed)
    }

    /// Why it cannot go on, if it cannot: the account cannot be written, or the topic refuses for good. What may pass is
    /// tried again and not told here.
    pub fn failure(&self) -> Option<String> {
        self.progress.failure.get().cloned()
    }

    /// The rows of each table that the simulation knows of. Takes a moment and the memory of the keys: ask once, at the end.
    pub fn expected(&self) -> Vec<Expected> {
        self.simulation.events.expected(&self.simulation.world, &self.simulation.expect, self.emitted())
    }

    /// Stops emitting and serving. Open calls get a second to end.
    pub async fn stop(&self) {
        if let Some(emitting) = &self.emitting {
            emitting.abort();
        }
        self.stop.send_replace(true);
        for _ in 0..20 {
            if self.serving.is_finished() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.serving.abort();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(emitting) = &self.emitting {
            emitting.abort();
        }
        self.serving.abort();
    }
}
