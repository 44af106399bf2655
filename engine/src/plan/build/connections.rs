//! Connections.

use std::collections::BTreeMap;
use std::time::Duration;

use connectors::Category;
use indexmap::IndexMap;

use super::super::{Auth, Breaker, Connection, Delta, Http, Kafka, ObjectStore, Secret, SpoolBounds, Web};
use super::Builder;
use crate::topology::code;
use crate::topology::language::{BASIC, BREAKER, CONNECTION, SECURITY, SPOOL};
use crate::topology::node::{Entry, Node};
use crate::topology::reader::Reader;

impl<'a> Builder<'a> {
    pub(super) fn connection(&mut self, entry: &'a Entry) -> Option<Connection> {
        let reader = Reader::of(entry, &CONNECTION);
        if let Some(kafka) = reader.opt_object("kafka") {
            return Some(Connection::Kafka(self.kafka(&kafka)));
        }
        if let Some(http) = reader.opt_object("http") {
            return Some(Connection::Http(self.http(&http)));
        }
        if let Some(web) = reader.opt_object("web") {
            return Some(Connection::Web(Web {
                allow: web.texts("allow"),
                max_size: web.opt_size("max_size").and_then(|n| u64::try_from(n).ok()).unwrap_or(u64::MAX),
                idle_timeout: web.duration("idle_timeout"),
                concurrency: web.integer("concurrency"),
                redirects: web.integer("redirects"),
                types: web.entries("types").iter().map(|e| (e.key.clone(), texts(&e.value))).collect(),
                generic: web.texts("generic"),
                classify: classify(&web),
            }));
        }
        if let Some(store) = reader.opt_object("object_store") {
            let (url, options) = (store.text("url"), secrets(store.entries("options")));
            return Some(Connection::ObjectStore(ObjectStore {
                url,
                options,
                concurrency: store.integer("concurrency"),
                spool: spool_bounds(&store),
            }));
        }
        let delta = reader.opt_object("delta")?;
        Some(Connection::Delta(Delta {
            url: delta.text("url"),
            options: secrets(delta.entries("options")),
            write: delta.flag("write"),
        }))
    }

    fn kafka(&mut self, reader: &Reader<'a>) -> Kafka {
        let security = reader.object("security", &SECURITY);
        let kafka = Kafka {
            brokers: reader.opt_text("brokers").filter(|b| *b != "embedded").map(str::to_owned),
            protocol: security.text("protocol"),
            mechanism: security.text("mechanism"),
            username: security.text("username"),
            password: Secret(security.text("password")),
            ca: security.opt_text("ca").map(str::to_owned),
            max_poll_records: reader.opt_integer("max_poll_records"),
            session_timeout: reader.opt_duration("session_timeout"),
            max_poll_interval: reader.opt_duration("max_poll_interval"),
            heartbeat: reader.opt_duration("heartbeat"),
            partitions: reader.integer("partitions"),
            replication: reader.integer("replication"),
            create: reader.flag("create"),
            consumer: strings(reader.entries("consumer")),
            producer: strings(reader.entries("producer")),
        };
        let unset = reader.get("security").is_some_and(Node::is_unset);
        if !unset && kafka.protocol.starts_with("sasl") && (kafka.username.is_empty() || kafka.password.0.is_empty()) {
            let message = format!("`{}` needs `username` and `password`", kafka.protocol);
            self.problem(code::AUTH, reader.place("security"), message);
        }
        if let (Some(beat), Some(session)) = (kafka.heartbeat, kafka.session_timeout)
            && beat * 3 > session
        {
            self.problem(
                code::TIMING,
                reader.place("heartbeat"),
                "`heartbeat` must be at most a third of `session_timeout`",
            );
        }
        if let (Some(session), Some(poll)) = (kafka.session_timeout, kafka.max_poll_interval)
            && session > poll
        {
            let message = "`session_timeout` must not be longer than `max_poll_interval`";
            self.problem(code::TIMING, reader.place("session_timeout"), message);
        }
        kafka
    }

