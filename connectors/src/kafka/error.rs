//! What an error of librdkafka means for the work that met it.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::{Category, Error};

/// `what` failed because of `error`.
pub(super) fn of(what: &str, error: &KafkaError) -> Error {
    match error.rdkafka_error_code() {
        Some(code) => coded(what, code),
        None => {
            // Errors without a code come from our side: settings, names with zero bytes, a client that cannot be made.
            let category = match error {
                KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) | KafkaError::Nul(_) => {
                    Category::Permanent
                }
                _ => Category::Transient,
            };
            Error::new(category, format!("{what} failed: {error}"))
        }
    }
}

/// `what` failed with `code`.
pub(super) fn coded(what: &str, code: Code) -> Error {
    let error = Error::new(category(code), format!("{what} failed: {code}"));
    match hint(code) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Whether `code` says that a broker could not be reached, rather than that it refused something.
pub(super) fn is_connection(code: Code) -> bool {
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::SSL
            | Code::NetworkException
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::BrokerNotAvailable
    )
}

pub(super) fn category(code: Code) -> Category {
    match code {
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => Category::Auth,
        Code::MessageSizeTooLarge
        | Code::MessageBatchTooLarge
        | Code::InvalidMessageSize
        | Code::InvalidTopic
        | Code::UnknownTopic
        | Code::UnknownPartition
        | Code::UnknownTopicOrPartition
        | Code::InvalidPartitions
        | Code::InvalidReplicationFactor
        | Code::InvalidConfig
        | Code::InvalidGroupId
        | Code::InvalidSessionTimeout
        | Code::InvalidArgument
        | Code::PolicyViolation
        | Code::UnsupportedVersion
        | Code::UnsupportedFeature => Category::Permanent,
        _ => Category::Transient,
    }
}

fn hint(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::Authentication | Code::SaslAuthenticationFailed => "check mechanism, user name and password",
        Code::UnsupportedSASLMechanism => "check the SASL mechanism against what the brokers offer",
        Code::TopicAuthorizationFailed => "ask for READ, WRITE and DESCRIBE on the topic",
        Code::GroupAuthorizationFailed => "ask for READ on the group",
        Code::ClusterAuthorizationFailed => "ask for IDEMPOTENT_WRITE and, to create topics, CREATE on the cluster",
        Code::Resolve => "check the spelling of the host names and the DNS of this machine",
        Code::SSL => "check the protocol and the certificate authorities",
        Code::UnknownTopic | Code::UnknownTopicOrPartition => "create the topic",
        Code::InvalidReplicationFactor => "there are fewer brokers than replicas asked for",
        code if is_connection(code) => "check that the brokers run and that this machine reaches their ports",
        _ => return None,
    })
}
