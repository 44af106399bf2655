//! `engine new NAME`: a topology that runs, with its simulation and its tests, for somebody to change.

use std::path::{Path, PathBuf};

use super::{Failed, terminal};
use crate::topology::is_binding;

/// Write a topology to start from, with its simulation and its tests
#[derive(clap::Args)]
pub struct Args {
    /// Its name: letters, digits and `_`, a letter first
    #[arg(value_name = "NAME")]
    name: String,
    /// The folder that the files are written into
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
}

/// The files, by their path below the folder. `@name@` stands for the name, in capitals `@NAME@`.
const FILES: &[(&str, &str)] = &[
    ("@name@.yaml", include_str!("topology.yaml")),
    ("sim/@name@.yaml", include_str!("simulation.yaml")),
    ("tests/@name@/orders.yaml", include_str!("test.yaml")),
];

/// Runs `engine new`. Nothing is written if one of the files is there already.
pub fn run(args: &Args) -> Result<(), Failed> {
    let name = &args.name;
    if !is_binding(name) {
        return Err(Failed::usage(format!(
            "`{name}` cannot be the name of a topology: it is part of topics, tables and variables of the environment, so it is made of \
             letters, digits and `_`, a letter first"
        )));
    }
    let filled = |text: &str| text.replace("@name@", name).replace("@NAME@", &name.to_ascii_uppercase());
    let files: Vec<(PathBuf, String)> =
        FILES.iter().map(|(path, text)| (args.dir.join(filled(path)), filled(text))).collect();
    let there: Vec<String> = files.iter().filter(|(path, _)| path.exists()).map(|(p, _)| shown(p)).collect();
    if !there.is_empty() {
        let there = there.join(", ");
        return Err(Failed::usage(format!(
            "{there} is there already and is not overwritten; choose another name or --dir"
        )));
    }
    for (path, text) in &files {
        write(path, text).map_err(|e| Failed::running(vec![format!("cannot write {}: {e}", shown(path))]))?;
        terminal::say(format_args!("wrote {}", shown(path)));
    }
    let (topology, tests) = (shown(&args.dir.join(format!("{name}.yaml"))), shown(&args.dir.join("tests").join(name)));
    terminal::say(format_args!(
        "next:\n  engine validate {topology}\n  engine run {topology} --sim --events 300\n  engine test {tests}\n  \
         engine query data/tables \"SELECT * FROM {name}_orders LIMIT 5\"\n  engine graph {topology}"
    ));
    Ok(())
}

/// Writes a new file, with the folders above it. One that somebody else has written meanwhile stays.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = std::fs::File::create_new(path)?;
    std::io::Write::write_all(&mut file, text.as_bytes())
}

/// A path as a person in this folder would give it.
fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}
