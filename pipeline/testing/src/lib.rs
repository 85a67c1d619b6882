//! Dev-only: the differential harness. A seed makes a case; the case runs as a stream and as a batch; both must agree.
//!
//! ```text
//!   seed --> World (streams, table) --> records in partitions --> Arrival (interleaving, cuts) --> decode, gate, graph --+
//!        \-> Grammar (stream DDL, job SQL) --> compile ----------------------------------------/                        equal?
//!                                                     \--> batch twin over the admitted rows, shuffled ----------------+
//!                 the SELECT in SQLite's dialect --> SQLite over the admitted rows, where the dialects meet -----------+
//! ```
//!
//! It knows nothing of Kafka, files and clocks: it drives the pure crates by hand. Start with [`case::Case`] (what is
//! generated), then [`check::check`] (what has to hold) and [`foreign`] (the second oracle).
//!
//! Invariants: everything follows from the seed; production code never imports this crate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "dev-only: a panic is a failed test")]

pub mod arrival;
pub mod case;
pub mod check;
pub mod course;
pub mod expression;
pub mod foreign;
pub mod query;
pub mod records;
pub mod rows;
pub mod run;
pub mod sim;
pub mod world;
