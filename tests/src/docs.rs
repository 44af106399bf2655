//! What the documentation shows is true: its tables are those of the code, its example runs, its links lead somewhere.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use connectors::clock::SystemClock;
use connectors::log::Record;
use engine::expr::functions;
use engine::run::drained::Watch;
use engine::run::{self, Embedded, Local, Options, summary::Summary};
use engine::topology::{Environment, load};

/// The folder of the repository.
pub fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text of one of its files.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The block of code behind the first line that is `heading`.
fn block(text: &str, heading: &str) -> String {
    let after = text.split_once(heading).unwrap_or_else(|| panic!("no {heading:?}")).1;
    let body = after.split_once("```").unwrap().1.split_once('\n').unwrap().1;
    body.split_once("```").unwrap().0.to_owned()
}

#[test]
fn every_function_is_in_its_reference() {
    let rows: String = functions::all()
        .map(|f| format!("| `{}` | {} |\n", f.signature.replace('|', "\\|"), f.about.replace('|', "\\|")))
        .collect();
    let page = read("docs/expressions.md");
    let wanted = format!("<!-- functions -->\n| Function | What it is |\n|---|---|\n{rows}<!-- end -->");
    assert!(page.contains(&wanted), "docs/expressions.md must hold exactly this:\n{wanted}");
}

/// `page` names every key of `schema`, which has more than `least`.
pub fn assert_every_key_is_named(page: &str, schema: &serde_json::Value, least: usize) {
    fn keys(schema: &serde_json::Value, into: &mut std::collections::BTreeSet<String>) {
        if let Some(properties) = schema.get("properties").and_then(|p| p.as_object()) {
            into.extend(properties.keys().cloned());
        }
        match schema {
            serde_json::Value::Object(members) => members.values().for_each(|value| keys(value, into)),
            serde_json::Value::Array(items) => items.iter().for_each(|value| keys(value, into)),
            _ => {}
        }
    }
    let mut all = std::collections::BTreeSet::new();
    keys(schema, &mut all);
    assert!(all.len() > least, "{} keys", all.len());
    let text = read(page);
    let words: std::collections::BTreeSet<&str> =
        text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
    let missing: Vec<_> = all.iter().filter(|key| !words.contains(key.as_str())).collect();
    assert!(missing.is_empty(), "{page} does not name {missing:?}");
}

