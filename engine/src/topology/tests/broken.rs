//! What people get wrong: one slip in a small good topology, one problem, exactly under the slip, and what to do about it.

use super::super::{Diagnostic, Environment, Source, load_str};

pub(super) const SMALL: &str = include_str!("small.yaml");

/// A code, what is replaced, by what, what the carets stand under, and words of the message, of what was expected or of the
/// help.
type Slip = (&'static str, &'static str, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const SLIPS: &[Slip] = &[
    // Not YAML.
    ("E0100", "    name: \"{prefix}.orders\"", "    name: \"{prefix}.orders", "\"", "this quote is never closed"),
    ("E0100", "    key: [order_id]", "    key: [order_id", "[", "put `]` behind the last element"),
    
    ("E0100", "    message:\n      id: id!\n", "    message:\n\t  id: id!\n", "\t", "indent with blanks"),
    ("E0100", "      topic: orders\n      group", "      topic:orders\n      group", "topic", "write `topic: ...`"),
    ("E0100", "name: \"{prefix}.orders\"", "name: {prefix}.orders", "{prefix}.orders", "write `\"{prefix}.orders\"`"),
    ("E0100", "        when: event.customer\n", "        when: 'A' == event.customer\n", "'A' == event.customer", "write `\"'A' == event.customer\"`"),
    ("E0100", "          items: total", "          items: `5`", "`5`", "write `\"`5`\"`"),
    ("E0100", "topology: shop\n", "topology: shop\nabout: orders: all of them\n", "orders: all of them", "needs quotes"),
    ("E0100", "      group: orders\n", "     group: orders\n", "group", "indent it by 6 blanks"),
    ("E0100", "customer: string\n", "customer: *text\n", "", "no anchor"),
    ("E0100", "      group: orders\n", "\tgroup: orders\n", "\t", "indent with blanks"),
    ("E0100", "        from: source\n", "\t\tfrom: source\n", "\t", "indent with blanks"),
    ("E0100", "        when: event.customer\n", "        when: 'event.customer == 'A''\n", "'event.customer == 'A''", "write `\"event.customer == 'A'\"`"),
    ("E0100", "        when: event.customer\n", "        when: \"event.customer == \"A\"\"\n", "\"event.customer == \"A\"\"", "write `\"event.customer == 'A'\"`"),
    ("E0108", "topology: shop\n", "---\ntopology: shop\n---\n", "", "one document"),
    ("E0108", "        when: answer_of.url", "        when: !answer_of.url", "!answer_of.url", "write `\"!answer_of.url\"`"),
    ("E0108", "      customer: string\n", "      customer: !string\n", "!string", "`string!`"),
    ("E0104", "      deadline: 60s\n", "      deadline: 60s\n      group: other\n", "group", "stands twice, first in line"),
    ("E0104", "    columns:\n      order_id: id!\n", "    columns:\n      order_id: id!\n    columns:\n", "columns", "stands twice, first in line 45"),
    ("E0104", "      total:\n", "      kind:\n", "kind", "stands twice, first in line 64"),
    ("E0104", "  links:\n    source", "  orders:\n    source", "orders", "stands twice, first in line 54"),
    ("E0104", "  links:\n    name", "  orders:\n    name", "orders", "stands twice, first in line 18"),
    // Keys: spelling, other words.
    ("E0101", "      group: orders\n", "      gruop: orders\n", "gruop", "did you mean `group`?"),
    ("E0101", "    stages:\n      kind", "    stage:\n      kind", "stage", "did you mean `stages`?"),
    ("E0101", "flows:\n", "flow:\n", "flow", "did you mean `flows`?"),
    ("E0101", "        delays: [5m, 10m]", "        delay: [5m, 10m]", "delay", "did you mean `delays`?"),
    ("E0101", "dead_letter: \"{prefix}.dlq\"", "dlq: \"{prefix}.dlq\"", "dlq", "did you mean `dead_letter`?"),
    ("E0101", "      retry:\n        topic", "      retries:\n        topic", "retries", "did you mean `retry`?"),
    ("E0101", "kafka: {brokers", "kafka: {bootstrap_servers", "bootstrap_servers", "did you mean `brokers`?"),
    ("E0101", "    key: [customer]", "    primary_key: [customer]", "primary_key", "did you mean `key`?"),
    ("E0101", "        body:\n", "        bdoy:\n", "bdoy", "did you mean `body`?"),
    ("E0101", "        pick: >-", "        pik: >-", "pik", "did you mean `pick`?"),
    ("E0101", "      timeout: 10s", "      banana: 10s", "banana", "unknown key `banana` in an http connection"),
    ("E0101", "        enrich:\n", "        timeout: 5s\n        enrich:\n", "timeout", "`timeout` is a key of an http connection"),
    ("E0101", "        enrich:\n", "        alias: call\n        enrich:\n", "alias", "`aliases` is a key of a topology and of a flow"),
    ("E0101", "        enrich:\n", "        concurrency: 4\n        enrich:\n", "concurrency", "`concurrency` is a key of an http connection, of a web connection and of an object store"),
    ("E0101", "vars: {", "vasr: {", "vasr", "did you mean `vars`?"),
    ("E0101", "        table: customers\n", "        tabel: customers\n", "tabel", "did you mean `table`?"),
    ("E0101", "dedup: {key: event.id, at", "dedup: {keys: event.id, at", "keys", "did you mean `key`?"),
    // Keys: one level too high or too low.
    ("E0100", "      group: orders\n", "    group: orders\n", "group", "indent it by 6 blanks"),
    ("E0101", "      retry: {dead_letter: \"{prefix}.links.dlq\"}\n    stages", "    retry: {dead_letter: \"{prefix}.links.dlq\"}\n    stages", "retry", "put it below `source`"),
    ("E0101", "      deadline: 60s\n      retry:\n        topic: \"{prefix}.retry.{delay}\"\n        delays: [5m, 10m]\n        dead_letter: \"{prefix}.dlq\"\n", "      deadline: 60s\n      dead_letter: \"{prefix}.dlq\"\n", "dead_letter", "put it below `retry`"),
    ("E0101", "      retry: {dead_letter: \"{prefix}.links.dlq\"}\n    stages:\n      file:", "      retry: {dead_letter: \"{prefix}.links.dlq\", deadline: 5s}\n    stages:\n      file:", "deadline", "is a key of a source"),
    ("E0101", "      group: links\n      retry: {dead_letter: \"{prefix}.links.dlq\"}\n    stages:\n      file:\n        download: {connection: web, spool: spool, url: event.url, name: event.id}\n      stored:\n        upload:\n          connection: files\n          spool: spool\n          file: file.path\n          sha256: file.sha256\n          to: \"links/{event.id}\"\n", "      group: links\n      retry: {dead_letter: \"{prefix}.links.dlq\"}\n      stages:\n        file:\n          download: {connection: web, spool: spool, url: event.url, name: event.id}\n        stored:\n          upload: {connection: files, spool: spool, file: file.path, sha256: file.sha256, to: \"links/{event.id}\"}\n", "stages", "indent it less"),
    ("E0101", "  links:\n    source:\n      topic: links\n      group: links\n      retry: {dead_letter: \"{prefix}.links.dlq\"}\n    stages:\n", "  links:\n  source:\n      topic: links\n      group: links\n      retry: {dead_letter: \"{prefix}.links.dlq\"}\n  stages:\n", "source", "indent it below `links`"),
    ("E0101", "          connection: api\n          get: \"/orders/{event.id}\"", "          get: \"/orders/{event.id}\"\n        connection: api", "connection", "put it below `enrich`"),
    // A block or a line that is indented wrongly, and all that follows from it.
    ("E0101", "    columns:\n      order_id: id!\n      customer: string\n      day: date\n      placed_at: timestamp\n      items: int64\n      note: text\n", "  columns:\n    order_id: id!\n    customer: string\n    day: date\n    placed_at: timestamp\n    items: int64\n    note: text\n", "columns", "indent it by 4 blanks, below `orders` in line 40, and the 6 lines below it with it"),
    ("E0101", "    message:\n      id: id!", "  message:\n      id: id!", "message", "indent it by 4 blanks, below `orders` in line 18"),
    ("E0101", "tables:\n", "  tables:\n", "tables", "indent it by 0 blanks, at the beginning of the line"),
    ("E0101", "topics:\n", "  topics:\n", "topics", "indent it by 0 blanks, at the beginning of the line"),
    ("E0101", "    stages:\n      kind", "      stages:\n      kind", "stages", "indent it by 4 blanks, below `orders` in line 54"),
    ("E0101", "    rows:\n      customer", "      rows:\n      customer", "rows", "indent it by 4 blanks, below `orders` in line 54"),
    ("E0100", "    rows:\n      customer", "  rows:\n      customer", "rows", "indent it by 4 blanks, below `orders` in line 54"),
    ("E0101", "    columns: {customer: string!", "  columns: {customer: string!", "columns", "indent it by 4 blanks, below `customers` in line 37"),
    ("E0101", "      once:\n        dedup: {", "    once:\n      dedup: {", "once", "indent it by 6 blanks, below `stages` in line 63"),
    ("E0101", "      answer_of:\n        when: kind.big || kind.small\n        enrich:\n          connection: api\n          get: \"/orders/{event.id}\"\n", "        answer_of:\n          when: kind.big || kind.small\n          enrich:\n            connection: api\n            get: \"/orders/{event.id}\"\n", "answer_of", "indent it by 6 blanks, below `stages` in line 63"),
    ("E0100", "  api:\n    http:\n      url: https://api.example.com\n      auth: {bearer: \"${TOKEN:-}\"}\n      timeout: 10s\n", "    api:\n      http:\n        url: https://api.example.com\n        auth: {bearer: \"${TOKEN:-}\"}\n        timeout: 10s\n", "api", "indent it by 2 blanks, below `connections` in line 5"),
    ("E0100", "  orders:\n    name: ", "    orders:\n    name: ", "orders", "indent it by 2 blanks, below `topics` in line 17"),
    // Missing keys and values.
    ("E0102", "      group: links\n", "", "source", "needs the key `group`"),
    ("E0102", "      group: links\n", "      group:\n", "group", "write `group: NAME`"),
    ("E0102", "    name: \"{prefix}.links\"\n", "", "links", "a topic needs the key `name`"),
    ("E0102", "    key: [customer]\n", "    key:\n", "key", "`key` has no value"),
    ("E0105", "        pick: >-\n          sum(event.lines[].n) ||\n          length(event.lines)\n", "        when: event.open\n", "total", "a stage needs one of"),
    ("E0105", "        pick: >-\n", "        filter: event.open\n        pick: >-\n", "pick", "keep one of them"),
    // Kinds of values.
    ("E0103", "    key: [customer]", "    key: customer", "customer", "write `[customer]`"),
    ("E0103", "allow: [files.example.com]", "allow: files.example.com", "files.example.com", "write `[files.example.com]`"),
    ("E0103", "deadline: 60s", "deadline: 5 minutes", "5 minutes", "write `5m`"),
    ("E0103", "deadline: 60s", "deadline: 1.5h", "1.5h", "write `90m`"),
    ("E0103", "deadline: 60s", "deadline: 0s", "0s", "more than nothing"),
    ("E0103", "deadline: 60s", "deadline: soon", "soon", "a duration such as"),
    ("E0103", "deadline: 60s", "budget: 8MB", "8MB", "write `8MiB`"),
    ("E0103", "external: written", "external: writen", "writen", "did you mean `written`?"),
    ("E0103", "          else: skip", "          else: drop", "drop", "one of `dead`, `skip`"),
    ("E0103", "      count: int64\n", "      count: integer\n", "integer", "did you mean `int64`?"),
    ("E0103", "      customer: string\n      day", "      customer: strng\n      day", "strng", "did you mean `string`?"),
    ("E0103", "      id: id!\n", "      id: {type: id, required: true}\n", "{type: id, required: true}", "write `id!`"),
    ("E0103", "        delays: [5m, 10m]", "        delays: [5m, ten]", "ten", "a duration such as"),
    ("E0103", "      kind:\n        route:\n          by: event.customer\n          cases: {A: [big], B: [small]}", "      kind:\n        route:\n          by: event.customer\n          cases: {A: big, B: [small]}", "big", "write `[big]`"),
    ("E0103", "cases: {A: [big], B: [small]}", "cases:\n            A: big, huge\n            B: [small]", "big, huge", "write `[big, huge]`"),
    ("E0103", "cases: {A: [big], B: [small]}", "cases: {A: big, huge, B: [small]}", "big, huge", "write `[big, huge]`"),
    ("E0103", "        delays: [5m, 10m]", "        delays: 5m, 10m", "5m, 10m", "write `[5m, 10m]`"),
    ("E0103", "          else: skip", "          else: {skip: no case}", "{skip: no case}", "write `skip`"),
    ("E0103", "        dedup: {key", "        filter: event.open\n        else: no date\n      twice:\n        dedup: {key", "no date", "write `{skip: no date}`"),
    ("E0103", "        dedup: {key", "        filter: event.open\n        else: skip\n      twice:\n        dedup: {key", "skip", "say why: `{skip: reason}`"),
    ("E0100", "        dedup: {key", "        filter: event.open\n        else: skip: no date\n      twice:\n        dedup: {key", "skip: no date", "write `{skip: no date}`"),
    ("E0103", "kafka: {brokers: embedded}", "kafka: {brokers: embedded, partitions: 0}", "0", "at least 1"),
    ("E0103", "kafka: {brokers: embedded}", "kafka: {brokers: embedded, partitions: 6.0}", "6.0", "write `6`"),
    ("E0103", "kafka: {brokers: embedded}", "kafka: {brokers: embedded, create: yes}", "yes", "write `true`"),
    ("E0106", "      answer_of:\n", "      answer of:\n", "answer of", "letters, digits and `_`"),
    ("E0106", "name: \"{prefix}.links\"", "name: \"{prefix} links\"", "\"{prefix} links\"", "is no name of a topic"),
    ("E0107", "language: 1", "language: 3", "3", "version `3`"),
    // The environment and variables.
    ("E0110", "${TOKEN:-}", "${TOKEN}", "${TOKEN}", "give a default"),
    ("E0111", "${TOKEN:-}", "${TOKEN", "${", "closing brace"),
    ("E0111", "${TOKEN:-}", "${TOKEN-x}", "${TOKEN-x}", "write `${TOKEN:-x}`"),
    ("E0111", "\"/orders/{event.id}\"", "\"/orders/${event.id}\"", "${event.id}", "a template says `{event.id}`"),
    ("E0112", "\"{prefix}.links\"", "\"{prefx}.links\"", "{prefx}", "did you mean `prefix`?"),
    ("E0113", "vars: {prefix: \"${SHOP_PREFIX:-shop}\"}", "vars: {prefix: \"{a}\", a: \"{prefix}\"}", "prefix", "`prefix` → `a` → `prefix`"),
    // Expressions.
    ("E0120", "          length(event.lines)", "          lenght(event.lines)", "lenght", "did you mean `length`?"),
    ("E0120", "          length(event.lines)", "          length(event.lines, event.id)", "length", "takes 1 argument, not 2"),
    ("E0120", "          length(event.lines)", "          length(`5`)", "`5`", "must be a text or a list or an object, not a number"),
    ("E0120", "          sum(event.lines[].n) ||", "          sum(event.lines[].n) or", "or", "`or` is written `||`"),
    ("E0120", "          items: total", "          items: 5", "5", "numbers are written in backticks"),
    ("E0120", "        when: event.customer\n", "        when: event.customer = 'A'\n", "=", "equality is written `==`"),
    ("E0120", "        when: event.customer\n", "        when: \"event.customer == \\\"\\u00e9\\\" && lowr(event.id)\"\n", "lowr", "did you mean `lower`?"),
    ("E0120", "        when: event.customer\n", "        when: 'event.customer == ''A'' && lowr(event.id)'\n", "lowr", "did you mean `lower`?"),
    ("E0120", "          customer: event.customer\n          day", "          customer: uuid5('not-a-uuid', event.customer)\n          day", "'not-a-uuid'", "must be a UUID"),
    ("E0121", "\"/orders/{event.id}\"", "\"/orders/{event.id\"", "{", "never closed"),
    ("E0207", "          sum(event.lines[].n) ||", "          sum(evnt.lines[].n) ||", "evnt", "did you mean `event`?"),
    ("E0207", "          note: answer_of.note", "          note: done", "done", "\"'done'\""),
    ("E0207", "        when: event.customer\n", "        when: event.customer == \"A\"\n", "\"A\"", "single quotes: 'A'"),
    ("E0207", "        when: event.customer\n", "        when: event.open == true\n", "true", "backticks"),
    ("E0207", "          seen_at: event.placed_at", "          seen_at: total", "total", "say `from: total`"),
    ("E0207", "          by: event.customer", "          by: total", "total", "stands below"),
    ("E0207", "get: \"/orders/{event.id}\"", "get: \"/event/{evnt.id}\"", "evnt", "did you mean `event`?"),
    ("E0207", "          note: answer_of.note", "          note: anwser_of.note", "anwser_of", "did you mean `answer_of`?"),
    ("E0208", "          length(event.lines)", "          length(event.liens)", "liens", "did you mean `lines`?"),
    ("E0208", "kind.big ||", "kind.bgi ||", "bgi", "did you mean `big`?"),
    ("E0208", "    key: id\n", "    key: idd\n", "idd", "did you mean `id`?"),
    ("E0208", "          url: answer_of.url", "          urll: answer_of.url", "urll", "did you mean `url`?"),
    // Expressions of other languages, and names without what they belong to.
    ("E0120", "        when: event.customer\n", "        when: event.customer & event.open\n", "&", "`and` is written `&&`"),
    ("E0120", "        when: event.customer\n", "        when: not event.customer\n", "not", "`not` is written `!`"),
    ("E0120", "        when: event.customer\n", "        when: event.customer <> 'A'\n", "<>", "inequality is written `!=`"),
    ("E0120", "        when: event.customer\n", "        when: event.customer in event.lines\n", "in", "contains(list, x)"),
    ("E0120", "        when: event.customer\n", "        when: event['customer'] == 'A'\n", "['customer']", "`event.customer`"),
    ("E0120", "          items: total", "          items: total + event.count", "+", "there is no arithmetic"),
    ("E0120", "          items: total", "          items: \"event.open ? total : event.count\"", "?", "if(condition, then, otherwise)"),
    ("E0120", "          length(event.lines)", "          len(event.lines)", "len", "did you mean `length`?"),
    ("E0207", "        when: event.customer\n", "        when: customer\n", "customer", "did you mean `event.customer`?"),
    ("E0207", "        when: event.customer\n", "        when: customer == 'A' && event.open\n", "customer", "did you mean `event.customer`?"),
    ("E0207", "          sha256: file.sha256", "          sha256: sha256", "sha256", "did you mean `file.sha256`?"),
    ("E0208", "        when: event.customer\n", "        when: event.cont\n", "cont", "did you mean `count`?"),
    ("E0208", "        when: event.customer\n", "        when: event.place\n", "place", "did you mean `placed_at`?"),
    // A wrong way, and names that several places use.
    ("E0205", "      total:\n        pick", "      total:\n        from: nothing\n        pick", "nothing", "unknown stage `nothing`"),
    ("E0205", "      order:\n        table", "      order:\n        from: nothing\n        table", "nothing", "unknown stage `nothing`"),
    ("E0207", "      order:\n        table", "      order:\n        from: source\n        table", "source", "say `from: total`"),
    ("E0207", "      total:\n        pick", "      total:\n        from: source\n        pick", "source", "say `from: answer_of`"),
    ("E0207", "      answer_of:\n", "      anwser_of:\n", "anwser_of", "`answer_of`, which lines 96, 100 and 103 name, is not declared"),
    ("E0208", "      id: id!\n", "      idx: id!\n", "idx", "`id`, which lines 21, 70, 75, 91 and 102 name, is not declared"),
    ("E0206", "      day: date\n", "      dya: date\n", "dya", "`day`, which lines 42 and 93 name, is not declared"),
    ("E0203", "  customers:\n    key", "  custmoers:\n    key", "custmoers", "`customers`, which lines 43 and 82 name, is not declared"),
    ("E0204", "  links:\n    name", "  likns:\n    name", "likns", "`links`, which lines 99 and 106 name, is not declared"),
    ("E0201", "  spool: {", "  spolo: {", "spolo", "`spool`, which lines 111 and 115 name, is not declared"),
    ("E0112", "{prefix: \"${SHOP", "{prefx: \"${SHOP", "prefx", "`prefix`, which lines 19, 33, 60, 62 and 108 name, is not declared"),
    ("E0408", "external: written", "external: read", "read", "say `external: written`"),
    // Names.
    ("E0201", "          connection: api", "          connection: apis", "apis", "did you mean `api`?"),
    ("E0202", "          connection: api", "          connection: lake", "lake", "of that kind: `api`"),
    ("E0203", "        table: customers\n", "        table: customer\n", "customer", "did you mean `customers`?"),
    ("E0203", "    parent: customers", "    parent: custmers", "custmers", "did you mean `customers`?"),
    ("E0204", "      topic: orders\n", "      topic: order\n", "order", "did you mean `orders`?"),
    ("E0204", "        topic: links\n        when", "        topic: link\n        when", "link", "did you mean `links`?"),
    ("E0205", "        from: source\n", "        from: sorce\n", "sorce", "did you mean `source`?"),
    ("E0205", "        dedup: {key", "        from: total\n        dedup: {key", "total", "move the stage up"),
    ("E0205", "        dedup: {key", "        from: once\n        dedup: {key", "once", "reads itself"),
    ("E0206", "    key: [order_id]", "    key: [orderid]", "orderid", "did you mean `order_id`?"),
    ("E0206", "          order_id: event.id", "          order_ids: event.id", "order_ids", "did you mean `order_id`?"),
    ("E0209", "      note: text", "      NOTE: text\n      note: text", "note", "differ in case only"),
    ("E0212", "url: https://api.example.com", "url: api.example.com", "api.example.com", "https://"),
    ("E0212", "allow: [files.example.com]", "allow: [\"https://files.example.com/\"]", "\"https://files.example.com/\"", "write `files.example.com`"),
    ("E0212", "brokers: embedded", "brokers: \"localhost:port\"", "\"localhost:port\"", "host:port"),
    ("E0212", "lake: {delta: {url: \"{data}/tables\"}}", "lake: {delta: {url: \"s3://a/b\"}}", "\"s3://a/b\"", "abfss://"),
    ("E0213", "brokers: embedded}", "brokers: embedded, consumer: {group.id: x}}", "group.id", "cannot be set by hand"),
    ("E0213", "brokers: embedded}", "brokers: embedded, consumer: {fetch.min.byte: 1}}", "fetch.min.byte", "has no setting"),
    ("E0415", "spool: {object_store: {url: \"{data}/spool\"}}", "spool: {object_store: {url: \"memory:///spool\"}}", "\"memory:///spool\"", "a folder of this machine"),
    ("E0415", "          connection: files\n", "          connection: spool\n", "spool", "name another object store"),
    // Tables and rows.
    ("E0303", "    columns: {customer: string!", "    parent: orders\n    columns: {customer: string!", "orders", "`customers` → `orders` → `customers`"),
    ("E0303", "    key: [customer]\n", "    key: [customer]\n    parent: customers\n", "customers", "is its own parent"),
    ("E0402", "          order_id: event.id\n", "", "columns", "`order_id`, a column of the key of `orders`"),
    ("E0402", "          day: event.placed_at\n", "", "columns", "`day`, a partition column of `orders`"),
    ("E0403", "          day: event.placed_at", "          day: now()", "now()", "such as `source.time`"),
    ("E0403", "          day: event.placed_at", "          day: answer_of.fetched_at", "answer_of.fetched_at", "a time of writing"),
    ("E0405", "          day: event.placed_at", "          day: event.count", "event.count", "of type `int64` and never becomes `date`"),
    ("E0405", "          placed_at: event.placed_at", "          placed_at: event.count", "event.count", "never becomes `timestamp`"),
    ("E0405", "          placed_at: event.placed_at", "          placed_at: \"'soon'\"", "\"'soon'\"", "`'soon'` is a constant and never becomes `timestamp`"),
    ("E0405", "          length(event.lines)", "          length(event.count)", "event.count", "is of type `int64`"),
    ("E0404", "          url: answer_of.url\n", "", "body", "add `url: expression`"),
    ("E0409", "dedup: {key: event.id,", "dedup: {key: event.count,", "orders", "forgets: true"),
    // Comparisons that no message makes true.
    ("E0416", "        when: event.customer\n", "        when: event.id == `5`\n", "`5`", "write `'5'`"),
    ("E0416", "        when: event.customer\n", "        when: event.open && (event.count > `0` || event.id == `5`)\n", "`5`", "`event.id` is of type `id`, a text, and `5` is a number"),
    ("E0416", "        when: event.customer\n", "        when: event.id > `5`\n", "event.id", "write `to_number(event.id)`"),
    ("E0416", "        when: event.customer\n", "        when: event.id == event.count\n", "event.id == event.count", "`same(event.id, event.count)`"),
    ("E0416", "        when: event.customer\n", "        when: event.id != ' 7'\n", "' 7'", "write `'7'`"),
    ("E0416", "        when: event.customer\n", "        when: event.customer != ''\n", "''", "`!event.customer` is true where it is null"),
    ("E0416", "        when: event.customer\n", "        when: event.customer > 'M'\n", "'M'", "which has no order"),
    ("E0416", "        when: event.customer\n", "        when: lower(event.customer) == 'Ada'\n", "'Ada'", "write `'ada'`"),
    ("E0416", "        when: event.customer\n", "        when: event.amount > `5`\n", "event.amount", "write `to_number(event.amount)`"),
    ("E0416", "        when: event.customer\n", "        when: event.amount == `5`\n", "`5`", "write `'5'`"),
    ("E0416", "        when: event.customer\n", "        when: event.amount == '12.50'\n", "'12.50'", "write `'12.5'`"),
    ("E0416", "        when: event.customer\n", "        when: event.amount <= event.count\n", "event.amount", "write `to_number(event.amount)`"),
    ("E0416", "        when: event.customer\n", "        when: event.count == '5'\n", "'5'", "write `` `5` ``"),
    ("E0416", "        when: event.customer\n", "        when: event.count > '5'\n", "'5'", "write `` `5` ``"),
    ("E0416", "        when: event.customer\n", "        when: event.count == `1.5`\n", "`1.5`", "and never `1.5`"),
    ("E0416", "        when: event.customer\n", "        when: length(event.lines) == '0'\n", "'0'", "write `` `0` ``"),
    ("E0416", "        when: event.customer\n", "        when: event.placed_at == '2026-01-01'\n", "'2026-01-01'", "write `'2026-01-01T00:00:00+00:00'`"),
    ("E0416", "        when: event.customer\n", "        when: event.placed_at > 'soon'\n", "'soon'", "an instant such as"),
    ("E0416", "        when: event.customer\n", "        when: event.placed_at > `1767225600`\n", "`1767225600`", "an instant such as"),
    ("E0416", "        when: event.customer\n", "        when: event.placed_at == event.due\n", "event.placed_at", "write `date(event.placed_at)`"),
    ("E0416", "        when: event.customer\n", "        when: event.due == '10.1.2026'\n", "'10.1.2026'", "`10.1.2026` is none"),
    ("E0416", "        when: event.customer\n", "        when: event.open == 'true'\n", "'true'", "write `` `true` ``"),
    ("E0416", "        when: event.customer\n", "        when: event.open == `1`\n", "`1`", "write `` `true` ``"),
    ("E0416", "        when: event.customer\n", "        when: event.open > `0`\n", "event.open", "which has no order"),
    ("E0416", "        when: event.customer\n", "        when: type(event.lines) == 'list'\n", "'list'", "it is one of `array`"),
    ("E0416", "        when: event.customer\n", "        when: event.lines[?length(sku) == '3']\n", "'3'", "write `` `3` ``"),
    ("E0416", "when: kind.big || kind.small", "when: kind.big == 'yes' || kind.small", "'yes'", "write `` `true` ``"),
    ("E0416", "          by: event.customer", "          by: event.placed_at", "event.placed_at", "is the value of no case"),
    ("E0416", "cases: {A: [big], B: [small]}", "cases: {A: [big], \"B \": [small]}", "\"B \"", "write `B`"),
    ("E0416", "        when: event.customer\n", "        when: event.open && length(event.lines)\n", "length", "compare it: `` length(...) > `0` ``"),
    // Members of what is known.
    ("E0208", "          items: total", "          items: total.n", "n", "`total` is a number and has no fields"),
    ("E0208", "          sha256: file.sha256", "          sha256: file.sha265", "sha265", "did you mean `sha256`?"),
    ("E0208", "          note: answer_of.note", "          note: kind.lage", "lage", "one of `big`, `small`"),
    // What a key of a stage or of a block cannot use.
    ("E0405", "    message: {id: id!, url: text!}", "    message: {id: id!, url: timestamp!}", "event.url", "`event.url` is of type `timestamp`, and `url` needs a text that is a link"),
    ("E0405", "url: event.url, name: event.id}", "url: event.url, name: length(event.id)}", "length(event.id)", "write `string(length(event.id))`"),
    ("E0405", "          file: file.path", "          file: file.bytes", "file.bytes", "and `file` needs the path of a file"),
    ("E0405", "          sha256: file.sha256", "          sha256: file.downloaded_at", "file.downloaded_at", "a checksum"),
    ("E0405", "          to: \"links/{event.id}\"", "          to: \"links/{file}\"", "file", "`file` is an object, and `to` needs a text"),
    ("E0405", "get: \"/orders/{event.id}\"", "get: \"/orders/{kind}\"", "kind", "`kind` is an object, and `get` needs a text"),
    ("E0405", "at: event.placed_at, table: orders}", "at: event.count, forgets: true}", "event.count", "never becomes `timestamp`"),
    ("E0405", "        topic: links\n        when", "        topic: links\n        key: kind\n        when", "kind", "write `json(kind)`"),
    ("E0405", "        pick: >-\n          sum(event.lines[].n) ||\n          length(event.lines)\n", "        each: event.customer\n", "event.customer", "`each` needs a list"),
    ("E0405", "          by: event.customer", "          by: event.lines[]", "event.lines[]", "`by` needs a text"),
    ("E0405", "          items: total", "          items: kind", "kind", "`kind` is an object and never becomes `int64`"),
    // Paths.
    ("E0212", "get: \"/orders/{event.id}\"", "get: \"orders/{event.id}\"", "orders/{event.id}", "write `/orders/{event.id}`"),
    ("E0212", "get: \"/orders/{event.id}\"", "get: \"https://api.example.com/orders/{event.id}\"", "https://api.example.com/orders/{event.id}", "its host is that of the connection"),
    ("E0212", "get: \"/orders/{event.id}\"", "get: \"/orders/../{event.id}\"", "..", "would lead elsewhere"),
    ("E0212", "          to: \"links/{event.id}\"", "          to: \"../links/{event.id}\"", "..", "would lead elsewhere"),
    ("E0212", "    key: [customer]\n", "    path: ../../etc\n    key: [customer]\n", "../../etc", "leads out of the connection `lake`"),
    // Flows.
    ("E0410", "        delays: [5m, 10m]", "        delays: []", "[]", "nothing is ever tried again"),
    ("E0410", "      retry: {dead_letter: \"{prefix}.links.dlq\"}\n", "", "source", "dead_letter: TOPIC"),
    ("E0410", "        delays: [5m, 10m]\n", "", "topic", "say when to try again"),
    ("E0410", "\"{prefix}.retry.{delay}\"", "\"{prefix}.retry\"", "\"{prefix}.retry\"", "`{delay}` in the name"),
    ("E0408", "    external: written\n", "", "orders", "say `external: written`"),
    ("E0407", "  links:\n    name:", "  spare:\n    name: spare\n    message: {id: id!}\n  links:\n    name:", "spare", "nobody reads or writes"),
    ("E0406", "          items: total\n", "", "total", "nobody reads"),
    ("E0305", "name: \"{prefix}.links\"", "name: \"{prefix}.orders\"", "\"{prefix}.orders\"", "have one name"),
    ("E0305", "dead_letter: \"{prefix}.dlq\"", "dead_letter: \"{prefix}.links\"", "\"{prefix}.links\"", "taken by"),
    ("E0401", "          to: \"links/{event.id}\"\n", "          to: \"links/{event.id}\"\n    rows:\n      c: {table: customers, columns: {customer: event.id}}\n", "customers", "send a message to that flow"),
];

/// What each slip of the table gives, if it is not what is told there.
fn mismatch(slip: &Slip) -> Option<String> {
    let (code, from, to, under, says) = slip;
    if SMALL.matches(from).count() == 0 {
        return Some(format!("`{from}` is not in the topology"));
    }
    let text = SMALL.replacen(from, to, 1);
    let problems = match load_str("t.yaml", &text, &Environment::default(), "/d") {
        Ok(_) => return Some(format!("{code} by `{to}`: accepted")),
        Err(problems) => problems,
    };
    let errors: Vec<_> = problems.items.iter().filter(|p| p.code.starts_with('E')).collect();
    let [problem] = errors.as_slice() else {
        return Some(format!("{code} by `{to}`: {} errors\n{problems}", errors.len()));
    };
    let source = Source::new("t.yaml", text.as_str());
    let offset = |line: usize, column: usize| {
        let start = source.start(line);
        start + source.line(line).char_indices().nth(column - 1).map_or(source.line(line).len(), |(at, _)| at)
    };
    let at = &problem.position;
    let (start, end) = (offset(at.line, at.column), offset(at.end_line, at.end_column));
    let found = text.get(start..end).unwrap_or("");
    let words = [Some(&problem.message), problem.expected.as_ref(), problem.help.as_ref()];
    let said = words.into_iter().flatten().any(|text| text.contains(says));
    let fits = problem.code == *code && said && (under.is_empty() || found == *under);
    (!fits).then(|| {
        format!("{code} by `{to}`: {} under `{found}`, expected `{under}` and `{says}`\n{problems}", problem.code)
    })
}

#[test]
fn the_small_topology_is_good() {
    let loaded =
        load_str("t.yaml", SMALL, &Environment::default(), "/d").unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.warnings.render(), "");
}

