//! `docs/new-domain.md` is true: its first topology runs, its snippets stand in the files, its commands end well, its settings
//! are those of the topology.

use std::collections::BTreeSet;

use super::topology;
use crate::program::{Engine, topologies};
use crate::words::words;

fn page() -> String {
    std::fs::read_to_string(topologies().join("../docs/new-domain.md")).unwrap()
}

/// The blocks of a kind, in their order.
fn blocks(page: &str, kind: &str) -> Vec<String> {
    let fence = format!("```{kind}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

/// The lines without what indents them.
fn trimmed(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_snippets_of_the_github_guide_stand_in_its_files() {
    let read = |path: &str| std::fs::read_to_string(topologies().join(path)).unwrap();
    let files = [read("github.yaml"), read("sim/github.yaml")];
    let files: Vec<Vec<&str>> = files.iter().map(|text| trimmed(text)).collect();
    let page = page();
    let snippets = blocks(&page, "yaml").split_off(2);
    assert!(snippets.len() > 10, "{} snippets", snippets.len());
    for snippet in &snippets {
        let lines = trimmed(snippet);
        let there = files.iter().any(|file| file.windows(lines.len()).any(|window| window == lines));
        assert!(there, "no file says this:\n{snippet}");
    }
}

#[test]
fn the_commands_of_the_github_guide_end_well() {
    let page = page();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir(folder.join("sim")).unwrap();
    for (name, text) in ["devices.yaml", "sim/devices.yaml"].iter().zip(blocks(&page, "yaml")) {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let place = |word: String| match word.split('/').next() {
        Some("topologies") => topologies().join("..").join(word).display().to_string(),
        Some("devices.yaml" | "data-devices" | "data-github") => folder.join(word).display().to_string(),
        _ => word,
    };
    let mut ran = 0;
    for line in blocks(&page, "sh").iter().flat_map(|block| block.lines()) {
        let command = line.strip_prefix("cargo run -- ").unwrap_or_else(|| panic!("not run by this test: {line}"));
        let engine = words(command).into_iter().map(place).fold(Engine::default(), Engine::arg);
        let ended = engine.finish().expect(0);
        let simulated = !command.contains("--sim") || ended.out.starts_with("drained and balanced\n");
        assert!(simulated && !(ended.out + &ended.err).is_empty(), "{line}");
        ran += 1;
    }
    assert!(ran >= 7, "{ran} commands");
}

#[test]
fn the_settings_of_the_github_guide_are_those_of_the_topology() {
    let named = |text: &str, begin: &str| -> BTreeSet<String> {
        let name = |rest: &str| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap().to_owned();
        text.split(begin)
            .skip(1)
            .map(name)
            .filter(|name| name.starts_with("GITHUB_") || name.starts_with("KAFKA_"))
            .collect()
    };
    let table: String = page().lines().filter(|line| line.starts_with("| `")).collect();
    let used = named(&std::fs::read_to_string(topology()).unwrap(), "${");
    assert_eq!(named(&table, "`"), used);
    let provided = std::fs::read_to_string(topologies().join("sim/github.yaml")).unwrap();
    let provided: BTreeSet<String> = provided
        .lines()
        .filter_map(|line| line.strip_prefix("  GITHUB_")?.split(':').next().map(|name| format!("GITHUB_{name}")))
        .collect();
    assert!(!provided.is_empty() && provided.is_subset(&used), "{provided:?}");
}
