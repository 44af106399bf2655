//! What a key was meant to be, when it is none: another spelling, another word, another place.
//!
//! One slip is one problem. A key that was probably meant to be another is read as that one, and a key that stands one level
//! too high or too low is read where it belongs, so that nothing else is reported as missing because of it.

use super::diagnostic::{Diagnostic, code, nearest};
use super::language::{LEAVE, TOPOLOGY};
use super::node::{Entry, Node, Origin, Scalar, Value};
use super::shape::{Kind, Shape};
use super::source::{Source, Span};

/// Words of other systems, and what they are called here.
const ELSEWHERE: &[(&str, &[&str])] = &[
    ("bootstrap_servers", &["brokers"]),
    ("bootstrap.servers", &["brokers"]),
    ("servers", &["brokers"]),
    ("base_url", &["url"]),
    ("uri", &["url"]),
    ("endpoint", &["url"]),
    ("path", &["url", "get", "to"]),
    ("hosts", &["allow"]),
    ("domains", &["allow"]),
    ("allowed_hosts", &["allow"]),
    ("authentication", &["auth"]),
    ("user", &["username"]),
    ("fields", &["message", "columns", "body"]),
    ("schema", &["message", "columns"]),
    ("value", &["body", "message"]),
    ("payload", &["body", "message"]),
    ("primary_key", &["key"]),
    ("keys", &["key"]),
    ("partition_by", &["partition"]),
    ("partitioned_by", &["partition"]),
    ("partitions", &["partition"]),
    ("partition_columns", &["partition"]),
    ("description", &["about"]),
    ("comment", &["about"]),
    ("doc", &["about"]),
    ("version", &["language"]),
    ("name", &["topology"]),
    ("variables", &["vars"]),
    ("consumer_group", &["group"]),
    ("group_id", &["group"]),
    ("retries", &["retry", "delays"]),
    ("backoff", &["delays"]),
    ("backoffs", &["delays"]),
    ("max_attempts", &["max"]),
    ("max_retries", &["max", "retries"]),
    ("dlq", &["dead_letter"]),
    ("dead_letters", &["dead_letter"]),
    ("dead_letter_topic", &["dead_letter"]),
    ("dead_letter_queue", &["dead_letter"]),
    ("steps", &["stages"]),
    ("transforms", &["stages"]),
    ("outputs", &["send", "rows"]),
    ("sinks", &["rows", "send"]),
    ("output", &["send"]),
    ("produce", &["send"]),
    ("messages", &["send"]),
    ("input", &["from", "source"]),
    ("after", &["from"]),
    ("where", &["when", "filter"]),
    ("condition", &["when"]),
    ("if", &["when"]),
    ("otherwise", &["else"]),
    ("default", &["else"]),
    ("select", &["columns", "pick"]),
    ("map", &["columns"]),
    ("http", &["enrich"]),
    ("call", &["enrich"]),
    ("lookup", &["enrich"]),
    ("explode", &["each"]),
    ("flatten", &["each"]),
    ("deduplicate", &["dedup"]),
    ("dedupe", &["dedup"]),
    ("ttl", &["window", "for"]),
    ("switch", &["route"]),
    ("on_missing", &["missing"]),
    ("params", &["query"]),
    ("parameters", &["query"]),
    ("limit", &["rate", "pages", "rows"]),
    ("batch_size", &["rows"]),
    ("s3", &["object_store"]),
    ("storage", &["object_store"]),
    ("store", &["object_store"]),
    ("deltalake", &["delta"]),
    ("expire", &["expires"]),
];

/// The key of `shape` that `given` was meant to be.
pub fn meant(given: &str, shape: &Shape) -> Option<&'static str> {
    let names = || shape.keys.iter().map(|key| key.name);
    let elsewhere = || {
        let (_, here) = ELSEWHERE.iter().find(|(word, _)| *word == given.to_lowercase().replace('-', "_"))?;
        here.iter().find_map(|name| names().find(|known| known == name))
    };
    nearest(given, names()).or_else(elsewhere)
}

