//! `enrich` calls an API and binds the answer.
//!
//! ```yaml
//! order:
//!   enrich:
//!     connection: api
//!     get: "/orders/{event.order_id}"
//!     cache: {for: 60s, since: event.created_at}
//! photos:
//!   enrich:
//!     connection: api
//!     get: "/orders/{key}/photos"
//!     batch: {by: event.order_id, rows: 100, linger: 250ms}
//! ```
//! - **cache**: the same request is sent once while its answer is young enough, and once at a time: who asks meanwhile gets
//!   the same answer, or the same failure. With `since` an answer serves only what happened before its request was sent.
//! - **batch**: documents of one key share a call: the first waits up to `linger` for others. Each goes on, or fails, alone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use connectors::clock::{Clock, Micros};
use connectors::table::{Cell, ColumnType};
use connectors::{Category, Error};
use hashbrown::HashMap;
use indexmap::IndexMap;
use tokio::sync::{Notify, oneshot};

use super::call::{Answer, Caller, Rendered};
use super::dedup::key_text;
use super::{Document, Failure, Run, Usage, Verdict};
use crate::expr::{Env, Expr, Json, coerce, json};
use crate::plan::{self, Place};

/// A built `enrich`.
pub struct Enrich {
    inner: Arc<Inner>,
    /// Documents that may be in the stage for each call that may be under way.
    each: usize,
}

struct Inner {
    name: Arc<str>,
    place: Place,
    caller: Caller,
    clock: Arc<dyn Clock>,
    cache: Option<Cache>,
    batch: Option<plan::Batch>,
    groups: Mutex<HashMap<String, Arc<Group>>>,
}

struct Cache {
    ttl: Micros,
    since: Option<Expr>,
    size: usize,
    slots: Mutex<IndexMap<Rendered, Arc<Slot>>>,
}

/// One request's answer, and the turn to fetch it.
#[derive(Default)]
struct Slot {
    fetched: tokio::sync::Mutex<Option<Result<Answer, Error>>>,
    fetches: std::sync::atomic::AtomicU64,
}

/// Documents that share a call.
#[derive(Default)]
struct Group {
    members: Mutex<Vec<Member>>,
    full: Notify,
}

struct Member {
    document: Document,
    reply: oneshot::Sender<(Result<Answer, Failure>, u32)>,
}

/// How many documents may be in the stage at a time; `concurrency` is how many calls its connection makes at a time.
pub fn at_a_time(stage: &plan::Enrich, concurrency: usize) -> usize {
    // Enough to keep every place of the connection busy, and, with batches, to fill them; little enough that a document
    // whose turn has come is not past its deadline when its call is.
    concurrency.max(1) * 16 * stage.batch.as_ref().map_or(1, |b| b.rows.clamp(1, 10))
}

impl Enrich {
    /// A stage that calls through `caller`.
    pub fn new(stage: &plan::Enrich, caller: Caller, clock: Arc<dyn Clock>, name: Arc<str>, place: Place) -> Self {
        let cache = stage.cache.as_ref().map(|c| Cache {
            ttl: Micros::try_from(clock.scaled(c.ttl).as_micros()).unwrap_or(Micros::MAX),
            since: c.since.clone(),
            size: c.size.max(1),
            slots: Mutex::default(),
        });
        let each = at_a_time(stage, 1);
        let groups = Mutex::default();
        let inner = Inner { name, place, caller, clock, cache, batch: stage.batch.clone(), groups };
        Enrich { inner: Arc::new(inner), each }
    }
}

#[async_trait]
impl Run for Enrich {
    async fn run(&self, document: Document, env: &Env) -> (Verdict, Usage) {
        let inner = &self.inner;
        let (result, calls) = match &inner.batch {
            None => inner.single(&document, env).await,
            Some(batch) => inner.together(&document, batch, env).await,
        };
        let verdict = match result {
            Ok(answer) if sonic_rs::JsonValueTrait::is_null(&answer.value) => Verdict::On(document.pass(&inner.name)),
            Ok(answer) => Verdict::On(document.bind(&inner.name, answer.value)),
            Err(failure) => Verdict::Failed(failure),
        };
        (verdict, Usage { calls, ..Usage::default() })
    }

    fn limit(&self) -> usize {
        self.each * self.inner.caller.limit().max(1)
    }
}

impl Inner {
    fn failure(&self, error: &Error) -> Failure {
        Failure::of(error, &self.name, &self.place)
    }

    async fn single(&self, document: &Document, env: &Env) -> (Result<Answer, Failure>, u32) {
        let scope = document.scope(env);
        let rendered = match self.caller.render(&scope) {
            Ok(rendered) => rendered,
            Err(failure) => return (Err(failure), 0),
        };
        let since = match self.since(document, env) {
            Ok(since) => since,
            Err(failure) => return (Err(failure), 0),
        };
        self.fetch(rendered, since, env).await
    }

    fn since(&self, document: &Document, env: &Env) -> Result<Option<Micros>, Failure> {
        let Some(since) = self.cache.as_ref().and_then(|c| c.since.as_ref()) else { return Ok(None) };
        let value = since.eval(&document.scope(env));
        let value =
            value.map_err(|e| Failure::new(Category::Permanent, format!("since: {e}"), &self.name, &self.place))?;
        Ok(match coerce(ColumnType::Timestamp, &value) {
            Ok(Cell::Timestamp(at)) => Some(at),
            _ => None,
        })
    }