#[test]
fn one_slip_is_one_problem_under_the_slip() {
    assert!(SLIPS.len() > 120);
    let failures: Vec<String> = SLIPS.iter().filter_map(mismatch).collect();
    assert!(failures.is_empty(), "{} of {} fail\n{}", failures.len(), SLIPS.len(), failures.join("\n"));
}

/// What is still wrong when what a slip's problem suggests is written in its place.
fn unmended(slip: &Slip) -> Option<String> {
    let text = SMALL.replacen(slip.1, slip.2, 1);
    let problems = load_str("t.yaml", &text, &Environment::default(), "/d").err()?;
    let problem = problems.items.iter().find(|p| p.suggestion.is_some())?;
    let source = Source::new("t.yaml", text.as_str());
    let offset = |line: usize, column: usize| {
        let start = source.start(line);
        start + source.line(line).char_indices().nth(column - 1).map_or(source.line(line).len(), |(at, _)| at)
    };
    let at = &problem.position;
    let (start, end) = (offset(at.line, at.column), offset(at.end_line, at.end_column));
    let mended = format!("{}{}{}", &text[..start], problem.suggestion.as_deref()?, &text[end..]);
    let left = load_str("t.yaml", &mended, &Environment::default(), "/d").err()?;
    // Some rows are slips in an edit that leaves something else open.
    let same = |p: &&Diagnostic| p.code == problem.code && p.position.line == at.line;
    left.items.iter().find(same)?;
    Some(format!("{} by `{}`\n{problem:?}\n{left}", slip.0, slip.2))
}

