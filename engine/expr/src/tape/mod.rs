//! A message as it came, and a list of where its parts are.
//!
//! [`Tape::read`] goes over the text once. It builds no tree: an object is a mark, followed by the marks of its keys and
//! values, each with the place of its text and the number of the mark behind it. What is only looked at or copied into a column
//! is never anything but a piece of that text; a [`Json`] is made of a part when somebody asks for one.
//!
//! It accepts less than [`json::parse`] and means the same: a text that it does not read (broken, too
//! deep, a key twice in one object) is for the parser, which says what is wrong or settles it.
//!
//! A part remembers whether its text is canonical already: no blanks, keys in order, no escape that could be written
//! otherwise. Then its canonical text is a copy.

use std::cmp::Ordering;
use std::sync::OnceLock;

use sonic_rs::JsonType;

use crate::{Json, json};

mod read;
#[cfg(test)]
pub(crate) mod tests;

/// A text and the marks of its parts.
#[derive(Debug)]
pub struct Tape {
    text: Box<str>,
    /// The texts of strings that were written with escapes, one behind the other.
    decoded: String,
    marks: Vec<Mark>,
    whole: OnceLock<Json>,
}

/// A part of the text.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Where its text begins: behind the quote of a string, at the bracket of a list. Of a string with escapes the place in
    /// `decoded`.
    start: u32,
    end: u32,
    /// The mark behind this part and everything in it.
    next: u32,
    kind: Kind,
    /// Whether the text as it came is the canonical text.
    canonical: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Null,
    True,
    False,
    Number,
    /// A string or a key.
    Text,
    /// The same, written with escapes.
    Escaped,
    List,
    /// The keys are in order.
    Sorted,
    /// They are not.
    Unsorted,
}

/// A value on a tape.
#[derive(Clone, Copy, Debug)]
pub struct Part<'t> {
    tape: &'t Tape,
    /// Of this width because of what [`Value`](crate::value::Value) says.
    at: usize,
}

impl Tape {
    /// Reads `text`, if it is a value that this reader reads.
    ///
    /// ```
    /// use expr::tape::Tape;
    /// let tape = Tape::read(r#"{"b": [1, 2.50], "a": "x"}"#).unwrap();
    /// assert_eq!(tape.root().get("b").unwrap().to_text(), "[1,2.50]");
    /// assert_eq!(tape.root().to_text(), r#"{"a":"x","b":[1,2.50]}"#);
    /// assert!(Tape::read("{\"a\": 1, \"a\": 2}").is_none());
    /// ```
    pub fn read(text: &str) -> Option<Tape> {
        let (marks, decoded) = read::read(text)?;
        Some(Tape { text: text.into(), decoded, marks, whole: OnceLock::new() })
    }

    /// The whole value.
    pub fn root(&self) -> Part<'_> {
        Part { tape: self, at: 0 }
    }

    /// The part with this number, see [`Part::number`].
    pub(crate) fn part(&self, number: usize) -> Part<'_> {
        Part { tape: self, at: number }
    }

    /// The whole value as JSON, made when it is first asked for.
    pub fn json(&self) -> &Json {
        self.whole.get_or_init(|| self.root().make())
    }
}

const NOTHING: Mark = Mark { start: 0, end: 0, next: u32::MAX, kind: Kind::Null, canonical: true };

impl<'t> Part<'t> {
    #[inline]
    fn mark(self) -> Mark {
        self.tape.marks.get(self.at).copied().unwrap_or(NOTHING)
    }

