//! Everything that is tested from outside of the crate, in one program: each one more would link the client of the
//! API server once more. `cargo test -p k8s --test all -- webhook` runs one file's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod support;

mod annotations;
mod controller;
mod crds;
mod documentation;
mod gateway_conformance;
mod gateway_rows;
mod gateways;
mod offline;
mod pod;
mod probes;
mod reports;
mod reviews;
mod routes;
mod schema;
mod warnings;
mod webhook;