#[test]
fn what_is_suggested_mends() {
    let suggested = SLIPS.iter().filter(|slip| {
        let text = SMALL.replacen(slip.1, slip.2, 1);
        let problems = load_str("t.yaml", &text, &Environment::default(), "/d").err();
        problems.is_some_and(|problems| problems.items.iter().any(|p| p.suggestion.is_some()))
    });
    let count = suggested.count();
    assert!(count > 70, "{count}");
    let failures: Vec<String> = SLIPS.iter().filter_map(unmended).collect();
    assert!(failures.is_empty(), "{}\n{}", failures.len(), failures.join("\n"));
}

/// Edits, the code, what the carets stand under, and words.
type Slips = (&'static [(&'static str, &'static str)], &'static str, &'static str, &'static str);

#[rustfmt::skip]
const SEVERAL: &[Slips] = &[
    // What comes from the clock goes into a partition by way of a stage, or of a field.
    (&[("pick: >-\n          sum(event.lines[].n) ||\n          length(event.lines)", "pick: now()"), ("          items: total\n", ""), ("day: event.placed_at", "day: total")], "E0403", "total", "a time of writing"),
    (&[("      open: bool\n", "      open: bool\n      read_at: {timestamp: now()}\n"), ("day: event.placed_at", "day: date(event.read_at)")], "E0403", "date(event.read_at)", "`event.read_at`"),
    // The parent's rows come from another flow.
    (&[("      customer:\n        table: customers\n        from: source\n        when: event.customer\n        columns:\n          customer: event.customer\n          seen_at: event.placed_at\n", ""), ("          to: \"links/{event.id}\"\n", "          to: \"links/{event.id}\"\n    rows:\n      c: {table: customers, columns: {customer: event.id}}\n")], "E0303", "customers", "a row could be visible before its parent"),
    // Members of what a stage makes itself, and of pages.
    (&[("          sum(event.lines[].n) ||\n          length(event.lines)\n", "          event.lines && {lines: length(event.lines), first: event.lines[0]}\n"), ("items: total", "items: total.line")], "E0208", "line", "did you mean `lines`?"),
    (&[("get: \"/orders/{event.id}\"\n", "get: \"/orders/{event.id}\"\n          paginate: link\n"), ("when: answer_of.url", "when: answer_of.data"), ("url: answer_of.url", "url: first(answer_of.data).url")], "E0208", "note", "one of `data`, `fetched_at`"),
    (&[("pick: >-\n          sum(event.lines[].n) ||\n          length(event.lines)", "each: \"event.lines[].{n: n}\""), ("items: total", "items: total.m")], "E0208", "m", "one of `n`"),
    // A label that several places read is misspelt where it is set.
    (&[("cases: {A: [big]", "cases: {A: [bgi]"), ("        table: orders\n        columns", "        table: orders\n        when: kind.big\n        columns")], "E0208", "bgi", "2 places read `kind.big`"),
    // A folder of this machine, where the others are in a store.
    (&[("lake: {delta: {url: \"{data}/tables\"}}", "lake: {delta: {url: \"abfss://c@a.dfs.core.windows.net/t\"}}"), ("    key: [customer]\n", "    path: /customers\n    key: [customer]\n")], "E0212", "/customers", "leave out the first `/`"),
    (&[("  bus: {kafka: {brokers: embedded}}\n", "  bus: {kafka: {brokers: embedded}}\n  far: {kafka: {brokers: \"b:9092\"}}\n"), ("    external: written\n", "    external: written\n    in: bus\n"), ("    name: \"{prefix}.links\"\n", "    name: \"{prefix}.links\"\n    in: far\n")], "E0414", "links", "writes to `bus` only"),
];

#[test]
fn slips_that_need_several_edits() {
    for (edits, code, under, says) in SEVERAL {
        let mut text = SMALL.to_owned();
        for (from, to) in *edits {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        let problems = load_str("t.yaml", &text, &Environment::default(), "/d").map(drop).unwrap_err();
        let errors: Vec<_> = problems.items.iter().filter(|p| p.code.starts_with('E')).collect();
        assert_eq!(errors.len(), 1, "{problems}");
        let at = &errors[0].position;
        let line = text.lines().nth(at.line - 1).unwrap();
        assert!(errors[0].code == *code && line[at.column - 1..].starts_with(under), "{problems}");
        assert!(problems.render().contains(says), "{problems}");
    }
}
