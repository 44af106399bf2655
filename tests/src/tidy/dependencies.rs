//! Rules about the packages: what they inherit, what they depend on, and that the README says why.

use std::collections::BTreeSet;

use super::source::root;

const MEMBERS: &[&str] = &["engine", "engine/expr", "connectors", "tests", "benches"];

fn manifest(member: &str) -> String {
    std::fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap()
}

/// The names below the headings of dependencies.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            let end = line.find(['.', ' ', '=']).unwrap_or(line.len());
            names.insert(line[..end].to_owned());
        }
    }
    names
}

#[test]
fn every_package_inherits() {
    for member in MEMBERS {
        let text = manifest(member);
        for line in [
            "edition.workspace = true",
            "rust-version.workspace = true",
            "license.workspace = true",
            "[lints]\nworkspace = true",
        ] {
            assert!(text.contains(line), "{member}/Cargo.toml lacks {line:?}");
        }
        for name in dependencies(&text) {
            let inherited = text.lines().any(|line| line.starts_with(&name) && line.contains("workspace"));
            assert!(inherited, "{member}: {name} has a version of its own; versions stand in the root");
        }
    }
}

#[test]
fn the_workspace_declares_nothing_that_nobody_uses() {
    let declared = dependencies(&std::fs::read_to_string(root().join("Cargo.toml")).unwrap());
    let used: BTreeSet<String> = MEMBERS.iter().flat_map(|m| dependencies(&manifest(m))).collect();
    let unused: Vec<_> = declared.difference(&used).collect();
    assert!(unused.is_empty(), "no package uses {unused:?}");
}

#[test]
fn the_readme_says_why_for_every_dependency() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let table = readme.split("## Dependencies").nth(1).expect("a section `Dependencies`");
    let table = table.split("\n## ").next().unwrap_or_default();
    let mut told = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert!(cells.len() == 3 && cells.iter().all(|cell| !cell.is_empty()), "not three cells: {row}");
        told.extend(cells[0].split(", ").map(|name| name.trim_matches('`').to_owned()));
    }
    let mut used: BTreeSet<String> = MEMBERS.iter().flat_map(|m| dependencies(&manifest(m))).collect();
    used.retain(|name| !MEMBERS.iter().any(|member| member.rsplit('/').next() == Some(name)));
    let (missing, gone): (Vec<_>, Vec<_>) = (used.difference(&told).collect(), told.difference(&used).collect());
    assert!(missing.is_empty() && gone.is_empty(), "not in the table: {missing:?}; not used: {gone:?}");
}
