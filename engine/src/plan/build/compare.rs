//! Comparisons that give the same whatever the data are, because the types of both sides are known.
//!
//! Values are equal only to values of their kind, and only numbers and instants have an order. An id, a decimal and an instant are
//! texts of one form: a literal of another form is equal to none of them. A comparison of such things is false for every message,
//! and nothing says so when it runs.

use connectors::table::ColumnType;
use sonic_rs::JsonValueTrait as _;

use super::Builder;
use super::binding::Binding;
use super::scope::Scope;
use crate::expr::comparison::{Comparison, Side};
use crate::expr::gist::{Gist, Kinds};
use crate::expr::number::{Decimal, is_json_number};
use crate::expr::time::{format_date, format_timestamp, parse_date, parse_timestamp};
use crate::expr::{Expr, Json, json};
use crate::topology::node::{Entry, Node};
use crate::topology::{code, nearest, value};

/// One side, and what is known of it.
struct Known<'c> {
    side: &'c Side,
    /// As it is written.
    text: &'c str,
    binding: Binding,
    kinds: Kinds,
}

/// What is wrong with a comparison.
struct Misfit {
    /// The bytes of the expression that it is about.
    at: (usize, usize),
    what: String,
    expected: Option<String>,
    /// What to write in place of those bytes.
    write: Option<String>,
    help: Option<String>,
}

impl<'c> Known<'c> {
    fn new(side: &'c Side, expr: &'c Expr, scope: &Scope) -> Self {
        let text = expr.text().get(side.offset..side.end).unwrap_or_default();
        let kinds = side.gist.possible(&|path| scope.kinds(path));
        Known { side, text, binding: Binding::of(&side.gist, scope), kinds }
    }

    fn constant(&self) -> Option<&Json> {
        if let Gist::Constant(value) = &self.side.gist { Some(value) } else { None }
    }

    fn constant_text(&self) -> Option<&str> {
        self.constant().and_then(|value| value.as_str())
    }

    fn kind(&self) -> Option<ColumnType> {
        if self.constant().is_some() { None } else { self.binding.kind() }
    }

    fn is_instant(&self) -> bool {
        matches!(self.kind(), Some(ColumnType::Timestamp | ColumnType::Date))
    }

    /// What it is, in words.
    fn shown(&self) -> String {
        match self.constant() {
            Some(value) => format!("`{}` is {}", literal(value), self.kinds),
            None if self.kind().is_some_and(|kind| kind != ColumnType::Bool) => {
                format!("`{}` is {}, {}", self.text, self.binding.shown(), self.kinds)
            }
            None => format!("`{}` is {}", self.text, self.kinds),
        }
    }

    fn misfit(&self, what: String) -> Misfit {
        Misfit { at: (self.side.offset, self.side.end), what, expected: None, write: None, help: None }
    }

    /// The call of a function with it, where it is a whole expression of its own.
    fn within(&self, function: &str) -> Option<String> {
        Expr::parse(self.text).is_ok().then(|| format!("{function}({})", self.text))
    }
}

impl Misfit {
    fn expected(self, text: impl Into<String>) -> Self {
        Misfit { expected: Some(text.into()), ..self }
    }

    fn write(self, text: Option<String>) -> Self {
        Misfit { write: text.or(self.write), ..self }
    }

    fn help(self, text: impl Into<String>) -> Self {
        Misfit { help: Some(text.into()), ..self }
    }
}

impl Builder<'_> {
    /// Checks a comparison of an expression that begins at a byte of the node's text.
    pub(super) fn compared(&mut self, node: &Node, from: usize, expr: &Expr, comparison: &Comparison, scope: &Scope) {
        let (left, right) = (Known::new(&comparison.left, expr, scope), Known::new(&comparison.right, expr, scope));
        // Whatever may be missing can be null.
        if left.kinds == Kinds::NONE || right.kinds == Kinds::NONE {
            return;
        }
        let found = if comparison.is_order() { unordered(&left, &right) } else { unequal(&left, &right) };
        let Some(Misfit { at: (start, end), what, expected, write, help }) = found else { return };
        let always = if comparison.operator == "!=" { "always true" } else { "never true" };
        let span = node.locate(self.source, from + start, end - start);
        let message = format!("{what}: `{}` is {always} here", comparison.operator);
        let problem = self.problem(code::COMPARISON, span, message);
        problem.expected = expected;
        problem.help = help.or_else(|| write.as_ref().map(|text| format!("write {}", ticked(text))));
        problem.suggestion = write;
    }

    /// Checks a condition: a number is true whatever it is, so one that is never missing decides nothing.
    pub(super) fn decides(&mut self, node: &Node, expr: &Expr) {
        let Some(name) = always(expr.gist()) else { return };
        let Some(call) = expr.functions().iter().find(|call| call.name == name) else { return };
        let span = node.locate(self.source, call.offset, name.len());
        let message = format!("`{name}(...)` is a number, and every number is true, zero too: this is always true");
        self.problem(code::COMPARISON, span, message).help = Some(format!("compare it: `` {name}(...) > `0` ``"));
    }

    /// Checks the cases of a route against the type of the value that it goes by.
    pub(super) fn cases(&mut self, route: &Node, by: &Expr, scope: &Scope) {
        let binding = Binding::of(by.gist(), scope);
        let cases = route.get("cases").map_or(&[][..], Node::entries);
        // What is missing has a case of its own, `null`.
        let unlike = |case: &'_ Entry| (case.key != "null").then(|| unlike(&binding, &case.key)).flatten();
        let odd: Vec<_> = cases.iter().filter_map(|case| Some((case, unlike(case)?))).collect();
        let shown = by.text().trim();
        match (odd.as_slice(), route.get("by")) {
            // Then it is the value that is another than was meant.
            ([_, _, ..], Some(node))
                if odd.len() == cases.len() && odd.iter().all(|(_, (_, write))| write.is_none()) =>
            {
                let message = format!("`{shown}` is {}, and is the value of no case", binding.shown());
                self.problem(code::COMPARISON, node.span, message);
            }
            _ => {
                for (case, (what, write)) in odd {
                    let problem =
                        self.problem(code::COMPARISON, case.at, format!("`{shown}` {what}: this case never comes"));
                    problem.help = write.as_ref().map(|text| format!("write `{text}`"));
                    problem.suggestion = write;
                }
            }
        }
    }
}

