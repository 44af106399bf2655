//! DOT: what Graphviz and its relatives draw.

use super::{Graph, Role, printable};

impl Graph {
    /// The drawing in the language of Graphviz.
    pub fn dot(&self) -> String {
        let mut out = format!("digraph {} {{\n", quoted(std::slice::from_ref(&self.title)));
        out += "  graph [rankdir=TB, fontname=\"Helvetica\"];\n";
        out += "  node [shape=box, fontname=\"Helvetica\"];\n";
        out += "  edge [fontname=\"Helvetica\", fontsize=10];\n";
        let node = |index: usize| {
            let node = &self.nodes[index];
            let dashed = if node.role.dashed() { ", style=dashed" } else { "" };
            format!("n{index} [label={}, shape={}{dashed}];\n", quoted(&node.lines), shape(node.role))
        };
        for (at, title) in self.clusters.iter().enumerate() {
            out += &format!("  subgraph cluster_{at} {{\n    label={};\n", quoted(std::slice::from_ref(title)));
            self.members(Some(at)).for_each(|(index, _)| out += &format!("    {}", node(index)));
            out += "  }\n";
        }
        self.members(None).for_each(|(index, _)| out += &format!("  {}", node(index)));
        for edge in &self.edges {
            let mut with = Vec::new();
            if !edge.lines.is_empty() {
                with.push(format!("label={}", quoted(&edge.lines)));
            }
            if edge.dashed {
                with.push("style=dashed".to_owned());
            }
            let with = if with.is_empty() { String::new() } else { format!(" [{}]", with.join(", ")) };
            out += &format!("  n{} -> n{}{with};\n", edge.from, edge.to);
        }
        out + "}\n"
    }
}

fn shape(role: Role) -> &'static str {
    match role {
        Role::Source | Role::Outcomes => "ellipse",
        Role::Stage => "box",
        Role::Route => "diamond",
        Role::Topic | Role::Failed => "cds",
        Role::Table | Role::Files => "cylinder",
        Role::System => "hexagon",
    }
}

/// A quoted string; a backslash of a name is two, so that it escapes nothing.
fn quoted(lines: &[String]) -> String {
    let escaped = |line: &String| printable(line).replace('\\', "\\\\").replace('"', "\\\"");
    let lines: Vec<String> = lines.iter().map(escaped).collect();
    format!("\"{}\"", lines.join("\\n"))
}
