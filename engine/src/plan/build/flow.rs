//! Flows: the source, the way of the documents through the stages, and what each place of it sees.

use std::time::Duration;

use connectors::Category;

use super::super::{Field, Flow, Input, Retry, Source, SourceKind};
use super::Builder;
use super::binding::Binding;
use super::scope::{Scope, Why};
use crate::expr::nearest::near;
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
    /// Which documents it continues.
    pub(super) way: Way,
    pub(super) binding: Option<Binding>,
    /// Paths of what it binds that come from the clock.
    pub(super) moving: Vec<Vec<String>>,
}

/// Which documents a stage or a block goes on with.
#[derive(Clone, Copy)]
pub(super) struct Way {
    /// What it reads.
    pub(super) input: Input,
    /// The stage that it continues; none: the source.
    pub(super) stage: Option<usize>,
    /// Where the `from` stands that says so.
    pub(super) from: Option<Span>,
    /// Whether nobody knows: `from` names nothing, which was reported.
    pub(super) lost: bool,
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
    pub(super) fn why(&self, name: &str) -> Option<Why> {
        let says = |help: &str| Some(Why::Says(help.to_owned()));
        match self.stages.iter().find(|s| s.name == name) {
            Some(stage) if stage.binding.is_none() => {
                Some(Why::Says(format!("a stage of kind `{}` binds nothing", stage.kind)))
            }
            Some(_) => {
                Some(Why::Aside(format!("the stage `{name}` is not on the way to this place; say `from: {name}`")))
            }
            None if self.names.contains(&name) => Some(Why::Says(format!("the stage `{name}` stands below"))),
            None => match name {
                "outcome" => says("`outcome` is bound in blocks with `on` only"),
                "key" | "items" => Some(Why::Says(format!("`{name}` is bound in requests with `batch` only"))),
                "answer" => says("`answer` is bound in `paginate` and in the `url` of a refresh only"),
                _ => {
                    let found = near(name, self.names.iter().copied().chain(["event", "raw", "source"]));
                    (!found.is_empty()).then(|| Why::Meant(found.into_iter().map(str::to_owned).collect()))
                }
            },
        }
    }

    /// What is in sight behind a stage; none: behind the source.
    pub(super) fn scope(&self, base: &Scope, way: &Way) -> Scope {
        let mut scope = base.clone();
        scope.open |= way.lost;
        for known in self.back(way) {
            if let Some(binding) = &known.binding {
                scope = scope.with(known.name, binding.clone()).with_moving(known.moving.iter().cloned());
            }
            scope.open |= known.way.lost;
        }
        scope
    }

    /// The stages on a way, from its end to the source.
    fn back(&self, way: &Way) -> impl Iterator<Item = &Known<'_>> {
        std::iter::successors(way.stage.and_then(|at| self.stages.get(at)), |known| {
            known.way.stage.and_then(|at| self.stages.get(at))
        })
    }
}

/// The stage or block at hand: its key, and its way.
#[derive(Clone)]
pub(super) struct Here {
    pub(super) at: Span,
    pub(super) way: Way,
}

/// A name that a stage binds which is not on the way to where it is used.
pub(super) struct Aside {
    pub(super) name: String,
    /// Where its problem is among the problems.
    pub(super) problem: usize,
    pub(super) here: Here,
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
    /// Where several names are not in sight because of one `from` that names another stage than was meant, or because there is none: that
    /// is the one problem.
    fn wrong_way(&mut self, lines: &Lines<'a>) {
        let asides = std::mem::take(&mut self.asides);
        let [first, _, ..] = asides.as_slice() else { return };
        let froms = |here: &Here| -> Vec<Span> {
            let own = here.way.from;
            own.into_iter().chain(lines.back(&here.way).filter_map(|known| known.way.from)).collect()
        };
        let shared = |from: &Span| asides.iter().all(|aside| froms(&aside.here).contains(from));
        let from = froms(&first.here).into_iter().find(shared);
        let own = asides.iter().all(|aside| aside.here.at == first.here.at).then_some(first.here.at);
        let Some(span) = from.or(own) else { return };
        // The stage from which all of them are in sight, and which stands above what reads them.
        let mut names: Vec<&str> = Vec::new();
        for aside in &asides {
            if !names.contains(&aside.name.as_str()) {
                names.push(&aside.name);
            }
        }
        let sees_all = |at: &usize| {
            let way = Way { input: Input::Produced(*at), stage: Some(*at), from: None, lost: false };
            names.iter().all(|name| lines.back(&way).any(|known| known.name == *name))
        };
        let Some(stage) = (0..lines.stages.len()).find(sees_all).and_then(|at| lines.stages.get(at)) else { return };
        if stage.at.start > span.start {
            return;
        }
        let told = names.join("`, `");
        let message = match (from, names.as_slice()) {
            (Some(_), [_]) => format!("`{told}` is not in sight on this way"),
            (Some(_), _) => format!("`{told}` are not in sight on this way"),
            (None, [_]) => format!("`{told}` is not in sight here: its stage is not on the way"),
            (None, _) => format!("`{told}` are not in sight here: their stages are not on the way"),
        };
        let mut at = 0;
        self.problems.retain(|_| {
            at += 1;
            !asides.iter().any(|aside| aside.problem + 1 == at)
        });
        let problem = self.problem(code::UNKNOWN_BINDING, span, message);
        problem.help = Some(format!("say `from: {}`", stage.name));
        problem.suggestion = from.map(|_| stage.name.to_owned());
    }

