//! The stories: who exists, who calls, what is seen, in the answer, in the metrics and in the log.
//!
//! Each builds its own mesh of real programs in network namespaces; run them with `make test`, or
//! `tests/in-namespace cargo test -p postern-tests --test stories NAME`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod allowed;
mod answers;
mod api_keys;
mod authority;
mod bad_answers;
mod bounded;
mod certificates;
mod client_bodies;
mod clocks;
mod cluster;
mod configuration;
mod crowds;
mod descriptors;
mod drain;
mod egress;
mod envoy;
mod explain;
mod federation;
mod floods;
mod gate;
mod gateway_clients;
mod gateway_tls;
mod guides;
mod handshake_floods;
mod handshakes;
mod header_floods;
mod hostile_apps;
mod identities;
mod injected;
mod interception;
mod interim_answers;
mod kubelet;
mod loops;
mod modes;
mod old_clients;
mod outside_peers;
mod policy_changes;
mod proofs;
mod rate_limits;
mod real_servers;
mod refused;
mod replicas;
mod request_forms;
mod retries;
mod routes;
mod scene;
mod sds;
mod second_opinion;
mod secrets;
mod spiffe_client;
mod stream_routes;
mod tokens;
mod traces;
mod traversal;
mod unread;
mod upgrade;
mod upstreams;
mod wire;
mod without_the_mesh;
