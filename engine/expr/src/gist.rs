//! What is known of values without data: the kinds that functions take and give, and the gist of an expression.
//!
//! A function that is given what it cannot take is a mistake in the expression, and is found when a topology is loaded: by
//! the parser where literals and other functions are the arguments, by whoever knows the types of paths otherwise.
//! Null is in every kind, because whatever a document holds may be missing.

use std::fmt;

use connectors::table::ColumnType;
use jmespath::ast::Ast;
use sonic_rs::JsonValueTrait as _;

use super::{Json, time};

/// A set of kinds of JSON values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u8);

const TEXT: Kinds = Kinds::TEXT;
const NUMBER: Kinds = Kinds::NUMBER;
const BOOL: Kinds = Kinds::BOOL;
const LIST: Kinds = Kinds::LIST;
const OBJECT: Kinds = Kinds::OBJECT;
const ANY: Kinds = Kinds::ANY;

impl Kinds {
    /// None: of the value null alone.
    pub const NONE: Kinds = Kinds(0);
    /// Text.
    pub const TEXT: Kinds = Kinds(1);
    /// A number.
    pub const NUMBER: Kinds = Kinds(2);
    /// A boolean.
    pub const BOOL: Kinds = Kinds(4);
    /// A list.
    pub const LIST: Kinds = Kinds(8);
    /// An object.
    pub const OBJECT: Kinds = Kinds(16);
    /// Anything.
    pub const ANY: Kinds = Kinds(31);

    /// The kinds of the values of a type; none: any.
    pub fn of(kind: Option<ColumnType>) -> Kinds {
        match kind {
            None | Some(ColumnType::Json) => ANY,
            Some(ColumnType::Int64 | ColumnType::Int32 | ColumnType::Float64) => NUMBER,
            Some(ColumnType::Bool) => BOOL,
            Some(_) => TEXT,
        }
    }

    /// Whether one of these kinds is among `others`.
    pub fn meets(self, others: Kinds) -> bool {
        self.0 & others.0 != 0
    }

