//! The tables of the readers, one file a step.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod clients;
mod redirects;
mod tokens;
