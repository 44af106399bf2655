//! What is said about a cluster as a whole: one line when it cannot be reached any more, one when it answers again. Each
//! of the clients of a [`super::Log`] meets the same trouble; a line from each would bury the news.

use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::error::RDKafkaErrorCode;

/// How a cluster is, as far as its clients tell.
#[derive(Debug)]
pub(super) struct Health {
    brokers: String,
    down: AtomicBool,
}

impl Health {
    pub(super) fn new(brokers: &str) -> Self {
        Health { brokers: brokers.to_owned(), down: AtomicBool::new(false) }
    }

    /// A client found the brokers gone, again and again.
    pub(super) fn lost(&self, code: RDKafkaErrorCode) {
        if !self.down.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                brokers = self.brokers,
                cause = %code,
                "Kafka cannot be reached: reading and writing wait, and go on by themselves; check that the brokers run \
                 and that this machine reaches their ports"
            );
        }
    }

    /// A broker did what it was asked for. Called for each record that is written: it costs one load.
    pub(super) fn answered(&self) {
        if self.down.load(Ordering::Relaxed) && self.down.swap(false, Ordering::Relaxed) {
            tracing::info!(brokers = self.brokers, "Kafka answers again");
        }
    }

    /// What is wrong, while the last that was heard is that the brokers are gone.
    pub(super) fn trouble(&self) -> Option<String> {
        self.down.load(Ordering::Relaxed).then(|| format!("Kafka at {} cannot be reached", self.brokers))
    }
}
