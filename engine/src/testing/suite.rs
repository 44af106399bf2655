//! A test file as cases and steps, read from its tree. What it names is looked up in the topology when a case runs, except what
//! can be checked at once: see [`names`](super::names).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectors::Category;
use connectors::clock::Micros;

use super::language::SUITE;
use super::pattern::{Pattern, json_text};
use crate::expr::time::parse_timestamp;
use crate::sim::route;
use crate::topology::node::{Entry, Node};
use crate::topology::reader::Reader;
use crate::topology::shape::{Kind, Shape};
use crate::topology::{Diagnostic, Source, Span, code, document, value};

/// A file of tests.
pub struct Suite {
    /// Its name.
    pub name: String,
    /// The file.
    pub source: Source,
    /// The topology's file, and where it is named.
    pub topology: (PathBuf, Span),
    /// What the clock shows at first.
    pub start: Micros,
    /// The variables that its environments set, and where.
    pub variables: Vec<(String, Span)>,
    /// Parts of the topology that no message can reach.
    pub unreachable: Vec<Unreachable>,
    /// The cases.
    pub cases: Vec<Case>,
}

/// A part of a topology that no message can reach.
pub struct Unreachable {
    /// The flow, and where it is named.
    pub flow: (String, Span),
    /// The part, and where it is named.
    pub part: (String, Span),
    /// Why.
    pub why: String,
}

/// A case.
pub struct Case {
    /// Its name.
    pub name: String,
    /// Where it is declared.
    pub at: Span,
    /// The flows that run; all if there are none.
    pub flows: Vec<String>,
    /// Where they are named.
    pub flows_at: Vec<Span>,
    /// The environment of the topology.
    pub environment: BTreeMap<String, String>,
    /// What happens. The first steps are what the file says for every case.
    pub steps: Vec<Step>,
}

/// A step.
#[derive(Clone)]
pub struct Step {
    /// Where it is declared.
    pub at: Span,
    /// What it does.
    pub act: Act,
}

/// Something by name, with the place of the name.
pub type Named<T> = Vec<(String, Span, T)>;

/// What a step does.
#[derive(Clone)]
pub enum Act {
    /// Sends messages, by topic.
    Send(Named<Vec<Sent>>),
    /// Declares routes, by connection.
    Answer(Named<Vec<Route>>),
    /// Declares files, by URL.
    Serve(Named<Vec<Answer>>),
    /// Lets writes fail, by table, store or spool.
    Fail(Named<Fail>),
    /// Moves the clock.
    Advance(Duration),
    /// Moves the clock until nothing more happens.
    Drain,
    /// Ends the flows and starts them again.
    Restart {
        /// Whether what was read is not finished first.
        crash: bool,
    },
    /// Compares.
    Expect(Vec<Claim>),
}

/// A message that is sent.
#[derive(Clone)]
pub struct Sent {
    /// The payload.
    pub payload: Bytes,
    /// The key.
    pub key: Option<Bytes>,
    /// The headers.
    pub headers: Vec<(String, String)>,
}

/// A route of an API.
#[derive(Clone)]
pub struct Route {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The path.
    pub path: Arc<route::Pattern>,
    /// What the query must hold.
    pub query: Vec<(String, Pattern)>,
    /// What the body must hold.
    pub body: Option<Pattern>,
    /// The answers, in turn.
    pub answers: Vec<Answer>,
}

/// An answer of an API or a host.
#[derive(Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// How long it takes.
    pub delay: Duration,
    /// What happens instead.
    pub fault: Option<Fault>,
}

/// What can happen to an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Silence.
    Timeout,
    /// The connection closes at once.
    Reset,
    /// The connection closes in the middle of the body.
    Truncated,
}

/// What becomes of the next writes to a table, a store or a spool.
#[derive(Clone, Copy)]
pub struct Fail {
    /// So many are refused.
    pub refuse: u32,
    /// The answers of so many are lost.
    pub lose: u32,
    /// As what.
    pub category: Category,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The rows of a table.
    Rows,
    /// The messages of a topic.
    Messages,
    /// The calls of a connection.
    Calls,
    /// The outcomes of a flow.
    Outcomes,
    /// The files of a connection.
    Files,
}

/// One thing that must be so.
#[derive(Clone)]
pub struct Claim {
    /// What is looked at.
    pub what: What,
    /// Its name.
    pub of: String,
    /// Where it is declared.
    pub at: Span,
    /// How the records are compared.
    pub mode: Mode,
    /// The records.
    pub records: Vec<Wanted>,
}

/// How records are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// These and no others.
    Only,
    /// These, and perhaps others.
    Some,
    /// These and no others, and nothing else in them.
    Whole,
    /// These and no others, in this order.
    Ordered,
    /// So many.
    Count(usize),
}

/// A record that must be there.
#[derive(Clone)]
pub struct Wanted {
    /// Where it is declared.
    pub at: Span,
    /// What its fields must be, and where each is declared.
    pub fields: Vec<(String, Pattern)>,
    /// Where each field is declared.
    pub places: Vec<Span>,
    /// Where the value of each stands.
    pub values: Vec<Span>,
}

