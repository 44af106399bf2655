//! What is in sight of an expression, and the check of an expression against it.

use connectors::table::ColumnType;

use super::Builder;
use crate::expr::Expr;
use crate::plan::Field;
use crate::topology::node::Node;
use crate::topology::{Diagnostic, code, nearest, value};

/// What a name means to an expression.
#[derive(Clone, Debug)]
pub(super) enum Binding {
    /// Anything: its fields are not known.
    Free,
    /// A value of a type; none: any.
    Value(Option<ColumnType>),
    /// Exactly these fields.
    Fields(Vec<(String, Binding)>),
}

/// The names in sight of an expression.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub(super) names: Vec<(String, Binding)>,
    /// Whether every other name is in sight too, as the keys of an incoming message are.
    pub(super) open: bool,
}

impl Binding {
    fn fields(fields: &[(&str, Option<ColumnType>)]) -> Binding {
        Binding::Fields(fields.iter().map(|(name, kind)| ((*name).to_owned(), Binding::Value(*kind))).collect())
    }

    pub(super) fn event(message: &[Field]) -> Binding {
        Binding::Fields(message.iter().map(|f| (f.name.to_string(), Binding::Value(f.kind))).collect())
    }

    pub(super) fn source() -> Binding {
        use ColumnType::{Int32, Int64, String, Text, Timestamp};
        let Binding::Fields(mut fields) = Binding::fields(&[
            ("topic", Some(String)),
            ("partition", Some(Int32)),
            ("offset", Some(Int64)),
            ("time", Some(Timestamp)),
            ("key", Some(Text)),
            ("attempt", Some(Int32)),
        ]) else {
            return Binding::Free;
        };
        fields.push(("headers".into(), Binding::Free));
        let origin = [("topic", Some(String)), ("partition", Some(Int32)), ("offset", Some(Int64))];
        fields.push(("origin".into(), Binding::fields(&origin)));
        Binding::Fields(fields)
    }

    pub(super) fn outcome() -> Binding {
        use ColumnType::{Int32, Int64, String, Text, Timestamp};
        let Binding::Fields(mut fields) = Binding::fields(&[
            ("status", Some(String)),
            ("reason", Some(Text)),
            ("attempts", Some(Int32)),
            ("calls", Some(Int64)),
            ("duration_ms", Some(Int64)),
            ("at", Some(Timestamp)),
        ]) else {
            return Binding::Free;
        };
        let error =
            [("message", Some(Text)), ("category", Some(String)), ("stage", Some(String)), ("status", Some(Int32))];
        fields.push(("error".into(), Binding::fields(&error)));
        Binding::Fields(fields)
    }

    pub(super) fn download() -> Binding {
        use ColumnType::{Int64, String, Text, Timestamp};
        Binding::fields(&[
            ("path", Some(Text)),
            ("bytes", Some(Int64)),
            ("sha256", Some(String)),
            ("content_type", Some(String)),
            ("extension", Some(String)),
            ("url", Some(Text)),
            ("downloaded_at", Some(Timestamp)),
        ])
    }

    pub(super) fn upload() -> Binding {
        use ColumnType::{Bool, Int64, Text, Timestamp};
        Binding::fields(&[
            ("path", Some(Text)),
            ("url", Some(Text)),
            ("bytes", Some(Int64)),
            ("uploaded_at", Some(Timestamp)),
            ("missing", Some(Bool)),
        ])
    }

    pub(super) fn labels<'l>(labels: impl IntoIterator<Item = &'l str>) -> Binding {
        let label = |name: &str| (name.to_owned(), Binding::Value(Some(ColumnType::Bool)));
        Binding::Fields(labels.into_iter().map(label).collect())
    }
}

impl Scope {
    pub(super) fn with(mut self, name: &str, binding: Binding) -> Self {
        self.names.push((name.into(), binding));
        self
    }

    /// What a name means: the engine's `answer` is in front of a stage of that name.
    fn get(&self, name: &str) -> Option<&Binding> {
        self.names.iter().rev().find(|(n, _)| n == name).map(|(_, b)| b)
    }

    /// The type of a path; none: any, or not known.
    fn kind(&self, path: &[String]) -> Option<ColumnType> {
        let (first, rest) = path.split_first()?;
        let mut binding = self.get(first)?;
        for name in rest {
            let Binding::Fields(fields) = binding else { return None };
            binding = &fields.iter().find(|(n, _)| n == name)?.1;
        }
        if let Binding::Value(kind) = binding { *kind } else { None }
    }
}