    /// The answer to `rendered`, from the cache where it is young enough.
    async fn fetch(&self, rendered: Rendered, since: Option<Micros>, env: &Env) -> (Result<Answer, Failure>, u32) {
        use std::sync::atomic::Ordering;
        let Some(cache) = &self.cache else {
            let (result, calls) = self.caller.send(&rendered, env).await;
            return (result.map_err(|e| self.failure(&e)), calls);
        };
        let slot = cache.slot(&rendered);
        let before = slot.fetches.load(Ordering::SeqCst);
        let mut fetched = slot.fetched.lock().await;
        let shared = slot.fetches.load(Ordering::SeqCst) != before;
        match &*fetched {
            Some(Ok(answer)) => {
                let young = self.clock.now() - answer.fetched_at <= cache.ttl;
                if young && since.is_none_or(|since| answer.fetched_at >= since) {
                    return (Ok(answer.clone()), 0);
                }
            }
            // It failed while we waited for our turn: to ask again at once would be a queue of the same failures.
            Some(Err(error)) if shared => return (Err(self.failure(error)), 0),
            _ => {}
        }
        let (result, calls) = self.caller.send(&rendered, env).await;
        slot.fetches.fetch_add(1, Ordering::SeqCst);
        *fetched = Some(result.clone());
        (result.map_err(|e| self.failure(&e)), calls)
    }

    /// Joins the group of the document's key, and waits for the group's answer.
    async fn together(
        self: &Arc<Self>,
        document: &Document,
        batch: &plan::Batch,
        env: &Env,
    ) -> (Result<Answer, Failure>, u32) {
        let key = match batch.by.eval(&document.scope(env)) {
            Ok(key) => key,
            Err(e) => {
                let failure = Failure::new(Category::Permanent, format!("batch: {e}"), &self.name, &self.place);
                return (Err(failure), 0);
            }
        };
        let (reply, answer) = oneshot::channel();
        self.join(key, Member { document: document.clone(), reply }, batch, env);
        // Its leader is a task of its own, which a member's deadline does not end.
        answer.await.unwrap_or_else(|_| (Err(self.failure(&Error::transient("the call of the batch was given up"))), 0))
    }

    fn join(self: &Arc<Self>, key: Json, member: Member, batch: &plan::Batch, env: &Env) {
        let text = key_text(&key);
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = groups.get(&text) {
            let mut members = group.members.lock().unwrap_or_else(PoisonError::into_inner);
            members.push(member);
            if members.len() >= batch.rows {
                group.full.notify_one();
                drop(members);
                groups.remove(&text);
            }
            return;
        }
        let group = Arc::new(Group { members: Mutex::new(vec![member]), full: Notify::new() });
        if batch.rows > 1 {
            groups.insert(text.clone(), group.clone());
        } else {
            group.full.notify_one();
        }
        tokio::spawn(Arc::clone(self).lead(key, text, group, batch.linger, env.clone()));
    }

    /// Waits for the group to fill, makes its call and tells its members.
    async fn lead(self: Arc<Self>, key: Json, text: String, group: Arc<Group>, linger: Duration, env: Env) {
        tokio::select! {
            () = group.full.notified() => {}
            () = self.clock.sleep(linger) => {}
        }
        let members = {
            let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
            if groups.get(&text).is_some_and(|g| Arc::ptr_eq(g, &group)) {
                groups.remove(&text);
            }
            std::mem::take(&mut *group.members.lock().unwrap_or_else(PoisonError::into_inner))
        };
        let (result, calls) = self.call_for(key, &members, &env).await;
        for (index, member) in members.into_iter().enumerate() {
            // The call is one, so it is counted once.
            let _ = member.reply.send((result.clone(), if index == 0 { calls } else { 0 }));
        }
    }

    async fn call_for(&self, key: Json, members: &[Member], env: &Env) -> (Result<Answer, Failure>, u32) {
        let Some(first) = members.first() else { return (Err(self.failure(&Error::transient("an empty batch"))), 0) };
        let items: Vec<Json> = members
            .iter()
            .map(|m| json::object(m.document.bindings.iter().map(|(name, value)| (&**name, value.clone()))))
            .collect();
        let mut shared = first.document.clone();
        shared.bindings.set("key".into(), key);
        shared.bindings.set("items".into(), Json::from(items));
        let rendered = match self.caller.render(&shared.scope(env)) {
            Ok(rendered) => rendered,
            Err(failure) => return (Err(failure), 0),
        };
        let since = members.iter().filter_map(|m| self.since(&m.document, env).ok().flatten()).max();
        self.fetch(rendered, since, env).await
    }
}

impl Cache {
    fn slot(&self, rendered: &Rendered) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(rendered) {
            return slot.clone();
        }
        if slots.len() >= self.size {
            slots.shift_remove_index(0);
        }
        let slot = Arc::new(Slot::default());
        slots.insert(rendered.clone(), slot.clone());
        slot
    }
}
