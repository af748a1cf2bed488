//! Gets identity and trust, and keeps them fresh.
//!
//! [`rotation`] decides when, [`fresh_key`] makes the key and the request, [`evidence`] proves who the workload is,
//! [`authority_client`] asks, [`answer`] believes nothing it cannot check, [`renewer`] ties them together. [`bundles`]
//! listens for what peers are verified with, [`trust`] is what it comes to. [`held`] is what everybody else sees of
//! both.

pub mod answer;
pub mod authority_client;
pub mod bundle_file;
pub mod bundles;
pub mod evidence;
pub mod fresh_key;
pub mod freshness;
pub mod held;
pub mod jwt_cache;
pub mod jwt_source;
pub mod renewer;
pub mod rotation;
pub mod skew;
pub mod state;
pub mod trust;
