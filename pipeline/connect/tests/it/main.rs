//! Connectors against real services: Kafka brokers from `CITYSTREAM_TEST_BROKERS`, else the embedded one.
//!
//! Start Apache Kafka for them, for instance, and set the variable to its address.

mod conformance;
mod faults;
mod kafka;
mod setup;
mod sink;
mod transactions;
