//! `engine topics`, `engine produce`, `engine consume`: look at and feed topics on either log. No Kafka tool reads the
//! embedded one.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use connectors::clock::SystemClock;
use connectors::embedded;
use connectors::log::{Log, Record, TopicSpec};
use sonic_rs::JsonValueTrait;

use super::{Failed, Loading, terminal};
use crate::expr::json;
use crate::plan::{Connection, Kafka, Plan};
use crate::remote;
use crate::topology::{Environment, nearest};

/// Where topics are: in a topology's logs; without one, in the embedded log below `--data`, or in a Kafka cluster.
#[derive(clap::Args)]
struct Where {
    /// The topology whose connections are used
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// Host and port of some brokers, if no topology is given [default: KAFKA_BOOTSTRAP_SERVERS, else the embedded log]
    #[arg(long, value_name = "BROKERS")]
    brokers: Option<String>,
    /// The folder of the embedded log
    #[arg(long, default_value = "data", value_name = "DIR")]
    data: PathBuf,
}

/// Show topics, their partitions and the groups' positions
#[derive(clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    place: Where,
}

/// Write the lines of a file to a topic
#[derive(clap::Args)]
pub struct ProduceArgs {
    #[command(flatten)]
    place: Where,
    /// The topic's full name
    topic: String,
    /// The file, one message a line; `-` is standard input
    file: PathBuf,
    /// The field of each message that becomes its key
    #[arg(long, value_name = "FIELD")]
    key: Option<String>,
}

/// Print the messages of a topic as JSON lines
#[derive(clap::Args)]
pub struct ConsumeArgs {
    #[command(flatten)]
    place: Where,
    /// The topic's full name
    topic: String,
    /// At most so many messages
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true, value_name = "N")]
    max: usize,
    /// Only the payloads
    #[arg(long)]
    payload: bool,
}

/// Partitions of an embedded topic that no topology declares.
const PARTITIONS: i32 = 6;

/// The logs that are meant, each with its connection's name, and the topology if there is one.
struct Logs {
    open: Vec<(String, Arc<dyn Log>)>,
    plan: Option<Plan>,
    embedded: bool,
}

/// Refuses an embedded log that is not there, for whoever only looks: opening it would make one.
pub(super) fn must_be_there(kafka: &Kafka, data: &Path) -> Result<(), Failed> {
    let folder = data.join("topics");
    match kafka.brokers.is_some() || embedded::is_there(&folder) {
        true => Ok(()),
        false => Err(Failed::usage(format!(
            "there are no topics in {}: nothing has run with this --data yet",
            folder.display()
        ))),
    }
}

impl Logs {
    /// Opens them. An embedded log that is not there is made for whoever `writes`.
    async fn open(place: &Where, environment: &Environment, writes: bool) -> Result<Self, Failed> {
        let clock = Arc::new(SystemClock::new(1.0));
        let plan = match &place.topology {
            Some(topology) => Some(Loading { topology: topology.clone(), data: place.data.clone() }.load(environment)?),
            None => None,
        };
        let mut kafkas: Vec<(String, Kafka)> = Vec::new();
        match &plan {
            Some(plan) => {
                for (name, connection) in &plan.connections {
                    if let Connection::Kafka(kafka) = connection {
                        kafkas.push((name.clone(), kafka.clone()));
                    }
                }
            }
            None => {
                let given = place.brokers.as_deref().or(environment.get("KAFKA_BOOTSTRAP_SERVERS"));
                let brokers = given.filter(|b| *b != "embedded").map(str::to_owned);
                kafkas.push((
                    "log".to_owned(),
                    Kafka { brokers, partitions: PARTITIONS, replication: 1, ..Kafka::default() },
                ));
            }
        }
        let mut open = Vec::new();
        for (name, kafka) in &kafkas {
            if !writes {
                must_be_there(kafka, &place.data)?;
            }
            open.push((name.clone(), remote::open(kafka, &place.data, clock.clone()).await?));
        }
        let embedded = kafkas.iter().all(|(_, kafka)| kafka.brokers.is_none());
        Ok(Logs { open, plan, embedded })
    }

    /// The log that `topic` is declared in; the first where it is not declared.
    fn of(&self, topic: &str) -> Result<&Arc<dyn Log>, Failed> {
        let topics = self.plan.iter().flat_map(|plan| plan.topics.values());
        let declared = topics.filter(|t| t.name == topic).map(|t| t.connection.as_str()).next();
        let found = declared.and_then(|c| self.open.iter().find(|(name, _)| name == c)).or_else(|| self.open.first());
        found.map(|(_, log)| log).ok_or_else(|| Failed::usage("the topology has no connection with topics"))
    }

    /// Makes sure that `topic` is there: in the embedded log, which is ours, by creating it.
    async fn ensure(&self, topic: &str) -> Result<(), Failed> {
        let declared = self.plan.iter().flat_map(|plan| plan.topics.values()).find(|t| t.name == topic);
        let spec =
            TopicSpec { name: topic.to_owned(), partitions: declared.and_then(|t| t.partitions).unwrap_or(PARTITIONS) };
        let log = self.of(topic)?;
        // With a topology a name that it does not know is a slip of the pen.
        if self.embedded && (declared.is_some() || self.plan.is_none()) {
            return Ok(log.create(&[spec]).await?);
        }
        if log.missing(&[spec]).await?.is_empty() {
            return Ok(());
        }
        let names = self.plan.iter().flat_map(|plan| plan.topics.values()).map(|t| t.name.as_str());
        Err(Failed::usage(match nearest(topic, names) {
            Some(name) => format!("topic {topic} does not exist; did you mean {name}?"),
            None => format!("topic {topic} does not exist; create it first"),
        }))
    }
}

