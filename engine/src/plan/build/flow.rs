//! Flows: the source, the way of the documents through the stages, and what each place of it sees.

use std::time::Duration;

use connectors::Category;

use super::super::{Field, Flow, Input, Retry, Source, SourceKind};
use super::Builder;
use super::binding::Binding;
use super::scope::{Scope, meant};
use crate::topology::language::FLOW;
use crate::topology::node::{Entry, Node};
use crate::topology::reader::Reader;
use crate::topology::value::{delay_name, duration};
use crate::topology::{Diagnostic, Span, code, nearest};

/// The delays of a flow that names none, in minutes.
const DELAYS_MIN: [u64; 4] = [5, 10, 20, 40];

/// A stage as the places below it know it.
pub(super) struct Known<'a> {
    pub(super) name: &'a str,
    pub(super) at: Span,
    pub(super) reader: Reader<'a>,
    /// The key that says what it does.
    pub(super) kind: &'static str,
    pub(super) input: Input,
    /// The stage whose documents it continues; none: the source's.
    pub(super) parent: Option<usize>,
    pub(super) binding: Option<Binding>,
    /// Paths of what it binds that come from the clock.
    pub(super) moving: Vec<Vec<String>>,
}

/// The stages of a flow, for those who ask where a name is.
#[derive(Default)]
pub(super) struct Lines<'a> {
    /// The stages that are known so far.
    pub(super) stages: Vec<Known<'a>>,
    /// The names of all stages of the flow.
    pub(super) names: Vec<&'a str>,
}

impl Lines<'_> {
    /// Why a name is not in sight.
    pub(super) fn why(&self, name: &str) -> Option<String> {
        match self.stages.iter().find(|s| s.name == name) {
            Some(stage) if stage.binding.is_none() => Some(format!("a stage of kind `{}` binds nothing", stage.kind)),
            Some(_) => Some(format!("the stage `{name}` is not on the way to this place; say `from: {name}`")),
            None if self.names.contains(&name) => Some(format!("the stage `{name}` stands below")),
            None => match name {
                "outcome" => Some("`outcome` is bound in blocks with `on` only".into()),
                "key" | "items" => Some(format!("`{name}` is bound in requests with `batch` only")),
                "answer" => Some("`answer` is bound in `paginate` and in the `url` of a refresh only".into()),
                _ => meant(name, self.names.iter().copied().chain(["event", "raw", "source"])),
            },
        }
    }

    /// What is in sight behind a stage; none: behind the source.
    pub(super) fn scope(&self, base: &Scope, stage: Option<usize>) -> Scope {
        let mut scope = base.clone();
        let mut next = stage;
        while let Some(known) = next.and_then(|index| self.stages.get(index)) {
            if let Some(binding) = &known.binding {
                scope = scope.with(known.name, binding.clone()).with_moving(known.moving.iter().cloned());
            }
            next = known.parent;
        }
        scope
    }
}

/// The fields of a message that are computed from the clock when it is read.
fn moving_fields(base: Scope, message: &[Field]) -> Scope {
    message.iter().fold(base, |scope, field| {
        let moves = field.expr.as_ref().is_some_and(|expr| scope.moves(expr).is_some());
        let path = vec!["event".to_owned(), field.name.to_string()];
        if moves { scope.with_moving([path]) } else { scope }
    })
}

/// What a stage binds that comes from the clock: its value, or the instants that the engine adds to it.
fn moving_value(known: &Known<'_>, scope: &Scope) -> Option<Vec<String>> {
    let field = |name: &str| Some(vec![known.name.to_owned(), name.to_owned()]);
    match known.kind {
        "enrich" => field("fetched_at"),
        "download" => field("downloaded_at"),
        "upload" => field("uploaded_at"),
        "pick" | "each" => {
            let expr = known.reader.expr(known.kind)?;
            scope.moves(&expr).map(|_| vec![known.name.to_owned()])
        }
        _ => None,
    }
}

/// What a stage binds, where that follows from its expression or from the engine.
fn shape(known: &Known<'_>, scope: &Scope) -> Option<Binding> {
    match known.kind {
        "pick" => Some(Binding::of(known.reader.expr("pick")?.gist(), scope)),
        "each" => match Binding::of(known.reader.expr("each")?.gist(), scope) {
            Binding::List(element) => Some(*element),
            _ => None,
        },
        "enrich" => Some(Binding::answer(known.reader.opt_object("enrich")?.get("paginate").is_some())),
        _ => None,
    }
}

