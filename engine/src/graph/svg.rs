//! SVG: a file that every browser shows. Where things stand is computed by `dugong`, the layout of Dagre; here is what they look like.

use dugong::graphlib::{Graph as Layout, GraphOptions};
use dugong::{EdgeLabel, GraphLabel, NodeLabel, NoopWorkControl, Point};

use super::{Edge, Graph, Node, Role, printable};

/// The width of a character and the height of a line, of the one font that is used.
const CHARACTER: f64 = 7.25;
const LINE: f64 = 16.0;
/// The room around a label.
const PADDING: f64 = 12.0;
/// The room around everything.
const MARGIN: f64 = 24.0;

const STYLE: &str = "text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#1c2330;text-anchor:middle}\
.cluster rect{fill:#f5f7fb;stroke:#b9c3d6}.cluster text{font-weight:bold;text-anchor:start}\
.node rect,.node path,.node polygon{fill:#fff;stroke:#44546f}\
.table path,.files path{fill:#eaf4ec}.topic rect,.failed rect{fill:#fdf3e1}.system polygon{fill:#eee9f8}\
.failed rect,.dashed path{stroke-dasharray:5 4}\
.edge path{fill:none;stroke:#44546f}.edge rect{fill:#fff;fill-opacity:.85}.edge text{font-size:11px}";

impl Graph {
    /// The drawing as an SVG document, or why it could not be laid out.
    pub fn svg(&self) -> Result<String, String> {
        let laid = self.lay_out()?;
        let mut body = String::new();
        let (mut left_most, mut right, mut bottom) = (0.0_f64, 0.0_f64, 0.0_f64);
        for (at, title) in self.clusters.iter().enumerate() {
            let Some((x, y, width, height)) = laid.node(&format!("c{at}")).and_then(place) else { continue };
            let (left, top) = (x - width / 2.0, y - height / 2.0);
            (right, bottom) = (right.max(left + width), bottom.max(top + height));
            body += &format!(
                "<g class=\"cluster\"><rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"6\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\">{}</text></g>\n",
                left + 8.0,
                top + 12.0,
                text(title)
            );
        }
        for edge in &self.edges {
            let Some(drawn) = laid.edge(&format!("n{}", edge.from), &format!("n{}", edge.to), None) else { continue };
            for point in &drawn.points {
                (right, bottom) = (right.max(point.x), bottom.max(point.y));
            }
            // Labels stand beside the nodes, and may be longer than any.
            if let (false, Some(x), Some(y)) = (edge.lines.is_empty(), drawn.x, drawn.y) {
                let (width, height) = label_size(&edge.lines);
                left_most = left_most.min(x - width / 2.0 - MARGIN);
                (right, bottom) = (right.max(x + width / 2.0), bottom.max(y + height / 2.0));
            }
            body += &self.edge(edge, drawn);
        }
        for (index, node) in self.nodes.iter().enumerate() {
            let Some((x, y, width, height)) = laid.node(&format!("n{index}")).and_then(place) else { continue };
            (right, bottom) = (right.max(x + width / 2.0), bottom.max(y + height / 2.0));
            body += &shape(node, x, y, width, height);
        }
        let (width, height) = (right - left_most + MARGIN, bottom + MARGIN);
        Ok(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"{left_most:.0} 0 {width:.0} {height:.0}\">\n\
             <title>{}</title>\n<style>{STYLE}</style>\n\
             <defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\">\
             <path d=\"M0,0L8,4L0,8Z\" fill=\"#44546f\"/></marker></defs>\n\
             <rect x=\"{left_most:.0}\" width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n",
            text(&self.title)
        ))
    }

    fn lay_out(&self) -> Result<Layout<NodeLabel, EdgeLabel, GraphLabel>, String> {
        let mut laid = Layout::new(GraphOptions { multigraph: false, compound: true, directed: true });
        laid.set_graph(GraphLabel {
            nodesep: 28.0,
            ranksep: 44.0,
            edgesep: 14.0,
            marginx: MARGIN,
            marginy: MARGIN,
            ..GraphLabel::default()
        });
        for at in 0..self.clusters.len() {
            laid.set_node(format!("c{at}"), NodeLabel::default());
        }
        for (index, node) in self.nodes.iter().enumerate() {
            let (width, height) = size(&node.lines, node.role);
            laid.set_node(format!("n{index}"), NodeLabel { width, height, ..NodeLabel::default() });
            if let Some(cluster) = node.cluster {
                laid.set_parent_ref(&format!("n{index}"), &format!("c{cluster}"));
            }
        }
        for edge in &self.edges {
            let (width, height) = label_size(&edge.lines);
            let label = EdgeLabel { width, height, weight: 1.0, minlen: 1, ..EdgeLabel::default() };
            laid.set_edge_with_label(format!("n{}", edge.from), format!("n{}", edge.to), label);
        }
        let done = dugong::layout_controlled(&mut laid, &mut NoopWorkControl);
        done.map_err(|e| format!("the drawing cannot be laid out: {e}"))?;
        Ok(laid)
    }

    fn edge(&self, edge: &Edge, drawn: &EdgeLabel) -> String {
        let class = if edge.dashed { "edge dashed" } else { "edge" };
        let mut out = format!("<g class=\"{class}\"><path d=\"{}\" marker-end=\"url(#arrow)\"/>", line(&drawn.points));
        if let (false, Some(x), Some(y)) = (edge.lines.is_empty(), drawn.x, drawn.y) {
            let (width, height) = label_size(&edge.lines);
            let (left, top) = (x - width / 2.0, y - height / 2.0);
            out += &format!("<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>");
            out += &lines(&edge.lines, x, y);
        }
        out + "</g>\n"
    }
}

