//! Serves what is held: [`workload_api`] to the proxy and other SPIFFE clients, [`token_exchange`] to the proxy,
//! [`sds`] to Envoy, [`admin`] and [`metrics`] to people and their tools. [`run`] starts everything.

pub mod admin;
pub mod callers;
pub mod jwt_validation;
pub mod metrics;
pub mod run;
pub mod sds;
pub mod socket;
pub mod socket_name;
pub mod token_exchange;
pub mod updates;
pub mod workload_api;
pub mod workload_messages;
