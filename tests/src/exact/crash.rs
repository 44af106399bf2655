//! The flow is ended at each named point, again and again, and must leave what it leaves undisturbed.
//!
//! The process that is ended is this program, which runs [`child`] with what to do in its environment: so no switch that ends
//! a process is in the engine.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use connectors::clock::SystemClock;
use engine::run::drained::Watch;
use engine::run::{Embedded, Local, Options, open_over};
use engine::topology::{Environment, load};

use super::points::{ALL, Crashing};
use super::{IN, Lot, Relay, messages};
use crate::topics::Topics;

/// Where a child reads what it is to do.
const TASK: [&str; 4] = ["RELAY_TOPOLOGY", "RELAY_DATA", "RELAY_POINT", "RELAY_COUNT"];

/// Runs the topology that the environment names until it is drained, or until it passes the point.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "what the other tests here start"]
async fn child() {
    let Ok(task) = TASK.iter().map(std::env::var).collect::<Result<Vec<_>, _>>() else { return };
    let [topology, data, point, count] = &task[..] else { unreachable!("four names") };
    let plan = load(topology.as_ref(), &Environment::from_process(), data.as_ref()).map_err(|e| e.render()).unwrap().plan;
    let options = Options {
        data: PathBuf::from(data),
        workers: 1,
        create_topics: true,
        local: Local::Allowed,
        discard: false,
        embedded: Embedded::default(),
        clock: Arc::new(SystemClock::new(1.0)),
    };
    let systems = Arc::new(Crashing::new(&options, point, count.parse().unwrap()));
    let all: Vec<usize> = (0..plan.flows.len()).collect();
    let runs = vec![open_over(Arc::new(plan), &all, &options, systems, false).await.unwrap().start().unwrap()];
    let mut watch = Watch::default();
    while !watch.look(&runs, false).await.unwrap() {
        assert_eq!(runs[0].failure(), None);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for run in runs {
        run.stop();
        let (_, problems) = run.join(Duration::from_secs(60)).await;
        assert!(problems.is_empty(), "{problems:?}");
    }
}

/// Runs `relay` up to the point; whether it came to it. If not, it ended well.
fn ended_at(relay: &Relay, point: &str, count: u64) -> bool {
    let data = relay.data();
    let task = [relay.topology().display().to_string(), data.display().to_string(), point.to_owned(), count.to_string()];
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["exact::crash::child", "--exact", "--ignored", "--nocapture"])
        .env_clear()
        .envs(relay.environment())
        .envs(TASK.iter().zip(task))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = || String::from_utf8_lossy(&ended.stderr).into_owned() + &String::from_utf8_lossy(&ended.stdout);
    match ended.status.code() {
        None => true,
        Some(0) => false,
        Some(status) => panic!("{point} {count}: status {status}\n{}", said()),
    }
}

/// Ends `relay` `rounds` times at each of its points, then lets it end by itself. The points that it never came to.
fn ended_everywhere(relay: &Relay, rounds: u64, lot: &mut Lot) -> Vec<&'static str> {
    let mut missed = Vec::new();
    for point in ALL {
        let reached = (0..rounds).filter(|_| ended_at(relay, point, 1 + lot.below(3))).count();
        missed.extend((reached == 0).then_some(*point));
    }
    relay.engine().arg("--until-drained").finish().expect(0);
    missed
}

/// How many messages a run needs so that all rounds find some: each life handles a few batches.
fn enough(rounds: u64) -> u32 {
    u32::try_from(ALL.len() as u64 * rounds * 3 * 40 * 2).unwrap()
}

pub async fn judged(relay: &Relay, topics: impl AsyncFn() -> Topics, rounds: u64, seed: u64) {
    let count = enough(rounds);
    topics().await.write(IN, messages(0..count)).await;
    let missed = tokio::task::block_in_place(|| ended_everywhere(relay, rounds, &mut Lot(seed)));
    assert_eq!(missed, Vec::<&str>::new(), "points that were never passed");
    relay.judge(&topics().await, count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_log_keeps_its_promise_at_every_point() {
    let relay = Relay::new("embedded", "exactly_once").await;
    let data = relay.data();
    judged(&relay, async || Topics::open(&data).await, 1, 17).await;
}
