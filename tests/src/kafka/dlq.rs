//! Dead letters on a real broker: its topics can be cut at their start, and that is all they can.

use super::broker::Broker;
use crate::made_up::Folder;
use crate::needs;
use crate::program::Engine;
use crate::topics::Topics;

const DEAD: &str = "shop.orders.dlq";

#[tokio::test(flavor = "multi_thread")]
async fn letters_on_a_broker_are_replayed_and_purged() {
    if !needs::met("dead letters on a real Kafka broker", Broker::possible()) {
        return;
    }
    let broker = Broker::start(3);
    let folder = Folder::new();
    folder.edit(
        "shop.yaml",
        "brokers: embedded",
        &format!("brokers: '{}', session_timeout: 6s, heartbeat: 1s", broker.address()),
    );
    let drain = || drop(folder.run(&["shop.yaml"]).arg("--dev").arg("--until-drained").finish().expect(0));
    let dlq = |arguments: &[&str]| {
        let engine = arguments.iter().fold(Engine::new("dlq"), |engine, argument| engine.arg(argument));
        engine.arg("--topology").arg(folder.path("shop.yaml").display()).finish().expect(0)
    };
    drain();
    folder
        .write("bad.jsonl", "{\"note\": \"k\", \"n\": 0}\n{\"note\": \"k\", \"n\": 1}\n{\"note\": \"k\", \"n\": 2}\n");
    let produce = Engine::new("produce").arg("shop.orders").arg(folder.path("bad.jsonl").display()).arg("--key=note");
    produce.arg("--topology").arg(folder.path("shop.yaml").display()).finish().expect(0);
    drain();
    let list = dlq(&["list", "--format=json"]);
    let first: serde_json::Value = serde_json::from_str(list.out.lines().next().unwrap()).unwrap();
    let at = |offset: u32| format!("{}/{offset}", first["partition"]);
    let bounds = async || {
        let log = super::log(&broker.address(), |_| {}).await;
        let all = connectors::log::Log::bounds(&*log, DEAD).await.unwrap();
        all.iter().map(|bounds| (bounds.low, bounds.high)).filter(|(_, high)| *high > 0).collect::<Vec<_>>()
    };
    assert_eq!(bounds().await, [(0, 3)]);

    // The one in the middle, then the first: nothing is cut before both are done with.
    assert!(dlq(&["replay", &at(1)]).err.ends_with("dead letters replayed: 1\n"));
    assert!(dlq(&["replay", &at(1)]).err.contains("replayed: 0; replayed before and left alone: 1"));
    assert!(dlq(&["purge"]).err.contains("purged: 1; not replayed, so they stay: 2"));
    assert_eq!(
        (bounds().await, dlq(&["list"]).err.trim().to_owned()),
        (vec![(0, 3)], "dead letters: 2, not replayed yet: 2".to_owned())
    );
    dlq(&["purge", "--discard", &at(0)]);
    assert_eq!(bounds().await, [(2, 3)]);
    assert!(dlq(&["replay"]).err.contains("dead letters replayed: 1"));
    dlq(&["purge"]);
    assert_eq!(bounds().await, [(3, 3)]);
    let topics = Topics::on(super::log(&broker.address(), |_| {}).await);
    assert_eq!(topics.count(&format!("{DEAD}.handled")).await, 0);
    // Both that were replayed die again.
    drain();
    assert_eq!(topics.count(DEAD).await, 2);
}
