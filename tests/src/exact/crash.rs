//! The flow is ended at each named point, again and again, and must leave what it leaves undisturbed.
//!
//! The process that is ended is this program, which runs [`child`] with what to do in its environment: so no switch that ends
//! a process is in the engine.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use connectors::clock::SystemClock;
use connectors::log::Log as _;
use engine::run::drained::Watch;
use engine::run::{Embedded, Local, Options, open_over};
use engine::topology::{Environment, load};

use super::points::{ALL, Crashing};
use super::{IN, Lot, Relay, killed_and_finished, messages};
use crate::kafka::broker::Broker;
use crate::topics::Topics;

/// Where a child reads what it is to do.
const TASK: [&str; 4] = ["RELAY_TOPOLOGY", "RELAY_DATA", "RELAY_POINT", "RELAY_COUNT"];

/// Runs the topology that the environment names until it is drained, or until it passes the point.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "what the other tests here start"]
async fn child() {
    let Ok(task) = TASK.iter().map(std::env::var).collect::<Result<Vec<_>, _>>() else { return };
    let [topology, data, point, count] = &task[..] else { unreachable!("four names") };
    let plan =
        load(topology.as_ref(), &Environment::from_process(), data.as_ref()).map_err(|e| e.render()).unwrap().plan;
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
    let task =
        [relay.topology().display().to_string(), data.display().to_string(), point.to_owned(), count.to_string()];
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

/// Ends `relay` `rounds` times at each of its points, then lets it end by itself. How often it came to each.
fn ended_everywhere(relay: &Relay, rounds: u64, lot: &mut Lot) -> Vec<(&'static str, usize)> {
    let mut reached: Vec<(&str, usize)> = ALL.iter().map(|point| (*point, 0)).collect();
    for _ in 0..rounds {
        for (point, count) in &mut reached {
            *count += usize::from(ended_at(relay, point, 1 + lot.below(3)));
        }
    }
    relay.engine().arg("--until-drained").finish().expect(0);
    reached
}

/// How many messages a run needs so that all rounds find some: each life handles a few batches.
fn enough(rounds: u64) -> u32 {
    u32::try_from(ALL.len() as u64 * rounds * 3 * 40 * 2).unwrap()
}

/// Ends `relay` everywhere and judges what is left. Returns how often it was ended.
pub async fn judged(relay: &Relay, topics: impl AsyncFn() -> Topics, rounds: u64, seed: u64) -> usize {
    let count = enough(rounds);
    topics().await.write(IN, messages(0..count)).await;
    let reached = tokio::task::block_in_place(|| ended_everywhere(relay, rounds, &mut Lot(seed)));
    assert!(reached.iter().all(|(_, count)| *count > 0), "points that were never passed: {reached:?}");
    relay.judge(&topics().await, count).await;
    reached.iter().map(|(_, count)| count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_log_keeps_its_promise_at_every_point() {
    let relay = Relay::new("embedded", "exactly_once").await;
    let data = relay.data();
    judged(&relay, async || Topics::open(&data).await, 1, 17).await;
}

/// `cargo test --test system nightly -- --ignored`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a night's work: hundreds of ends, at every point and by lot, over both logs and both deliveries"]
async fn nightly_ends_over_both_logs_and_both_deliveries() {
    let broker = Broker::start(8);
    let mut ends = 0;
    for (seed, delivery) in ["exactly_once", "at_least_once"].into_iter().enumerate() {
        let seed = 100 + seed as u64;
        let relay = async |brokers: &str| {
            let relay = Relay::new(brokers, delivery).await;
            if delivery == "exactly_once" { relay } else { relay.may_double() }
        };
        let on = relay("embedded").await;
        let data = on.data();
        ends += judged(&on, async || Topics::open(&data).await, 8, seed).await;
        let address = broker.address();
        let log = crate::kafka::log(&address, |_| {}).await;
        for topic in log.topics().await.unwrap().iter().filter(|topic| topic.starts_with("relay.")) {
            for bounds in log.bounds(topic).await.unwrap() {
                log.trim(topic, bounds.partition, bounds.high).await.unwrap();
            }
        }
        let on = relay(&address).await;
        ends += judged(&on, async || Topics::on(crate::kafka::log(&address, |_| {}).await), 8, seed).await;
        // Among them some that no point names.
        let on = relay("embedded").await;
        Topics::open(&on.data()).await.write(IN, messages(0..6000)).await;
        ends += tokio::task::block_in_place(|| killed_and_finished(&on, 20, &mut Lot(seed)));
        on.judge(&Topics::open(&on.data()).await, 6000).await;
    }
    assert!(ends >= 300, "{ends} ends only");
}
