//! The streaming algebra over Arrow batches: the admission gate, sessions, closed windows and the graph that joins them.
//!
//! It knows no clock, no thread, no channel and no connector (I6): a batch or a watermark goes in, batches come out.
//! Start with [`operator::Operator`], then [`graph::Graph`], which runs a [`plan::StreamPlan`] that `sql` made.
//!
//! One watermark serves a whole job. It says: every row that follows has an event time at or above it, so every window
//! that such a row can fall into ends above it. Windows over windows keep that promise as they are aligned.

pub mod admit;
mod aggregates;
pub mod closed_window;
mod closing;
pub mod fragment;
pub mod graph;
mod keys;
pub mod operator;
mod pane;
pub mod plan;
pub mod session;
pub mod trial;
