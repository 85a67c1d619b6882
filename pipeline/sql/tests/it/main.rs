//! What an analyst sees of the SQL checker: refusals with their places, and the shapes that are taken. Tests are data.
//!
//! `UPDATE=1 cargo test -p citystream-sql --test it` rewrites the expectations; then read each message as an analyst.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod accepted;
mod city;
mod codes;
mod fixture;
mod limits;
mod refused;
mod spelling;
