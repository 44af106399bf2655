//! Stages.

use super::{Key, Kind, Names, Shape};

/// The keys of a stage that say what it does.
pub const STAGE_KINDS: &[&str] =
    &["route", "pick", "each", "filter", "dedup", "enrich", "download", "upload", "aggregate"];

const EXPRESSIONS: Kind = Kind::Map(Names::Any, &Kind::Expression);

/// An element of `stages`.
pub static STAGE: Shape = Shape {
    name: "a stage",
    about: "A step of a flow; its result is bound under its own name.",
    keys: &[
        Key::new("from", Kind::Reference, "The stage whose documents it reads, or `source`; else the one before."),
        Key::new("when", Kind::Expression, "If this is not true the stage is skipped and its binding is null."),
        Key::new("route", Kind::Object(&ROUTE), "Binds labels by a value."),
        Key::new("pick", Kind::Expression, "Binds a value."),
        Key::new("missing", Kind::Object(&LEAVE), "With `pick`: what a null means; else: not produced."),
        Key::new("each", Kind::Expression, "One document for each element of a list."),
        Key::new("filter", Kind::Expression, "Lets pass what is true."),
        Key::new("else", Kind::Object(&LEAVE), "With `filter`: how the others leave; else they are skipped."),
        Key::new("dedup", Kind::Object(&DEDUP), "Lets pass the first of each key."),
        Key::new("enrich", Kind::Object(&ENRICH), "Calls an API."),
        Key::new("download", Kind::Object(&DOWNLOAD), "Fetches a file into the spool."),
        Key::new("upload", Kind::Object(&UPLOAD), "Puts a file of the spool into a store."),
        Key::new("aggregate", Kind::Object(&AGGREGATE), "A view kept up to date."),
    ],
    one_of: STAGE_KINDS,
};

/// How a document leaves.
pub static LEAVE: Shape = Shape {
    name: "an outcome with its reason",
    about: "How a document leaves the flow early, and why.",
    keys: &[
        Key::new("transient", Kind::Text, "As a failure that is tried again."),
        Key::new("permanent", Kind::Text, "As a failure that is not."),
        Key::new("skip", Kind::Text, "Without an error."),
        Key::new("warn", Kind::Text, "As with `skip`, and the log has a warning that names the message."),
    ],
    one_of: &["transient", "permanent", "skip", "warn"],
};

/// `route`.
pub static ROUTE: Shape = Shape {
    name: "a route",
    about: "Binds `{label: true|false}` for every label, by a value.",
    keys: &[
        Key::new("by", Kind::Expression, "The value.").required(),
        Key::new("cases", Kind::Map(Names::Any, &Kind::List(&Kind::Binding)), "The labels of each value.").required(),
        Key::new("else", Kind::Choice(&["dead", "skip"]), "What happens to every other value.").required(),
    ],
    one_of: &[],
};

/// `dedup`.
pub static DEDUP: Shape = Shape {
    name: "a dedup",
    about: "The first of each key in a window goes on; later ones are skipped as `duplicate`.",
    keys: &[
        Key::new("key", Kind::Expression, "The key.").required(),
        Key::new("at", Kind::Expression, "The instant that decides the window.").required(),
        Key::new("window", Kind::Duration(1), "How long a key is remembered.").or("24h"),
        Key::new("table", Kind::Reference, "The table that the keys are read back from at a start."),
        Key::new("forgets", Kind::Bool, "With `true`: they are not read back."),
    ],
    one_of: &["table", "forgets"],
};

/// `enrich`.
pub static ENRICH: Shape = Shape {
    name: "an enrich",
    about: "A call of an API; binds the answer and `fetched_at`.",
    keys: &[
        Key::new("connection", Kind::Reference, "The http connection.").required(),
        Key::new("get", Kind::Template, "The path of a GET.").like("/orders/{event.id}"),
        Key::new("post", Kind::Template, "The path of a POST."),
        Key::new("query", EXPRESSIONS, "Query values; nulls are left out."),
        Key::new("body", EXPRESSIONS, "Fields of the body of a POST."),
        Key::new("headers", EXPRESSIONS, "Headers."),
        Key::new("batch", Kind::Object(&BATCH), "How documents share a call."),
        Key::new("cache", Kind::Object(&CACHE), "How long an answer serves later documents."),
        Key::new(
            "paginate",
            Kind::ChoiceOr(&["link"], &PAGINATE),
            "How pages follow each other; their lists are joined under `data`.",
        ),
        Key::new("absent", Kind::List(&Kind::Integer(100)), "Statuses that mean: there is nothing.").like("[404]"),
        Key::new("max_answer", Kind::Size(1), "The longest answer; else the connection's."),
    ],
    one_of: &["get", "post"],
};

