//! The standards' rules from outside of the crate, one file a subject. One program: helpers are shared.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authorities;
mod ca;
mod jwk;
mod jwt;
mod proven;
mod revocation;
mod signers;
mod tls;
mod verify;
mod weak_keys;
