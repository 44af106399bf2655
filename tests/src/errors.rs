//! What a failure means and where it goes, on the real flows with a clock that the test moves: classes that a topology
//! changes, the policy that a workflow names, bounds of paged answers, an open breaker.

use engine::testing::run;

const TOPOLOGY: &str = r#"
topology: shop
language: 1
connections:
  bus: {kafka: {brokers: embedded}}
  api: {http: {url: "https://api.example.com", retries: 0, breaker: {failures: 3, cooldown: 60s}}}
  hosts: {web: {allow: [files.example.com], classify: {404: transient}}}
  spool: {object_store: {url: "{data}/spool"}}
  lake: {delta: {url: "{data}/tables"}}
topics:
  orders: {name: shop.orders.pending, external: written, message: {id: id!, link: string, pages: bool}}
tables:
  orders: {key: [id], columns: {id: id!, name: string, path: string}}
flows:
  orders:
    source:
      topic: orders
      group: orders
      retry: {workflow: orders, classify: {not in stock: permanent, "503 service": permanent, "418": transient}}
    stages:
      thing: {when: "!event.pages && !event.link", enrich: {connection: api, get: "/things/{event.id}"}}
      name: {when: thing, pick: thing.name, missing: {transient: The thing is NOT IN STOCK}}
      list: {when: event.pages, enrich: {connection: api, get: "/lists/{event.id}", paginate: {next: answer.next}, max_answer: 120B}}
      file: {when: event.link, download: {connection: hosts, spool: spool, url: event.link, name: event.id}}
    rows:
      order: {table: orders, from: file, columns: {id: event.id, path: file.path}}
      named: {table: orders, from: name, columns: {id: event.id, name: name}}
      listed: {table: orders, from: list, columns: {id: event.id, name: "to_string(length(list.data))"}}
"#;

const SUITE: &str = r#"
test: errors
language: 1
topology: shop.yaml
answers: {api: [{get: "/things/{id}", answer: {name: Ada}}]}
cases:
  a workflow names four delays and the dead letters:
    steps:
      - answer: {api: [{get: "/things/{id}", status: 500}]}
      - send: {orders: [{key: k, body: {id: 1}}]}
      - expect: {messages: {shop.orders.retry.5m: [{key: k, headers: {attempt: "1", error_category: transient}}]}}
      - advance: 299s
      - expect: {calls: {api: {count: 1}}}
      - advance: 1s
      - expect: {messages: {shop.orders.retry.10m: {count: 1}}}
      - advance: drained
      - expect:
          messages: {shop.orders.retry.20m: {count: 1}, shop.orders.retry.40m: {count: 1}, shop.orders.dlq: [{body: {id: 1}, headers: {attempt: "5", origin: {$like: "shop.orders.pending/*"}}}]}
          outcomes: {orders: {count: 5}}

  words of an error win over the tables:
    steps:
      - answer: {api: [{get: /things/2, status: 503}, {get: /things/3, answers: [{status: 418}, {answer: {name: Ada}}]}, {get: /things/4, answer: {}}]}
      - send: {orders: [{body: {id: 2}}, {body: {id: 3}}, {body: {id: 4}}]}
      - advance: drained
      - expect:
          outcomes:
            orders:
              - {status: dead, category: permanent, stage: thing, event: {id: "2"}}
              - {status: retried, category: transient, event: {id: "3"}}
              - {status: done, event: {id: "3"}}
              - {status: dead, category: permanent, stage: name, event: {id: "4"}}
          messages: {shop.orders.dlq: {count: 2}}

  a status of a file means what the connection says:
    steps:
      - serve: {https://files.example.com/a.jpg: {answers: [{status: 404}, {base64: /9j/4AAQSkZJRg==, headers: {content-type: image/jpeg}}]}}
      - send: {orders: [{body: {id: 5, link: "https://files.example.com/a.jpg"}}]}
      - advance: drained
      - expect: {outcomes: {orders: {ordered: [{status: retried, category: transient}, {status: done}]}}, rows: {orders: [{id: 5, path: "5"}]}}

  pages are bounded together:
    steps:
      - answer:
          api:
            - {get: /lists/6, answer: {data: [1, 2], next: /lists/6b}}
            - {get: /lists/6b, answer: {data: [3]}}
            - {get: /lists/7, answer: {data: [1], next: /lists/7b, fill: "0123456789012345678901234567890123456789"}}
            - {get: /lists/7b, answer: {data: [2], fill: "0123456789012345678901234567890123456789"}}
      - send: {orders: [{body: {id: 6, pages: true}}, {body: {id: 7, pages: true}}]}
      - advance: drained
      - expect:
          rows: {orders: [{id: 6, name: "3"}]}
          outcomes: {orders: [{status: done, calls: 2}, {status: dead, category: permanent, reason: {$like: "*120 bytes together*"}}]}

  an open breaker is no attempt, and what it keeps back is no call:
    steps:
      - answer: {api: [{get: "/things/{id}", answers: [{status: 500}, {status: 500}, {status: 500}, {answer: {name: Ada}}]}]}
      - send: {orders: [{body: {id: 1}}, {body: {id: 2}}, {body: {id: 3}}]}
      - expect: {outcomes: {orders: {count: 3}}}
      - send: {orders: [{body: {id: 4}}]}
      - advance: 50s
      - expect: {outcomes: {orders: []}, calls: {api: {count: 3}}}
      - advance: 15s
      - expect: {outcomes: {orders: [{status: done, attempts: 0, calls: 1}]}}
"#;

#[test]
fn failures_go_where_the_topology_says() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("shop.yaml"), TOPOLOGY).unwrap();
    let file = folder.path().join("errors.yaml");
    std::fs::write(&file, SUITE).unwrap();
    let report = run(&[file], None);
    assert!(report.passed(), "{}", report.render());
    assert_eq!(report.counts(), (5, 0));
}

