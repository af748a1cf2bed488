//! The authority: attests callers and signs short-lived certificates.
//!
//! One request is told by [`issue::Authority::issue`]: proof of possession, attestation, rate,
//! signature. Everything else here serves that function: the keys ([`directory`], [`root_key`],
//! [`ca`]), the rules of a leaf ([`leaf`]), who may have which identity ([`attest`],
//! [`join_token`], [`renewal`], [`registry`]), how often ([`rate`]), what it
//! publishes ([`bundles`]) and signs beside certificates ([`jwt_svid`], [`jwt_keys`]), and the sockets ([`server`]).

pub mod attest;
pub mod bundles;
pub mod ca;
pub mod cli;
pub mod csr;
pub mod directory;
pub mod duration;
pub mod federation;
pub mod files;
pub mod follow;
pub mod init;
pub mod issue;
pub mod join_token;
pub mod jwt_keys;
pub mod jwt_svid;
pub mod leaf;
pub mod rate;
pub mod registry;
pub mod renewal;
pub mod root_key;
pub mod run;
pub mod secret;
pub mod server;
pub mod server_certificate;
pub mod service;
pub mod show;
pub mod store;
pub mod store_directory;