/// Whether a value could be of a kind, by its form alone.
pub fn may_be(node: &Node, kind: &Kind) -> bool {
    match (&node.value, kind) {
        (Value::Null | Value::Unset, _) | (_, Kind::Any | Kind::Tree(_)) => true,
        (Value::Map(_), _) => {
            use Kind::{ChoiceOr, Column, Field, ListOr, Map, Object};
            matches!(kind, Map(..) | Object(_) | ListOr(..) | ChoiceOr(..) | Column | Field)
        }
        (Value::List(_), _) => matches!(kind, Kind::List(_) | Kind::ListOr(..) | Kind::Tuple(_)),
        (Value::Scalar(_), _) => {
            !matches!(kind, Kind::Map(..) | Kind::Object(_) | Kind::List(_) | Kind::ListOr(..) | Kind::Tuple(_))
        }
    }
}

/// Whether `entry` could be the key of its name in `shape`.
pub fn fits(entry: &Entry, shape: &Shape) -> bool {
    shape.key(&entry.key).is_some_and(|key| may_be(&entry.value, &key.kind))
}

/// Reads keys of `shape` that are misspelt as what they were meant to be. What is left is no key of it.
pub fn spelling(entries: &mut [Entry], shape: &Shape, source: &Source, problems: &mut Vec<Diagnostic>) {
    for at in 0..entries.len() {
        let Some(entry) = entries.get(at).filter(|entry| shape.key(&entry.key).is_none()) else { continue };
        let Some(name) = meant(&entry.key, shape) else { continue };
        let problem = unknown(entry, shape, source).help(format!("did you mean `{name}`?")).write(name);
        let there = entries.iter().any(|other| other.key == name);
        if there && nearest(&entry.key, [name]).is_none() {
            continue;
        }
        problems.push(problem);
        let Some(entry) = entries.get_mut(at) else { continue };
        // One that stands there already is left alone: the slip is marked, so that nobody reports it again.
        entry.key = if there { String::new() } else { name.to_owned() };
    }
}

