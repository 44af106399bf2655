//! For each problem a case: an edit of the good topology, the code that must come, the text that its position must point at, and a part
//! of its message or help. No other error may come with it.

use std::collections::BTreeSet;

use super::super::{CODES, Environment, load_str};
use super::good::{GOOD, environment};

struct Case {
    code: &'static str,
    from: &'static str,
    to: &'static str,
    /// What stands at the position, to the end of its line or less.
    at: &'static str,
    says: &'static str,
    /// Other errors that the same edit causes.
    also: [&'static str; 2],
}

/// Codes that the slips of `broken` show.
const SLIPS: &[&str] = &["E0212", "E0213", "E0406", "E0414", "E0415"];

const fn case(code: &'static str, from: &'static str, to: &'static str, at: &'static str, says: &'static str) -> Case {
    Case { code, from, to, at, says, also: [""; 2] }
}

impl Case {
    const fn also(self, code: &'static str) -> Self {
        Case { also: [code, self.also[0]], ..self }
    }
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    // The text.
    case("E0100", "about: Orders from", "about: [Orders from", "", "not YAML"),
    case("E0101", "      topic: raw\n", "      topic: raw\n      tpoic: raw\n", "tpoic", "did you mean `topic`?"),
    case("E0101", "rate: {per_second: 12.5", "rate: {per_second: 12.5, size: 3", "size", "unknown key `size` in a rate"),
    case("E0101", "window: 12h, ", "window: 12h, banana: 1, ", "banana", "one of `key`, `at`"),
    case("E0102", "        path: \"{data}/backfill\"\n        message: {id: id!, url: text!}\n", "        path: x\n", "file", "a file source needs the key `message`"),
    case("E0102", "language: 1\n", "", "topology", "a topology needs the key `language`"),
    case("E0102", "      group: files\n", "", "source", "needs the key `group`"),
    case("E0102", "  lake: {delta: {write: true, url: \"{data}/tables\"}}", "  lake: {delta: {write: true, url: \"{data}/tables\"}}\n  pond: {delta: {url: x}}", "shops", "there are several delta connections").also("E0102").also("E0102"),
    case("E0103", "deadline: 90s", "deadline: 90 parsecs", "90 parsecs", "a duration such as"),
    case("E0103", "budget: 8MiB", "budget: 8MB", "8MB", "a size such as"),
    case("E0103", "partitions: 12", "partitions: 0", "0", "at least 1"),
    case("E0103", "per_second: 12.5", "per_second: -1", "-1", "above zero"),
    case("E0103", "create: true", "create: yes", "yes", "`true` or `false`"),
    case("E0103", "protocol: sasl_ssl", "protocol: sasl_sls", "sasl_sls", "did you mean `sasl_ssl`?"),
    case("E0103", "key: [id]\n    mode", "key: id\n    mode", "id", "a list"),
    case("E0103", "total: decimal\n      lines", "total: decimall\n      lines", "decimall", "did you mean `decimal`?"),
    case("E0103", "n: int64\n", "n: any\n", "any", "a column needs a type"),
    case("E0103", "name?: event.shop", "name?: null", "null", "an expression"),
    case("E0103", "on: [dead]", "on: []", "on", "never fires"),
    case("E0104", "  spool: {object", "  spool: {object_store: {url: x}}\n  spool: {object", "spool: {object", "twice, first in line"),
    case("E0105", "      generic: [application/octet-stream]\n", "      generic: [application/octet-stream]\n    object_store: {url: x}\n", "object_store", "`web` and `object_store` exclude each other"),
    case("E0105", "when: event.link\n", "when: event.link\n        on: [dead]\n", "from: source", "`from` and `on` exclude each other"),
    case("E0105", "else: {skip: no date}", "else: {skip: no date, warn: no date}", "warn", "`skip` and `warn` exclude each other"),
    case("E0105", "        filter: event.placed_at\n        else: {skip: no date}\n", "        pick: event.placed_at\n        missing: {skip: a}\n        else: {skip: no date}\n", "else", "`else` goes with `filter` only"),
    case("E0105", "get: \"/links/{event.id}\",", "get: \"/links/{event.id}\", body: {a: event.id},", "body", "`post` only"),
    case("E0105", "expired: refresh", "expired: dead", "expired", "exclude each other"),
    case("E0105", "auth: {first: [", "auth: {token: x, first: [", "auth", "an authentication is one of"),
    case("E0106", "      fresh:\n", "      fre-sh:\n", "fre-sh", "letters, digits and `_`"),
    case("E0106", "      counts:\n", "      raw:\n", "raw", "bound by the engine"),
    case("E0106", "classify: {404: permanent", "classify: {4o4: permanent", "4o4", "an HTTP status"),
    case("E0106", "topology: orders\n", "topology: a/b\n", "a/b", "no name of a topology"),
    case("E0107", "language: 1\n", "language: 2\n", "2", "version `2`"),
    case("E0108", "about: An order.", "about: !text An order.", "!text", "a tag"),
    // The environment.
    case("E0110", "${BROKERS:-embedded}", "${BROKERS}", "${BROKERS}", "give a default: `${BROKERS:-...}`"),
    case("E0111", "${BROKERS:-embedded}", "${BROKERS", "${BROKERS", "a literal `${` is written `$${`"),
    case("E0112", "name: \"{prefix}.files\"", "name: \"{prefx}.files\"", "{prefx}", "did you mean `prefix`?"),
    case("E0113", "  retries: \"{prefix}.retry\"", "  retries: \"{prefix}.retry\"\n  a: \"{b}\"\n  b: \"{a}\"", "a:", "needs itself").also("E0113"),
    // Expressions.
    case("E0120", "when: kind.order\n", "when: kind.order &&\n", "", ""),
    case("E0120", "          order.data[].lines[] ||\n          event.lines", "          order.data[].lines[] ||\n          lowr(event.lines)", "lowr", "lower"),
    case("E0121", "get: \"/orders/{event.id}\"", "get: \"/orders/{event.id\"", "", ""),
    case("E0207", "name: event.id\n", "name: evnt.id\n", "evnt.id", "did you mean `event`?"),
    case("E0207", "sku: line.sku", "sku: file.sku", "file.sku", "`file` is not in sight here"),
    case("E0207", "created_at: now()", "created_at: prices.a", "prices.a", "say `from: prices`"),
    case("E0207", "when: kind.order\n", "when: kind.order && customer.a\n", "customer.a", "stands below"),
    case("E0207", "when: event.link\n", "when: once.a\n", "once.a", "a stage of kind `dedup` binds nothing"),
    case("E0207", "path: stored.url", "path: outcome.reason", "outcome.reason", "blocks with `on` only"),
    case("E0207", "body: {ids: \"items[].event.id\", shop: key}", "body: {ids: event.id}", "event.id", "is not in sight"),
    case("E0207", "query: {a: event.id}", "query: {a: key}", "key", "with `batch` only"),
    case("E0208", "          event.lines\n", "          event.liens\n", "liens", "did you mean `lines`?"),
    case("E0208", "from: order\n        pick: first(order.data).customer", "when: kind.ordr\n        pick: first(order.data).customer", "ordr", "did you mean `order`?"),
    case("E0208", "name: event.id\n", "name: event.id.a\n", "a", "is of type `id` and has no fields"),
    case("E0208", "x-trace: source.key", "x-trace: source.kee", "kee", "did you mean `key`?"),
    case("E0208", "error: outcome.error.message\n", "error: outcome.error.mesage\n", "mesage", "did you mean `message`?"),
    case("E0208", "bytes: file.bytes", "bytes: file.bites", "bites", "did you mean `bytes`?"),
    case("E0208", "shop: {string: lower(shop)}", "shop: {string: lower(event.total)}", "total", "move `total` up"),
    case("E0208", "key: id\n    partitions", "key: idd\n    partitions", "idd", "did you mean `id`?"),
    case("E0208", "body: {id: event.id, url: event.link}", "body: {id: event.id, url: event.link, uri: event.link}", "uri", "did you mean `url`?"),
    // Names.
    case("E0201", "          connection: api\n          get", "          connection: apii\n          get", "apii", "did you mean `api`?"),
    case("E0202", "          connection: hosts", "          connection: api", "api", "of that kind: `hosts`"),
    case("E0203", "table: shops", "table: shop", "shop", "did you mean `shops`?"),
    case("E0203", "when: event.shop\n", "when: present('shps', event.shop)\n", "shps'", "did you mean `shops`?"),
    case("E0201", "when: event.shop\n", "when: refused('host', event.link)\n", "host'", "did you mean `hosts`?"),
    case("E0201", "when: event.shop\n", "when: refused('api', event.link)\n", "api'", "unknown web connection `api`"),
    case("E0204", "      topic: raw\n", "      topic: rwa\n", "rwa", "did you mean `raw`?").also("E0407"),
    case("E0205", "        from: order\n        pick", "        from: ordr\n        pick", "ordr", "did you mean `order`?"),
    case("E0205", "        from: order\n        pick", "        from: line\n        pick", "line", "upwards only"),
    case("E0206", "sku: line.sku", "sku: line.sku, colour: line.a", "colour", "has no column `colour`"),
    case("E0206", "partition: [day]", "partition: [daay]", "daay", "did you mean `day`?"),
    case("E0206", "version: fetched_at}", "version: fetched}", "fetched", "unknown column `fetched`"),
    case("E0209", "aliases: [orders-main, om]", "aliases: [files, om]", "files", "another flow answers to"),
    case("E0209", "aliases: [shopping, everything]", "aliases: [shopping, om]", "om", "a flow of this topology answers to"),
    case("E0209", "aliases: [shopping, everything]", "aliases: [shopping, shopping]", "shopping]", "twice among the aliases"),
    case("E0209", "key: [order_id, sku]", "key: [order_id, sku, sku]", "sku]", "twice in `key`"),
    case("E0209", "name?: event.shop", "name?: event.shop, name: event.shop", "name:", "with and without `?`"),
    case("E0210", "username: app, password: \"${PASSWORD}\"", "username: app", "security", "needs `username` and `password`"),
    case("E0210", "auth: {first: [{token: \"${TOKEN:-}\"}, {bearer: \"${BEARER:-}\"}, {basic: {username: \"${NAME:-me}\", password: \"${PASSWORD}\"}}]}", "auth: {basic: {username: me, password: \"${NO:-}\"}}", "basic", "without a `password`"),
    case("E0210", "password: \"${PASSWORD}\"}}]}", "password: \"${NO:-}\"}}]}", "basic", "without a `password`"),
    case("E0211", "heartbeat: 3000ms", "heartbeat: 30s", "heartbeat", "a third"),
    // Tables.
    case("E0301", "columns: [placed_at, total, shop]}", "columns: [placed_at, total, shop]}\n      b: {columns: [total]}", "total]", "in the group `shop` already"),
    case("E0301", "api: {version: fetched_at}", "api: {version: fetched_at, columns: [customer]}", "groups", "the column `day` is in no group").also("E0301"),
    case("E0302", "key: [shop]", "key: []", "key", "a table needs a key"),
    case("E0302", "id: id!\n      day: date", "id: id!\n      day: text!", "day]", "make it `string!`"),
    case("E0302", "id: id!\n      day: date", "id: json!\n      day: date", "id]", "cannot be in the key"),
    case("E0303", "    about: A shop.\n", "    about: A shop.\n    parent: orders\n", "orders", "its own parent").also("E0303"),
    case("E0304", "mode: insert\n", "mode: insert\n    keep: [n]\n", "keep", "means nothing"),
    case("E0305", "    path: all_orders\n", "    path: shops\n", "shops", "have one path"),
    case("E0305", "\"{retries}.{delay}\"", "\"{prefix}.raw\"", "\"{prefix}.raw\"", "the topic `raw`").also("E0410"),
    // Flows.
    case("E0401", "    send:\n      file: {topic: files, key", "    rows:\n      a: {table: shops, columns: {shop: event.id}}\n    send:\n      file: {topic: files, key", "shops, columns", "feed the table `shops`"),
    case("E0402", "sku: line.sku, ", "", "columns", "`sku`, a column of the key"),
    case("E0402", "          status: outcome.status\n", "", "columns", "`status`, never null in `log`"),
    case("E0402", "{shop: event.shop, name?", "{shop?: event.shop, name?", "shop?", "write `shop`"),
    case("E0403", "day: event.placed_at", "day: now()", "now()", "partition column `day`"),
    case("E0403", "dedup: {key: event.id, at: event.placed_at, window: 12h, table: orders}", "dedup: {key: now(), at: event.placed_at, forgets: true}", "now()", "never seen twice"),
    case("E0404", "body: {id: event.id, path: stored.url}", "body: {path: stored.url}", "body", "which every message of `done` needs"),
    case("E0405", "day: event.placed_at", "day: event.is_large", "event.is_large", "never becomes `date`"),
    case("E0405", "url: event.link}\n        headers", "url: event.link, at: event.is_large}\n        headers", "event.is_large", "never becomes `timestamp`"),
    case("E0416", "status: outcome.status\n", "status: if(outcome.status == 'failed', 'x', 'y')\n", "'failed'", "it is one of `done`, `skipped`, `retried`, `dead`"),
    case("E0416", "status: outcome.status\n", "status: if(outcome.error.category != 'permanant', 'x', 'y')\n", "'permanant'", "write `'permanent'`"),
    case("E0416", "by: event.kind\n", "by: event.is_large\n", "event.is_large", "is the value of no case"),
    case("E0416", "by: event.kind\n          cases: {PLACED: [order, file], CHANGED: [order], PING: []}", "by: event.is_large\n          cases: {true: [order, file], False: [order]}", "False", "write `false`"),
    case("E0405", "sum: {total: to_number(event.total)}", "sum: {total: event.total}", "event.total", "write `to_number(event.total)`"),
    case("E0405", "          bytes: file.bytes", "          bytes: file.path", "file.path", "write `to_number(file.path)`"),
    case("E0405", "expires: event.at", "expires: length(event.url)", "length(event.url)", "never becomes `timestamp`"),
    case("E0208", "pick: first(order.data).customer", "pick: order.customer", "customer", "one of `data`, `fetched_at`"),
    case("E0208", "pick: first(order.data).customer", "pick: order.data.customer", "customer", "`order.data[].customer` is that of each element"),
    case("W0506", "CHANGED: [order]", "CHANGED: [ordr]", "ordr", "did you mean `order`?"),
    case("W0506", "when: kind.order\n", "when: event.total\n", "order, file]", "nobody reads the label `order`"),
    case("E0407", "external: read\n", "external: written\n", "written", "nobody reads the topic `done`"),
    case("E0408", "external: written\n", "external: read\n", "read", "nobody writes the topic `raw`"),
    case("E0409", "dedup: {key: event.id,", "dedup: {key: event.kind,", "orders}", "no rows block of this flow writes `event.kind`"),
    case("E0410", "      retry: {dead_letter: \"{prefix}.files.dlq\"}\n", "", "source", "needs the key `retry`"),
    case("E0102", "      retry: {dead_letter: \"{prefix}.files.dlq\"}\n", "      retry: {topic: a, delays: [1m]}\n", "retry", "`dead_letter`, or a `workflow`"),
    case("E0410", "\"{retries}.{delay}\"", "\"{retries}\"", "\"{retries}\"", "several topics"),
    case("E0411", "  backfill:\n    source:", "  backfill:\n    delivery: exactly_once\n    source:", "exactly_once", "cannot do it yet"),
    case("E0412", "          error: outcome.error.message\n          at: outcome.at", "          error: outcome.error.message\n          at: outcome.at\n      again:\n        table: log\n        on: [dead]\n        columns: {origin: source.key, status: event.kind, error: outcome.calls}\n      other:\n        table: log\n        on: [dead]\n        columns: {origin: source.key, status: event.kind, error: outcome.at}", "outcome.at", "into the column `error`, and `again` a `int64`"),
    // Warnings.
    case("W0501", "  lake: {delta", "  other: {object_store: {url: x}}\n  lake: {delta", "other", "nothing uses the connection `other`"),
    case("W0501", "  order_lines:\n", "  spare: {key: [a], columns: {a: id}}\n  order_lines:\n", "spare", "no flow feeds"),
    case("W0504", "      done: {topic: done, body", "      loop: {topic: files, body: {id: event.id, url: event.url}}\n      done: {topic: done, body", "files, body", "writes the topic it reads"),
    case("W0507", "\"${DELAYS:-[5m, 600, 1h, 2h]}\"", "[10m, 5m]", "5m", "the delays get shorter: 5m after 10m"),
    case("W0507", "\"${DELAYS:-[5m, 600, 1h, 2h]}\"", "[0s, 5m]", "0s", "tried again at once"),
    case("W0508", "path: file:///elsewhere/lines", "path: /elsewhere/lines", "/elsewhere/lines", "say `file:///elsewhere/lines` if that is meant"),
    case("W0505", "  backfill:\n    source:", "  idle:\n    source: {topic: files, group: g, retry: {dead_letter: a}}\n  backfill:\n    source:", "idle", "writes nothing"),
];

fn check(case: &Case) -> Result<(), String> {
    if !GOOD.contains(case.from) {
        return Err(format!("`{}` is not in the good topology", case.from));
    }
    let text = GOOD.replacen(case.from, case.to, 1);
    let problems = match load_str("t.yaml", &text, &environment(), "/d") {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems,
    };
    let fits = |p: &&super::super::Diagnostic| {
        let line: String =
            text.lines().nth(p.position.line - 1).unwrap_or("").chars().skip(p.position.column - 1).collect();
        let says = [Some(&p.message), p.expected.as_ref(), p.help.as_ref()];
        p.code == case.code && line.starts_with(case.at) && says.into_iter().flatten().any(|t| t.contains(case.says))
    };
    let others = problems.items.iter().filter(|p| p.code.starts_with('E') && p.code != case.code);
    let unexpected: Vec<_> = others.filter(|p| !case.also.contains(&p.code)).map(|p| p.code).collect();
    let count = problems.items.iter().filter(|p| p.code == case.code).count();
    let allowed = 1 + case.also.iter().filter(|c| **c == case.code).count();
    if problems.items.iter().find(fits).is_none() || !unexpected.is_empty() || count > allowed {
        return Err(format!("{} by `{}`: {count} found, unexpected: {unexpected:?}\n{problems}", case.code, case.to));
    }
    Ok(())
}

#[test]
fn each_problem_is_found_where_it_is_and_alone() {
    let failures: Vec<String> = CASES.iter().filter_map(|case| check(case).err()).collect();
    assert!(failures.is_empty(), "{} cases fail\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_code_has_a_case() {
    // A file that cannot be read, the settings file, simulations and tests have tests of their own; the mix of files and tables is below.
    let elsewhere = ["E0001", "E0114", "E0501", "E0502", "E0503", "E0504", "E0505", "E0601", "W0502"];
    let shown: BTreeSet<&str> = CASES.iter().map(|c| c.code).chain(elsewhere).chain(SLIPS.iter().copied()).collect();
    let missing: Vec<_> = CODES.iter().filter(|(code, _)| !shown.contains(code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn files_and_tables_in_one_flow_are_a_warning() {
    let rows =
        "      failed: {topic: done, on: [dead], key: event.id, body: {id: event.id, error: outcome.error.message}}\n";
    let text = GOOD
        .replace("  order_lines:\n", "  spare: {key: [a], columns: {a: id}}\n  order_lines:\n")
        .replace(rows, &format!("{rows}    rows: {{a: {{table: spare, columns: {{a: event.id}}}}}}\n"));
    let loaded = load_str("t.yaml", &text, &environment(), "/d").unwrap();
    assert_eq!(loaded.warnings.items.iter().map(|w| w.code).collect::<Vec<_>>(), ["W0502"]);
}

#[test]
fn all_problems_are_reported_at_once_in_order_and_without_values_of_the_environment() {
    let text = GOOD
        .replace("deadline: 90s", "deadline: ${PASSWORD}")
        .replace("key: [shop]", "key: [shp]")
        .replace("kind.order\n", "kind.ordr\n");
    let problems = load_str("t.yaml", &text, &environment(), "/d").unwrap_err();
    let codes: Vec<_> = problems.items.iter().map(|p| p.code).collect();
    assert_eq!(codes, ["E0206", "E0103", "E0208"]);
    assert!(problems.render().contains("the value of `PASSWORD` does not fit here"));
    assert!(!problems.render().contains("hunter2"));
}

#[test]
fn an_empty_text_is_an_error() {
    for text in ["", "# nothing\n", "[]", "a", "---\n---\n"] {
        assert!(load_str("t.yaml", text, &Environment::default(), "d").is_err(), "{text}");
    }
}
