//! Stages as timely operators.
//!
//! Every operator here has two outputs: documents, and [`Note`]s for the ledger. A note leaves at the epoch of its message,
//! so when the frontier of all notes has passed an epoch, the ledger knows all there is to know about it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use connectors::clock::Clock;
use connectors::log::Message;
use connectors::{Category, Error};
use timely::dataflow::channels::pact::{Exchange, ParallelizationContract, Pipeline};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::operate::FrontierInterest;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tracing::Instrument;

use super::control::{Control, Stats};
use super::observe::Observer;
use super::source::Wake;
use super::visit::How;
use super::wire::{Delivered, Held, Note};
use super::{Builder, Capability, Stream};
use crate::expr::{Env, Expr, Present, Refused};
use crate::plan::{Input, Place};
use crate::stage::message::{Reader, replayed_for};
use crate::stage::{Apply, Document, Failure, Meta, Run, Usage, Verdict};

/// Tells expressions the time, which keys are present and which urls are refused.
#[derive(Clone)]
pub struct Surroundings {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Answers `present(table, key)`.
    pub present: Option<Present>,
    /// Answers `refused(connection, url)`.
    pub refused: Option<Refused>,
}

impl Surroundings {
    /// The environment of expressions that run now.
    pub fn env(&self) -> Env {
        Env { now: self.clock.now(), present: self.present.clone(), refused: self.refused.clone() }
    }
}

/// What every stage's operator needs besides the stage.
#[derive(Clone)]
pub struct Setting {
    /// The stage's name.
    pub name: Arc<str>,
    /// Where it is declared.
    pub place: Place,
    /// What it reads.
    pub input: Input,
    /// Whether it runs on a document.
    pub when: Option<Expr>,
    /// Time and presence.
    pub surroundings: Surroundings,
    /// Counters.
    pub stats: Arc<Stats>,
    /// Which of them counts what an asynchronous stage produced.
    pub produced: Option<fn(&Stats) -> &std::sync::atomic::AtomicU64>,
    /// Sees what becomes of each document, for a test.
    pub observer: Option<Arc<Observer>>,
}

impl Setting {
    /// Whether the stage sees `document` at all.
    fn sees(&self, document: &Document) -> bool {
        document.produced || !matches!(self.input, Input::Produced(_))
    }

    /// Whether the stage runs on `document`.
    fn runs(&self, document: &Document, env: &Env) -> Result<bool, Failure> {
        document.holds(self.when.as_ref(), env, &self.name, &self.place)
    }

    /// What the observer must know of a document that is given away; nothing where nobody looks.
    fn seen(&self, document: &Document) -> Option<Arc<Meta>> {
        self.observer.as_ref().map(|_| document.meta.clone())
    }

    /// Tells the observer, if there is one, what became of a document of `meta`.
    fn tell(&self, meta: Option<&Arc<Meta>>, how: impl FnOnce() -> How) {
        if let (Some(observer), Some(meta)) = (&self.observer, meta) {
            observer.visited(meta, &self.name, how());
        }
    }
}

/// What tells a flow's own messages from those that were replayed for another.
pub(crate) struct Own {
    /// The flow's group; none for files.
    pub group: Option<Arc<str>>,
    /// Its retry topics.
    pub retries: Vec<String>,
}

impl Own {
    /// Why a message is left to another flow, if it is.
    fn leaves(&self, message: &Message) -> Option<Arc<str>> {
        let is_retry = self.retries.iter().any(|topic| **topic == *message.topic);
        let other = replayed_for(message, is_retry, self.group.as_deref()?)?;
        Some(Arc::from(format!("replayed for the group {other}")))
    }
}

/// Documents and notes: what every stage's operator puts out.
pub(crate) type Outputs<'s> = (Stream<'s, Document>, Stream<'s, Note>);

