//! `engine new`: what it writes is a topology that runs, and it writes over nothing.

use std::collections::BTreeMap;
use std::path::Path;

use crate::program::{Engine, files};
use crate::words::words;

fn written(folder: &Path, name: &str) -> BTreeMap<String, Vec<u8>> {
    let ended = Engine::new("new").arg(name).within(folder).finish().expect(0);
    for file in [format!("{name}.yaml"), format!("sim/{name}.yaml"), format!("tests/{name}/orders.yaml")] {
        assert!(
            ended.err.contains(&format!("wrote {file}\n")) && folder.join(&file).is_file(),
            "{file}: {}",
            ended.err
        );
    }
    files(folder)
}

#[test]
fn what_it_says_to_do_next_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let said = Engine::new("new").arg("shop").within(folder).finish().expect(0).err;
    let commands: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("  engine ")).collect();
    let verbs: Vec<&str> = commands.iter().filter_map(|command| command.split(' ').next()).collect();
    assert_eq!(verbs, ["validate", "run", "test", "query", "graph"]);
    for command in commands {
        let ended = words(command).into_iter().fold(Engine::default(), Engine::arg).within(folder).finish().expect(0);
        let says = match command.split(' ').next() {
            // No warning stands before the summary.
            Some("validate") => ended.err == "shop.yaml: valid; flows: 1, tables: 1, topics: 1\n",
            Some("run") => ended.out.starts_with("drained and balanced\n"),
            Some("test") => ended.out == "shop orders: 4 passed, 0 failed\n",
            Some("query") => ended.out.contains("customer_name"),
            _ => ended.out.starts_with("flowchart TD\n"),
        };
        assert!(says, "{command}\n{}\n{}", ended.out, ended.err);
    }
}

#[test]
fn it_runs_and_is_balanced_with_every_seed() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), "a_1");
    for seed in [2, 3] {
        let data = folder.path().join(format!("data{seed}"));
        let ended = Engine::simulate(&folder.path().join("a_1.yaml"), &data, seed, 500).finish().expect(0);
        assert!(ended.out.starts_with("drained and balanced\n"), "{}", ended.out);
    }
}

#[test]
fn nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let before = written(folder.path(), "shop");
    let again = Engine::new("new").arg("shop").within(folder.path()).finish().expect(2);
    assert!(again.err.contains("shop.yaml, sim/shop.yaml, tests/shop/orders.yaml is there already"), "{}", again.err);
    assert!(again.err.contains("choose another name or --dir"), "{}", again.err);

    // One file that is there is enough, and then no other is written.
    let other = folder.path().join("other");
    std::fs::create_dir_all(other.join("sim")).unwrap();
    std::fs::write(other.join("sim/shop.yaml"), "mine").unwrap();
    let refused = Engine::new("new").arg("shop").arg("--dir").arg("other").within(folder.path()).finish().expect(2);
    assert!(refused.err.contains("error: other/sim/shop.yaml is there already"), "{}", refused.err);
    let mut expected = before;
    expected.insert("other/sim/shop.yaml".to_owned(), b"mine".to_vec());
    assert!(files(folder.path()) == expected);
    Engine::new("new").arg("mall").arg("--dir").arg("other").within(folder.path()).finish().expect(0);
    assert!(other.join("tests/mall/orders.yaml").is_file());
}

#[test]
fn what_is_no_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["my-shop", "1st", "", "a b", "../up", "a/b", "größe", "a.b", "${A}"] {
        let refused = Engine::new("new").arg(name).within(folder.path()).finish().expect(2);
        let says = format!("`{name}` cannot be the name of a topology");
        assert!(refused.err.contains(&says) && refused.err.contains("letters, digits and `_`"), "{}", refused.err);
    }
    assert!(files(folder.path()).is_empty());
}
