//! Texts with expressions in braces: `/orders/{event.id}/lines`.
//!
//! What an expression gives is escaped by the place it goes to ([`Escape`]), so no value can reach beyond its place: not into
//! another segment of a path, another parameter of a query, another folder. `{{` and `}}` are literal braces. Inside a
//! pair of braces stands any expression, with its own braces and texts.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sonic_rs::JsonValueTrait;

use super::{EvalError, Expr, ParseError, Scope, json, text_of};

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where the values of a template go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// Into a segment of the path of a url: percent-encoded, never `.` or `..`. A blank value counts as null, because a
    /// path with an empty segment is another resource.
    Segment,
    /// Into a value of a query: percent-encoded.
    Query,
    /// Into a path in an object store: what separates or controls becomes `_`, and a segment is never `.` or `..`. A
    /// template that is one expression and nothing else is a whole path: its slashes stay, empty segments go. A blank value
    /// counts as null.
    ObjectPath,
    /// Into the name of a topic: what is no character of such a name is an error, because any other name is another topic.
    /// A blank value counts as null.
    Topic,
    /// Nowhere that needs an escape.
    None,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Text that stays as it is.
    Text(String),
    /// An expression, and the byte of the template's text where it begins.
    Expr(Expr, usize),
}

/// A parsed template.
#[derive(Clone, PartialEq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

impl Template {
    /// Parses a template. An error's offset is that in `text`.
    pub fn parse(text: &str) -> Result<Template, ParseError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let Some(brace) = rest.find(['{', '}']) else {
                literal.push_str(rest);
                break;
            };
            literal.push_str(rest.get(..brace).unwrap_or_default());
            let (start, rest) = (at + brace, rest.get(brace..).unwrap_or_default());
            if rest.starts_with("{{") || rest.starts_with("}}") {
                literal.push_str(rest.get(..1).unwrap_or_default());
                at = start + 2;
                continue;
            }
            if rest.starts_with('}') {
                return Err(unbalanced(start, "`}` closes nothing", "a literal brace is written `}}`"));
            }
            let Some(end) = closing_brace(rest) else {
                return Err(unbalanced(start, "`{` is never closed", "a literal brace is written `{{`"));
            };
            let inner = rest.get(1..end).unwrap_or_default();
            let expr = Expr::parse(inner).map_err(|error| ParseError { offset: start + 1 + error.offset, ..error })?;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Expr(expr, start + 1));
            at = start + end + 1;
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Template { text: text.to_owned(), parts })
    }

    /// The text it was parsed from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its parts, in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Its expressions, in order.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        self.parts.iter().filter_map(|part| match part {
            Part::Expr(expr, _) => Some(expr),
            Part::Text(_) => None,
        })
    }

    /// The text with the values of its expressions; nothing if one of them is null. A list or an object is an error.
    ///
    /// ```
    /// # use expr::*;
    /// let root = json::parse(br#"{"id": "a/b", "none": null}"#).unwrap();
    /// let env = Env::at(0);
    /// let scope = Scope { bindings: &Bindings::default(), root: Some((&root).into()), env: &env };
    /// let render = |text| Template::parse(text).unwrap().render(&scope, Escape::Segment).unwrap();
    /// assert_eq!(render("/orders/{id}").as_deref(), Some("/orders/a%2Fb"));
    /// assert_eq!(render("/orders/{none}"), None);
    /// ```
    pub fn render(&self, scope: &Scope<'_>, escape: Escape) -> Result<Option<String>, EvalError> {
        let whole = matches!(self.parts.as_slice(), [Part::Expr(..)]);
        let mut out = String::new();
        for part in &self.parts {
            let (expr, offset) = match part {
                Part::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                Part::Expr(expr, offset) => (expr, *offset),
            };
            let fail = |message: String| EvalError { message, offset, expression: self.text.clone() };
            let value = expr.value(scope)?;
            if value.is_array() || value.is_object() {
                return Err(fail(format!("{} cannot stand in a text", json::type_name(&value))));
            }
            let Some(text) = text_of(&value) else { return Ok(None) };
            if text.trim().is_empty() && !matches!(escape, Escape::Query | Escape::None) {
                return Ok(None);
            }
            match escape {
                Escape::Segment | Escape::Query => out.extend(utf8_percent_encode(&text, RESERVED)),
                Escape::ObjectPath if whole => out.push_str(&object_path(&text)),
                Escape::ObjectPath => out.push_str(&object_segment(&text)),
                Escape::Topic => match text.chars().find(|c| !(c.is_ascii_alphanumeric() || "._-".contains(*c))) {
                    Some(_) => return Err(fail("the value has characters that no topic's name may have".to_owned())),
                    None => out.push_str(&text),
                },
                Escape::None => out.push_str(&text),
            }
        }
        // Dots that are harmless one by one can meet: `{a}{b}`.
        let escapes = matches!(escape, Escape::Segment | Escape::ObjectPath);
        let path = if escape == Escape::Segment { out.split(['?', '#']).next().unwrap_or_default() } else { &out };
        if escapes && path.split('/').any(|segment| matches!(segment, "." | "..")) {
            let message = "a value made a segment `.` or `..`, which would leave its place".to_owned();
            return Err(EvalError { message, offset: 0, expression: self.text.clone() });
        }
        Ok(if escape == Escape::ObjectPath && out.is_empty() { None } else { Some(out) })
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.text).finish()
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn unbalanced(offset: usize, message: &str, hint: &str) -> ParseError {
    ParseError::new(offset, message).with_hint(hint)
}

