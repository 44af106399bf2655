//! What every [`Log`] promises. Each case makes topics and groups of its own, so that a suite can run again and again on
//! one broker. A broken promise panics with what was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::Category;
use crate::log::{Gate, Log, Message, Partition, Polled, Position, Record, Source, Subscription, TopicSpec};

/// How long a case waits for what must come; a broker needs seconds to balance a group.
const PATIENCE: Duration = Duration::from_secs(40);
/// One poll.
const WAIT: Duration = Duration::from_millis(200);

/// A case: its name, and what it does with a log and a name that nobody else uses.
pub type Case = (&'static str, fn(Arc<dyn Log>, String) -> BoxFuture<'static, ()>);

/// All cases.
pub const CASES: &[Case] = &[
    ("missing_topics_are_named_and_created_once", |log, name| Box::pin(missing(log, name))),
    ("a_partition_keeps_its_order_and_a_key_its_partition", |log, name| Box::pin(order(log, name))),
    ("a_message_comes_back_as_it_was_written", |log, name| Box::pin(intact(log, name))),
    ("a_new_group_starts_at_the_first_message", |log, name| Box::pin(earliest(log, name))),
    ("a_group_resumes_where_it_committed", |log, name| Box::pin(resume(log, name))),
    ("groups_do_not_share_positions", |log, name| Box::pin(independent(log, name))),
    ("a_held_head_stops_its_partition_only_and_is_let_go", |log, name| Box::pin(gate(log, name))),
    ("a_cancelled_poll_loses_nothing", |log, name| Box::pin(cancel(log, name))),
    ("a_poll_keeps_to_its_limits", |log, name| Box::pin(limits(log, name))),
    ("a_waiting_poll_is_woken_by_a_write", |log, name| Box::pin(woken(log, name))),
    ("bounds_and_reads_need_no_group", |log, name| Box::pin(read(log, name))),
    ("members_share_partitions_and_inherit_them", |log, name| Box::pin(share(log, name))),
    ("positions_of_lost_partitions_are_not_committed", |log, name| Box::pin(fenced(log, name))),
    ("a_write_to_nowhere_fails", |log, name| Box::pin(nowhere(log, name))),
    ("what_is_trimmed_is_gone_and_the_offsets_go_on", |log, name| Box::pin(trim(log, name))),
    ("records_and_position_are_one_transaction", |log, name| Box::pin(transaction(log, name))),
];

/// Runs all cases on `log`, one after the other. `prefix` begins the names of topics and groups.
pub async fn all(log: Arc<dyn Log>, prefix: &str) {
    for (name, case) in CASES {
        tracing::info!(case = name, "conformance");
        let unique = format!("{prefix}.{name}.{}", uuid::Uuid::new_v4().simple());
        case(log.clone(), unique).await;
    }
}

fn spec(name: &str, partitions: i32) -> TopicSpec {
    TopicSpec { name: name.to_string(), partitions }
}

fn record(topic: &str, key: Option<&str>, payload: &str) -> Record {
    Record {
        topic: Arc::from(topic),
        key: key.map(|key| Bytes::copy_from_slice(key.as_bytes())),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        headers: Vec::new(),
    }
}

fn open() -> Gate {
    Arc::new(|_| true)
}

fn plain(group: &str, topics: &[&str]) -> Subscription {
    let topics = topics.iter().map(|topic| (*topic).to_string()).collect();
    Subscription { group: group.to_string(), topics, delayed: Vec::new(), gate: open() }
}

async fn create(log: &dyn Log, topics: &[TopicSpec]) {
    log.create(topics).await.expect("topics are created");
}

async fn send(log: &dyn Log, records: Vec<Record>) {
    log.producer().await.expect("a producer").send(records).await.expect("records are written");
}

async fn join(log: &dyn Log, subscription: Subscription) -> Box<dyn Source> {
    log.subscribe(subscription).await.expect("joining works")
}

/// Numbers as payloads, spread over keys.
fn numbers(topic: &str, range: std::ops::Range<u32>) -> Vec<Record> {
    range.map(|n| record(topic, Some(&format!("key-{}", n % 7)), &n.to_string())).collect()
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(&message.payload).into_owned()
}

/// What a member has seen so far.
#[derive(Default)]
struct Seen {
    messages: Vec<Message>,
    owned: BTreeSet<Partition>,
    revoked: BTreeSet<Partition>,
}

impl Seen {
    fn add(&mut self, polled: Polled) {
        for partition in polled.revoked {
            self.owned.remove(&partition);
            self.revoked.insert(partition);
        }
        self.owned.extend(polled.assigned);
        self.messages.extend(polled.messages);
    }

