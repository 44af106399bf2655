//! The language of test files, as tables: every mapping, every key, its kind, its default, its meaning.

use crate::topology::shape::{Key, Kind, Names, Shape};

/// A file of tests.
pub static SUITE: Shape = Shape {
    name: "a test file",
    about: "Named cases that run a topology over systems in memory.",
    keys: &[
        Key::new("test", Kind::Text, "The name of the suite.").required(),
        Key::new("language", Kind::Choice(&["1"]), "The version of the language of tests.").required(),
        Key::new("about", Kind::Text, "What it shows."),
        Key::new("topology", Kind::Text, "The topology, relative to this file.").required(),
        Key::new("environment", ENVIRONMENT, "What `${NAME}` means in the topology; nothing else is set."),
        Key::new("start", Kind::Text, "What the clock shows when a case begins.").or("2026-01-10T12:00:00Z"),
        Key::new("answers", ROUTES, "Answers of APIs that every case begins with, by connection."),
        Key::new("serve", FILES, "Files that every case begins with, by URL."),
        Key::new(
            "unreachable",
            Kind::Map(Names::Things, &Kind::Map(Names::Any, &Kind::Text)),
            "Parts that no message can reach, by flow, as `--coverage` calls them, and why: they do not count.",
        ),
        Key::new("cases", Kind::Map(Names::Any, &Kind::Object(&CASE)), "The cases, by name.").required(),
    ],
    one_of: &[],
};

const ENVIRONMENT: Kind = Kind::Map(Names::Any, &Kind::Text);
const ROUTES: Kind = Kind::Map(Names::Things, &Kind::List(&Kind::Object(&ROUTE)));
const FILES: Kind = Kind::Map(Names::Any, &Kind::Object(&FILE));

/// A case.
pub static CASE: Shape = Shape {
    name: "a case",
    about: "Steps that run in order, on systems of their own.",
    keys: &[
        Key::new("about", Kind::Text, "What it shows."),
        Key::new("flows", Kind::List(&Kind::Reference), "The flows that run; else all."),
        Key::new("environment", ENVIRONMENT, "Put over the environment of the file."),
        Key::new("steps", Kind::List(&Kind::Object(&STEP)), "What happens, and what must then be so.").required(),
    ],
    one_of: &[],
};

/// A step.
pub static STEP: Shape = Shape {
    name: "a step",
    about: "One thing that happens, or one look at what became of it.",
    keys: &[
        Key::new(
            "send",
            Kind::Map(Names::Any, &Kind::List(&Kind::Object(&MESSAGE))),
            "Messages, by topic of the topology or full name; for a flow that reads a file, lines by its path.",
        ),
        Key::new("answer", ROUTES, "Answers of APIs, by connection; a newer route wins over an older one."),
        Key::new("serve", FILES, "Files, by URL, with their query or without it."),
        Key::new(
            "fail",
            Kind::Map(Names::Things, &Kind::Object(&FAIL)),
            "Commits that fail, by table; uploads by store, writes of downloads by spool.",
        ),
        Key::new("advance", Kind::Text, "How far the clock moves, or `drained`: from one due instant to the next."),
        Key::new(
            "restart",
            Kind::Choice(&["stop", "crash"]),
            "The flows end, after finishing what they have read or at once, and start from what is durable.",
        ),
        Key::new("expect", Kind::Object(&EXPECT), "What must be so now."),
    ],
    one_of: &["send", "answer", "serve", "fail", "advance", "restart", "expect"],
};

/// A message that is sent.
pub static MESSAGE: Shape = Shape {
    name: "a message",
    about: "A message that is sent.",
    keys: &[
        Key::new("body", Kind::Any, "The payload, written as JSON."),
        Key::new("text", Kind::Text, "The payload as it is."),
        Key::new("key", Kind::Text, "Its key."),
        Key::new("headers", Kind::Map(Names::Any, &Kind::Text), "Its headers."),
    ],
    one_of: &["body", "text"],
};

macro_rules! answer {
    ($name:literal, $about:literal, [$($first:expr),*], $one_of:expr) => {
        Shape {
            name: $name,
            about: $about,
            keys: &[
                $($first,)*
                Key::new("status", Kind::Integer(100), "The status.").or("200"),
                Key::new("answer", Kind::Any, "The body, as JSON."),
                Key::new("text", Kind::Text, "The body as it is."),
                Key::new("headers", Kind::Map(Names::Any, &Kind::Text), "Headers of the answer."),
                Key::new("delay", Kind::Duration(0), "How long the answer takes, on the clock of the case.").or("0s"),
                Key::new(
                    "fault",
                    Kind::Choice(FAULTS),
                    "What happens instead: `timeout` is silence for as long as the connection waits.",
                ),
            ],
            one_of: $one_of,
        }
    };
}