/// Where the brace closes that `text` begins with; braces inside texts, names and inner braces do not count.
fn closing_brace(text: &str) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0usize, None, false);
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            _ if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"' | b'`') => quote = Some(byte),
            (None, b'{') => depth += 1,
            (None, b'}') => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// A value as a part of one segment of an object's path.
fn object_segment(text: &str) -> String {
    let segment: String =
        text.chars().map(|c| if c.is_control() || matches!(c, '/' | '\\') { '_' } else { c }).collect();
    match segment.trim() {
        "." | ".." => segment.replace('.', "_"),
        _ => segment,
    }
}

/// A value that is a whole path.
fn object_path(text: &str) -> String {
    let segments = text.split('/').filter(|segment| !segment.trim().is_empty());
    segments.map(object_segment).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Bindings, Env};
    use super::*;

    fn render(template: &str, root: &str, escape: Escape) -> Result<Option<String>, String> {
        let root = json::parse(root.as_bytes()).unwrap();
        let env = Env::at(0);
        let scope = Scope { bindings: &Bindings::default(), root: Some((&root).into()), env: &env };
        Template::parse(template).unwrap().render(&scope, escape).map_err(|error| error.message)
    }

    #[test]
    fn places() {
        let root = r#"{"id":"a/../b c","n":4895140,"f":40.0,"t":true,"z":null,"e":" ","dd":"..","d":".","l":[1],"p":"x//../y/z.pdf","k":"orders.v1"}"#;
        for (template, escape, expected) in [
            ("/o/{id}/x", Escape::Segment, Some("/o/a%2F..%2Fb%20c/x")),
            ("/o/{n}", Escape::Segment, Some("/o/4895140")),
            ("/o/{f}-{t}", Escape::Segment, Some("/o/40.0-true")),
            ("/o/{z}", Escape::Segment, None),
            ("/o/{missing.x}", Escape::Segment, None),
            ("/o/{e}", Escape::Segment, None),
            ("{e}&{id}", Escape::Query, Some("%20&a%2F..%2Fb%20c")),
            ("{n}/m/{n}_{id}", Escape::ObjectPath, Some("4895140/m/4895140_a_.._b c")),
            ("x/{dd}/y", Escape::ObjectPath, Some("x/__/y")),
            ("{p}", Escape::ObjectPath, Some("x/__/y/z.pdf")),
            ("x/{p}", Escape::ObjectPath, Some("x/x__.._y_z.pdf")),
            ("{k}.retry", Escape::Topic, Some("orders.v1.retry")),
            ("{id}", Escape::None, Some("a/../b c")),
            ("{{{n}}} {{x}}", Escape::None, Some("{4895140} {x}")),
            ("{ {a: n}.a }{'}'}{`\"{\"`}", Escape::None, Some("4895140}{")),
            ("", Escape::None, Some("")),
            ("plain", Escape::Segment, Some("plain")),
        ] {
            assert_eq!(render(template, root, escape).unwrap().as_deref(), expected, "{template}");
        }
        for (template, escape, message) in [
            ("/o/{l}", Escape::Segment, "array cannot stand in a text"),
            ("/o/{@}", Escape::None, "object cannot stand in a text"),
            ("/o/{dd}", Escape::Segment, "a value made a segment `.` or `..`, which would leave its place"),
            ("/o/{d}{d}/x", Escape::ObjectPath, ""),
            ("/o/.{d}?a=b", Escape::Segment, "a value made a segment `.` or `..`, which would leave its place"),
            ("{id}", Escape::Topic, "the value has characters that no topic's name may have"),
            ("{length(n)}", Escape::None, "the argument must be an array, an object or a string, not number"),
        ] {
            match render(template, root, escape) {
                Err(error) => assert_eq!(error, message, "{template}"),
                Ok(text) => assert_eq!((message, text.as_deref()), ("", Some("/o/__/x")), "{template}"),
            }
        }
    }

    #[test]
    fn errors_are_placed_in_the_template() {
        for (text, offset, message) in [
            ("/a/{", 3, "`{` is never closed; a literal brace is written `{{`"),
            ("/a/{x'}", 3, "`{` is never closed; a literal brace is written `{{`"),
            ("/a}/b", 2, "`}` closes nothing; a literal brace is written `}}`"),
            ("/a/{}", 4, "a value was expected, but the text ends"),
            ("/é/{lwer(x)}", 5, "no function is called `lwer`; did you mean `lower`?"),
        ] {
            let error = Template::parse(text).unwrap_err();
            assert_eq!((error.offset, error.to_string().as_str()), (offset, message), "{text}");
        }
    }

    #[test]
    fn parts_are_in_order() {
        let template = Template::parse("a{b}{c.d}e").unwrap();
        let shown: Vec<_> = template.parts().iter().map(|part| format!("{part:?}")).collect();
        assert_eq!(shown, [r#"Text("a")"#, r#"Expr(Expr("b"), 2)"#, r#"Expr(Expr("c.d"), 5)"#, r#"Text("e")"#]);
        assert_eq!(template.expressions().map(Expr::text).collect::<Vec<_>>(), ["b", "c.d"]);
    }

    proptest! {
        #[test]
        fn no_value_leaves_its_place(a in "[./\\\\%a?#\u{0}é ]{0,6}|\\PC{0,8}", b in "[./\\\\%2eE]{0,4}") {
            let root = json::to_text(&json::object([("a", json::text(&a)), ("b", json::text(&b))]));
            if let Ok(Some(path)) = render("/x/{a}{b}/y", &root, Escape::Segment) {
                prop_assert!(path.bytes().all(|byte| byte.is_ascii_graphic()) && !path.contains(['?', '#', '\\']));
                prop_assert_eq!(path.matches('/').count(), 3);
                // What a parser of urls makes of it has the same segments.
                let url = url::Url::parse(&format!("https://h{path}")).unwrap();
                prop_assert_eq!(url.path_segments().unwrap().count(), 3);
                prop_assert_eq!(url.path(), path);
            }
            for (template, slashes) in [("x/{a}/{b}", Some(2)), ("x/{a}{b}", Some(1)), ("{a}", None)] {
                if let Ok(Some(path)) = render(template, &root, Escape::ObjectPath) {
                    prop_assert!(path.split('/').all(|segment| !matches!(segment.trim(), "" | "." | "..")), "{}", path);
                    prop_assert!(!path.contains('\\') && !path.contains(char::is_control));
                    prop_assert!(slashes.is_none_or(|count| path.matches('/').count() == count));
                }
            }
        }
    }
}