    async fn poll(&mut self, source: &mut dyn Source) {
        self.add(source.poll(1000, 1 << 20, WAIT).await.expect("polling works"));
    }

    /// Polls until `done`.
    async fn until(&mut self, source: &mut dyn Source, what: &str, done: impl Fn(&Seen) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !done(self) {
            assert!(tokio::time::Instant::now() < deadline, "no {what}: {:?}", self.texts());
            self.poll(source).await;
        }
    }

    fn texts(&self) -> Vec<String> {
        self.messages.iter().map(text).collect()
    }

    /// The position behind everything seen.
    fn position(&self) -> Position {
        let mut position = Position::new();
        for message in &self.messages {
            position.insert((message.topic.clone(), message.partition), message.offset + 1);
        }
        position
    }
}

async fn drain(source: &mut dyn Source, count: usize) -> Seen {
    let mut seen = Seen::default();
    seen.until(source, &format!("{count} messages"), |seen| seen.messages.len() >= count).await;
    // One more look for messages that must not be there.
    seen.poll(source).await;
    assert_eq!(seen.messages.len(), count, "too many messages: {:?}", seen.texts());
    seen
}

async fn missing(log: Arc<dyn Log>, name: String) {
    let topics = [spec(&format!("{name}.a"), 1), spec(&format!("{name}.b"), 3)];
    create(&*log, &topics[..1]).await;
    assert_eq!(log.missing(&topics).await.expect("an answer"), [topics[1].name.clone()]);
    create(&*log, &topics).await;
    create(&*log, &topics).await;
    assert!(log.missing(&topics).await.expect("an answer").is_empty());
    let all = log.topics().await.expect("an answer");
    assert!(topics.iter().all(|topic| all.contains(&topic.name)), "{all:?}");
    assert_eq!(log.bounds(&topics[1].name).await.expect("bounds").len(), 3);
}

async fn order(log: Arc<dyn Log>, name: String) {
    create(&*log, &[spec(&name, 3)]).await;
    let producer = log.producer().await.expect("a producer");
    for start in [0, 50, 100] {
        producer.send(numbers(&name, start..start + 50)).await.expect("records are written");
    }
    let mut source = join(&*log, plain(&name, &[&name])).await;
    let seen = drain(&mut *source, 150).await;
    let mut partitions: BTreeMap<Bytes, i32> = BTreeMap::new();
    let mut last: BTreeMap<i32, (i64, u32)> = BTreeMap::new();
    for message in &seen.messages {
        let key = message.key.clone().expect("the key is there");
        assert_eq!(*partitions.entry(key).or_insert(message.partition), message.partition, "a key moved");
        let number: u32 = text(message).parse().expect("a number");
        let next = (message.offset, number);
        if let Some(before) = last.insert(message.partition, next) {
            assert!(before.0 < next.0 && before.1 < next.1, "{before:?} came before {next:?}");
        }
    }
    assert!(last.len() > 1, "seven keys lie in one of three partitions");
    for (key, partition) in partitions {
        assert_eq!(partition, crate::local::partition_of(&key, 3), "the partition that clients of the field choose");
    }
}

async fn intact(log: Arc<dyn Log>, name: String) {
    create(&*log, &[spec(&name, 1)]).await;
    let headers = vec![
        (Arc::from("attempt"), Bytes::from_static(b"1")),
        (Arc::from("attempt"), Bytes::from_static(b"2")),
        (Arc::from("bytes"), Bytes::from_static(&[0, 255])),
        (Arc::from("empty"), Bytes::new()),
    ];
    let with = Record {
        topic: Arc::from(&*name),
        key: Some(Bytes::from_static(b"k")),
        payload: Bytes::from(vec![7; 100_000]),
        headers: headers.clone(),
    };
    send(&*log, vec![with.clone(), record(&name, None, "")]).await;
    let mut source = join(&*log, plain(&name, &[&name])).await;
    let seen = drain(&mut *source, 2).await;
    let [first, second] = &seen.messages[..] else { panic!("two messages") };
    assert_eq!((&first.key, &first.payload, &first.headers), (&with.key, &with.payload, &headers));
    assert_eq!(first.header("attempt"), Some("2"));
    assert_eq!((&second.key, second.payload.len(), second.headers.len()), (&None, 0, 0));
    assert_eq!((&*first.topic, first.partition, first.offset), (&*name, 0, 0));
    assert!(first.time >= 0);
}

