//! Where bytes and tables enter and leave: Kafka, Parquet files, memory.
//!
//! It knows nothing of SQL, DataFusion, jobs' plans or the process environment: options arrive as text and are
//! checked here, "now" and the environment are arguments. Start with [`source::Source`] and [`sink::Sink`], the two
//! traits and their laws; [`kafka`], [`files`] and [`memory`] are the connectors.
//!
//! Every call is synchronous and comes from the one thread of a job; what has to be asynchronous runs on a
//! [`tokio::runtime::Handle`] given at construction. Never call a connector from inside the async runtime.
//!
//! Invariants: a source never skips or resets silently; buffers are bounded (I5); a file that is visible is complete.

pub mod files;
pub mod kafka;
pub mod memory;
pub mod sink;
pub mod source;

pub use files::{ParquetConfig, ParquetSink};
pub use kafka::{KafkaClient, KafkaProducer, KafkaSink, KafkaSource};
pub use memory::{MemorySink, MemorySource};
pub use sink::{Published, Publisher, Sink, SinkRows};
pub use source::{Source, SourceEvent};