    /// These kinds and others.
    pub const fn or(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    /// The kinds that values of these have when they are not true: a number always is.
    pub const fn falsy(self) -> Kinds {
        Kinds(self.0 & !NUMBER.0)
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            [(TEXT, "a text"), (NUMBER, "a number"), (BOOL, "a boolean"), (LIST, "a list"), (OBJECT, "an object")];
        let names: Vec<&str> = names.iter().filter(|(kind, _)| self.meets(*kind)).map(|(_, name)| *name).collect();
        f.write_str(&names.join(" or "))
    }
}

/// What a function takes and gives.
#[derive(Debug)]
pub struct Signature {
    /// Its name.
    pub name: &'static str,
    /// The kinds of its arguments; the last stands for all that follow.
    pub takes: &'static [Kinds],
    /// The kinds of its value.
    pub gives: Kinds,
    /// The type of its value, where it has one.
    pub kind: Option<ColumnType>,
}

const fn of(name: &'static str, takes: &'static [Kinds], gives: Kinds) -> Signature {
    Signature { name, takes, gives, kind: None }
}

const fn typed(name: &'static str, takes: &'static [Kinds], gives: Kinds, kind: ColumnType) -> Signature {
    Signature { name, takes, gives, kind: Some(kind) }
}

#[rustfmt::skip]
const SIGNATURES: &[Signature] = &[
    of("abs", &[NUMBER], NUMBER),
    typed("avg", &[LIST], NUMBER, ColumnType::Float64),
    of("ceil", &[NUMBER], NUMBER),
    typed("contains", &[TEXT.or(LIST), ANY], BOOL, ColumnType::Bool),
    typed("ends_with", &[TEXT], BOOL, ColumnType::Bool),
    of("floor", &[NUMBER], NUMBER),
    typed("join", &[TEXT, LIST], TEXT, ColumnType::Text),
    of("keys", &[OBJECT], LIST),
    typed("length", &[TEXT.or(LIST).or(OBJECT)], NUMBER, ColumnType::Int64),
    of("map", &[ANY, LIST], LIST),
    of("max", &[LIST], TEXT.or(NUMBER)),
    of("max_by", &[LIST, ANY], ANY),
    of("merge", &[OBJECT], OBJECT),
    of("min", &[LIST], TEXT.or(NUMBER)),
    of("min_by", &[LIST, ANY], ANY),
    of("not_null", &[ANY], ANY),
    of("reverse", &[TEXT.or(LIST)], TEXT.or(LIST)),
    of("sort", &[LIST], LIST),
    of("sort_by", &[LIST, ANY], LIST),
    typed("starts_with", &[TEXT], BOOL, ColumnType::Bool),
    of("sum", &[LIST], NUMBER),
    of("to_array", &[ANY], LIST),
    of("to_number", &[ANY], NUMBER),
    typed("to_string", &[ANY], TEXT, ColumnType::Text),
    typed("type", &[ANY], TEXT, ColumnType::String),
    of("values", &[OBJECT], LIST),
    typed("id", &[TEXT.or(NUMBER)], TEXT, ColumnType::Id),
    typed("string", &[ANY], TEXT, ColumnType::String),
    typed("text", &[ANY], TEXT, ColumnType::Text),
    typed("int64", &[TEXT.or(NUMBER).or(BOOL)], NUMBER, ColumnType::Int64),
    typed("int32", &[TEXT.or(NUMBER).or(BOOL)], NUMBER, ColumnType::Int32),
    typed("float64", &[TEXT.or(NUMBER)], NUMBER, ColumnType::Float64),
    typed("bool", &[TEXT.or(NUMBER).or(BOOL)], BOOL, ColumnType::Bool),
    typed("decimal", &[TEXT.or(NUMBER)], TEXT, ColumnType::Decimal),
    typed("timestamp", &[TEXT], TEXT, ColumnType::Timestamp),
    typed("date", &[TEXT], TEXT, ColumnType::Date),
    typed("json", &[ANY], TEXT, ColumnType::Text),
    typed("same", &[TEXT.or(NUMBER)], BOOL, ColumnType::Bool),
    typed("uuid5", &[TEXT, ANY], TEXT, ColumnType::Id),
    typed("sha256", &[ANY], TEXT, ColumnType::Id),
    typed("present", &[TEXT, ANY], BOOL, ColumnType::Bool),
    of("find", &[LIST, TEXT, ANY], ANY),
    of("list", &[LIST.or(OBJECT), TEXT], LIST),
    of("objects", &[LIST], LIST),
    of("first", &[LIST], ANY),
    of("unique", &[LIST], LIST),
    of("unique_names", &[LIST], LIST),
    of("zip", &[LIST], LIST),
    of("coalesce", &[ANY], ANY),
    of("if", &[ANY], ANY),
    of("split", &[TEXT], LIST),
    typed("lower", &[TEXT], TEXT, ColumnType::Text),
    typed("upper", &[TEXT], TEXT, ColumnType::Text),
    typed("trim", &[TEXT], TEXT, ColumnType::Text),
    of("parse_json", &[ANY], ANY),
    typed("to_json", &[ANY], TEXT, ColumnType::Text),
    typed("redact", &[TEXT], TEXT, ColumnType::Text),
    typed("safe_name", &[TEXT, NUMBER], TEXT, ColumnType::Text),
    typed("ts_text", &[TEXT], TEXT, ColumnType::Text),
    typed("now", &[], TEXT, ColumnType::Timestamp),
    typed("iso", &[TEXT], TEXT, ColumnType::Timestamp),
    typed("before", &[TEXT], BOOL, ColumnType::Bool),
    typed("add", &[TEXT, NUMBER], TEXT, ColumnType::Timestamp),
    typed("basename", &[TEXT], TEXT, ColumnType::Text),
    typed("extension", &[TEXT], TEXT, ColumnType::Text),
    typed("query_param", &[TEXT], TEXT, ColumnType::Text),
    typed("presigned_expiry", &[TEXT], TEXT, ColumnType::Timestamp),
    typed("refused", &[TEXT], TEXT, ColumnType::Text),
];

impl Signature {
    /// The kinds that the argument at `at` may have.
    pub fn taken(&self, at: usize) -> Kinds {
        self.takes.get(at).or(self.takes.last()).copied().unwrap_or(ANY)
    }
}

/// What the function called `name` takes and gives.
pub fn signature(name: &str) -> Option<&'static Signature> {
    SIGNATURES.iter().find(|signature| signature.name == name)
}

