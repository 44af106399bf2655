//! What a failure of the table's store or log means: its category, in words that name the table and never a secret.

use std::error::Error as _;

use deltalake::DeltaTableError;
use deltalake::ObjectStoreError;
use deltalake::kernel::transaction::TransactionError;

use crate::{Category, Error};

/// Where something went wrong, for messages.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The table's name in the topology.
    pub table: String,
    /// Its address, without user, password and query.
    pub url: String,
}

impl Place {
    /// A failure of `category` while `doing`.
    pub fn error(&self, category: Category, doing: &str, what: impl std::fmt::Display) -> Error {
        Error::new(
            category,
            format!("table {}: {doing} at {}: {}", self.table, self.url, without_queries(&what.to_string())),
        )
    }

    /// A failure that will not pass.
    pub fn permanent(&self, doing: &str, what: impl std::fmt::Display) -> Error {
        self.error(Category::Permanent, doing, what)
    }

    /// A failure of delta-rs.
    pub fn failed(&self, doing: &str, error: impl Into<DeltaTableError>) -> Error {
        let error = error.into();
        let category = classify(&error);
        let out = self.error(category, doing, &error);
        match category {
            Category::Auth => out.hint("check the connection's credentials and their rights on this path"),
            Category::Transient => out.hint("it is tried again; check the store and the network if it goes on"),
            _ => out,
        }
    }
}

/// The address of a table as it may be shown: without user, password, query and fragment.
pub(super) fn shown(url: &url::Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let workspace = (url.scheme() == "abfss" || url.scheme() == "abfs").then(|| url.username().to_owned());
    let _ = url.set_password(None);
    if workspace.is_none() {
        let _ = url.set_username("");
    }
    url.to_string()
}

/// `text` with the query cut off every address in it: queries carry signatures and tokens.
fn without_queries(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(scheme) = rest.find("://") {
        let (head, tail) = rest.split_at(scheme + 3);
        out.push_str(head);
        let end = tail.find(|c: char| c.is_whitespace() || "\"'`)>,".contains(c)).unwrap_or(tail.len());
        let (address, after) = tail.split_at(end);
        match address.split_once('?') {
            Some((before, _)) => {
                out.push_str(before);
                out.push_str("?[REDACTED]");
            }
            None => out.push_str(address),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn classify(error: &DeltaTableError) -> Category {
    match error {
        DeltaTableError::Transaction { source } => match source {
            TransactionError::UnsupportedTableFeatures(_)
            | TransactionError::TableFeaturesRequired(_)
            | TransactionError::DeltaTableAppendOnly
            | TransactionError::SerializeLogJson { .. } => Category::Permanent,
            TransactionError::ObjectStore { source } => of_store(source),
            _ => Category::Transient,
        },
        DeltaTableError::VersionAlreadyExists(_) | DeltaTableError::VersionMismatch(..) => Category::Transient,
        DeltaTableError::ObjectStore { source } => of_store(source),
        DeltaTableError::Io { source } => of_io(source),
        DeltaTableError::SchemaMismatch { .. }
        | DeltaTableError::InvalidData { .. }
        | DeltaTableError::InvalidTableLocation(_)
        | DeltaTableError::MissingFeature { .. }
        | DeltaTableError::MetadataError(_)
        | DeltaTableError::NoSchema
        | DeltaTableError::NotATable(_)
        | DeltaTableError::InvalidJsonLog { .. }
        | DeltaTableError::InvalidStatsJson { .. }
        | DeltaTableError::UnsupportedColumnMapping { .. } => Category::Permanent,
        other => of_causes(other),
    }
}

/// The category of the first cause that says something about the store.
fn of_causes(error: &DeltaTableError) -> Category {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(store) = inner.downcast_ref::<ObjectStoreError>() {
            return of_store(store);
        }
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return of_io(io);
        }
        if let Some(delta) = inner.downcast_ref::<DeltaTableError>() {
            return classify(delta);
        }
        cause = inner.source();
    }
    Category::Unknown
}

fn of_io(error: &std::io::Error) -> Category {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => Category::Auth,
        std::io::ErrorKind::InvalidInput | std::io::ErrorKind::NotADirectory => Category::Permanent,
        _ => Category::Transient,
    }
}

fn of_store(error: &ObjectStoreError) -> Category {
    match error {
        ObjectStoreError::PermissionDenied { .. } | ObjectStoreError::Unauthenticated { .. } => Category::Auth,
        ObjectStoreError::NotFound { .. }
        | ObjectStoreError::InvalidPath { .. }
        | ObjectStoreError::NotSupported { .. }
        | ObjectStoreError::NotImplemented { .. }
        | ObjectStoreError::UnknownConfigurationKey { .. } => Category::Permanent,
        _ => Category::Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        for (raw, expected) in [
            ("https://user:secret@host/path?sig=abc#x", "https://host/path"),
            (
                "abfss://workspace@onelake.dfs.fabric.microsoft.com/a/b",
                "abfss://workspace@onelake.dfs.fabric.microsoft.com/a/b",
            ),
            ("memory:///t", "memory:///t"),
        ] {
            assert_eq!(shown(&url::Url::parse(raw).expect("a url")), expected);
        }
        let text = without_queries("GET https://h/p?sig=s3cret failed (http://x/y?token=t) at 12:30");
        assert_eq!(text, "GET https://h/p?[REDACTED] failed (http://x/y?[REDACTED]) at 12:30");
    }

    #[test]
    fn a_store_error_is_found_however_deep_it_sits() {
        let store = |source| ObjectStoreError::Generic { store: "test", source };
        let denied = ObjectStoreError::PermissionDenied { path: "p".into(), source: "403".into() };
        let nested = DeltaTableError::GenericError { source: Box::new(denied) };
        assert_eq!(classify(&nested), Category::Auth);
        assert_eq!(classify(&DeltaTableError::ObjectStore { source: store("503".into()) }), Category::Transient);
        assert_eq!(classify(&DeltaTableError::VersionAlreadyExists(3)), Category::Transient);
        assert_eq!(classify(&DeltaTableError::NoSchema), Category::Permanent);
    }
}
