//! A log that another process has open.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connectors::clock::Clock;
use connectors::http::{Auth, Http as _, Options, Request, Wire};
use connectors::log::{Bounds, Log, Message, Producer, Record, Source, Subscription, TopicSpec};
use connectors::{Error, Result};
use serde::Deserialize;

use super::wire::{Answer, Ask, Kept, LONGEST, Sent, pairs};

/// One request: the disk of the other side may be slow.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What the door says.
#[derive(Deserialize)]
struct Card {
    address: std::net::SocketAddr,
    token: String,
}

/// The log of an engine that runs. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    wire: Arc<Wire>,
}

impl Client {
    /// Through the door whose text is `card`; nobody is asked yet.
    pub(super) fn through(card: &[u8], clock: Arc<dyn Clock>) -> Result<Self> {
        let card: Card =
            serde_json::from_slice(card).map_err(|e| Error::permanent(format!("not the door of an engine: {e}")))?;
        if !card.address.ip().is_loopback() {
            return Err(Error::permanent(format!("{} is not an address of this machine", card.address)));
        }
        let options = Options {
            name: "engine".to_owned(),
            url: format!("http://{}", card.address),
            auth: Auth::Bearer(card.token),
            timeout: TIMEOUT,
            max_answer: LONGEST,
            ..Options::default()
        };
        Ok(Client { wire: Arc::new(Wire::new(&options, clock)?) })
    }

    async fn ask(&self, ask: &Ask) -> Result<Answer> {
        let body = serde_json::to_vec(ask).map_err(|e| Error::permanent(format!("asking the engine: {e}")))?;
        let response = self.wire.send_once(&Request::post("/log", body)).await?;
        if response.status != 200 {
            let message = format!("the engine answered {} in place of the log", response.status);
            return Err(Error::permanent(message).hint("another program may listen where the engine did"));
        }
        let answer = serde_json::from_slice(&response.body);
        match answer.map_err(|e| Error::permanent(format!("the engine's answer is not understood: {e}")))? {
            Answer::Failed { category, message, hint } => Err(Error { hint, ..Error::new(category, message) }),
            answer => Ok(answer),
        }
    }

    async fn done(&self, ask: &Ask) -> Result<()> {
        match self.ask(ask).await? {
            Answer::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }
}

fn unexpected(answer: &Answer) -> Error {
    let text = format!("{answer:?}");
    let kind = text.split(['(', ' ']).next().unwrap_or_default();
    Error::permanent(format!("the engine answered with {kind}, which was not asked for"))
        .hint("both sides must be of one version")
}

#[async_trait]
impl Log for Client {
    async fn missing(&self, topics: &[TopicSpec]) -> Result<Vec<String>> {
        match self.ask(&Ask::Missing(pairs(topics))).await? {
            Answer::Names(names) => Ok(names),
            other => Err(unexpected(&other)),
        }
    }

    async fn create(&self, topics: &[TopicSpec]) -> Result<()> {
        self.done(&Ask::Create(pairs(topics))).await
    }

    async fn topics(&self) -> Result<Vec<String>> {
        match self.ask(&Ask::Topics).await? {
            Answer::Names(names) => Ok(names),
            other => Err(unexpected(&other)),
        }
    }

    async fn bounds(&self, topic: &str) -> Result<Vec<Bounds>> {
        match self.ask(&Ask::Bounds(topic.to_owned())).await? {
            Answer::Bounds(all) => {
                Ok(all.into_iter().map(|(partition, low, high)| Bounds { partition, low, high }).collect())
            }
            other => Err(unexpected(&other)),
        }
    }

    async fn read(&self, topic: &str, partition: i32, offset: i64, max: usize) -> Result<Vec<Message>> {
        match self.ask(&Ask::Read { topic: topic.to_owned(), partition, offset, max }).await? {
            Answer::Messages(messages) => messages.into_iter().map(Kept::message).collect(),
            other => Err(unexpected(&other)),
        }
    }

    async fn position(&self, group: &str, topic: &str) -> Result<BTreeMap<i32, i64>> {
        match self.ask(&Ask::Position { group: group.to_owned(), topic: topic.to_owned() }).await? {
            Answer::Position(position) => Ok(position.into_iter().collect()),
            other => Err(unexpected(&other)),
        }
    }

    async fn subscribe(&self, _: Subscription) -> Result<Box<dyn Source>> {
        Err(Error::permanent("no group of a log is joined through the engine that has it open")
            .hint("stop the engine first"))
    }

    async fn producer(&self) -> Result<Arc<dyn Producer>> {
        Ok(Arc::new(self.clone()))
    }

    async fn trim(&self, topic: &str, partition: i32, before: i64) -> Result<()> {
        self.done(&Ask::Trim { topic: topic.to_owned(), partition, before }).await
    }
}

#[async_trait]
impl Producer for Client {
    async fn send(&self, records: Vec<Record>) -> Result<()> {
        self.done(&Ask::Send(records.iter().map(Sent::of).collect())).await
    }
}
