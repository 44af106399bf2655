//! The rules.

use super::source::{File, closing, files, has_word, production};

/// Fails with every problem, a line each.
fn none(rule: &str, problems: Vec<String>) {
    assert!(problems.is_empty(), "{rule}:\n  {}", problems.join("\n  "));
}

/// The lines of each file's code that `wrong` finds fault with.
fn lines(files: &[File], wrong: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (number, line) in file.code().lines().enumerate() {
            if wrong(&file.path, line) {
                found.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    found
}

/// Exceptions that no file needs any more must go.
fn used(list: &[(&str, &str)], paths: &[String]) -> Vec<String> {
    let unused = list.iter().filter(|(path, reason)| reason.is_empty() || !paths.iter().any(|p| p == path));
    unused.map(|(path, _)| format!("{path}: the exception is not needed, or has no reason")).collect()
}

/// Words of a domain. The last one also stands in `exactly`, and `github.com` is where code is.
const DOMAIN: &[&str] = &["claimx", "verisk", "policyholder", "adjuster", "github", "xact"];

fn has_domain_word(text: &str) -> bool {
    let text = text.to_lowercase().replace("github.com", "");
    DOMAIN.iter().any(|word| text.match_indices(word).any(|(at, _)| *word != "xact" || !text[..at].ends_with('e')))
}

#[test]
fn no_domain_word_in_engine_or_connectors() {
    assert!(has_domain_word("an XACT file") && has_domain_word("ClaimX") && !has_domain_word("exactly"));
    assert!(has_domain_word("of GitHub") && !has_domain_word("https://github.com/a/b"));
    let mut problems = Vec::new();
    for file in files(&["engine", "connectors"], &[".rs", ".toml", ".yaml", ".json", ".md"]) {
        for (number, line) in file.text.lines().enumerate().filter(|(_, line)| has_domain_word(line)) {
            problems.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
        }
    }
    none("what is particular to a domain stands in topologies/", problems);
}

/// A file longer than this has a reason.
const LINES: usize = 500;
/// No reason is good enough beyond.
const MOST_LINES: usize = 600;
/// Files that are longer, and why.
const LONG: &[(&str, &str)] =
    &[("connectors/src/conformance/table.rs", "one suite: what every table must do, case by case")];

#[test]
fn one_file_is_one_thing() {
    let mut problems = Vec::new();
    let mut long = Vec::new();
    for file in files(&["engine", "connectors", "tests", "benches"], &[".rs"]) {
        let count = file.text.lines().count();
        if count > LINES {
            if count > MOST_LINES || !LONG.iter().any(|(path, _)| *path == file.path) {
                problems.push(format!("{}: {count} lines", file.path));
            }
            long.push(file.path);
        }
    }
    problems.extend(used(LONG, &long));
    none("split it by meaning", problems);
}

#[test]
fn every_file_says_what_it_means() {
    let silent = files(&["engine", "connectors", "tests", "benches"], &[".rs"]).into_iter();
    let silent = silent.filter(|file| !file.text.starts_with("//! ")).map(|file| file.path).collect();
    none("a file begins with its module documentation", silent);
}

#[test]
fn the_environment_is_read_in_one_place() {
    let readers = ["engine/src/topology/env.rs"];
    let found = lines(&production(), |path, line| line.contains("env::var") && !readers.contains(&path));
    none("settings come through the topology, as `${NAME}`", found);
}

#[test]
fn no_global_mutable_state() {
    let mutable = ["Mutex", "RwLock", "Atomic", "OnceLock", "OnceCell", "LazyLock", "RefCell", "Cell<"];
    let found = lines(&production(), |_, line| {
        let line = line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        let global = line.starts_with("static ") && mutable.iter().any(|word| line.contains(word));
        global || ["static mut", "thread_local!", "lazy_static!"].iter().any(|word| line.contains(word))
    });
    none("state belongs to a value that somebody owns", found);
}

/// Where sets and maps are kept in memory, and what bounds each.
const SETS: &[(&str, &str)] = &[
    ("connectors/src/delta/commit.rs", "the properties of one commit"),
    ("connectors/src/delta/files.rs", "the data files of one version of a table"),
    ("connectors/src/delta/maintain.rs", "the small files of one version of a table"),
    ("connectors/src/delta/mod.rs", "the options of a store"),
    ("connectors/src/delta/open.rs", "the properties of a table"),
    ("connectors/src/delta/rewrite.rs", "the keys of one batch: the sink's flush limits"),
    ("connectors/src/embedded/store.rs", "the topics"),
    ("connectors/src/embedded/writer.rs", "the partitions of one transaction"),
    ("connectors/src/memory.rs", "a double of tests"),
    ("engine/src/dataflow/ledger.rs", "the open messages: the flow's byte budget"),
    ("engine/expr/src/functions/list.rs", "the elements of one list of one message"),
    ("engine/expr/src/keys.rs", "the keys of one commit: the sink's flush limits"),
    ("engine/src/sim/emission.rs", "the rows that a simulation implies"),
    ("engine/src/sim/eval.rs", "the attempts that a simulation has answered"),
    ("engine/src/stage/dedup.rs", "the keys of one window"),
    ("engine/src/stage/enrich.rs", "the groups that wait for their call: the flow's byte budget"),
    ("engine/src/stage/presence.rs", "a fixed number of keys, the oldest leave"),
    ("engine/src/stage/route.rs", "the declared cases"),
    ("engine/src/topology/node.rs", "the anchors of one file"),
];

#[test]
fn sets_in_memory_are_bounded() {
    let names = |line: &str| ["HashMap", "HashSet", "HashTable"].iter().any(|set| has_word(line, set));
    let mut problems = Vec::new();
    let mut paths = Vec::new();
    for file in production() {
        let kept = file.code().lines().any(|line| names(line) && !line.trim_start().starts_with("use "));
        if kept {
            if !SETS.iter().any(|(path, _)| *path == file.path) {
                problems.push(format!("{}: say in the list what bounds it", file.path));
            }
            paths.push(file.path);
        }
    }
    problems.extend(used(SETS, &paths));
    none("a set that only grows ends the process one day", problems);
}

/// The systems that keep a source's position, and where.
const POSITIONS: &[(&str, &str)] = &[
    ("connectors/src/file.rs", "files have no positions: one file of them, replaced as a whole"),
    ("connectors/src/kafka/source.rs", "the group's committed offsets"),
    ("connectors/src/local/source.rs", "the group's positions, in the log's own store"),
    ("engine/src/run/dry/look.rs", "nowhere: a dry run moves no position"),
];

#[test]
fn progress_is_the_position_of_the_source_and_nothing_else() {
    let mut problems = Vec::new();
    let mut paths = Vec::new();
    for file in production() {
        let code = file.code();
        if code.lines().any(|line| line.starts_with("impl") && line.contains("Source for ")) {
            if !POSITIONS.iter().any(|(path, _)| *path == file.path) {
                problems.push(format!("{}: say in the list where its position is kept", file.path));
            }
            paths.push(file.path.clone());
        }
        // Outside the poller, which hands on what the committer says, nobody moves a position.
        let engine = file.path.starts_with("engine/") && file.path != "engine/src/dataflow/poller.rs";
        if engine && ["source.commit(", "commit_with_records("].iter().any(|call| code.contains(call)) {
            problems.push(format!("{}: commits a position", file.path));
        }
    }
    problems.extend(used(POSITIONS, &paths));
    none("the frontier is the commit", problems);
}

/// Calls that block the thread they are made on.
const BLOCKING: &[&str] =
    &["std::fs::", "fs::File", "File::open(", "File::create(", "thread::sleep(", "TcpStream::connect(", "block_on("];
/// Calls whose arguments run on threads that may block.
const ASIDE: &[&str] = &["spawn_blocking(", "block_in_place(", "blocking("];

/// The bodies of async functions and blocks, without what they hand to blocking threads, with their lines.
fn async_bodies(code: &str) -> Vec<(usize, String)> {
    let mut bodies = Vec::new();
    for (at, _) in code.match_indices("async ") {
        let Some(open) = code[at..].find(['{', ';']).map(|found| at + found) else { continue };
        if code.as_bytes()[open] != b'{' {
            continue;
        }
        let mut body = code[open..closing(code, open)].to_owned();
        for call in ASIDE {
            let mut from = 0;
            while let Some(found) = body[from..].find(call).map(|found| from + found + call.len() - 1) {
                let end = closing(&body, found);
                let blank: String = body[found..end].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
                if blank.len() == end - found {
                    body.replace_range(found..end, &blank);
                }
                from = end;
            }
        }
        bodies.push((code[..open].lines().count(), body));
    }
    bodies
}

#[test]
fn async_code_does_not_block() {
    let sample = "async fn a() { spawn_blocking(|| std::fs::read(b)); c().await }\nasync fn d() { std::fs::read(e); }";
    let found = |(_, body): &(usize, String)| BLOCKING.iter().any(|call| body.contains(call));
    assert_eq!(async_bodies(sample).iter().map(found).collect::<Vec<_>>(), [false, true]);
    let mut problems = Vec::new();
    for file in production() {
        for (first, body) in async_bodies(&file.code()) {
            for (number, line) in body.lines().enumerate() {
                if BLOCKING.iter().any(|call| line.contains(call)) && !line.contains("tokio::fs") {
                    problems.push(format!("{}:{}: {}", file.path, first + number, line.trim()));
                }
            }
        }
    }
    problems.sort();
    problems.dedup();
    none("hand it to spawn_blocking", problems);
}

#[test]
fn nothing_is_left_for_later() {
    // A measurement is run by hand, and tests nothing.
    let allowed = ["connectors/src/delta/tests/measure.rs"];
    let mut problems = Vec::new();
    for file in files(&["engine", "connectors", "tests", "benches"], &[".rs"]) {
        let code = super::source::code(&file.text);
        for word in ["todo!(", "unimplemented!(", "#[ignore"] {
            if code.contains(word) && !allowed.contains(&file.path.as_str()) {
                problems.push(format!("{}: {word}", file.path));
            }
        }
    }
    none("finish it, or leave it out", problems);
}

#[test]
fn no_path_of_one_machine() {
    let homes = ["work", "root", "home", "Users"].map(|folder| format!("/{folder}/"));
    let mut problems = Vec::new();
    let folders = ["engine", "connectors", "tests", "benches", "topologies", "docs"];
    for file in files(&folders, &[".rs", ".toml", ".yaml", ".md", ".sh", ".env"]) {
        // A path begins where no name ends: `tmp/home/x` is a name, and so is the path of a url.
        let found = file.text.lines().enumerate().filter(|(_, line)| {
            let begins = |at: usize| line[..at].chars().next_back().is_none_or(|c| " \"'`(=:".contains(c));
            homes.iter().any(|home| line.match_indices(home.as_str()).any(|(at, _)| begins(at)))
        });
        problems.extend(found.map(|(number, line)| format!("{}:{}: {}", file.path, number + 1, line.trim())));
    }
    none("a clone runs anywhere", problems);
}

#[test]
fn only_the_dataflow_names_timely_and_differential() {
    let found = lines(&production(), |path, line| {
        !path.starts_with("engine/src/dataflow/")
            && ["timely", "differential_dataflow"].iter().any(|w| has_word(line, w))
    });
    none("the rest of the engine does not know how it is run", found);
}

/// Whether a line of code names a module of its crate, alone or in a group.
fn names_module(line: &str, module: &str) -> bool {
    has_word(line, &format!("crate::{module}")) || line.contains("crate::{") && has_word(line, module)
}

/// Modules of the engine, and which of its modules each must not name.
const LAYERS: &[(&str, &[&str])] = &[
    ("topology", &["stage", "dataflow", "run", "sim", "cli"]),
    ("plan", &["stage", "dataflow", "run", "sim", "cli"]),
    ("graph", &["stage", "dataflow", "run", "sim", "cli"]),
    ("stage", &["dataflow", "run", "sim", "cli"]),
    ("dataflow", &["run", "sim", "cli"]),
    // The simulation plays the outside: nothing of it goes through what it is there to check. Its file is read as theirs is.
    ("sim", &["plan", "stage", "dataflow", "run", "cli", "expr"]),
    ("run", &["explain", "sim", "cli"]),
    ("explain", &["sim", "cli"]),
];

#[test]
fn what_is_below_does_not_name_what_is_above() {
    let found = lines(&production(), |path, line| {
        let Some((_, above)) = LAYERS.iter().find(|(module, _)| path.starts_with(&format!("engine/src/{module}/")))
        else {
            return false;
        };
        above.iter().any(|module| names_module(line, module))
    });
    none("see the map in ARCHITECTURE.md", found);
}

#[test]
fn no_connector_knows_another() {
    let systems = ["kafka", "embedded", "file", "http", "download", "store", "delta", "memory", "memory_table"];
    let found = lines(&production(), |path, line| {
        let Some(rest) = path.strip_prefix("connectors/src/") else { return false };
        let own = rest.split(['/', '.']).next().unwrap_or_default();
        systems.iter().any(|system| {
            // One client for all that speaks http.
            let shared = own == "download" && *system == "http";
            systems.contains(&own) && own != *system && !shared && names_module(line, system)
        })
    });
    none("connectors meet in the traits", found);
}
