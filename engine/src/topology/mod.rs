//! Topologies: from a YAML file to a checked [`Plan`], or to everything that is wrong with it.
//!
//! Loading has steps that never mix. The text becomes a tree whose every key and value knows its place ([`node`]). The environment and
//! the settings file are put into its texts ([`env`](Environment)). The tree is brought to the form that [`language`] declares. Then
//! [`crate::plan`] resolves names, checks what depends on more than one place and builds the plan. Nothing is connected, and
//! nothing but the two files is read, so a check needs no network. All problems are reported at once, with positions.
//!
//! ```
//! use engine::topology::{Environment, load_str};
//!
//! let text = "topology: t\nlanguage: 1\nflows: {a: {sorce: {}}}\n";
//! let problems = load_str("t.yaml", text, &Environment::default(), "data").unwrap_err();
//! let slip = problems.items.iter().find(|problem| problem.code == "E0101").unwrap();
//! assert_eq!(slip.message, "unknown key `sorce` in a flow");
//! assert_eq!(slip.help.as_deref(), Some("did you mean `source`?"));
//! ```

// A problem is a large value, and ends the loading: it is returned once for a file, so its size costs nothing.
#![allow(clippy::result_large_err)]

use std::collections::BTreeSet;
use std::path::Path;

use crate::plan::{self, Plan};

mod conform;
mod diagnostic;
mod env;
mod file;
mod indent;
pub mod language;
pub mod manual;
pub mod node;
mod place;
pub mod reader;
mod render;
mod repair;
pub mod schema;
pub mod shape;
mod source;
pub mod value;
mod vars;
mod yaml;

#[cfg(test)]
mod tests;

pub use conform::is_binding;
pub(crate) use diagnostic::in_lines;
pub use diagnostic::{CODES, Diagnostic, Diagnostics, Position, Severity, code, nearest};
pub use env::Environment;
pub use file::read;
pub use render::render;
pub use source::{Source, Span};

/// A topology that can start.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it compiles to.
    pub plan: Plan,
    /// What is probably not as meant.
    pub warnings: Diagnostics,
}

/// Loads a topology with the settings file beside it (`<stem>.env`, if there is one). `data` is what `{data}` means.
pub fn load(path: &Path, environment: &Environment, data: &Path) -> Result<Loaded, Diagnostics> {
    let source = read(path)?;
    let mut problems = Vec::new();
    let settings_path = path.with_extension("env");
    let mut settings = None;
    if settings_path.is_file() {
        match read(&settings_path) {
            Ok(source) => settings = Some(source),
            Err(broken) => problems.extend(broken.items),
        }
    }
    load_sources(source, settings, environment, &data.display().to_string(), problems)
}

/// Loads a topology from a text, without a settings file. `name` stands for its path.
pub fn load_str(name: &str, text: &str, environment: &Environment, data: &str) -> Result<Loaded, Diagnostics> {
    load_sources(Source::new(name, text), None, environment, data, Vec::new())
}

/// What a topology says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its name.
    pub name: String,
    /// The file of the simulation that it names.
    pub simulation: Option<std::path::PathBuf>,
    /// Where it names it.
    pub simulation_at: Option<Span>,
    /// Whether it says of itself that it is a topology.
    pub is_topology: bool,
    /// Whether it is a file of tests.
    pub is_suite: bool,
    /// Whether it is a simulation.
    pub is_simulation: bool,
    /// The variables of the environment that it names.
    pub variables: BTreeSet<String>,
}

/// The head of a topology, found without checking the rest: what a simulation provides is known before its topology is
/// loaded.
pub fn head_of(path: &Path) -> Result<Head, Diagnostics> {
    let source = read(path)?;
    let tree = node::parse(&source, &mut Vec::new()).map_err(|p| Diagnostics::new(vec![p], vec![source.clone()]))?;
    let text = |key| tree.get(key).and_then(node::Node::text);
    // A name that is no name, and could lead out of a folder, is refused when the topology is checked.
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
    Ok(Head {
        is_topology: tree.entries().iter().any(|e| matches!(e.key.as_str(), "topology" | "flows")),
        is_suite: tree.get("test").is_some() && tree.get("cases").is_some(),
        is_simulation: tree.get("topology").is_none()
            && tree.get("flows").is_none()
            && ["events", "entities", "routes", "provides"].iter().any(|key| tree.get(key).is_some()),
        variables: env::names(&tree),
        simulation_at: tree.get("simulation").map(|node| node.span),
        name: text("topology").unwrap_or_default().chars().map(plain).collect(),
        simulation: text("simulation").map(|file| path.parent().unwrap_or(Path::new("")).join(file)),
    })
}

/// The variables of the environment that the topology in a text names; none if it is no YAML.
pub fn variables(source: &Source) -> BTreeSet<String> {
    node::parse(source, &mut Vec::new()).map(|tree| env::names(&tree)).unwrap_or_default()
}

/// Reads another file that is declared by tables, such as a file of tests: its tree in the form of `shape`, or nothing if it is
/// no YAML. Nothing of the environment is put into it.
pub fn document(source: &Source, shape: &'static shape::Shape, problems: &mut Vec<Diagnostic>) -> Option<node::Node> {
    match node::parse(source, problems) {
        Ok(mut tree) => {
            conform::conform(&mut tree, shape, &vars::Vars::default(), source, problems);
            Some(tree)
        }
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

fn load_sources(
    source: Source,
    settings: Option<Source>,
    environment: &Environment,
    data: &str,
    mut problems: Vec<Diagnostic>,
) -> Result<Loaded, Diagnostics> {
    let environment = match &settings {
        Some(file) => environment.clone().with_settings(file, &mut problems),
        None => environment.clone(),
    };
    let loading = Loading { environment: &environment, data };
    let mut own = Vec::new();
    let plan = loading.plan(&source, &mut own);
    if let Some(mended) = indent::mend(&source, &own, &loading) {
        own = mended;
    }
    problems.append(&mut own);
    let sources = std::iter::once(source).chain(settings).collect();
    let all = Diagnostics::new(problems, sources);
    match plan {
        Some(plan) if !all.has_errors() => Ok(Loaded { plan, warnings: all }),
        _ => Err(all),
    }
}

/// What a text is read with.
struct Loading<'a> {
    environment: &'a Environment,
    data: &'a str,
}

impl Loading<'_> {
    /// The tree of a text in its form; none: it is not YAML.
    fn tree(&self, source: &Source, problems: &mut Vec<Diagnostic>) -> Option<node::Node> {
        let mut tree = node::parse(source, problems).map_err(|problem| problems.push(problem)).ok()?;
        env::interpolate(&mut tree, self.environment, source, problems);
        conform::spelling(&mut tree, &language::TOPOLOGY, source, problems);
        let vars = vars::Vars::new(tree.get("vars"), self.data, source, problems);
        conform::conform(&mut tree, &language::TOPOLOGY, &vars, source, problems);
        Some(tree)
    }

    fn plan(&self, source: &Source, problems: &mut Vec<Diagnostic>) -> Option<Plan> {
        let tree = self.tree(source, problems)?;
        plan::build(&tree, source, problems)
    }
}

impl indent::Check for Loading<'_> {
    fn form(&self, source: &Source) -> Option<usize> {
        let mut problems = Vec::new();
        self.tree(source, &mut problems).map(|_| problems.len())
    }

    fn all(&self, source: &Source) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        self.plan(source, &mut problems);
        Diagnostics::new(problems, Vec::new()).items
    }
}
