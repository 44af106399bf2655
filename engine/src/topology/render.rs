//! Problems as a person and as a program read them. No secret is shown: neither is one in the line a problem is in.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::diagnostic::{Diagnostic, Position, Severity};
use super::source::Source;

/// Parts of keys whose values no line shows.
const SECRETS: &[&str] = &[
    "password",
    "passwd",
    "pasword",
    "passwort",
    "pwd",
    "secret",
    "token",
    "bearer",
    "authorization",
    "credential",
    "account_key",
    "access_key",
    "api_key",
    "apikey",
    "shared_key",
    "sas_key",
    "private_key",
];

/// Whole keys whose values no line shows, where they are texts.
const SECRET_KEYS: &[&str] = &["auth", "basic"];

/// Shows problems with the lines they are in.
pub fn render(diagnostics: &[Diagnostic], sources: &[Source]) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        let Position { file, line, column, end_line, end_column } = &diagnostic.position;
        let word = if diagnostic.severity == Severity::Error { "error" } else { "warning" };
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{word}[{}]: {}", diagnostic.code, diagnostic.message);
        let _ = writeln!(out, "{margin}--> {file}:{line}:{column}");
        let text = sources.iter().find(|s| s.name == *file).map_or("", |s| s.line(*line));
        if !text.trim().is_empty() {
            let indent: String = text.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let end = if end_line == line { *end_column } else { text.trim_end().chars().count() + 1 };
            let carets = "^".repeat(end.saturating_sub(*column).max(1));
            let _ = writeln!(out, "{margin} |\n{number} | {}\n{margin} | {indent}{carets}", masked(text));
        }
        if let Some(expected) = &diagnostic.expected {
            let _ = writeln!(out, "{margin} = expected: {expected}");
        }
        if let Some(help) = &diagnostic.help {
            let _ = writeln!(out, "{margin} = help: {help}");
        }
        out.push('\n');
    }
    out
}

/// One problem for a program.
pub fn to_json(diagnostic: &Diagnostic) -> Value {
    let Position { file, line, column, end_line, end_column } = &diagnostic.position;
    json!({
        "file": file.as_ref(),
        "line": line,
        "column": column,
        "end": {"line": end_line, "column": end_column},
        "code": diagnostic.code,
        "severity": if diagnostic.severity == Severity::Error { "error" } else { "warning" },
        "message": diagnostic.message,
        "expected": diagnostic.expected,
        "help": diagnostic.help,
        "suggestion": diagnostic.suggestion,
    })
}

/// A line with `*` for each character of a secret: of what stands under a key that is called like one, and of the user
/// information of urls. What a variable stands for is not there to be shown.
fn masked(line: &str) -> String {
    let mut chars: Vec<char> = line.chars().collect();
    for (at, _) in
        line.match_indices(':').filter(|(at, _)| line.get(at + 1..).is_some_and(|rest| rest.starts_with(' ')))
    {
        let before = line.get(..at).unwrap_or("");
        let key: String = before
            .trim_end_matches(['"', '\''])
            .chars()
            .rev()
            .take_while(|c| c.is_alphanumeric() || "_-.".contains(*c))
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect();
        let key = key.to_lowercase().replace('-', "_");
        if SECRET_KEYS.contains(&key.as_str()) || SECRETS.iter().any(|secret| key.contains(secret)) {
            mask_value(&mut chars, before.chars().count() + 1);
        }
    }
    for (at, _) in line.match_indices("://") {
        let rest = line.get(at + 3..).unwrap_or("");
        let authority = rest.find(|c: char| c.is_whitespace() || "/?#\"'".contains(c)).unwrap_or(rest.len());
        let Some(end) = rest.get(..authority).and_then(|text| text.rfind('@')) else { continue };
        let first = line.get(..at + 3).unwrap_or("").chars().count();
        let count = rest.get(..end).unwrap_or("").chars().count();
        chars.iter_mut().skip(first).take(count).for_each(|c| *c = '*');
    }
    chars.into_iter().collect()
}

/// Masks the scalar that begins behind `from`; a mapping or a list has keys of its own.
fn mask_value(chars: &mut [char], from: usize) {
    let Some(start) = (from..chars.len()).find(|at| !chars[*at].is_whitespace()) else { return };
    let quote = Some(chars[start]).filter(|c| matches!(c, '"' | '\''));
    if matches!(chars[start], '{' | '[' | '|' | '>' | '&' | '*') {
        return;
    }
    let first = if quote.is_some() { start + 1 } else { start };
    let ends = |at: &usize| match quote {
        Some(quote) => chars[*at] == quote,
        None => matches!(chars[*at], ',' | '}' | ']' | '#'),
    };
    let end = (first..chars.len()).find(ends).unwrap_or(chars.len());
    let value: String = chars[first..end].iter().collect();
    // What a variable stands for is not in the line.
    if value.trim_start().starts_with("${") && !value.contains(":-") {
        return;
    }
    for c in &mut chars[first..end] {
        if !c.is_whitespace() {
            *c = '*';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::diagnostic::{Diagnostics, code};
    use super::super::source::Span;
    use super::*;

    #[test]
    fn renders_like_a_compiler() {
        let source = Source::new("a.yaml", "flows:\n  one: {tpoic: x}\n");
        let problem = Diagnostic::new(code::UNKNOWN_KEY, &source, Span { start: 15, end: 20 }, "unknown key `tpoic`");
        let all = Diagnostics::new(vec![problem.nearest("tpoic", ["topic"])], vec![source]);
        let expected = "error[E0101]: unknown key `tpoic`\n --> a.yaml:2:9\n  |\n2 |   one: {tpoic: x}\n  |         ^^^^^\n  \
                        = help: did you mean `topic`?\n\n";
        assert_eq!(all.render(), expected);
        let json = &all.to_json()[0];
        assert_eq!(
            (&json["line"], &json["end"]["column"], &json["suggestion"]),
            (&json!(2), &json!(14), &json!("topic"))
        );
    }

    #[test]
    fn no_line_shows_a_secret() {
        for (line, shown) in [
            ("  password: hunter2", "  password: *******"),
            (
                "basic: {username: me, password: 'hun ter2'}, url: x",
                "basic: {username: me, password: '*** ****'}, url: x",
            ),
            ("auth: {bearer: hunter2, x: 1}", "auth: {bearer: *******, x: 1}"),
            ("  basic: \"me:hunter2\"", "  basic: \"**********\""),
            ("token: \"${TOKEN}\"", "token: \"${TOKEN}\""),
            ("url: https://me:hunter2@host/x", "url: https://**********@host/x"),
            ("options: {azure_storage_account_key: hunter2}", "options: {azure_storage_account_key: *******}"),
            ("key: [a, b]", "key: [a, b]"),
        ] {
            assert_eq!(masked(line), shown);
        }
    }
}