/// The generator that a mapping is, with the place of its name: the one of `generators` whose first key it has. One that is
/// misspelt is read as what it was meant to be; none that is near is an error, and so is `{a.b}` that was to be a text.
pub fn generator(
    entries: &mut [Entry],
    span: Span,
    generators: &[&'static Shape],
    source: &Source,
    problems: &mut Vec<Diagnostic>,
) -> Result<Option<(&'static Shape, Span)>, ()> {
    let name = |shape: &Shape| shape.keys.first().map_or("", |key| key.name);
    let called = |given: &str| generators.iter().copied().find(|shape| name(shape) == given);
    if let Some(found) = entries.iter().find_map(|entry| Some((called(&entry.key)?, entry.at))) {
        return Ok(Some(found));
    }
    let raw = source.text.get(span.start..span.end).unwrap_or_default();
    if let [entry] = &*entries
        && entry.value.is_null()
        && raw.strip_prefix('{').and_then(|raw| raw.strip_suffix('}')) == Some(&*entry.key)
    {
        let problem = Diagnostic::new(code::WRONG_KIND, source, span, "a text that begins with a brace needs quotes");
        problems.push(problem.write(format!("\"{raw}\"")));
        return Err(());
    }
    let Some(entry) = entries.iter_mut().find(|entry| entry.key.starts_with('$')) else { return Ok(None) };
    let names = || generators.iter().map(|shape| name(shape));
    let problem = Diagnostic::new(code::GENERATOR, source, entry.at, format!("there is no generator `{}`", entry.key));
    problems.push(match problem.nearest(&entry.key, names()) {
        problem if problem.help.is_some() => problem,
        problem => problem.expected(format!("one of `{}`", names().collect::<Vec<_>>().join("`, `"))),
    });
    let near = nearest(&entry.key, names()).ok_or(())?;
    near.clone_into(&mut entry.key);
    Ok(called(near).map(|shape| (shape, entry.at)))
}

/// The problem of a key that `shape` does not have.
pub fn unknown(entry: &Entry, shape: &Shape, source: &Source) -> Diagnostic {
    Diagnostic::new(code::UNKNOWN_KEY, source, entry.at, format!("unknown key `{}` in {}", entry.key, shape.name))
}

/// The key of `shape` below which `entry` belongs, with what stands there: the one of its mappings that has such a key.
pub fn below(entry: &Entry, entries: &[Entry], shape: &'static Shape) -> Option<(&'static str, &'static Shape)> {
    let inner = shape.keys.iter().filter_map(|key| match key.kind {
        Kind::Object(inner) | Kind::ChoiceOr(_, inner) => Some((key.name, inner)),
        _ => None,
    });
    let fitting: Vec<_> = inner.filter(|(_, inner)| !std::ptr::eq(*inner, shape) && fits(entry, inner)).collect();
    let there = |name: &str| entries.iter().any(|other| other.key == name);
    let lacks = |name: &str| {
        entries.iter().all(|other| other.key != name || matches!(&other.value.value, Value::Null | Value::Map(_)))
            && entries.iter().all(|other| other.key != name || other.value.entry(&entry.key).is_none())
    };
    let mut present = fitting.iter().filter(|(name, _)| there(name));
    match (present.next(), present.next(), fitting.as_slice()) {
        (Some(one), None, _) => Some(*one),
        (None, _, [one]) => Some(*one),
        _ => None,
    }
    .filter(|(name, _)| lacks(name))
}

/// All shapes of the language that begins with `root`.
fn shapes(root: &'static Shape) -> Vec<&'static Shape> {
    let mut all = vec![root];
    let mut at = 0;
    while let Some(shape) = all.get(at).copied() {
        for key in shape.keys {
            let inner = inner_shape(&key.kind);
            if let Some(inner) = inner.filter(|inner| !all.iter().any(|known| std::ptr::eq(*known, *inner))) {
                all.push(inner);
            }
        }
        at += 1;
    }
    all
}

/// The shape of a mapping, or of the elements of a list or of a mapping of things.
fn inner_shape(kind: &Kind) -> Option<&'static Shape> {
    match kind {
        Kind::Object(shape) | Kind::ChoiceOr(_, shape) | Kind::ListOr(_, shape) => Some(*shape),
        Kind::List(inner) | Kind::Map(_, inner) => inner_shape(inner),
        _ => None,
    }
}

/// Where in the language a key belongs that `shape` does not have.
pub fn elsewhere(given: &str, root: &'static Shape, shape: &Shape) -> Option<String> {
    let others = shapes(root).into_iter().filter(|other| !std::ptr::eq(*other, shape));
    let exact = |other: &&'static Shape| other.key(given).map(|key| (key.name, other.name));
    let near = |other: &&'static Shape| {
        let found = other.keys.iter().find(|key| key.name.starts_with(given) && given.len() >= 3)?;
        Some((found.name, other.name))
    };
    let mut found: Vec<(&str, &str)> = others.clone().filter_map(|other| exact(&other)).collect();
    if found.is_empty() {
        found = others.filter_map(|other| near(&other)).collect();
    }
    let (key, _) = *found.first()?;
    let owners: Vec<&str> = found.iter().filter(|(name, _)| *name == key).map(|(_, owner)| *owner).take(3).collect();
    let owners = match owners.as_slice() {
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and of {last}", first.join(", of ")),
        [] => return None,
    };
    Some(format!("`{key}` is a key of {owners}"))
}

/// `{key: value}` for a text `key: value` that stands where the key `name` has a mapping with such a key.
pub fn inline(name: &str, text: &str) -> Option<String> {
    let (key, value) = text.split_once(": ")?;
    let mut owners = shapes(&TOPOLOGY).into_iter().filter_map(|shape| shape.key(name));
    let fits = |kind: Kind| match kind {
        Kind::Object(inner) | Kind::ChoiceOr(_, inner) => inner.key(key.trim()).is_some(),
        _ => false,
    };
    let plain = !value.contains(['{', '}', '[', ']', ',', '"', '#']) && !value.contains(": ");
    let value = if plain { value.trim().to_owned() } else { format!("\"{}\"", value.trim().replace('"', "\\\"")) };
    owners.any(|owner| fits(owner.kind)).then(|| format!("{{{}: {value}}}", key.trim()))
}

