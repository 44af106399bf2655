//! The form of a topology: brings a tree to the shape that the language declares and says what does not fit.
//!
//! Variables are put into names, what a variable of the environment holds is read as the kind that is expected at its place, and
//! every leaf is checked. Afterwards a tree without problems can be read without looking at kinds again.

use super::diagnostic::{Diagnostic, code, nearest};
use super::node::{self, Entry, Node, Origin, Scalar, Value};
use super::repair;
use super::shape::{Kind, Names, Shape};
use super::source::{Source, Span};
use super::value;
use super::vars::Vars;
use crate::expr::{Expr, ParseError, Template};

/// Reads misspelt keys of a mapping as what they were meant to be: for what is read before the whole is brought to its form.
pub fn spelling(node: &mut Node, shape: &Shape, source: &Source, problems: &mut Vec<Diagnostic>) {
    if let Value::Map(entries) = &mut node.value {
        repair::spelling(entries, shape, source, problems);
    }
}

/// Brings `node` to `shape`.
pub fn conform(node: &mut Node, shape: &'static Shape, vars: &Vars, source: &Source, problems: &mut Vec<Diagnostic>) {
    let at = Span::at(node.span.start);
    if node.is_null() {
        let problem = Diagnostic::new(code::WRONG_KIND, source, at, "the file is empty");
        problems.push(problem.expected(Kind::Object(shape).expected()));
        return;
    }
    Form { vars, source, problems, above: Vec::new(), strays: Vec::new() }.value(node, &Kind::Object(shape), at);
}

struct Form<'a> {
    vars: &'a Vars,
    source: &'a Source,
    problems: &'a mut Vec<Diagnostic>,
    /// The mappings around the one at hand, and the keys that they have.
    above: Vec<(&'static Shape, Vec<String>)>,
    /// Entries that belong to a mapping around them, by its depth.
    strays: Vec<(usize, Entry)>,
}

