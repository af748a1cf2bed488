//! What starts and changes the process: configuration, resources from files or the controller, certificates, token
//! keys, and the admin endpoint.

pub mod admin;
pub mod api_documents;
mod app_metrics;
pub mod cluster;
pub mod config;
pub mod credentials;
mod directory_watch;
pub mod drain;
pub mod edge;
pub mod gateway_certificates;
mod gateway_listeners;
pub mod installer;
pub mod jwks;
mod known_files;
mod probes;
pub mod resource_files;
pub mod rule_sets;
pub mod run;
mod sockets;
mod stores;
pub mod supervise;
mod trace_export;
pub mod upgrade;