impl Builder<'_> {
    /// Checks the names of an expression. `why` says where a name that is not in sight can be had.
    pub(super) fn sees(&mut self, node: &Node, expr: &Expr, scope: &Scope, why: &dyn Fn(&str) -> Option<String>) {
        for path in expr.paths() {
            if let Some(problem) = self.path(node, path, scope, why) {
                self.problems.push(problem);
            }
        }
        for function in expr.functions() {
            let (section, names, code) = match function.name {
                "present" => ("tables", self.declared("tables"), code::UNKNOWN_TABLE),
                "refused" => ("connections", self.declared_of("web"), code::UNKNOWN_CONNECTION),
                _ => continue,
            };
            // The grammar has seen to it that the argument is a text in quotes.
            let Some(Some(named)) = function.literals.first() else { continue };
            self.used.insert((section, named.clone()));
            if !names.contains(named) {
                let span = node.locate(self.source, function.offset, function.name.len());
                let what = if section == "tables" { "table" } else { "web connection" };
                let problem = Diagnostic::new(code, self.source, span, format!("unknown {what} `{named}`"));
                self.problems.push(problem.nearest(named, names.iter().map(String::as_str)));
            }
        }
    }

    fn path(
        &mut self,
        node: &Node,
        path: &[String],
        scope: &Scope,
        why: &dyn Fn(&str) -> Option<String>,
    ) -> Option<Diagnostic> {
        let (first, rest) = path.split_first()?;
        self.reads.insert(first.clone());
        let at = |depth: usize| {
            let (offset, length) = find_path(node.text().unwrap_or_default(), path, depth);
            node.locate(self.source, offset, length)
        };
        let Some(mut binding) = scope.get(first) else {
            if scope.open {
                return None;
            }
            let problem =
                Diagnostic::new(code::UNKNOWN_BINDING, self.source, at(0), format!("`{first}` is not in sight here"));
            let names: Vec<&str> = scope.names.iter().map(|(n, _)| n.as_str()).collect();
            return Some(match why(first) {
                Some(why) => problem.help(why),
                None => problem.nearest(first, names),
            });
        };
        for (index, name) in rest.iter().enumerate() {
            let whole = path.get(..=index).unwrap_or(path).join(".");
            match binding {
                Binding::Free | Binding::Value(None | Some(ColumnType::Json)) => return None,
                Binding::Value(kind) => {
                    let message = format!("`{whole}` is of type `{}` and has no fields", value::kind_name(*kind));
                    return Some(Diagnostic::new(code::UNKNOWN_FIELD, self.source, at(index + 1), message));
                }
                Binding::Fields(fields) => match fields.iter().find(|(n, _)| n == name) {
                    Some((_, inner)) => binding = inner,
                    None => {
                        let message = format!("`{whole}` has no field `{name}`");
                        let problem = Diagnostic::new(code::UNKNOWN_FIELD, self.source, at(index + 1), message);
                        return Some(problem.nearest(name, fields.iter().map(|(n, _)| n.as_str())));
                    }
                },
            }
        }
        None
    }

    /// Checks that a plain path has a type that can become `to`.
    pub(super) fn becomes(&mut self, node: &Node, expr: &Expr, scope: &Scope, to: Option<ColumnType>) {
        let Some(path) = expr.is_plain_path() else { return };
        let from = scope.kind(path);
        if !value::fits(from, to) {
            let (from, to) = (value::kind_name(from), value::kind_name(to));
            let message = format!("`{}` is of type `{from}` and never becomes `{to}`", path.join("."));
            self.problem(code::TYPE_MISMATCH, node.span, message);
        }
    }
}

/// Where the name at `depth` of a path stands in the text of an expression, with its length.
fn find_path(text: &str, path: &[String], depth: usize) -> (usize, usize) {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let wanted = path.get(..=depth).unwrap_or(path).join(".");
    let length = path.get(depth).map_or(1, String::len);
    let found = text.match_indices(&wanted).find(|(at, found)| {
        let before = text.get(..*at).and_then(|t| t.chars().next_back());
        let after = text.get(at + found.len()..).and_then(|t| t.chars().next());
        !part(before) && before != Some('.') && !part(after)
    });
    match found {
        Some((at, found)) => (at + found.len() - length, length),
        // Quoted or spread over lines: the first name of it will do.
        None => (path.first().and_then(|first| text.find(first.as_str())).unwrap_or(0), length),
    }
}

/// Says that a name was meant, where there is a near one.
pub(super) fn meant<'n>(given: &str, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
    nearest(given, names).map(|name| format!("did you mean `{name}`?"))
}
