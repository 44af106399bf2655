//! What is in sight of an expression, and the check of an expression against it.

use connectors::table::ColumnType;

use super::binding::Binding;
use super::flow::Aside;
use super::{Builder, under};
use crate::expr::gist::{self, Gist, Kinds};
use crate::expr::{Expr, FunctionUse, functions};
use crate::topology::node::Node;
use crate::topology::{Diagnostic, Source, Span, code, nearest};

/// The names in sight of an expression.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub(super) names: Vec<(String, Binding)>,
    /// Whether every other name is in sight too, as the keys of an incoming message are.
    pub(super) open: bool,
    /// Paths whose values are another at a replay: they come from the clock.
    moving: Vec<Vec<String>>,
    /// Where the fields of names are declared.
    origins: Vec<(String, Vec<String>)>,
}

impl Scope {
    pub(super) fn with(mut self, name: &str, binding: Binding) -> Self {
        self.names.push((name.into(), binding));
        self
    }

    /// Says where the fields of a name are declared.
    pub(super) fn with_origin(mut self, name: &str, path: &[&str]) -> Self {
        self.origins.push((name.to_owned(), path.iter().map(|part| (*part).to_owned()).collect()));
        self
    }

    /// The path of the declaration of a field.
    fn declared(&self, name: &str, field: &str) -> Option<Vec<String>> {
        let (_, path) = self.origins.iter().rev().find(|(known, _)| known == name)?;
        Some(path.iter().cloned().chain([field.to_owned()]).collect())
    }

    /// The fields of this name that things in sight have, as expressions say them.
    fn fields_called(&self, name: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for (owner, binding) in self.names.iter().filter(|(owner, _)| owner != "source") {
            let (Binding::Fields(fields) | Binding::Open(fields)) = binding else { continue };
            let path = format!("{owner}.{name}");
            if fields.iter().any(|(field, _)| field == name) && !found.contains(&path) {
                found.push(path);
            }
        }
        found.truncate(3);
        found
    }

    /// Adds paths whose values come from the clock.
    pub(super) fn with_moving(mut self, paths: impl IntoIterator<Item = Vec<String>>) -> Self {
        self.moving.extend(paths);
        self
    }

    /// A scope in which every name is in sight.
    pub(super) fn open() -> Self {
        Scope { open: true, ..Scope::default() }
    }

    /// What in an expression comes from the clock.
    pub(super) fn moves(&self, expr: &Expr) -> Option<String> {
        if expr.uses_now() {
            return Some("now()".into());
        }
        let moving = |path: &&Vec<String>| self.moving.iter().any(|moving| path.starts_with(moving));
        expr.paths().iter().find(moving).map(|path| path.join("."))
    }

    /// What a name means: the engine's `answer` is in front of a stage of that name.
    fn get(&self, name: &str) -> Option<&Binding> {
        self.names.iter().rev().find(|(n, _)| n == name).map(|(_, b)| b)
    }

    /// What a path leads to, where that is known.
    pub(super) fn binding(&self, path: &[String]) -> Option<&Binding> {
        let (first, rest) = path.split_first()?;
        let mut binding = self.get(first)?;
        for name in rest {
            let (Binding::Fields(fields) | Binding::Open(fields)) = binding else { return None };
            binding = &fields.iter().find(|(n, _)| n == name)?.1;
        }
        Some(binding)
    }

    /// The type of a path; none: any, or not known.
    pub(super) fn kind(&self, path: &[String]) -> Option<ColumnType> {
        self.binding(path).and_then(Binding::kind)
    }

    /// The kinds of a path's values.
    pub(super) fn kinds(&self, path: &[String]) -> Kinds {
        let kinds = self.binding(path).map_or(Kinds::ANY, Binding::kinds);
        if kinds == Kinds::NONE { Kinds::ANY } else { kinds }
    }
}

