//! Connections.

use super::{Key, Kind, Names, Shape};

/// A connection: one of its kinds.
pub static CONNECTION: Shape = Shape {
    name: "a connection",
    about: "A system that is reached.",
    keys: &[
        Key::new("kafka", Kind::Object(&KAFKA), "Topics."),
        Key::new("http", Kind::Object(&HTTP), "An API."),
        Key::new("web", Kind::Object(&WEB), "Hosts that files are downloaded from."),
        Key::new("object_store", Kind::Object(&OBJECT_STORE), "A place for files."),
        Key::new("delta", Kind::Object(&DELTA), "A place for tables."),
    ],
    one_of: &["kafka", "http", "web", "object_store", "delta"],
};

/// `kafka`.
pub static KAFKA: Shape = Shape {
    name: "a kafka connection",
    about: "A Kafka cluster, or the embedded log.",
    keys: &[
        Key::new("brokers", Kind::Name, "Host and port of some brokers, or `embedded`.")
            .required()
            .like("broker-1:9092,broker-2:9092"),
        Key::new("security", Kind::Object(&SECURITY), "How it knows us."),
        Key::new("consumer", Kind::Map(Names::Any, &Kind::Text), "Settings of the client's consumer, as they are."),
        Key::new("producer", Kind::Map(Names::Any, &Kind::Text), "Settings of the client's producer, as they are."),
        Key::new("max_poll_records", Kind::Integer(1), "At most so many messages a poll.").like("1000"),
        Key::new(
            "session_timeout",
            Kind::Duration(1),
            "After so long without a heartbeat the group goes on without us.",
        ),
        Key::new("max_poll_interval", Kind::Duration(1), "After so long without a poll the group goes on without us."),
        Key::new("heartbeat", Kind::Duration(1), "How often a heartbeat is sent."),
        Key::new("partitions", Kind::Integer(1), "Partitions of topics that are created.").or("6"),
        Key::new("replication", Kind::Integer(1), "Replicas of topics that are created.").or("1"),
        Key::new("create", Kind::Bool, "Whether missing topics are created.").or("false"),
    ],
    one_of: &[],
};

