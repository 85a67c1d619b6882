//! How a command ends: findings and errors on stderr, and the exit code that scripts rely on.

use citystream_model::{Diagnostic, Error, ErrorKind};
use std::process::ExitCode;

/// Result of a command.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// SQL or declarations are wrong; nothing was started.
    Findings(Vec<Diagnostic>),
    /// Findings that were printed in another form already.
    Reported(ErrorKind),
    /// Something failed.
    Error(Error),
}

// === impl Failure ===

impl Failure {
    /// Prints what is to be said about it.
    pub(crate) fn print(&self) {
        match self {
            Self::Findings(findings) => findings.iter().for_each(|finding| eprintln!("{finding}")),
            Self::Reported(_) => {}
            Self::Error(error) => eprintln!("error: {error}"),
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Findings(_) => ErrorKind::Job,
            Self::Reported(kind) => *kind,
            Self::Error(error) => error.kind(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Vec<Diagnostic>> for Failure {
    fn from(findings: Vec<Diagnostic>) -> Self {
        Self::Findings(findings)
    }
}

/// The exit code of a command.
pub(crate) fn code(outcome: &Outcome) -> ExitCode {
    ExitCode::from(outcome.as_ref().err().map_or(0, |failure| number(failure.kind())))
}

/// The exit code of a kind of error.
pub(crate) fn number(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Job | ErrorKind::Data => 1,
        ErrorKind::Unavailable | ErrorKind::Resource => 2,
        ErrorKind::Internal => 3,
        ErrorKind::Conflict => 4,
    }
}
