//! Several processes in one group on a real broker: they come and go, with and without a word, and share table and topics.

use std::path::Path;
use std::time::Duration;

use connectors::log::Log as _;

use super::broker::Broker;
use super::log;
use crate::exact::{IN, Relay, messages};
use crate::needs;
use crate::program::Started;
use crate::topics::Topics;

/// A process that runs, and the folder for what it says.
struct Member(Started, tempfile::TempDir);

impl Member {
    fn join(relay: &Relay) -> Self {
        Member::with(relay, "2s")
    }

    /// With a session timeout of its own: half of it is what a partition is waited for that is given away.
    fn with(relay: &Relay, session: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Member(relay.engine().env("SESSION", session).start(folder.path()), folder)
    }

    /// Waits until the table was committed `more` times more.
    fn work(&mut self, relay: &Relay, more: usize) {
        let goal = relay.commits() + more;
        assert!(self.0.wait_until(|| relay.commits() >= goal), "it ended: {}", said(self.1.path()));
    }

    /// Waits until it reads as many partitions as `enough` says.
    fn owns(&mut self, enough: impl Fn(i64) -> bool) {
        let folder = self.1.path().to_owned();
        let owned = || {
            let said = said(&folder);
            let last = said.lines().rev().find_map(|line| line.split("\"reads\":").nth(1));
            last.and_then(|rest| rest.split([',', '}']).next()?.trim().parse().ok()).unwrap_or(0)
        };
        assert!(self.0.wait_until(|| enough(owned())), "it ended: {}", said(self.1.path()));
    }

    /// Lets it end by itself.
    fn leave(self) {
        self.0.terminate().expect(0);
    }

    fn kill(self) {
        self.0.kill();
    }
}

fn said(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("err")).unwrap_or_default()
}

/// Writes the messages below `count` a few at a time, so that there is work for whoever comes.
fn feed(brokers: &str, count: u32) -> tokio::task::JoinHandle<()> {
    let brokers = brokers.to_owned();
    tokio::spawn(async move {
        let topics = Topics::on(log(&brokers, |_| {}).await);
        for from in (0..count).step_by(20) {
            topics.write(IN, messages(from..count.min(from + 20))).await;
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    })
}

async fn start(slot: u16, delivery: &str) -> (Broker, Relay, Topics) {
    let broker = Broker::start(slot);
    let relay = Relay::new(&broker.address(), delivery).await;
    let log = log(&broker.address(), |_| {}).await;
    let topics = Topics::on(log.clone());
    // The topics are there before anybody reads them.
    topics.write(IN, Vec::new()).await;
    assert_eq!(log.bounds(IN).await.unwrap().len(), 4);
    (broker, relay, topics)
}

/// Copies are sent as they come here: whatever is given away unfinished is there twice.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_of_a_partition_is_finished_before_it_is_given_away() {
    if !needs::met("processes that share a group on a real Kafka broker", Broker::possible()) {
        return;
    }
    const COUNT: u32 = 2400;
    let (broker, relay, topics) = start(6, "at_least_once").await;
    let fed = feed(&broker.address(), COUNT);
    tokio::task::block_in_place(|| {
        let join = || Member::with(&relay, "30s");
        let mut first = join();
        first.work(&relay, 3);
        let mut second = join();
        second.owns(|partitions| partitions > 0);
        first.work(&relay, 5);
        let mut third = join();
        third.owns(|partitions| partitions > 0);
        first.work(&relay, 5);
        second.leave();
        first.work(&relay, 5);
        first.leave();
        third.work(&relay, 5);
        third.leave();
    });
    fed.await.unwrap();
    tokio::task::block_in_place(|| relay.engine().arg("--until-drained").finish().expect(0));
    relay.judge(&topics, COUNT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_come_and_go_and_are_killed_double_and_lose_nothing() {
    if !needs::met("processes of a group that are killed on a real Kafka broker", Broker::possible()) {
        return;
    }
    const COUNT: u32 = 4000;
    let (broker, relay, topics) = start(7, "exactly_once").await;
    let fed = feed(&broker.address(), COUNT);
    tokio::task::block_in_place(|| {
        let mut first = Member::join(&relay);
        first.work(&relay, 3);
        let mut second = Member::join(&relay);
        second.owns(|partitions| partitions > 0);
        let mut third = Member::join(&relay);
        third.owns(|partitions| partitions > 0);
        first.work(&relay, 5);
        second.kill();
        first.work(&relay, 10);
        let mut fourth = Member::join(&relay);
        fourth.owns(|partitions| partitions > 0);
        third.leave();
        first.work(&relay, 5);
        first.kill();
        fourth.work(&relay, 5);
        fourth.leave();
    });
    fed.await.unwrap();
    tokio::task::block_in_place(|| relay.engine().arg("--until-drained").finish().expect(0));
    relay.judge(&topics, COUNT).await;
}
