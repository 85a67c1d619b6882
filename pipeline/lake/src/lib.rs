//! Tables at rest: reference tables as Arrow batches, read once at the start of a job and pinned for its life, and the Delta
//! tables that jobs write.
//!
//! It knows nothing of Kafka, jobs' plans or SQL text. Start with [`reference::load`] and [`delta`].

pub mod delta;
pub mod reference;

pub use reference::{Loaded, load};
