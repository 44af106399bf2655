//! The system on a real Kafka: the same promises as on the embedded log, a broker that goes away, and brokers that cannot be
//! reached or refuse us.
//!
//! `tests/kafka.sh` brings the brokers; java and, for the first time, maven are needed. See [`crate::needs`].

mod broker;
mod dlq;

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use connectors::clock::SystemClock;
use connectors::conformance;
use connectors::kafka::{Log, Options, Security};
use connectors::log::{Log as _, TopicSpec};

use self::broker::Broker;
use crate::claimx::{assert_tables_agree, topology};
use crate::crash::progress;
use crate::made_up::{Folder, absent};
use crate::needs;
use crate::program::{Ended, Engine};
use crate::topics::Topics;

const EVENTS: u64 = 300;

/// What logs and errors say of it.
const PASSWORD: &str = "wrong-1234";

/// The simulated run on `brokers`. Members that were killed are missed after seconds, not after the minute of the topology.
fn simulate(data: &Path, seed: u64, brokers: &str) -> Engine {
    Engine::simulate(&topology(), data, seed, EVENTS)
        .env("KAFKA_BOOTSTRAP_SERVERS", brokers)
        .env("KAFKA_SESSION_TIMEOUT_MS", 3000)
        .env("KAFKA_HEARTBEAT_INTERVAL_MS", 500)
}

async fn log(brokers: &str, change: impl FnOnce(&mut Options)) -> Arc<Log> {
    let mut options = Options::new(brokers);
    // Members learn of a rebalance by their heartbeats.
    options.heartbeat = Duration::from_millis(300);
    change(&mut options);
    Arc::new(Log::connect(options, Arc::new(SystemClock::new(1.0))).await.unwrap())
}

