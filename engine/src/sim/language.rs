//! The language of simulations, as tables: every mapping, every key, its kind, its default, its meaning. The trees that stand in them
//! are in `generators`.

use super::generators::GENERATORS;
use crate::topology::shape::{Key, Kind, Names, Shape};

/// The file.
pub static SIMULATION: Shape = Shape {
    name: "a simulation",
    about: "What plays the outside of a topology: events, an API, files, and the rows that must come of them.",
    keys: &[
        Key::new("simulation", Kind::Text, "Its name.").required(),
        Key::new("language", Kind::Choice(&["1"]), "The version of the language of simulations.").required(),
        Key::new("about", Kind::Text, "What it is for."),
        Key::new(
            "provides",
            Kind::Map(Names::Bindings, &Kind::Text),
            "Variables of the environment that its topology is loaded with, over all others; `{url}`, `{address}` and `{port}` are those of the simulation's server.",
        ),
        Key::new(
            "entities",
            Kind::Map(Names::Bindings, &Kind::Object(&ENTITY)),
            "What events and answers are about, by name.",
        ),
        Key::new("events", Kind::Object(&EVENTS), "What is put on the topic.").required(),
        Key::new("server", Kind::Object(&SERVER), "What holds for every route."),
        Key::new(
            "routes",
            Kind::Map(Names::Any, &Kind::Object(&ROUTE)),
            "What answers which request; of several that fit, the first by name.",
        ),
        Key::new("files", Kind::Object(&FILES), "The files that can be fetched."),
        Key::new("expect", Kind::List(&Kind::Object(&EXPECT)), "What the tables hold in the end."),
    ],
    one_of: &[],
};

/// A tree: any value, with generators in it.
const TREE: Kind = Kind::Tree(&GENERATORS);
/// A number that counts, from one.
const COUNT: Kind = Kind::Integer(1);
/// A share.
const SHARE: Kind = Kind::Between(0.0, 1.0);
/// An HTTP status.
const STATUS: Kind = Kind::Within(100, 599);
/// From so many to so many bytes.
const SIZES: Kind = Kind::Tuple(&[Kind::Size(0), Kind::Size(0)]);

/// The most children of one parent: they are listed in memory.
pub const MOST_CHILDREN: i64 = 10_000;
/// The longest file: it is made in memory.
pub const LONGEST_FILE: u64 = 256 << 20;

/// A kind of thing.
pub static ENTITY: Shape = Shape {
    name: "an entity",
    about: "A kind of thing: a pool of its own, or children of another kind.",
    keys: &[
        Key::new("id", Kind::Within(i64::MIN, i64::MAX), "The id of number 0; number n has this plus n.").required(),
        Key::new("pool", Kind::Object(&POOL), "A pool of its own."),
        Key::new("of", Kind::Reference, "The entity whose children these are."),
        Key::new(
            "per",
            Kind::Tuple(&[Kind::Within(0, MOST_CHILDREN), Kind::Within(1, MOST_CHILDREN)]),
            "From so many to so many of each parent; goes with `of`.",
        )
        .like("[1, 4]"),
        Key::new(
            "attributes",
            Kind::Map(Names::Bindings, &TREE),
            "Its attributes, beside `id`, `index` (its number) and `born` (the instant at which it came into being).",
        ),
    ],
    one_of: &["pool", "of"],
};

/// `pool`.
pub static POOL: Shape = Shape {
    name: "a pool",
    about: "How many there are of a kind.",
    keys: &[
        Key::new("first", COUNT, "So many at the first event.").required(),
        Key::new("every", COUNT, "One more every so many events; none without."),
        Key::new("window", COUNT, "Events are about the newest so many; about all without."),
    ],
    one_of: &[],
};

/// `events`.
pub static EVENTS: Shape = Shape {
    name: "an events section",
    about: "What is put on the topic. Event number n is a function of the seed and n.",
    keys: &[
        Key::new("topic", Kind::Text, "The full name of the topic.").required(),
        Key::new("start", Kind::Instant, "The simulated instant of the first event.").required(),
        Key::new("step", Kind::Duration(0), "The simulated time between two events.").required(),
        Key::new("id", TREE, "What identifies an event; sees `event.index`, `event.at`, `event.type`.").required(),
        Key::new("key", TREE, "The key of its message.").required(),
        Key::new("value", TREE, "Its message.").required(),
        Key::new("duplicates", Kind::List(&Kind::Object(&DUPLICATES)), "Messages that are sent again."),
        Key::new("types", Kind::Map(Names::Any, &Kind::Object(&TYPE)), "The types of events, by name.").required(),
    ],
    one_of: &[],
};

