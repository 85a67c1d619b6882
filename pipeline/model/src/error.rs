//! One error type for all rooms; the kind says whose move it is.

use std::error::Error as StdError;
use std::fmt;

/// Result of every fallible call of the library crates.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whose move an error is, and what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The job's author: SQL or options are wrong. Refused at submit, never retried.
    Job,
    /// The producer: a record cannot be read or breaks the schema. Kept as a reject, counted, and the job goes on.
    Data,
    /// The environment: broker, store or registry. Backed off and retried within a budget.
    Unavailable,
    /// Another writer or a newer instance took over.
    Conflict,
    /// The operator: memory, disk or quota. The job fails with the number that would suffice.
    Resource,
    /// Us: an invariant broke. The job fails and keeps the evidence.
    Internal,
}

/// An error: what failed, where, why, and whether a retry can help.
///
/// Message form: *what failed* `:` *what was found* `,` *what was expected* `;` *what to try*; lower case, no full stop.
pub struct Error {
    kind: ErrorKind,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    retry: bool,
}

// === impl Error ===

impl Error {
    /// An error of `kind`; only [`ErrorKind::Unavailable`] is worth a retry unless said otherwise.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retry = kind == ErrorKind::Unavailable;
        Self { kind, message: message.into(), context: Vec::new(), source: None, retry }
    }

    /// The job's author has to change the SQL or an option.
    pub fn job(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Job, message)
    }

    /// The environment did not answer as it should.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// A limit was reached.
    pub fn resource(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Resource, message)
    }

    /// An invariant of our own broke.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Adds one fact, such as `("topic", "traffic.loops")`.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.context.push((key, value.to_string()));
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says that a retry cannot help (a missing topic, a refused login).
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.retry = false;
        self
    }

    /// Whose move it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message without context and source.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// True when trying again can help.
    pub fn is_retryable(&self) -> bool {
        self.retry
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for (at, (key, value)) in self.context.iter().enumerate() {
            write!(f, "{}{key}={value}", if at == 0 { " (" } else { ", " })?;
        }
        if !self.context.is_empty() {
            f.write_str(")")?;
        }
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
