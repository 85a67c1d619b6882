//! What can go wrong while starting, serving or administering the broker.

use std::fmt;
use std::io;

use kafka_protocol::ResponseError;

/// A failure of the broker itself. Faults of a request are answered to the client as Kafka error codes instead.
#[derive(Debug)]
pub enum Error {
    /// A value in [`crate::BrokerConfig`] cannot work.
    Config {
        /// Field of the configuration.
        option: &'static str,
        /// What was found and what was expected.
        detail: String,
    },
    /// The loopback port cannot be opened.
    Listen {
        /// Port that was asked for; 0 means any free one.
        port: u16,
        /// Why the system refused.
        source: io::Error,
    },
    /// A topic could not be created.
    Topic {
        /// Name as it was given.
        name: String,
        /// Kafka's word for the reason.
        source: ResponseError,
    },
    /// A client connection broke.
    Connection(io::Error),
    /// A client sent bytes that are not a request this broker speaks.
    Protocol(String),
}

/// Result with the broker's own [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

// === impl Error ===

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config { option, detail } => write!(f, "broker option {option}: {detail}"),
            Self::Listen { port, source } => {
                write!(f, "listen on 127.0.0.1:{port}: {source}; try port 0 for a free one")
            }
            Self::Topic { name, source } => write!(f, "create topic {name}: {source}"),
            Self::Connection(source) => write!(f, "client connection: {source}"),
            Self::Protocol(detail) => write!(f, "client request: {detail}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { source, .. } | Self::Connection(source) => Some(source),
            Self::Topic { source, .. } => Some(source),
            Self::Config { .. } | Self::Protocol(_) => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        Self::Connection(source)
    }
}