/// Runs `engine topics`.
pub async fn list(args: ListArgs, environment: Environment) -> Result<(), Failed> {
    let logs = Logs::open(&args.place, &environment, false).await?;
    let mut out = std::io::stdout().lock();
    for (connection, log) in &logs.open {
        for topic in log.topics().await? {
            let bounds = log.bounds(&topic).await?;
            let high: i64 = bounds.iter().map(|b| b.high).sum();
            let low: i64 = bounds.iter().map(|b| b.low).sum();
            print(&mut out, &format!("{connection}  {topic}  partitions {}  messages {}", bounds.len(), high - low))?;
            for flow in logs.plan.iter().flat_map(|plan| &plan.flows) {
                let Some(group) = flow.source.reads(&topic) else { continue };
                let position = log.position(group, &topic).await?;
                let at = |b: &connectors::log::Bounds| position.get(&b.partition).copied().unwrap_or(b.low);
                let lag: i64 = bounds.iter().map(|b| (b.high - at(b)).max(0)).sum();
                print(&mut out, &format!("{connection}  {topic}  group {group}  lag {lag}"))?;
            }
        }
    }
    Ok(())
}

/// Runs `engine produce`.
pub async fn produce(args: ProduceArgs, environment: Environment) -> Result<(), Failed> {
    let logs = Logs::open(&args.place, &environment, true).await?;
    logs.ensure(&args.topic).await?;
    let log = logs.of(&args.topic)?;
    let read = |e: std::io::Error| Failed::usage(format!("{}: {e}", args.file.display()));
    let text = if args.file.as_os_str() == "-" {
        tokio::task::spawn_blocking(|| std::io::read_to_string(std::io::stdin()))
            .await
            .map_err(|e| Failed::usage(e.to_string()))?
            .map_err(read)?
            .into_bytes()
    } else {
        tokio::fs::read(&args.file).await.map_err(read)?
    };
    let producer = log.producer().await?;
    let topic: Arc<str> = args.topic.as_str().into();
    let lines = text.split(|b| *b == b'\n').filter(|l| !l.is_empty());
    let records: Vec<Record> = lines
        .map(|line| {
            let value = args.key.as_ref().and_then(|k| json::parse(line).ok()?.get(k.as_str()).cloned());
            let key = value.filter(|v| !v.is_null()).map(|v| Bytes::from(crate::stage::dedup::key_text(&v)));
            Record { topic: topic.clone(), key, payload: Bytes::copy_from_slice(line), headers: Vec::new() }
        })
        .collect();
    let count = records.len();
    producer.send(records).await?;
    terminal::say(format_args!("{count} messages written to {topic}"));
    Ok(())
}

/// Runs `engine consume`.
pub async fn consume(args: ConsumeArgs, environment: Environment) -> Result<(), Failed> {
    let logs = Logs::open(&args.place, &environment, false).await?;
    let log = logs.of(&args.topic)?;
    let mut out = std::io::stdout().lock();
    let mut left = args.max;
    let all = log.bounds(&args.topic).await?;
    if all.is_empty() {
        return Err(Failed::usage(format!("no topic is called {}", args.topic)));
    }
    for bounds in all {
        let mut offset = bounds.low;
        while offset < bounds.high && left > 0 {
            let messages = log.read(&args.topic, bounds.partition, offset, left.min(1000)).await?;
            let Some(last) = messages.last() else { break };
            offset = last.offset + 1;
            left -= messages.len();
            for message in &messages {
                let payload = String::from_utf8_lossy(&message.payload);
                if args.payload {
                    print(&mut out, &payload)?;
                    continue;
                }
                let headers = message.headers.iter().map(|(n, v)| (&**n, json::text(&String::from_utf8_lossy(v))));
                let key =
                    message.key.as_ref().map_or_else(Default::default, |k| json::text(&String::from_utf8_lossy(k)));
                let line = json::object([
                    ("topic", json::text(&message.topic)),
                    ("partition", json::integer(message.partition.into())),
                    ("offset", json::integer(message.offset)),
                    ("time", json::text(&expr::time::format_timestamp(message.time))),
                    ("key", key),
                    ("headers", json::object(headers)),
                    ("payload", json::parse(&message.payload).unwrap_or_else(|_| json::text(&payload))),
                ]);
                print(&mut out, &json::to_text(&line))?;
            }
        }
    }
    Ok(())
}

fn print(out: &mut impl Write, line: &str) -> Result<(), Failed> {
    writeln!(out, "{line}").map_err(|e| match e.kind() {
        // Whoever reads has enough: there is nothing left to do.
        std::io::ErrorKind::BrokenPipe => Failed { status: 0, problems: Vec::new() },
        _ => Failed::running(vec![format!("standard output: {e}")]),
    })
}
