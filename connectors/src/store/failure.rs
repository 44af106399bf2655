//! What an error of an object store means.

use std::error::Error as _;

use object_store::Error as StoreError;
use object_store::client::HttpError;

use crate::redact::brief;
use crate::{Category, Error};

use Category::{Auth, Permanent, Transient};

/// Codes of services and statuses in texts, in lower case; the first that is found decides. Codes stand before statuses,
/// because they say more: a 403 with `AuthenticationFailed` is about credentials.
const MARKERS: &[(&str, Category)] = &[
    ("aadsts50058", Auth),
    ("aadsts50076", Auth),
    ("aadsts50079", Auth),
    ("aadsts70008", Auth),
    ("aadsts90002", Auth),
    ("aadsts700016", Auth),
    ("aadsts700082", Auth),
    ("aadsts7000215", Auth),
    ("aadsts7000222", Auth),
    ("aadsts50196", Transient),
    ("aadsts90015", Transient),
    ("aadsts50001", Transient),
    ("aadsts90019", Transient),
    ("aadsts90033", Transient),
    ("authenticationfailed", Auth),
    ("insufficientaccountpermissions", Auth),
    ("expiredtoken", Auth),
    ("token expired", Auth),
    ("invalidaccesskeyid", Auth),
    ("signaturedoesnotmatch", Auth),
    ("accountisdisabled", Permanent),
    ("containernotfound", Permanent),
    ("blobnotfound", Permanent),
    ("nosuchbucket", Permanent),
    ("operationtimedout", Transient),
    ("serverbusy", Transient),
    ("serviceunavailable", Transient),
    ("internalerror", Transient),
    ("slowdown", Transient),
    ("status code: 401", Auth),
    ("status code: 403", Permanent),
    ("status code: 404", Permanent),
    ("status code: 408", Transient),
    ("status code: 409", Transient),
    ("status code: 412", Transient),
    ("status code: 429", Transient),
    ("status code: 4", Permanent),
    ("status code: 5", Transient),
    ("unauthorized", Auth),
    ("timed out", Transient),
    ("timeout", Transient),
    ("connection", Transient),
    ("dns error", Transient),
    ("network", Transient),
];

/// The error that `error` stands for; `what` says what was tried, and where.
pub(super) fn failure(what: &str, error: &StoreError) -> Error {
    let text = error.to_string();
    let lower = text.to_ascii_lowercase();
    let category = by_kind(error, &lower);
    let mut failure = Error::new(category, format!("{what}: {}", brief(&text)));
    failure.status = status(&lower);
    match category {
        Auth => failure.hint("check the credentials among the store's options"),
        Permanent => failure.hint("check the url and the rights of these credentials"),
        _ => failure,
    }
}

fn by_kind(error: &StoreError, lower: &str) -> Category {
    let marked = || MARKERS.iter().find(|(marker, _)| lower.contains(marker)).map(|(_, category)| *category);
    match error {
        StoreError::InvalidPath { .. }
        | StoreError::NotSupported { .. }
        | StoreError::NotImplemented { .. }
        | StoreError::UnknownConfigurationKey { .. } => Permanent,
        // Somebody else was faster; the next try sees what they wrote.
        StoreError::AlreadyExists { .. } | StoreError::Precondition { .. } | StoreError::NotModified { .. } => {
            Transient
        }
        StoreError::JoinError { .. } => Transient,
        StoreError::Unauthenticated { .. } => Auth,
        StoreError::NotFound { .. } | StoreError::PermissionDenied { .. } => {
            marked().filter(|category| *category == Auth).unwrap_or(Permanent)
        }
        // No answer at all: nothing in the text is a status.
        _ if is_unanswered(error) => Transient,
        _ => marked().unwrap_or(Category::Unknown),
    }
}

fn is_unanswered(error: &StoreError) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if error.is::<HttpError>() {
            return true;
        }
        source = error.source();
    }
    false
}

fn status(lower: &str) -> Option<u16> {
    let (_, rest) = lower.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> StoreError {
        StoreError::Generic { store: "MicrosoftAzure", source: text.to_owned().into() }
    }

    fn at(kind: fn(String, Box<dyn std::error::Error + Send + Sync>) -> StoreError, text: &str) -> StoreError {
        kind("a".into(), text.to_owned().into())
    }

    #[test]
    fn every_failure_has_its_category() {
        let non_2xx = |status: &str| {
            generic(&format!(
                "Error performing PUT https://h/c/40404.jpg in 1s - Server returned non-2xx status code: {status}: "
            ))
        };
        let cases = [
            (non_2xx("400 Bad Request"), Permanent),
            (non_2xx("401 Unauthorized"), Auth),
            (non_2xx("403 Forbidden: AuthenticationFailed"), Auth),
            (non_2xx("409 Conflict"), Transient),
            (non_2xx("429 Too Many Requests"), Transient),
            (non_2xx("500 Internal Server Error"), Transient),
            (non_2xx("503 Service Unavailable: ServerBusy"), Transient),
            (generic("AADSTS7000215: Invalid client secret provided"), Auth),
            (generic("AADSTS90033: A transient error has occurred"), Transient),
            (generic("operation timed out"), Transient),
            (generic("connection reset by peer"), Transient),
            (generic("a moon in the wrong phase at /40404"), Category::Unknown),
            (at(|path, source| StoreError::NotFound { path, source }, "BlobNotFound"), Permanent),
            (at(|path, source| StoreError::PermissionDenied { path, source }, "status code: 403"), Permanent),
            (at(|path, source| StoreError::PermissionDenied { path, source }, "AuthenticationFailed"), Auth),
            (at(|path, source| StoreError::Unauthenticated { path, source }, "status code: 401"), Auth),
            (at(|path, source| StoreError::Precondition { path, source }, "status code: 412"), Transient),
        ];
        for (error, category) in cases {
            assert_eq!(failure("cannot write x", &error).category, category, "{error}");
        }
    }

    #[test]
    fn a_failure_says_what_and_where_and_hides_secrets() {
        let error =
            generic("Error performing PUT https://h/c/a?sig=abc - Server returned non-2xx status code: 503 X: ");
        let failure = failure("cannot write az://c/a", &error);
        assert!(failure.message.starts_with("cannot write az://c/a: "), "{failure}");
        assert!(!failure.message.contains("abc"), "{failure}");
        assert_eq!(failure.status, Some(503));
    }
}
