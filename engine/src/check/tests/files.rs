//! What `engine validate` says of files: those that cannot be read, those that are no topologies, and those that clash.

use std::path::{Path, PathBuf};

use super::super::{Checked, check};
use super::shipped;
use crate::topology::Environment;

const SMALL: &str = include_str!("../../topology/tests/small.yaml");

fn validate(paths: &[&Path]) -> Vec<Checked> {
    let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
    check(&paths, &Environment::default(), Path::new("/d"))
}

/// Code, line and column of the problems of one file.
fn found(path: &Path) -> Vec<(&'static str, usize, usize)> {
    let checked = validate(&[path]).remove(0);
    checked.diagnostics.items.iter().map(|p| (p.code, p.position.line, p.position.column)).collect()
}

#[test]
fn what_is_shipped_has_no_problem_and_no_warning() {
    let paths = shipped();
    let all = check(&paths, &Environment::default(), Path::new("/d"));
    for file in &all {
        assert_eq!(file.diagnostics.render(), "", "{}", file.summary());
        assert!(file.plan.is_some());
    }
}

#[test]
fn files_that_are_no_text() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let latin = file("latin.yaml", b"topology: shop\nabout: caf\xe9\n");
    assert_eq!(found(&latin), [("E0001", 2, 11)]);
    assert!(validate(&[&latin])[0].render().contains("the byte 0xe9 is not UTF-8"));
    let wide: Vec<u8> =
        [0xff, 0xfe].into_iter().chain("topology: x".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert!(validate(&[&file("wide.yaml", &wide)])[0].render().contains("it is UTF-16"));
    assert_eq!(found(folder.path()), [("E0001", 1, 1)]);
    assert!(validate(&[folder.path()])[0].render().contains("it is a folder"));
    let missing = validate(&[&folder.path().join("latim.yaml")]).remove(0);
    let help = missing.diagnostics.items[0].help.clone().unwrap();
    assert!(help.contains("latin.yaml"), "{help}");
    assert!(!missing.starts());
    for empty in ["", "\n\n", "# nothing\n"] {
        let checked = validate(&[&file("empty.yaml", empty.as_bytes())]).remove(0);
        assert_eq!(checked.diagnostics.items.len(), 1, "{}", checked.render());
        assert!(checked.render().contains("the file is empty"));
    }
}

#[test]
fn a_byte_order_mark_and_other_line_ends_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.yaml");
    let broken = SMALL.replace("      group: orders\n", "      gruop: orders\n");
    let line = broken.lines().position(|line| line.contains("gruop")).unwrap() + 1;
    for text in [broken.clone(), format!("\u{feff}{broken}"), broken.replace('\n', "\r\n")] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(found(&path), [("E0101", line, 7)]);
    }
    std::fs::write(&path, SMALL.replace('\n', "\r\n")).unwrap();
    assert_eq!(found(&path), []);
}

#[test]
fn a_simulation_is_checked_with_its_topology() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.yaml");
    std::fs::write(&path, SMALL.replace("language: 1\n", "language: 1\nsimulation: sim.yaml\n")).unwrap();
    assert_eq!(found(&path), [("E0001", 3, 13)]);
    std::fs::write(folder.path().join("sin.yaml"), "").unwrap();
    let help = validate(&[&path])[0].diagnostics.items[0].help.clone().unwrap();
    assert!(help.contains("sin.yaml"), "{help}");
    let simulation = folder.path().join("sim.yaml");
    let good = include_str!("../../sim/good.yaml");
    std::fs::write(&simulation, good.replace("step: 1s", "stpe: 1s")).unwrap();
    let line = good.lines().position(|line| line.contains("step: 1s")).unwrap() + 1;
    for path in [&path, &simulation] {
        let checked = validate(&[path]).remove(0);
        let problem = &checked.diagnostics.items[0];
        assert_eq!((problem.code, problem.position.line), ("E0101", line), "{}", checked.render());
        assert!(problem.position.file.ends_with("sim.yaml"));
    }
    // Without its events it says no less what it is.
    let rest = good.split("events:\n").next().unwrap();
    std::fs::write(&simulation, rest).unwrap();
    assert_eq!(found(&simulation), [("E0102", 1, 1)]);
}

#[test]
fn tests_of_topologies_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("shop.yaml"), SMALL).unwrap();
    let path = folder.path().join("suite.yaml");
    let suite = "test: shop\nlanguage: 1\ntopology: shop.yaml\ncases:\n  one:\n    steps: [{advance: drained}]\n";
    std::fs::write(&path, suite).unwrap();
    let checked = validate(&[&path]).remove(0);
    assert_eq!(checked.diagnostics.render(), "");
    assert!(checked.starts() && checked.summary().ends_with("valid; cases: 1"), "{}", checked.summary());
    std::fs::write(&path, suite.replace("steps:", "stpes:")).unwrap();
    assert_eq!(found(&path), [("E0101", 6, 5)]);
    std::fs::write(&path, suite.replace("shop.yaml", "shp.yaml")).unwrap();
    assert_eq!(found(&path), [("E0001", 3, 11)]);
}

#[test]
fn what_two_files_claim_is_told_at_the_second() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let shop = file("shop.yaml", SMALL);
    let other = file("other.yaml", &SMALL.replace("topology: shop", "topology: other"));
    let both = validate(&[&shop, &other]);
    assert!(both[0].starts() && !both[1].starts());
    let places: Vec<_> = both[1].diagnostics.items.iter().map(|p| (p.code, p.position.line)).collect();
    let line = |text: &str| SMALL.lines().position(|line| line == text).unwrap() + 1;
    let (source, links) = (line("      topic: orders") - 1, line("      topic: links") - 1);
    // Tables, then group and retry topics of the one flow, the group of the other.
    let expected = [
        ("E0305", line("  customers:")),
        ("E0305", line("    parent: customers") - 3),
        ("E0305", source),
        ("E0305", source),
        ("E0305", source),
        ("E0305", links),
    ];
    assert_eq!(places, expected, "{}", both[1].render());
    let twice = validate(&[&shop, &shop]);
    assert_eq!(twice[1].diagnostics.items.iter().map(|p| p.code).collect::<Vec<_>>(), ["E0209"]);
    let apart = file(
        "apart.yaml",
        &SMALL
            .replace("topology: shop", "topology: apart")
            .replace("{data}/tables", "{data}/a")
            .replace("SHOP_PREFIX:-shop", "SHOP_PREFIX:-apart"),
    );
    assert!(validate(&[&shop, &apart]).iter().all(Checked::starts));
}
