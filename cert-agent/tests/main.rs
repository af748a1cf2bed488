//! Everything that shows the agent, the authority and the two together from outside. One program, because each one more
//! would link all that they stand on once more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agent_and_authority;
mod agent_states;
mod attestors;
mod bootstrap;
mod bundles_and_tokens;
mod commands;
mod federation;
#[cfg(feature = "pkcs11")]
mod hsm;
mod jwt_svids;
mod kubernetes;
mod openid_issuer;
mod roots_and_revocation;
mod roots_in_cluster;
mod s30_csr;
mod signing_service;
mod spiffe_workload_api;
mod token_exchange;
mod wall;
mod wrong_answers;

mod support;
