//! What librdkafka tells its clients: log lines go to tracing, errors are kept for whoever asks what is wrong.

use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;

/// The context of clients that belong to no group.
#[derive(Debug, Default)]
pub(super) struct Context {
    troubles: Mutex<Troubles>,
}

/// What went wrong so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Troubles {
    /// The error that explains most: refused credentials before TLS, names that do not resolve, and lost connections.
    pub(super) cause: Option<(RDKafkaErrorCode, String)>,
    /// Whether no broker could be reached at all.
    pub(super) all_down: bool,
}

impl Context {
    /// What went wrong so far.
    pub(super) fn troubles(&self) -> Troubles {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Troubles {
    fn add(&mut self, code: RDKafkaErrorCode, reason: &str) {
        let rank = |code: RDKafkaErrorCode| match code {
            RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => 4,
            RDKafkaErrorCode::SSL => 3,
            RDKafkaErrorCode::Resolve => 2,
            RDKafkaErrorCode::AllBrokersDown => 0,
            _ => 1,
        };
        self.all_down |= code == RDKafkaErrorCode::AllBrokersDown;
        if self.cause.as_ref().is_none_or(|(before, _)| rank(*before) <= rank(code)) {
            self.cause = Some((code, reason.to_string()));
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn stats(&self, _: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "kafka", %error, reason, "librdkafka reports an error");
        if let Some(code) = error.rdkafka_error_code() {
            self.troubles.lock().unwrap_or_else(PoisonError::into_inner).add(code, reason);
        }
    }
}

impl ConsumerContext for Context {}

/// A log line of librdkafka. Its warnings are about connections that it mends by itself, and every client repeats them; what
/// matters reaches us as an error, or as the health of the cluster.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, line: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "kafka", facility, "{line}");
        }
        RDKafkaLogLevel::Debug => tracing::trace!(target: "kafka", facility, "{line}"),
        _ => tracing::debug!(target: "kafka", facility, "{line}"),
    }
}