/// Reads messages. Also returns what the ledger holds. Messages spread over the workers by their identity, and stay there.
pub(crate) fn read<'s>(
    messages: Stream<'s, Delivered>,
    reader: Reader,
    own: Own,
    surroundings: Surroundings,
    observer: Option<Arc<Observer>>,
) -> (Stream<'s, Document>, Stream<'s, Held>, Stream<'s, Note>) {
    let name: Arc<str> = Arc::from("source");
    let mut builder = OperatorBuilder::new("Read".to_owned(), messages.scope());
    let mut input = builder.new_input(messages, Exchange::new(|d: &Delivered| d.meta.id));
    builder.set_notify_for(0, FrontierInterest::Never);
    let (documents, documents_stream) = builder.new_output();
    let (held, held_stream) = builder.new_output();
    let (notes, notes_stream) = builder.new_output();
    let mut documents = OutputBuilder::<_, Builder<Document>>::from(documents);
    let mut held = OutputBuilder::<_, Builder<Held>>::from(held);
    let mut notes = OutputBuilder::<_, Builder<Note>>::from(notes);
    builder.build(move |_| {
        move |_| {
            let env = surroundings.env();
            let (mut documents, mut held, mut notes) = (documents.activate(), held.activate(), notes.activate());
            input.for_each(|time, data| {
                let (Some(c0), Some(c1), Some(c2)) = (time.retain_least(0), time.retain_least(1), time.retain_least(2))
                else {
                    return;
                };
                let mut documents = documents.session(&c0);
                let mut held = held.session(&c1);
                for delivered in data.drain(..) {
                    if let Some(reason) = own.leaves(&delivered.message) {
                        if let Some(observer) = &observer {
                            observer.visited(&delivered.meta, &name, How::Skipped(reason.clone()));
                        }
                        notes.session(&c2).give(Note::Skipped(delivered.meta.id, reason));
                        held.give(Held { delivered, document: None });
                        continue;
                    }
                    let read = reader.read(&delivered.message, delivered.meta.clone(), &env);
                    if let Some(observer) = &observer {
                        let how = match &read {
                            Ok(document) => How::Bound {
                                value: document.bindings.get("event").cloned().unwrap_or_default(),
                                branch: None,
                            },
                            Err(failure) => How::Failed(failure.clone()),
                        };
                        observer.visited(&delivered.meta, &name, how);
                    }
                    match read {
                        Ok(document) => {
                            held.give(Held { delivered, document: Some(document.clone()) });
                            documents.give(document);
                        }
                        Err(failure) => {
                            notes.session(&c2).give(Note::Failed(delivered.meta.id, failure));
                            held.give(Held { delivered, document: None });
                        }
                    }
                }
            });
        }
    });
    (documents_stream, held_stream, notes_stream)
}

/// Runs a synchronous stage. `pact` decides which worker sees a document.
pub(crate) fn apply<'s, P>(
    documents: Stream<'s, Document>,
    pact: P,
    mut stage: Box<dyn Apply>,
    setting: Setting,
) -> Outputs<'s>
where
    P: ParallelizationContract<super::Epoch, Vec<Document>>,
{
    let mut builder = OperatorBuilder::new(setting.name.to_string(), documents.scope());
    let mut input = builder.new_input(documents, pact);
    builder.set_notify_for(0, FrontierInterest::Never);
    let (out, out_stream) = builder.new_output();
    let (notes, notes_stream) = builder.new_output();
    let mut out = OutputBuilder::<_, Builder<Document>>::from(out);
    let mut notes = OutputBuilder::<_, Builder<Note>>::from(notes);
    builder.build(move |_| {
        move |_| {
            let env = setting.surroundings.env();
            let (mut out, mut notes) = (out.activate(), notes.activate());
            input.for_each(|time, data| {
                let (Some(c0), Some(c1)) = (time.retain_least(0), time.retain_least(1)) else { return };
                let mut out = out.session(&c0);
                for document in data.drain(..).filter(|d| setting.sees(d)) {
                    let id = document.meta.id;
                    let meta = setting.seen(&document);
                    let verdict = match setting.runs(&document, &env) {
                        Err(failure) => {
                            setting.tell(meta.as_ref(), || How::Failed(failure.clone()));
                            Verdict::Failed(failure)
                        }
                        Ok(false) => {
                            setting.tell(meta.as_ref(), || How::Passed);
                            out.give(document.pass(&setting.name));
                            continue;
                        }
                        Ok(true) => {
                            let branch = setting.observer.as_ref().and_then(|_| stage.branch(&document, &env));
                            let verdict = stage.apply(document, &env);
                            setting.tell(meta.as_ref(), || How::of(&verdict, &setting.name, branch));
                            verdict
                        }
                    };
                    match verdict {
                        Verdict::On(document) => out.give(document),
                        Verdict::Many(documents) => out.give_iterator(documents.into_iter()),
                        Verdict::Skipped(reason) => notes.session(&c1).give(Note::Skipped(id, reason)),
                        Verdict::Failed(failure) => notes.session(&c1).give(Note::Failed(id, failure)),
                    }
                }
            });
        }
    });
    (out_stream, notes_stream)
}

/// An item of an asynchronous stage that has not finished: its capabilities keep the frontier back.
struct InFlight {
    documents: Capability,
    notes: Capability,
    meta: Arc<Meta>,
}

