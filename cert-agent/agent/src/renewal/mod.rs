//! Gets identity and trust, and keeps them fresh.
//!
//! [`rotation`] decides when, [`fresh_key`] makes the key and the request, [`evidence`] proves who the workload is,
//! [`authority_client`] asks, [`answer`] believes nothing it cannot check, [`renewer`] ties them together. [`bundles`]
//! listens for what peers are verified with, [`bundle_set`] is what it comes to. [`served_state`] is what everybody
//! else sees of both. [`jwt_source`] and [`exchange_source`] get tokens when somebody asks for one.

pub mod answer;
pub mod authority_client;
pub mod bundle_file;
pub mod bundle_set;
pub mod bundles;
pub mod clock_skew;
pub mod evidence;
pub mod exchange_source;
pub mod fresh_key;
pub mod freshness;
pub mod jwt_cache;
pub mod jwt_source;
pub mod renewer;
pub mod rotation;
pub mod served_state;
pub mod state_directory;