/// `kafka.security`.
pub static SECURITY: Shape = Shape {
    name: "kafka security",
    about: "How a cluster knows us.",
    keys: &[
        Key::new("protocol", Kind::Choice(&["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]), "The transport.")
            .or("plaintext"),
        Key::new("mechanism", Kind::Choice(&["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]), "The way of SASL.")
            .or("PLAIN"),
        Key::new("username", Kind::Text, "The user of SASL."),
        Key::new("password", Kind::Secret, "The password of SASL."),
        Key::new("ca", Kind::Name, "A file with the certificates to trust."),
    ],
    one_of: &[],
};

/// `http`.
pub static HTTP: Shape = Shape {
    name: "an http connection",
    about: "An API.",
    keys: &[
        Key::new("url", Kind::Name, "What paths are appended to.").required().like("https://api.example.com/v1"),
        Key::new("auth", Kind::Object(&AUTH), "How it knows us."),
        Key::new("headers", Kind::Map(Names::Any, &Kind::Text), "Headers of every request."),
        Key::new("timeout", Kind::Duration(1), "Total time of one request.").or("30s"),
        Key::new("concurrency", Kind::Integer(1), "Requests at a time.").or("20"),
        Key::new("retries", Kind::Integer(0), "Tries after the first before a failure leaves the client.").or("3"),
        Key::new("max_answer", Kind::Size(1), "The longest answer.").or("16MiB"),
        Key::new("breaker", Kind::Object(&BREAKER), "When the client stops calling for a while."),
        Key::new("rate", Kind::Object(&RATE), "Requests a second."),
        Key::new(
            "classify",
            Kind::Map(Names::Statuses, &Kind::Choice(CATEGORIES)),
            "Categories of statuses that differ from the default table.",
        ),
    ],
    one_of: &[],
};

/// `auth`.
pub static AUTH: Shape = Shape {
    name: "an authentication",
    about: "How an API knows us; if every value is empty, not at all.",
    keys: &[
        Key::new("basic", Kind::Object(&BASIC), "By user name and password."),
        Key::new("token", Kind::Secret, "By a ready value after `Basic `."),
        Key::new("bearer", Kind::Secret, "By a bearer token."),
        Key::new("first", Kind::List(&Kind::Object(&AUTH)), "The first that is complete."),
    ],
    one_of: &[],
};

/// `auth.basic`.
pub static BASIC: Shape = Shape {
    name: "user name and password",
    about: "A user name and a password.",
    keys: &[Key::new("username", Kind::Text, "The user name."), Key::new("password", Kind::Secret, "The password.")],
    one_of: &[],
};

/// `breaker`.
pub static BREAKER: Shape = Shape {
    name: "a breaker",
    about: "When a client stops calling for a while.",
    keys: &[
        Key::new("failures", Kind::Integer(1), "Failures in a row that open it.").or("5"),
        Key::new("cooldown", Kind::Duration(0), "How long it stays open.").or("60s"),
        Key::new("trials", Kind::Integer(1), "Calls at a time while it is half open.").or("3"),
        Key::new("successes", Kind::Integer(1), "Successes that close it.").or("2"),
    ],
    one_of: &[],
};

/// `rate`.
pub static RATE: Shape = Shape {
    name: "a rate",
    about: "Requests a second.",
    keys: &[
        Key::new("per_second", Kind::Number, "Requests a second.").required(),
        Key::new("burst", Kind::Integer(1), "How many at once after a pause.").or("1"),
    ],
    one_of: &[],
};

/// `web`.
pub static WEB: Shape = Shape {
    name: "a web connection",
    about: "Hosts that files are downloaded from.",
    keys: &[
        Key::new("allow", Kind::List(&Kind::Name), "Their names, exact.").required().like("[files.example.com]"),
        Key::new("max_size", Kind::Size(1), "The largest file.").or("2GiB"),
        Key::new("idle_timeout", Kind::Duration(1), "The longest silence within a download.").or("30s"),
        Key::new("concurrency", Kind::Integer(1), "Downloads at a time.").or("10"),
        Key::new("redirects", Kind::Integer(0), "Redirects that are followed.").or("5"),
        Key::new(
            "types",
            Kind::Map(Names::Any, &Kind::List(&Kind::Text)),
            "Content types by extension; others are refused, unless `\"*\": []` lets them in. Without: usual documents and media.",
        ),
        Key::new("generic", Kind::List(&Kind::Text), "Content types that say nothing.")
            .or("[application/octet-stream, binary/octet-stream]"),
        Key::new(
            "classify",
            Kind::Map(Names::Statuses, &Kind::Choice(CATEGORIES)),
            "Categories of statuses that differ from the default table.",
        ),
    ],
    one_of: &[],
};

/// `object_store`.
pub static OBJECT_STORE: Shape = Shape {
    name: "an object store",
    about: "A place for files.",
    keys: &[
        Key::new("url", Kind::Name, "Its url, or a path.").required(),
        Key::new("options", Kind::Map(Names::Any, &Kind::Secret), "Options of the store."),
        Key::new("concurrency", Kind::Integer(1), "Uploads at a time.").or("10"),
        Key::new("spool", Kind::Object(&SPOOL), "What it may hold where files wait in it."),
    ],
    one_of: &[],
};

/// `object_store.spool`.
pub static SPOOL: Shape = Shape {
    name: "the bounds of a spool",
    about: "What a folder may hold where files wait between their download and their upload.",
    keys: &[
        Key::new("bytes", Kind::Size(1), "Bytes of all files; beyond, downloads fail as transient.").or("100GiB"),
        Key::new(
            "age",
            Kind::Duration(1),
            "Files in the folder that were written longer ago are deleted: nobody came for them. Longer than messages wait; without it none is.",
        )
        .like("30d"),
    ],
    one_of: &[],
};

/// `delta`.
pub static DELTA: Shape = Shape {
    name: "a delta connection",
    about: "A place for tables.",
    keys: &[
        Key::new("url", Kind::Name, "Its url, or a path.").required(),
        Key::new("options", Kind::Map(Names::Any, &Kind::Secret), "Options of the store."),
        Key::new("write", Kind::Bool, "Whether rows are written, or only computed and counted.").or("true"),
    ],
    one_of: &[],
};

const CATEGORIES: &[&str] = &["transient", "auth", "permanent", "circuit_open", "unknown"];
