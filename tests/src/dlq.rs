//! Dead letters: found, replayed and purged by the program, while nothing runs and through an engine that does.

use std::path::Path;

use serde_json::Value;

use crate::made_up::Folder;
use crate::model::lake;
use crate::program::{Ended, Engine, Started, topologies};
use crate::topics::Topics;

const DEAD: &str = "shop.orders.dlq";

/// `engine dlq VERB` on the made-up shop.
fn dlq(folder: &Folder, arguments: &[&str]) -> Engine {
    let engine = arguments.iter().fold(Engine::new("dlq"), |engine, argument| engine.arg(argument));
    engine.arg("--topology").arg(folder.path("shop.yaml").display()).arg("--data").arg(folder.data().display())
}

/// The last line on standard error.
fn told(ended: &Ended) -> &str {
    ended.err.lines().next_back().unwrap_or_default()
}

fn letters(folder: &Folder, arguments: &[&str]) -> Vec<Value> {
    let ended = dlq(folder, &[&["list", "--format", "json"][..], arguments].concat()).finish().expect(0);
    ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Puts lines on the topic of the orders; those with one note go to one partition.
fn produce(folder: &Folder, lines: &str) {
    folder.write("bad.jsonl", lines);
    let produce = Engine::new("produce").arg("shop.orders").arg(folder.path("bad.jsonl").display()).arg("--key=note");
    let produce = produce.arg("--topology").arg(folder.path("shop.yaml").display());
    produce.arg("--data").arg(folder.data().display()).finish().expect(0);
}

fn drain(folder: &Folder) {
    folder.run(&["shop.yaml"]).arg("--until-drained").finish().expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_letter_is_replayed_and_a_second_replay_says_so() {
    let folder = Folder::new();
    produce(
        &folder,
        "{\"note\": \"a\"}\n{\"note\": \"a\", \"n\": 2}\nno json\n{\"note\": \"late\"}\n{\"id\": 1, \"note\": \"good\"}\n",
    );
    drain(&folder);

    let list = dlq(&folder, &["list"]).finish().expect(0);
    assert_eq!(told(&list), "dead letters: 4, not replayed yet: 4");
    assert!(list.out.starts_with("DIED ") && list.out.lines().count() == 5, "{}", list.out);
    assert!(list.out.contains("shop/orders") && list.out.contains("field `id` is required"), "{}", list.out);
    let all = letters(&folder, &[]);
    let with = |key: &str| all.iter().find(|letter| letter["key"] == key).unwrap();
    assert_eq!(with("late")["category"], "permanent");
    assert_eq!((with("late")["stage"].as_str(), with("late")["attempt"].as_i64()), (Some("source"), Some(1)));
    // What is asked for is what is shown: by key, category, stage, flow, time, place, trace and by a field's value.
    let place = format!("{}/{}", with("late")["partition"], with("late")["offset"]);
    let trace = with("late")["trace"].as_str().unwrap();
    let cases: &[(&[&str], usize)] = &[
        (&["--key=late"], 1),
        (&["--key=late", "--key=a"], 3),
        (&["--category=permanent"], 4),
        (&["--category=transient"], 0),
        (&["--stage=source"], 4),
        (&["--stage=other"], 0),
        (&["--flow=shop-users"], 0),
        (&["--flow=shop/orders"], 4),
        (&["--since=1h"], 4),
        (&["--until=1h"], 0),
        (&["--since=2020-01-01", "--until=2021-01-01T00:00:00Z"], 0),
        (&[trace], 1),
        (&["late"], 1),
        (&["2"], 1),
        (&["--limit=3"], 3),
    ];
    for (arguments, count) in cases {
        assert_eq!(letters(&folder, arguments).len(), *count, "{arguments:?}");
    }
    assert_eq!(letters(&folder, &[&place]).first().map(|l| &l["key"]), Some(&"late".into()));
    dlq(&folder, &["list", "nothing-like-that"]).finish().expect(1);
    dlq(&folder, &["list", "--category=permament"]).finish().expect(2);
    dlq(&folder, &["list", "--since=soon"]).finish().expect(2);
    let shown = dlq(&folder, &["show", "late"]).finish().expect(0).out;
    assert!(shown.contains("payload\n    {\"note\": \"late\"}") && shown.contains("history"), "{shown}");

    let dry = dlq(&folder, &["replay", "--dry-run"]).finish().expect(0);
    assert_eq!((told(&dry), dry.out.lines().count()), ("dead letters would be replayed: 4", 4));
    assert_eq!(letters(&folder, &["--new"]).len(), 4, "a dry run does nothing");

    // The cause is gone: an order without an id is called by its note.
    folder.edit("shop.yaml", "message: {id: id!, note: string}", "message: {id: {id!: \"id || note\"}, note: string}");
    assert_eq!(told(&dlq(&folder, &["replay", "late"]).finish().expect(0)), "dead letters replayed: 1");
    let rest = dlq(&folder, &["replay"]).finish().expect(0);
    let expected = "dead letters replayed: 3; replayed before and left alone: 1 (--again replays them once more)";
    assert_eq!(told(&rest), expected);
    assert!(rest.out.contains("replayed before, left alone: shop/orders"), "{}", rest.out);
    let again = dlq(&folder, &["replay"]).finish().expect(0);
    assert!(told(&again).starts_with("dead letters replayed: 0; replayed before and left alone: 4"), "{}", again.err);
    drain(&folder);

    // Three found their end; what is no JSON is dead again, and both of its letters know.
    let all = letters(&folder, &[]);
    let counts: Vec<_> = all.iter().map(|l| (l["replayed"].as_i64(), l["replayed_before"].as_i64())).collect();
    assert_eq!(all.len(), 5, "{all:?}");
    assert_eq!(counts.iter().filter(|counts| **counts == (Some(1), Some(0))).count(), 4, "{counts:?}");
    assert_eq!(counts.iter().filter(|counts| **counts == (Some(0), Some(1))).count(), 1, "{counts:?}");
    let twice = dlq(&folder, &["replay", "--new", "--format=json"]).finish().expect(0);
    assert!(twice.out.contains("replayed for the time 2") && twice.out.lines().count() == 1, "{}", twice.out);
    drain(&folder);

    let topics = Topics::open(&folder.data()).await;
    let messages = topics.all("shop.orders").await;
    assert_eq!(messages.len(), 5 + 4 + 1);
    let replayed: Vec<_> = messages.iter().filter_map(|m| Some((m.header("replayed")?, m))).collect();
    assert_eq!(replayed.iter().filter(|(text, _)| text.starts_with("1 ")).count(), 4);
    assert_eq!(replayed.iter().filter(|(text, _)| text.starts_with("2 ")).count(), 1);
    for (text, message) in &replayed {
        assert!(text.contains(&format!(" {DEAD}/")), "{text}");
        let gone = ["attempt", "error", "error_category", "origin", "due"];
        assert!(gone.iter().all(|name| message.header(name).is_none()), "{:?}", message.headers);
    }
    // A third life: the history tells all of it, and when it first failed.
    let last =
        topics.all(DEAD).await.into_iter().find(|l| l.header("replayed").is_some_and(|r| r.starts_with("2 "))).unwrap();
    let history: Vec<&str> = last.header("history").unwrap().lines().collect();
    assert_eq!((history.len(), last.payload.as_ref()), (5, b"no json".as_slice()), "{history:?}");
    assert!(history[1].contains("replayed from") && history[3].contains("replayed from"), "{history:?}");
    assert!(history[0].contains(&last.header("first_failure").unwrap()[..19]), "{history:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_is_purged_that_was_not_replayed_unless_it_is_asked_for() {
    let folder = Folder::new();
    produce(&folder, "{\"note\": \"k\", \"n\": 0}\n{\"note\": \"k\", \"n\": 1}\n{\"note\": \"k\", \"n\": 2}\n");
    drain(&folder);
    let partition = letters(&folder, &[])[0]["partition"].to_string();
    let at = |offset: i64| format!("{partition}/{offset}");
    let on_topic = async || Topics::open(&folder.data()).await.count(DEAD).await;

    let none = dlq(&folder, &["purge"]).finish().expect(0);
    assert_eq!(
        told(&none),
        "dead letters purged: 0; not replayed, so they stay: 3 (--discard deletes them all the same)"
    );
    let dry = dlq(&folder, &["purge", "--discard", "--dry-run"]).finish().expect(0);
    assert_eq!(told(&dry), "dead letters would be purged: 3");
    assert_eq!(on_topic().await, 3);

    // The one in the middle is hidden: it cannot be deleted before the first.
    assert_eq!(told(&dlq(&folder, &["purge", "--discard", &at(1)]).finish().expect(0)), "dead letters purged: 1");
    assert_eq!((letters(&folder, &[]).len(), on_topic().await), (2, 3));
    dlq(&folder, &["replay", &at(1)]).finish().expect(1);
    // The first goes once it was replayed, and the middle with it.
    dlq(&folder, &["replay", &at(0)]).finish().expect(0);
    assert_eq!(told(&dlq(&folder, &["purge", &at(0)]).finish().expect(0)), "dead letters purged: 1");
    assert_eq!((letters(&folder, &[]).len(), on_topic().await), (1, 1));
    dlq(&folder, &["purge", "--discard"]).finish().expect(0);
    let topics = Topics::open(&folder.data()).await;
    assert_eq!(topics.count(DEAD).await, 0);
    assert_eq!(
        topics.count(&format!("{DEAD}.handled")).await,
        0,
        "nobody needs what was noted of letters that are gone"
    );
    drop(topics);
    // The first was replayed, and dies again: its new letter is another one.
    drain(&folder);
    assert_eq!(letters(&folder, &["--new"]).len(), 1);
}

/// Waits until the engine that runs has `count` letters that are as `expected`.
fn wait(running: &mut Started, folder: &Folder, count: usize, expected: impl Fn(&Value) -> bool) {
    let there = running.wait_until(|| {
        let ended = dlq(folder, &["list", "--format", "json"]).finish();
        // Until the engine has opened its log there is none, or it is open for a moment here.
        let lines = ended.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        ended.status == Some(0) && lines.filter(&expected).count() == count
    });
    assert!(there, "the engine ended");
}

#[test]
fn while_an_engine_runs_its_letters_are_reached_through_it() {
    let folder = Folder::new();
    produce(&folder, "{\"note\": \"a\"}\n{\"note\": \"b\"}\n");
    let said = tempfile::tempdir().unwrap();
    let mut running = folder.run(&["shop.yaml"]).start(said.path());
    let door = folder.data().join("topics/engine.json");
    assert!(running.wait_until(|| door.exists()), "it has no door");
    wait(&mut running, &folder, 2, |letter| letter["replayed_before"] == 0);
    let replayed = dlq(&folder, &["replay"]).finish().expect(0);
    assert_eq!(told(&replayed), "dead letters replayed: 2");
    wait(&mut running, &folder, 2, |letter| letter["replayed_before"] == 1);
    assert_eq!(told(&dlq(&folder, &["purge"]).finish().expect(0)).split(';').next(), Some("dead letters purged: 2"));
    wait(&mut running, &folder, 2, |_| true);
    let look = |verb: &str| Engine::new(verb).arg("--data").arg(folder.data().display());
    let topics = look("topics").finish().expect(0);
    assert!(topics.out.contains(DEAD), "{}", topics.out);
    let letters_read = look("consume").arg(DEAD).finish().expect(0);
    assert_eq!(letters_read.out.lines().count(), 2);
    running.kill();
    // The door of an engine that was killed leads nowhere, and nobody needs it.
    assert!(door.exists());
    assert_eq!(letters(&folder, &["--new"]).len(), 2);
}

/// `replay <trace_id>`, in the folder of the topologies, with the id that a domain gives its events.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_letter_is_replayed_by_the_id_of_its_domain() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let raw = "xact.events.raw";
    let event =
        |trace: &str| serde_json::json!({"type": "a.b.c", "traceId": trace, "utcDateTime": "never"}).to_string();
    Topics::open(data).await.write(raw, vec![(None, event("T-1")), (None, event("T-2"))]).await;
    Engine::run(&topologies().join("xact.yaml"), data).arg("--until-drained").finish().expect(0);
    let dlq = |data: &Path| {
        Engine::new("dlq").within(&topologies().join("..")).arg("replay").arg("T-2").arg("--data").arg(data.display())
    };
    let ended = dlq(data).finish().expect(0);
    assert_eq!(told(&ended), "dead letters replayed: 1");
    assert!(ended.out.starts_with("replayed: xact/"), "{}", ended.out);
    let topics = Topics::open(data).await;
    let messages = topics.all(raw).await;
    let replayed: Vec<_> = messages.iter().filter(|message| message.header("replayed").is_some()).collect();
    assert_eq!((messages.len(), replayed.len()), (3, 1));
    assert_eq!(replayed[0].payload, event("T-2"));
    drop(topics);
    assert!(told(&dlq(data).finish().expect(0)).contains("replayed before and left alone: 1"));
}

/// Two flows that read one topic in groups of their own; only one of them gives anything up.
const TWINS: &str = r#"
topology: twins
language: 1
connections: {bus: {kafka: {brokers: embedded}}, lake: {delta: {url: "{data}/tables"}}}
topics: {orders: {name: twins.orders, external: written, message: {id: id!}}}
tables:
  strict: {key: [place], columns: {place: int64!, id: id}}
  open: {key: [place], columns: {place: int64!, id: id}}
flows:
  strict:
    source: {topic: orders, group: strict, retry: {workflow: strict, delays: [1m]}}
    stages: {even: {filter: "event.id != '7'", else: {permanent: seven is odd}}}
    rows: {row: {table: strict, columns: {place: source.offset, id: event.id}}}
  open:
    source: {topic: orders, group: open, retry: {workflow: open, delays: [1m]}}
    rows: {row: {table: open, columns: {place: source.offset, id: event.id}}}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_letter_goes_back_to_the_flow_that_gave_it_up_and_to_no_other() {
    let folder = Folder::new();
    folder.write("twins.yaml", TWINS);
    let drain = || drop(folder.run(&["twins.yaml"]).arg("--until-drained").finish().expect(0));
    let dlq = |arguments: &[&str]| {
        let engine = arguments.iter().fold(Engine::new("dlq"), |engine, argument| engine.arg(argument));
        let engine = engine.arg("--topology").arg(folder.path("twins.yaml").display());
        engine.arg("--data").arg(folder.data().display())
    };
    Topics::open(&folder.data()).await.write_bytes("twins.orders", vec![b"{\"id\": 7}".to_vec()]).await;
    drain();
    let rows = async |table: &str| lake::read(&folder.data().join("tables").join(table)).await.unwrap().len();
    assert_eq!((rows("open").await, rows("strict").await), (1, 0));
    assert_eq!(told(&dlq(&["replay"]).finish().expect(0)), "dead letters replayed: 1");
    drain();
    assert_eq!((rows("open").await, rows("strict").await), (1, 0), "the other flow had it before");
    let topics = Topics::open(&folder.data()).await;
    let letters = topics.all("twins.strict.dlq").await;
    assert_eq!(letters.iter().filter(|letter| letter.header("consumer_group") == Some("strict")).count(), 2);
    assert_eq!(topics.count("twins.open.dlq").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_place_that_several_topics_have_asks_for_the_topic() {
    let folder = Folder::new();
    let topics = Topics::open(&folder.data()).await;
    for topic in ["shop.orders", "shop.users"] {
        topics.write_bytes(topic, vec![b"no json".to_vec(); 8]).await;
    }
    drop(topics);
    drain(&folder);
    let first = letters(&folder, &["--flow=orders"]).remove(0);
    let other = letters(&folder, &["--flow=users"]).remove(0);
    let place = |letter: &Value| format!("{}/{}", letter["partition"], letter["offset"]);
    assert_eq!(place(&first), place(&other), "both topics begin where topics begin");
    let ended = dlq(&folder, &["replay", &place(&first)]).finish().expect(2);
    assert!(
        ended.err.contains(&format!("{DEAD}/{}, shop.users.dlq/{}", place(&first), place(&other))),
        "{}",
        ended.err
    );
    let whole = format!("{DEAD}/{}", place(&first));
    for arguments in [&["replay", &place(&first), "--flow=users"][..], &["replay", &whole]] {
        assert_eq!(told(&dlq(&folder, arguments).finish().expect(0)), "dead letters replayed: 1", "{arguments:?}");
    }
}

/// So many letters that they are read, written and noted in several parts.
const MANY: usize = 1200;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_full_queue_is_replayed_twice_and_each_message_counts_once() {
    let folder = Folder::new();
    let bad: String = (0..MANY).map(|n| format!("{{\"note\": \"n{n}\"}}\n")).collect();
    let good: String = (0..300).map(|n| format!("{{\"id\": \"g{n}\", \"note\": \"good\"}}\n")).collect();
    produce(&folder, &format!("{bad}{good}"));
    drain(&folder);
    folder.edit("shop.yaml", "message: {id: id!, note: string}", "message: {id: {id!: \"id || note\"}, note: string}");
    assert_eq!(told(&dlq(&folder, &["replay"]).finish().expect(0)), format!("dead letters replayed: {MANY}"));
    let again = dlq(&folder, &["replay"]).finish().expect(0);
    let alone = format!("dead letters replayed: 0; replayed before and left alone: {MANY}");
    assert!(told(&again).starts_with(&alone), "{}", again.err);
    drain(&folder);

    let rows = lake::read(&folder.data().join("tables/shop_orders")).await.unwrap();
    let ids: std::collections::BTreeSet<String> = rows.iter().map(|row| row["id"].to_string()).collect();
    assert_eq!((rows.len(), ids.len()), (MANY + 300, MANY + 300), "each message has its row");
    let topics = Topics::open(&folder.data()).await;
    assert_eq!(topics.count("shop.orders").await, MANY + 300 + MANY, "each letter was written once");
    assert_eq!(topics.count(DEAD).await, MANY, "and nothing died again");
    drop(topics);
    assert_eq!(told(&dlq(&folder, &["purge"]).finish().expect(0)), format!("dead letters purged: {MANY}"));
    assert_eq!(Topics::open(&folder.data()).await.count(DEAD).await, 0);
}
