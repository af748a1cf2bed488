//! Decisions in a real Redis, which the tests start, stop, kill and start again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod access;
mod cluster;
mod decisions;
mod server;
mod trouble;