#[test]
fn the_expressions_of_the_reference_have_the_values_it_says() {
    use engine::expr::{Bindings, Env, Expr, Scope, json};
    let page = read("docs/expressions.md");
    let event = json::parse(block(&page, "The examples read this document").as_bytes()).unwrap();
    let mut bindings = Bindings::default();
    bindings.set("event".into(), event);
    let env = Env::at(1_768_046_400_000_000);
    let scope = Scope { bindings: &bindings, root: None, env: &env };
    let mut seen = 0;
    for row in page.split("<!-- examples -->").nth(1).unwrap().split("<!-- end -->").next().unwrap().lines().skip(3) {
        // `a \| b` in a table is `a | b`; code that holds a backtick stands between several.
        let row = row.replace("\\|", "\u{1}");
        let code = |cell: &str| cell.trim().trim_matches('`').trim().replace('\u{1}', "|");
        let cells: Vec<String> = row.trim_matches('|').split('|').map(code).collect();
        let (expr, value) = (&cells[0], &cells[1]);
        let found = Expr::parse(expr).unwrap().eval(&scope).unwrap();
        assert_eq!(json::to_text(&found), *value, "{expr}");
        seen += 1;
    }
    assert!(seen >= 10, "{seen} examples");
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for page in [
        "README.md",
        "ARCHITECTURE.md",
        "docs/language.md",
        "docs/errors.md",
        "docs/expressions.md",
        "docs/operations.md",
        "docs/simulation.md",
        "docs/claimx.md",
        "docs/new-domain.md",
        "docs/testing.md",
        "docs/tutorial.md",
        "docs/xact.md",
    ] {
        let text = read(page);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            if !path.contains("://") && !path.is_empty() && !root().join(page).parent().unwrap().join(path).exists() {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn every_module_on_the_map_is_there() {
    let text = read("ARCHITECTURE.md");
    let mut seen = 0;
    for row in text.lines().filter(|line| line.starts_with("| `engine/") || line.starts_with("| `connectors/")) {
        for path in row.split('|').nth(1).unwrap().split(',') {
            let path = path.trim().trim_matches('`');
            assert!(root().join(path).exists(), "ARCHITECTURE.md names {path}");
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen} paths");
}

/// The tests that the table of invariants names are there.
#[test]
fn every_invariant_is_held_by_tests_that_exist() {
    let mut code = String::new();
    for folder in ["engine/src", "engine/expr/src", "connectors/src", "tests/src"] {
        code.extend(crate::tidy::files(&[folder], &[".rs"]).into_iter().map(|file| file.text));
    }
    let text = read("ARCHITECTURE.md");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| I")).collect();
    assert_eq!(rows.len(), 9);
    for row in rows {
        let tests = row.trim_matches('|').split('|').nth(3).unwrap();
        let names: Vec<&str> = tests.split(',').map(|name| name.trim().trim_matches('`')).collect();
        for name in names {
            assert!(code.contains(&format!("fn {name}(")), "no test is called {name:?}: {row}");
        }
    }
}

/// The page of problems has a row for each code, with its meaning and what to do, and no other.
#[test]
fn every_code_is_on_the_page() {
    let page = read("docs/errors.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `E") || line.starts_with("| `W")).collect();
    assert_eq!(rows.len(), engine::topology::CODES.len());
    for (row, (code, text)) in rows.iter().zip(engine::topology::CODES) {
        let told =
            row.strip_prefix(&format!("| `{code}` | {text} | ")).unwrap_or_else(|| panic!("{code} in place of\n{row}"));
        assert!(told.len() > 12, "{row}");
    }
}

/// The page of operations names every metric with its labels, and no other.
#[test]
fn every_metric_is_on_the_page() {
    use engine::observe::series::{ALL, Kind};
    let page = read("docs/operations.md");
    let names = |line: &&str| line.starts_with("| `engine_") || line.starts_with("| `process_");
    let rows: Vec<&str> = page.lines().filter(names).collect();
    let expected: Vec<String> = ALL
        .iter()
        .map(|series| {
            let kind = match series.kind {
                Kind::Counter => "counter",
                Kind::Sum | Kind::Highest => "gauge",
                Kind::Histogram => "histogram",
            };
            let labels: Vec<String> = series.labels.iter().map(|label| format!("`{label}`")).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("; {}", labels.join(", ")) };
            format!("| `{}` | {kind}{labels} |", series.name)
        })
        .collect();
    assert_eq!(rows.len(), expected.len());
    for (told, expected) in rows.iter().zip(&expected) {
        assert!(told.starts_with(expected), "{expected} in place of\n{told}");
    }
}

/// Runs the topology in `folder` until it is drained. `lines` are put on its topic first.
async fn drain(folder: &Path, file: &str, lines: &str) -> Summary {
    let data = folder.join("data");
    let plan = match load(&folder.join(file), &Environment::default(), &data) {
        Ok(loaded) if loaded.warnings.items.is_empty() => loaded.plan,
        Ok(loaded) => panic!("{}", loaded.warnings.render()),
        Err(problems) => panic!("{}", problems.render()),
    };
    let options = Options {
        data,
        workers: 1,
        create_topics: true,
        local: Local::Refused,
        discard: false,
        embedded: Embedded::default(),
        clock: Arc::new(SystemClock::new(0.001)),
    };
    let run = run::run(plan, &options).await.unwrap();
    if run.reads_topics() {
        let record = |line: &str| Record {
            topic: "shop.orders".into(),
            key: None,
            payload: line.to_owned().into(),
            headers: Vec::new(),
        };
        let producer = run.outside.first_log().unwrap().producer().await.unwrap();
        producer.send(lines.lines().map(record).collect()).await.unwrap();
    }
    let mut watch = Watch::default();
    while !watch.look(std::slice::from_ref(&run), false).await.unwrap() {
        assert_eq!(run.failure(), None);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    run.stop();
    let plan = run.plan.clone();
    let (outside, problems) = run.join(Duration::from_secs(60)).await;
    assert!(problems.is_empty(), "{problems:?}");
    Summary::read(&plan, &outside).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_the_readme_runs() {
    let readme = read("README.md");
    let folder = tempfile::tempdir().unwrap();
    let lines = block(&readme, "`orders.jsonl`");
    std::fs::write(folder.path().join("orders.yaml"), block(&readme, "`orders.yaml`")).unwrap();
    let summary = drain(folder.path(), "orders.yaml", &lines).await;
    let rows: Vec<_> = summary.tables.iter().map(|(name, rows, _)| (name.as_str(), *rows)).collect();
    assert_eq!((rows, summary.dead_letters()), (vec![("orders", 1)], 1));
}

/// The same topology with the file as its source, twice: the second run reads nothing again.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_place_of_the_topic_gives_the_same_table() {
    let readme = read("README.md");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.jsonl");
    std::fs::write(&path, block(&readme, "`orders.jsonl`")).unwrap();
    let mut topology = String::new();
    for line in block(&readme, "`orders.yaml`").lines() {
        let file = format!(
            "      file: {{path: {}, message: {{id: id!, customer: string, at: timestamp!, lines: json}}}}",
            path.display()
        );
        match line.trim() {
            "topic: orders" => topology += &file,
            line if ["group: ", "retry: ", "bus: "].iter().any(|key| line.starts_with(key)) => continue,
            _ => topology += line,
        }
        topology += "\n";
    }
    // Nothing is left of the topic.
    let (before, rest) = topology.split_once("topics:").unwrap();
    let topology = format!("{before}tables:{}", rest.split_once("tables:").unwrap().1);
    std::fs::write(folder.path().join("orders.yaml"), topology).unwrap();
    for _ in 0..2 {
        let summary = drain(folder.path(), "orders.yaml", "").await;
        assert_eq!(summary.tables.iter().map(|(_, rows, _)| *rows).collect::<Vec<_>>(), [1]);
    }
    let positions = std::fs::read_to_string(folder.path().join("data/positions/orders.orders.json")).unwrap();
    assert!(positions.contains("orders.jsonl"), "{positions}");
}
