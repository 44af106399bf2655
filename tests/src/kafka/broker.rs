//! A real Kafka broker for a test, which is gone when the test is, however it ended.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::needs;
use crate::program::kept;

/// Ports of a broker: clients, controller, clients with a password.
const PORTS: u16 = 3;
/// Below what systems give out by themselves, so that nobody takes a port between the look and the start.
const FIRST: u16 = 20_000;

/// A broker of its own.
pub struct Broker {
    port: u16,
}

impl Broker {
    /// Whether brokers can be started here; if not, what is missing.
    pub fn possible() -> Result<(), String> {
        needs::command(&mut script("prepare", FIRST)).map(drop)
    }

    /// Starts one. Tests that run side by side have different slots, below 10.
    pub fn start(slot: u16) -> Self {
        // Another run of the tests may go on beside this one.
        let begin = FIRST + (std::process::id() % 300) as u16 * 10 * PORTS + slot * PORTS;
        let free = |port: &u16| (*port..port + PORTS).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
        let port = (begin..32_000).step_by(usize::from(10 * PORTS)).find(free).expect("free ports");
        let broker = Broker { port };
        broker.again();
        broker
    }

    /// Where clients reach it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where clients with a password reach it.
    pub fn guarded(&self) -> String {
        format!("127.0.0.1:{}", self.port + 2)
    }

    /// Stops it. Topics and positions stay.
    pub fn stop(&self) {
        needs::command(&mut script("stop", self.port)).unwrap();
    }

    /// Starts it after it was stopped.
    pub fn again(&self) {
        needs::command(&mut script("start", self.port)).unwrap();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It goes with this process anyway.
        let _ = needs::command(&mut script("clean", self.port));
    }
}

fn script(verb: &str, port: u16) -> Command {
    let folder: PathBuf = kept("kafka");
    let mut command = Command::new("bash");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka.sh")).arg(verb).arg(folder);
    command.env("KAFKA_PORT", port.to_string()).env("KAFKA_SASL", "1");
    command.env("KAFKA_OWNER", std::process::id().to_string());
    command
}
