//! From text to what is evaluated.
//!
//! The grammar is the `jmespath` crate's. Its syntax tree cannot leave a thread and holds its own kind of values, so it is
//! translated, once, into [`Node`]s with our values. On the way every function is looked up, its arguments are counted, and
//! the paths that the expression reads are noted: all that can be known without data is known when a topology is loaded.

use std::fmt;

use jmespath::ast::{self, Ast};

use super::comparison::Comparison;
use super::functions::{self, Form, Run};
use super::gist::{self, Gist};
use super::{Argument, FunctionUse, Json};

/// The longest text of an expression, in bytes.
const MAX_TEXT: usize = 8 * 1024;
/// The most operators and brackets in an expression; parsing and evaluation are as deep as there are at most.
const MAX_OPERATORS: usize = 512;

/// Why a text is not an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The byte of the text where it was seen.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
    /// What was probably meant.
    pub hint: Option<String>,
    /// How many bytes from `offset` are wrong and what to write in their place, where that mends it.
    pub fix: Option<(usize, String)>,
}

impl ParseError {
    pub(super) fn new(offset: usize, message: impl Into<String>) -> ParseError {
        ParseError { offset, message: message.into(), hint: None, fix: None }
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> ParseError {
        self.hint = Some(hint.into());
        self
    }

    /// Says that `length` bytes from its offset are to be replaced by `text`.
    pub(super) fn with_fix(mut self, length: usize, text: impl Into<String>) -> ParseError {
        self.fix = Some((length, text.into()));
        self
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for ParseError {}

/// An order or equality.
#[derive(Clone, Copy, Debug)]
pub(super) enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What a function does that takes an expression (`&key`) for the elements of a list.
#[derive(Clone, Copy, Debug)]
pub(super) enum By {
    Map,
    Sort,
    Min,
    Max,
}

/// A part of an expression.
pub(super) enum Node {
    /// `@`
    Identity,
    /// `name`
    Field(String),
    /// A literal text.
    Text(String),
    /// Any other literal.
    Literal(Json),
    /// `[n]`
    Index(i32),
    /// `[start:stop:step]`; the step is not zero.
    Slice { start: Option<i32>, stop: Option<i32>, step: i32 },
    /// `left.right`, `left | right`
    Then(Box<Node>, Box<Node>),
    /// `left || right`
    Or(Box<Node>, Box<Node>),
    /// `left && right`
    And(Box<Node>, Box<Node>),
    /// `!node`
    Not(Box<Node>),
    /// The part of a filter that stands for one element: the second where the first is true, else null.
    Condition(Box<Node>, Box<Node>),
    /// `if(condition, then, otherwise)`
    If(Box<Node>, Box<Node>, Box<Node>),
    /// The first that is not null.
    Coalesce(Vec<Node>),
    /// `left == right`
    Compare(Comparator, Box<Node>, Box<Node>),
    /// The second for every element of the first, without nulls.
    Project(Box<Node>, Box<Node>),
    /// `node[]`
    Flatten(Box<Node>),
    /// `node.*`
    Values(Box<Node>),
    /// `[a, b]`
    MultiList(Vec<Node>),
    /// `{a: x, b: y}`
    MultiHash(Vec<(String, Node)>),
    /// `f(a, b)`
    Call { run: Run, arguments: Vec<Node>, offset: usize },
    /// `sort_by(list, &key)` and its like.
    By { by: By, name: &'static str, list: Box<Node>, key: Box<Node>, offset: usize },
}

/// A parsed expression and what is known about it.
pub(super) struct Parsed {
    pub text: String,
    pub root: Node,
    pub paths: Vec<Vec<String>>,
    /// Where the names of each path begin.
    pub places: Vec<Vec<usize>>,
    pub functions: Vec<FunctionUse>,
    pub comparisons: Vec<Comparison>,
    pub plain: bool,
    pub gist: Gist,
}

/// Parses `text`.
pub(super) fn parse(text: &str) -> Result<Parsed, ParseError> {
    if text.len() > MAX_TEXT {
        return Err(ParseError::new(MAX_TEXT, format!("an expression is at most {MAX_TEXT} bytes long")));
    }
    let mut operators = text.bytes().enumerate().filter(|(_, byte)| b".([{!&|=<>*?".contains(byte));
    if let Some((offset, _)) = operators.nth(MAX_OPERATORS) {
        return Err(ParseError::new(
            offset,
            format!("an expression has at most {MAX_OPERATORS} operators and brackets"),
        ));
    }
    let tree = jmespath::parse(text).map_err(|error| super::syntax::error(text, &error))?;
    let mut lowering =
        Lowering { text, paths: Vec::new(), places: Vec::new(), functions: Vec::new(), comparisons: Vec::new() };
    let root = lowering.lower(&tree, true)?;
    let plain = is_path(&root);
    let Lowering { paths, places, functions, comparisons, .. } = lowering;
    let gist = Gist::of(&tree, true);
    Ok(Parsed { text: text.to_owned(), root, paths, places, functions, comparisons, plain, gist })
}

/// The fields that `tree` walks through from where it stands, and whether that is all that it does. (Brackets bind tighter
/// than dots: `a.b[0]` is `b[0]` of `a`.)
fn prefix(tree: &Ast) -> (Path, bool) {
    match tree {
        Ast::Identity { .. } => (Path::new(), true),
        Ast::Field { name, offset } => (vec![(name.clone(), *offset)], true),
        // `!a.b`, see [`outside_not`].
        Ast::Not { node, .. } => prefix(node),
        Ast::Subexpr { lhs, rhs, .. } => {
            let (mut path, mut plain) = prefix(lhs);
            if plain {
                let (rest, rest_plain) = prefix(rhs);
                path.extend(rest);
                plain = rest_plain;
            }
            (path, plain)
        }
        Ast::Projection { lhs: inner, .. }
        | Ast::Flatten { node: inner, .. }
        | Ast::ObjectValues { node: inner, .. } => (prefix(inner).0, false),
        _ => (Path::new(), false),
    }
}

/// Names, and where each begins in the text.
type Path = Vec<(String, usize)>;

fn is_path(node: &Node) -> bool {
    match node {
        Node::Field(_) => true,
        Node::Then(left, right) => is_path(left) && is_path(right),
        _ => false,
    }
}

/// `make(node)`, or `!make(x)` where `node` is `!x`. In the crate's grammar `!` binds tighter than the dot, so `!a.b` is a
/// field of a boolean, which is always null and never what was meant; here it is the opposite of `a.b`.
fn outside_not(node: Node, make: impl FnOnce(Box<Node>) -> Node) -> Node {
    match node {
        Node::Not(inner) => Node::Not(Box::new(make(inner))),
        other => make(Box::new(other)),
    }
}

struct Lowering<'t> {
    text: &'t str,
    paths: Vec<Vec<String>>,
    places: Vec<Vec<usize>>,
    functions: Vec<FunctionUse>,
    comparisons: Vec<Comparison>,
}

impl Lowering<'_> {
    /// Notes a path that is read from the root.
    fn reads(&mut self, root: bool, path: Path) {
        let (names, places): (Vec<String>, Vec<usize>) = path.into_iter().unzip();
        if root && !self.paths.contains(&names) {
            self.paths.push(names);
            self.places.push(places);
        }
    }

    fn boxed(&mut self, tree: &Ast, root: bool) -> Result<Box<Node>, ParseError> {
        self.lower(tree, root).map(Box::new)
    }

    fn all(&mut self, trees: &[Ast], root: bool) -> Result<Vec<Node>, ParseError> {
        trees.iter().map(|tree| self.lower(tree, root)).collect()
    }

    /// Translates `tree`; `root` says whether its names are those of the scope.
    fn lower(&mut self, tree: &Ast, root: bool) -> Result<Node, ParseError> {
        Ok(match tree {
            Ast::Identity { .. } => {
                self.reads(root, Vec::new());
                Node::Identity
            }
            Ast::Field { name, offset } => {
                self.reads(root, vec![(name.clone(), *offset)]);
                Node::Field(name.clone())
            }
            Ast::Subexpr { lhs, rhs, offset } => {
                let walks = root && prefix(lhs).1;
                self.reads(walks, prefix(tree).0);
                let (left, right) = (self.boxed(lhs, root && !walks)?, self.boxed(rhs, false)?);
                match self.text.as_bytes().get(*offset) {
                    Some(b'|') => Node::Then(left, right),
                    _ => outside_not(*left, |left| Node::Then(left, right)),
                }
            }
            Ast::Index { idx, .. } => {
                self.reads(root, Vec::new());
                Node::Index(*idx)
            }
            Ast::Slice { offset, step: 0, .. } => {
                return Err(ParseError::new(*offset, "the step of a slice cannot be 0"));
            }
            Ast::Slice { start, stop, step, .. } => {
                self.reads(root, Vec::new());
                Node::Slice { start: *start, stop: *stop, step: *step }
            }
            Ast::Literal { value, offset } => match value.as_string() {
                Some(text) => Node::Text(text.clone()),
                None => Node::Literal(literal(value, *offset)?),
            },
            Ast::Or { lhs, rhs, .. } => Node::Or(self.boxed(lhs, root)?, self.boxed(rhs, root)?),
            Ast::And { lhs, rhs, .. } => Node::And(self.boxed(lhs, root)?, self.boxed(rhs, root)?),
            Ast::Not { node, .. } => Node::Not(self.boxed(node, root)?),
            Ast::Condition { predicate, then, .. } => {
                Node::Condition(self.boxed(predicate, root)?, self.boxed(then, root)?)
            }
            Ast::Comparison { comparator, lhs, rhs, offset } => {
                let (comparator, written) = match comparator {
                    ast::Comparator::Equal => (Comparator::Equal, "=="),
                    ast::Comparator::NotEqual => (Comparator::NotEqual, "!="),
                    ast::Comparator::LessThan => (Comparator::Less, "<"),
                    ast::Comparator::LessThanEqual => (Comparator::LessOrEqual, "<="),
                    ast::Comparator::GreaterThan => (Comparator::Greater, ">"),
                    ast::Comparator::GreaterThanEqual => (Comparator::GreaterOrEqual, ">="),
                };
                let (left, right) = ((&**lhs, Gist::of(lhs, root)), (&**rhs, Gist::of(rhs, root)));
                // Of a comparison the grammar notes where its last token begins.
                self.comparisons.push(Comparison::of(self.text, written, left, right, *offset));
                Node::Compare(comparator, self.boxed(lhs, root)?, self.boxed(rhs, root)?)
            }
            Ast::Projection { lhs, rhs, .. } => {
                let (left, right) = (self.lower(lhs, root)?, self.boxed(rhs, false)?);
                outside_not(left, |left| Node::Project(left, right))
            }
            Ast::Flatten { node, .. } => outside_not(self.lower(node, root)?, Node::Flatten),
            Ast::ObjectValues { node, .. } => outside_not(self.lower(node, root)?, Node::Values),
            Ast::MultiList { elements, .. } => Node::MultiList(self.all(elements, root)?),
            Ast::MultiHash { elements, .. } => {
                let pairs = elements.iter().map(|pair| Ok((pair.key.clone(), self.lower(&pair.value, root)?)));
                Node::MultiHash(pairs.collect::<Result<_, _>>()?)
            }
            Ast::Expref { offset, .. } => {
                return Err(ParseError::new(
                    *offset,
                    "`&expression` is only for the functions that take one, such as sort_by",
                ));
            }
            Ast::Function { offset, name, args } => self.call(*offset, name, args, root)?,
        })
    }

    /// Translates a call; `bracket` is where its bracket opens.
    fn call(&mut self, bracket: usize, name: &str, arguments: &[Ast], root: bool) -> Result<Node, ParseError> {
        let offset = self.text.get(..bracket).map_or(0, |before| before.trim_end().len().saturating_sub(name.len()));
        let Some(function) = functions::lookup(name) else {
            return Err(super::syntax::no_function(name, offset));
        };
        let count = arguments.len();
        if count < function.min || function.max.is_some_and(|max| count > max) {
            let wanted = match function.max {
                Some(max) if max == function.min => max.to_string(),
                Some(max) => format!("{} to {max}", function.min),
                None => format!("{} or more", function.min),
            };
            let message =
                format!("`{name}` takes {wanted} argument{}, not {count}", if wanted == "1" { "" } else { "s" });
            return Err(ParseError::new(offset, message).with_hint(function.signature));
        }
        let texts: Vec<_> = arguments.iter().map(text_literal).collect();
        for at in function.literals {
            if let Some(None) = texts.get(*at) {
                let message = format!("argument {} of `{name}` must be a text in single quotes", at + 1);
                return Err(ParseError::new(offset, message).with_hint(function.signature));
            }
        }
        let given =
            arguments.iter().map(|argument| Argument { gist: Gist::of(argument, root), offset: gist::start(argument) });
        let given: Vec<Argument> = given.collect();
        for (at, argument) in given.iter().enumerate() {
            if let Some(message) = gist::mistake(function.name, at, &argument.gist) {
                return Err(ParseError::new(argument.offset, message).with_hint(function.signature));
            }
        }
        self.functions.push(FunctionUse { name: function.name, arguments: count, literals: texts, given, offset });
        Ok(match (function.form, arguments) {
            (Form::If, [condition, then, otherwise @ ..]) => Node::If(
                self.boxed(condition, root)?,
                self.boxed(then, root)?,
                otherwise
                    .first()
                    .map_or(Ok(Box::new(Node::Literal(Json::new_null()))), |node| self.boxed(node, root))?,
            ),
            (Form::By(by), [first, second]) => {
                let (list, key) = if matches!(by, By::Map) { (second, first) } else { (first, second) };
                let Ast::Expref { ast: key, .. } = key else {
                    return Err(ParseError::new(offset, format!("`{name}` takes an `&expression`"))
                        .with_hint(function.signature));
                };
                let (list, key) = (self.boxed(list, root)?, self.boxed(key, false)?);
                Node::By { by, name: function.name, list, key, offset }
            }
            (Form::Plain(run), _) => Node::Call { run, arguments: self.all(arguments, root)?, offset },
            (Form::Coalesce | Form::If | Form::By(_), _) => Node::Coalesce(self.all(arguments, root)?),
        })
    }
}

/// The value of an argument that is a literal text.
fn text_literal(tree: &Ast) -> Option<String> {
    match tree {
        Ast::Literal { value, .. } => value.as_string().cloned(),
        _ => None,
    }
}

/// The value of a literal. Its numbers are numbers already, so that comparing with one reads only the other side's text.
fn literal(value: &jmespath::Variable, offset: usize) -> Result<Json, ParseError> {
    sonic_rs::from_str(&value.to_string()).map_err(|_| ParseError::new(offset, "the literal is no JSON"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Expr;

    #[test]
    fn paths_end_where_something_else_begins() {
        for (text, paths) in [
            ("event.id", "event.id"),
            ("event.a.b.c", "event.a.b.c"),
            ("event | a | b", "event.a.b"),
            ("event.\"a b\".c", "event.a b.c"),
            ("event.lines[0].sku", "event.lines"),
            ("event.lines[1:].sku", "event.lines"),
            ("event.lines[*].sku", "event.lines"),
            ("event.a[].b[]", "event.a"),
            ("event.*.b", "event"),
            ("(a.b || c).d", "a.b c"),
            ("lower(a.b).c", "a.b"),
            ("event | lower(a)", "event"),
            ("@.a.b", "a.b"),
            ("[0].a", ""),
            ("!event.lines[?qty].sku", "event.lines"),
            ("event.lines[?qty > `0`].sku | [0]", "event.lines"),
            ("event.{a: x, b: y.z}", "event"),
            ("{a: event.x, b: [order.y]}", "event.x order.y"),
            ("event.x || !order.y && event.x == `1`", "event.x order.y"),
            ("find(list(answer, 'data'), 'id', event.id)", "answer event.id"),
            ("sort_by(event.lines, &at)[0].at", "event.lines"),
            ("if(a.b, c.d, e)", "a.b c.d e"),
            ("@", ""),
            ("`1`", "-"),
        ] {
            let expr = Expr::parse(text).unwrap();
            let found: Vec<String> = expr.paths().iter().map(|path| path.join(".")).collect();
            let wanted: Vec<&str> = if text.starts_with("event.\"") { vec![paths] } else { paths.split(' ').collect() };
            assert_eq!(found, if paths == "-" { vec![] } else { wanted }, "{text}");
        }
        assert_eq!(Expr::parse("event.a").unwrap().is_plain_path().unwrap(), ["event", "a"]);
        for text in ["event.a[0]", "@", "`1`", "lower(a)", "a || b", "[0]"] {
            assert_eq!(Expr::parse(text).unwrap().is_plain_path(), None, "{text}");
        }
    }

    #[test]
    fn not_is_outside_of_what_it_stands_before() {
        let root = super::super::json::parse(br#"{"a":{"b":[{"c":1}],"n":null}}"#).unwrap();
        let env = super::super::Env::at(0);
        let bindings = super::super::Bindings::default();
        let scope = super::super::Scope { bindings: &bindings, root: Some((&root).into()), env: &env };
        for (text, expected) in [
            ("!a.b", false),
            ("!a.n", true),
            ("!!a.b", true),
            ("!a.b[0].c", false),
            ("!a.b[?c == `2`].c", true),
            ("!a.b[].c", false),
            ("!a.n && a.b", true),
            ("!a.* | type(@) == 'boolean'", true),
            ("!a.b == `false`", true),
        ] {
            assert_eq!(Expr::parse(text).unwrap().test(&scope), Ok(expected), "{text}");
        }
        assert_eq!(Expr::parse("!a.b").unwrap().is_plain_path(), None);
    }

    #[test]
    fn functions_are_listed() {
        let expr = Expr::parse("[present('orders', event.id), lines[].lower(@), now()]").unwrap();
        let found: Vec<_> = expr.functions().iter().map(|f| (f.name, f.arguments, f.offset)).collect();
        assert_eq!(found, [("present", 2, 1), ("lower", 1, 38), ("now", 0, 48)]);
        assert_eq!(expr.functions()[0].literals, [Some("orders".to_owned()), None]);
        assert!(expr.uses_now() && !Expr::parse("lower(a)").unwrap().uses_now());
    }

    #[test]
    fn errors_say_where_and_what_was_meant() {
        for (text, offset, message) in [
            ("", 0, "a value was expected, but the text ends"),
            ("a.", 2, "Expected identifier, '*', '{', '[', '&', or '[?', but the text ends"),
            ("a = b", 2, "no operator is called `=`; equality is written `==`"),
            ("a == 1", 5, "a value was expected; numbers are written in backticks: `1`"),
            ("a b", 2, "the expression should end here"),
            ("x && fnd(a, 'b', c)", 5, "no function is called `fnd`; did you mean `find`?"),
            ("qqqqqqqq(a)", 0, "no function is called `qqqqqqqq`"),
            ("before(a)", 0, "`before` takes 2 arguments, not 1; before(a, b)"),
            ("now(a)", 0, "`now` takes 0 arguments, not 1; now()"),
            ("a[].if(b)", 4, "`if` takes 2 to 3 arguments, not 1; if(condition, then, otherwise)"),
            ("a || present(b, c)", 5, "argument 1 of `present` must be a text in single quotes; present('table', key)"),
            ("sort_by(a, b)", 0, "`sort_by` takes an `&expression`; sort_by(list, &key)"),
            ("&a", 0, "`&expression` is only for the functions that take one, such as sort_by"),
            ("a[::0]", 5, "the step of a slice cannot be 0"),
        ] {
            let error = Expr::parse(text).unwrap_err();
            assert_eq!((error.offset, error.to_string().as_str()), (offset, message), "{text}");
        }
    }

    #[test]
    fn monsters_are_refused() {
        assert!(Expr::parse(&"(".repeat(100_000)).is_err());
        assert!(Expr::parse(&"!".repeat(8_000)).is_err());
        assert!(Expr::parse(&vec!["a"; 5_000].join(".")).is_err());
        assert!(Expr::parse(&vec!["a"; 500].join("||")).is_err());
        assert!(Expr::parse(&vec!["a"; 250].join("||")).is_ok());
        assert!(Expr::parse(&format!("{}a{}", "(".repeat(500), ")".repeat(500))).is_ok());
    }
}
