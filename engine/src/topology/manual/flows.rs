//! Topics, tables, flows, and what leaves them.

use super::Section;
use crate::topology::language::{FILE, FLOW, FLUSH, GROUP, RETRY, ROWS, SEND, SOURCE, TABLE, TOPIC};

pub(super) const SECTIONS: &[Section] = &[
    Section {
        title: "Topics",
        level: 2,
        text: "\
A topic with the message that its writers and readers agree on. A field is `type` or `{type: expression}`; `!` after a type means required: a message without it is dead. Without an expression
the field is the message's own key of that name. In an expression names are the keys of the incoming message; `event` holds the fields declared above this one. Three names have a meaning of their
own: `event`, `raw` (the whole message) and `source`; a key of the message with such a name is `raw.source`. A value that does not fit its type is dead, an absent or null one is null. What a
flow reads is bound to `event`, with exactly the declared fields (all of them, null where absent).

`external: written` means that somebody else writes it, `read` that somebody else reads it. Without, a flow of the topology must write it and another must read it.",
        tables: &[(&TOPIC, &[])],
        example: "\
topics:
  orders:
    name: shop.orders
    external: written
    key: id
    message:
      id: {id!: id || order.number}         # the first that is there
      kind: string
      customer: id
      at: {timestamp: placed_at || source.time}
      total: decimal
      url: {text: raw.document.url}
      lines: json",
    },
    Section {
        title: "Tables",
        level: 2,
        text: "\
A table whose rows have a key, so that what is delivered twice is one row. A column is `type`, or `{type: \"what it means\"}`; `!` means never null, as are the columns of the key. Columns in `key` or
`keep` belong to no group, a group's version is one of its columns, and with `groups` every other column is in exactly one. Without `groups`, all columns are one group without
a version (the last writer wins). Neither `groups` nor `keep` go with `mode: insert`. Key and partition columns are neither `json` nor `float64`, and no expression with `now` goes into them.",
        tables: &[(&TABLE, &[]), (&GROUP, &[]), (&FLUSH, &[])],
        example: "\
tables:
  orders:
    path: shop_orders                       # under the delta connection's url, or a whole url
    about: An order, as last seen.
    key: [order_id]
    keep: [first_seen]                      # the first value stays
    groups: {order: {version: ordered_at}}  # an older order never overwrites a newer one
    flush: {rows: 10000, age: 2s}
    columns:
      order_id: id!
      customer: {string: as the order says}
      seen: json
      ordered_at: timestamp
      first_seen: timestamp
rows:
  order:
    table: orders
    columns: {order_id: event.id, customer: event.customer, ordered_at: event.at, first_seen: now()}",
    },
    Section {
        title: "Flows",
        level: 2,
        text: "\
A flow is one dataflow: a source, stages, and what leaves it. It runs, fails and is retried by itself, so there is a flow, with a topic before it, wherever something may fail alone.
`delivery: exactly_once` is reserved, and refused for now.",
        tables: &[(&FLOW, &[])],
        example: "",
    },
    Section {
        title: "source",
        level: 3,
        text: "\
A source that is a topic needs `group` and `retry`. One that is a file has neither: a failed message is dead, counted, and seen by blocks with `on: [dead]`.

`{delay}` is the delay in the largest of hours, minutes and seconds that divides it (`5m`, `90s`, `1h`); several different delays need it. `topic` and `delays` may be left out: then a failed message is
dead at once. Retry topics and the dead letter topic need no declaration; they live in the source topic's connection, and no two flows share a retry topic. The payload stays untouched; what
happened is in headers ([operations.md](operations.md)).",
        tables: &[(&SOURCE, &[]), (&RETRY, &[]), (&FILE, &[])],
        example: "\
source:
  topic: orders
  group: \"${ORDERS_GROUP:-orders}\"
  deadline: 90s
  budget: 16MiB
  retry: {topic: \"shop.orders.retry.{delay}\", delays: [5m, 10m, 20m, 40m], max: 3, dead_letter: shop.orders.dlq}",
    },
    Section {
        title: "A source of files",
        level: 3,
        text: "Lines of JSON from a file, or from all `*.jsonl` of a folder. What was read is not read again.",
        tables: &[],
        example: "\
source:
  file:
    path: \"{data}/orders.jsonl\"
    message: {id: id!, kind: string, customer: id, at: timestamp, total: decimal, url: text, lines: json}",
    },
    Section {
        title: "rows",
        level: 3,
        text: "\
Rows for a table, `name?` leaves a null out (absent), a plain name writes null. Every block carries all columns of the key and all that are never null, as plain names. One flow feeds a table.

`on: [done, skipped, retried, dead]` instead of `from`: once for each message with that outcome, bound to `outcome`: `status`, `reason`, `attempts`, `calls`, `refreshes` (links that were asked for anew), `duration_ms`, `at`,
`error: {message, category, stage, status}`; the stages' bindings are not in sight, `event` is null where the message could not be read.",
        tables: &[(&ROWS, &[])],
        example: "\
tables:
  log: {key: [origin], columns: {origin: string!, status: string!, reason: text}}
rows:
  order:
    table: orders
    when: event.kind == 'sale'
    columns: {order_id: event.id, customer?: event.customer, ordered_at: event.at}
  log:
    table: log
    on: [done, skipped, dead]
    columns:
      origin: join('/', [source.topic, to_string(source.partition), to_string(source.offset)])
      status: outcome.status
      reason: outcome.error.message || outcome.reason",
    },
    Section {
        title: "send",
        level: 3,
        text: "\
Messages for a topic. `body` names fields of the topic's message, all required ones at least. Without `key`, the key is the body's field that the topic's `key` names. `on` is that of [rows](#rows).",
        tables: &[(&SEND, &[])],
        example: "\
topics:
  shipped: {name: shop.shipped, key: id, external: read, message: {id: id!, customer: id}}
send:
  shipped:
    topic: shipped
    when: event.kind == 'sale'
    body: {id: event.id, customer: event.customer}
    headers: {origin: source.topic}",
    },
];
