//! Typed reading of a tree that has its form. A key that is not there is read as the default that the language declares.
//!
//! The plan is built even from a tree with problems, to find further ones; what does not fit is read as the default, and no plan
//! leaves the loader then.

use std::time::Duration;

use super::node::{Entry, Node};
use super::shape::{Key, Kind, Shape};
use super::source::Span;
use super::value;
use crate::expr::{Expr, Template};

/// A mapping with its shape.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// The mapping; none: all defaults.
    pub node: Option<&'a Node>,
    /// What it is.
    pub shape: &'static Shape,
    /// The key that it stands under.
    pub at: Span,
}

impl<'a> Reader<'a> {
    /// Reads the value of an entry.
    pub fn of(entry: &'a Entry, shape: &'static Shape) -> Self {
        Reader { node: Some(&entry.value), shape, at: entry.at }
    }

    fn key(&self, name: &str) -> Option<&'static Key> {
        debug_assert!(self.shape.key(name).is_some(), "{} has no key {name}", self.shape.name);
        self.shape.key(name)
    }

    /// The entry of a key.
    pub fn entry(&self, name: &str) -> Option<&'a Entry> {
        self.key(name).and_then(|key| self.node?.entry(key.name))
    }

    /// The value of a key.
    pub fn get(&self, name: &str) -> Option<&'a Node> {
        self.entry(name).map(|e| &e.value)
    }

    /// Where a key stands, or else the mapping's own key.
    pub fn place(&self, name: &str) -> Span {
        self.entry(name).map_or(self.at, |e| e.at)
    }

    /// The text of a key or its default.
    pub fn opt_text(&self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(Node::text).or_else(|| self.key(name)?.default)
    }

    /// The text of a key or its default, or nothing.
    pub fn text(&self, name: &str) -> String {
        self.opt_text(name).unwrap_or_default().into()
    }

    fn parsed<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.get(name).and_then(Node::text).and_then(&parse).or_else(|| parse(self.key(name)?.default?))
    }

    /// A duration, if it or a default is there.
    pub fn opt_duration(&self, name: &str) -> Option<Duration> {
        self.parsed(name, value::duration)
    }

    /// A duration that has a default or is required.
    pub fn duration(&self, name: &str) -> Duration {
        self.opt_duration(name).unwrap_or_default()
    }

    /// A number of bytes, if it or a default is there.
    pub fn opt_size(&self, name: &str) -> Option<usize> {
        self.parsed(name, |text| value::size(text).and_then(|n| usize::try_from(n).ok()))
    }

    /// A whole number, if it or a default is there.
    pub fn opt_integer<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.parsed(name, |text| text.parse().ok())
    }

    /// A whole number that has a default or is required.
    pub fn integer<T: std::str::FromStr + Default>(&self, name: &str) -> T {
        self.opt_integer(name).unwrap_or_default()
    }

    /// A flag.
    pub fn flag(&self, name: &str) -> bool {
        self.opt_text(name) == Some("true")
    }

    /// An expression.
    pub fn expr(&self, name: &str) -> Option<Expr> {
        self.get(name).and_then(Node::text).and_then(|text| Expr::parse(text).ok())
    }

    /// A template.
    pub fn template(&self, name: &str) -> Option<Template> {
        self.get(name).and_then(Node::text).and_then(|text| Template::parse(text).ok())
    }

    /// The mapping of a key that is one.
    pub fn opt_object(&self, name: &str) -> Option<Reader<'a>> {
        let (Kind::Object(shape) | Kind::ChoiceOr(_, shape)) = self.key(name)?.kind else { return None };
        self.entry(name).map(|entry| Reader::of(entry, shape))
    }

    /// The mapping of a key, all defaults if it is not there.
    pub fn object(&self, name: &str, shape: &'static Shape) -> Reader<'a> {
        self.opt_object(name).unwrap_or(Reader { node: None, shape, at: self.at })
    }

    /// The entries of a mapping.
    pub fn entries(&self, name: &str) -> &'a [Entry] {
        self.get(name).map_or(&[], Node::entries)
    }

    /// The elements of a list.
    pub fn items(&self, name: &str) -> &'a [Node] {
        self.get(name).map_or(&[], Node::items)
    }

    /// The texts of a list, or of its default, which is written as in YAML.
    pub fn texts(&self, name: &str) -> Vec<String> {
        match (self.get(name), self.key(name).and_then(|k| k.default)) {
            (None, Some(default)) => default.trim_matches(['[', ']']).split(',').map(|t| t.trim().to_owned()).collect(),
            _ => self.items(name).iter().filter_map(|n| n.text().map(str::to_owned)).collect(),
        }
    }
}
