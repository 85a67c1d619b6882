//! Checks of the whole: random jobs against their batch twins, windows by hand, regressions, tidiness.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod differential;
mod edges;
mod ids;
mod oracle;
mod regressions;
mod scenario;
mod simulation;
mod state;
mod tidy;
mod windows;
