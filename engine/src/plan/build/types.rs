//! Whether a value can become what is declared for it.

use connectors::table::{Cell, ColumnType};

use super::Builder;
use super::binding::Binding;
use super::scope::Scope;
use crate::expr::gist::{self, Gist, Kinds};
use crate::expr::{Expr, coerce, json};
use crate::topology::node::Node;
use crate::topology::{code, value};

impl Builder<'_> {
    /// Checks that what is known of an expression's value can become `to`.
    pub(super) fn becomes(&mut self, node: &Node, expr: &Expr, scope: &Scope, to: Option<ColumnType>) {
        let Some(to) = to else { return };
        let Some(what) = never(expr.gist(), scope, to) else { return };
        let name = value::kind_name(Some(to));
        let problem = self.problem(code::TYPE_MISMATCH, node.span, format!("{what} and never becomes `{name}`"));
        problem.expected = Some(format!("{}, which becomes `{name}`", wanted(to)));
    }

    /// Checks that a key of a stage or of a block is given what it can use.
    pub(super) fn needs(&mut self, node: &Node, expr: &Expr, scope: &Scope, need: &Need) {
        self.needs_at(node, 0, expr, scope, need);
    }

    /// The same for an expression that begins at a byte of the node's text.
    pub(super) fn needs_at(&mut self, node: &Node, from: usize, expr: &Expr, scope: &Scope, need: &Need) {
        let Some((what, kinds)) = unfit(expr.gist(), scope, need) else { return };
        let text = expr.text().trim();
        let start = from + expr.text().len() - expr.text().trim_start().len();
        let span = node.locate(self.source, start, text.len());
        let problem =
            self.problem(code::TYPE_MISMATCH, span, format!("{what}, and `{}` needs {}", need.key, need.wanted));
        problem.expected = Some(need.wanted.to_owned());
        let convert = match () {
            // What is one thing has one text.
            () if need.kinds.meets(Kinds::TEXT) && kinds == Kinds::NUMBER => "string",
            () if need.kinds == Kinds::NUMBER && kinds == Kinds::TEXT => "to_number",
            // What a list can be, JSON can be.
            () if need.kinds.meets(Kinds::LIST) && kinds == Kinds::OBJECT => "json",
            () => return,
        };
        // An address or a name is no number that was written down as a text.
        if need.refuses.is_empty() {
            *problem = problem.clone().write(format!("{convert}({text})"));
        }
    }
}

/// What a key can use.
pub(super) struct Need {
    /// The key.
    pub(super) key: &'static str,
    /// The kinds of values.
    pub(super) kinds: Kinds,
    /// Types that are of these kinds, and are nothing for it all the same.
    pub(super) refuses: &'static [ColumnType],
    /// In words.
    pub(super) wanted: &'static str,
}

/// Types whose texts are neither addresses nor names.
const NO_NAMES: &[ColumnType] = &[ColumnType::Timestamp, ColumnType::Date, ColumnType::Decimal];

impl Need {
    const fn new(key: &'static str, kinds: Kinds, wanted: &'static str) -> Need {
        Need { key, kinds, refuses: &[], wanted }
    }

    /// A text that says something: no number, and no instant.
    pub(super) const fn name(key: &'static str, wanted: &'static str) -> Need {
        Need { refuses: NO_NAMES, ..Need::new(key, Kinds::TEXT, wanted) }
    }

    /// Any text.
    pub(super) const fn text(key: &'static str) -> Need {
        Need::new(key, Kinds::TEXT, "a text")
    }

    pub(super) const fn number(key: &'static str) -> Need {
        Need::new(key, Kinds::NUMBER, "a number")
    }

    pub(super) const fn list(key: &'static str) -> Need {
        Need::new(key, Kinds::LIST, "a list")
    }

    /// What is one thing.
    pub(super) const fn scalar(key: &'static str) -> Need {
        Need::new(key, Kinds::TEXT.or(Kinds::NUMBER).or(Kinds::BOOL), "a text, a number or a boolean")
    }

    /// What things are known by: one thing, or a list of such.
    pub(super) const fn identity(key: &'static str) -> Need {
        let kinds = Kinds::TEXT.or(Kinds::NUMBER).or(Kinds::BOOL).or(Kinds::LIST);
        Need::new(key, kinds, "a text or a number, which is the same each time it is written")
    }
}

