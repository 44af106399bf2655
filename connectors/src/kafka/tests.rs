//! What can be tried without a broker: librdkafka's mock cluster, which knows no topic creation over the wire and whose
//! transactions mean nothing. The whole suite runs on a real cluster in the tests of the whole system.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::mocking::MockCluster;

use super::{Log, Options};
use crate::clock::{Clock, SystemClock};
use crate::conformance;
use crate::log::{Bounds, Log as _, Message, Position, Producer, Record, Source, Subscription, TopicSpec};
use crate::{Category, Result};

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new(1.0))
}

/// What the thread of a mock cluster is asked for.
enum Ask {
    Create(String, i32, mpsc::Sender<()>),
    Down,
    Up,
}

/// A mock cluster on a thread of its own: it is neither `Send` nor `Sync`.
#[derive(Clone)]
struct Mock {
    asks: mpsc::SyncSender<Ask>,
    brokers: String,
}

impl Mock {
    fn start() -> Self {
        let (asks, queue) = mpsc::sync_channel(16);
        let (address, started) = mpsc::channel();
        std::thread::spawn(move || {
            let cluster = MockCluster::new(1).unwrap();
            address.send(cluster.bootstrap_servers()).unwrap();
            for ask in queue {
                match ask {
                    Ask::Create(topic, partitions, done) => {
                        // Fails when the topic is there, which is as good.
                        let _ = cluster.create_topic(&topic, partitions, 1);
                        done.send(()).unwrap();
                    }
                    Ask::Down => cluster.broker_down(1).unwrap(),
                    Ask::Up => cluster.broker_up(1).unwrap(),
                }
            }
        });
        Mock { asks, brokers: started.recv().unwrap() }
    }

    fn create(&self, topic: &str, partitions: i32) {
        let (done, created) = mpsc::channel();
        self.asks.send(Ask::Create(topic.into(), partitions, done)).unwrap();
        created.recv().unwrap();
    }

    async fn log(&self, change: impl FnOnce(&mut Options)) -> Log {
        let mut options = Options::new(&self.brokers);
        options.session_timeout = Duration::from_secs(6);
        options.heartbeat = Duration::from_millis(300);
        change(&mut options);
        Log::connect(options, clock()).await.unwrap()
    }
}

/// A log on the mock cluster whose topics are made behind its back.
struct Mocked {
    mock: Mock,
    log: Log,
}

#[async_trait]
impl crate::log::Log for Mocked {
    async fn missing(&self, topics: &[TopicSpec]) -> Result<Vec<String>> {
        self.log.missing(topics).await
    }
    async fn create(&self, topics: &[TopicSpec]) -> Result<()> {
        for topic in topics {
            self.mock.create(&topic.name, topic.partitions);
        }
        Ok(())
    }
    async fn topics(&self) -> Result<Vec<String>> {
        self.log.topics().await
    }
    async fn bounds(&self, topic: &str) -> Result<Vec<Bounds>> {
        self.log.bounds(topic).await
    }
    async fn read(&self, topic: &str, partition: i32, offset: i64, max: usize) -> Result<Vec<Message>> {
        self.log.read(topic, partition, offset, max).await
    }
    async fn position(&self, group: &str, topic: &str) -> Result<std::collections::BTreeMap<i32, i64>> {
        self.log.position(group, topic).await
    }
    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn Source>> {
        self.log.subscribe(subscription).await
    }
    async fn producer(&self) -> Result<Arc<dyn Producer>> {
        self.log.producer().await
    }
    async fn trim(&self, topic: &str, partition: i32, before: i64) -> Result<()> {
        self.log.trim(topic, partition, before).await
    }
}

fn record(topic: &str, payload: impl Into<bytes::Bytes>) -> Record {
    Record { topic: topic.into(), key: None, payload: payload.into(), headers: vec![] }
}

fn subscription(topic: &str) -> Subscription {
    Subscription { group: "g".into(), topics: vec![topic.into()], delayed: vec![], gate: Arc::new(|_| true) }
}

