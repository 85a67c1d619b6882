//! The streaming algebra over Arrow batches: the admission gate, panes, sessions, closed windows and the dataflow that joins them.
//!
//! It knows no clock, no thread, no channel and no connector (I6): a batch or a watermark goes in, batches come out.
//! Start with [`operator::Operator`], then [`dataflow::Dataflow`], which runs a [`plan::StreamPlan`] that `sql` made.
//!
//! One watermark serves a whole job. It says: every row that follows has an event time at or above it, so every window
//! that such a row can fall into ends above it. Windows over windows keep that promise as they are aligned.

pub mod admit;
mod aggregates;
pub mod closed_window;
mod closing;
pub mod dataflow;
pub mod fragment;
mod graph;
mod group_keys;
mod keys;
pub mod memory;
pub mod operator;
mod pane;
pub mod plan;
mod revision;
pub mod session;
mod session_pane;
pub mod trial;
