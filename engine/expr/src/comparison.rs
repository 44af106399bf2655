//! The comparisons of an expression as they are written: what stands on either side, and where.
//!
//! A comparison of what is never equal is no fault when it is evaluated: it is false, or null where an order is asked of what has
//! none. So it has to be found when a topology is loaded, by whoever knows the types of paths.

use jmespath::ast::Ast;

use super::gist::{Gist, start};

/// What one side of a comparison is.
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    /// Its gist.
    pub gist: Gist,
    /// The byte of the expression's text where it begins.
    pub offset: usize,
    /// The byte behind its last.
    pub end: usize,
}

/// One comparison in an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// How it is written: `==`, `!=`, `<`, `<=`, `>` or `>=`.
    pub operator: &'static str,
    /// What stands before the operator.
    pub left: Side,
    /// What stands behind it.
    pub right: Side,
}

impl Comparison {
    /// Of the two sides of `operator` in `text`; `last` is where the last token of the second begins.
    pub(super) fn of(text: &str, operator: &'static str, left: (&Ast, Gist), right: (&Ast, Gist), last: usize) -> Self {
        let (offset, second) = (start(left.0), start(right.0));
        let between = text.get(offset..second).unwrap_or_default();
        let end = offset + between.rfind(operator).unwrap_or(between.len());
        let side = |gist, offset: usize, end: usize| {
            let mut part = text.get(offset..end).unwrap_or_default().trim_end();
            // A bracket around the side begins before it.
            while part.ends_with(')') && part.matches(')').count() > part.matches('(').count() {
                part = part.get(..part.len() - 1).unwrap_or_default().trim_end();
            }
            Side { gist, offset, end: offset + part.len() }
        };
        Comparison {
            operator,
            left: side(left.1, offset, end),
            right: side(right.1, second, last + token(text.get(last..).unwrap_or_default())),
        }
    }

    /// Whether it asks for an order.
    pub fn is_order(&self) -> bool {
        !matches!(self.operator, "==" | "!=")
    }
}

/// How long the token is that `text` begins with.
fn token(text: &str) -> usize {
    match text.as_bytes().first() {
        Some(quote @ (b'"' | b'\'' | b'`')) => {
            let mut escaped = false;
            let closing = text.bytes().enumerate().skip(1).find(|(_, byte)| {
                let closes = byte == quote && !escaped;
                escaped = *byte == b'\\' && !escaped;
                closes
            });
            closing.map_or(text.len(), |(at, _)| at + 1)
        }
        Some(byte) if byte.is_ascii_alphanumeric() || *byte == b'_' => {
            text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count()
        }
        _ => text.len().min(1),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Expr;
    use super::*;

    #[test]
    fn comparisons_are_listed_with_their_sides() {
        for (text, sides) in [
            ("event.a > `5`", "event.a > `5`"),
            ("(event.a || b) == ('x')", "event.a || b == 'x'"),
            ("f && lower(a) != 'it\\'s' && c", "lower(a) != 'it\\'s'"),
            ("lines[?n >= `1` && m == \"a b\"].x", "n >= `1`; m == \"a b\""),
            ("if(a.b<=to_number(c.d), x, y)", "a.b <= to_number(c.d)"),
            ("!a.b == `false`", "!a.b == `false`"),
            ("a == b[0]", "a == b[0]"),
        ] {
            let expr = Expr::parse(text).unwrap();
            let part = |side: &Side| text[side.offset..side.end].to_owned();
            let found: Vec<String> = expr
                .comparisons()
                .iter()
                .map(|c| format!("{} {} {}", part(&c.left), c.operator, part(&c.right)))
                .collect();
            assert_eq!(found.join("; "), sides, "{text}");
        }
    }
}
