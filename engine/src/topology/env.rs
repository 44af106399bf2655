//! The environment of a topology: variables of the process and lines of the settings file, put into the texts of the tree.
//!
//! `${NAME}` and `${NAME:-default}` stand in values, never in keys. The YAML is parsed first, so a value cannot break out of its
//! place. A default may hold further `${...}`. An empty value counts as unset. `$${` is a literal `${`.

use std::collections::BTreeMap;

use super::diagnostic::{Diagnostic, code};
use super::node::{Node, Origin, Scalar, Value};
use super::source::{Source, Span};

/// How deep defaults may nest.
const MAX_NESTING: usize = 16;

/// Variables by name. Nothing else of the engine reads the variables of the process.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    values: BTreeMap<String, String>,
}

impl Environment {
    /// The variables of this process. For the command line only.
    pub fn from_process() -> Self {
        // Names or values that are not Unicode cannot be meant.
        std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect()
    }

    /// The value of a variable, unless it is unset or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// The names of all variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Puts `values` over what is there.
    #[must_use]
    pub fn overlay(mut self, values: BTreeMap<String, String>) -> Self {
        self.values.extend(values);
        self
    }

    /// Adds the lines of a settings file, for variables that have no value yet.
    #[must_use]
    pub fn with_settings(mut self, file: &Source, problems: &mut Vec<Diagnostic>) -> Self {
        let mut offset = 0;
        for line in file.text.split_inclusive('\n') {
            let start = offset + (line.len() - line.trim_start().len());
            offset += line.len();
            let text = line.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let text = text.strip_prefix("export ").unwrap_or(text);
            let span = Span { start, end: start + 1 };
            match text.split_once('=').map(|(name, value)| (name.trim(), unquote(value.trim()))) {
                Some((name, Some(value))) if is_name(name) => {
                    if self.get(name).is_none() {
                        self.values.insert(name.into(), value);
                    }
                }
                _ => problems.push(
                    Diagnostic::new(code::SETTINGS, file, span, "a line that is not NAME=value")
                        .expected("NAME=value, NAME=\"value\", NAME='value' or # comment"),
                ),
            }
        }
        self
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(values: I) -> Self {
        Environment { values: values.into_iter().map(|(k, v)| (k.into(), v.into())).collect() }
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A value as a shell would read it: in quotes as it is, else up to a comment. None if a quote is not closed.
fn unquote(value: &str) -> Option<String> {
    let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return Some(value.split(" #").next().unwrap_or("").trim_end().into());
    };
    let inner = value.get(1..)?;
    let end = inner.find(quote)?;
    let after = inner.get(end + 1..)?.trim_start();
    (after.is_empty() || after.starts_with('#')).then(|| inner.get(..end).map(str::to_owned))?
}

/// Puts values into all texts of a tree.
pub fn interpolate(node: &mut Node, environment: &Environment, source: &Source, problems: &mut Vec<Diagnostic>) {
    let replaced = match &mut node.value {
        Value::Null | Value::Unset => return,
        Value::List(items) => return items.iter_mut().for_each(|n| interpolate(n, environment, source, problems)),
        Value::Map(entries) => {
            return entries.iter_mut().for_each(|e| interpolate(&mut e.value, environment, source, problems));
        }
        Value::Scalar(scalar) if !scalar.text.contains("${") => return,
        Value::Scalar(scalar) => expand(&scalar.text, environment, 0),
    };
    match replaced {
        Ok(Expanded { text, whole: Some(_), .. }) if text.is_empty() => node.value = Value::Null,
        Ok(Expanded { text, whole, used }) => {
            let origin = match whole {
                Some(name) => Origin::Whole(name),
                None if used => Origin::Part,
                None => Origin::Written,
            };
            node.value = Value::Scalar(Scalar { text, origin, plain: true });
        }
        Err(Failure { offset, length, name: Some(name) }) => {
            let message = format!("the variable `{name}` is not set");
            let problem = Diagnostic::new(code::UNSET, source, node.locate(source, offset, length), message)
                .help(format!("set it in the environment or the settings file, or give a default: `${{{name}:-...}}`"));
            problems.push(problem);
            node.value = Value::Unset;
        }
        Err(Failure { offset, length, name: None }) => {
            let message = "`${` without a name and a closing brace";
            let problem = Diagnostic::new(code::INTERPOLATION, source, node.locate(source, offset, length), message)
                .expected("`${NAME}` or `${NAME:-default}`; a literal `${` is written `$${`");
            problems.push(problem);
            node.value = Value::Unset;
        }
    }
}

struct Expanded {
    text: String,
    /// The variable's name if the text was one whole `${...}`.
    whole: Option<String>,
    used: bool,
}

struct Failure {
    offset: usize,
    length: usize,
    /// The variable that is not set; none: the syntax is wrong.
    name: Option<String>,
}

fn expand(text: &str, environment: &Environment, depth: usize) -> Result<Expanded, Failure> {
    let mut out = Expanded { text: String::new(), whole: None, used: false };
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, tail) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            out.text += before;
            out.text += "${";
            rest = tail.get(2..).unwrap_or("");
            continue;
        }
        out.text += before;
        let offset = text.len() - tail.len();
        let bad = Failure { offset, length: 2, name: None };
        let Some(end) = closing(tail).filter(|_| depth < MAX_NESTING) else { return Err(bad) };
        let inner = tail.get(2..end).unwrap_or("");
        let (name, default) = inner.split_once(":-").map_or((inner, None), |(name, default)| (name, Some(default)));
        if !is_name(name) {
            return Err(bad);
        }
        out.used = true;
        match (environment.get(name), default) {
            (Some(value), _) => out.text += value,
            (None, Some(default)) => {
                out.text += &expand(default, environment, depth + 1)
                    .map_err(|f| Failure { offset: offset + 2 + name.len() + 2 + f.offset, ..f })?
                    .text;
            }
            (None, None) => return Err(Failure { offset, length: end + 1, name: Some(name.into()) }),
        }
        rest = tail.get(end + 1..).unwrap_or("");
        if offset == 0 && rest.is_empty() {
            out.whole = Some(name.into());
        }
    }
    out.text += rest;
    Ok(out)
}