async fn earliest(log: Arc<dyn Log>, name: String) {
    create(&*log, &[spec(&name, 2)]).await;
    send(&*log, numbers(&name, 0..20)).await;
    let mut source = join(&*log, plain(&name, &[&name])).await;
    let seen = drain(&mut *source, 20).await;
    let assigned: BTreeSet<Partition> = (0..2).map(|p| (Arc::from(&*name), p)).collect();
    assert_eq!(seen.owned, assigned, "the assignment is reported");
    assert!(source.committed().await.expect("a position").values().all(|offset| *offset == 0));
}

async fn resume(log: Arc<dyn Log>, name: String) {
    create(&*log, &[spec(&name, 1)]).await;
    send(&*log, numbers(&name, 0..10)).await;
    let mut source = join(&*log, plain(&name, &[&name])).await;
    drain(&mut *source, 10).await;
    let partition: Partition = (Arc::from(&*name), 0);
    source.commit(&Position::from([(partition.clone(), 4)])).await.expect("the commit works");
    assert_eq!(source.committed().await.expect("a position"), Position::from([(partition, 4)]));
    assert_eq!(log.position(&name, &name).await.expect("a position"), BTreeMap::from([(0, 4)]));
    source.close().await.expect("leaving works");
    drop(source);
    let mut source = join(&*log, plain(&name, &[&name])).await;
    let seen = drain(&mut *source, 6).await;
    assert_eq!(seen.texts(), ["4", "5", "6", "7", "8", "9"]);
}

async fn independent(log: Arc<dyn Log>, name: String) {
    create(&*log, &[spec(&name, 1)]).await;
    send(&*log, numbers(&name, 0..3)).await;
    for group in ["a", "b"] {
        let group = format!("{name}.{group}");
        assert!(log.position(&group, &name).await.expect("a position").is_empty());
        let mut source = join(&*log, plain(&group, &[&name])).await;
        let seen = drain(&mut *source, 3).await;
        source.commit(&seen.position()).await.expect("the commit works");
    }
}

async fn gate(log: Arc<dyn Log>, name: String) {
    let (fast, slow) = (format!("{name}.fast"), format!("{name}.slow"));
    create(&*log, &[spec(&fast, 1), spec(&slow, 2)]).await;
    let keys: Vec<String> = (0..).map(|n| format!("k{n}")).take(32).collect();
    let in_partition = |p| keys.iter().find(|key| crate::local::partition_of(key.as_bytes(), 2) == p).expect("a key");
    let (held, free) = (in_partition(0), in_partition(1));
    send(
        &*log,
        vec![
            record(&slow, Some(held), "held"),
            record(&slow, Some(held), "behind"),
            record(&slow, Some(free), "free"),
            record(&fast, None, "fast"),
        ],
    )
    .await;
    let released = Arc::new(AtomicBool::new(false));
    let gate: Gate = Arc::new({
        let released = released.clone();
        move |message| message.payload != "held" || released.load(Ordering::SeqCst)
    });
    let subscription = Subscription { group: name.clone(), topics: vec![fast.clone()], delayed: vec![slow], gate };
    let mut source = join(&*log, subscription).await;
    let mut seen = Seen::default();
    seen.until(&mut *source, "messages past a held head", |seen| seen.messages.len() >= 2).await;
    send(&*log, numbers(&fast, 0..5)).await;
    seen.until(&mut *source, "messages past a held head", |seen| seen.messages.len() >= 7).await;
    let texts: BTreeSet<String> = seen.texts().into_iter().collect();
    assert!(texts.contains("free") && texts.contains("fast"), "{texts:?}");
    assert!(!texts.contains("held") && !texts.contains("behind"), "the gate was closed: {texts:?}");
    released.store(true, Ordering::SeqCst);
    seen.until(&mut *source, "released head", |seen| seen.messages.len() >= 9).await;
    assert_eq!(seen.texts()[7..], ["held", "behind"]);
}

async fn cancel(log: Arc<dyn Log>, name: String) {
    create(&*log, &[spec(&name, 2)]).await;
    send(&*log, numbers(&name, 0..200)).await;
    let mut source = join(&*log, plain(&name, &[&name])).await;
    let mut seen = Seen::default();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut round = 0u64;
    while seen.messages.len() < 200 {
        assert!(tokio::time::Instant::now() < deadline, "{} of 200 messages", seen.messages.len());
        // Every other poll is dropped, at a different point each time.
        round += 1;
        let patience = if round.is_multiple_of(2) { WAIT } else { Duration::from_micros(50 * (round % 20)) };
        if let Ok(polled) = tokio::time::timeout(patience, source.poll(10, 1 << 20, WAIT)).await {
            seen.add(polled.expect("polling works"));
        }
    }
    let distinct: BTreeSet<u32> = seen.texts().iter().map(|text| text.parse().expect("a number")).collect();
    assert_eq!((seen.messages.len(), distinct.len()), (200, 200));
    assert_eq!(seen.owned.len(), 2, "the assignment was lost with a cancelled poll");
}

