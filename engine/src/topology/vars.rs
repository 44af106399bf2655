//! The variables of a topology: `{name}` in names and urls.

use indexmap::IndexMap;

use super::diagnostic::{Diagnostic, code};
use super::node::Node;
use super::source::Source;

/// Variables with their final values.
#[derive(Clone, Debug, Default)]
pub struct Vars {
    values: IndexMap<String, String>,
}

impl Vars {
    /// Resolves the variables of the `vars` mapping, which may name each other, `{data}` being `data`.
    pub fn new(node: Option<&Node>, data: &str, source: &Source, problems: &mut Vec<Diagnostic>) -> Self {
        let entries = node.map_or(&[][..], Node::entries);
        let mut vars = Vars { values: IndexMap::from([("data".to_owned(), data.to_owned())]) };
        for entry in entries.iter().filter(|e| e.key == "data" && !e.again) {
            problems.push(Diagnostic::new(code::DUPLICATE_NAME, source, entry.at, "`data` is built in (--data)"));
        }
        // Each round settles what names only settled variables. What is left when nothing settles any more is a cycle.
        let mut open: Vec<_> = entries.iter().filter(|e| e.key != "data" && !e.again).collect();
        let names: Vec<String> = entries.iter().map(|e| e.key.clone()).collect();
        loop {
            let before = open.len();
            open.retain(|entry| {
                let text = entry.value.text().unwrap_or("");
                let waits =
                    used(text).any(|(_, name)| names.iter().any(|n| n == name) && !vars.values.contains_key(name));
                if !waits {
                    let value = vars.expand(&entry.value, &[], source, problems);
                    vars.values.insert(entry.key.clone(), value);
                }
                waits
            });
            if open.len() == before {
                break;
            }
        }
        let mut told: Vec<String> = Vec::new();
        for entry in &open {
            vars.values.insert(entry.key.clone(), String::new());
            // From one to the next that is open, until one comes again: who only leads into a circle is not part of it.
            let mut way: Vec<String> = vec![entry.key.clone()];
            let mut node = Some(&entry.value);
            while let Some(next) =
                node.and_then(|n| used(n.text()?).find_map(|(_, name)| open.iter().find(|e| e.key == name)))
            {
                if way.contains(&next.key) {
                    way.push(next.key.clone());
                    break;
                }
                way.push(next.key.clone());
                node = Some(&next.value);
            }
            if way.last() == Some(&entry.key) && !told.contains(&entry.key) {
                let names: Vec<String> = way.iter().map(|name| format!("`{name}`")).collect();
                let message = format!("the variable `{}` needs itself: {}", entry.key, names.join(" → "));
                problems.push(
                    Diagnostic::new(code::VARIABLE_CYCLE, source, entry.at, message)
                        .help("give one of them a value of its own"),
                );
                told.extend(way);
            }
        }
        vars
    }

    /// The text of a node with its variables. The names in `keep` stay as they are.
    pub fn expand(&self, node: &Node, keep: &[&str], source: &Source, problems: &mut Vec<Diagnostic>) -> String {
        let text = node.text().unwrap_or("");
        let mut out = String::new();
        let mut done = 0;
        for (at, name) in used(text) {
            out += text.get(done..at).unwrap_or("");
            match self.values.get(name) {
                _ if keep.contains(&name) => out += &format!("{{{name}}}"),
                Some(value) => out += value,
                None => {
                    let span = node.locate(source, at, name.len() + 2);
                    let problem =
                        Diagnostic::new(code::UNKNOWN_VARIABLE, source, span, format!("unknown variable `{name}`"));
                    let names = self.values.keys().map(String::as_str).chain(keep.iter().copied());
                    problems.push(problem.nearest(name, names).about(vec!["vars".into(), name.to_owned()]));
                }
            }
            done = at + name.len() + 2;
        }
        out + text.get(done..).unwrap_or("")
    }
}

/// The names in braces, with the offset of their brace.
fn used(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices('{').filter_map(|(at, _)| {
        let inner = text.get(at + 1..)?;
        let name = inner.get(..inner.find('}')?)?;
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        plain.then_some((at, name))
    })
}