    fn http(&mut self, reader: &Reader<'a>) -> Http {
        let breaker = reader.object("breaker", &BREAKER);
        let classify = classify(reader);
        let rate = reader.opt_object("rate");
        Http {
            url: reader.text("url").trim_end_matches('/').into(),
            auth: reader.opt_object("auth").map_or(Auth::None, |auth| self.auth(&auth, true)),
            headers: reader
                .entries("headers")
                .iter()
                .map(|e| (e.key.clone(), text(&e.value)))
                .collect::<IndexMap<_, _>>(),
            timeout: reader.duration("timeout"),
            concurrency: reader.integer("concurrency"),
            retries: reader.integer("retries"),
            max_answer: reader.opt_size("max_answer").unwrap_or(usize::MAX),
            breaker: Breaker {
                failures: breaker.integer("failures"),
                cooldown: breaker.duration("cooldown"),
                trials: breaker.integer("trials"),
                successes: breaker.integer("successes"),
            },
            rate: rate.and_then(|r| Some((r.opt_text("per_second")?.parse().ok()?, r.integer("burst")))),
            classify,
        }
    }

    /// One half of a user name and password is a mistake, unless an alternative to it is complete.
    fn auth(&mut self, reader: &Reader<'a>, last_resort: bool) -> Auth {
        let mut found = Vec::new();
        if let Some(basic) = reader.opt_object("basic") {
            debug_assert!(std::ptr::eq(basic.shape, &BASIC));
            match (basic.text("username"), basic.text("password")) {
                (user, password) if user.is_empty() && password.is_empty() => {}
                (user, password) if !user.is_empty() && !password.is_empty() => {
                    found.push(Auth::Basic(user, Secret(password)));
                }
                (user, _) if last_resort && !basic.node.is_some_and(Node::is_unset) => {
                    let empty = if user.is_empty() { "username" } else { "password" };
                    self.problem(code::AUTH, reader.place("basic"), format!("`basic` without a `{empty}`"));
                }
                _ => {}
            }
        }
        found.extend(reader.opt_text("token").filter(|t| !t.is_empty()).map(|t| Auth::Token(Secret(t.into()))));
        found.extend(reader.opt_text("bearer").filter(|t| !t.is_empty()).map(|t| Auth::Bearer(Secret(t.into()))));
        let alternatives =
            reader.items("first").iter().map(|node| Reader { node: Some(node), at: node.span, ..*reader });
        let alternatives: Vec<Reader<'a>> = alternatives.collect();
        match alternatives.iter().map(|auth| self.auth(auth, false)).find(|auth| *auth != Auth::None) {
            Some(complete) => found.push(complete),
            None if last_resort => alternatives.iter().for_each(|auth| drop(self.auth(auth, true))),
            None => {}
        }
        if found.len() > 1 {
            self.problem(
                code::EXCLUSIVE,
                reader.at,
                "an authentication is one of `basic`, `token`, `bearer`, `first`",
            )
            .help = Some("for the first that is complete: `auth: {first: [{token: ...}, {basic: ...}]}`".into());
        }
        found.into_iter().next().unwrap_or_default()
    }
}

fn spool_bounds(store: &Reader<'_>) -> SpoolBounds {
    let spool = store.object("spool", &SPOOL);
    let bytes = spool.opt_size("bytes").and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(u64::MAX);
    SpoolBounds { bytes, age: spool.opt_duration("age").unwrap_or(Duration::MAX) }
}

/// What statuses mean where it differs from the default table.
fn classify(reader: &Reader<'_>) -> BTreeMap<u16, Category> {
    let said = reader.entries("classify").iter().filter_map(|entry| {
        let category = Category::ALL.into_iter().find(|c| Some(c.as_str()) == entry.value.text())?;
        Some((entry.key.parse().ok()?, category))
    });
    said.collect()
}

fn text(node: &Node) -> String {
    node.text().unwrap_or_default().into()
}

fn texts(node: &Node) -> Vec<String> {
    node.items().iter().map(text).collect()
}

fn strings(entries: &[Entry]) -> BTreeMap<String, String> {
    entries.iter().map(|e| (e.key.clone(), text(&e.value))).collect()
}

fn secrets(entries: &[Entry]) -> BTreeMap<String, Secret> {
    entries.iter().map(|e| (e.key.clone(), Secret(text(&e.value)))).collect()
}
