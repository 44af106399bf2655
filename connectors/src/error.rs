//! What a connector says when something went wrong: a category that decides what happens next, a message that says what
//! and where, and a hint that says what to do.

use std::fmt;

/// The result of everything that reaches outside.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a failure means for the work that met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// May pass later: time-outs, connection errors, 429, 5xx.
    Transient,
    /// Credentials were refused; refreshing them may help.
    Auth,
    /// Will not pass however often it is tried.
    Permanent,
    /// A circuit breaker rejected the call before it was made.
    CircuitOpen,
    /// Nobody knows; treated like [`Category::Transient`].
    Unknown,
}

impl Category {
    /// All of them, in the order of their numbers.
    pub const ALL: [Category; 5] =
        [Category::Transient, Category::Auth, Category::Permanent, Category::CircuitOpen, Category::Unknown];

    /// Whether trying again can help.
    pub fn is_retryable(self) -> bool {
        self != Category::Permanent
    }

    /// The spelling used in headers, tables, metrics and YAML.
    pub const fn as_str(self) -> &'static str {
        match self {
            Category::Transient => "transient",
            Category::Auth => "auth",
            Category::Permanent => "permanent",
            Category::CircuitOpen => "circuit_open",
            Category::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure at the edge of the process. The message never holds a secret.
#[derive(Clone, Debug)]
pub struct Error {
    /// What it means for the work that met it.
    pub category: Category,
    /// What happened, and where (address, topic, table, path).
    pub message: String,
    /// What to do about it, for a person.
    pub hint: Option<String>,
    /// How long the other side asked us to wait (`Retry-After`).
    pub retry_after: Option<std::time::Duration>,
    /// The HTTP status of the answer, where there was one.
    pub status: Option<u16>,
}

impl Error {
    /// A failure of `category`.
    pub fn new(category: Category, message: impl Into<String>) -> Self {
        Error { category, message: message.into(), hint: None, retry_after: None, status: None }
    }

    /// A failure that may pass later.
    pub fn transient(message: impl Into<String>) -> Self {
        Error::new(Category::Transient, message)
    }

    /// A failure that will not pass.
    pub fn permanent(message: impl Into<String>) -> Self {
        Error::new(Category::Permanent, message)
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