/// An element of `duplicates`.
pub static DUPLICATES: Shape = Shape {
    name: "a kind of duplicates",
    about: "Messages that are copies of earlier ones.",
    keys: &[
        Key::new("rate", SHARE, "The share of all messages that are copies.").required(),
        Key::new("within", COUNT, "At most so many messages after the original.").required(),
    ],
    one_of: &[],
};

/// A type of event.
pub static TYPE: Shape = Shape {
    name: "a type of event",
    about: "How often it comes, and what it is about.",
    keys: &[
        Key::new("weight", Kind::Between(0.0, f64::MAX), "Its share, against the weights of the others.").required(),
        Key::new("pick", Kind::Reference, "The entity it is about: one of that kind, with all that it belongs to.").required(),
        Key::new("newest", Kind::Bool, "Whether it is about the newest of the pool, not any of them.").or("false"),
        Key::new(
            "births",
            Kind::Bool,
            "Whether the event that brings a new one into the pool is of this type and about that one; it is never a copy.",
        )
        .or("false"),
        Key::new("fields", Kind::Map(Names::Bindings, &TREE), "Values of its own: `event.fields.NAME`."),
    ],
    one_of: &[],
};

/// `server`.
pub static SERVER: Shape = Shape {
    name: "a server section",
    about: "What holds for every route.",
    keys: &[
        Key::new("auth", Kind::Object(&AUTH), "The credentials that every call must carry; else 401."),
        Key::new("latency", Kind::Object(&LATENCY), "How long an answer takes."),
        Key::new("faults", Kind::List(&Kind::Object(&FAULT)), "What goes wrong, drawn for each attempt."),
    ],
    one_of: &[],
};

/// `server.auth`.
pub static AUTH: Shape = Shape {
    name: "credentials",
    about: "What the header `Authorization` must hold.",
    keys: &[
        Key::new("basic", Kind::Object(&BASIC), "User name and password."),
        Key::new("bearer", Kind::Secret, "A bearer token."),
    ],
    one_of: &["basic", "bearer"],
};

/// `server.auth.basic`.
pub static BASIC: Shape = Shape {
    name: "user and password",
    about: "A user name and a password.",
    keys: &[
        Key::new("username", Kind::Text, "The user name.").required(),
        Key::new("password", Kind::Secret, "The password.").required(),
    ],
    one_of: &[],
};

/// `latency`.
pub static LATENCY: Shape = Shape {
    name: "a latency",
    about: "How long an answer takes: evenly from `mean` less `jitter` to `mean` and `jitter`.",
    keys: &[
        Key::new("mean", Kind::Duration(0), "The mean.").or("0s"),
        Key::new("jitter", Kind::Duration(0), "The largest distance from the mean.").or("0s"),
    ],
    one_of: &[],
};

macro_rules! fault {
    ($name:literal, $about:literal, $kinds:expr, $lasts:literal) => {
        Shape {
            name: $name,
            about: $about,
            keys: &[
                Key::new("rate", SHARE, "The share of attempts.").required(),
                Key::new("status", STATUS, "The status that is answered instead."),
                Key::new("retry_after", Kind::Duration(0), "The `Retry-After` of that answer."),
                Key::new("kind", Kind::Choice($kinds), "What happens to the connection or the body instead."),
                Key::new("lasts", Kind::Duration(0), $lasts),
            ],
            one_of: &["status", "kind"],
        }
    };
}

/// A fault of a route.
pub static FAULT: Shape = fault!(
    "a fault",
    "One way for a call to go wrong.",
    &["timeout", "reset", "truncated"],
    "How long a `timeout` is silent before the connection closes; else 60 s."
);

/// A fault of a file.
pub static FILE_FAULT: Shape = fault!(
    "a fault of a file",
    "One way for a download to go wrong.",
    &["timeout", "reset", "truncated", "slow", "redirect", "generic_type"],
    "How long a `timeout` is silent, else 60 s, or a `slow` body takes, else 500 ms."
);