/// The cases side by side: most of their time is the three seconds that the mock takes to balance a group. Those that
/// balance again and again are left to a real cluster, and the mock knows no deletion.
#[tokio::test(flavor = "multi_thread")]
async fn conforms_on_the_mock_cluster() {
    const LEFT: [&str; 4] = [
        "groups_do_not_share_positions",
        "members_share_partitions_and_inherit_them",
        "positions_of_lost_partitions_are_not_committed",
        "what_is_trimmed_is_gone_and_the_offsets_go_on",
    ];
    let mock = Mock::start();
    let log: Arc<dyn crate::log::Log> = Arc::new(Mocked { log: mock.log(|_| {}).await, mock });
    let cases = conformance::log::CASES.iter().filter(|(name, _)| !LEFT.contains(name)).map(|(name, case)| {
        let log = log.clone();
        async move { (*name, tokio::spawn(case(log, format!("mock.{name}"))).await) }
    });
    let broken: Vec<_> = futures::future::join_all(cases).await.into_iter().filter(|(_, end)| end.is_err()).collect();
    assert!(broken.is_empty(), "{broken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_host_is_said_with_its_name() {
    let options = Options { connect_timeout: Duration::from_secs(5), ..Options::new("no-such-host.invalid:9092") };
    let error = Log::connect(options, clock()).await.err().unwrap();
    assert!(error.message.contains("no-such-host.invalid:9092") && error.hint.is_some(), "{error}");
    assert_eq!(error.category, Category::Transient);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_does_not_exist_is_named() {
    let mock = Mock::start();
    let log = mock.log(|options| drop(options.producer.insert("lingre.ms".into(), "1".into()))).await;
    let error = log.producer().await.err().unwrap();
    assert!(error.message.contains("lingre.ms"), "{error}");
    assert_eq!(error.category, Category::Permanent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_is_permanent_and_named() {
    let mock = Mock::start();
    mock.create("orders", 1);
    let log = mock.log(|options| drop(options.producer.insert("message.max.bytes".into(), "2000".into()))).await;
    let error = log.producer().await.unwrap().send(vec![record("orders", vec![0; 5000])]).await.unwrap_err();
    assert_eq!(error.category, Category::Permanent);
    assert!(error.message.contains("orders") && error.message.contains("5000"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_makes_the_sender_wait() {
    let mock = Mock::start();
    mock.create("orders", 1);
    let log =
        mock.log(|options| drop(options.producer.insert("queue.buffering.max.messages".into(), "10".into()))).await;
    log.producer().await.unwrap().send((0..200).map(|n| record("orders", n.to_string())).collect()).await.unwrap();
    assert_eq!(log.bounds("orders").await.unwrap()[0].high, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_rests_when_its_brokers_are_gone_and_comes_back() {
    let mock = Mock::start();
    mock.create("orders", 1);
    let log = mock
        .log(|options| {
            options.breaker_failures = 2;
            options.breaker_cooldown = Duration::from_millis(300);
            options.consumer.insert("statistics.interval.ms".into(), "200".into());
        })
        .await;
    let mut source = log.subscribe(subscription("orders")).await.unwrap();
    while source.poll(10, 1 << 20, Duration::from_secs(1)).await.unwrap().assigned.is_empty() {}
    mock.asks.send(Ask::Down).unwrap();
    while log.trouble().is_none() {
        assert!(source.poll(10, 1 << 20, Duration::from_millis(50)).await.unwrap().messages.is_empty());
    }
    assert!(log.trouble().unwrap().contains("cannot be reached"));
    mock.asks.send(Ask::Up).unwrap();
    // It is over when a broker is connected, though nothing was read or written yet.
    while log.trouble().is_some() {
        source.poll(10, 1 << 20, Duration::from_millis(50)).await.unwrap();
    }
    log.producer().await.unwrap().send(vec![record("orders", "after")]).await.unwrap();
    loop {
        // It may rest once more meanwhile.
        if let Ok(polled) = source.poll(10, 1 << 20, Duration::from_secs(1)).await
            && let [message] = &polled.messages[..]
        {
            assert_eq!(message.payload, "after");
            break;
        }
    }
    source.commit(&Position::from([((Arc::from("orders"), 0), 1)])).await.unwrap();
    assert_eq!(log.trouble(), None);
    source.close().await.unwrap();
    assert!(source.poll(1, 1, Duration::ZERO).await.unwrap_err().message.contains("closed"));
}