/// A text that stands at a place.
pub fn text_at(span: Span, text: String) -> Node {
    Node { span, value: Value::Scalar(Scalar { text, origin: Origin::Written, plain: true, written: None }) }
}

/// Joins mappings that stand twice under one key: the second was reported, and what it holds is there all the same. Of other
/// values the first stays.
pub fn joined(entries: &mut Vec<Entry>) {
    let mut again = Vec::new();
    while let Some(at) = entries.iter().position(|entry| entry.again) {
        again.push(entries.remove(at));
    }
    for second in again {
        let first = entries.iter_mut().find(|entry| entry.key == second.key).map(|entry| &mut entry.value.value);
        if let (Some(Value::Map(first)), Value::Map(inner)) = (first, second.value.value) {
            let known: Vec<String> = first.iter().map(|entry| entry.key.clone()).collect();
            first.extend(inner.into_iter().filter(|entry| !known.contains(&entry.key)));
        }
    }
}

/// Between braces `a: x, y` is the key `a` and a key `y` without a value, where `a: [x, y]` was meant: makes one text of it.
pub fn loose_list(entries: &mut Vec<Entry>, source: &Source) {
    let mut at = 0;
    while at + 1 < entries.len() {
        let follows = match (entries.get(at), entries.get(at + 1)) {
            (Some(first), Some(next)) if next.value.is_null() && first.value.text().is_some() => {
                source.text.get(first.value.span.end..next.at.start).is_some_and(|between| between.trim() == ",")
            }
            _ => false,
        };
        if !follows {
            at += 1;
            continue;
        }
        let next = entries.remove(at + 1);
        if let Some(first) = entries.get_mut(at) {
            let text = format!("{}, {}", first.value.text().unwrap_or_default(), next.key);
            first.value = text_at(Span { start: first.value.span.start, end: next.at.end }, text);
        }
    }
}

/// Puts `entry` below the key `name` of a mapping.
pub fn put_below(entries: &mut Vec<Entry>, name: &str, entry: Entry) {
    let at = entry.at;
    if let Some(found) = entries.iter_mut().find(|other| other.key == name) {
        match &mut found.value.value {
            Value::Map(inner) => inner.push(entry),
            value => *value = Value::Map(vec![entry]),
        }
        return;
    }
    let value = Node { span: at, value: Value::Map(vec![entry]) };
    entries.push(Entry { key: name.to_owned(), at, value, again: false });
}

/// In a mapping of things that are `shape`s: keys of the shape itself that stand beside a thing that has nothing, because
/// they are not indented. They are put below it; the first of each thing is reported.
pub fn indentation(entries: &mut Vec<Entry>, shape: &Shape, source: &Source, problems: &mut Vec<Diagnostic>) {
    let mut at = 0;
    while at + 1 < entries.len() {
        // A thing that is called like a key of its kind holds such keys itself.
        let thing = |entry: &Entry| entry.value.entries().iter().any(|inner| shape.key(&inner.key).is_some());
        let slips = |entry: &Entry| fits(entry, shape) && !thing(entry);
        let count = match entries.get(at) {
            Some(thing) if thing.value.is_null() => entries.iter().skip(at + 1).take_while(|e| slips(e)).count(),
            _ => 0,
        };
        if count > 0 {
            let inner: Vec<Entry> = entries.drain(at + 1..=at + count).collect();
            if let (Some(thing), Some(first)) = (entries.get_mut(at), inner.first()) {
                let message = format!("`{}` is a key of {} and stands beside `{}`", first.key, shape.name, thing.key);
                let help = format!("indent it below `{}`", thing.key);
                problems.push(Diagnostic::new(code::UNKNOWN_KEY, source, first.at, message).help(help));
                thing.value = Node { span: first.at, value: Value::Map(inner) };
            }
        }
        at += 1;
    }
}

