//! Whether a value can become what is declared for it.

use connectors::table::{Cell, ColumnType};

use super::Builder;
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
        Gist::Path(path) => {
            let from = scope.kind(path);
            let misfit = !value::fits(from, Some(to));
            misfit.then(|| format!("`{}` is of type `{}`", path.join("."), value::kind_name(from)))
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
        Gist::List | Gist::Object => {
            let kinds = gist.kinds(&|_| None);
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
