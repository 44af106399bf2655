//! Trees: the values of attributes, events and answers as they are declared, compiled once.
//!
//! A tree is YAML. Numbers, booleans, null, lists and mappings stand for themselves; `{a.b}` in a text is the value of a path,
//! and a text that is nothing but one `{a.b}` is that value with its type. A path that ends in `?` may lead nowhere (null).
//! A mapping with a key that begins with `$` is a generator: see [`generators`](super::generators).
//!
//! What is drawn is a function of the seed, of the thing it is drawn for and of the generator's place in the file.

use serde_json::Value;

/// A compiled tree.
#[derive(Debug)]
pub(super) enum Node {
    /// Itself.
    Literal(Value),
    /// Text with paths in it.
    Text(Vec<Part>),
    /// The value of a path.
    Path(Path),
    /// A list.
    List(Vec<Node>),
    /// A mapping.
    Object(Vec<(String, Node)>),
    /// Something drawn: what decides, and the salt of its place.
    Draw(u64, Drawn),
    /// One of two.
    If(Box<[Node; 3]>),
    /// An instant: `from`, and how it is written. The salt draws the time that is added.
    Time { salt: u64, from: Box<Node>, add: (i64, i64), format: Option<String>, offset: i64 },
    /// The children of an entity in sight.
    Each(Box<Each>),
    /// The address of a file.
    Link(Box<Link>),
    /// All keys of several mappings.
    Merge(Vec<Node>),
    /// Lower case.
    Lower(Box<Node>),
    /// As text.
    AsText(Box<Node>),
    /// Left out.
    Absent,
}

/// What is drawn.
#[derive(Debug)]
pub(super) enum Drawn {
    /// One of several, each with the sum of the weights up to it.
    Weighted(Vec<(f64, Node)>),
    /// A whole number.
    Int(i64, i64),
    /// A number with so many digits after the point.
    Decimal(f64, f64, i32),
    /// Decimal digits.
    Digits(u64),
    /// Hexadecimal digits.
    Hex(u64),
    /// A UUID.
    Uuid,
    /// An entity of a pool, by name.
    One(String),
}

/// A piece of text.
#[derive(Debug)]
pub(super) enum Part {
    /// Itself.
    Text(String),
    /// The value of a path.
    Path(Path),
}

/// Where a value is: a name in sight, then keys.
#[derive(Debug)]
pub(super) struct Path {
    /// The name and the keys.
    pub segments: Vec<String>,
}

/// A list of children.
#[derive(Debug)]
pub(super) struct Each {
    /// The kind of the children.
    pub entity: String,
    /// Which ones, or null.
    pub ids: Node,
    /// The share that is hidden at first, and for how many calls.
    pub hide: (f64, u64),
    /// What each becomes.
    pub value: Node,
}

/// The address of a file.
#[derive(Debug)]
pub(super) struct Link {
    /// Its path.
    pub path: Node,
    /// When it is signed; when the answer is made without.
    pub at: Option<Node>,
    /// For how long, in milliseconds, where it says so itself.
    pub valid: Option<i64>,
}

impl Node {
    /// Calls `visit` with the name at the root of every path in the tree.
    pub(super) fn paths(&self, visit: &mut dyn FnMut(&Path)) {
        match self {
            Node::Literal(_) | Node::Absent => {}
            Node::Path(path) => visit(path),
            Node::Text(parts) => {
                for part in parts {
                    if let Part::Path(path) = part {
                        visit(path);
                    }
                }
            }
            Node::List(nodes) | Node::Merge(nodes) => nodes.iter().for_each(|n| n.paths(visit)),
            Node::Object(entries) => entries.iter().for_each(|(_, n)| n.paths(visit)),
            Node::Draw(_, Drawn::Weighted(of)) => of.iter().for_each(|(_, n)| n.paths(visit)),
            Node::Draw(..) => {}
            Node::If(nodes) => nodes.iter().for_each(|n| n.paths(visit)),
            Node::Time { from, .. } => from.paths(visit),
            Node::Each(each) => {
                each.ids.paths(visit);
                each.value.paths(visit);
            }
            Node::Link(link) => {
                link.path.paths(visit);
                link.at.iter().for_each(|at| at.paths(visit));
            }
            Node::Lower(node) | Node::AsText(node) => node.paths(visit),
        }
    }
}