/// Runs an asynchronous stage on the tokio runtime: at most [`Run::limit`] documents at a time, each at most `deadline`,
/// counted from the moment its turn comes. A document that takes longer fails as transient: its task is dropped, and only
/// then is its capability released.
pub(crate) fn run<'s>(
    documents: Stream<'s, Document>,
    stage: Arc<dyn Run>,
    setting: Setting,
    deadline: Duration,
    runtime: Handle,
    control: Arc<Control>,
) -> Outputs<'s> {
    let scope = documents.scope();
    let mut builder = OperatorBuilder::new(setting.name.to_string(), scope);
    let mut input = builder.new_input(documents, Pipeline);
    builder.set_notify_for(0, FrontierInterest::Never);
    let (out, out_stream) = builder.new_output();
    let (notes, notes_stream) = builder.new_output();
    let mut out = OutputBuilder::<_, Builder<Document>>::from(out);
    let mut notes = OutputBuilder::<_, Builder<Note>>::from(notes);
    let address = builder.operator_info().address;
    let wake = Arc::new(Wake::default());
    wake.set(scope.worker().sync_activator_for(address.to_vec()));
    builder.build(move |_| {
        let (done, mut completions) = mpsc::unbounded_channel::<(u64, Verdict, Usage)>();
        let mut waiting: VecDeque<(Document, Capability, Capability)> = VecDeque::new();
        let mut in_flight: BTreeMap<u64, InFlight> = BTreeMap::new();
        let mut next = 0u64;
        move |_| {
            let env = setting.surroundings.env();
            let (mut out, mut notes) = (out.activate(), notes.activate());
            input.for_each(|time, data| {
                let (Some(c0), Some(c1)) = (time.retain_least(0), time.retain_least(1)) else { return };
                for document in data.drain(..).filter(|d| setting.sees(d)) {
                    match setting.runs(&document, &env) {
                        Err(failure) => {
                            setting.tell(Some(&document.meta), || How::Failed(failure.clone()));
                            notes.session(&c1).give(Note::Failed(document.meta.id, failure));
                        }
                        Ok(false) => {
                            setting.tell(Some(&document.meta), || How::Passed);
                            out.session(&c0).give(document.pass(&setting.name));
                        }
                        Ok(true) => waiting.push_back((document, c0.clone(), c1.clone())),
                    }
                }
            });
            while let Ok((item, verdict, usage)) = completions.try_recv() {
                let Some(entry) = in_flight.remove(&item) else {
                    control.fail(format!("stage {}: a completion for an unknown item", setting.name));
                    continue;
                };
                if usage != Usage::default() {
                    setting.stats.calls.fetch_add(u64::from(usage.calls), std::sync::atomic::Ordering::Relaxed);
                    setting.stats.refreshes.fetch_add(u64::from(usage.refreshes), std::sync::atomic::Ordering::Relaxed);
                    notes.session(&entry.notes).give(Note::Used(entry.meta.id, usage));
                }
                if let (Some(counter), Verdict::On(Document { produced: true, .. })) = (setting.produced, &verdict) {
                    counter(&setting.stats).fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
                setting.tell(Some(&entry.meta), || How::of(&verdict, &setting.name, None));
                match verdict {
                    Verdict::On(document) => out.session(&entry.documents).give(document),
                    Verdict::Many(documents) => out.session(&entry.documents).give_iterator(documents.into_iter()),
                    Verdict::Skipped(reason) => notes.session(&entry.notes).give(Note::Skipped(entry.meta.id, reason)),
                    Verdict::Failed(failure) => notes.session(&entry.notes).give(Note::Failed(entry.meta.id, failure)),
                }
            }
            while in_flight.len() < stage.limit() {
                let Some((document, c0, c1)) = waiting.pop_front() else { break };
                next += 1;
                let item = next;
                in_flight.insert(item, InFlight { documents: c0, notes: c1, meta: document.meta.clone() });
                let (stage, done, wake) = (stage.clone(), done.clone(), wake.clone());
                let (name, place, env) = (setting.name.clone(), setting.place.clone(), env.clone());
                // The inner task turns a panic of a stage into a failure of its message: an item that never completes would
                // hold the frontier for ever.
                let (clock, control) = (setting.surroundings.clock.clone(), control.clone());
                let work = async move {
                    let late =
                        Error::transient(format!("took longer than the deadline of {} s", deadline.as_secs_f64()));
                    let mut spent = Usage::default();
                    loop {
                        let (verdict, usage) = tokio::select! {
                            biased;
                            turn = stage.run(document.clone(), &env) => turn,
                            () = clock.sleep(deadline) => {
                                (Verdict::Failed(Failure::of(&late, &name, &place)), Usage::default())
                            }
                        };
                        spent += usage;
                        match &verdict {
                            Verdict::Failed(failure) if failure.category == Category::CircuitOpen => {
                                // The call that was kept back is none.
                                spent.calls = spent.calls.saturating_sub(1);
                                if control.is_stopped() {
                                    // Not a failure of the message: it stays where it is, uncommitted, and is read again.
                                    control.abandon();
                                    std::future::pending::<()>().await;
                                }
                                let wait = failure.retry_after.unwrap_or(0).clamp(10_000, 60_000_000);
                                tokio::select! {
                                    () = clock.sleep(Duration::from_micros(wait.unsigned_abs())) => {}
                                    () = control.wait_stopped() => {}
                                }
                            }
                            _ => return (verdict, spent),
                        }
                    }
                };
                let task = runtime.spawn(work.in_current_span());
                let (name, place) = (setting.name.clone(), setting.place.clone());
                let watched = async move {
                    let (verdict, usage) = task.await.unwrap_or_else(|e| {
                        tracing::error!(stage = %name, error = %e, "stage panicked");
                        let failure = Failure::new(Category::Unknown, format!("stage panicked: {e}"), &name, &place);
                        (Verdict::Failed(failure), Usage::default())
                    });
                    let _ = done.send((item, verdict, usage));
                    wake.wake();
                };
                runtime.spawn(watched.in_current_span());
            }
        }
    });
    (out_stream, notes_stream)
}
