//! The functions of expressions: JMESPath's own and a closed list of ours.
//!
//! JMESPath's functions are strict, as its compliance suite demands: an argument of a wrong type is an
//! [`EvalError`](super::EvalError). The one exception is `join`, which skips nulls and is null for a null list.
//!
//! Ours are for data as it comes: an argument that is null, missing or of a type that makes no sense gives null, unless the
//! list below says otherwise, and only a mistake in the expression itself is an error. Times are texts (see
//! [`time`](super::time)), ids are texts or numbers and compare alike.
//!
//! A new function needs a use in two topologies.

use std::borrow::Cow;

use super::parse::By;
use super::value::{NULL, Value};
use super::{Env, Json, json};

mod ids;
mod list;
mod redact;
mod standard;
mod text;
mod time;
mod url;

pub use redact::redact;

/// What is wrong with a call.
pub(super) struct Fault(pub String);

/// The arguments of a call, as JSON.
pub(super) type Arguments<'a, 'v> = &'a [Cow<'v, Json>];

/// What a function does.
#[derive(Clone, Copy)]
pub(super) enum Run {
    /// Its arguments and its value are JSON.
    Json(fn(Arguments<'_, '_>, &Env) -> Result<Json, Fault>),
    /// They are in the form in which they were computed. A function is written so when rows are made with it.
    Values(for<'v> fn(&mut [Value<'v>], &Env) -> Result<Value<'v>, Fault>),
}

/// How a function's arguments are evaluated.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// All of them, before the call.
    Plain(Run),
    /// The first, and one of the others.
    If,
    /// One after the other, up to the first that is not null.
    Coalesce,
    /// A list, and an expression for each of its elements.
    By(By),
}

/// A function of the language.
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// How it is called.
    pub signature: &'static str,
    /// What it is, one line.
    pub about: &'static str,
    /// The fewest arguments.
    pub min: usize,
    /// The most arguments, if there is a limit.
    pub max: Option<usize>,
    /// The arguments that must be literal texts.
    pub literals: &'static [usize],
    pub(super) form: Form,
}

impl Function {
    const fn plain(
        signature: &'static str,
        count: usize,
        run: fn(Arguments<'_, '_>, &Env) -> Result<Json, Fault>,
        about: &'static str,
    ) -> Function {
        Function::new(signature, count, Some(count), Form::Plain(Run::Json(run)), about)
    }

    const fn of_values(
        signature: &'static str,
        count: usize,
        run: for<'v> fn(&mut [Value<'v>], &Env) -> Result<Value<'v>, Fault>,
        about: &'static str,
    ) -> Function {
        Function::new(signature, count, Some(count), Form::Plain(Run::Values(run)), about)
    }

    const fn new(signature: &'static str, min: usize, max: Option<usize>, form: Form, about: &'static str) -> Function {
        let mut end = 0;
        while signature.as_bytes()[end] != b'(' {
            end += 1;
        }
        let (name, _) = signature.split_at(end);
        Function { name, signature, about, min, max, literals: &[], form }
    }

    const fn literal(self, literals: &'static [usize]) -> Function {
        Function { literals, ..self }
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.signature)
    }
}

/// All functions, JMESPath's first.
pub fn all() -> impl Iterator<Item = &'static Function> {
    [standard::FUNCTIONS, ids::FUNCTIONS, list::FUNCTIONS, text::FUNCTIONS, time::FUNCTIONS, url::FUNCTIONS]
        .into_iter()
        .flatten()
}

/// The function called `name`.
pub fn lookup(name: &str) -> Option<&'static Function> {
    all().find(|function| function.name == name)
}

/// The name of a function that is nearest to `name`, if it is near.
pub fn nearest(name: &str) -> Option<&'static str> {
    crate::nearest::nearest(name, all().map(|function| function.name))
}

/// The argument at `at`; null if it was left out.
fn argument<'a>(arguments: Arguments<'a, '_>, at: usize) -> &'a Json {
    arguments.get(at).map_or(&json::NULL, |value| value)
}

/// The argument at `at`, if it is a text.
fn text_argument<'a>(arguments: Arguments<'a, '_>, at: usize) -> Option<&'a str> {
    use sonic_rs::JsonValueTrait;
    arguments.get(at).and_then(|value| value.as_str())
}

