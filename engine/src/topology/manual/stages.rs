//! Stages.

use super::Section;
use crate::topology::language::{
    AGGREGATE, BATCH, CACHE, DEDUP, DOWNLOAD, ENRICH, LEAVE, PAGINATE, REFRESH, ROUTE, STAGE, UPLOAD,
};

pub(super) const SECTIONS: &[Section] = &[
    Section {
        title: "Stages",
        level: 2,
        text: "\
Stages run in order; each reads the one before it, or what `from: NAME` names (`from: source` is the messages themselves). Whatever says `from: x` sees only documents that x produced. `when: expression`: if it
is not true, the stage is skipped and the document goes on with the binding null. `route`, `pick`, `each`, `enrich`, `download` and `upload` bind something, the others do not. A stage must be read: by
an expression, by a `from`, or by its effect (`filter`, `dedup`, `upload`, `aggregate`, a `post`, a `pick` with `missing`).

Of the keys below, a stage has exactly one that says what it does.",
        tables: &[(&STAGE, &["from", "when"])],
        example: "\
stages:
  kind:
    route: {by: event.kind, cases: {sale: [order], refund: [order, check]}, else: skip}
  customer:
    when: kind.check                        # asked for refunds only; null for the others
    enrich: {connection: api, get: \"/customers/{event.customer}\"}
  blocked:
    from: kind                              # beside `customer`, not after it
    pick: kind.order && event.total
rows:
  order: {table: orders, from: customer, columns: {order_id: event.id, customer: customer.name}}
  checked: {table: orders, from: blocked, columns: {order_id: event.id, seen: blocked}}",
    },
    Section {
        title: "route",
        level: 3,
        text: "Says once what a value means for everything below: every label of the stage is bound to true or false, and `when: kind.order` asks for one.",
        tables: &[(&STAGE, &["route"]), (&ROUTE, &[])],
        example: "\
stages:
  kind:
    route:
      by: event.kind
      cases: {sale: [order], refund: [order, check], ping: []}
      else: dead
rows:
  order: {table: orders, when: kind.order, columns: {order_id: event.id}}",
    },
    Section {
        title: "pick",
        level: 3,
        text: "\
Binds a value, to be said once and used often. `missing` says what a null means: `missing: {transient: text} | {permanent: text} | {skip: text} | {warn: text}` (`warn` is `skip` with a warning in the
log); without, null means not produced: what says `from` this stage does not see the document.",
        tables: &[(&STAGE, &["pick", "missing"]), (&LEAVE, &[])],
        example: "\
stages:
  first:
    pick: event.lines[0]
    missing: {skip: an order without lines}
rows:
  order: {table: orders, columns: {order_id: event.id, seen: first}}",
    },
    Section {
        title: "each",
        level: 3,
        text: "One document for each element of a list (null elements are left out), bound under the stage's name. The message is done when all of them are.",
        tables: &[(&STAGE, &["each"])],
        example: "\
tables:
  lines: {key: [order_id, sku], columns: {order_id: id!, sku: string!, n: int64}}
stages:
  line:
    each: event.lines[?sku]
rows:
  line: {table: lines, from: line, columns: {order_id: event.id, sku: line.sku, n: line.n}}",
    },
    Section {
        title: "filter",
        level: 3,
        text: "What is not true leaves: with `else: {skip: text} | {warn: text} | {permanent: text}` as that says; without `else` it is skipped with the stage's name as reason.",
        tables: &[(&STAGE, &["filter", "else"])],
        example: "\
stages:
  paid:
    filter: to_number(event.total) > `0`      # a decimal is exact, and therefore text
    else: {skip: nothing to pay}",
    },
    Section {
        title: "dedup",
        level: 3,
        text: "\
The first of a key in the window goes on, later ones are skipped as `duplicate`. The keys are in memory; after a start they are read back from `table`, which therefore must hold them: a rows
block of the flow writes the same expression into one of its columns. `forgets: true` says that a restart may let a key pass again.",
        tables: &[(&STAGE, &["dedup"]), (&DEDUP, &[])],
        example: "\
stages:
  new:
    dedup: {key: event.id, at: event.at, window: 12h, table: orders}
rows:
  order: {table: orders, columns: {order_id: event.id, ordered_at: event.at}}",
    },
    Section {
        title: "enrich",
        level: 3,
        text: "\
Calls an API and binds the answer, an array under `data`, plus `fetched_at`, the instant its request was sent. A null in a path is permanent; a null query value is left out. `body` goes with `post`. A
status in `absent` binds null.

With `batch`, `get`, `post`, `query`, `body` and `headers` see `key`, the value of `by`, and `items`, the documents of the call, and nothing else; every member gets the whole answer.
`paginate` is `link`, or one of the mappings below, whose expressions see `answer`.",
        tables: &[(&STAGE, &["enrich"]), (&ENRICH, &[]), (&BATCH, &[]), (&CACHE, &[]), (&PAGINATE, &[])],
        example: "\
stages:
  customer:
    enrich:
      connection: api
      get: \"/customers/{event.customer}\"
      query: {fields: \"'name,city'\"}
      cache: {for: 60s, since: event.at, size: 500}
      absent: [404]
  prices:
    enrich:
      connection: api
      post: /prices
      body: {ids: \"items[].event.id\"}
      batch: {by: event.kind, rows: 50, linger: 250ms}
      paginate: {cursor: answer.next, pages: 5}
rows:
  order: {table: orders, columns: {order_id: event.id, customer: customer.name, seen: prices.data}}",
    },
    Section {
        title: "download",
        level: 3,
        text: "\
Fetches a file into the spool and binds `{path, bytes, sha256, content_type, extension, url, downloaded_at, refreshes}`. A link that has expired (`expires`), or that is answered with 401 or 403, is replaced by a new one
where there is a `refresh`, whose `url` sees `answer` too; otherwise it is dead. `expired: refresh` needs a `refresh`, `dead` excludes one.",
        tables: &[(&STAGE, &["download"]), (&DOWNLOAD, &[]), (&REFRESH, &[])],
        example: "\
stages:
  document:
    download:
      connection: hosts
      spool: spool
      url: event.url
      name: event.id
      expires: event.at
      refresh: {connection: api, get: \"/orders/{event.id}/document\", url: answer.url, margin: 30s}
      expired: refresh",
    },
    Section {
        title: "upload",
        level: 3,
        text: "\
Puts a file of the spool into a store and binds `{path, url, bytes, uploaded_at}`. A file that the spool lost and the store does not hold is a transient failure, or, with `missing: bind`, bound as `{missing:
true, path}`. A file that is gone from the spool is done if the store
holds it with the `bytes` and the `sha256` that were recorded.",
        tables: &[(&STAGE, &["upload"]), (&UPLOAD, &[])],
        example: "\
stages:
  document:
    download: {connection: hosts, spool: spool, url: event.url, name: event.id}
  stored:
    upload:
      connection: files
      spool: spool
      file: document.path
      to: \"{event.customer}/{event.id}.{document.extension}\"
      content_type: document.content_type
      bytes: document.bytes
      sha256: document.sha256",
    },
    Section {
        title: "aggregate",
        level: 3,
        text: "A view kept up to date: counts and sums by group, for whoever looks at the running engine. Documents go on unchanged.",
        tables: &[(&STAGE, &["aggregate"]), (&AGGREGATE, &[])],
        example: "\
stages:
  sales:
    aggregate: {by: {kind: event.kind}, count: orders, sum: {total: to_number(event.total)}}",
    },
    Section {
        title: "The check",
        level: 2,
        text: "\
`engine validate` reports all problems at once, each with a code that never changes its meaning, its line and column, and where it can what was meant. Errors
(`E`) keep a topology from starting, warnings (`W`) do not. Besides the form of every value it checks that
- every connection, table, topic, stage, column, field and binding that is named exists and is in sight;
- a value has a type that can become the type of its column or field, and a key of a stage is given what it can use;
- a comparison can be true, and can be false;
- a member of what a stage makes or an engine binds is one that it has;
- a topic has a reader and a writer here, or says `external`; the name of a topic, the path of a table and a group of a topic are used once;
- a `dedup` with a `table` finds its key again: a rows block of the flow writes the same expression into a column of that table;
- parents of tables are no circle.",
        tables: &[],
        example: "",
    },
];
