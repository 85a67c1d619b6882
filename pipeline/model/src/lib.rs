//! The vocabulary that every room of citystream shares: event time and watermarks, source positions, stream
//! declarations, job specifications and errors.
//!
//! It knows nothing of async, SQL text, Kafka clients or the wall clock: a [`time::Clock`] is always an argument.
//! Start with [`stream::Stream`] (what a producer promises) and [`job::JobSpec`] (what an analyst asked for).
//!
//! Invariants: a [`time::Watermark`] never goes back on one edge (I1); each word here has one meaning.

pub mod catalog;
pub mod diagnostic;
pub mod duration;
pub mod error;
pub mod job;
pub mod nearest;
pub mod position;
pub mod staged;
pub mod storage;
pub mod stream;
pub mod table;
pub mod time;

pub use diagnostic::Diagnostic;
pub use error::{Error, ErrorKind, Result};
pub use staged::StagedFile;
