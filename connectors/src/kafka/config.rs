//! What can be set, and what librdkafka is told.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::types::RDKafkaConfRes;

use crate::{Error, Result};

/// How brokers are reached and how groups and producers behave.
#[derive(Clone, Debug)]
pub struct Options {
    /// `host:port`, separated by commas.
    pub brokers: String,
    /// The name that brokers see in their logs and quotas. Default `engine`.
    pub client_id: String,
    /// Encryption and credentials. Default: none.
    pub security: Security,
    /// How long the first contact may take. Default 10 s.
    pub connect_timeout: Duration,
    /// How long one request may take. Default 30 s.
    pub request_timeout: Duration,
    /// How long a record may be on its way, all retries included. Default 2 minutes.
    pub delivery_timeout: Duration,
    /// A member that is silent for so long has left its group. Default 45 s.
    pub session_timeout: Duration,
    /// How often a member shows that it lives. Default 3 s.
    pub heartbeat: Duration,
    /// How long the thread that serves the group may be stuck. Default 5 minutes.
    pub max_poll_interval: Duration,
    /// At most so many messages a poll, whatever its caller asks for. Default 10 000.
    pub max_poll_records: usize,
    /// Messages fetched ahead of the engine, for each partition, in KiB. Default 4096.
    pub prefetch_kib: u32,
    /// The partitions of a topic that is created without a number of its own. Default 1.
    pub partitions: i32,
    /// The replicas of a topic that is created; -1 is the broker's default. Default -1.
    pub replication: i32,
    /// Broker failures in a row that make a consumer rest. Default 5.
    pub breaker_failures: u32,
    /// How long it rests, scaled by the clock. Default 30 s.
    pub breaker_cooldown: Duration,
    /// Makes sources transactional; the group's name is appended. It must be unique for each process of a group, and the
    /// same after a restart, so that a predecessor that still lives is fenced. Default: none.
    pub transactional_id: Option<String>,
    /// Further librdkafka settings of consumers, such as `fetch.min.bytes` or `group.instance.id`.
    pub consumer: BTreeMap<String, String>,
    /// Further librdkafka settings of producers, such as `linger.ms` or `compression.type`.
    pub producer: BTreeMap<String, String>,
}

/// What the promises of this module stand on.
const OURS: [&str; 8] = [
    "bootstrap.servers",
    "group.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "acks",
    "partitioner",
    "transactional.id",
];

fn by_hand(key: &str) -> Result<()> {
    match OURS.contains(&key) {
        true => Err(Error::permanent(format!("the Kafka setting {key} cannot be set by hand"))
            .hint("the promises of the engine stand on it; remove it")),
        false => Ok(()),
    }
}

/// Whose setting it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A consumer's.
    Consumer,
    /// A producer's.
    Producer,
}

/// Checks a setting of librdkafka, without a broker. The error does not hold the value.
pub fn check_setting(side: Side, key: &str, value: &str) -> Result<()> {
    by_hand(key)?;
    let mut config = ClientConfig::new();
    config.set(key, value);
    match config.create_native_config() {
        Ok(_) => Ok(()),
        Err(rdkafka::error::KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => {
            let side = if side == Side::Consumer { "consumer" } else { "producer" };
            Err(Error::permanent(format!("Kafka's client has no setting `{key}` of a {side}"))
                .hint("its settings are those of librdkafka, such as `fetch.min.bytes` or `linger.ms`"))
        }
        Err(rdkafka::error::KafkaError::ClientConfig(_, reason, ..)) if !value.is_empty() => Err(Error::permanent(
            format!("the Kafka setting `{key}` is refused: {}", reason.replace(value, "its value")),
        )),
        Err(_) => Err(Error::permanent(format!("the Kafka setting `{key}` is refused"))),
    }
}

/// How a connection is protected. Its `Debug` form hides the password.
#[derive(Clone, Default)]
pub struct Security {
    /// `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`; none means plaintext.
    pub protocol: Option<String>,
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: Option<String>,
    /// The SASL user.
    pub username: Option<String>,
    /// The SASL password.
    pub password: Option<String>,
    /// A file of certificate authorities, PEM; none means those of the system.
    pub ca_location: Option<String>,
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security")
            .field("protocol", &self.protocol)
            .field("mechanism", &self.mechanism)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("ca_location", &self.ca_location)
            .finish()
    }
}

