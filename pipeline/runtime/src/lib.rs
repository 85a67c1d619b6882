//! Runs jobs: each in a loop on a thread of its own, which reads, writes, and has shards decode, admit and compute.
//!
//! ```text
//!   source --> decode --> gate --> operators --> sinks
//!                |          |
//!             rejects    late table
//! ```
//!
//! It knows nothing of SQL text, HTTP or Kubernetes. Start with [`job::Job`], then
//! [`checkpoint`] and [`supervise`].
//!
//! Invariants: every buffer is charged to the job's limit (I5); a job that fails stops neither the process nor the
//! other jobs; what a job has read is admitted, late or rejected, and counted as one of them.

pub mod align;
pub mod checkpoint;
pub mod input;
pub mod job;
pub mod key_claim;
pub mod metrics;
pub mod output;
pub mod replay;
pub mod start;
pub mod status;
pub mod stop;
pub mod supervise;
pub mod threads;
