//! The environment of a topology: variables of the process and lines of the settings file, put into the texts of the tree.
//!
//! `${NAME}` and `${NAME:-default}` stand in values, never in keys. The YAML is parsed first, so a value cannot break out of its
//! place. A default may hold further `${...}`. An empty value counts as unset. `$${` is a literal `${`.

use std::collections::{BTreeMap, BTreeSet};

use super::diagnostic::{Diagnostic, code, nearest};
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

/// The variables that the texts of a tree name, those in defaults too.
pub fn names(node: &Node) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    name_variables(node, &mut found);
    found
}

fn name_variables(node: &Node, found: &mut BTreeSet<String>) {
    match &node.value {
        Value::Null | Value::Unset => {}
        Value::List(items) => items.iter().for_each(|item| name_variables(item, found)),
        Value::Map(entries) => entries.iter().for_each(|entry| name_variables(&entry.value, found)),
        Value::Scalar(scalar) => {
            for (at, _) in scalar.text.match_indices("${") {
                let (before, rest) = scalar.text.split_at(at);
                let name: String =
                    rest.chars().skip(2).take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                if is_name(&name) && !before.ends_with('$') {
                    found.insert(name);
                }
            }
        }
    }
}

/// Puts values into all texts of a tree.
pub fn interpolate(node: &mut Node, environment: &Environment, source: &Source, problems: &mut Vec<Diagnostic>) {
    let scalar = match &mut node.value {
        Value::Null | Value::Unset => return,
        Value::List(items) => return items.iter_mut().for_each(|n| interpolate(n, environment, source, problems)),
        Value::Map(entries) => {
            return entries.iter_mut().for_each(|e| interpolate(&mut e.value, environment, source, problems));
        }
        Value::Scalar(scalar) if !scalar.text.contains("${") => return,
        Value::Scalar(scalar) => scalar,
    };
    let mut failures = Vec::new();
    let expanded = expand(&scalar.text, environment, 0, &mut failures);
    if !failures.is_empty() {
        for failure in failures {
            let span = node.locate(source, failure.offset, failure.length);
            problems.push(failure.problem(source, span, environment));
        }
        node.value = Value::Unset;
        return;
    }
    let Expanded { text, whole, used, given } = expanded;
    node.value = match whole {
        Some(_) if text.is_empty() => Value::Null,
        whole => {
            let written = (used && whole.is_none()).then(|| scalar.text.as_str().into());
            let origin = match whole {
                Some(name) if given => Origin::Whole(name),
                Some(name) => Origin::Default(name),
                None if used => Origin::Part,
                None => Origin::Written,
            };
            Value::Scalar(Scalar { text, origin, plain: true, written })
        }
    };
}

struct Expanded {
    text: String,
    /// The variable's name if the text was one whole `${...}`.
    whole: Option<String>,
    /// Whether a variable, set or not, stands in it.
    used: bool,
    /// Whether a part of it came from the environment.
    given: bool,
}

/// What is wrong with a `${...}`.
struct Failure {
    offset: usize,
    length: usize,
    what: Wrong,
}

enum Wrong {
    /// The variable of this name is not set.
    Unset(String),
    /// It is never closed, or nested too deep.
    Open,
    /// What stands between the braces is no name.
    NoName(String),
}