impl<'a> Builder<'a> {
    pub(super) fn flow(&mut self, entry: &'a Entry) -> Flow {
        let reader = Reader::of(entry, &FLOW);
        self.reads.clear();
        self.read_paths.clear();
        self.meant_paths.clear();
        let first = self.problems.len();
        let source = self.source_of(&reader, entry);
        let base = Scope::default()
            .with("event", if source.message.is_empty() { Binding::Free } else { Binding::event(&source.message) })
            .with("raw", Binding::Free)
            .with("source", Binding::source());
        let base = moving_fields(base, &source.message);
        let declared = reader.entries("stages");
        let mut lines = Lines { stages: Vec::new(), names: declared.iter().map(|e| e.key.as_str()).collect() };
        let mut stages = Vec::new();
        for stage in declared {
            let mut known = self.know(stage, &lines);
            let scope = lines.scope(&base, known.parent);
            known.moving.extend(moving_value(&known, &scope));
            known.binding = shape(&known, &scope).or(known.binding.take());
            stages.extend(self.stage(&known, &scope, &lines, entry));
            lines.stages.push(known);
        }
        let rows = reader.entries("rows").iter().filter_map(|b| self.rows(b, &base, &lines, &entry.key)).collect();
        let sends = reader.entries("send").iter().filter_map(|b| self.send(b, &base, &lines, &entry.key)).collect();
        self.unread_stages(&lines, first);
        // A block that lacks a column of the key is the cause if a dedup does not find its own there.
        let lacking: Vec<String> =
            self.problems.iter().filter(|p| p.code == code::MISSING_COLUMN).map(|p| p.message.clone()).collect();
        self.problems.retain(|p| {
            let table = p.message.rsplit('`').nth(1).unwrap_or_default();
            p.code != code::DEDUP_TABLE || !lacking.iter().any(|message| message.ends_with(&format!("`{table}`")))
        });
        Flow {
            name: entry.key.clone(),
            aliases: reader.texts("aliases"),
            source,
            stages,
            rows,
            sends,
            exactly_once: reader.opt_text("delivery") == Some("exactly_once"),
            place: self.place(entry.at, format!("flows.{}", entry.key)),
        }
    }

    fn unread_stages(&mut self, lines: &Lines<'a>, first: usize) {
        if self.broken {
            return;
        }
        for known in &lines.stages {
            let effect = match known.kind {
                "pick" => known.reader.get("missing").is_some(),
                "enrich" => known.reader.opt_object("enrich").is_some_and(|e| e.get("post").is_some()),
                "route" | "each" | "download" => false,
                _ => true,
            };
            let read = self.reads.contains(known.name);
            if !effect && !read {
                let help = "use its name in an expression or a `from`, or remove it";
                self.unread(known.name, known.at, help);
            } else if known.kind == "route" {
                self.unread_labels(known, first);
            }
        }
    }

    /// A label that nobody reads is a way that leads nowhere. `first` is the first problem of the flow.
    fn unread_labels(&mut self, known: &Known<'a>, first: usize) {
        let whole = self.read_paths.iter().any(|path| matches!(path.as_slice(), [only] if only == known.name));
        let cases = known.reader.opt_object("route").map_or(&[][..], |route| route.entries("cases"));
        let mut seen: Vec<&str> = Vec::new();
        for label in cases.iter().flat_map(|case| case.value.items()) {
            let Some(name) = label.text().filter(|name| !seen.contains(name)) else { continue };
            seen.push(name);
            let of = |label: &str| [known.name.to_owned(), label.to_owned()];
            if whole || self.read_paths.contains(of(name).as_slice()) || self.misspelt_label(known.name, label, first) {
                continue;
            }
            if self.meant_paths.contains(of(name).as_slice()) {
                continue;
            }
            let labels = cases.iter().flat_map(|case| case.value.items()).filter_map(Node::text);
            let read = labels.filter(|label| *label != name && self.read_paths.contains(of(label).as_slice()));
            let message = format!("nobody reads the label `{name}` of the route `{}`", known.name);
            let problem = Diagnostic::new(code::UNREAD_LABEL, self.source, label.span, message);
            self.problems.push(match nearest(name, read) {
                Some(meant) => problem.help(format!("did you mean `{meant}`?")).write(meant),
                None => problem.help(format!(
                    "say `when: {}.{name}` where its documents go on, or leave it out: `[]` is a case without labels",
                    known.name
                )),
            });
        }
    }

