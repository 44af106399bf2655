//! What a simulation does when it runs, without a server, a log or a clock: whatever is accepted can do all of it.

use serde_json::{Map, Value, json};

use super::Simulation;
use super::declaration::Fault;
use super::eval::Asked;
use super::route::Request;

/// Somebody who asks for the first time, at the beginning of all times.
struct Anybody<'a>(&'a Simulation);

impl Asked for Anybody<'_> {
    fn link(&self, path: &str) -> String {
        let world = &self.0.world;
        world.files.as_ref().map_or_else(String::new, |files| files.link(world.draw, path, 0, 0, |millis| millis))
    }

    fn count(&self, _: &str) -> u64 {
        0
    }
}

/// Emits `events` messages, counts what they imply, asks every route and fetches a file: how many messages and answers there were.
pub fn trial(simulation: &Simulation, events: u64) -> (usize, usize) {
    let world = &simulation.world;
    let messages: Vec<Value> = (0..events).map(|i| simulation.events.emission(world, i).value).collect();
    simulation.events.expected(world, &simulation.expect, events);
    let answers = simulation.routes.iter().map(|route| {
        let id = |name: &str| world.kind(name).map_or(1, |kind| world.id((kind, 0)));
        let names: Map<String, Value> =
            route.pattern.names().map(|name| (name.to_owned(), json!(id(name).to_string()))).collect();
        let request = Request { method: route.method, path: "/", query: json!({}), body: json!({}) };
        Fault::draw(&route.faults, world.draw);
        route.latency.draw(world.draw);
        route.answer(world, events, names, &request, &Anybody(simulation)).0
    });
    let answers = answers.count();
    if let Some(files) = &world.files {
        let path = format!("{}a.pdf", files.under);
        let address = files.address(&path, "");
        files.place(&address.file);
        // Long files are only made when somebody fetches them.
        if files.size.1 < 1 << 20 {
            files.content(world.draw, &address.file);
        }
    }
    (messages.len(), answers)
}
