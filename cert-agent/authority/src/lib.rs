//! The authority: attests callers and signs short-lived certificates.
//!
//! One request is told by [`issue::Authority::issue`]: proof of possession, attestation, rate,
//! signature. Everything else here serves that function: the keys ([`directory`], [`root_key`],
//! [`ca`]), the rules of a leaf ([`leaf`]), who may have which identity ([`attest`],
//! [`join_token`], [`renewal`], [`registry`]), how often ([`rate`]), what it
//! publishes ([`bundles`]) and signs beside certificates ([`jwt_svid`], [`jwt_keys`]), and the sockets ([`server`]).

pub mod attest;
pub mod bootstrap;
pub mod bundles;
pub mod ca;
pub mod cli;
mod connection;
pub mod crl;
pub mod csr;
pub mod directory;
pub mod duration;
pub mod federation;
pub mod files;
pub mod follow;
#[cfg(feature = "pkcs11")]
pub mod hsm;
pub mod init;
pub mod issuance_log;
pub mod issuance_log_verify;
pub mod issue;
pub mod join_token;
pub mod jwt_keys;
pub mod jwt_svid;
pub mod kubernetes;
pub mod kubernetes_store;
pub mod leaf;
pub mod metrics;
pub mod objects;
pub mod pem;
pub mod rate;
pub mod readiness;
pub mod record;
pub mod registry;
pub mod renewal;
pub mod revoke;
pub mod rollover;
pub mod root_key;
pub mod root_source;
pub mod run;
pub mod secret;
pub mod server;
pub mod server_certificate;
pub mod service;
pub mod show;
pub mod store;
pub mod store_directory;
pub mod upkeep;
