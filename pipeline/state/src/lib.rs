//! What operators remember, and how it survives the process.
//!
//! ```text
//!   <checkpoint-dir>/<job>/
//!     job.json                               whose folder it is
//!     ckpt/<epoch>-<writer>.seg              runs of one checkpoint, one behind the other
//!     outbox/<topic>/...                     messages of epochs, until they are published
//!     manifest/<epoch>.json                  what epoch <epoch> is: positions, runs, files to publish
//! ```
//!
//! An epoch is decided by the one PUT that creates its manifest and fails if there is one. All other objects mean nothing
//! until a manifest names them. Start with [`manifest::Manifest`], then [`commit`], the protocol as pure functions, then
//! [`store::CheckpointStore`], which does what they decide.
//!
//! It knows nothing of what operators mean: a run is rows, an operator is a number.

pub mod commit;
mod damage;
pub mod manifest;
pub mod run;
pub mod segment;
pub mod store;

pub use damage::is_damage;
pub use manifest::Manifest;
pub use run::Run;
pub use store::CheckpointStore;