/// A route.
pub static ROUTE: Shape = Shape {
    name: "a route",
    about: "A request and its answer. Sees `path`, `query`, `body`, the entities that the path or `bind` names, and `let`.",
    keys: &[
        Key::new(
            "get",
            Kind::Text,
            "The path of a GET. A name in it, at most one a segment, that is an entity's looks that up by its id: without one 404.",
        )
        .like("/orders/{order}"),
        Key::new("post", Kind::Text, "The path of a POST."),
        Key::new("when", Kind::Object(&WHEN), "What the request must hold."),
        Key::new("bind", Kind::Map(Names::Bindings, &TREE), "Entities to look up by id, beside those of the path."),
        Key::new("let", Kind::Map(Names::Bindings, &TREE), "Values that the answer uses."),
        Key::new("status", STATUS, "The status.").or("200"),
        Key::new("answer", TREE, "The body.").required(),
        Key::new("latency", Kind::Object(&LATENCY), "In place of the server's."),
        Key::new("faults", Kind::List(&Kind::Object(&FAULT)), "In place of the server's."),
    ],
    one_of: &["get", "post"],
};

/// `when` of a route.
pub static WHEN: Shape = Shape {
    name: "a match",
    about: "What a request must hold for a route to answer it.",
    keys: &[
        Key::new("query", Kind::Map(Names::Any, &Kind::Text), "Parameters of the query."),
        Key::new("body", Kind::Map(Names::Any, &Kind::Any), "Members at the top of the JSON body."),
    ],
    one_of: &[],
};

/// `files`.
pub static FILES: Shape = Shape {
    name: "a files section",
    about: "The files that can be fetched: every path has one, whose bytes are a function of the seed and the path.",
    keys: &[
        Key::new("under", Kind::Text, "Every path that begins like this is a file.").required().like("/files/"),
        Key::new("size", SIZES, "From so many to so many bytes; at most 256 MiB.").required().like("[1KiB, 60KiB]"),
        Key::new("link", Kind::Object(&LINK), "How links are signed; without, whoever knows a file's address gets it."),
        Key::new("places", Kind::List(&Kind::Object(&PLACE)), "Paths whose files are not like the others."),
        Key::new("latency", Kind::Object(&LATENCY), "How long an answer takes."),
        Key::new("faults", Kind::List(&Kind::Object(&FILE_FAULT)), "What goes wrong, drawn for each attempt."),
    ],
    one_of: &[],
};

/// An element of `places`.
pub static PLACE: Shape = Shape {
    name: "a place",
    about: "Files that always answer in the one way that is named. No fault is drawn for them.",
    keys: &[
        Key::new("under", Kind::Text, "Every path that begins like this; below that of `files`.").required(),
        Key::new("status", STATUS, "With this status."),
        Key::new("redirect", Kind::Text, "With a redirect to this address."),
        Key::new("type", Kind::Text, "With this content type, whatever the file is."),
        Key::new("size", SIZES, "With from so many to so many bytes."),
    ],
    one_of: &["status", "redirect", "type", "size"],
};

/// `link`.
pub static LINK: Shape = Shape {
    name: "a signed link",
    about: "The parameters of a link's query, and how long it is good on the clock of the run.",
    keys: &[
        Key::new("signed_at", Kind::Text, "The parameter that holds the instant of signing.").required(),
        Key::new("lifetime", Kind::Text, "The parameter that holds the lifetime.").required(),
        Key::new("signature", Kind::Text, "The parameter that holds the signature.").required(),
        Key::new(
            "form",
            Kind::Choice(&["ms", "amz"]),
            "How the first two are written: in milliseconds, or as `20260110T120000Z` and in seconds.",
        )
        .or("ms"),
        Key::new("valid", Kind::Duration(1), "How long it is good.").required(),
        Key::new("odd", Kind::List(&Kind::Object(&ODD_LINK)), "Links of answers that are not as good as the others."),
    ],
    one_of: &[],
};

/// An element of `odd`.
pub static ODD_LINK: Shape = Shape {
    name: "an odd link",
    about: "Links that are old when they are given out, or soon after.",
    keys: &[
        Key::new("rate", SHARE, "The share of links.").required(),
        Key::new("valid", Kind::Duration(0), "Good for so long, on the scaled clock, in place of the usual time."),
        Key::new("age", Kind::Duration(0), "Signed so long ago.").or("0s"),
    ],
    one_of: &[],
};

/// An element of `expect`.
pub static EXPECT: Shape = Shape {
    name: "an expectation",
    about: "Rows of a table that events imply. Of several for one table all count; the same key counts once.",
    keys: &[
        Key::new("table", Kind::Reference, "The table, by its name in the topology.").required(),
        Key::new("types", Kind::List(&Kind::Reference), "The types of events that imply them; all without."),
        Key::new("key", TREE, "The key of one row, a list; none where a part of it is null."),
        Key::new("keys", TREE, "A list of keys."),
    ],
    one_of: &["key", "keys"],
};