impl Failure {
    fn problem(&self, source: &Source, span: Span, environment: &Environment) -> Diagnostic {
        const FORM: &str = "`${NAME}` or `${NAME:-default}`; a literal `${` is written `$${`";
        match &self.what {
            Wrong::Unset(name) => {
                let message = format!("the variable `{name}` is not set");
                let near = nearest(name, environment.names().filter(|n| environment.get(n).is_some()));
                let help = match near {
                    Some(near) => format!("did you mean `{near}`, which is set?"),
                    None => {
                        format!("set it in the environment or the settings file, or give a default: `${{{name}:-...}}`")
                    }
                };
                Diagnostic::new(code::UNSET, source, span, message).help(help)
            }
            Wrong::Open => {
                let message = "`${` without a name and a closing brace";
                Diagnostic::new(code::INTERPOLATION, source, span, message).expected(FORM)
            }
            Wrong::NoName(inner) => {
                let message = format!("`{inner}` is no name of a variable of the environment");
                let problem = Diagnostic::new(code::INTERPOLATION, source, span, message).expected(FORM);
                let name: String = inner.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                let rest = inner.get(name.len()..).unwrap_or("");
                match rest.chars().next() {
                    Some('.') => problem.help(format!("a template says `{{{inner}}}`, an expression says `{inner}`")),
                    Some(':' | '-' | '=' | '?') if is_name(&name) => {
                        let default = rest.trim_start_matches([':', '-', '=', '?']);
                        problem.help(format!("write `${{{name}:-{default}}}`"))
                    }
                    _ => problem,
                }
            }
        }
    }
}

fn expand(text: &str, environment: &Environment, depth: usize, failures: &mut Vec<Failure>) -> Expanded {
    let mut out = Expanded { text: String::new(), whole: None, used: false, given: false };
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
        let Some(end) = closing(tail).filter(|_| depth < MAX_NESTING) else {
            failures.push(Failure { offset, length: 2, what: Wrong::Open });
            return out;
        };
        let inner = tail.get(2..end).unwrap_or("");
        let (name, default) = inner.split_once(":-").map_or((inner, None), |(name, default)| (name, Some(default)));
        out.used = true;
        match (environment.get(name), default) {
            _ if name.is_empty() => failures.push(Failure { offset, length: end + 1, what: Wrong::Open }),
            _ if !is_name(name) => {
                failures.push(Failure { offset, length: end + 1, what: Wrong::NoName(inner.to_owned()) });
            }
            (Some(value), _) => {
                out.text += value;
                out.given = true;
            }
            (None, Some(default)) => {
                let first = failures.len();
                let inner = expand(default, environment, depth + 1, failures);
                for failure in failures.iter_mut().skip(first) {
                    failure.offset += offset + 2 + name.len() + 2;
                }
                out.text += &inner.text;
                out.given |= inner.given;
            }
            (None, None) => failures.push(Failure { offset, length: end + 1, what: Wrong::Unset(name.into()) }),
        }
        rest = tail.get(end + 1..).unwrap_or("");
        if offset == 0 && rest.is_empty() {
            out.whole = Some(name.into());
        }
    }
    out.text += rest;
    out
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
            let mut failures = Vec::new();
            let expanded = expand(text, &environment, 0, &mut failures).text;
            assert_eq!(failures.is_empty().then_some(expanded.as_str()), expected, "{text}");
        }
    }

    #[test]
    fn all_variables_are_named() {
        let source = Source::new("a", "a: [\"${A:-${B}}-${C}\", {b: \"$${D} ${E-x}\"}]\n${F}: $G\n");
        let tree = super::super::node::parse(&source, &mut Vec::new()).expect("YAML");
        assert_eq!(names(&tree).into_iter().collect::<String>(), "ABCE");
    }

    #[test]
    fn every_failure_of_a_text_is_found() {
        let text = "${A} ${B:-${C}} ${D-x} ${event.id}";
        let mut failures = Vec::new();
        expand(text, &Environment::default(), 0, &mut failures);
        let found: Vec<_> = failures.iter().map(|f| text.get(f.offset..f.offset + f.length).unwrap_or("")).collect();
        assert_eq!(found, ["${A}", "${C}", "${D-x}", "${event.id}"]);
        let source = Source::new("a", text);
        let help = |at: usize| failures[at].problem(&source, Span::at(0), &[("AA", "1")].into_iter().collect()).help;
        assert_eq!(help(0).as_deref(), Some("did you mean `AA`, which is set?"));
        assert_eq!(help(2).as_deref(), Some("write `${D:-x}`"));
        assert_eq!(help(3).as_deref(), Some("a template says `{event.id}`, an expression says `event.id`"));
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
