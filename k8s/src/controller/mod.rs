//! `postern-k8s controller`: what each proxy must know of the cluster, and no more.
//!
//! Data flows one way: the API server's watches (`watch.rs`, objects cut down by `convert.rs`) → events → the pure
//! index (`index.rs`) → deltas → the proxies' streams (`service.rs` over `server.rs`). Beside it the leader
//! (`leader.rs`, a Lease) makes what runs a gateway (`gateways.rs`), and writes what only one may write: conditions on policies (`status.rs`), what is said of a route at
//! its parents (`parent_status.rs`), and the trust bundle of each namespace (`trust_bundle.rs`).

pub mod convert;
pub mod credentials;
pub mod dashboard_data;
pub mod gateways;
pub mod index;
pub mod leader;
pub mod lease;
pub mod parent_status;
pub mod run;
pub mod server;
pub mod service;
pub mod shared;
pub mod status;
pub mod status_pages;
pub mod trust_bundle;
pub mod watch;
pub mod write_schedule;

/// The messages of the discovery stream, compiled from `proto/discovery.proto`.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
pub mod proto {
    tonic::include_proto!("envoy.service.discovery.v3");
}

/// The message that tells of a service, compiled from `proto/service.proto`.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
pub mod service_message {
    tonic::include_proto!("postern.dev.v2");
}

pub use run::{ControllerSettings, run};