/// The words of `fault`, as simulations spell them.
pub const FAULTS: &[&str] = &["timeout", "reset", "truncated"];

/// A route of an API.
pub static ROUTE: Shape = answer!(
    "a route",
    "A request and its answer, spelled as in simulations.",
    [
        Key::new("get", Kind::Text, "The path of a GET, below the connection's url; `{name}` fits any segment."),
        Key::new("post", Kind::Text, "The path of a POST."),
        Key::new("when", Kind::Object(&WHEN), "What query and body must hold."),
        Key::new("answers", Kind::List(&Kind::Object(&ANSWER)), "Answers in turn; the last one stays.")
    ],
    &["get", "post"]
);

/// One of the answers of a route.
pub static ANSWER: Shape = answer!("an answer", "One of the answers of a route.", [], &[]);

/// What a request must hold.
pub static WHEN: Shape = Shape {
    name: "a match",
    about: "What a request must hold for a route to answer it.",
    keys: &[
        Key::new("query", Kind::Map(Names::Any, &Kind::Any), "Parameters."),
        Key::new("body", Kind::Any, "The body, or a part of it."),
    ],
    one_of: &[],
};

/// A file of a host.
pub static FILE: Shape = Shape {
    name: "a file",
    about: "What a host answers for a URL.",
    keys: &[
        Key::new("status", Kind::Integer(100), "The status.").or("200"),
        Key::new("text", Kind::Text, "The content."),
        Key::new("base64", Kind::Text, "The content, in base64."),
        Key::new("headers", Kind::Map(Names::Any, &Kind::Text), "Headers of the answer, such as `content-type`."),
        Key::new("fault", Kind::Choice(FAULTS), "What happens instead; `truncated` breaks off in the middle."),
        Key::new("answers", Kind::List(&Kind::Object(&FILE)), "Answers in turn; the last one stays."),
    ],
    one_of: &[],
};

/// The words of `as`.
pub const CATEGORIES: &[&str] = &["transient", "permanent", "auth", "unknown"];

/// What becomes of the next writes to a table, a store or a spool.
pub static FAIL: Shape = Shape {
    name: "a failure",
    about: "What becomes of the next commits of a table, uploads to a store or files of a spool.",
    keys: &[
        Key::new("refuse", Kind::Integer(1), "So many writes do nothing and fail."),
        Key::new("lose", Kind::Integer(1), "So many writes land, and the engine is told that they failed."),
        Key::new("as", Kind::Choice(CATEGORIES), "What kind of failure it is.").or("transient"),
    ],
    one_of: &["refuse", "lose"],
};

const CLAIM: Kind = Kind::Map(Names::Any, &Kind::ListOr(&Kind::Any, &WANT));

/// What must be so.
pub static EXPECT: Shape = Shape {
    name: "an expectation",
    about: "What must be so.",
    keys: &[
        Key::new("rows", CLAIM, "Rows, by table."),
        Key::new("messages", CLAIM, "Messages, by topic: `body`, `text`, `key`, `headers`."),
        Key::new(
            "calls",
            CLAIM,
            "Calls since the last look, by connection: `get` or `post`, `query`, `body`, `status`.",
        ),
        Key::new(
            "outcomes",
            CLAIM,
            "Outcomes since the last look, by flow: `status`, `reason`, `category`, `stage`, `attempts`, `calls`, `refreshes`, `event`.",
        ),
        Key::new("files", CLAIM, "Files, by connection: `path`, `text`, `bytes`, `sha256`."),
    ],
    one_of: &[],
};

/// How a list is compared.
pub static WANT: Shape = Shape {
    name: "a comparison",
    about: "How a list is compared with what is there. A list alone is `only`.",
    keys: &[
        Key::new(
            "only",
            Kind::List(&Kind::Any),
            "These and no others, in any order; what is not named does not count.",
        ),
        Key::new("some", Kind::List(&Kind::Any), "These, and perhaps others."),
        Key::new("whole", Kind::List(&Kind::Any), "These and no others, and what is not named is absent or null."),
        Key::new("ordered", Kind::List(&Kind::Any), "These and no others, in this order."),
        Key::new("count", Kind::Integer(0), "So many."),
    ],
    one_of: &["only", "some", "whole", "ordered", "count"],
};