/// The offset of the brace that closes the first one; braces within are counted.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => open += 1,
            '}' if open == 1 => return Some(at),
            '}' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_defaults_and_literals() {
        let environment: Environment = [("A", "1"), ("B", ""), ("EVIL", "${A}")].into_iter().collect();
        let cases = [
            ("x${A}y", Some("x1y")),
            ("${B:-d}", Some("d")),
            ("${B:-${A}}${A}", Some("11")),
            ("${B:-{data}/files}", Some("{data}/files")),
            ("${C:-${B:-{p}.x}}", Some("{p}.x")),
            ("$${A}", Some("${A}")),
            ("${EVIL}", Some("${A}")),
            ("${B:-}", Some("")),
            ("${C}", None),
            ("${A", None),
            ("${}", None),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &environment, 0).ok().map(|e| e.text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn settings_do_not_override_and_bad_lines_are_not_shown() {
        let mut problems = Vec::new();
        let file = Source::new("a.env", "# c\nA=2\nB='x # y'\nexport C=\"z\" # c\nD = w # c\nhunter2\nE='open\n");
        let environment: Environment = [("A", "1")].into_iter().collect();
        let environment = environment.with_settings(&file, &mut problems);
        let read: Vec<_> = ["A", "B", "C", "D", "E"].iter().map(|n| environment.get(n)).collect();
        assert_eq!(read, [Some("1"), Some("x # y"), Some("z"), Some("w"), None]);
        let places: Vec<_> = problems.iter().map(|p| (p.code, p.position.line)).collect();
        assert_eq!(places, [(code::SETTINGS, 6), (code::SETTINGS, 7)]);
    }
}