/// The function that makes a condition true for every message: one that gives a number and never null.
fn always(gist: &Gist) -> Option<&'static str> {
    match gist {
        Gist::Call(name @ ("length" | "sum")) => Some(name),
        Gist::And(left, right) => always(left).or_else(|| always(right)),
        Gist::Either(all) => all.iter().find_map(always),
        _ => None,
    }
}

/// Why two values are never equal.
fn unequal(left: &Known<'_>, right: &Known<'_>) -> Option<Misfit> {
    if !left.kinds.meets(right.kinds) {
        return Some(of_other_kinds(left, right));
    }
    for (constant, other) in [(right, left), (left, right)] {
        let Some(value) = constant.constant() else { continue };
        if other.kinds == Kinds::NUMBER
            && matches!(other.kind(), Some(ColumnType::Int64 | ColumnType::Int32))
            && value.as_f64().is_some_and(|number| number.fract() != 0.0)
        {
            return Some(constant.misfit(format!("{} and never `{}`", other.shown(), literal(value))));
        }
        let Some(text) = value.as_str().filter(|_| other.kinds == Kinds::TEXT) else { continue };
        let folded = match &other.side.gist {
            Gist::Call("lower" | "extension") => Some(text.to_lowercase()),
            Gist::Call("upper") => Some(text.to_uppercase()),
            _ => None,
        };
        if let Some(folded) = folded.filter(|folded| folded != text) {
            let misfit = constant.misfit(format!("`{}` is never `'{text}'`", other.text));
            return Some(misfit.write(Some(quoted(&folded))));
        }
        if let Some((what, write)) = unlike(&other.binding, text) {
            let misfit = constant.misfit(format!("`{}` {what}", other.text)).write(write.map(|text| quoted(&text)));
            return Some(if text.trim().is_empty() {
                misfit.help(format!("`!{0}` is true where it is null, and `{0}` where it is not", other.text))
            } else {
                misfit
            });
        }
    }
    let (Some(a), Some(b)) = (left.kind(), right.kind()) else { return None };
    let form = |kind| matches!(kind, ColumnType::Timestamp | ColumnType::Date | ColumnType::Decimal);
    if a == b || !form(a) || !form(b) {
        return None;
    }
    let what = format!("{}, and {}, and their forms differ", left.shown(), right.shown());
    for (instant, date) in [(left, right), (right, left)] {
        if instant.kind() == Some(ColumnType::Timestamp) && date.kind() == Some(ColumnType::Date) {
            return Some(instant.misfit(what).write(instant.within("date")));
        }
    }
    Some(right.misfit(what))
}

/// What is told of two sides that have no kind in common.
fn of_other_kinds(left: &Known<'_>, right: &Known<'_>) -> Misfit {
    let what = format!("{}, and {}", left.shown(), right.shown());
    for (constant, other) in [(right, left), (left, right)] {
        let Some(value) = constant.constant() else { continue };
        let misfit = constant.misfit(what);
        return match alike(value, other) {
            Some(write) => misfit.write(Some(write)),
            None if other.is_instant() => misfit.expected(INSTANT),
            None => misfit.expected(other.kinds.to_string()),
        };
    }
    for (decimal, other) in [(left, right), (right, left)] {
        if decimal.kind() == Some(ColumnType::Decimal) && other.kinds == Kinds::NUMBER {
            return decimal.misfit(what).write(decimal.within("to_number"));
        }
    }
    let all = Misfit { at: (left.side.offset, right.side.end), ..left.misfit(what) };
    let both = left.kinds.or(right.kinds);
    if both == Kinds::TEXT.or(Kinds::NUMBER) && !left.is_instant() && !right.is_instant() {
        return all
            .help(format!("`same({}, {})` compares what is a number here and a text there", left.text, right.text));
    }
    all
}

