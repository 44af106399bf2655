//! Exactly once on a real broker: kills between the steps of a commit, names that are taken over, and several processes of a
//! group that come and go.

use std::sync::Arc;
use std::time::Duration;

use connectors::Category;
use connectors::log::{Log as _, Position, Record, Source, Subscription, TopicSpec};

use super::broker::Broker;
use super::log;
use super::proxy::{Lost, Proxy};
use crate::exact::crash::judged;
use crate::exact::{IN, Lot, Relay, killed_and_finished, messages};
use crate::needs;
use crate::topics::Topics;

#[tokio::test(flavor = "multi_thread")]
async fn kills_on_a_real_broker_double_and_lose_no_record() {
    if !needs::met("kills of an exactly-once flow on a real Kafka broker", Broker::possible()) {
        return;
    }
    const COUNT: u32 = 2000;
    let broker = Broker::start(4);
    let relay = Relay::new(&broker.address(), "exactly_once").await;
    let topics = Topics::on(log(&broker.address(), |_| {}).await);
    topics.write(IN, messages(0..COUNT)).await;
    let killed = tokio::task::block_in_place(|| killed_and_finished(&relay, 8, &mut Lot(3)));
    assert!(killed >= 5, "killed {killed} times only");
    relay.judge(&topics, COUNT).await;
}

fn subscription(topic: &str, name: &str) -> Subscription {
    Subscription {
        group: format!("{topic}.group"),
        topics: vec![topic.to_owned()],
        delayed: Vec::new(),
        gate: Arc::new(|_| true),
        transactions: Some(name.to_owned()),
    }
}

fn record(topic: &str, payload: &'static str) -> Record {
    Record { topic: topic.into(), key: None, payload: payload.into(), headers: Vec::new() }
}

async fn one_message(source: &mut dyn Source) -> Position {
    for _ in 0..200 {
        let polled = source.poll(1, 1 << 20, Duration::from_millis(200)).await.unwrap();
        if let [message] = &polled.messages[..] {
            return Position::from([((message.topic.clone(), message.partition), message.offset + 1)]);
        }
    }
    panic!("no message");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_over_a_name_shuts_out_its_last_owner() {
    if !needs::met("fencing on a real Kafka broker", Broker::possible()) {
        return;
    }
    let broker = Broker::start(5);
    let log = log(&broker.address(), |_| {}).await;
    let spec = |name: &str| TopicSpec { name: name.to_owned(), partitions: 1 };
    log.create(&[spec("a"), spec("b"), spec("out")]).await.unwrap();
    let producer = log.producer().await.unwrap();
    producer.send(vec![record("a", "1"), record("b", "1")]).await.unwrap();
    let mut first = log.subscribe(subscription("a", "relay.0")).await.unwrap();
    let position = one_message(&mut *first).await;
    // In another group, so that it is not the group that refuses the first.
    let mut second = log.subscribe(subscription("b", "relay.0")).await.unwrap();
    let refused = first.commit_with_records(vec![record("out", "first")], &position).await.unwrap_err();
    assert_eq!(refused.category, Category::Permanent, "{refused}");
    assert!(refused.hint.as_ref().is_some_and(|hint| hint.contains("under this name")), "{refused}");
    let position = one_message(&mut *second).await;
    second.commit_with_records(vec![record("out", "second")], &position).await.unwrap();
    let out = Topics::on(log.clone()).all("out").await;
    assert_eq!(out.iter().map(|message| &message.payload[..]).collect::<Vec<_>>(), [b"second"]);
    assert!(log.position("a.group", "a").await.unwrap().is_empty());
}

/// The answer to a transaction is lost, or the request that commits it: in either case nobody who asks knows, and the same is
/// brought again. It is written once.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_which_nobody_knows_is_written_once() {
    if !needs::met("lost answers of a real Kafka broker", Broker::possible()) {
        return;
    }
    let (proxy, listener) = Proxy::listen().await;
    let broker = Broker::behind(9, proxy.address.port());
    proxy.serve(listener, broker.address());
    let log = log(&proxy.address.to_string(), |options| {
        // So soon it is given up to commit what cannot be committed.
        options.transaction_timeout = Duration::from_secs(6);
        options.request_timeout = Duration::from_secs(6);
    })
    .await;
    let spec = |name: &str| TopicSpec { name: name.to_owned(), partitions: 1 };
    log.create(&[spec("in"), spec("out")]).await.unwrap();
    let producer = log.producer().await.unwrap();
    let mut source = log.subscribe(subscription("in", "relay.0")).await.unwrap();
    let topics = Topics::on(log.clone());
    let mut expected: Vec<Vec<u8>> = Vec::new();
    for (lost, payload) in [(Lost::Answer, "answer"), (Lost::Request, "request")] {
        producer.send(vec![record("in", "1")]).await.unwrap();
        let position = one_message(&mut *source).await;
        proxy.lose(lost);
        let before = proxy.losses();
        let unknown = source.commit_with_records(vec![record("out", payload)], &position).await.unwrap_err();
        assert!(unknown.category.is_retryable() && proxy.losses() > before, "{unknown}");
        proxy.lose(Lost::Nothing);
        // It may need more than one try: connections come back one by one.
        let mut tries = 0;
        while let Err(error) = source.commit_with_records(vec![record("out", payload)], &position).await {
            tries += 1;
            assert!(error.category.is_retryable() && tries < 10, "{error}");
        }
        expected.push(payload.as_bytes().to_vec());
        let out: Vec<Vec<u8>> = topics.all("out").await.iter().map(|message| message.payload.to_vec()).collect();
        assert_eq!(out, expected, "{lost:?}");
        let committed = log.position("in.group", "in").await.unwrap();
        assert_eq!(committed, [(0, position[&("in".into(), 0)])].into());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_broker_keeps_its_promise_at_every_point() {
    if !needs::met("crash points on a real Kafka broker", Broker::possible()) {
        return;
    }
    let broker = Broker::start(8);
    let relay = Relay::new(&broker.address(), "exactly_once").await;
    let address = broker.address();
    judged(&relay, async || Topics::on(log(&address, |_| {}).await), 1, 23).await;
}
