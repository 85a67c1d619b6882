//! The binary as a user meets it: commands, files, topics, exit codes and what is said when something is wrong.
//!
//! A broker is embedded in the test process unless `CITYSTREAM_TEST_BROKERS` names one; topics are named anew by each
//! test, so that both serve. Start with [`city`], the folders and commands of one test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod bad_input;
mod batch;
mod broker;
mod cases;
mod caught_up;
mod check;
mod checkpoints;
mod city;
mod demo;
mod early;
mod failing;
mod kafka_out;
mod killed;
mod live;
mod metrics;
mod outage;
mod places;
mod process;
mod produce;
mod proxy;
mod settings;
mod several;
mod shapes;
mod tables;
mod world;