    /// Whether a label that nobody reads was meant to be one that several places read and no case has: then the slip is here, and
    /// told once instead of at each of them.
    fn misspelt_label(&mut self, route: &str, label: &Node, first: usize) -> bool {
        let name = label.text().unwrap_or_default();
        let missing = format!("`{route}` has no field `");
        let read = |problem: &Diagnostic| {
            let name = problem.message.strip_prefix(&missing)?.strip_suffix('`')?;
            (problem.code == code::UNKNOWN_FIELD).then(|| name.to_owned())
        };
        let all: Vec<String> = self.problems.iter().skip(first).filter_map(read).collect();
        let Some(meant) = nearest(name, all.iter().map(String::as_str)) else { return false };
        let places = all.iter().filter(|other| *other == meant).count();
        if places < 2 {
            return false;
        }
        let mut at = 0;
        self.problems.retain(|problem| {
            at += 1;
            at <= first || read(problem).as_deref() != Some(meant)
        });
        let message =
            format!("nobody reads the label `{name}`, and {places} places read `{route}.{meant}`, which no case sets");
        let problem = Diagnostic::new(code::UNKNOWN_FIELD, self.source, label.span, message);
        self.problems.push(problem.help(format!("did you mean `{meant}`?")).write(meant));
        true
    }

    fn source_of(&mut self, flow: &Reader<'a>, entry: &'a Entry) -> Source {
        let path = format!("flows.{}.source", entry.key);
        let reader = flow.object("source", &crate::topology::language::SOURCE);
        let place = self.place(reader.at, path.clone());
        let (kind, message) = match reader.opt_object("file") {
            Some(file) => {
                if let Some(group) = reader.entry("group") {
                    self.problem(code::EXCLUSIVE, group.at, "`group` goes with `topic` only");
                }
                let message = self.message(file.entries("message"), &format!("{path}.file.message"));
                (SourceKind::File { path: file.text("path").into() }, message)
            }
            None => {
                let topic = reader.get("topic").and_then(|node| self.topic_of(node));
                let topic = topic.and_then(|name| self.topics.get(&name).cloned());
                for (key, why) in [
                    ("group", "its positions are committed for a group"),
                    ("retry", "a failed message must go somewhere"),
                ] {
                    if reader.get("topic").is_some() && reader.get(key).is_none() {
                        let code = if key == "retry" { code::RETRY } else { code::MISSING_KEY };
                        let message = format!("a source that is a topic needs the key `{key}`: {why}");
                        let empty = reader.node.and_then(|n| n.entries().iter().find(|e| e.key == key));
                        let problem = self.problem(code, empty.map_or(reader.at, |e| e.at), message);
                        problem.help = Some(match key {
                            "retry" => "at least `retry: {dead_letter: TOPIC}`; with `topic` and `delays` it is tried again",
                            _ => "write `group: NAME`, a name of its own for each flow",
                        }.into());
                    }
                }
                let (connection, name, message) =
                    topic.map_or_else(Default::default, |t| (t.connection, t.name, t.message));
                (SourceKind::Topic { connection, topic: name, group: reader.text("group") }, message)
            }
        };
        let retry = match (&kind, reader.opt_object("retry")) {
            (_, None) => Retry::default(),
            (SourceKind::Topic { connection, .. }, Some(retry)) => {
                let connection = connection.clone();
                self.retry(&retry, connection)
            }
            (SourceKind::File { .. }, Some(retry)) => {
                let message =
                    "a file has no retry policy: its failed messages are dead, and blocks with `on: [dead]` see them";
                self.problem(code::RETRY, retry.at, message);
                Retry::default()
            }
        };
        Source {
            kind,
            message,
            deadline: reader.duration("deadline"),
            budget: reader.opt_size("budget").unwrap_or(usize::MAX),
            retry,
            place,
        }
    }

