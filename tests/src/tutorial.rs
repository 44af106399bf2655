//! `docs/tutorial.md` is true: whoever does what it says sees what it shows.
//!
//! The page is run from top to bottom in an empty folder. A block `sh` is commands, one a line, which end with status 0 or the one that a
//! comment behind them says. A block `text` or `mermaid` is what the last command showed: each of its lines stands in the output, in
//! this order, and `…` is anything. A block `diff FILE` is an edit, whose old lines stand in the file exactly once, and `yaml FILE` a new
//! file. Other blocks would be read and not done, so there are none.

use std::path::Path;

use crate::docs::read;
use crate::program::Engine;
use crate::words::{Block, blocks, words};

/// Whether `line` is what `pattern` says.
fn fits(pattern: &str, line: &str) -> bool {
    let parts: Vec<&str> = pattern.trim().split('…').collect();
    let mut rest = line.trim();
    for (at, part) in parts.iter().enumerate() {
        let found = if at == 0 { rest.starts_with(part).then_some(0) } else { rest.find(part) };
        let Some(found) = found else { return false };
        rest = &rest[found + part.len()..];
    }
    rest.is_empty() || parts.last().is_some_and(|last| last.is_empty())
}

#[test]
fn a_pattern_fits_what_it_means() {
    for (pattern, line, fit) in [
        ("a b", "  a b", true),
        ("a b", "a b c", false),
        ("a …", "a b c", true),
        ("… c", "a b c", true),
        ("a … c", "a b c", true),
        ("a … d", "a b c", false),
        ("b", "a b", false),
    ] {
        assert_eq!(fits(pattern, line), fit, "{pattern} of {line}");
    }
}

/// Fails unless the lines of `shown` stand in `output`, in their order.
fn assert_shows(block: &Block, output: &str) {
    let mut lines = output.lines();
    for wanted in block.text.lines().filter(|line| !line.trim().is_empty()) {
        let there = lines.any(|line| fits(wanted, line));
        assert!(there, "line {} of the page: the output does not show {wanted:?}:\n{output}", block.line);
    }
}

/// The file with the edit of a block in it.
fn edited(block: &Block, file: &str) -> String {
    let (mut old, mut new) = (String::new(), String::new());
    for line in block.text.lines() {
        let (sign, rest) = line.split_at(line.len().min(1));
        match sign {
            "-" => old += &format!("{rest}\n"),
            "+" => new += &format!("{rest}\n"),
            _ => {
                old += &format!("{rest}\n");
                new += &format!("{rest}\n");
            }
        }
    }
    let times = format!("\n{file}").matches(&format!("\n{old}")).count();
    assert_eq!(
        times, 1,
        "line {} of the page: these lines stand {times} times in the file:\n{old}\n{file}",
        block.line
    );
    file.replacen(&old, &new, 1)
}

/// Runs the commands of a block; what they said.
fn ran(block: &Block, folder: &Path) -> String {
    let mut said = String::new();
    for line in block.text.lines() {
        let (command, comment) = line.split_once('#').unwrap_or((line, ""));
        let status = comment.trim().strip_prefix("exit status ").map_or(0, |status| status.parse().unwrap());
        let command = command.trim().strip_prefix("engine ").unwrap_or_else(|| panic!("no command of ours: {line}"));
        let mut engine = words(command).into_iter().fold(Engine::default(), Engine::arg).within(folder);
        if command.starts_with("run ") {
            engine = engine.arg("--metrics-port").arg(0);
        }
        let ended = engine.finish().expect(status);
        said = format!("{}{}", ended.out, ended.err);
    }
    said
}

#[test]
fn the_tutorial_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (mut said, mut commands, mut edits, mut outputs) = (String::new(), 0, 0, 0);
    for block in blocks(&read("docs/tutorial.md")) {
        let (kind, file) = block.info.split_once(' ').unwrap_or((&block.info, ""));
        let path = folder.join(file);
        match kind {
            "sh" => {
                said = ran(&block, folder);
                commands += block.text.lines().count();
            }
            "text" | "mermaid" => {
                assert_shows(&block, &said);
                outputs += 1;
            }
            "diff" => {
                std::fs::write(&path, edited(&block, &std::fs::read_to_string(&path).unwrap())).unwrap();
                edits += 1;
            }
            "yaml" => {
                assert!(!file.is_empty() && !path.exists(), "line {} of the page", block.line);
                std::fs::write(&path, &block.text).unwrap();
                edits += 1;
            }
            other => panic!("line {} of the page: a block {other:?}", block.line),
        }
    }
    assert!(commands >= 15 && edits >= 10 && outputs >= 8, "{commands} commands, {edits} edits, {outputs} outputs");
}