async fn limits(log: Arc<dyn Log>, name: String) {
    create(&*log, &[spec(&name, 1)]).await;
    let big = "x".repeat(10_000);
    send(&*log, (0..20).map(|_| record(&name, None, &big)).collect()).await;
    let mut source = join(&*log, plain(&name, &[&name])).await;
    let mut total = 0;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while total < 20 {
        assert!(tokio::time::Instant::now() < deadline, "{total} of 20 messages");
        // A limit below the size of a message still lets one through.
        let (messages, bytes) = if total < 5 {
            (3, 1 << 20)
        } else if total < 15 {
            (100, 25_000)
        } else {
            (100, 10)
        };
        let polled = source.poll(messages, bytes, WAIT).await.expect("polling works").messages;
        assert!(polled.len() <= messages, "{} messages", polled.len());
        let before_last: usize = polled.iter().rev().skip(1).map(Message::size).sum();
        assert!(before_last < bytes, "{before_last} bytes and one more message");
        total += polled.len();
    }
}

async fn woken(log: Arc<dyn Log>, name: String) {
    create(&*log, &[spec(&name, 1)]).await;
    let mut source = join(&*log, plain(&name, &[&name])).await;
    let mut seen = Seen::default();
    seen.until(&mut *source, "assignment", |seen| !seen.owned.is_empty()).await;
    let writer = tokio::spawn({
        let (log, name) = (log.clone(), name.clone());
        async move {
            tokio::task::yield_now().await;
            send(&*log, vec![record(&name, None, "news")]).await;
        }
    });
    // Far more than the write needs: only a poll that is woken returns within the patience of the case.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while seen.messages.is_empty() {
        let polled = tokio::time::timeout_at(deadline, source.poll(10, 1 << 20, PATIENCE * 2)).await;
        seen.add(polled.expect("the poll slept through the write").expect("polling works"));
    }
    writer.await.expect("the writer ends");
    assert_eq!(seen.texts(), ["news"]);
}

async fn read(log: Arc<dyn Log>, name: String) {
    assert!(log.bounds(&name).await.expect("bounds").is_empty(), "no such topic, no bounds");
    create(&*log, &[spec(&name, 1)]).await;
    let empty = log.bounds(&name).await.expect("bounds");
    assert_eq!((empty[0].low, empty[0].high), (0, 0));
    assert!(log.read(&name, 0, 0, 10).await.expect("reading works").is_empty());
    send(&*log, numbers(&name, 0..10)).await;
    let bounds = log.bounds(&name).await.expect("bounds");
    assert_eq!((bounds[0].partition, bounds[0].low, bounds[0].high), (0, 0, 10));
    let read = log.read(&name, 0, 3, 4).await.expect("reading works");
    assert_eq!(
        read.iter().map(|m| (m.offset, text(m))).collect::<Vec<_>>(),
        [(3, "3".to_string()), (4, "4".to_string()), (5, "5".to_string()), (6, "6".to_string())]
    );
    assert_eq!(log.read(&name, 0, 8, 100).await.expect("reading works").len(), 2);
    assert!(log.read(&name, 0, 10, 100).await.expect("reading works").is_empty());
}

async fn share(log: Arc<dyn Log>, name: String) {
    create(&*log, &[spec(&name, 4)]).await;
    let mut first = join(&*log, plain(&name, &[&name])).await;
    let (mut one, mut two) = (Seen::default(), Seen::default());
    one.until(&mut *first, "assignment", |seen| seen.owned.len() == 4).await;
    let mut second = join(&*log, plain(&name, &[&name])).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while one.owned.len() != 2 || two.owned.len() != 2 {
        assert!(tokio::time::Instant::now() < deadline, "{:?} {:?}", one.owned, two.owned);
        one.poll(&mut *first).await;
        two.poll(&mut *second).await;
        assert!(one.owned.is_disjoint(&two.owned), "two owners");
    }
    assert_eq!(one.revoked, two.owned, "what one member lost the other has");
    // Keys in every partition; both members read, together each message once.
    let records: Vec<_> = (0..40).map(|n| record(&name, Some(&format!("k{n}")), &n.to_string())).collect();
    send(&*log, records).await;
    while one.messages.len() + two.messages.len() < 40 {
        assert!(tokio::time::Instant::now() < deadline + PATIENCE, "{} of 40", one.messages.len() + two.messages.len());
        one.poll(&mut *first).await;
        two.poll(&mut *second).await;
    }
    let all: BTreeSet<String> = one.texts().into_iter().chain(two.texts()).collect();
    assert_eq!((all.len(), one.messages.len() + two.messages.len()), (40, 40));
    assert!(!one.messages.is_empty() && !two.messages.is_empty());
    // The one that stays inherits what was not committed.
    first.commit(&one.position()).await.expect("the commit works");
    drop(first);
    let inherited = one.messages.len();
    let mut rest = Seen { owned: two.owned.clone(), ..Seen::default() };
    rest.until(&mut *second, "inheritance", |seen| seen.owned.len() == 4).await;
    send(&*log, vec![record(&name, Some("k0"), "last")]).await;
    rest.until(&mut *second, "message after the inheritance", |seen| seen.texts().iter().any(|t| t == "last")).await;
    assert_eq!(rest.messages.len(), 1, "{inherited} were committed and must not come again: {:?}", rest.texts());
}

