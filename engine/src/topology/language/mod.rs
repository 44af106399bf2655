//! The language, as tables: every mapping, every key, its kind, its default, its meaning.

mod connections;
mod flows;
mod stages;

pub use connections::{AUTH, BASIC, BREAKER, CONNECTION, DELTA, HTTP, KAFKA, OBJECT_STORE, RATE, SECURITY, SPOOL, WEB};
pub use flows::{FILE, FLOW, RETRY, ROWS, SEND, SOURCE};
pub use stages::{
    AGGREGATE, BATCH, CACHE, DEDUP, DOWNLOAD, ENRICH, LEAVE, PAGINATE, REFRESH, ROUTE, STAGE, STAGE_KINDS, UPLOAD,
};

use super::shape::{Key, Kind, Names, Shape};

/// The version of the language that this engine reads.
pub const VERSION: &str = "1";

/// Words of [`Kind::Choice`] that the plan compares with.
pub const LOG_FLAGS: &[&str] = &["read", "written", "both"];

/// The file.
pub static TOPOLOGY: Shape = Shape {
    name: "a topology",
    about: "A topology: connections, topics, tables, and the flows between them.",
    keys: &[
        Key::new("topology", Kind::Text, "The name; part of positions and metrics.").required(),
        Key::new("language", Kind::Text, "The version of the language.").required(),
        Key::new("about", Kind::Text, "What it is for."),
        Key::new("aliases", Kind::List(&Kind::Reference), "Other names for all its flows on the command line."),
        Key::new("simulation", Kind::Text, "The file that declares its simulation, relative to this one.")
            .like("sim/orders.yaml"),
        Key::new("vars", Kind::Map(Names::Bindings, &Kind::Text), "Variables for names and urls."),
        Key::new("connections", Kind::Map(Names::Things, &Kind::Object(&CONNECTION)), "Systems, by name."),
        Key::new("topics", Kind::Map(Names::Things, &Kind::Object(&TOPIC)), "Topics, by name."),
        Key::new("tables", Kind::Map(Names::Things, &Kind::Object(&TABLE)), "Tables, by name."),
        Key::new("flows", Kind::Map(Names::Things, &Kind::Object(&FLOW)), "Dataflows, by name.").required(),
    ],
    one_of: &[],
};

/// A topic.
pub static TOPIC: Shape = Shape {
    name: "a topic",
    about: "A topic with the message that its writers and readers agree on.",
    keys: &[
        Key::new("name", Kind::Name, "Its full name in the log.").required(),
        Key::new("in", Kind::Reference, "The kafka connection; may be left out when there is one."),
        Key::new("key", Kind::Reference, "The field that is the key of what is sent."),
        Key::new("partitions", Kind::Integer(1), "How many partitions it gets when it is created here."),
        Key::new("external", Kind::Choice(LOG_FLAGS), "Who else uses it: `written` by somebody else, `read`, or both."),
        Key::new("message", Kind::Map(Names::Any, &Kind::Field), "Its fields with their types.").required(),
    ],
    one_of: &[],
};

/// A table.
pub static TABLE: Shape = Shape {
    name: "a table",
    about: "A table whose rows have a key.",
    keys: &[
        Key::new("path", Kind::Name, "The path under the connection's url, or a whole url; else the table's name."),
        Key::new("in", Kind::Reference, "The delta connection; may be left out when there is one."),
        Key::new("about", Kind::Text, "What a row is."),
        Key::new("key", Kind::List(&Kind::Reference), "The columns of the key; never null.")
            .required()
            .like("[order_id]"),
        Key::new(
            "mode",
            Kind::Choice(&["merge", "insert"]),
            "Whether a row updates the row of its key, or the first one stays.",
        )
        .or("merge"),
        Key::new("partition", Kind::List(&Kind::Reference), "The columns it is partitioned by."),
        Key::new("keep", Kind::List(&Kind::Reference), "Columns whose first value stays."),
        Key::new("groups", Kind::Map(Names::Things, &Kind::Object(&GROUP)), "Columns that share a version."),
        Key::new("parent", Kind::Reference, "The table whose rows are visible before rows of this one."),
        Key::new("flush", Kind::Object(&FLUSH), "When its buffer is committed: at the first bound."),
        Key::new("columns", Kind::Map(Names::Bindings, &Kind::Column), "Its columns with their types.").required(),
    ],
    one_of: &[],
};

/// A column group.
pub static GROUP: Shape = Shape {
    name: "a column group",
    about: "Columns that are written together and share one version.",
    keys: &[
        Key::new("version", Kind::Reference, "The column with the version; an older one never overwrites a newer one."),
        Key::new("columns", Kind::List(&Kind::Reference), "Its columns; may be left out in one group."),
    ],
    one_of: &[],
};

/// When a table's buffer is committed.
pub static FLUSH: Shape = Shape {
    name: "flush bounds",
    about: "When a table's buffer is committed: at the first bound that is reached.",
    keys: &[
        Key::new("rows", Kind::Integer(1), "Rows in the buffer.").or("50000"),
        Key::new("bytes", Kind::Size(1), "Bytes in the buffer.").or("64MiB"),
        Key::new("age", Kind::Duration(0), "Age of the oldest row in the buffer.").or("5s"),
    ],
    one_of: &[],
};