impl Options {
    /// The defaults, for `brokers`.
    pub fn new(brokers: impl Into<String>) -> Self {
        Options {
            brokers: brokers.into(),
            client_id: "engine".into(),
            security: Security::default(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            delivery_timeout: Duration::from_secs(120),
            session_timeout: Duration::from_secs(45),
            heartbeat: Duration::from_secs(3),
            max_poll_interval: Duration::from_secs(300),
            max_poll_records: 10_000,
            prefetch_kib: 4096,
            partitions: 1,
            replication: -1,
            breaker_failures: 5,
            breaker_cooldown: Duration::from_secs(30),
            transactional_id: None,
            consumer: BTreeMap::new(),
            producer: BTreeMap::new(),
        }
    }

    /// Refuses what would break a promise of this module.
    pub(super) fn check(&self) -> Result<()> {
        if self.brokers.trim().is_empty() {
            return Err(
                Error::permanent("no Kafka brokers are given").hint("brokers are host:port, separated by commas")
            );
        }
        self.consumer.keys().chain(self.producer.keys()).try_for_each(|key| by_hand(key))
    }

    /// What all clients share.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config.set("client.id", &self.client_id);
        config.set("socket.timeout.ms", ms(self.request_timeout));
        config.set("allow.auto.create.topics", "false");
        let Security { protocol, mechanism, username, password, ca_location } = &self.security;
        for (key, value) in [
            ("security.protocol", protocol),
            ("sasl.mechanisms", mechanism),
            ("sasl.username", username),
            ("sasl.password", password),
            ("ssl.ca.location", ca_location),
        ] {
            // Without SASL its settings mean nothing, and librdkafka warns about each.
            let sasl = protocol.as_deref().is_some_and(|p| p.to_ascii_uppercase().starts_with("SASL"));
            if let Some(value) = value.as_ref().filter(|_| sasl || !key.starts_with("sasl.")) {
                config.set(key, value);
            }
        }
        config.set_log_level(RDKafkaLogLevel::Info);
        config
    }

    /// A member of `group`.
    pub(super) fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.client();
        config.set("auto.offset.reset", "earliest");
        config.set("partition.assignment.strategy", "cooperative-sticky");
        config.set("isolation.level", "read_committed");
        config.set("session.timeout.ms", ms(self.session_timeout));
        config.set("heartbeat.interval.ms", ms(self.heartbeat));
        config.set("max.poll.interval.ms", ms(self.max_poll_interval.max(self.session_timeout)));
        config.set("queued.max.messages.kbytes", self.prefetch_kib.to_string());
        // A poll that found its queues empty is answered soon after the next message, not half a second later.
        config.set("fetch.wait.max.ms", "100");
        // Tells whether brokers are connected.
        config.set("statistics.interval.ms", "5000");
        extend(&mut config, &self.consumer);
        config.set("group.id", group);
        config.set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        config
    }

    /// A reader of single partitions, outside any group; `group` only names it.
    pub(super) fn reader(&self, group: &str) -> ClientConfig {
        let mut config = self.consumer(group);
        config.set("enable.partition.eof", "true");
        config
    }

    /// A producer.
    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        // lz4 is always compiled into librdkafka.
        config.set("compression.type", "lz4");
        config.set("linger.ms", "5");
        // A message that could be read must be writable to the dead letters, with the headers that say why.
        config.set("message.max.bytes", "16000000");
        // How long a topic may be unknown before a write to it fails; `create` has waited for the new ones.
        config.set("topic.metadata.propagation.max.ms", "5000");
        config.set("request.timeout.ms", ms(self.request_timeout.min(self.delivery_timeout)));
        config.set("delivery.timeout.ms", ms(self.delivery_timeout));
        extend(&mut config, &self.producer);
        config.set("enable.idempotence", "true");
        config.set("acks", "all");
        // As Kafka's Java clients and `crate::local`; librdkafka's own default is another hash.
        config.set("partitioner", "murmur2_random");
        config
    }
}

fn extend(config: &mut ClientConfig, settings: &BTreeMap<String, String>) {
    for (key, value) in settings {
        config.set(key, value);
    }
}

fn ms(duration: Duration) -> String {
    duration.as_millis().to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_the_promises_stand_on_cannot_be_set() {
        let mut options = Options::new("localhost:9092");
        options.consumer.insert("fetch.min.bytes".into(), "10".into());
        options.check().unwrap();
        options.consumer.insert("enable.auto.commit".into(), "true".into());
        assert!(options.check().unwrap_err().message.contains("enable.auto.commit"));
        assert!(Options::new(" ").check().is_err());
    }

    #[test]
    fn debug_output_has_no_password() {
        let mut options = Options::new("localhost:9092");
        options.security.password = Some("swordfish".into());
        assert!(!format!("{options:?}").contains("swordfish"));
    }
}
