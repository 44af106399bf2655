//! The form of a topology: brings a tree to the shape that the language declares and says what does not fit.
//!
//! Variables are put into names, what a variable of the environment holds is read as the kind that is expected at its place, and
//! every leaf is checked. Afterwards a tree without problems can be read without looking at kinds again.

use super::diagnostic::{Diagnostic, code};
use super::node::{self, Node, Origin, Scalar, Value};
use super::shape::{Kind, Names, Shape};
use super::source::{Source, Span};
use super::value;
use super::vars::Vars;
use crate::expr::{Expr, ParseError, Template};

/// Brings `node` to `shape`.
pub fn conform(node: &mut Node, shape: &'static Shape, vars: &Vars, source: &Source, problems: &mut Vec<Diagnostic>) {
    let at = Span::at(node.span.start);
    Form { vars, source, problems }.value(node, &Kind::Object(shape), at);
}

struct Form<'a> {
    vars: &'a Vars,
    source: &'a Source,
    problems: &'a mut Vec<Diagnostic>,
}

impl Form<'_> {
    fn problem(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.problems.push(Diagnostic::new(code, self.source, span, message));
        let last = self.problems.len() - 1;
        &mut self.problems[last]
    }

    fn wrong(&mut self, node: &Node, kind: &Kind) {
        let expected = kind.expected();
        let shown = node.shown();
        self.problem(code::WRONG_KIND, node.span, format!("{shown} does not fit here")).expected = Some(expected);
    }

    /// Checks one value; `at` is the key it stands under.
    fn value(&mut self, node: &mut Node, kind: &Kind, at: Span) {
        if matches!(node.value, Value::Unset) {
            return;
        }
        match kind {
            Kind::List(inner) => {
                self.read_variable(node, true);
                let Value::List(items) = &mut node.value else { return self.wrong(node, kind) };
                items.iter_mut().for_each(|item| self.value(item, inner, at));
            }
            Kind::Map(names, inner) => self.map(node, *names, inner, kind),
            Kind::Object(shape) => self.object(node, shape, at),
            Kind::Any => {}
            Kind::ListOr(inner, shape) => match &mut node.value {
                Value::List(items) => items.iter_mut().for_each(|item| self.value(item, inner, at)),
                _ => self.object(node, shape, at),
            },
            Kind::ChoiceOr(words, shape) => match &node.value {
                Value::Map(_) => self.object(node, shape, at),
                _ if node.text().is_some_and(|text| words.contains(&text)) => {}
                _ => self.wrong(node, kind),
            },
            Kind::Column | Kind::Field => self.typed(node, kind),
            _ => self.leaf(node, kind),
        }
    }

    /// A text that came whole from the environment, where more than text is expected, is YAML. Where a list is expected and the
    /// text is none, its elements are between commas.
    fn read_variable(&mut self, node: &mut Node, list: bool) {
        let Value::Scalar(Scalar { text, origin: Origin::Whole(name), .. }) = &node.value else { return };
        let (span, origin) = (node.span, Origin::Whole(name.clone()));
        let inner = Source::new("", text.clone());
        let parsed = node::parse(&inner, &mut Vec::new()).ok();
        let scalar = |text: &str| Node {
            span,
            value: Value::Scalar(Scalar { text: text.trim().into(), origin: origin.clone(), plain: true }),
        };
        let mut read = match parsed {
            Some(parsed) if !matches!(parsed.value, Value::Scalar(_)) => parsed,
            _ if list => Node { span, value: Value::List(text.split(',').map(scalar).collect()) },
            _ => return,
        };
        read.place_at(span);
        mark(&mut read, &origin);
        *node = read;
    }

    fn map(&mut self, node: &mut Node, names: Names, inner: &'static Kind, kind: &Kind) {
        self.read_variable(node, false);
        let Value::Map(entries) = &mut node.value else { return self.wrong(node, kind) };
        // An option whose variable is not set is not given.
        if matches!(inner, Kind::Text | Kind::Secret | Kind::Name) {
            entries.retain(|e| !e.value.is_null());
        }
        for entry in entries {
            self.name(&entry.key, entry.at, names);
            self.value(&mut entry.value, inner, entry.at);
        }
    }

    fn name(&mut self, name: &str, at: Span, names: Names) {
        let start = |c: char| c.is_ascii_alphabetic() || c == '_';
        let (allowed, expected) = match names {
            Names::Any => (!name.is_empty(), "some text"),
            Names::Bindings => (is_binding(name), "letters, digits and `_`, no digit first"),
            Names::Things => (
                name.starts_with(start) && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)),
                "letters, digits, `_`, `-` and `.`, a letter first",
            ),
            Names::Statuses => (name.parse().is_ok_and(|s: u16| (100..600).contains(&s)), "an HTTP status"),
        };
        if !allowed {
            self.problem(code::BAD_NAME, at, format!("`{name}` is no name here")).expected = Some(expected.into());
        }
    }

    fn object(&mut self, node: &mut Node, shape: &'static Shape, at: Span) {
        self.read_variable(node, false);
        let Value::Map(entries) = &mut node.value else { return self.wrong(node, &Kind::Object(shape)) };
        for entry in entries.iter_mut() {
            match shape.key(&entry.key) {
                None => {
                    let message = format!("unknown key `{}` in {}", entry.key, shape.name);
                    let problem = Diagnostic::new(code::UNKNOWN_KEY, self.source, entry.at, message);
                    self.problems.push(problem.nearest(&entry.key, shape.keys.iter().map(|k| k.name)));
                }
                Some(_) if entry.value.is_null() => {}
                Some(key) => self.value(&mut entry.value, &key.kind, entry.at),
            }
        }
        let given = |name: &str| entries.iter().any(|e| e.key == name && !e.value.is_null());
        let mut missing = Vec::new();
        for key in shape.keys.iter().filter(|k| k.required && !given(k.name)) {
            missing.push((key.name, key.kind.expected()));
        }
        let chosen: Vec<_> = entries.iter().filter(|e| shape.one_of.contains(&&*e.key) && !e.value.is_null()).collect();
        let choice = match chosen.as_slice() {
            _ if shape.one_of.is_empty() => None,
            [] => Some((at, format!("{} needs one of `{}`", shape.name, shape.one_of.join("`, `")))),
            [_] => None,
            [first, second, ..] => {
                Some((second.at, format!("`{}` and `{}` exclude each other", first.key, second.key)))
            }
        };
        if let Some((span, message)) = choice {
            self.problem(code::EXCLUSIVE, span, message);
        }
        // Missing keys are told where the mapping's own key stands; where it would begin they would look like part of it.
        for (name, expected) in missing {
            self.problem(code::MISSING_KEY, at, format!("{} needs the key `{name}`", shape.name)).expected =
                Some(expected);
        }
    }

    /// A type, or a mapping of one type to its meaning or expression.
    fn typed(&mut self, node: &mut Node, kind: &Kind) {
        let field = matches!(kind, Kind::Field);
        let (name, span) = match &mut node.value {
            Value::Scalar(scalar) => (scalar.text.clone(), node.span),
            Value::Map(entries) => {
                let [entry] = entries.as_mut_slice() else { return self.wrong(node, kind) };
                self.value(&mut entry.value, if field { &Kind::Expression } else { &Kind::Text }, entry.at);
                (entry.key.clone(), entry.at)
            }
            _ => return self.wrong(node, kind),
        };
        match value::kind(&name) {
            Some((None, _)) if !field => {
                self.problem(code::WRONG_KIND, span, "a column needs a type; `any` is for fields of messages");
            }
            Some(_) => {}
            None => {
                let problem = Diagnostic::new(code::WRONG_KIND, self.source, span, format!("unknown type `{name}`"));
                let names = value::TYPES.iter().map(|(n, _)| *n).chain(field.then_some("any"));
                self.problems.push(problem.nearest(name.trim_end_matches('!'), names));
            }
        }
    }

    fn leaf(&mut self, node: &mut Node, kind: &Kind) {
        let Some(text) = node.text().map(str::to_owned) else { return self.wrong(node, kind) };
        let fits = match kind {
            Kind::Name | Kind::DelayName => {
                let keep: &[&str] = if matches!(kind, Kind::DelayName) { &["delay"] } else { &[] };
                let expanded = self.vars.expand(node, keep, self.source, self.problems);
                let changed = expanded != text;
                let empty = expanded.trim().is_empty();
                if let (Value::Scalar(scalar), true) = (&mut node.value, changed) {
                    scalar.text = expanded;
                }
                !empty
            }
            Kind::Binding => is_binding(&text),
            Kind::Reference => !text.trim().is_empty(),
            Kind::Bool => matches!(&*text, "true" | "false"),
            Kind::Integer(least) => text.parse().is_ok_and(|n: u64| n >= *least && i32::try_from(n).is_ok()),
            Kind::Number => text.parse().is_ok_and(|n: f64| n.is_finite() && n > 0.0),
            Kind::Duration => value::duration(&text).is_some(),
            Kind::Size => value::size(&text).is_some(),
            // The words of other programs' settings come in capitals from the environment.
            Kind::Choice(words) => match words.iter().find(|word| word.eq_ignore_ascii_case(&text)) {
                Some(word) => {
                    if let (Value::Scalar(scalar), true) = (&mut node.value, **word != *text) {
                        scalar.text = (*word).to_owned();
                    }
                    true
                }
                None => false,
            },
            Kind::Expression => {
                let error = Expr::parse(&text).err();
                return self.syntax(node, code::EXPRESSION, error);
            }
            Kind::Template => {
                let error = Template::parse(&text).err();
                return self.syntax(node, code::TEMPLATE, error);
            }
            _ => true,
        };
        if fits {
            return;
        }
        let shown = node.shown();
        let problem = Diagnostic::new(code::WRONG_KIND, self.source, node.span, format!("{shown} does not fit here"))
            .expected(kind.expected());
        self.problems.push(match kind {
            Kind::Choice(words) => {
                Diagnostic { help: problem.clone().nearest(&text, words.iter().copied()).help, ..problem }
            }
            _ => problem,
        });
    }

    fn syntax(&mut self, node: &Node, code: &'static str, error: Option<ParseError>) {
        let Some(error) = error else { return };
        let span = node.locate(self.source, error.offset, 1);
        let mut problem = Diagnostic::new(code, self.source, span, error.message);
        problem.help = error.hint;
        self.problems.push(problem);
    }
}

/// Whether an expression can say `name` without quotes.
pub fn is_binding(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Marks all texts of a tree as coming from the environment, so that no error shows them.
fn mark(node: &mut Node, origin: &Origin) {
    match &mut node.value {
        Value::Null | Value::Unset => {}
        Value::Scalar(scalar) => scalar.origin = origin.clone(),
        Value::List(items) => items.iter_mut().for_each(|n| mark(n, origin)),
        Value::Map(entries) => entries.iter_mut().for_each(|e| mark(&mut e.value, origin)),
    }
}
