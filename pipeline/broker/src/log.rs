//! A partition's log: record batches as they were received, and who wrote them.
//!
//! ```text
//!  log start        first open transaction = last stable offset      high watermark
//!     |  batch  batch  batch | T1 batch   batch   T1 batch   commit T1 |
//!     0                      40                                        57
//! ```

pub(crate) mod batch;
mod lookup;
pub(crate) mod partition;
mod producers;
#[cfg(test)]
mod tests;