/// Takes the argument at `at`; null if it was left out.
fn take<'v>(arguments: &mut [Value<'v>], at: usize) -> Value<'v> {
    arguments.get_mut(at).map_or(NULL, |value| std::mem::replace(value, NULL))
}

/// Takes the argument at `at`, if it is a text.
fn take_text<'v>(arguments: &mut [Value<'v>], at: usize) -> Option<Cow<'v, str>> {
    take(arguments, at).into_str()
}

/// The JSON of a text, or null.
fn text_or_null(value: Option<impl AsRef<str>>) -> Json {
    value.map_or_else(Json::new_null, |value| json::text(value.as_ref()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Bindings, Env, Expr, Scope};
    use super::*;

    /// The canonical text of the value of `expr` over the JSON `root`, or the message of the error.
    pub(super) fn eval_over(root: &str, expr: &str) -> String {
        let root = json::parse(root.as_bytes()).unwrap();
        // 2026-01-10T12:00:00Z
        let env = Env {
            now: 1_768_046_400_000_000,
            present: Some(std::sync::Arc::new(|table, key| table == "t" && key == "k")),
            refused: Some(std::sync::Arc::new(|_, url| url.starts_with("http:").then(|| "no".to_owned()))),
        };
        let scope = Scope { bindings: &Bindings::default(), root: Some((&root).into()), env: &env };
        let expr = match Expr::parse(expr) {
            Ok(expr) => expr,
            Err(error) => return error.message,
        };
        match expr.eval(&scope) {
            Ok(value) => json::to_text(&value),
            Err(error) => error.message,
        }
    }

    /// Checks pairs of an expression and the canonical text of its value.
    pub(super) fn check(root: &str, cases: &[(&str, &str)]) {
        for (expr, expected) in cases {
            assert_eq!(eval_over(root, expr), *expected, "{expr}");
        }
    }

    #[test]
    fn names_are_unique_and_found() {
        let mut names: Vec<_> = all().map(|function| function.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        for function in all() {
            assert_eq!(lookup(function.name).unwrap().signature, function.signature);
            assert!(
                function.about.ends_with('.') && function.max.is_none_or(|max| max >= function.min),
                "{function:?}"
            );
        }
        assert_eq!(nearest("startswith"), Some("starts_with"));
        assert_eq!(nearest("lenght"), Some("length"));
        assert_eq!(nearest("xyz"), None);
    }

    #[test]
    fn ours_answer_null_to_null() {
        // What a call with nothing but nulls gives, where that is not null.
        let others = [("same", "false"), ("list", "[]"), ("objects", "[]"), ("now", "\"2026-01-10T12:00:00+00:00\"")];
        for function in all().skip(standard::FUNCTIONS.len()) {
            let arguments = (0..function.min).map(|at| if function.literals.contains(&at) { "'ms'" } else { "@" });
            let call = format!("{}({})", function.name, arguments.collect::<Vec<_>>().join(", "));
            let expected = others.iter().find(|(name, _)| *name == function.name).map_or("null", |(_, value)| value);
            let expected = if function.name == "present" { "false" } else { expected };
            assert_eq!(eval_over("null", &call), expected, "{call}");
        }
    }

    #[test]
    fn ours_never_fail_on_data() {
        for value in
            ["null", "true", "0", "-1.5", "1e999", "\"\"", "\"x\"", "[]", "[null,1,\"a\",{},[]]", "{}", "{\"a\":[1]}"]
        {
            // A namespace comes from the expression, not from data.
            for function in all().skip(standard::FUNCTIONS.len()).filter(|function| function.name != "uuid5") {
                let literals = |at| {
                    if function.name == "presigned_expiry" {
                        "'amz'"
                    } else if at == 0 {
                        "'t'"
                    } else {
                        "'x'"
                    }
                };
                let arguments =
                    (0..function.min.max(1)).map(|at| if function.literals.contains(&at) { literals(at) } else { "@" });
                let arguments =
                    if function.max == Some(0) { String::new() } else { arguments.collect::<Vec<_>>().join(", ") };
                let call = format!("{}({arguments})", function.name);
                let result = eval_over(value, &call);
                assert!(json::parse(result.as_bytes()).is_ok(), "{call} over {value}: {result}");
            }
        }
    }
}