    fn retry(&mut self, reader: &Reader<'a>, connection: String) -> Retry {
        // What is not named follows from the workflow, if that is.
        let base = reader.opt_text("workflow").filter(|w| !w.is_empty()).map(|w| format!("{}.{w}", self.prefix()));
        let named = |key: &str, rest: &str| match (reader.text(key), &base) {
            (name, Some(base)) if name.is_empty() => format!("{base}.{rest}"),
            (name, _) => name,
        };
        for (key, name) in
            [("topic", reader.text("topic").replace("{delay}", "5m")), ("dead_letter", reader.text("dead_letter"))]
        {
            if let Some(node) = reader.get(key) {
                self.topic_name(node.span, &name);
            }
        }
        let max: usize = reader.opt_integer("max").unwrap_or(usize::MAX);
        let usual = base.is_some() && reader.get("delays").is_none();
        let usual = usual.then(|| DELAYS_MIN.map(|minutes| Duration::from_secs(60 * minutes))).into_iter().flatten();
        let delays = reader.items("delays").iter().filter_map(Node::text).filter_map(duration);
        let delays: Vec<Duration> = delays.chain(usual).take(max).collect();
        self.odd_delays(reader);
        let distinct = delays.windows(2).any(|pair| pair.first() != pair.last());
        let (topic, dead_letter) = (named("topic", "retry.{delay}"), named("dead_letter", "dlq"));
        if dead_letter.is_empty() && reader.get("dead_letter").is_none() {
            let message = "a retry policy needs the key `dead_letter`, or a `workflow` that its topics are named after";
            self.problem(code::MISSING_KEY, reader.at, message);
        }
        if !delays.is_empty() && topic.is_empty() {
            let message = "`delays` need the key `topic`: where messages wait";
            self.problem(code::RETRY, reader.place("delays"), message);
        } else if distinct && !topic.contains("{delay}") {
            let span = reader.get("topic").map_or(reader.at, |n| n.span);
            let message = "several delays need several topics: a message would wait behind a later one";
            self.problem(code::RETRY, span, message).expected = Some("`{delay}` in the name".into());
        }
        let written = |key: &str| reader.node.is_some_and(|n| n.entries().iter().any(|e| e.key == key));
        if let Some(entry) = reader.entry("topic").filter(|_| base.is_none() && !written("delays")) {
            let message = "`topic` without `delays`: no message ever waits there";
            self.problem(code::RETRY, entry.at, message).help =
                Some("say when to try again: `delays: [5m, 10m, 20m]`".into());
        }
        if let Some(entry) = reader.entry("max").filter(|_| base.is_none() && reader.get("delays").is_none()) {
            self.problem(code::RETRY, entry.at, "`max` cuts the list of `delays`, which is not there");
        }
        let delays = delays.into_iter().map(|delay| (delay, topic.replace("{delay}", &delay_name(delay)))).collect();
        let classify = reader.entries("classify").iter().filter_map(|entry| {
            let category = Category::ALL.into_iter().find(|c| Some(c.as_str()) == entry.value.text())?;
            Some((entry.key.to_lowercase(), category))
        });
        Retry { connection, delays, dead_letter, classify: classify.collect() }
    }

    /// A list of delays that stands in the file and is not one that waits longer each time.
    fn odd_delays(&mut self, reader: &Reader<'a>) {
        let Some(node) = reader.get("delays") else { return };
        // What an installation sets is its own affair.
        let written = self.source.text.get(node.span.start..node.span.end);
        if node.text().is_some() || written.is_none_or(|text| text.contains("${")) {
            return;
        }
        if node.items().is_empty() {
            self.problem(code::RETRY, node.span, "no delay: nothing is ever tried again").help = Some(
                if reader.get("workflow").is_some() {
                    "say when to try again, such as `[5m, 10m, 20m]`; if never, say `max: 0`"
                } else {
                    "say when to try again, such as `[5m, 10m, 20m]`; if never, leave out `topic` and `delays`"
                }
                .into(),
            );
        }
        let mut before: Option<(Duration, &str)> = None;
        for item in node.items() {
            let Some((text, delay)) = item.text().and_then(|text| Some((text, duration(text)?))) else { continue };
            let odd = match before {
                _ if delay.is_zero() => Some("a delay of nothing: what failed is tried again at once".to_owned()),
                Some((longer, named)) if delay < longer => {
                    Some(format!("the delays get shorter: {text} after {named}"))
                }
                _ => None,
            };
            if let Some(message) = odd {
                self.problem(code::DELAYS, item.span, message).help = Some(
                    "what fails once more mostly needs longer: each delay at least as long as the one before".into(),
                );
                return;
            }
            before = Some((delay, text));
        }
    }

    /// What names of topics begin with: the variable `prefix`, else the topology's name.
    fn prefix(&self) -> String {
        let vars = self.root.entries("vars").iter();
        let prefix = vars.filter(|entry| entry.key == "prefix").find_map(|entry| entry.value.text());
        // One that is made of other variables is not known here.
        let plain = prefix.filter(|text| !text.is_empty() && !text.contains('{'));
        plain.map_or_else(|| self.root.text("topology"), str::to_owned)
    }
}
