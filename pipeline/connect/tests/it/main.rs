//! Connectors against real services: Kafka brokers from `CITYSTREAM_TEST_BROKERS`, else the embedded one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod conformance;
mod exactly_once;
mod faults;
mod kafka;
mod setup;
mod sink;
mod transactions;