async fn fenced(log: Arc<dyn Log>, name: String) {
    create(&*log, &[spec(&name, 2)]).await;
    send(&*log, (0..20).map(|n| record(&name, Some(&format!("k{n}")), &n.to_string())).collect()).await;
    let mut first = join(&*log, plain(&name, &[&name])).await;
    let mut one = drain(&mut *first, 20).await;
    let mut second = join(&*log, plain(&name, &[&name])).await;
    let mut two = Seen::default();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while two.owned.is_empty() || one.revoked.is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "no rebalance");
        one.poll(&mut *first).await;
        two.poll(&mut *second).await;
    }
    first.commit(&one.position()).await.expect("lost partitions are left out of the commit");
    let lost: BTreeSet<i32> = one.revoked.iter().map(|(_, partition)| *partition).collect();
    let committed = log.position(&name, &name).await.expect("a position");
    assert!(committed.keys().all(|partition| !lost.contains(partition)), "{committed:?} has one of {lost:?}");
    assert_eq!(committed.len(), 2 - lost.len());
}

async fn trim(log: Arc<dyn Log>, name: String) {
    create(&*log, &[spec(&name, 1)]).await;
    send(&*log, numbers(&name, 0..6)).await;
    let span = async || log.bounds(&name).await.expect("bounds").first().map(|b| (b.low, b.high));
    log.trim(&name, 0, 4).await.expect("trimming works");
    log.trim(&name, 0, 2).await.expect("what is gone can be deleted again");
    assert_eq!(span().await, Some((4, 6)));
    let left: Vec<String> = log.read(&name, 0, 0, 10).await.expect("reading works").iter().map(text).collect();
    assert_eq!(left, ["4", "5"]);
    log.trim(&name, 0, 6).await.expect("trimming works");
    send(&*log, vec![record(&name, None, "next")]).await;
    assert_eq!(span().await, Some((6, 7)));
    let mut source = join(&*log, plain(&name, &[&name])).await;
    assert_eq!(drain(&mut *source, 1).await.texts(), ["next"], "a new group begins at what is left");
}

async fn nowhere(log: Arc<dyn Log>, name: String) {
    let sent = log.producer().await.expect("a producer").send(vec![record(&name, None, "x")]).await;
    // A broker that creates topics on sight takes it; whoever refuses it says which topic.
    if let Err(error) = sent {
        assert!(error.message.contains(&name), "{error}");
    }
}

async fn transaction(log: Arc<dyn Log>, name: String) {
    let (from, to) = (format!("{name}.from"), format!("{name}.to"));
    create(&*log, &[spec(&from, 1), spec(&to, 1)]).await;
    send(&*log, numbers(&from, 0..5)).await;
    let mut source = join(&*log, plain(&name, &[&from])).await;
    let seen = drain(&mut *source, 5).await;
    let result = source.commit_with_records(vec![record(&to, None, "out")], &seen.position()).await;
    if !source.is_transactional() {
        assert_eq!(result.expect_err("it said it cannot").category, Category::Permanent);
        return;
    }
    result.expect("the transaction works");
    assert_eq!(log.position(&name, &from).await.expect("a position"), BTreeMap::from([(0, 5)]));
    assert_eq!(log.read(&to, 0, 0, 10).await.expect("reading works").len(), 1);
    // A partition that is not ours: nothing is written.
    let foreign = Position::from([((Arc::from(&*to), 0), 1)]);
    source.commit_with_records(vec![record(&to, None, "lost")], &foreign).await.expect_err("the partition is not ours");
    assert_eq!(log.read(&to, 0, 0, 10).await.expect("reading works").len(), 1);
}