/// What to write for a value of another form than `kind`.
pub fn other_form(node: &Node, kind: &Kind, source: &Source, problem: Diagnostic) -> Diagnostic {
    let raw = source.text.get(node.span.start..node.span.end).unwrap_or("").trim_end();
    let one_line = !raw.contains('\n') && raw.len() < 120;
    let mapping = matches!(kind, Kind::Map(..) | Kind::Object(_));
    match &node.value {
        Value::Scalar(_) if matches!(kind, Kind::List(_)) && one_line && !raw.is_empty() => {
            problem.write(format!("[{raw}]"))
        }
        Value::Scalar(scalar) if matches!(kind, Kind::Object(shape) if std::ptr::eq(*shape, &LEAVE)) => {
            match LEAVE.key(&scalar.text) {
                Some(key) => problem.help(format!("say why: `{{{}: reason}}`", key.name)),
                None if one_line && !raw.is_empty() => problem.write(format!("{{skip: {raw}}}")),
                None => problem,
            }
        }
        Value::Map(entries) if matches!(kind, Kind::Choice(_)) => {
            let Kind::Choice(words) = kind else { return problem };
            match entries.iter().find_map(|entry| words.iter().find(|word| **word == entry.key)) {
                Some(word) if one_line && raw.starts_with('{') => problem.write(*word),
                Some(word) => problem.help(format!("write `{word}` alone")),
                None => problem,
            }
        }
        Value::Scalar(scalar) if mapping => match scalar.text.split_once(':') {
            Some((key, value)) if scalar.plain && !value.starts_with(' ') && super::conform::is_binding(key) => {
                problem.help(format!("a blank is missing behind `{key}:`"))
            }
            _ => problem,
        },
        Value::List(_) if mapping => problem.help("write `name: ...` in place of `- ...`"),
        Value::Map(_) if matches!(kind, Kind::List(_)) => {
            problem.help("write `[a, b]`, or `- a` on lines of their own")
        }
        Value::Map(_) if one_line && raw.starts_with('{') && !matches!(kind, Kind::Column | Kind::Field) => {
            problem.write(format!("\"{}\"", raw.replace('"', "\\\"")))
        }
        Value::List(items) if one_line && items.iter().all(|item| item.text().is_some()) && raw.starts_with('[') => {
            match kind {
                Kind::Expression | Kind::Template => problem.write(format!("\"{}\"", raw.replace('"', "\\\""))),
                Kind::Name | Kind::Text | Kind::Reference if items.len() == 1 => {
                    let text = items.first().and_then(Node::text).unwrap_or_default();
                    problem.write(text.to_owned())
                }
                Kind::Name => {
                    let texts: Vec<&str> = items.iter().filter_map(Node::text).collect();
                    problem.write(format!("\"{}\"", texts.join(",")))
                }
                _ => problem,
            }
        }
        _ => problem,
    }
}

/// What to write in the file in place of `there`, where `text` is to stand in the text of a node from `offset` on; none: it stands there
/// otherwise than in the text, or more would have to change.
pub fn in_place(node: &Node, offset: usize, there: &str, text: String) -> Option<String> {
    let Value::Scalar(scalar) = &node.value else { return None };
    scalar.text.get(offset..)?.strip_prefix(there).filter(|_| !there.is_empty())?;
    // Without quotes YAML would take the first character for its own.
    match scalar.plain && offset == 0 && text.starts_with(['`', '!', '&', '*', '"', '\'', '[', '{']) {
        true => (scalar.text == there).then(|| format!("\"{}\"", text.replace('"', "\\\""))),
        false => Some(text),
    }
}

/// Where a problem of a value is shown: a value that is nothing has no place of its own.
pub fn place(node: &Node, key: Span, source: &Source) -> Span {
    let written = source.text.get(node.span.start..node.span.end).is_some_and(|text| !text.trim().is_empty());
    if node.is_null() && !written { key } else { node.span }
}
