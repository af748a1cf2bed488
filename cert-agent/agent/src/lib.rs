//! The cert agent: makes a key, proves who the workload is, gets its certificate, renews it, and
//! serves it to the proxy.
//!
//! [`rotation`] decides when, [`fresh_key`] makes the key and the request, [`authority`] asks,
//! [`answer`] believes nothing it cannot check, [`renewer`] ties them together. [`bundles`] listens
//! for what peers are verified with, [`trust`] is what it comes to. [`held`] is what everybody else
//! sees of both: [`workload_api`] serves the proxy and other SPIFFE clients, [`sds`] serves Envoy,
//! [`admin`] and [`metrics`] serve people and their tools.

pub mod admin;
pub mod answer;
pub mod authority;
pub mod bundle_file;
pub mod bundles;
pub mod callers;
pub mod cli;
pub mod evidence;
pub mod fetch;
pub mod fresh_key;
pub mod freshness;
pub mod held;
pub mod jwt_cache;
pub mod jwt_source;
pub mod jwt_validation;
pub mod metrics;
pub mod pem;
pub mod proto;
pub mod renewer;
pub mod rotation;
pub mod run;
pub mod sds;
pub mod show;
pub mod skew;
pub mod socket;
pub mod socket_name;
pub mod state;
pub mod trust;
pub mod updates;
pub mod workload_api;
pub mod workload_messages;
