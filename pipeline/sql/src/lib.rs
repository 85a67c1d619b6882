//! SQL text to a checked streaming plan, and its batch twin.
//!
//! ```text
//!   schemas/*.sql --> Catalog
//!   job.sql --> statements --> walk (refusals, wildcards) --> plan --> total order --+--> optimize, lower --> StreamPlan
//!                                                                                    +--> batch twin (the oracle)
//! ```
//!
//! It knows nothing of Kafka, files or threads: connectors answer through [`citystream_model::catalog::Connectors`], and
//! the rows of reference tables are arguments. Start with [`compile`].
//!
//! Invariants: nothing that was parsed is silently dropped; whatever cannot stream is refused with code, position,
//! reason and remedy; live plan and batch twin come from one logical plan and one session.

pub mod batch;
pub mod catalog;
mod claims;
mod ddl;
mod depends;
mod emit;
mod explain;
mod finding;
mod jobs;
mod options;
mod plan;
mod session;
mod spelling;
mod text;
mod walk;

pub use catalog::Catalog;
pub use ddl::show::stream_ddl;
pub use explain::explain;
pub use jobs::{CheckedJob, Tables, compile};
pub use spelling::{Note, notes};
pub use text::SqlFile;
