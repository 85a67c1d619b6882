//! What SQL can call, the same live and in batch: exact aggregates, null on error, window assignment.
//!
//! Both sessions register the same objects, so that a live answer and a batch answer agree bit for bit:
//!
//! - [`aggregates`]: `sum`, `avg`, `var*`, `stddev*`, independent of the order of their input (decision D9);
//! - [`null_on_error`]: an analyzer rule, to run after DataFusion's `TypeCoercion`: a division by zero, a failed cast
//!   or an overflow is NULL for that row, and is counted in [`ExpressionErrors`];
//! - [`WindowSpec`]: which windows an event time belongs to, and the UDFs that say so in a plan;
//! - [`order_sensitivity`]: which other aggregates may be used where live has to equal batch.
//!
//! It knows nothing of plans over streams, watermarks, state or SQL text. No I/O, no clock, no threads.
//! Start with [`window::WindowSpec`] or [`exact`].
//!
//! Invariants: the result of an exact aggregate is a function of the multiset of its input, whatever the order, the
//! split and the merge tree; an expression that was rewritten by [`null_on_error`] keeps its name and its type.

mod errors;
pub mod exact;
mod extremes;
pub mod on_error;
mod sensitivity;
pub mod window;

pub use errors::ExpressionErrors;
pub use exact::aggregates;
pub use on_error::{null_on_error, plain};
pub use sensitivity::{Sensitivity, order_sensitivity};
pub use window::{Grid, Overlap, Step, Window, WindowSpec, assign_windows, window_end, window_start};
