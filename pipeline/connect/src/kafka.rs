//! Kafka as source and sink, through librdkafka.
//!
//! Source: every committed record once and in order from a position that the caller keeps; the consumer group is
//! never used for offsets. Replay from a position gives the same records (exactly-once is the caller's, who stores
//! positions with its results). [`KafkaSink`]: at least once, idempotent within one instance, acknowledged by all replicas;
//! the headers `citystream-job` and `citystream-id` let a reader drop what a crash has sent twice. [`TransactionalSink`]:
//! exactly once for readers of committed records, with the checkpoints of its job.
//!
//! | option | meaning |
//! |---|---|
//! | `kafka.<librdkafka name>` | passed to the client, in a stream for its source, in `[kafka]` for all clients |
//! | secrets (`sasl.password`, `ssl.key.pem`, ...) | `${ENV_NAME}` only |
//! | set by citystream, refused in SQL | `bootstrap.servers`, `group.id`, `isolation.level`, ...: see [`check_option`] |
//!
//! Record times are milliseconds in Kafka and microseconds here; a record without one has 0.

mod admin;
mod batch;
mod config;
mod fault;
mod gather;
mod outbox;
mod producer;
mod sink;
mod source;
mod start;
#[cfg(test)]
mod tests;
mod transaction;

pub use admin::{add_partitions, delete_topic, ensure_topic, partition_count, topic_exists};
pub use config::{KafkaClient, Secret, check_option, check_topic, resolve_secrets};
pub use outbox::{OutboxConfig, TransactionalSink};
pub use producer::KafkaProducer;
pub use sink::KafkaSink;
pub use source::KafkaSource;