/// What of a value is nothing that a key can use, and its kinds.
fn unfit(gist: &Gist, scope: &Scope, need: &Need) -> Option<(String, Kinds)> {
    match gist {
        Gist::Either(all) => return all.iter().find_map(|gist| unfit(gist, scope, need)),
        Gist::And(_, right) => return unfit(right, scope, need),
        _ => {}
    }
    let binding = Binding::of(gist, scope);
    let kinds = gist.kinds(&|path| scope.kinds(path));
    let refused = binding.kind().is_some_and(|kind| need.refuses.contains(&kind));
    if kinds.meets(need.kinds) && !refused {
        return None;
    }
    let what = match gist {
        Gist::Path(path) => format!("`{}`", path.join(".")),
        Gist::Call(name) => format!("`{name}(...)`"),
        _ => "this".to_owned(),
    };
    Some((
        format!("{what} is {}", if matches!(gist, Gist::Constant(_)) { kinds.to_string() } else { binding.shown() }),
        kinds,
    ))
}

/// The type of a value, where it has one.
pub(super) fn known_kind(gist: &Gist, scope: &Scope) -> Option<ColumnType> {
    match gist {
        Gist::Path(path) => scope.kind(path),
        Gist::Call(name) => gist::signature(name)?.kind,
        Gist::Bool => Some(ColumnType::Bool),
        _ => None,
    }
}

/// What of a value never becomes `to`.
fn never(gist: &Gist, scope: &Scope, to: ColumnType) -> Option<String> {
    match gist {
        Gist::Either(all) => all.iter().find_map(|gist| never(gist, scope, to)),
        Gist::Constant(constant) => {
            use sonic_rs::JsonValueTrait as _;
            let blank = constant.is_null() || constant.as_str().is_some_and(|text| text.trim().is_empty());
            let fits = blank || matches!(coerce(to, constant), Ok(cell) if cell != Cell::Null);
            let shown = constant.as_str().map_or_else(|| json::to_text(constant), |text| format!("'{text}'"));
            (!fits).then(|| format!("`{shown}` is a constant"))
        }
        Gist::And(_, right) => never(right, scope, to),
        Gist::Path(path) => {
            let from = scope.kind(path);
            let fits = value::fits(from, Some(to)) && container_fits(scope.kinds(path), to);
            let shown = || scope.binding(path).map(Binding::shown).unwrap_or_default();
            (!fits).then(|| format!("`{}` is {}", path.join("."), shown()))
        }
        Gist::Call(name) => {
            let signature = gist::signature(name)?;
            match signature.kind {
                Some(kind) if !value::fits(Some(kind), Some(to)) => {
                    Some(format!("`{name}(...)` is of type `{}`", value::kind_name(Some(kind))))
                }
                Some(_) => None,
                None => (!container_fits(signature.gives, to)).then(|| format!("`{name}(...)` is {}", signature.gives)),
            }
        }
        Gist::Bool => (!value::fits(Some(ColumnType::Bool), Some(to))).then(|| "this is true or false".to_owned()),
        Gist::List(_) | Gist::Object(_) => {
            let kinds = gist.kinds(&|_| Kinds::ANY);
            (!container_fits(kinds, to)).then(|| format!("this is {kinds}"))
        }
        Gist::Unknown => None,
    }
}

/// Whether values of some kinds can become `to`; lists and objects become texts only.
fn container_fits(kinds: Kinds, to: ColumnType) -> bool {
    let scalar = [ColumnType::Int64, ColumnType::Bool, ColumnType::Text];
    let holds = matches!(to, ColumnType::String | ColumnType::Text | ColumnType::Json);
    holds || scalar.iter().any(|kind| kinds.meets(Kinds::of(Some(*kind))))
}

/// What becomes a type.
fn wanted(to: ColumnType) -> &'static str {
    match to {
        ColumnType::Id => "a text or a number",
        ColumnType::Int64 | ColumnType::Int32 => "a number, the text of one, or a boolean",
        ColumnType::Float64 | ColumnType::Decimal => "a number, or the text of one",
        ColumnType::Bool => "a boolean, a number, or a text such as `true`",
        ColumnType::Timestamp => "an instant such as `2026-01-10T12:00:00Z`",
        ColumnType::Date => "an instant, or a date such as `2026-01-10`",
        ColumnType::String | ColumnType::Text | ColumnType::Json => "anything",
    }
}
