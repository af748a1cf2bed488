//! The rules in a real kernel: each test runs itself again inside fresh user, network and mount
//! namespaces (no root needed), as a pod `10.9.0.1` / `fd09::1` with a peer outside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod connections;
mod packets;
mod pod;
mod table;

/// Transports other than TCP pass.
const ALLOW: &str = "--egress allow";
/// They do not; the peer outside is the resolver.
const DENY: &str = "--egress deny --dns 10.9.0.2 --dns fd09::2";