impl Builder<'_> {
    /// Checks the names of an expression. `why` says where a name that is not in sight can be had.
    pub(super) fn sees(&mut self, node: &Node, expr: &Expr, scope: &Scope, why: &dyn Fn(&str) -> Option<Why>) {
        self.sees_at(node, 0, expr, scope, why);
    }

    /// The same for an expression that begins at a byte of the node's text.
    pub(super) fn sees_at(
        &mut self,
        node: &Node,
        from: usize,
        expr: &Expr,
        scope: &Scope,
        why: &dyn Fn(&str) -> Option<Why>,
    ) {
        for (path, places) in expr.paths().iter().zip(expr.places()) {
            let sight = Sight { node, from, expr, path, places };
            if let Some(problem) = self.path(&sight, scope, why) {
                self.problems.push(problem);
            }
        }
        for function in expr.functions() {
            self.asked(node, from, function);
            self.given(node, from, function, scope);
        }
        for comparison in expr.comparisons() {
            self.compared(node, from, expr, comparison, scope);
        }
    }

    /// Checks the table of `present` and the connection of `refused`.
    fn asked(&mut self, node: &Node, from: usize, function: &FunctionUse) {
        let (section, names, code) = match function.name {
            "present" => ("tables", self.declared("tables"), code::UNKNOWN_TABLE),
            "refused" => ("connections", self.declared_of("web"), code::UNKNOWN_CONNECTION),
            _ => return,
        };
        // The grammar has seen to it that the argument is a text in quotes.
        let (Some(Some(named)), Some(argument)) = (function.literals.first(), function.given.first()) else { return };
        self.used.insert((section, named.clone()));
        let span = node.locate(self.source, from + argument.offset + 1, named.len());
        self.named.insert(under(&[section], named));
        // A connection that lacks its kind was reported.
        let unclear = section == "connections" && self.of_no_kind().contains(named);
        if !unclear && !names.contains(named) {
            let what = if section == "tables" { "table" } else { "web connection" };
            let problem = Diagnostic::new(code, self.source, span, format!("unknown {what} `{named}`"));
            let problem = problem.nearest(named, names.iter().map(String::as_str));
            self.problems.push(problem.about(under(&[section], named)));
            return;
        }
        if let Some(table) = self.tables.get(named).filter(|table| section == "tables" && table.spec.key.len() > 1) {
            let message =
                format!("the key of `{named}` has {} columns, and `present` asks for one value", table.spec.key.len());
            self.problem(code::KEY_COLUMN, span, message).expected = Some("a table with one column in its key".into());
        }
    }

    /// Checks the arguments of a call whose types are known.
    fn given(&mut self, node: &Node, from: usize, function: &FunctionUse, scope: &Scope) {
        let Some(signature) = gist::signature(function.name) else { return };
        for (at, argument) in function.given.iter().enumerate() {
            let taken = signature.taken(at);
            let kinds = argument.gist.kinds(&|path| scope.kinds(path));
            if kinds.meets(taken) {
                continue;
            }
            let (what, length) = match &argument.gist {
                Gist::Path(path) => {
                    let shown = scope.binding(path).map_or_else(|| kinds.to_string(), Binding::shown);
                    (format!("`{}` is {shown}", path.join(".")), path.join(".").len())
                }
                _ => (format!("this is {kinds}"), 1),
            };
            let span = node.locate(self.source, from + argument.offset, length);
            let message = format!("argument {} of `{}` must be {taken}; {what}", at + 1, function.name);
            self.problem(code::TYPE_MISMATCH, span, message).help =
                functions::lookup(function.name).map(|f| f.signature.to_owned());
        }
    }

    fn path(&mut self, sight: &Sight<'_>, scope: &Scope, why: &dyn Fn(&str) -> Option<Why>) -> Option<Diagnostic> {
        let (first, rest) = sight.path.split_first()?;
        self.reads.insert(first.clone());
        self.read_paths.insert(sight.path.iter().take(2).cloned().collect());
        let source = self.source;
        let at = |depth: usize| sight.span(source, depth);
        let Some(mut binding) = scope.get(first) else {
            if scope.open {
                return None;
            }
            return Some(self.unseen(sight, first, scope, why));
        };
        let flow = self.flow.clone();
        self.named.insert(under(&["flows", &flow, "stages"], first));
        for (index, name) in rest.iter().enumerate() {
            let whole = sight.path.get(..=index).unwrap_or(sight.path).join(".");
            match binding {
                other if other.kinds() == Kinds::NONE => return None,
                Binding::List(_) => {
                    let message = format!("`{whole}` is a list and has no fields");
                    let problem = Diagnostic::new(code::UNKNOWN_FIELD, self.source, at(index + 1), message);
                    let help =
                        format!("`{whole}[].{name}` is that of each element, `first({whole}).{name}` of the first");
                    return Some(problem.help(help));
                }
                Binding::Fields(fields) | Binding::Open(fields) => match fields.iter().find(|(n, _)| n == name) {
                    Some((_, inner)) => {
                        binding = inner;
                        self.named.extend(scope.declared(first, name).filter(|_| index == 0));
                    }
                    None if matches!(binding, Binding::Open(_)) => return None,
                    None => {
                        let message = format!("`{whole}` has no field `{name}`");
                        let mut problem = Diagnostic::new(code::UNKNOWN_FIELD, self.source, at(index + 1), message);
                        let of = scope.declared(first, name).filter(|_| index == 0);
                        problem.subject = of.or_else(|| Some(under(&["flows", &self.flow, "fields", &whole], name)));
                        // A label that was misspelt is read, though under another name.
                        if let Some(near) = nearest(name, fields.iter().map(|(n, _)| n.as_str())) {
                            self.meant_paths.insert(vec![first.clone(), near.to_owned()]);
                        }
                        return Some(problem.nearest(name, fields.iter().map(|(n, _)| n.as_str())));
                    }
                },
                other if other.kinds().meets(Kinds::OBJECT) => return None,
                other => {
                    let message = format!("`{whole}` is {} and has no fields", other.shown());
                    return Some(Diagnostic::new(code::UNKNOWN_FIELD, self.source, at(index + 1), message));
                }
            }
        }
        None
    }

    /// The problem of a name that is not in sight.
    fn unseen(
        &mut self,
        sight: &Sight<'_>,
        name: &str,
        scope: &Scope,
        why: &dyn Fn(&str) -> Option<Why>,
    ) -> Diagnostic {
        let span = sight.span(self.source, 0);
        let mut problem =
            Diagnostic::new(code::UNKNOWN_BINDING, self.source, span, format!("`{name}` is not in sight here"));
        problem.subject = Some(under(&["flows", &self.flow, "stages"], name));
        if let Some(literal) = sight.literal(name) {
            return problem.help(literal);
        }
        let why = why(name);
        match &why {
            Some(Why::Aside(help)) => {
                if let Some(here) = &self.place_in {
                    self.asides.push(Aside { name: name.to_owned(), problem: self.problems.len(), here: here.clone() });
                }
                return problem.help(help);
            }
            Some(Why::Says(help)) => return problem.help(help),
            Some(Why::Meant(_)) | None => {}
        }
        // A field without the thing that has it.
        let fields = scope.fields_called(name);
        if !fields.is_empty() {
            for field in &fields {
                let path: Vec<String> = field.split('.').map(str::to_owned).collect();
                self.reads.extend(path.first().cloned());
                self.meant_paths.insert(path);
            }
            return problem.meant(&fields.iter().map(String::as_str).collect::<Vec<_>>());
        }
        if let Some(Why::Meant(meant)) = why {
            // What was probably meant is read, though under another name.
            self.reads.extend(meant.iter().cloned());
            return problem.meant(&meant.iter().map(String::as_str).collect::<Vec<_>>());
        }
        let names: Vec<&str> = scope.names.iter().map(|(n, _)| n.as_str()).collect();
        match sight.bare(name) {
            Some(help) if nearest(name, names.iter().copied()).is_none() => problem.help(help),
            _ => problem.nearest(name, names),
        }
    }
}

