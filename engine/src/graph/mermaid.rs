//! Mermaid: what documentation pages draw by themselves.

use super::{Graph, Role, printable};

impl Graph {
    /// The drawing as a Mermaid flowchart.
    pub fn mermaid(&self) -> String {
        let mut out = String::from("flowchart TD\n");
        let node = |index: usize| {
            let node = &self.nodes[index];
            let (open, close) = brackets(node.role);
            format!("n{index}{open}{}{close}\n", label(&node.lines))
        };
        for (at, title) in self.clusters.iter().enumerate() {
            out += &format!("  subgraph c{at}[{}]\n", label(std::slice::from_ref(title)));
            self.members(Some(at)).for_each(|(index, _)| out += &format!("    {}", node(index)));
            out += "  end\n";
        }
        self.members(None).for_each(|(index, _)| out += &format!("  {}", node(index)));
        for edge in &self.edges {
            let arrow = if edge.dashed { "-.->" } else { "-->" };
            let label = if edge.lines.is_empty() { String::new() } else { format!("|{}|", label(&edge.lines)) };
            out += &format!("  n{} {arrow}{label} n{}\n", edge.from, edge.to);
        }
        let dashed: Vec<String> = (0..self.nodes.len())
            .filter(|index| self.nodes[*index].role.dashed())
            .map(|index| format!("n{index}"))
            .collect();
        if !dashed.is_empty() {
            out += "  classDef failed stroke-dasharray: 5 4\n";
            out += &format!("  class {} failed\n", dashed.join(","));
        }
        out
    }
}

fn brackets(role: Role) -> (&'static str, &'static str) {
    match role {
        Role::Source | Role::Outcomes => ("([", "])"),
        Role::Stage => ("[", "]"),
        Role::Route => ("{", "}"),
        Role::Topic | Role::Failed => ("[[", "]]"),
        Role::Table | Role::Files => ("[(", ")]"),
        Role::System => ("{{", "}}"),
    }
}

/// A quoted label. Everything but letters, digits and plain punctuation is a number, so that nothing of a name can end the label or be
/// read as markup.
fn label(lines: &[String]) -> String {
    let escaped = |line: &String| -> String {
        let plain = |c: char| c.is_alphanumeric() || " _-.,:/+=?()…".contains(c);
        let one = |c: char| if plain(c) { c.to_string() } else { format!("#{};", u32::from(c)) };
        printable(line).chars().map(one).collect()
    };
    let lines: Vec<String> = lines.iter().map(escaped).collect();
    // An empty label is none, and Mermaid wants one.
    let text = if lines.iter().all(String::is_empty) { " ".to_owned() } else { lines.join("<br>") };
    format!("\"{text}\"")
}
