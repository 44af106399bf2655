//! Every key of a good topology, done wrong in every simple way: its block indented by two more or two less, its line alone, deleted,
//! doubled, misspelt. Each is one slip and gives one error, at its place; what cannot be held to that is listed with the reason.

use super::super::{Environment, Severity, load_str};

const SMALL: &str = include_str!("small.yaml");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slip {
    /// The key and what stands below it, by two blanks to the right.
    In,
    /// The same to the left.
    Out,
    /// The line of the key alone, to the right.
    LineIn,
    /// The same to the left.
    LineOut,
    /// The key and what stands below it are gone.
    Gone,
    /// They stand there twice.
    Twice,
    /// Two letters of the key change places.
    Misspelt,
}

const SLIPS: [Slip; 7] = [Slip::In, Slip::Out, Slip::LineIn, Slip::LineOut, Slip::Gone, Slip::Twice, Slip::Misspelt];

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The lines that begin with a key, as indexes.
fn keys(lines: &[&str]) -> Vec<usize> {
    let mut keys = Vec::new();
    let mut text_below = None;
    for (at, line) in lines.iter().enumerate() {
        if line.trim().is_empty() || text_below.is_some_and(|below| indent(line) > below) {
            continue;
        }
        text_below = line.ends_with(">-").then(|| indent(line));
        keys.push(at);
    }
    keys
}

/// The index behind what stands below a line.
fn end(lines: &[&str], at: usize) -> usize {
    let below = lines.iter().enumerate().skip(at + 1).filter(|(_, line)| !line.trim().is_empty());
    let inside = below.take_while(|(_, line)| indent(line) > indent(lines[at])).last();
    inside.map_or(at, |(last, _)| last) + 1
}

/// The key with two letters swapped, or with one more where all are alike.
fn misspelt(key: &str) -> String {
    let mut letters: Vec<char> = key.chars().collect();
    let last = letters.len() - 1;
    match (letters.len() / 2..last).find(|at| letters[*at] != letters[at + 1]) {
        Some(at) => letters.swap(at, at + 1),
        None => letters.push('x'),
    }
    letters.into_iter().collect()
}

/// The text with a slip at a line; none where the slip makes no other text.
fn slipped(lines: &[&str], at: usize, slip: Slip) -> Option<String> {
    let end = end(lines, at);
    let right = |line: &&str| if line.trim().is_empty() { String::new() } else { format!("  {line}") };
    let left = |line: &&str| line.strip_prefix("  ").unwrap_or(line).to_owned();
    let own = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let moves_alone = end > at + 1;
    let middle: Vec<String> = match slip {
        Slip::In => lines[at..end].iter().map(right).collect(),
        Slip::Out if indent(lines[at]) > 0 => lines[at..end].iter().map(left).collect(),
        Slip::LineIn if moves_alone => [vec![right(&lines[at])], own(&lines[at + 1..end])].concat(),
        Slip::LineOut if moves_alone && indent(lines[at]) > 0 => {
            [vec![left(&lines[at])], own(&lines[at + 1..end])].concat()
        }
        Slip::Gone => Vec::new(),
        Slip::Twice => [own(&lines[at..end]), own(&lines[at..end])].concat(),
        Slip::Misspelt => {
            let key = lines[at].trim_start().split(':').next()?;
            let line = lines[at].replacen(&format!("{key}:"), &format!("{}:", misspelt(key)), 1);
            [vec![line], own(&lines[at + 1..end])].concat()
        }
        Slip::Out | Slip::LineIn | Slip::LineOut => return None,
    };
    let all = [own(&lines[..at]), middle, own(&lines[end..])].concat();
    Some(all.join("\n") + "\n")
}

