//! `engine topics`, `engine produce`, `engine consume`: look at and feed topics on either log. No Kafka tool reads the
//! embedded one.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use connectors::clock::SystemClock;
use connectors::log::{Log, Record, TopicSpec};
use sonic_rs::JsonValueTrait;

use super::{Failed, Loading};
use crate::expr::json;
use crate::plan::{Connection, Plan};
use crate::run::connect;
use crate::topology::Environment;

/// Show topics, their partitions and the groups' positions
#[derive(clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    loading: Loading,
}

/// Write the lines of a file to a topic
#[derive(clap::Args)]
pub struct ProduceArgs {
    #[command(flatten)]
    loading: Loading,
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
    loading: Loading,
    /// The topic's full name
    topic: String,
    /// At most so many messages
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true, value_name = "N")]
    max: usize,
    /// Only the payloads
    #[arg(long)]
    payload: bool,
}

/// The logs of a topology, each with the connection's name.
async fn logs(plan: &Plan, loading: &Loading) -> Result<Vec<(String, Arc<dyn Log>)>, Failed> {
    let clock = Arc::new(SystemClock::new(1.0));
    let mut logs = Vec::new();
    for (name, connection) in &plan.connections {
        if let Connection::Kafka(kafka) = connection {
            logs.push((name.clone(), connect::open_log(kafka, &loading.data, clock.clone()).await?));
        }
    }
    Ok(logs)
}

/// Runs `engine topics`.
pub async fn list(args: ListArgs, environment: Environment) -> Result<(), Failed> {
    let plan = args.loading.load(&environment)?;
    let mut out = std::io::stdout().lock();
    for (connection, log) in logs(&plan, &args.loading).await? {
        for topic in log.topics().await? {
            let bounds = log.bounds(&topic).await?;
            let high: i64 = bounds.iter().map(|b| b.high).sum();
            let low: i64 = bounds.iter().map(|b| b.low).sum();
            print(&mut out, &format!("{connection}  {topic}  partitions {}  messages {}", bounds.len(), high - low))?;
            for flow in &plan.flows {
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
    let plan = args.loading.load(&environment)?;
    let logs = logs(&plan, &args.loading).await?;
    let (_, log) = home(&logs, &plan, &args.topic)?;
    log.create(&[TopicSpec { name: args.topic.clone(), partitions: 1 }]).await?;
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
    eprintln!("{count} messages written to {topic}");
    Ok(())
}

/// Runs `engine consume`.
pub async fn consume(args: ConsumeArgs, environment: Environment) -> Result<(), Failed> {
    let plan = args.loading.load(&environment)?;
    let logs = logs(&plan, &args.loading).await?;
    let (_, log) = home(&logs, &plan, &args.topic)?;
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
                    ("time", json::text(&crate::expr::time::format_timestamp(message.time))),
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

/// The log that `topic` is declared in; the only one where it is not declared.
fn home<'a>(
    logs: &'a [(String, Arc<dyn Log>)],
    plan: &Plan,
    topic: &str,
) -> Result<&'a (String, Arc<dyn Log>), Failed> {
    let declared = plan.topics.values().find(|t| t.name == topic).map(|t| t.connection.as_str());
    let found = declared.and_then(|c| logs.iter().find(|(name, _)| name == c)).or_else(|| logs.first());
    found.ok_or_else(|| Failed::usage("the topology has no connection with topics"))
}

fn print(out: &mut impl Write, line: &str) -> Result<(), Failed> {
    writeln!(out, "{line}").map_err(|e| Failed::running(vec![format!("standard output: {e}")]))
}