/// What every message of an hour comes to: a thing, a file, or nothing, because nobody knows it.
fn fate(id: u32) -> &'static str {
    match id % 10 {
        5 => "file",
        9 => "dead",
        _ => "thing",
    }
}

/// An hour in which three calls and three downloads of ten fail: ten messages come every minute, tables refuse a commit or lose the
/// answer to one, the flow is killed every ten minutes. At its end the account holds each message once, with what became of it.
fn hour() -> String {
    let mut seed = 7u32;
    let mut draw = |end: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % end
    };
    let mut answers = |good: &str, faults: &[&str], count: usize| -> String {
        let one = |_| match draw(10) < 3 {
            true => faults[draw(u32::try_from(faults.len()).unwrap()) as usize],
            false => good,
        };
        let all: Vec<&str> = (0..count).map(one).collect();
        format!("{}, {good}", all.join(", "))
    };
    let slow = "{status: 429, headers: {retry-after: \"7\"}}";
    let [reset, truncated, timeout] =
        ["reset", "truncated", "timeout"].map(|fault| format!("{{text: \"{{}}\", fault: {fault}}}"));
    let broken = ["{status: 500}", slow, "{status: 401}", &reset, &truncated, &timeout];
    let calls = answers("{answer: {name: Ada}}", &[&broken[..], &["{text: \"<html>\"}"]].concat(), 3000);
    let photo = "{base64: /9j/4AAQSkZJRg==, headers: {content-type: image/jpeg}}";
    let files = answers(photo, &[&broken[..], &["{text: \"\"}", "{status: 404}"]].concat(), 600);
    let dead = (0..600).filter(|id| fate(*id) == "dead");
    let dead: Vec<String> = dead.map(|id| format!("{{get: /things/{id}, status: 404}}")).collect();
    let mut text = format!(
        "test: hour\nlanguage: 1\ntopology: shop.yaml\ncases:\n  an hour of faults:\n    steps:\n      \
         - answer: {{api: [{{get: \"/things/{{id}}\", answers: [{calls}]}}]}}\n      - answer: {{api: [{}]}}\n      \
         - serve: {{https://files.example.com/a.jpg: {{answers: [{files}]}}}}\n",
        dead.join(", ")
    );
    for minute in 0..60 {
        let body = |id: u32| match fate(id) {
            "file" => format!("{{body: {{id: {id}, link: \"https://files.example.com/a.jpg?n={id}\"}}}}"),
            _ => format!("{{body: {{id: {id}}}}}"),
        };
        let bodies: Vec<String> = (minute * 10..minute * 10 + 10).map(body).collect();
        if minute % 7 == 3 {
            text += "      - fail: {orders: {refuse: 1}, outcomes: {lose: 1}}\n";
        }
        text += &format!("      - send: {{orders: [{}]}}\n      - advance: 1m\n", bodies.join(", "));
        if minute % 10 == 9 {
            text += "      - restart: crash\n";
        }
    }
    let row = |id: u32| match fate(id) {
        "file" => format!("{{id: {id}, path: \"{id}\"}}"),
        _ => format!("{{id: {id}, name: Ada}}"),
    };
    let rows: Vec<String> = (0..600).filter(|id| fate(*id) != "dead").map(row).collect();
    let status = |id: u32| if fate(id) == "dead" { "dead" } else { "done" };
    let outcomes: Vec<String> = (0..600).map(|id| format!("{{id: {id}, status: {}}}", status(id))).collect();
    let letter = |id: u32| format!("{{body: {{id: {id}}}, headers: {{error_category: permanent}}}}");
    let letters: Vec<String> = (0..600).filter(|id| fate(*id) == "dead").map(letter).collect();
    text + &format!(
        "      - advance: drained\n      - expect:\n          rows: {{orders: [{}], outcomes: [{}]}}\n          \
         messages: {{shop.orders.dlq: [{}], shop.orders.pending: {{count: 600}}}}\n",
        rows.join(", "),
        outcomes.join(", "),
        letters.join(", ")
    )
}

#[test]
fn an_hour_of_faults_is_balanced_to_the_message() {
    let folder = tempfile::tempdir().unwrap();
    let table = "  outcomes: {key: [id], groups: {outcome: {version: at}}, columns: {id: id!, status: string, at: timestamp}}\n";
    let block = "      outcome: {table: outcomes, on: [done, skipped, retried, dead], when: event.id, columns: {id: event.id, status: outcome.status, at: outcome.at}}\n";
    let topology = TOPOLOGY.replace("retries: 0", "retries: 2").replace("flows:\n", &format!("{table}flows:\n"));
    // So many tries that nothing is given up by chance.
    let delays = "workflow: orders, delays: [1m, 2m, 4m, 8m, 16m, 20m, 25m, 30m]";
    let topology = topology.replace("workflow: orders", delays);
    std::fs::write(folder.path().join("shop.yaml"), topology.trim_end().to_owned() + "\n" + block).unwrap();
    let file = folder.path().join("hour.yaml");
    std::fs::write(&file, hour()).unwrap();
    let report = run(&[file], None);
    assert!(report.passed(), "{}", report.render());
}