impl Form<'_> {
    fn problem(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.problems.push(Diagnostic::new(code, self.source, span, message));
        let last = self.problems.len() - 1;
        &mut self.problems[last]
    }

    /// A value of another form; `at` is the key it stands under.
    fn wrong(&mut self, node: &Node, kind: &Kind, at: Span) {
        let message = match &node.value {
            Value::Null => "there is nothing here".to_owned(),
            // What should be a mapping may be a credential in one text.
            Value::Scalar(_) if matches!(kind, Kind::Object(_)) => "a text does not fit here".to_owned(),
            _ => format!("{} does not fit here", node.shown()),
        };
        let span = repair::place(node, at, self.source);
        let problem = Diagnostic::new(code::WRONG_KIND, self.source, span, message).expected(kind.expected());
        self.problems.push(repair::other_form(node, kind, self.source, problem));
    }

    /// Checks one value; `at` is the key it stands under.
    fn value(&mut self, node: &mut Node, kind: &Kind, at: Span) {
        if matches!(node.value, Value::Unset) {
            return;
        }
        match kind {
            Kind::List(inner) => {
                self.read_variable(node, true);
                if let (Value::Scalar(scalar), true) = (&node.value, may_be_scalar(inner)) {
                    // Elements without brackets are read as if they had some: what depends on them is not reported.
                    let parts: Vec<String> = scalar.text.split(',').map(|part| part.trim().to_owned()).collect();
                    self.wrong(node, kind, at);
                    node.value = Value::List(parts.into_iter().map(|text| repair::text_at(node.span, text)).collect());
                    return;
                }
                let Value::List(items) = &mut node.value else { return self.wrong(node, kind, at) };
                items.iter_mut().for_each(|item| {
                    let at = item.span;
                    self.value(item, inner, at);
                });
            }
            Kind::Tuple(kinds) => match &mut node.value {
                Value::List(items) if items.len() == kinds.len() => {
                    items.iter_mut().zip(*kinds).for_each(|(item, kind)| {
                        let at = item.span;
                        self.value(item, kind, at);
                    })
                }
                _ => self.wrong(node, kind, at),
            },
            Kind::Map(names, inner) => self.map(node, *names, inner, kind, at),
            Kind::Object(shape) => self.object(node, shape, at),
            Kind::Any => node.once(),
            Kind::Tree(generators) => self.tree(node, generators),
            Kind::ListOr(inner, shape) => match &mut node.value {
                Value::List(items) => items.iter_mut().for_each(|item| self.value(item, inner, at)),
                _ => self.object(node, shape, at),
            },
            Kind::ChoiceOr(words, shape) => match &node.value {
                Value::Map(_) => self.object(node, shape, at),
                _ if node.text().is_some_and(|text| words.contains(&text)) => {}
                _ => self.wrong(node, kind, at),
            },
            Kind::Column | Kind::Field => self.typed(node, kind, at),
            _ => self.leaf(node, kind, at),
        }
    }

    /// Checks the generators in a tree.
    fn tree(&mut self, node: &mut Node, generators: &'static [&'static Shape]) {
        node.once();
        let generator = match &mut node.value {
            Value::List(items) => return items.iter_mut().for_each(|item| self.tree(item, generators)),
            Value::Map(entries) => repair::generator(entries, node.span, generators, self.source, self.problems),
            _ => return,
        };
        match (generator, &mut node.value) {
            (Ok(Some((shape, at))), _) => self.object(node, shape, at),
            (Ok(None), Value::Map(entries)) => entries.iter_mut().for_each(|e| self.tree(&mut e.value, generators)),
            // That is told, and nobody knows what its keys are.
            _ => node.value = Value::Unset,
        }
    }

    /// A text that came whole from the environment, where more than text is expected, is YAML. Where a list is expected and the
    /// text is none, its elements are between commas.
    fn read_variable(&mut self, node: &mut Node, list: bool) {
        let Value::Scalar(Scalar { text, origin: origin @ (Origin::Whole(_) | Origin::Default(_)), .. }) = &node.value
        else {
            return;
        };
        let (span, origin) = (node.span, origin.clone());
        let inner = Source::new("", text.clone());
        let parsed = node::parse(&inner, &mut Vec::new()).ok();
        let scalar = |text: &str| Node {
            span,
            value: Value::Scalar(Scalar {
                text: text.trim().into(),
                origin: origin.clone(),
                plain: true,
                written: None,
            }),
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

    fn map(&mut self, node: &mut Node, names: Names, inner: &'static Kind, kind: &Kind, at: Span) {
        self.read_variable(node, false);
        let Value::Map(entries) = &mut node.value else { return self.wrong(node, kind, at) };
        entries.retain(|entry| !entry.again);
        if matches!(inner, Kind::List(_)) {
            repair::loose_list(entries, self.source);
        }
        // An option whose variable is not set is not given.
        if matches!(inner, Kind::Text | Kind::Secret | Kind::Name) {
            entries.retain(|e| !e.value.is_null());
        }
        if let Kind::Object(shape) = inner {
            repair::indentation(entries, shape, self.source, self.problems);
            let mut at = 0;
            while let Some(entry) = entries.get(at) {
                // A section of the topology that is indented too far looks like a thing of that name.
                let inside = |e: &Entry| e.value.entries().iter().any(|inner| shape.key(&inner.key).is_some());
                match self.outward(entry).filter(|_| matches!(entry.value.value, Value::Map(_)) && !inside(entry)) {
                    Some(depth) => {
                        let entry = entries.remove(at);
                        self.stray(depth, entry, &format!("the names of {}", plural(shape)));
                    }
                    None => at += 1,
                }
            }
        }
        for entry in entries {
            if !self.name(&entry.key, entry.at, names) && names == Names::Bindings {
                // Expressions can only say it in another spelling, which then names nothing else.
                let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
                if !self.source.text.contains(&format!("from: {}", entry.key)) {
                    entry.key = entry.key.chars().map(plain).collect();
                }
            }
            self.value(&mut entry.value, inner, entry.at);
        }
    }

    /// The depth of the nearest mapping around this one that has a key of this name, lacks it, and could take the value.
    fn outward(&self, entry: &Entry) -> Option<usize> {
        let fits =
            |(shape, given): &(&'static Shape, Vec<String>)| repair::fits(entry, shape) && !given.contains(&entry.key);
        self.above.iter().rposition(fits)
    }

    fn stray(&mut self, depth: usize, entry: Entry, beside: &str) {
        let owner = self.above.get(depth).map_or("", |(shape, _)| shape.name);
        let message = format!("`{}` is a key of {owner} and stands among {beside}", entry.key);
        self.problem(code::UNKNOWN_KEY, entry.at, message).help = Some("indent it less".into());
        self.strays.push((depth, entry));
    }

    fn name(&mut self, name: &str, at: Span, names: Names) -> bool {
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
        allowed
    }

    fn object(&mut self, node: &mut Node, shape: &'static Shape, at: Span) {
        self.read_variable(node, false);
        let Value::Map(entries) = &mut node.value else { return self.wrong(node, &Kind::Object(shape), at) };
        repair::joined(entries);
        repair::spelling(entries, shape, self.source, self.problems);
        let unknown = self.misplaced(entries, shape);
        let depth = self.above.len();
        self.above.push((shape, entries.iter().map(|e| e.key.clone()).collect()));
        for entry in entries.iter_mut().filter(|e| !e.value.is_null()) {
            if let Some(key) = shape.key(&entry.key) {
                self.value(&mut entry.value, &key.kind, entry.at);
            }
        }
        while let Some(found) = self.strays.iter().position(|(owner, _)| *owner == depth) {
            let (_, mut entry) = self.strays.remove(found);
            if let Some(key) = shape.key(&entry.key) {
                self.value(&mut entry.value, &key.kind, entry.at);
            }
            entries.push(entry);
        }
        self.above.pop();
        self.lacks(entries, shape, at, unknown);
    }

    /// Moves keys of other mappings to where they belong, and reports those that are keys of none. Returns where the latter
    /// are among the problems.
    fn misplaced(&mut self, entries: &mut Vec<Entry>, shape: &'static Shape) -> Vec<usize> {
        let mut unknown = Vec::new();
        let mut at = 0;
        while let Some(entry) = entries.get(at) {
            if entry.key.is_empty() || shape.key(&entry.key).is_some() {
                at += 1;
                continue;
            }
            if let Some((name, inner)) = repair::below(entry, entries, shape) {
                let message =
                    format!("`{}` is a key of {} and stands among those of {}", entry.key, inner.name, shape.name);
                self.problem(code::UNKNOWN_KEY, entry.at, message).help = Some(format!("put it below `{name}`"));
                let entry = entries.remove(at);
                repair::put_below(entries, name, entry);
            } else if let Some(depth) = self.outward(entry) {
                let entry = entries.remove(at);
                self.stray(depth, entry, &format!("those of {}", shape.name));
            } else {
                let names = shape.keys.iter().map(|k| k.name);
                let mut problem = repair::unknown(entry, shape, self.source).nearest(&entry.key, names);
                let root = self.above.first().map_or(shape, |(root, _)| *root);
                problem.help = problem.help.or_else(|| repair::elsewhere(&entry.key, root, shape));
                unknown.push(self.problems.len());
                self.problems.push(problem);
                at += 1;
            }
        }
        unknown
    }

    /// What a mapping lacks. `unknown` are the problems of keys that nobody knows: one of them may be what is missing.
    fn lacks(&mut self, entries: &[Entry], shape: &'static Shape, at: Span, unknown: Vec<usize>) {
        let given = |name: &str| entries.iter().any(|e| e.key == name && !e.value.is_null());
        let missing: Vec<_> = shape.keys.iter().filter(|k| k.required && !given(k.name)).collect();
        let chosen: Vec<_> = entries.iter().filter(|e| shape.one_of.contains(&&*e.key) && !e.value.is_null()).collect();
        let undecided = !shape.one_of.is_empty() && chosen.is_empty();
        if let ([problem], 1) = (unknown.as_slice(), missing.len() + usize::from(undecided)) {
            let wanted: Vec<&str> =
                if undecided { shape.one_of.to_vec() } else { missing.iter().map(|k| k.name).collect() };
            if let Some(problem) = self.problems.get_mut(*problem) {
                let what = if wanted.len() == 1 { "" } else { "one of " };
                problem.expected = Some(format!("{what}`{}`, which is missing", wanted.join("`, `")));
            }
            return;
        }
        match chosen.as_slice() {
            [] if undecided => {
                let message = format!("{} needs one of `{}`", shape.name, shape.one_of.join("`, `"));
                let empty = entries.iter().find(|e| shape.one_of.contains(&&*e.key));
                match empty {
                    Some(empty) => self.problem(code::EXCLUSIVE, empty.at, format!("`{}` has no value", empty.key)),
                    None => self.problem(code::EXCLUSIVE, at, message),
                };
            }
            [first, second, ..] => {
                let message = format!("`{}` and `{}` exclude each other", first.key, second.key);
                let help = format!("keep one of them; {} has one of `{}`", shape.name, shape.one_of.join("`, `"));
                self.problem(code::EXCLUSIVE, second.at, message).help = Some(help);
            }
            _ => {}
        }
        // Missing keys are told where the mapping's own key stands; where it would begin they would look like part of it.
        for key in missing {
            let empty = entries.iter().find(|e| e.key == key.name);
            let (span, message) = match empty {
                Some(empty) => (empty.at, format!("`{}` has no value, and {} needs one", key.name, shape.name)),
                None => (at, format!("{} needs the key `{}`", shape.name, key.name)),
            };
            self.problem(code::MISSING_KEY, span, message).expected = Some(key.kind.expected());
        }
    }

    /// A type, or a mapping of one type to its meaning or expression.
    fn typed(&mut self, node: &mut Node, kind: &Kind, at: Span) {
        let field = matches!(kind, Kind::Field);
        let (name, span) = match &mut node.value {
            Value::Scalar(scalar) => (scalar.text.clone(), node.span),
            Value::Map(entries) => {
                entries.retain(|entry| !entry.again);
                if let Some(help) = long_type(entries) {
                    self.wrong(node, kind, at);
                    if let Some(problem) = self.problems.last_mut() {
                        problem.help = Some(help);
                    }
                    return;
                }
                let [entry] = entries.as_mut_slice() else { return self.wrong(node, kind, at) };
                self.value(&mut entry.value, if field { &Kind::Expression } else { &Kind::Text }, entry.at);
                (entry.key.clone(), entry.at)
            }
            _ => return self.wrong(node, kind, at),
        };
        match value::kind(&name) {
            Some((None, _)) if !field => {
                self.problem(code::WRONG_KIND, span, "a column needs a type; `any` is for fields of messages").help =
                    Some("`json` holds any value".into());
            }
            Some(_) => {}
            None => {
                let problem = Diagnostic::new(code::WRONG_KIND, self.source, span, format!("unknown type `{name}`"));
                let names = value::TYPES.iter().map(|(n, _)| *n).chain(field.then_some("any"));
                let bare = name.trim_end_matches(['!', '?']);
                let required = if name.ends_with('!') { "!" } else { "" };
                self.problems.push(match (value::meant_type(bare), value::kind(bare)) {
                    (_, Some(_)) if name.ends_with('?') => {
                        problem.help(format!("without `!` it may be missing: `{bare}`")).write(bare)
                    }
                    (Some(meant), _) => {
                        problem.help(format!("did you mean `{meant}{required}`?")).write(format!("{meant}{required}"))
                    }
                    _ => match nearest(bare, names.clone()) {
                        Some(near) => {
                            problem.help(format!("did you mean `{near}`?")).write(format!("{near}{required}"))
                        }
                        None => problem.nearest(bare, names),
                    },
                });
            }
        }
    }

    fn leaf(&mut self, node: &mut Node, kind: &Kind, at: Span) {
        let Some(text) = node.text().map(str::to_owned) else { return self.wrong(node, kind, at) };
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
            Kind::Within(least, most) => text.parse().is_ok_and(|n: i64| (*least..=*most).contains(&n)),
            Kind::Between(least, most) => text.parse().is_ok_and(|n: f64| (*least..=*most).contains(&n)),
            Kind::Instant => value::instant(&text).is_some(),
            Kind::Duration(least) => value::duration(&text).is_some_and(|d| d.as_millis() >= u128::from(*least)),
            Kind::Size(least) => value::size(&text).is_some_and(|bytes| bytes >= *least),
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
        let span = repair::place(node, at, self.source);
        let problem = Diagnostic::new(code::WRONG_KIND, self.source, span, format!("{shown} does not fit here"))
            .expected(kind.expected());
        let hidden = matches!(&node.value, Value::Scalar(Scalar { origin: Origin::Whole(_) | Origin::Part, .. }));
        let meant = match kind {
            _ if hidden => None,
            Kind::Choice(words) => nearest(&text, words.iter().copied()).map(str::to_owned),
            Kind::Bool => value::meant_bool(&text).map(str::to_owned),
            Kind::Duration(_) => value::meant_duration(&text),
            Kind::Size(_) => value::meant_size(&text),
            Kind::Integer(_) => value::meant_integer(&text),
            _ => None,
        };
        let zero = matches!(kind, Kind::Duration(1..) | Kind::Size(1..)) && text.trim_start().starts_with('0');
        let problem = if zero { problem.help("it must be more than nothing") } else { problem };
        if let (Some(meant), Kind::Choice(_), Value::Scalar(scalar)) = (&meant, kind, &mut node.value) {
            scalar.text.clone_from(meant);
        }
        self.problems.push(match (meant, kind) {
            (Some(meant), Kind::Choice(_)) => problem.help(format!("did you mean `{meant}`?")).write(meant),
            (Some(meant), _) => problem.write(meant),
            (None, _) => problem,
        });
    }

    fn syntax(&mut self, node: &Node, code: &'static str, error: Option<ParseError>) {
        let Some(error) = error else { return };
        let word = token(node.text().unwrap_or_default().get(error.offset..).unwrap_or_default());
        let length = error.fix.as_ref().map_or(word, |(length, _)| *length);
        let span = node.locate(self.source, error.offset, length);
        let mut problem = Diagnostic::new(code, self.source, span, error.message);
        problem.help = error.hint;
        let there = self.source.text.get(span.start..span.end).unwrap_or_default();
        problem.suggestion = error.fix.and_then(|(_, text)| repair::in_place(node, error.offset, there, text));
        self.problems.push(problem);
    }
}

/// How long the word or the literal is that a text begins with.
fn token(text: &str) -> usize {
    let word = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    match text.chars().next() {
        Some(quote @ ('\'' | '`')) => text.get(1..).and_then(|rest| rest.find(quote)).map_or(1, |end| end + 2),
        _ => word.max(1),
    }
}

fn may_be_scalar(kind: &Kind) -> bool {
    !matches!(kind, Kind::Map(..) | Kind::Object(_) | Kind::List(_) | Kind::Tuple(_))
}

/// The names of shapes as things: `a connection` are connections.
fn plural(shape: &Shape) -> String {
    let name = shape.name.split_once(' ').map_or(shape.name, |(_, name)| name);
    format!("{name}s")
}

/// What to write for `{type: string, required: true}`, as other systems have it.
fn long_type(entries: &[Entry]) -> Option<String> {
    let text = |key: &str| entries.iter().find(|e| e.key == key).and_then(|e| e.value.text());
    let kind = text("type")?;
    let flag = |key: &str, value: &str| text(key) == Some(value);
    let required = flag("required", "true") || flag("nullable", "false") || flag("optional", "false");
    Some(format!("write `{kind}{}`", if required && !kind.ends_with('!') { "!" } else { "" }))
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
