//! Simulations, whose reader says in words what is wrong: its places become positions.

use std::path::Path;

use crate::sim;
use crate::topology::{self, Diagnostic, Diagnostics, Source, Span, code};

/// What is wrong with the simulation in a file.
pub fn check(path: &Path) -> Diagnostics {
    let source = match topology::read(path) {
        Ok(source) => source,
        Err(problems) => return problems,
    };
    let Err(told) = sim::load(path) else { return Diagnostics::default() };
    let items = told.iter().map(|text| problem(text, &source)).collect();
    Diagnostics::new(items, vec![source])
}

/// `FILE:LINE: what`, `FILE: error: line L column C: what` or `FILE: what`.
fn problem(text: &str, source: &Source) -> Diagnostic {
    let rest = text.strip_prefix(&*source.name).unwrap_or(text);
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let (line, column, message) = match rest.split_once(": ").map(|(line, message)| (line.parse::<usize>(), message)) {
        Some((Ok(line), message)) => (line, None, message),
        _ => {
            let (line, column) = (number_behind(rest, "line "), number_behind(rest, "column "));
            let message = rest.lines().next().unwrap_or("").trim();
            let message = message.strip_prefix("error: ").unwrap_or(message);
            (line.unwrap_or(1), column, message)
        }
    };
    let written = source.line(line);
    let first = written.len() - written.trim_start().len();
    let within =
        column.and_then(|column| written.char_indices().nth(column.saturating_sub(1))).map_or(first, |(at, _)| at);
    let start = source.start(line) + within;
    let span = Span { start, end: source.start(line) + written.len() };
    Diagnostic::new(code::SIMULATION, source, span, message)
}

fn number_behind(text: &str, word: &str) -> Option<usize> {
    let digits: String = text.split_once(word)?.1.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_become_positions() {
        let source = Source::new("s.yaml", "a: 1\n  b: 2\nc: 3\n");
        for (text, line, column, message) in [
            ("s.yaml:2: wrong: here", 2, 3, "wrong: here"),
            ("s.yaml: error: line 3 column 4: no such thing\n  more", 3, 4, "line 3 column 4: no such thing"),
            ("s.yaml: language 2 is not known", 1, 1, "language 2 is not known"),
        ] {
            let problem = problem(text, &source);
            let position = &problem.position;
            assert_eq!((position.line, position.column, problem.message.as_str()), (line, column, message));
        }
    }
}