/// What gives no error, because it is a good topology as well: the lines.
const GOOD: &[(Slip, &[usize], &str)] = &[
    (
        Slip::Gone,
        &[10, 11, 21, 26, 27, 28, 29, 30, 42, 43, 44, 58, 69, 83, 84, 87, 92, 94, 96, 100, 109, 117],
        "nothing needs it",
    ),
    (
        Slip::Misspelt,
        &[6, 15, 26, 27, 28, 29, 30, 54, 69, 81, 88, 98, 104, 112],
        "a name that nothing says is as good as another",
    ),
    (
        Slip::In,
        &[8, 65, 70, 77, 98, 111, 113],
        "it stands alone below its key, and may be indented by any number of blanks",
    ),
];

/// What gives another number of errors than one: the line, the slip, the number, and why.
const SEVERAL: &[(usize, Slip, usize, &str)] = &[
    (54, Slip::Gone, 2, "a flow less: one topic has no reader, another no writer"),
    (63, Slip::Gone, 2, "two names are used that no stage binds any more"),
];

#[test]
fn one_slip_at_any_key_is_one_error_at_its_place() {
    let lines: Vec<&str> = SMALL.lines().collect();
    let mut found = Vec::new();
    let mut counted = 0;
    for at in keys(&lines) {
        for slip in SLIPS {
            let Some(text) = slipped(&lines, at, slip) else { continue };
            counted += 1;
            let problems = match load_str("t.yaml", &text, &Environment::default(), "/d") {
                Ok(loaded) => loaded.warnings,
                Err(problems) => problems,
            };
            let errors: Vec<_> = problems.items.iter().filter(|p| p.severity == Severity::Error).collect();
            let number = at + 1;
            let several = SEVERAL.iter().find(|(line, of, ..)| *line == number && *of == slip);
            let good = GOOD.iter().any(|(of, lines, _)| *of == slip && lines.contains(&number));
            let wanted = several.map_or(usize::from(!good), |(_, _, count, _)| *count);
            let moved = matches!(slip, Slip::In | Slip::Out | Slip::LineIn | Slip::LineOut);
            // What stands below a line that went alone may be told as well: it is to go with it.
            let last = if slip == Slip::LineIn { number + 1 } else { number };
            let at_it = |line: usize| (number..=last).contains(&line);
            let there = wanted != 1 || !moved || errors.iter().all(|problem| at_it(problem.position.line));
            if errors.len() != wanted || !there {
                found.push(format!("{number} `{}` {slip:?}: {} errors\n{problems}", lines[at].trim(), errors.len()));
            }
        }
    }
    assert!(counted > 500, "{counted}");
    assert!(found.is_empty(), "{} of {counted}\n{}", found.len(), found.join("\n"));
}

/// The shipped topologies are longer, and change: of some of their lines, at most one slip in forty may give more than one error.
#[test]
fn slips_in_what_is_shipped_are_one_error_each() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../topologies");
    let files = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let yaml = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let mut texts: Vec<String> = yaml.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    texts.sort_by_key(String::len);
    let (mut counted, mut several) = (0, Vec::new());
    for text in texts.iter().take(2) {
        let lines: Vec<&str> = text.lines().collect();
        for (nth, at) in keys(&lines).into_iter().enumerate().filter(|(nth, _)| nth % 9 == 4) {
            // A comment, or more of a text that goes on.
            if !lines[at].trim_start().starts_with(|c: char| c.is_ascii_lowercase()) || !lines[at].contains(':') {
                continue;
            }
            let Some(text) = slipped(&lines, at, SLIPS[nth / 9 % SLIPS.len()]) else { continue };
            counted += 1;
            let Err(problems) = load_str("t.yaml", &text, &Environment::default(), "/d") else { continue };
            let errors = problems.items.iter().filter(|p| p.severity == Severity::Error).count();
            if errors > 1 {
                several.push(format!("{} `{}` {errors} errors\n{problems}", at + 1, lines[at].trim()));
            }
        }
    }
    assert!(counted > 60, "{counted}");
    assert!(several.len() * 40 <= counted, "{} of {counted}\n{}", several.len(), several.join("\n"));
}
