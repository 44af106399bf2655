//! The file, and connections.

use super::Section;
use crate::topology::language::{
    AUTH, BASIC, BREAKER, CONNECTION, DELTA, HTTP, KAFKA, OBJECT_STORE, RATE, SECURITY, SPOOL, TOPOLOGY, WEB,
};

pub(super) const SECTIONS: &[Section] = &[
    Section {
        title: "The file",
        level: 2,
        text: "Everything that differs between two installations is a `${NAME:-default}`, everything else stands in the file itself.",
        tables: &[(&TOPOLOGY, &[])],
        example: "\
topology: orders            # the name; part of positions and metrics
language: 1                 # the version of this language
about: Orders, enriched.    # for people
aliases: [shopping]         # other names for all its flows on the command line; several topologies may share one
vars: {prefix: \"${ORDERS_PREFIX:-orders}\"}",
    },
    Section {
        title: "Connections",
        level: 2,
        text: "`name: {kind: options}`, one kind each. Topics, tables and stages name the connection that they live in or call.",
        tables: &[(&CONNECTION, &[])],
        example: "",
    },
    Section {
        title: "kafka",
        level: 3,
        text: "\
Topics: those of a cluster, or with `brokers: embedded` those of a log below `{data}/topics` that needs no broker. `consumer` and `producer` are passed to
the client as they are. `heartbeat` is at most a third of `session_timeout`, which is at most `max_poll_interval`. Offsets are committed by
the engine once everything they caused is durable; there is no automatic commit to switch on.",
        tables: &[(&KAFKA, &[]), (&SECURITY, &[])],
        example: "\
connections:
  bus:
    kafka:
      brokers: \"${KAFKA_BOOTSTRAP_SERVERS:-embedded}\"
      security: {protocol: \"${KAFKA_SECURITY_PROTOCOL:-plaintext}\", username: \"${KAFKA_USERNAME:-}\", password: \"${KAFKA_PASSWORD:-}\"}
      consumer: {auto.offset.reset: earliest}
      max_poll_records: 500
      create: true",
    },
    Section {
        title: "http",
        level: 3,
        text: "\
An API. What it answers is retried, waited out or given up by its status: 429, 5xx, time-outs and resets are `transient`, and a `Retry-After` is kept; 401 is
`auth`; other 4xx are `permanent`. `classify` changes that for single statuses. After as many failures in a row as `breaker` says, nothing is called for a while, and
documents wait where they are. There are no redirects.

An auth whose every value is empty is no auth; `auth: {first: [{token: ...}, {basic: ...}]}` takes the first that is complete.",
        tables: &[(&HTTP, &[]), (&AUTH, &[]), (&BASIC, &[]), (&BREAKER, &[]), (&RATE, &[])],
        example: "\
connections:
  api:
    http:
      url: \"${SHOP_API_URL:-https://api.example.com/v1}\"
      auth: {first: [{token: \"${SHOP_API_TOKEN:-}\"}, {basic: {username: \"${SHOP_API_USER:-}\", password: \"${SHOP_API_PASSWORD:-}\"}}]}
      headers: {accept: application/json}
      timeout: 10s
      rate: {per_second: 50, burst: 10}
      classify: {404: permanent, 418: transient}
stages:
  customer:
    enrich: {connection: api, get: \"/customers/{event.customer}\"}",
    },
    Section {
        title: "web",
        level: 3,
        text: "\
Where files may be downloaded from, and what they may be. A host that is not named is refused, each hop of a redirect is checked against the same list, and no address inside
the network is reached. An extension that `types` does not name is refused, unless `types` also says `\"*\": []`, which lets in every other file. Without `types`, the
usual documents, images and films are let in.",
        tables: &[(&WEB, &[])],
        example: "\
connections:
  hosts:
    web:
      allow: [files.example.com]
      max_size: 100MiB
      types: {pdf: [application/pdf], jpg: [image/jpeg]}
stages:
  document:
    download: {connection: hosts, spool: spool, url: event.url, name: event.id}",
    },
    Section {
        title: "object_store",
        level: 3,
        text: "A place for files: a folder, or a container of Azure or S3. One can be the spool, in which files wait between a `download` and an `upload`, another what they are for.",
        tables: &[(&OBJECT_STORE, &[]), (&SPOOL, &[])],
        example: "\
connections:
  spool: {object_store: {url: \"{data}/spool\"}}
  files: {object_store: {url: \"${SHOP_FILES:-{data}/files}\", options: {account_key: \"${ACCOUNT_KEY:-}\"}, concurrency: 4}}
stages:
  document:
    download: {connection: hosts, spool: spool, url: event.url, name: event.id}
  stored:
    upload: {connection: files, spool: spool, file: document.path, to: \"documents/{event.id}.pdf\", bytes: document.bytes, sha256: document.sha256}",
    },
    Section {
        title: "delta",
        level: 3,
        text: "The folder that tables live in. With `write: false` rows are computed and counted, and no table is opened or written: what `--no-delta` does for all.",
        tables: &[(&DELTA, &[])],
        example: "\
connections:
  lake: {delta: {url: \"${SHOP_TABLES:-{data}/tables}\"}}",
    },
];