    pub(super) fn flow(&mut self, entry: &'a Entry) -> Flow {
        let reader = Reader::of(entry, &FLOW);
        self.reads.clear();
        self.read_paths.clear();
        self.meant_paths.clear();
        let first = self.problems.len();
        self.asides.clear();
        self.flow.clone_from(&entry.key);
        let source = self.source_of(&reader, entry);
        let topic = reader.opt_object("source").and_then(|source| source.get("topic")).and_then(Node::text);
        let declared_at = match topic {
            Some(topic) => vec!["topics", topic, "message"],
            None => vec!["flows", entry.key.as_str(), "source", "file", "message"],
        };
        let base = Scope::default()
            .with("event", if source.message.is_empty() { Binding::Free } else { Binding::event(&source.message) })
            .with_origin("event", &declared_at)
            .with("raw", Binding::Free)
            .with("source", Binding::source());
        let base = moving_fields(base, &source.message);
        let declared = reader.entries("stages");
        let mut lines = Lines { stages: Vec::new(), names: declared.iter().map(|e| e.key.as_str()).collect() };
        let mut stages = Vec::new();
        for stage in declared {
            let mut known = self.know(stage, &lines);
            let scope = lines.scope(&base, &known.way);
            self.place_in = Some(Here { at: known.at, way: known.way });
            known.moving.extend(moving_value(&known, &scope));
            known.binding = shape(&known, &scope).or(known.binding.take());
            stages.extend(self.stage(&known, &scope, &lines, entry));
            lines.stages.push(known);
        }
        let rows = reader.entries("rows").iter().filter_map(|b| self.rows(b, &base, &lines, &entry.key)).collect();
        let sends = reader.entries("send").iter().filter_map(|b| self.send(b, &base, &lines, &entry.key)).collect();
        self.place_in = None;
        self.wrong_way(&lines);
        self.unread_stages(&lines, entry, first);
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

    fn unread_stages(&mut self, lines: &Lines<'a>, flow: &'a Entry, first: usize) {
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
                let message = format!("nobody reads what the stage `{}` binds", known.name);
                self.absence(code::UNREAD_STAGE, known.at, message, Some(flow)).help = Some(help.into());
            } else if known.kind == "route" {
                self.unread_labels(known, flow, first);
            }
        }
    }

    /// A label that nobody reads is a way that leads nowhere. `first` is the first problem of the flow.
    fn unread_labels(&mut self, known: &Known<'a>, flow: &'a Entry, first: usize) {
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
            let meant = nearest(name, read);
            let problem = self.absence(code::UNREAD_LABEL, label.span, message, Some(flow));
            problem.suggestion = meant.map(str::to_owned);
            problem.help = Some(match meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!(
                    "say `when: {}.{name}` where its documents go on, or leave it out: `[]` is a case without labels",
                    known.name
                ),
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
                let at = ["flows", entry.key.as_str(), "source", "file", "message"];
                let message = self.message(file.entries("message"), &at);
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
        } else if let Some(entry) = reader.entry("max").filter(|_| base.is_none() && reader.get("delays").is_none()) {
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