/// What an expression is, as far as its value is known without data.
#[derive(Clone, Debug, PartialEq)]
pub enum Gist {
    /// Nothing is known.
    Unknown,
    /// A path from the root.
    Path(Vec<String>),
    /// A literal.
    Constant(Json),
    /// The value of a function.
    Call(&'static str),
    /// The value of one of these.
    Either(Vec<Gist>),
    /// The value of the second, or of the first where that is not true.
    And(Box<Gist>, Box<Gist>),
    /// True or false.
    Bool,
    /// A list of these.
    List(Box<Gist>),
    /// An object of these members.
    Object(Vec<(String, Gist)>),
}

impl Gist {
    /// The gist of a tree; `root` says whether its names are those of the scope.
    pub(super) fn of(tree: &Ast, root: bool) -> Gist {
        match tree {
            Ast::Literal { value, .. } => sonic_rs::from_str(&value.to_string()).map_or(Gist::Unknown, Gist::Constant),
            _ if negated(tree) => Gist::Bool,
            Ast::Field { .. } | Ast::Subexpr { .. } if root && plain(tree).is_some() => {
                plain(tree).map_or(Gist::Unknown, Gist::Path)
            }
            // What the second is of the first.
            Ast::Subexpr { rhs, .. } => Gist::of(rhs, false),
            Ast::Condition { then, .. } => Gist::of(then, root),
            Ast::Comparison { .. } => Gist::Bool,
            Ast::Or { lhs, rhs, .. } => Gist::Either(vec![Gist::of(lhs, root), Gist::of(rhs, root)]),
            Ast::And { lhs, rhs, .. } => Gist::And(Box::new(Gist::of(lhs, root)), Box::new(Gist::of(rhs, root))),
            Ast::Projection { rhs, .. } => Gist::List(Box::new(Gist::of(rhs, false))),
            Ast::MultiList { elements, .. } => {
                Gist::List(Box::new(Gist::Either(elements.iter().map(|element| Gist::of(element, root)).collect())))
            }
            Ast::Flatten { .. } | Ast::Slice { .. } => Gist::List(Box::new(Gist::Unknown)),
            Ast::MultiHash { elements, .. } => {
                Gist::Object(elements.iter().map(|pair| (pair.key.clone(), Gist::of(&pair.value, root))).collect())
            }
            Ast::Function { name, args, .. } => match (name.as_str(), args.as_slice()) {
                ("if", [_, values @ ..]) | ("coalesce" | "not_null", values) => {
                    Gist::Either(values.iter().map(|value| Gist::of(value, root)).collect())
                }
                _ => signature(name).map_or(Gist::Unknown, |signature| Gist::Call(signature.name)),
            },
            _ => Gist::Unknown,
        }
    }

    /// The kinds of its value where all of it is true; `path` knows the kinds of paths.
    pub fn kinds(&self, path: &dyn Fn(&[String]) -> Kinds) -> Kinds {
        self.all_kinds(path, false)
    }

    /// The kinds of its value, those included that it has where the first side of an `&&` is not true.
    pub fn possible(&self, path: &dyn Fn(&[String]) -> Kinds) -> Kinds {
        self.all_kinds(path, true)
    }

