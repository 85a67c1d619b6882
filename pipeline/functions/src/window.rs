//! Which windows an event time belongs to: grids of boundaries, window specifications, and the UDFs over them.
//!
//! ```text
//! tumble 15m           |.......|.......|.......|        one window per row
//! hop 5m/15m           |.......................|        size / slide windows per row
//!                              |.......................|
//! cumulate 5m/15m      |.......|                        one start, growing ends
//!                      |...............|
//!                      |.......................|
//! ```
//!
//! Windows are half open: `start <= at < end`. Starts are aligned to 1970-01-01T00:00:00Z, or in a zone to local
//! midnight.

mod grid;
mod overlap;
mod spec;
#[cfg(test)]
mod tests;
mod udf;

pub use grid::{Grid, Step};
pub use overlap::{Overlap, Window};
pub use spec::{MAX_WINDOWS, WindowSpec};
pub use udf::{assign_windows, window_end, window_start};
