//! Two topologies that belong to no domain, for tests of what the program does with topologies.

use std::path::{Path, PathBuf};

use crate::program::Engine;

/// A topology with a topic and a table for each flow. `flows` are names with an alias.
pub fn topology(name: &str, aliases: &str, flows: &[(&str, &str)]) -> String {
    let mut text = format!(
        "topology: {name}\nlanguage: 1\nsimulation: {name}.sim.yaml\naliases: [{aliases}]\nconnections:\n  \
         bus: {{kafka: {{brokers: embedded}}}}\n  lake: {{delta: {{url: \"{{data}}/tables\"}}}}\ntopics:\n"
    );
    for (flow, _) in flows {
        text += &format!("  {flow}: {{name: {name}.{flow}, external: written, message: {{id: id!, note: string}}}}\n");
    }
    text += "tables:\n";
    for (flow, _) in flows {
        text += &format!("  {flow}: {{path: {name}_{flow}, key: [id], columns: {{id: id!, note: string}}}}\n");
    }
    text += "flows:\n";
    for (flow, alias) in flows {
        text += &format!(
            "  {flow}:\n    aliases: [{alias}]\n    source:\n      topic: {flow}\n      group: {name}-{flow}\n      \
             retry: {{topic: \"{name}.{flow}.retry\", delays: [1m], dead_letter: {name}.{flow}.dlq}}\n    \
             rows: {{row: {{table: {flow}, columns: {{id: event.id, note: event.note}}}}}}\n"
        );
    }
    text
}

/// A simulation that emits onto the first topic of such a topology.
pub fn simulation(name: &str, flow: &str) -> String {
    format!(
        "simulation: {name}\nlanguage: 1\nprovides: {{}}\nentities:\n  thing: {{id: 1000, pool: {{first: 10, every: 5, window: 20}}, \
         attributes: {{city: {{$choice: [Oslo, Lima]}}}}}}\nevents:\n  topic: {name}.{flow}\n  \
         start: 2026-01-01T00:00:00Z\n  step: 1s\n  id: {{$uuid: true}}\n  key: \"{{event.id}}\"\n  \
         value: {{id: \"{{event.id}}\", note: \"{{thing.id}}\"}}\n  types: {{MADE: {{weight: 1, pick: thing}}}}\n\
         expect:\n  - {{table: {flow}, key: [\"{{event.id}}\"]}}\n"
    )
}

/// The folder with `shop.yaml` (flows `orders`, `users`) and `fleet.yaml` (flows `orders`, `devices`).
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        let folder = Folder(tempfile::tempdir().unwrap());
        let shop = topology("shop", "everything", &[("orders", "shop-orders"), ("users", "shop-users")]);
        let fleet = topology("fleet", "all, everything", &[("orders", "fleet-orders"), ("devices", "fleet-devices")]);
        folder.write("shop.yaml", &shop);
        folder.write("fleet.yaml", &fleet);
        folder.write("shop.sim.yaml", &simulation("shop", "orders"));
        folder.write("fleet.sim.yaml", &simulation("fleet", "orders"));
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Makes an edit to a file, which must have what is replaced.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{name} has no {from}");
        self.write(name, &text.replace(from, to));
    }

    /// Puts messages with the ids from 0 on a topic of `shop.yaml` or `fleet.yaml`.
    pub fn feed(&self, topology: &str, topic: &str, count: usize) {
        let lines: String = (0..count).map(|n| format!("{{\"id\": \"{n}\", \"note\": \"{topic}\"}}\n")).collect();
        self.write("lines.jsonl", &lines);
        self.produce(topology, topic, "lines.jsonl");
    }

    /// Puts the lines of a file on a topic.
    pub fn produce(&self, topology: &str, topic: &str, lines: &str) {
        let produce = Engine::new("produce").arg(topic).arg(self.path(lines).display());
        let produce = produce.arg("--topology").arg(self.path(topology).display());
        produce.arg("--data").arg(self.data().display()).finish().expect(0);
    }

    /// `engine run shop.yaml fleet.yaml`, until it is drained.
    pub fn both(&self) -> Engine {
        self.run(&["shop.yaml", "fleet.yaml"]).arg("--until-drained")
    }

    /// `engine run FILES`.
    pub fn run(&self, files: &[&str]) -> Engine {
        let engine = files.iter().fold(Engine::new("run"), |engine, file| engine.arg(self.path(file).display()));
        engine.arg("--data").arg(self.data().display()).arg("--metrics-port").arg(0)
    }
}

/// The tables that a run's summary shows, as `topology/table` (a run of one topology names none) and rows.
pub fn tables(out: &str) -> Vec<(String, u64)> {
    let mut topology = String::new();
    let mut tables = Vec::new();
    for line in out.lines() {
        if let Some(name) = line.strip_prefix("topology ") {
            topology = format!("{name}/");
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [name, rows, "rows", ..] = words[..] {
            tables.push((format!("{topology}{name}"), rows.parse().unwrap()));
        }
    }
    tables
}

/// Whether there is nothing at `path`.
pub fn absent(path: &Path) -> bool {
    !path.exists()
}
