//! One life of a topology's flows: from a start to a stop or a crash, on a runtime of their own.
//!
//! Time stands still while a flow works. [`Life::settle`] returns when nothing is left to do but to wait for the clock, and it
//! knows so exactly. The tasks run on a runtime of one thread, which stands between two calls. The flows' workers have threads
//! of their own, and say when they have nothing to do. So: let the tasks run until the runtime is idle, ask every worker until it
//! rests, let the tasks run until the runtime is idle, ask again. If no operator was scheduled between the two answers, nobody
//! has given work to anybody.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use connectors::clock::{Clock, Micros};
use tokio::runtime::Runtime;

use super::world::{Shared, World};
use crate::dataflow::visit::Visit;
use crate::plan::Plan;
use crate::run::{self, Embedded, Local, Options, Run};
use crate::stage::Document;

/// The most instants that one step visits: more means that something is tried for ever.
const MOST_INSTANTS: usize = 10_000;

/// Flows that run.
pub struct Life {
    // Before the runtime, so that what the flows hold is dropped while it is there.
    run: Run,
    runtime: Runtime,
    idle: Arc<Idle>,
    world: Arc<World>,
}

/// Hears when the runtime has no task to run.
#[derive(Default)]
struct Idle(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    asked: Option<Waker>,
    heard: bool,
}

impl Idle {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn parks(&self) {
        let mut waiting = self.lock();
        if let Some(waker) = waiting.asked.take() {
            waiting.heard = true;
            drop(waiting);
            waker.wake();
        }
    }

    async fn wait(&self) {
        std::future::poll_fn(|context| {
            let mut waiting = self.lock();
            if std::mem::take(&mut waiting.heard) {
                return Poll::Ready(());
            }
            waiting.asked = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Life {
    /// Starts the flows called `flows`, all if there are none, over `world`.
    pub fn start(plan: &Arc<Plan>, flows: &[String], world: &Arc<World>) -> Result<Self, Vec<String>> {
        let idle = Arc::new(Idle::default());
        let parks = idle.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || parks.parks())
            .build()
            .map_err(|e| vec![format!("no runtime: {e}")])?;
        let options = Options {
            data: "data".into(),
            workers: 1,
            create_topics: true,
            local: Local::Refused,
            discard: false,
            embedded: Embedded::default(),
            clock: Arc::new(world.clock.clone()),
        };
        let systems = Arc::new(Shared(world.clone()));
        let chosen = run::choose(&[plan.as_ref()], flows)?.into_iter().next().unwrap_or_default();
        // Flows are started within the runtime.
        let run = runtime
            .block_on(async { run::open_over(plan.clone(), &chosen, &options, systems, true).await?.start() })?;
        for flow in &run.flows {
            // Nobody waits for more rows: what is complete is committed.
            flow.control.set_hurry(true);
        }
        Ok(Life { run, runtime, idle, world: world.clone() })
    }

    /// Runs something short, such as a write to a topic.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Lets everything happen that needs no time to pass.
    pub fn settle(&self) -> Result<(), String> {
        loop {
            self.runtime.block_on(self.idle.wait());
            let before = self.turns();
            self.runtime.block_on(self.idle.wait());
            if self.turns() == before {
                return self.run.failure().map_or(Ok(()), |failure| Err(format!("the flow ended: {failure}")));
            }
        }
    }

    fn turns(&self) -> Vec<u64> {
        self.run.flows.iter().filter_map(|flow| Some(flow.observer.as_ref()?.rest())).collect()
    }

    /// When the next thing happens: somebody who sleeps wakes, or a message that waits is due.
    fn next_due(&self) -> Result<Option<Micros>, String> {
        let mut next = self.world.clock.next_due();
        for flow in self.run.outside.flows(&self.run.plan) {
            let unread = self.runtime.block_on(self.world.unread(flow));
            let (_, due) = unread.map_err(|e| format!("flow {}: {e}", flow.name))?;
            next = next.into_iter().chain(due).min();
        }
        Ok(next)
    }

    /// Moves the clock by `duration`, from one instant at which something happens to the next.
    pub fn advance(&self, duration: Duration) -> Result<(), String> {
        let by = Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX);
        let target = self.world.clock.now().saturating_add(by);
        self.until(|due| due.is_none_or(|due| due > target))?;
        self.world.tick(target);
        self.settle()
    }

    /// Moves the clock until nothing more happens. What is not finished then never will be.
    pub fn drain(&self) -> Result<(), String> {
        self.until(|due| due.is_none())?;
        for running in &self.run.flows {
            let entered = running.stats.messages.load(std::sync::atomic::Ordering::SeqCst);
            let settled = running.stats.settled();
            if entered != settled {
                let name = &running.name;
                return Err(format!(
                    "flow {name}: {} of {entered} messages have no outcome, and nothing waits for the clock",
                    entered - settled
                ));
            }
        }
        for flow in self.run.outside.flows(&self.run.plan) {
            let unread = self.runtime.block_on(self.world.unread(flow));
            let (ready, _) = unread.map_err(|e| format!("flow {}: {e}", flow.name))?;
            if ready > 0 {
                return Err(format!("flow {}: {ready} messages are not committed", flow.name));
            }
        }
        Ok(())
    }

    /// Visits instants until `enough` says so of the next one.
    fn until(&self, enough: impl Fn(Option<Micros>) -> bool) -> Result<(), String> {
        for _ in 0..MOST_INSTANTS {
            self.settle()?;
            let due = self.next_due()?;
            if enough(due) {
                return Ok(());
            }
            self.world.tick(due.unwrap_or_default());
        }
        Err(format!("after {MOST_INSTANTS} instants something still waits for the clock"))
    }

    /// Takes what messages ended as since the last call, by flow.
    pub fn take_outcomes(&self) -> Vec<(String, Vec<Document>)> {
        let of =
            |flow: &crate::dataflow::flow::Running| Some((flow.name.clone(), flow.observer.as_ref()?.take_outcomes()));
        self.run.flows.iter().filter_map(of).collect()
    }

    /// Takes what became of messages at stages and blocks since the last call, by flow.
    pub fn take_visits(&self) -> Vec<(String, Vec<Visit>)> {
        let of =
            |flow: &crate::dataflow::flow::Running| Some((flow.name.clone(), flow.observer.as_ref()?.take_visits()));
        self.run.flows.iter().filter_map(of).collect()
    }

    /// Ends the flows after what they have read is finished; the clock moves as far as that needs.
    pub fn stop(self) -> Result<(), String> {
        self.run.stop();
        for _ in 0..MOST_INSTANTS {
            self.settle_ending();
            if self.run.flows.iter().all(crate::dataflow::flow::Running::is_finished) {
                break;
            }
            match self.world.clock.next_due() {
                Some(due) => self.world.tick(due),
                None => std::thread::yield_now(),
            }
        }
        let Life { run, runtime, .. } = self;
        let (_, problems) = runtime.block_on(run.join(Duration::from_secs(10)));
        problems.into_iter().next().map_or(Ok(()), Err)
    }

    fn settle_ending(&self) {
        loop {
            self.runtime.block_on(self.idle.wait());
            let before = self.turns();
            self.runtime.block_on(self.idle.wait());
            if self.turns() == before {
                return;
            }
        }
    }

    /// Ends the flows as they stand. What was not committed is not.
    pub fn crash(self) {
        for flow in &self.run.flows {
            flow.control.abandon();
        }
        while !self.run.flows.iter().all(crate::dataflow::flow::Running::is_finished) {
            self.turns();
            std::thread::yield_now();
        }
    }
}