/// Every event is on its topic once, every message has come to a good end, the tables hold what they must.
async fn assert_complete(data: &Path, brokers: &str) {
    assert_tables_agree(data).await;
    let topics = Topics::on(log(brokers, |_| {}).await);
    assert_eq!(topics.count("claimx.events.raw").await as u64, EVENTS);
    let emitted = std::fs::read_to_string(data.join("sim/emitted.jsonl")).unwrap();
    assert_eq!(emitted.lines().count() as u64, EVENTS);
    for topic in topics.names().await.iter().filter(|topic| topic.ends_with(".dlq")) {
        assert_eq!(topics.count(topic).await, 0, "{topic}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_a_real_broker_fills_the_tables_and_the_next_does_nothing() {
    if !needs::met("a run on a real Kafka broker", Broker::possible()) {
        return;
    }
    let broker = Broker::start(0);
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let simulate = simulate(data, 7, &broker.address());
    let first = simulate.finish().expect(0);
    assert!(first.out.starts_with("drained and balanced\n"), "{}", first.out);
    assert_complete(data, &broker.address()).await;

    simulate.assert_nothing_to_do(data, &first.out, |_| false);
    assert_complete(data, &broker.address()).await;

    let ended = refused(data, &broker.guarded()).finish().expect(1);
    let said = the_line(&ended);
    assert!(said.contains(&broker.guarded()) && said.contains("check mechanism, user name and password"), "{said}");
    assert!(!said.contains(PASSWORD) && !ended.out.contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_goes_away_and_two_kills_lose_and_double_nothing() {
    if !needs::met("a run on a Kafka broker that goes away", Broker::possible()) {
        return;
    }
    let broker = Broker::start(1);
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    // So slow that the run is still busy when the broker goes.
    let simulate = simulate(data, 8, &broker.address()).arg("--rate=60");
    let folder = tempfile::tempdir().unwrap();
    let mut run = simulate.start(folder.path());
    let goal = 60;
    assert!(run.wait_until(|| progress(data) >= goal), "it ended too early");
    run.kill();

    let folder = tempfile::tempdir().unwrap();
    let said = || std::fs::read_to_string(folder.path().join("err")).unwrap_or_default();
    let mut run = simulate.start(folder.path());
    let goal = progress(data) + 60;
    assert!(run.wait_until(|| progress(data) >= goal), "it ended too early: {}", said());
    broker.stop();
    assert!(run.wait_until(|| said().contains("cannot be reached")), "it ended without its broker: {}", said());
    broker.again();
    assert!(run.wait_until(|| said().contains("answers again")), "it ended: {}", said());
    let goal = progress(data) + 20;
    assert!(run.wait_until(|| progress(data) >= goal), "it ended too early: {}", said());
    run.kill();
    let said = said();
    let told: Vec<&str> = said.lines().filter(|line| line.contains("Kafka")).collect();
    let lost =
        |line: &str| line.contains("WARN") && line.contains(&broker.address()) && line.contains("cannot be reached");
    assert!(matches!(told[..], [first, last] if lost(first) && last.contains("answers again")), "{said}");

    let last = simulate.finish().expect(0);
    assert!(last.out.starts_with("drained and balanced\n"), "{}", last.out);
    assert_complete(data, &broker.address()).await;
}

/// A dry run reads behind the committed position, and leaves topics, groups and positions as they are.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_on_a_real_broker_leaves_it_as_it_is() {
    if !needs::met("a dry run on a real Kafka broker", Broker::possible()) {
        return;
    }
    let broker = Broker::start(3);
    let folder = Folder::new();
    folder.edit("shop.yaml", "brokers: embedded", &format!("brokers: \"{}\"", broker.address()));
    let log = log(&broker.address(), |_| {}).await;
    let names =
        ["shop.orders", "shop.orders.retry", "shop.orders.dlq", "shop.users", "shop.users.retry", "shop.users.dlq"];
    log.create(&names.map(|name| TopicSpec { name: name.into(), partitions: 2 })).await.unwrap();
    let topics = Topics::on(log.clone());
    let messages = |ids: &[u32]| ids.iter().map(|id| (Some("k".to_owned()), format!("{{\"id\": {id}}}"))).collect();
    topics.write("shop.orders", messages(&[1, 2, 3])).await;
    let state = || async {
        // The broker makes its own topic of positions when anybody asks for one, as the next lines do.
        let topics: Vec<String> = log.topics().await.unwrap();
        let mut state = format!("{:?}", topics.iter().filter(|name| !name.starts_with("__")).collect::<Vec<_>>());
        for name in names {
            state += &format!("{name} {:?}", log.bounds(name).await.unwrap());
            for group in ["shop-orders", "shop-users"] {
                // A broker that has just started may not know yet who coordinates a group.
                let position = loop {
                    match log.position(group, name).await {
                        Err(error) if error.category.is_retryable() => {
                            tokio::time::sleep(Duration::from_millis(200)).await
                        }
                        answer => break answer.unwrap(),
                    }
                };
                state += &format!("{group} {position:?}");
            }
        }
        state
    };
    let dry = |count: &str| {
        let engine = folder.run(&["shop.yaml"]).arg("--dry-run").arg("--messages").arg(count);
        engine.finish().expect(0).out
    };
    let before = state().await;
    let shown = dry("2");
    assert!(shown.contains("2 messages of topic shop.orders") && shown.contains("offset 0"), "{shown}");
    assert!(shown.contains("row of row, into table orders") && !shown.contains("offset 2"), "{shown}");
    assert_eq!(state().await, before);
    assert!(absent(&folder.data()), "nothing is written here either");

    folder.run(&["shop.yaml"]).arg("--until-drained").finish().expect(0);
    topics.write("shop.orders", messages(&[4])).await;
    let before = state().await;
    let shown = dry("5");
    assert!(shown.contains("1 message of topic shop.orders") && shown.contains("offset 3"), "{shown}");
    assert_eq!(state().await, before);
}

/// What every log promises, plain and with transactions; the latter with a password.
#[tokio::test(flavor = "multi_thread")]
async fn kafka_conforms_on_a_real_broker() {
    if !needs::met("the conformance suite on a real Kafka broker", Broker::possible()) {
        return;
    }
    let broker = Broker::start(2);
    let plain = log(&broker.address(), |_| {}).await;
    let transactional = log(&broker.guarded(), |options| {
        options.transactional_id = Some("conformance".to_owned());
        options.security = Security {
            protocol: Some("SASL_PLAINTEXT".to_owned()),
            mechanism: Some("PLAIN".to_owned()),
            username: Some("admin".to_owned()),
            password: Some("admin-secret".to_owned()),
            ca_location: None,
        };
    })
    .await;
    // Side by side: most of the time is waiting for groups to balance.
    let suites = [("plain", plain), ("transactional", transactional)]
        .map(|(name, log)| tokio::spawn(conformance::log::all(log, name)));
    for suite in suites {
        suite.await.unwrap();
    }
}

/// A run that presents a wrong password.
fn refused(data: &Path, brokers: &str) -> Engine {
    Engine::run(&topology(), data)
        .env("KAFKA_BOOTSTRAP_SERVERS", brokers)
        // In capitals, as Kafka's own settings spell it.
        .env("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
        .env("KAFKA_SASL_USERNAME", "admin")
        .env("KAFKA_SASL_PASSWORD", PASSWORD)
}

/// The one line on standard error that tells of trouble.
fn the_line(ended: &Ended) -> &str {
    let lines: Vec<&str> = ended.err.lines().filter(|line| !line.contains(r#""level":"INFO""#)).collect();
    match lines[..] {
        [line] if line.starts_with("error: connection bus: ") => line,
        _ => panic!("not one line: {}", ended.err),
    }
}

#[test]
fn a_broker_that_is_not_there_is_said_in_one_line() {
    let data = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (brokers, why) in [(address.as_str(), "refused"), ("no-such-host.invalid:9092", "no-such-host.invalid")] {
        let run = Engine::run(&topology(), data.path()).env("KAFKA_BOOTSTRAP_SERVERS", brokers);
        let ended = run.finish().expect(1);
        let said = the_line(&ended);
        assert!(said.contains(&format!("Kafka at {brokers}")) && said.contains(why), "{said}");
    }
}
