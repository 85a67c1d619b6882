//! What speed is measured on: the same bytes for every engine, the right answer to compare with, and the clock.
//!
//! ```text
//!  workload (seed) --+--> generate --> fill --> broker, core 1 --> citystream run, core 0 --> Parquet --> digest --+
//!                    +--> oracle: plain hash maps -----------------------------------------------------> digest --= equal?
//!                    +--> bare: our decoder and a hash map in one loop, no Kafka ----------------------> digest --+
//! ```
//!
//! It knows nothing of SQL or DataFusion, and of the engine only what its command line, its tables, its metrics page
//! and `/proc` show: any binary can be measured. Start with [`workload::Workload`], then [`measure`].
//!
//! Invariants: a workload is its parameters, the same on every machine; a number is printed only when all rows of the
//! output were right.

pub mod arrivals;
pub mod bare;
pub mod broker;
pub mod digest;
pub mod engine;
pub mod fill;
pub mod latency;
pub mod measure;
pub mod oracle;
pub mod output;
pub mod overhead;
pub mod process;
pub mod profile;
pub mod record;
pub mod recovery;
pub mod row;
pub mod sensors;
pub mod stages;
pub mod table;
pub mod workload;
