//! Many plain paths, found in one walk.
//!
//! The paths of a row block become a tree of names. Where the tree has a node, the object of the message is gone through once
//! and each of its keys is looked up in the node, instead of going through the object once for every path. Names are told
//! apart by a hash of their length and two of their bytes; texts are compared only where that agrees.

use std::borrow::Cow;

use sonic_rs::{JsonContainerTrait, JsonType};

use crate::value::{NULL, Value};
use crate::{Json, Scope};

/// Places in a node's table of hashes.
const BUCKETS: usize = 64;

/// The end of a chain.
const NONE: u16 = u16::MAX;

/// A set of paths; each has a slot.
#[derive(Debug, Default)]
pub struct Paths {
    /// By the binding they begin at.
    roots: Vec<(String, Node)>,
    slots: usize,
}

#[derive(Debug)]
struct Node {
    /// The slot of the path that ends here.
    slot: Option<usize>,
    children: Vec<Child>,
    /// The first child of each hash.
    heads: [u16; BUCKETS],
}

#[derive(Debug)]
struct Child {
    name: String,
    node: Node,
    /// The next child of the same hash.
    next: u16,
}

impl Default for Node {
    fn default() -> Self {
        Node { slot: None, children: Vec::new(), heads: [NONE; BUCKETS] }
    }
}

#[inline]
fn bucket(name: &[u8]) -> usize {
    let [first, ..] = name else { return 0 };
    let at = |index: usize| usize::from(name.get(index).copied().unwrap_or(0));
    (name.len() ^ (usize::from(*first) << 1) ^ (at(name.len() / 2) << 2) ^ at(name.len() - 1)) % BUCKETS
}

impl Node {
    #[inline]
    fn child(&self, name: &[u8]) -> Option<&Node> {
        let mut at = *self.heads.get(bucket(name))?;
        while let Some(child) = self.children.get(usize::from(at)) {
            if child.name.as_bytes() == name {
                return Some(&child.node);
            }
            at = child.next;
        }
        None
    }

    fn child_mut(&mut self, name: &str) -> &mut Node {
        let known = self.children.iter().position(|child| child.name == name);
        let at = known.unwrap_or_else(|| {
            let at = self.children.len();
            let head = &mut self.heads[bucket(name.as_bytes())];
            self.children.push(Child { name: name.to_owned(), node: Node::default(), next: *head });
            *head = u16::try_from(at).unwrap_or(NONE);
            at
        });
        &mut self.children[at].node
    }

    /// Enters `value` and what is below it.
    fn find<'v>(&self, value: Value<'v>, found: &mut [Value<'v>]) {
        if !self.children.is_empty() {
            match &value {
                Value::Part(part) => self.members(part.keyed().map(|(name, part)| (name, Value::Part(part))), found),
                Value::Record(record) => {
                    self.members(record.members().map(|(name, value)| (name.as_bytes(), value)), found)
                }
                Value::Json(Cow::Borrowed(json)) => {
                    let json: &'v Json = json;
                    if let Some(object) = json.as_object() {
                        self.members(object.iter().map(|(name, json)| (name.as_bytes(), Value::from(json))), found);
                    }
                }
                // A scope lends what it holds.
                _ => {}
            }
        }
        if let Some(place) = self.slot.and_then(|slot| found.get_mut(slot)) {
            *place = value;
        }
    }

    #[inline]
    fn members<'v>(&self, members: impl Iterator<Item = (&'v [u8], Value<'v>)>, found: &mut [Value<'v>]) {
        let mut left = self.children.len();
        for (name, value) in members {
            if let Some(node) = self.child(name) {
                node.find(value, found);
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        }
    }
}

impl Paths {
    /// Adds a path that begins at a binding; its slot.
    pub fn add(&mut self, path: &[String]) -> usize {
        let Some((root, rest)) = path.split_first() else { return usize::MAX };
        let at = self.roots.iter().position(|(name, _)| name == root).unwrap_or_else(|| {
            self.roots.push((root.clone(), Node::default()));
            self.roots.len() - 1
        });
        let mut node = &mut self.roots[at].1;
        for name in rest {
            node = node.child_mut(name);
        }
        *node.slot.get_or_insert_with(|| {
            self.slots += 1;
            self.slots - 1
        })
    }

    /// The value of each path in `scope`, by slot; null where there is none.
    pub(crate) fn find<'v>(&self, scope: &Scope<'v>) -> Vec<Value<'v>> {
        let mut found = vec![NULL; self.slots];
        for (name, node) in &self.roots {
            let value = scope.get(name);
            if value.kind() != JsonType::Null {
                node.find(value, &mut found);
            }
        }
        found
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Bindings, Env, Expr, json};

    fn agree(message: &str, texts: &[&str]) {
        let mut bindings = Bindings::default();
        bindings.set("event".into(), json::parse(message.as_bytes()).unwrap());
        bindings.set("other".into(), json::parse(b"{\"a\": 1}").unwrap());
        let env = Env::at(0);
        let scope = Scope { bindings: &bindings, root: None, env: &env };
        let mut paths = Paths::default();
        let slots: Vec<(usize, Expr)> = texts
            .iter()
            .map(|text| Expr::parse(text).unwrap())
            .map(|expr| (paths.add(expr.is_plain_path().unwrap()), expr))
            .collect();
        let found = paths.find(&scope);
        for (slot, expr) in slots {
            assert_eq!(
                found[slot].clone().into_json_text(),
                json::to_text(&expr.eval(&scope).unwrap()),
                "{expr} of {message}"
            );
        }
    }

    #[test]
    fn paths_mean_what_expressions_mean() {
        let texts = ["event", "event.a", "event.a.b", "event.a.b.c", "event.z", "other.a", "nobody.a", "event.a"];
        for message in
            ["{}", "null", "7", "[{\"a\":1}]", r#"{"a":{"b":{"c":null}},"z":[1]}"#, r#"{"a":[{"b":1}],"z":""}"#]
        {
            agree(message, &texts);
        }
    }

    proptest! {
        // Many names of one length: chains of one hash are walked.
        #[test]
        fn any_set_of_names(names in prop::collection::vec("[ab]{1,4}", 1..40), paths in prop::collection::vec("[ab]{1,4}(\\.[ab]{1,2})?", 1..40)) {
            let members: std::collections::BTreeMap<_, _> = names.iter().map(|n| (n, format!("{{\"a\":\"{n}\",\"b\":1}}"))).collect();
            let members: Vec<String> = members.iter().map(|(n, v)| format!("\"{n}\":{v}")).collect();
            let texts: Vec<String> = paths.iter().map(|p| format!("event.{p}")).collect();
            agree(&format!("{{{}}}", members.join(",")), &texts.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}
