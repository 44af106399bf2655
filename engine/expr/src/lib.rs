//! Expressions: JMESPath over the tree of one message.
//!
//! An [`Expr`] is parsed once, when a topology is loaded, and evaluated for every document. It has no loops, no assignment
//! and no side effects; what is missing is null. Names at its root resolve in a [`Scope`]: first the document's
//! [`Bindings`], then the keys of a root value, if there is one. Inside a projection, a filter or behind a dot, names are
//! fields of the current element, as JMESPath has it; the bindings are not in sight there.
//!
//! The grammar is that of the `jmespath` crate, whose compliance suite runs here as a test. The functions are JMESPath's and
//! a short closed list of our own ([`functions`]). Their names and the number of their arguments are checked when an
//! expression is parsed, with a position.
//!
//! A plain path (`event.id`) and everything that [`Expr::test`] does with comparisons and connectives of paths allocates
//! nothing: values are borrowed from the scope until a function makes a new one, and a clone of a value is a count.
//!
//! ```
//! use expr::{Bindings, Env, Expr, Scope, json};
//!
//! let mut bindings = Bindings::default();
//! bindings.set("order".into(), json::parse(br#"{"id": 7, "lines": [{"sku": "A"}, {"sku": null}]}"#).unwrap());
//! let env = Env::at(0);
//! let scope = Scope { bindings: &bindings, root: None, env: &env };
//!
//! let expr = Expr::parse("same(order.id, '7') && order.lines[].sku").unwrap();
//! assert_eq!(json::to_text(&expr.eval(&scope).unwrap()), r#"["A"]"#);
//! assert_eq!(expr.paths(), [["order", "id"], ["order", "lines"]]);
//! assert_eq!(Expr::parse("lowr(order.id)").unwrap_err().to_string(), "no function is called `lowr`; did you mean `lower`?");
//! ```

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

mod coerce;
pub mod columns;
pub mod comparison;
#[cfg(test)]
mod compliance;
pub mod fields;
pub mod functions;
pub mod gist;
mod interpret;
pub mod json;
pub mod keys;
pub mod nearest;
pub mod number;
mod parse;
pub mod paths;
mod record;
mod repeated;
#[cfg(test)]
mod same;
mod scope;
mod syntax;
pub mod tape;
mod template;
pub mod time;
mod value;

pub use coerce::{Mismatch, cell_to_json, coerce, text_of};
pub use parse::ParseError;
pub use record::Record;
pub use scope::{Bindings, Env, Present, Refused, Root, Scope};
pub use template::{Escape, Part, Template};

/// A JSON value. Cloning one counts a reference.
pub type Json = sonic_rs::Value;

/// A parsed expression; cheap to clone.
#[derive(Clone)]
pub struct Expr(Arc<parse::Parsed>);

impl Expr {
    /// Parses an expression and checks the functions that it calls.
    pub fn parse(text: &str) -> Result<Expr, ParseError> {
        parse::parse(text).map(|parsed| Expr(Arc::new(parsed)))
    }

    /// The text it was parsed from.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Its value in `scope`.
    pub fn eval(&self, scope: &Scope<'_>) -> Result<Json, EvalError> {
        self.value(scope).map(Cow::into_owned)
    }

    /// Its value in `scope`, borrowed where it is a part of what the scope holds.
    pub fn value<'s>(&'s self, scope: &'s Scope<'_>) -> Result<Cow<'s, Json>, EvalError> {
        self.compute(scope).map(value::Value::into_json)
    }

    /// Its value in `scope` in the form in which it is computed.
    pub(crate) fn compute<'s>(&'s self, scope: &'s Scope<'_>) -> Result<value::Value<'s>, EvalError> {
        interpret::evaluate(&self.0.root, scope).map_err(|fault| fault.in_expression(self.text()))
    }

    /// Whether its value in `scope` is true as JMESPath has it: not null, not false, not empty. Zero is true.
    pub fn test(&self, scope: &Scope<'_>) -> Result<bool, EvalError> {
        interpret::holds(&self.0.root, scope).map_err(|fault| fault.in_expression(self.text()))
    }

    /// The paths it reads from the root, for example `["event", "id"]`, in the order of the text and each once. A path ends
    /// where something other than a plain field access begins. An empty path is the whole scope (`@`).
    pub fn paths(&self) -> &[Vec<String>] {
        &self.0.paths
    }

    /// For each of its [`paths`](Self::paths) the bytes of the text where its names begin.
    pub fn places(&self) -> &[Vec<usize>] {
        &self.0.places
    }

    /// What is known of its value without data.
    pub fn gist(&self) -> &gist::Gist {
        &self.0.gist
    }

    /// The functions it calls, in the order of the text.
    pub fn functions(&self) -> &[FunctionUse] {
        &self.0.functions
    }

    /// The comparisons in it, outer ones first.
    pub fn comparisons(&self) -> &[comparison::Comparison] {
        &self.0.comparisons
    }

    /// Whether its value depends on the clock.
    pub fn uses_now(&self) -> bool {
        self.functions().iter().any(|function| function.name == "now")
    }

    /// The path, if it is nothing but a plain path.
    pub fn is_plain_path(&self) -> Option<&[String]> {
        self.0.plain.then(|| self.0.paths.first()).flatten().map(Vec::as_slice)
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expr").field(&self.text()).finish()
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl PartialEq for Expr {
    /// Expressions are equal when their texts are.
    fn eq(&self, other: &Expr) -> bool {
        self.text() == other.text()
    }
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    /// What it is.
    pub gist: gist::Gist,
    /// The byte of the expression's text where it begins.
    pub offset: usize,
}

/// One call of a function in an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionUse {
    /// The function's name.
    pub name: &'static str,
    /// How many arguments it is given.
    pub arguments: usize,
    /// For each argument its value, if it is a literal text (the table of `present`, the connection of `refused`).
    pub literals: Vec<Option<String>>,
    /// What it is given.
    pub given: Vec<Argument>,
    /// The byte of the expression's text where the name begins.
    pub offset: usize,
}

/// Why an expression has no value. It is a mistake in the expression (`length` of a number), not in the data: what data can
/// be is null or missing, and our functions answer that with null. The message holds types, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}, at byte {offset} of `{expression}`")]
pub struct EvalError {
    /// What is wrong.
    pub message: String,
    /// The byte of the expression's text where it is.
    pub offset: usize,
    /// The expression's text.
    pub expression: String,
}