/// Why a name is not in sight.
pub(super) enum Why {
    /// It is one of these, misspelt.
    Meant(Vec<String>),
    /// It is bound by a stage that is not on the way; what to do.
    Aside(String),
    /// What to do.
    Says(String),
}

/// A path of an expression, and where it stands.
struct Sight<'s> {
    node: &'s Node,
    from: usize,
    expr: &'s Expr,
    path: &'s [String],
    places: &'s [usize],
}

impl Sight<'_> {
    fn span(&self, source: &Source, depth: usize) -> Span {
        let offset = self.places.get(depth).copied().unwrap_or(0);
        let quoted = self.expr.text().get(offset..).is_some_and(|rest| rest.starts_with('"'));
        let length = self.path.get(depth).map_or(1, String::len) + if quoted { 2 } else { 0 };
        self.node.locate(source, self.from + offset, length)
    }

    /// What to do about a name that was meant as a literal.
    fn literal(&self, name: &str) -> Option<String> {
        let offset = self.places.first().copied().unwrap_or(0);
        if self.expr.text().get(offset..).is_some_and(|rest| rest.starts_with('"')) {
            return Some(format!("double quotes make a name; a text stands in single quotes: '{name}'"));
        }
        let word = match name.to_ascii_lowercase().as_str() {
            "true" => "true",
            "false" => "false",
            "null" | "none" | "nil" | "undefined" => "null",
            _ => return None,
        };
        Some(format!("a literal stands in backticks: `` `{word}` ``, in YAML \"`{word}`\""))
    }

    /// What to do about an expression that is nothing but one name that nobody knows: most often it is a text.
    fn bare(&self, name: &str) -> Option<String> {
        let whole = self.path.len() == 1 && self.expr.text().trim() == name;
        whole.then(|| format!("a text has quotes of its own, besides those of YAML: \"'{name}'\""))
    }
}