    fn all_kinds(&self, path: &dyn Fn(&[String]) -> Kinds, falsy: bool) -> Kinds {
        match self {
            Gist::Unknown => ANY,
            Gist::Path(names) => path(names),
            Gist::Constant(value) if falsy && value.is_null() => Kinds::NONE,
            Gist::Constant(value) if value.is_null() => ANY,
            Gist::Constant(value) if value.is_str() => TEXT,
            Gist::Constant(value) if value.is_number() => NUMBER,
            Gist::Constant(value) if value.is_boolean() => BOOL,
            Gist::Constant(value) if value.is_array() => LIST,
            Gist::Constant(_) | Gist::Object(_) => OBJECT,
            Gist::Call(name) => signature(name).map_or(ANY, |signature| signature.gives),
            Gist::Either(all) => all.iter().map(|gist| gist.all_kinds(path, falsy)).fold(Kinds::NONE, Kinds::or),
            Gist::And(left, right) => {
                let right = right.all_kinds(path, falsy);
                if falsy { right.or(left.all_kinds(path, falsy).falsy()) } else { right }
            }
            Gist::Bool => BOOL,
            Gist::List(_) => LIST,
        }
    }
}

/// The names of a tree that is nothing but a path.
fn plain(tree: &Ast) -> Option<Vec<String>> {
    match tree {
        Ast::Field { name, .. } => Some(vec![name.clone()]),
        Ast::Subexpr { lhs, rhs, .. } => Some([plain(lhs)?, plain(rhs)?].concat()),
        _ => None,
    }
}

/// Whether `!` stands before all of it, although the grammar puts it before the first name only.
fn negated(tree: &Ast) -> bool {
    match tree {
        Ast::Not { .. } => true,
        Ast::Subexpr { lhs: inner, .. }
        | Ast::Projection { lhs: inner, .. }
        | Ast::Flatten { node: inner, .. }
        | Ast::ObjectValues { node: inner, .. } => negated(inner),
        _ => false,
    }
}

/// Where a tree begins in the text.
pub(super) fn start(tree: &Ast) -> usize {
    match tree {
        Ast::Comparison { lhs: first, .. }
        | Ast::Projection { lhs: first, .. }
        | Ast::And { lhs: first, .. }
        | Ast::Or { lhs: first, .. }
        | Ast::Subexpr { lhs: first, .. }
        | Ast::Flatten { node: first, .. }
        | Ast::ObjectValues { node: first, .. } => start(first),
        Ast::Function { offset, name, .. } => offset.saturating_sub(name.len()),
        Ast::Condition { offset, .. }
        | Ast::Identity { offset }
        | Ast::Expref { offset, .. }
        | Ast::Field { offset, .. }
        | Ast::Index { offset, .. }
        | Ast::Literal { offset, .. }
        | Ast::MultiList { offset, .. }
        | Ast::MultiHash { offset, .. }
        | Ast::Not { offset, .. }
        | Ast::Slice { offset, .. } => *offset,
    }
}

/// What is wrong with the argument at `at` of the function called `name`, whatever the data are.
pub(super) fn mistake(name: &str, at: usize, gist: &Gist) -> Option<String> {
    let signature = signature(name)?;
    let (given, taken) = (gist.kinds(&|_| ANY), signature.taken(at));
    if !given.meets(taken) {
        return Some(format!("argument {} of `{name}` must be {taken}, not {given}", at + 1));
    }
    let Gist::Constant(value) = gist else { return None };
    let text = value.as_str()?;
    match (name, at) {
        ("uuid5", 0) if !["url", "dns", "oid", "x500"].contains(&text) && text.parse::<uuid::Uuid>().is_err() => {
            Some("the namespace of `uuid5` must be a UUID, or 'url', 'dns', 'oid' or 'x500'".into())
        }
        ("presigned_expiry", 3) if !["ms", "amz"].contains(&text) => {
            Some("the unit of `presigned_expiry` is 'ms' or 'amz'".into())
        }
        ("split", 1) if text.is_empty() => Some("the separator of `split` is empty: its value is always null".into()),
        ("before", _) | ("add" | "iso" | "timestamp" | "date", 0) if time::parse_timestamp(text).is_none() => {
            Some(format!("'{text}' is no instant: the value of `{name}` is always null"))
        }
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Expr, functions};
    use super::*;

    #[test]
    fn every_function_has_a_signature() {
        for function in functions::all() {
            let signature = signature(function.name).unwrap_or_else(|| panic!("{function:?}"));
            assert_eq!(signature.takes.is_empty(), function.max == Some(0), "{function:?}");
            assert!(function.max.is_none_or(|max| signature.takes.len() <= max), "{function:?}");
            assert!(signature.kind.is_none_or(|kind| Kinds::of(Some(kind)).meets(signature.gives)), "{function:?}");
        }
        assert_eq!(SIGNATURES.len(), functions::all().count());
    }

    #[test]
    fn gists() {
        let path = |text: &str| Gist::Path(text.split('.').map(str::to_owned).collect());
        for (text, gist) in [
            ("event.a", path("event.a")),
            ("!event.a", Gist::Bool),
            ("event.a == b", Gist::Bool),
            ("event.a[0]", Gist::Unknown),
            ("event.a[]", Gist::List(Box::new(Gist::Unknown))),
            ("event.a[?b].c", Gist::List(Box::new(Gist::Unknown))),
            ("event.a[?b].{c: d}", Gist::List(Box::new(Gist::Object(vec![("c".into(), Gist::Unknown)])))),
            ("!event.a[]", Gist::Bool),
            ("{a: b}", Gist::Object(vec![("a".into(), path("b"))])),
            ("event.{a: b}", Gist::Object(vec![("a".into(), Gist::Unknown)])),
            ("event.a.lower(@)", Gist::Call("lower")),
            ("a && b.c", Gist::And(Box::new(path("a")), Box::new(path("b.c")))),
            ("now()", Gist::Call("now")),
            ("if(a, b.c, now())", Gist::Either(vec![path("b.c"), Gist::Call("now")])),
            ("a || b", Gist::Either(vec![path("a"), path("b")])),
        ] {
            assert_eq!(*Expr::parse(text).unwrap().gist(), gist, "{text}");
        }
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused() {
        for (text, offset, message) in [
            ("length(`5`)", 7, "argument 1 of `length` must be a text or a list or an object, not a number"),
            ("x || lower(length(a))", 11, "argument 1 of `lower` must be a text, not a number"),
            ("join(',', 'a')", 10, "argument 2 of `join` must be a list, not a text"),
            ("uuid5('nonsense', a)", 6, "the namespace of `uuid5` must be a UUID, or 'url', 'dns', 'oid' or 'x500'"),
            ("add(a, '60')", 7, "argument 2 of `add` must be a number, not a text"),
            ("before(a, '2026-13-01')", 10, "'2026-13-01' is no instant: the value of `before` is always null"),
            ("presigned_expiry(a, 'b', 'c', 's')", 30, "the unit of `presigned_expiry` is 'ms' or 'amz'"),
        ] {
            let error = Expr::parse(text).unwrap_err();
            assert_eq!((error.offset, error.message.as_str()), (offset, message), "{text}");
        }
        for text in
            ["length('a')", "lower(`null`)", "sum([`1`])", "keys(@)", "length(a || 'x')", "join('', a)", "sort(a[].b)"]
        {
            assert!(Expr::parse(text).is_ok(), "{text}");
        }
    }
}