    fn to(self, at: usize) -> Part<'t> {
        Part { tape: self.tape, at }
    }

    /// Its number on its tape.
    pub(crate) fn number(self) -> usize {
        self.at
    }

    /// Whether it is on `tape`.
    pub(crate) fn is_on(self, tape: &Tape) -> bool {
        std::ptr::eq(self.tape, tape)
    }

    /// What it is.
    #[inline]
    pub fn kind(self) -> JsonType {
        match self.mark().kind {
            Kind::Null => JsonType::Null,
            Kind::True | Kind::False => JsonType::Boolean,
            Kind::Number => JsonType::Number,
            Kind::Text | Kind::Escaped => JsonType::String,
            Kind::List => JsonType::Array,
            Kind::Sorted | Kind::Unsorted => JsonType::Object,
        }
    }

    /// Whether it is `true`.
    pub(crate) fn is_truth(self) -> bool {
        self.mark().kind == Kind::True
    }

    /// The text of a string.
    #[inline]
    pub fn as_str(self) -> Option<&'t str> {
        let mark = self.mark();
        let text = match mark.kind {
            Kind::Text => &*self.tape.text,
            Kind::Escaped => &*self.tape.decoded,
            _ => return None,
        };
        text.get(mark.start as usize..mark.end as usize)
    }

    /// The text of a number.
    #[inline]
    pub fn as_number(self) -> Option<&'t str> {
        let mark = self.mark();
        (mark.kind == Kind::Number).then(|| self.tape.text.get(mark.start as usize..mark.end as usize)).flatten()
    }

    /// Whether it is a list or an object with nothing in it.
    pub(crate) fn is_hollow(self) -> bool {
        let mark = self.mark();
        matches!(mark.kind, Kind::List | Kind::Sorted | Kind::Unsorted) && mark.next as usize == self.at + 1
    }

    /// The member of an object.
    pub fn get(self, name: &str) -> Option<Part<'t>> {
        self.keyed().find(|(key, _)| *key == name.as_bytes()).map(|(_, value)| value)
    }

    /// The members of an object as they stand; nothing for everything else.
    pub fn members(self) -> Members<'t> {
        let mark = self.mark();
        let end = if matches!(mark.kind, Kind::Sorted | Kind::Unsorted) { mark.next as usize } else { 0 };
        Members { part: self.to(self.at + 1), end }
    }

    /// The same with the bytes of the keys, for looking them up.
    #[inline]
    pub(crate) fn keyed(self) -> impl Iterator<Item = (&'t [u8], Part<'t>)> {
        let mark = self.mark();
        let end = if matches!(mark.kind, Kind::Sorted | Kind::Unsorted) { mark.next as usize } else { 0 };
        let (marks, text) = (&*self.tape.marks, self.tape.text.as_bytes());
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let (key, value) = (marks.get(at)?, at + 1);
            at = marks.get(value)?.next as usize;
            Some((text.get(key.start as usize..key.end as usize)?, self.to(value)))
        })
    }

    /// The members of an object in the order of their keys.
    pub(crate) fn sorted(self) -> Vec<(&'t str, Part<'t>)> {
        let mut members: Vec<_> = self.members().collect();
        if self.mark().kind == Kind::Unsorted {
            members.sort_unstable_by(|a, b| order(a.0, b.0));
        }
        members
    }

    /// The elements of a list; nothing for everything else.
    pub fn elements(self) -> Elements<'t> {
        let mark = self.mark();
        let end = if mark.kind == Kind::List { mark.next as usize } else { 0 };
        Elements { part: self.to(self.at + 1), end }
    }

    /// The text as it came, with quotes and brackets; only of a part that is not [`Kind::Escaped`].
    fn source(self) -> &'t str {
        let mark = self.mark();
        let quote = usize::from(mark.kind == Kind::Text);
        self.tape.text.get((mark.start as usize).saturating_sub(quote)..mark.end as usize + quote).unwrap_or_default()
    }

    /// The canonical text, if it is a piece of the text as it came.
    pub(crate) fn canonical(self) -> Option<&'t str> {
        let mark = self.mark();
        (mark.canonical && mark.kind != Kind::Escaped).then(|| self.source())
    }

    /// The canonical text, as [`json::to_text`] has it.
    pub fn to_text(self) -> String {
        let mark = self.mark();
        let mut out = String::with_capacity((mark.end - mark.start) as usize + 2);
        self.write(&mut out);
        out
    }

    fn write(self, out: &mut String) {
        if let Some(text) = self.canonical() {
            return out.push_str(text);
        }
        match self.mark().kind {
            Kind::List => {
                out.push('[');
                for (at, element) in self.elements().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    element.write(out);
                }
                out.push(']');
            }
            Kind::Sorted | Kind::Unsorted => {
                out.push('{');
                for (at, (key, value)) in self.sorted().into_iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    match value.with_key() {
                        Some(member) => out.push_str(member),
                        None => {
                            json::write_string(key, out);
                            out.push(':');
                            value.write(out);
                        }
                    }
                }
                out.push('}');
            }
            _ => json::write_string(self.as_str().unwrap_or_default(), out),
        }
    }

    /// The text of a member from the quote before its key to the end of its value, if that is its canonical text.
    fn with_key(self) -> Option<&'t str> {
        let (key, value) = (self.to(self.at - 1).mark(), self.mark());
        if !value.canonical || value.kind == Kind::Escaped || key.kind != Kind::Text {
            return None;
        }
        let quote = u32::from(value.kind == Kind::Text);
        // The quote behind the key and the colon.
        (key.end + 2 == value.start - quote)
            .then(|| self.tape.text.get(key.start as usize - 1..(value.end + quote) as usize))
            .flatten()
    }

    /// As JSON.
    pub fn to_json(self) -> Json {
        if self.at == 0 { self.tape.json().clone() } else { self.make() }
    }

    fn make(self) -> Json {
        match self.mark().kind {
            Kind::Null => Json::new_null(),
            Kind::True => Json::new_bool(true),
            Kind::False => Json::new_bool(false),
            Kind::Number => self.as_number().and_then(json::number).unwrap_or_default(),
            Kind::Text | Kind::Escaped => json::text(self.as_str().unwrap_or_default()),
            Kind::List | Kind::Sorted | Kind::Unsorted => json::parse_read(self.source()),
        }
    }
}

/// The order of two texts by their bytes; most are told apart by the first eight.
fn order(a: &str, b: &str) -> Ordering {
    match (a.as_bytes().first_chunk::<8>(), b.as_bytes().first_chunk::<8>()) {
        (Some(x), Some(y)) if x != y => u64::from_be_bytes(*x).cmp(&u64::from_be_bytes(*y)),
        _ => a.cmp(b),
    }
}

/// See [`Part::members`].
#[derive(Debug)]
pub struct Members<'t> {
    /// The next key.
    part: Part<'t>,
    end: usize,
}

impl<'t> Iterator for Members<'t> {
    type Item = (&'t str, Part<'t>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.part.at >= self.end {
            return None;
        }
        let value = self.part.to(self.part.at + 1);
        let key = self.part.as_str()?;
        self.part.at = value.mark().next as usize;
        Some((key, value))
    }
}

/// See [`Part::elements`].
#[derive(Debug)]
pub struct Elements<'t> {
    part: Part<'t>,
    end: usize,
}

impl<'t> Iterator for Elements<'t> {
    type Item = Part<'t>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.part.at >= self.end {
            return None;
        }
        let element = self.part;
        self.part.at = element.mark().next as usize;
        Some(element)
    }
}
