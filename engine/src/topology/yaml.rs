//! Why a text is not YAML, told where its cause is and not where the parser noticed it.

use super::diagnostic::{Diagnostic, code};
use super::repair;
use super::source::{Source, Span};
use crate::expr::Expr;

/// The problem that the parser saw at `at` and calls `reason`, while the lists and mappings at `open` were being read.
pub fn explain(source: &Source, at: usize, reason: &str, open: &[Span]) -> Diagnostic {
    let line_number = source.position(at).0;
    let not_yaml =
        |span: Span, message: &str| Diagnostic::new(code::YAML, source, span, format!("not YAML: {message}"));
    // A tab in front of the line, of one above that the parser had not finished, or of one below that it read ahead.
    let ahead = if reason.contains("found a tab") { line_number + 1 } else { line_number };
    for number in [line_number, ahead, line_number.saturating_sub(1).max(1)] {
        let line = source.line(number);
        let indent = line.len() - line.trim_start().len();
        if let Some(tab) = line.get(..indent).and_then(|blanks| blanks.find('\t')) {
            let start = source.start(number) + tab;
            return not_yaml(Span { start, end: start + 1 }, "a tab in the indentation").help("indent with blanks");
        }
    }
    if let Some(start) = open_quote(source, line_number) {
        return not_yaml(Span { start, end: start + 1 }, "this quote is never closed");
    }
    if reason.contains("unclosed quote") {
        return not_yaml(Span { start: at, end: at + 1 }, "this quote is never closed");
    }
    let opener = |span: &&Span| source.text.get(span.start..).is_some_and(|rest| rest.starts_with(['[', '{']));
    let innermost = open.iter().rev().find(opener).copied();
    // A value that ends before its line does: `a: {b}.c`, `a: 'b' || c`, `a: {b: c[0]}`.
    if let Some(problem) = quotes_needed(source, line_number, at) {
        return problem;
    }
    if let Some(span) = innermost
        && source.position(span.start).0 < line_number
    {
        let open = source.text.get(span.start..=span.start).unwrap_or("[");
        let close = if open == "[" { "]" } else { "}" };
        let span = Span { start: span.start, end: span.start + 1 };
        return not_yaml(span, &format!("this `{open}` is not closed"))
            .help(format!("put `{close}` behind the last element"));
    }
    // `key:value`: the blank is what makes it a key.
    for number in [line_number, line_number.saturating_sub(1).max(1)] {
        if let Some((start, key)) = glued(source.line(number)) {
            let start = source.start(number) + start;
            return not_yaml(Span { start, end: start + key.len() }, &format!("a blank is missing behind `{key}:`"))
                .help(format!("write `{key}: ...`"));
        }
    }
    let line = source.line(line_number);
    if reason.contains("mapping values are not allowed")
        && let Some(problem) = odd_indentation(source, line_number)
    {
        return problem;
    }
    if let Some(colon) = second_colon(line) {
        let (key, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or("").trim();
        if !value.starts_with(['"', '\'', '{', '[', '|', '>']) && value.contains(": ") {
            let start = source.start(line_number)
                + colon
                + 1
                + line.get(colon + 1..).map_or(0, |v| v.len() - v.trim_start().len());
            let span = Span { start, end: start + value.len() };
            if let Some(mapping) = repair::inline(key.trim(), value) {
                return not_yaml(span, "a mapping on one line stands in braces").write(mapping);
            }
            return not_yaml(span, "text with `: ` in it needs quotes")
                .help(format!("write `{}: \"...\"`", key.trim()));
        }
    }
    let (message, help) = match reason {
        _ if reason.contains("did not find expected key") || reason.contains("invalid indentation") => {
            ("the indentation of this line fits no line above".to_owned(), Some("indent it like the keys beside it"))
        }
        _ if reason.contains("simple key expected") || reason.contains("simple key is no longer valid") => {
            ("a key and its value were expected".to_owned(), Some("write `key: value`"))
        }
        _ if reason.contains("mapping values are not allowed") => (
            "no `key: value` can stand here".to_owned(),
            Some("quote text that holds `: `, or indent the key like those beside it"),
        ),
        _ if reason.contains("unknown anchor") => (
            "no anchor of this name stands above".to_owned(),
            Some("declare it with `&name`; text that begins with `*` needs quotes"),
        ),
        _ if reason.contains("directive") || reason.contains("unexpected character") || reason.contains("token") => {
            (reason.to_owned(), Some("text that begins with `@`, `` ` `` or `%` needs quotes"))
        }
        _ if reason.contains("escape") => (
            reason.to_owned(),
            Some("in double quotes a backslash is written `\\\\`; in single quotes it stands for itself"),
        ),
        _ => (reason.to_owned(), None),
    };
    // At the end of a file there is nothing under the caret: its last line is where to look.
    let at = if at >= source.text.len() { source.text.trim_end().len() } else { at };
    let problem = not_yaml(Span::at(at), &message);
    match help {
        Some(help) => problem.help(help),
        None => problem,
    }
}

/// A tag, which is most often an expression that begins with `!`, or a type with its `!` in front.
pub fn tag(source: &Source, span: Span) -> Diagnostic {
    let before = source.text.get(..span.start).unwrap_or("");
    // The span is the value's, or the tag's; the tag stands in front on the same line.
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let start = match source.text.get(span.start..) {
        Some(rest) if rest.starts_with('!') => span.start,
        _ => before.rfind('!').filter(|at| *at >= line_start).unwrap_or(span.start),
    };
    let rest = source.text.get(start..).unwrap_or("");
    let end = start + rest.find([' ', '\n', '\r', ',', '}', ']']).unwrap_or(rest.len()).max(1);
    let name = source.text.get(start..end).unwrap_or("!").trim_start_matches('!');
    let ends =
        rest.get(end - start..).is_none_or(|rest| rest.trim_start_matches(' ').starts_with(['\n', '\r', ',', '}']));
    let known = ends && super::value::kind(name).is_some();
    let help = if known {
        format!("`!` stands behind the type: `{name}!`")
    } else {
        format!("text that begins with `!` needs quotes: write `\"!{name}\"`")
    };
    Diagnostic::new(
        code::YAML_FEATURE,
        source,
        Span { start, end },
        "a tag: `!` at the beginning of a value is not part of the language",
    )
    .help(help)
}

/// The offset of the colon behind the first key of a line.
fn second_colon(line: &str) -> Option<usize> {
    let colon = line.find(": ")?;
    let key = line.get(..colon)?.trim().trim_start_matches("- ");
    (!key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-.?".contains(c))).then_some(colon)
}

/// A key with its value glued to it: where it begins, and the key.
fn glued(line: &str) -> Option<(usize, &str)> {
    let start = line.len() - line.trim_start().len();
    let rest = line.get(start..)?;
    let colon = rest.find(':')?;
    let (key, value) = (rest.get(..colon)?, rest.get(colon + 1..)?);
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-".contains(c));
    (is_key && !value.is_empty() && !value.starts_with([' ', '\t', '/'])).then_some((start, key))
}

/// A value that begins with a quote or a bracket and goes on behind its end, or that holds a bracket within one.
fn quotes_needed(source: &Source, line_number: usize, at: usize) -> Option<Diagnostic> {
    let line = source.line(line_number);
    let colon = second_colon(line)?;
    let value_at = colon + 1 + line.get(colon + 1..).map_or(0, |v| v.len() - v.trim_start().len());
    let value = line.get(value_at..)?.trim_end();
    let start = source.start(line_number) + value_at;
    let span = Span { start, end: start + value.len() };
    let found = at.checked_sub(start)?;
    let help = |what: &str| Diagnostic::new(code::YAML, source, span, format!("not YAML: {what}"));
    match value.chars().next()? {
        '{' if value.get(..found).is_none_or(|before| before.contains('}')) && !value.ends_with('}') => {
            Some(help("text that begins with `{` needs quotes").write(in_quotes(value)))
        }
        '[' if value.get(..found).is_none_or(|before| before.contains(']')) && !value.ends_with(']') => {
            Some(help("text that begins with `[` needs quotes").write(in_quotes(value)))
        }
        quote @ ('\'' | '"') if value.matches(quote).count() >= 2 && found > 0 => {
            Some(help("the value goes on behind its closing quote").write(unquoted(value, quote)))
        }
        '`' | '@' | '%' if found == 0 => {
            Some(help("text that begins with `@`, `` ` `` or `%` needs quotes").write(in_quotes(value)))
        }
        '{' | '[' => {
            // Within a mapping or a list on one line, brackets and commas end a text.
            let before = value.get(..found)?;
            let depth = before.matches(['{', '[']).count();
            let inner = Span { start: at, end: at + 1 };
            (depth > 0 && source.text.get(at..)?.starts_with(['[', '{', ']', '}', '`', '\'', '"', '@'])).then(|| {
                Diagnostic::new(
                    code::YAML,
                    source,
                    inner,
                    "not YAML: a text ends here, because it stands between brackets without quotes",
                )
                .help("within `{...}` and `[...]` quote texts that hold `[`, `]`, `{`, `}`, `,` or begin with `` ` ``")
            })
        }
        _ => None,
    }
}

/// A text in double quotes.
fn in_quotes(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What to write for a value that begins with a quote and goes on behind the next one. The quotes around all of it were meant for YAML,
/// where what they hold is an expression; else the first belongs to the expression.
fn unquoted(value: &str, quote: char) -> String {
    let inner = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    let inner = inner.map(|inner| inner.replace('"', "'")).filter(|inner| Expr::parse(inner).is_ok());
    match inner {
        Some(inner) => in_quotes(&inner),
        None if quote == '"' => format!("'{}'", value.replace('\'', "''")),
        None => in_quotes(value),
    }
}

/// A quote that opens in a line and is not closed in it, although the next line is a key: the last one at or above a line. A text
/// that really goes on over several lines does not end in an error.
fn open_quote(source: &Source, line_number: usize) -> Option<usize> {
    let is_key = |line: &str| {
        let key = line.trim_start().split(':').next().unwrap_or("");
        let behind = line.trim_start().get(key.len()..).unwrap_or("");
        let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-.?".contains(c));
        plain && (behind == ":" || behind.starts_with(": "))
    };
    (1..=line_number).rev().take(500).find_map(|number| {
        let next = source.line(number + 1);
        let last = number + 1 > source.text.matches('\n').count();
        let at = unclosed_in(source.line(number)).filter(|_| last || is_key(next) || next.trim().is_empty())?;
        Some(source.start(number) + at)
    })
}

/// Where the quote stands that a line opens and does not close.
fn unclosed_in(line: &str) -> Option<usize> {
    let (mut open, mut before, mut escaped): (Option<(usize, char)>, char, bool) = (None, ' ', false);
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (open, c) {
            _ if escaped => escaped = false,
            (Some((_, '"')), '\\') => escaped = true,
            (Some((_, '\'')), '\'') if chars.peek().is_some_and(|(_, next)| *next == '\'') => drop(chars.next()),
            (Some((_, quote)), _) if c == quote => open = None,
            (Some(_), _) => {}
            (None, '#') if before == ' ' => return None,
            (None, '"' | '\'') if matches!(before, ' ' | '[' | '{' | ',') => open = Some((at, c)),
            _ => {}
        }
        before = c;
    }
    // An apostrophe in the middle of a text opens nothing.
    open.filter(|(at, _)| {
        let front = line.get(..*at).unwrap_or("").trim_end();
        front.is_empty() || front.ends_with([':', ',', '[', '{', '-'])
    })
    .map(|(at, _)| at)
}

/// A key that is indented further than the one above, which has a value: one of the two is out of line.
fn odd_indentation(source: &Source, line_number: usize) -> Option<Diagnostic> {
    let indent = |number: usize| source.line(number).len() - source.line(number).trim_start().len();
    let above = |number: usize| {
        let full = |n: &usize| !source.line(*n).trim().is_empty() && !source.line(*n).trim_start().starts_with('#');
        (1..number).rev().find(full)
    };
    let first = above(line_number)?;
    if indent(first) >= indent(line_number) {
        return None;
    }
    let second = above(first).filter(|second| indent(*second) == indent(line_number));
    let number = if second.is_some() { first } else { line_number };
    let start = source.start(number) + indent(number);
    let key = source.line(number).trim_start().split(':').next().unwrap_or("");
    let span = Span { start, end: start + key.len().max(1) };
    let problem =
        Diagnostic::new(code::YAML, source, span, "not YAML: this line is not indented like the keys beside it");
    let other = if second.is_some() { indent(line_number) } else { indent(first) };
    Some(problem.help(format!("indent it by {other} blanks")))
}