/// Centre, width and height of a node that has a place.
fn place(node: &NodeLabel) -> Option<(f64, f64, f64, f64)> {
    Some((node.x?, node.y?, node.width, node.height))
}

fn longest(lines: &[String]) -> f64 {
    // A letter of a script with wide letters is two others wide.
    let wide = |c: char| if u32::from(c) >= 0x1100 { 2 } else { 1 };
    let width = |line: &String| printable(line).chars().map(wide).sum::<u32>();
    f64::from(lines.iter().map(width).max().unwrap_or(0)) * CHARACTER
}

fn size(lines: &[String], role: Role) -> (f64, f64) {
    let count = u32::try_from(lines.len()).unwrap_or(u32::MAX);
    let (width, height) = (longest(lines) + 2.0 * PADDING, f64::from(count) * LINE + PADDING);
    match role {
        Role::Route => (width * 1.4, height * 1.5),
        Role::System => (width + 2.0 * PADDING, height),
        Role::Table | Role::Files => (width, height + PADDING),
        _ => (width, height),
    }
}

fn label_size(lines: &[String]) -> (f64, f64) {
    let count = u32::try_from(lines.len()).unwrap_or(u32::MAX);
    if lines.is_empty() { (0.0, 0.0) } else { (longest(lines) + 8.0, f64::from(count) * LINE + 2.0) }
}

/// A path through the points, rounded at each.
fn line(points: &[Point]) -> String {
    let [first, middle @ .., last] = points else { return String::new() };
    let mut path = format!("M{:.1},{:.1}", first.x, first.y);
    for (at, point) in middle.iter().enumerate() {
        let next = middle.get(at + 1).unwrap_or(last);
        let (x, y) = ((point.x + next.x) / 2.0, (point.y + next.y) / 2.0);
        path += &format!("Q{:.1},{:.1} {x:.1},{y:.1}", point.x, point.y);
    }
    path + &format!("L{:.1},{:.1}", last.x, last.y)
}

fn shape(node: &Node, x: f64, y: f64, width: f64, height: f64) -> String {
    let (left, top, right, bottom) = (x - width / 2.0, y - height / 2.0, x + width / 2.0, y + height / 2.0);
    let rect = |radius: f64| {
        format!("<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{radius:.1}\"/>")
    };
    let polygon = |points: &[(f64, f64)]| {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        format!("<polygon points=\"{}\"/>", points.join(" "))
    };
    let (class, outline) = match node.role {
        Role::Source => ("source", rect(height / 2.0)),
        Role::Outcomes => ("outcomes", rect(height / 2.0)),
        Role::Stage => ("stage", rect(3.0)),
        Role::Topic => ("topic", rect(8.0)),
        Role::Failed => ("failed", rect(8.0)),
        Role::Route => ("route", polygon(&[(x, top), (right, y), (x, bottom), (left, y)])),
        Role::System => {
            let (a, b) = (left + PADDING, right - PADDING);
            ("system", polygon(&[(a, top), (b, top), (right, y), (b, bottom), (a, bottom), (left, y)]))
        }
        Role::Table | Role::Files => {
            let class = if node.role == Role::Table { "table" } else { "files" };
            let (round, radius) = (PADDING / 2.0, width / 2.0);
            let (lid, floor) = (top + round, bottom - round);
            let arc = |sweep: u8, to: f64, y: f64| format!("A{radius:.1},{round:.1} 0 0 {sweep} {to:.1},{y:.1}");
            let path = format!(
                "<path d=\"M{left:.1},{lid:.1}{}V{floor:.1}{}ZM{left:.1},{lid:.1}{}\"/>",
                arc(1, right, lid),
                arc(1, left, floor),
                arc(0, right, lid)
            );
            (class, path)
        }
    };
    let lowered = if matches!(node.role, Role::Table | Role::Files) { y + PADDING / 3.0 } else { y };
    format!(
        "<g class=\"node {class}\"><title>{}</title>{outline}{}</g>\n",
        text(&node.path),
        lines(&node.lines, x, lowered)
    )
}

/// The lines of a label around its centre.
fn lines(lines: &[String], x: f64, y: f64) -> String {
    let count = f64::from(u32::try_from(lines.len()).unwrap_or(u32::MAX));
    let first = y - (count - 1.0) * LINE / 2.0 + 4.0;
    let one = |(at, line): (usize, &String)| {
        let y = first + f64::from(u32::try_from(at).unwrap_or(u32::MAX)) * LINE;
        format!("<text x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", text(line))
    };
    lines.iter().enumerate().map(one).collect()
}

/// Text of an XML document.
fn text(raw: &str) -> String {
    let one = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        c => c.to_string(),
    };
    printable(raw).chars().map(one).collect()
}