/// Reads a test file. What is wrong goes to `problems`; then there may be a suite all the same, to find more.
pub fn read(source: Source, folder: &Path, problems: &mut Vec<Diagnostic>) -> Option<Suite> {
    let tree = document(&source, &SUITE, problems)?;
    let reader = Reader { node: Some(&tree), shape: &SUITE, at: Span::at(0) };
    let mut reading = Reading { source: &source, problems };
    let mut first = Vec::new();
    for name in ["answers", "serve"] {
        first.extend(reader.entry(name).and_then(|entry| reading.act(entry, &reader)));
    }
    let start = reader.opt_text("start").and_then(parse_timestamp);
    if start.is_none() {
        reading.problem(reader.place("start"), "`start` is no instant").expected = Some("an ISO instant".into());
    }
    let environment = texts(&reader, "environment");
    let cases = reader.entries("cases").iter().map(|entry| reading.case(entry, &environment, &first)).collect();
    let own = reader.entries("cases").iter().flat_map(|e| Reader::of(e, &super::language::CASE).entries("environment"));
    let variables = reader.entries("environment").iter().chain(own).map(|e| (e.key.clone(), e.at)).collect();
    let unreachable = reader.entries("unreachable").iter().flat_map(|flow| {
        flow.value.entries().iter().map(|part| Unreachable {
            flow: (flow.key.clone(), flow.at),
            part: (part.key.clone(), part.at),
            why: part.value.text().unwrap_or_default().to_owned(),
        })
    });
    let unreachable = unreachable.collect();
    Some(Suite {
        name: reader.text("test"),
        topology: (folder.join(reader.text("topology")), reader.get("topology").map_or(Span::at(0), |n| n.span)),
        start: start.unwrap_or(0),
        variables,
        unreachable,
        cases,
        source,
    })
}

fn texts(reader: &Reader<'_>, name: &str) -> Vec<(String, String)> {
    reader.entries(name).iter().map(|e| (e.key.clone(), e.value.text().unwrap_or_default().to_owned())).collect()
}

struct Reading<'a> {
    source: &'a Source,
    problems: &'a mut Vec<Diagnostic>,
}

