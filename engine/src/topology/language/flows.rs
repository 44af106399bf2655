//! Flows, their sources, and what leaves them.

use super::{Key, Kind, Names, STAGE, Shape};

/// A flow.
pub static FLOW: Shape = Shape {
    name: "a flow",
    about: "One dataflow: a source, stages, and what leaves it.",
    keys: &[
        Key::new("about", Kind::Text, "What it is for."),
        Key::new("aliases", Kind::List(&Kind::Reference), "Other names it answers to on the command line."),
        Key::new(
            "delivery",
            Kind::Choice(&["at_least_once", "exactly_once"]),
            "Whether outputs and positions are one transaction.",
        )
        .or("at_least_once"),
        Key::new("source", Kind::Object(&SOURCE), "Where its messages come from.").required(),
        Key::new("stages", Kind::Map(Names::Bindings, &Kind::Object(&STAGE)), "Its stages, in order."),
        Key::new("rows", Kind::Map(Names::Things, &Kind::Object(&ROWS)), "What it writes to tables."),
        Key::new("send", Kind::Map(Names::Things, &Kind::Object(&SEND)), "What it writes to topics."),
    ],
    one_of: &[],
};

/// `source`.
pub static SOURCE: Shape = Shape {
    name: "a source",
    about: "Where a flow's messages come from.",
    keys: &[
        Key::new("topic", Kind::Reference, "A topic."),
        Key::new("file", Kind::Object(&FILE), "A file of JSON lines, or a directory of them."),
        Key::new("group", Kind::Name, "The group whose positions are committed; a topic needs it."),
        Key::new("deadline", Kind::Duration(1), "How long a message may stay in the flow.").or("60s"),
        Key::new("budget", Kind::Size(1), "Memory for what is in flight.").or("32MiB"),
        Key::new("retry", Kind::Object(&RETRY), "What happens to a message that failed; a topic needs it."),
    ],
    one_of: &["topic", "file"],
};

/// `source.file`.
pub static FILE: Shape = Shape {
    name: "a file source",
    about: "A file of JSON lines, or a directory of them.",
    keys: &[
        Key::new("path", Kind::Name, "Its path.").required(),
        Key::new("message", Kind::Map(Names::Any, &Kind::Field), "The fields of its messages.").required(),
    ],
    one_of: &[],
};

/// `source.retry`.
pub static RETRY: Shape = Shape {
    name: "a retry policy",
    about: "What happens to a message that failed.",
    keys: &[
        Key::new(
            "workflow",
            Kind::Name,
            "Names the topics that are not named: `{prefix}.{workflow}.retry.{delay}` with delays of 5, 10, 20 and 40 minutes, `{prefix}.{workflow}.dlq`; the prefix is that of `vars`, else the topology's name.",
        ),
        Key::new("topic", Kind::DelayName, "The retry topics; `{delay}` is the delay, such as `5m`.")
            .like("\"shop.orders.retry.{delay}\""),
        Key::new("delays", Kind::List(&Kind::Duration(0)), "The delay before each further attempt.")
            .like("[5m, 10m, 20m, 40m]"),
        Key::new("max", Kind::Integer(0), "At most so many further attempts: cuts the list of delays."),
        Key::new("dead_letter", Kind::Name, "The topic of messages that failed for good; needed without `workflow`."),
        Key::new(
            "classify",
            Kind::Map(Names::Any, &Kind::Choice(&["transient", "auth", "permanent", "unknown"])),
            "What failures mean whose text holds these words, in upper or lower case; the first that fits wins over the tables.",
        ),
    ],
    one_of: &[],
};

/// An element of `rows`.
pub static ROWS: Shape = Shape {
    name: "a rows block",
    about: "Rows for a table.",
    keys: &[
        Key::new("table", Kind::Reference, "The table.").required(),
        Key::new("from", Kind::Reference, "The stage whose documents it reads; else the last one."),
        Key::new(
            "on",
            Kind::List(&Kind::Choice(STATUSES)),
            "Instead of `from`: once for each message with such an outcome.",
        ),
        Key::new("when", Kind::Expression, "Only where this is true."),
        Key::new(
            "columns",
            Kind::Map(Names::Any, &Kind::Expression),
            "Its columns; `name?` leaves a null out, a plain name writes it.",
        )
        .required(),
    ],
    one_of: &[],
};

/// An element of `send`.
pub static SEND: Shape = Shape {
    name: "a send block",
    about: "Messages for a topic.",
    keys: &[
        Key::new("topic", Kind::Reference, "The topic.").required(),
        Key::new("from", Kind::Reference, "The stage whose documents it reads; else the last one."),
        Key::new(
            "on",
            Kind::List(&Kind::Choice(STATUSES)),
            "Instead of `from`: once for each message with such an outcome.",
        ),
        Key::new("when", Kind::Expression, "Only where this is true."),
        Key::new("key", Kind::Expression, "The message's key; else the body's field that the topic names."),
        Key::new("body", Kind::Map(Names::Any, &Kind::Expression), "The fields of the body.").required(),
        Key::new("headers", Kind::Map(Names::Any, &Kind::Expression), "Headers."),
    ],
    one_of: &[],
};

const STATUSES: &[&str] = &["done", "skipped", "retried", "dead"];
