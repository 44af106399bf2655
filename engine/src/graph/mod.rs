//! A topology as a drawing: what comes from where, what happens to it, and where it goes.
//!
//! A drawing is made from the plan, so it shows what would run. Everything that moves or keeps something is a node: sources,
//! stages, topics, tables, the systems that are called. Flows are clusters of their sources and stages, connections clusters of
//! their topics or tables. The three spellings ([`Graph::mermaid`], [`Graph::dot`], [`Graph::svg`]) say the same, in the same order
//! each time. Names come from files and may hold anything: each spelling escapes what it gives a meaning to.
//!
//! ```
//! use engine::graph::{Graph, Options};
//! use engine::topology::{Environment, load_str};
//!
//! let text = "
//! topology: shop
//! language: 1
//! connections: {bus: {kafka: {brokers: embedded}}, lake: {delta: {url: x}}}
//! topics: {orders: {name: shop.orders, external: written, message: {id: id!}}}
//! tables: {orders: {key: [id], columns: {id: id!}}}
//! flows:
//!   orders:
//!     source: {topic: orders, group: orders, retry: {dead_letter: shop.dlq}}
//!     rows: {order: {table: orders, columns: {id: event.id}}}
//! ";
//! let plan = load_str("shop.yaml", text, &Environment::default(), "data").unwrap().plan;
//! let graph = Graph::of(&plan, &[0], &Options::default());
//! assert_eq!((graph.nodes.len(), graph.edges.len(), graph.clusters.len()), (3, 2, 3));
//! assert!(graph.mermaid().contains("n0 --> n1"));
//! ```

mod build;
mod dot;
mod mermaid;
mod svg;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

/// What is drawn besides the flows themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Edges say what they carry, with types.
    pub types: bool,
    /// Retry topics and dead letters are drawn too, dashed.
    pub errors: bool,
}

/// A drawing: nodes by their index, some of them in a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// What it shows.
    pub title: String,
    /// The titles of the clusters.
    pub clusters: Vec<String>,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The edges, at most one from a node to another.
    pub edges: Vec<Edge>,
}

/// Something that moves or keeps something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it is declared, as a path of keys: `flows.orders.stages.customer`. No two nodes have the same.
    pub path: String,
    /// What it is.
    pub role: Role,
    /// Its label, line by line.
    pub lines: Vec<String>,
    /// The cluster it is in.
    pub cluster: Option<usize>,
}

/// What a node is; decides its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Where a flow's messages come in.
    Source,
    /// A stage.
    Stage,
    /// A stage that labels documents.
    Route,
    /// What became of a flow's messages.
    Outcomes,
    /// A topic.
    Topic,
    /// A topic of messages that failed.
    Failed,
    /// A table.
    Table,
    /// A file that is read, or a place of files.
    Files,
    /// A system that is called.
    System,
}

/// Something that goes from a node to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The node it leaves.
    pub from: usize,
    /// The node it reaches.
    pub to: usize,
    /// Its label, line by line.
    pub lines: Vec<String>,
    /// Whether it is taken only by what failed, or only looks something up.
    pub dashed: bool,
}

impl Role {
    /// Whether it is drawn with a dashed border.
    fn dashed(self) -> bool {
        matches!(self, Role::Failed)
    }
}

impl Graph {
    /// The nodes of a cluster, or those in none, with their indexes.
    fn members(&self, cluster: Option<usize>) -> impl Iterator<Item = (usize, &Node)> {
        self.nodes.iter().enumerate().filter(move |(_, node)| node.cluster == cluster)
    }
}

/// `text` without characters that only steer: line ends and tabs become blanks, the others are left out.
fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\r' | '\t' => Some(' '),
        // Not allowed in XML, whatever is written for them.
        '\u{fffe}' | '\u{ffff}' => None,
        c if c.is_control() => None,
        c => Some(c),
    };
    text.chars().filter_map(shown).collect()
}