impl Reading<'_> {
    fn problem(&mut self, at: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.problems.push(Diagnostic::new(code::TEST, self.source, at, message));
        let last = self.problems.len() - 1;
        &mut self.problems[last]
    }

    fn pattern(&mut self, node: &Node) -> Pattern {
        Pattern::read(node, self.source, self.problems)
    }

    fn case(&mut self, entry: &Entry, environment: &[(String, String)], first: &[Step]) -> Case {
        let reader = Reader::of(entry, &super::language::CASE);
        let mut steps = first.to_vec();
        for item in reader.items("steps") {
            let step = Reader { node: Some(item), shape: &super::language::STEP, at: item.span };
            steps.extend(item.entries().iter().filter_map(|entry| self.act(entry, &step)));
        }
        let environment = environment.iter().cloned().chain(texts(&reader, "environment")).collect();
        let flows_at = reader.items("flows").iter().map(|node| node.span).collect();
        Case { name: entry.key.clone(), at: entry.at, flows: reader.texts("flows"), flows_at, environment, steps }
    }

    fn act(&mut self, entry: &Entry, reader: &Reader<'_>) -> Option<Step> {
        let act = match entry.key.as_str() {
            "send" => Act::Send(self.named(entry, |this, e| e.value.items().iter().map(|n| this.sent(n)).collect())),
            "answer" | "answers" => {
                Act::Answer(self.named(entry, |this, e| e.value.items().iter().filter_map(|n| this.route(n)).collect()))
            }
            "serve" => Act::Serve(self.named(entry, |this, e| this.answers(&e.value, &super::language::FILE))),
            "fail" => Act::Fail(self.named(entry, |_, e| {
                let reader = Reader::of(e, &super::language::FAIL);
                let category = match reader.opt_text("as") {
                    Some("permanent") => Category::Permanent,
                    Some("auth") => Category::Auth,
                    Some("unknown") => Category::Unknown,
                    _ => Category::Transient,
                };
                Fail { refuse: reader.integer("refuse"), lose: reader.integer("lose"), category }
            })),
            "advance" => match reader.opt_text("advance") {
                Some("drained") => Act::Drain,
                Some(text) => match value::duration(text) {
                    Some(duration) => Act::Advance(duration),
                    None => {
                        let expected = format!("`drained`, or {}", Kind::Duration(0).expected());
                        self.problem(entry.value.span, "the clock does not move so").expected = Some(expected);
                        return None;
                    }
                },
                None => return None,
            },
            "restart" => Act::Restart { crash: reader.opt_text("restart") == Some("crash") },
            "expect" => Act::Expect(self.claims(&Reader::of(entry, &super::language::EXPECT))),
            _ => return None,
        };
        Some(Step { at: entry.at, act })
    }

    fn named<T>(&mut self, entry: &Entry, mut read: impl FnMut(&mut Self, &Entry) -> T) -> Named<T> {
        entry.value.entries().iter().map(|e| (e.key.clone(), e.at, read(self, e))).collect()
    }

    fn sent(&mut self, node: &Node) -> Sent {
        let reader = Reader { node: Some(node), shape: &super::language::MESSAGE, at: node.span };
        let payload = reader.get("body").map_or_else(|| reader.text("text"), json_text);
        Sent {
            payload: payload.into(),
            key: reader.opt_text("key").map(|key| Bytes::copy_from_slice(key.as_bytes())),
            headers: texts(&reader, "headers"),
        }
    }

    fn route(&mut self, node: &Node) -> Option<Route> {
        let reader = Reader { node: Some(node), shape: &super::language::ROUTE, at: node.span };
        let (method, key) = if reader.get("get").is_some() { ("GET", "get") } else { ("POST", "post") };
        let text = reader.text(key);
        let Some(path) = route::Pattern::parse(&text) else {
            let at = reader.get(key).map_or(node.span, |n| n.span);
            self.problem(at, format!("`{text}` is no path")).expected = Some("a path such as `/orders/{order}`".into());
            return None;
        };
        let when = reader.object("when", &super::language::WHEN);
        Some(Route {
            method,
            path: Arc::new(path),
            query: when.entries("query").iter().map(|e| (e.key.clone(), self.pattern(&e.value))).collect(),
            body: when.get("body").map(|node| self.pattern(node)),
            answers: self.answers(node, &super::language::ROUTE),
        })
    }

    fn answers(&mut self, node: &Node, shape: &'static Shape) -> Vec<Answer> {
        let reader = Reader { node: Some(node), shape, at: node.span };
        let inner = if shape.key("get").is_some() { &super::language::ANSWER } else { shape };
        match reader.items("answers") {
            [] => vec![self.answer(&reader)],
            items => items.iter().map(|n| self.answer(&Reader { node: Some(n), shape: inner, at: n.span })).collect(),
        }
    }

    fn answer(&mut self, reader: &Reader<'_>) -> Answer {
        use base64::Engine as _;
        let has = |name: &str| reader.shape.key(name).is_some();
        let mut body = Bytes::from(reader.text("text"));
        if let Some(node) = has("answer").then(|| reader.get("answer")).flatten() {
            body = json_text(node).into();
        }
        if let Some(node) = has("base64").then(|| reader.get("base64")).flatten() {
            match base64::engine::general_purpose::STANDARD.decode(node.text().unwrap_or_default()) {
                Ok(bytes) => body = bytes.into(),
                Err(_) => drop(self.problem(node.span, "this is not base64")),
            }
        }
        for entry in reader.entries("headers") {
            let value = entry.value.text().unwrap_or_default();
            if !(is_token(&entry.key) && value.chars().all(|c| c == '\t' || (' '..='~').contains(&c))) {
                self.problem(entry.at, "this is no header");
            }
        }
        Answer {
            status: reader.integer("status"),
            body,
            headers: texts(reader, "headers"),
            delay: if has("delay") { reader.duration("delay") } else { Duration::ZERO },
            fault: match reader.opt_text("fault") {
                Some("timeout") => Some(Fault::Timeout),
                Some("reset") => Some(Fault::Reset),
                Some("truncated") => Some(Fault::Truncated),
                _ => None,
            },
        }
    }

    fn claims(&mut self, reader: &Reader<'_>) -> Vec<Claim> {
        let mut claims = Vec::new();
        let kinds = [
            ("rows", What::Rows),
            ("messages", What::Messages),
            ("calls", What::Calls),
            ("outcomes", What::Outcomes),
            ("files", What::Files),
        ];
        for (key, what) in kinds {
            for entry in reader.entries(key) {
                claims.extend(self.claim(what, entry));
            }
        }
        if claims.is_empty() {
            self.problem(reader.at, "nothing is expected");
        }
        claims
    }

    fn claim(&mut self, what: What, entry: &Entry) -> Option<Claim> {
        let (mode, items) = match entry.value.entries() {
            [] => (Mode::Only, entry.value.items()),
            [inner, ..] => match inner.key.as_str() {
                "only" => (Mode::Only, inner.value.items()),
                "some" => (Mode::Some, inner.value.items()),
                "whole" => (Mode::Whole, inner.value.items()),
                "ordered" => (Mode::Ordered, inner.value.items()),
                "count" => (Mode::Count(inner.value.text()?.parse().ok()?), &[][..]),
                _ => return None,
            },
        };
        let mut records = Vec::new();
        for item in items {
            if !matches!(item.value, crate::topology::node::Value::Map(_)) {
                self.problem(item.span, "a record is a mapping of fields to what they must be");
                continue;
            }
            records.push(Wanted {
                at: item.span,
                fields: item.entries().iter().map(|e| (e.key.clone(), self.pattern(&e.value))).collect(),
                places: item.entries().iter().map(|e| e.at).collect(),
                values: item.entries().iter().map(|e| e.value.span).collect(),
            });
        }
        Some(Claim { what, of: entry.key.clone(), at: entry.at, mode, records })
    }
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
