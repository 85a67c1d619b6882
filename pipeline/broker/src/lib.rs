//! An embedded development Kafka broker: one node, in memory, loopback only. For the demo and for tests.
//!
//! Kafka clients speak to it as to Apache Kafka: topics, records in any compression, groups, idempotent producers,
//! transactions. Where it differs from Apache Kafka, Apache Kafka is right.
//!
//! It does *not* know of streams, SQL or jobs, keeps nothing across a restart, has no authentication, and never
//! creates a topic that nobody asked for.
//!
//! Start reading in `server` (connections), then `api` (one file per family of requests), then `store` and `log`.
//!
//! ```text
//!  socket --> server --> wire --> api --+--> store --> log     records
//!             frame      bytes    one   +--> transactions      who may write, markers
//!                                 call  +--> groups            who reads what, offsets
//! ```
//!
//! Invariants:
//! - a batch is stored as it was received, but for base offset and leader epoch;
//! - stored records never take more than `memory_max_bytes`; what had to go is counted ([`Broker::evicted`]) and
//!   logged, and the log start offset tells readers;
//! - the state's lock is never held across a wait.
//!
//! ```no_run
//! # async fn demo() -> Result<(), citystream_broker::Error> {
//! use citystream_broker::{Broker, BrokerConfig};
//! let broker = Broker::start(BrokerConfig::default()).await?;
//! broker.create_topic("traffic_flow", 4)?;
//! println!("bootstrap.servers={}", broker.bootstrap());
//! broker.shutdown().await;
//! # Ok(()) }
//! ```

mod api;
mod clock;
mod config;
mod error;
mod groups;
mod log;
mod server;
mod state;
mod store;
mod transactions;
mod wire;

pub use config::BrokerConfig;
pub use error::{Error, Result};
pub use server::Broker;
pub use store::Evicted;