/// Why two values have no order.
fn unordered(left: &Known<'_>, right: &Known<'_>) -> Option<Misfit> {
    for (side, other) in [(left, right), (right, left)] {
        if side.kinds.meets(Kinds::NUMBER) || may_be_instant(side) {
            continue;
        }
        let misfit = side.misfit(format!("{}, which has no order", side.shown()));
        let number = || side.constant().and_then(|value| alike(value, other));
        return Some(match side.kind() {
            Some(ColumnType::Decimal) => misfit.write(side.within("to_number")),
            _ if other.is_instant() => misfit.expected(INSTANT),
            _ if other.kinds == Kinds::NUMBER && number().is_some() => misfit.write(number()),
            _ => misfit.expected("a number, or an instant such as `'2026-01-10T12:00:00Z'`"),
        });
    }
    let (number, text) = match (left.kinds, right.kinds) {
        (Kinds::NUMBER, Kinds::TEXT) => (left, right),
        (Kinds::TEXT, Kinds::NUMBER) => (right, left),
        _ => return None,
    };
    let what = format!("{}, and {}", left.shown(), right.shown());
    Some(match () {
        () if text.is_instant() => number.misfit(what).expected(INSTANT),
        () if text.constant().is_some() => text.misfit(what).expected("a number"),
        () => text.misfit(what).write(text.within("to_number")),
    })
}

/// Whether a text can name an instant.
fn may_be_instant(side: &Known<'_>) -> bool {
    let fits = match (side.constant_text(), &side.binding) {
        (Some(text), _) => parse_timestamp(text).is_some(),
        (None, Binding::Word(_) | Binding::Value(Some(ColumnType::Decimal))) => false,
        _ => true,
    };
    fits && side.kinds.meets(Kinds::TEXT)
}

/// Why a value is never `text`, and what was probably meant.
fn unlike(binding: &Binding, text: &str) -> Option<(String, Option<String>)> {
    let written = |canonical: Option<String>, kind: &str| match canonical {
        Some(canonical) if canonical == text => None,
        Some(canonical) => Some((format!("is of type `{kind}`, which is never written `{text}`"), Some(canonical))),
        None => Some((format!("is of type `{kind}`, and `{text}` is none"), None)),
    };
    let kind = match binding {
        Binding::Word(words) if words.contains(&text) => return None,
        Binding::Word(words) => {
            let all = words.join("`, `");
            return Some((
                format!("is never `{text}`, it is one of `{all}`"),
                nearest(text, words.iter().copied()).map(str::to_owned),
            ));
        }
        other => other.kind()?,
    };
    let name = value::kind_name(Some(kind));
    match kind {
        ColumnType::Timestamp => written(parse_timestamp(text).map(format_timestamp), name),
        ColumnType::Date => written(parse_date(text).map(format_date), name),
        ColumnType::Decimal => written(Decimal::parse(text.trim()).map(|decimal| decimal.to_string()), name),
        ColumnType::Int64 | ColumnType::Int32 => {
            written(text.trim().parse::<i64>().ok().map(|integer| integer.to_string()), name)
        }
        ColumnType::Bool => written(value::meant_bool(text).map(str::to_owned), name),
        ColumnType::Id | ColumnType::String if text.trim().is_empty() => {
            Some((format!("is of type `{name}`, which is null where it is blank"), None))
        }
        ColumnType::Id | ColumnType::String => written(Some(text.trim().to_owned()), name),
        ColumnType::Text | ColumnType::Json | ColumnType::Float64 => None,
    }
}

/// A literal as one that can be compared with `other`.
fn alike(constant: &Json, other: &Known<'_>) -> Option<String> {
    let number = constant.is_number().then(|| json::to_text(constant));
    match other.kinds {
        Kinds::NUMBER => {
            constant.as_str().map(str::trim).filter(|text| is_json_number(text)).map(|text| format!("`{text}`"))
        }
        Kinds::BOOL => {
            let text = constant.as_str().map(str::to_owned).or(number)?;
            value::meant_bool(&text).map(|meant| format!("`{meant}`"))
        }
        Kinds::TEXT => {
            let text = number.or_else(|| constant.as_bool().map(|value| value.to_string()))?;
            let text = match other.kind() {
                Some(ColumnType::Decimal) => Decimal::parse(&text)?.to_string(),
                _ => text,
            };
            unlike(&other.binding, &text).is_none().then(|| quoted(&text))
        }
        _ => None,
    }
}

/// What an instant is compared with.
const INSTANT: &str = "an instant such as `'2026-01-10T12:00:00Z'`, `now()` or `add(now(), ...)`";

/// A text as a literal of an expression.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "\\'"))
}

/// A literal without the backticks that it may have.
fn literal(value: &Json) -> String {
    value.as_str().map_or_else(|| json::to_text(value), quoted)
}

/// A piece of an expression between backticks, as Markdown has it if it holds some.
fn ticked(text: &str) -> String {
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}
