//! Tables at rest as Arrow batches: reference tables, read once at the start of a job and pinned for its life.
//!
//! It knows nothing of Kafka, jobs or SQL text. Start with [`reference::load`].

pub mod reference;

pub use reference::{Loaded, load};
