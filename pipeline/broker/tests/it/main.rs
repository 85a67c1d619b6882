//! The broker as rdkafka sees it. With `CITYSTREAM_TEST_BROKERS` set the same suite runs against Apache Kafka; only
//! `embedded` always starts brokers of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod cluster;
mod embedded;
mod groups;
mod producers;
mod records;
mod times;
mod topics;
mod transactions;