/// `batch`.
pub static BATCH: Shape = Shape {
    name: "a batch",
    about: "How documents share a call: the request sees `key` and `items` only.",
    keys: &[
        Key::new("by", Kind::Expression, "Documents of one value share a call.").required(),
        Key::new("rows", Kind::Integer(1), "At most so many in a call.").or("100"),
        Key::new("linger", Kind::Duration(0), "How long the first waits for others.").or("250ms"),
    ],
    one_of: &[],
};

/// `cache`.
pub static CACHE: Shape = Shape {
    name: "a cache",
    about: "How long an answer serves later documents.",
    keys: &[
        Key::new("for", Kind::Duration(1), "The age up to which it serves.").required(),
        Key::new("since", Kind::Expression, "Only if it was requested at or after this instant."),
        Key::new("size", Kind::Integer(1), "At most so many answers.").or("1000"),
    ],
    one_of: &[],
};

/// `paginate`.
pub static PAGINATE: Shape = Shape {
    name: "a pagination",
    about: "How pages of an answer follow each other.",
    keys: &[
        Key::new("link", Kind::Bool, "By the `Link` header's `rel=\"next\"`."),
        Key::new("next", Kind::Expression, "By the url of the next page, in `answer`."),
        Key::new("cursor", Kind::Expression, "By a value, in `answer`, that goes into a query parameter."),
        Key::new("parameter", Kind::Text, "The query parameter of the cursor.").or("cursor"),
        Key::new("pages", Kind::Integer(1), "At most so many pages.").or("100"),
    ],
    one_of: &["link", "next", "cursor"],
};

/// `download`.
pub static DOWNLOAD: Shape = Shape {
    name: "a download",
    about: "Fetches a file into the spool.",
    keys: &[
        Key::new("connection", Kind::Reference, "The web connection.").required(),
        Key::new("spool", Kind::Reference, "The object store of the spool.").required(),
        Key::new("url", Kind::Expression, "The link.").required(),
        Key::new("name", Kind::Expression, "The file's name in the spool: unique for each file.").required(),
        Key::new("refresh", Kind::Object(&REFRESH), "How a new link is had."),
        Key::new("expires", Kind::Expression, "When the link expires; null: never."),
        Key::new(
            "expired",
            Kind::Choice(&["dead", "refresh"]),
            "What an expired link means; `refresh` needs a refresh.",
        ),
    ],
    one_of: &[],
};

/// `refresh`.
pub static REFRESH: Shape = Shape {
    name: "a refresh",
    about: "How a new link is had, before the old one expires and after 401 and 403.",
    keys: &[
        Key::new("connection", Kind::Reference, "The http connection.").required(),
        Key::new("get", Kind::Template, "The path of a GET.").like("/orders/{event.id}"),
        Key::new("post", Kind::Template, "The path of a POST."),
        Key::new("query", EXPRESSIONS, "Query values; nulls are left out."),
        Key::new("body", EXPRESSIONS, "Fields of the body of a POST."),
        Key::new("headers", EXPRESSIONS, "Headers."),
        Key::new("url", Kind::Expression, "The link, in `answer`.").required(),
        Key::new("margin", Kind::Duration(0), "How long before its end a link counts as expired.").or("60s"),
        Key::new("times", Kind::Integer(1), "How often for one message.").or("2"),
    ],
    one_of: &["get", "post"],
};

/// `upload`.
pub static UPLOAD: Shape = Shape {
    name: "an upload",
    about: "Puts a file of the spool into a store.",
    keys: &[
        Key::new("connection", Kind::Reference, "The object store.").required(),
        Key::new("spool", Kind::Reference, "The object store of the spool.").required(),
        Key::new("file", Kind::Expression, "The path in the spool.").required(),
        Key::new("to", Kind::Template, "The path in the store.").required().like("{event.order_id}/{event.name}"),
        Key::new("content_type", Kind::Expression, "The content type."),
        Key::new("bytes", Kind::Expression, "The length that was recorded at the download."),
        Key::new(
            "sha256",
            Kind::Expression,
            "The checksum that was recorded at the download; a file with another is refused.",
        ),
        Key::new("keep", Kind::Bool, "Whether the file stays in the spool.").or("false"),
        Key::new("missing", Kind::Choice(&["fail", "bind"]), "A file that is gone: a failure, or bound as `missing`.")
            .or("fail"),
    ],
    one_of: &[],
};

/// `aggregate`.
pub static AGGREGATE: Shape = Shape {
    name: "an aggregate",
    about: "A view kept up to date; documents go on unchanged.",
    keys: &[
        Key::new("by", Kind::Map(Names::Bindings, &Kind::Expression), "The group's values.").required(),
        Key::new("count", Kind::Binding, "The name of the count."),
        Key::new("sum", Kind::Map(Names::Bindings, &Kind::Expression), "The sums."),
    ],
    one_of: &[],
};
