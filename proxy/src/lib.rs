//! The data plane of Postern: the proxy that stands beside a workload.
//!
//! Data flows one way through these modules, in this order:
//!
//! * [`net`]: accepted sockets and their original destinations
//! * [`inbound`], [`outbound`]: the phases of one connection, each told in one function
//! * [`filter`]: what a request passes, one file a filter
//! * [`forward`]: pools, connections and streams to apps and other workloads
//!
//! Beside them stand what they all read: [`state`], [`credentials`], [`tls`], [`registry`], [`link`],
//! [`error`], [`telemetry`], [`metrics`]; and what runs and changes the process: [`run`],
//! [`control`], [`drain`], [`admin`], [`config`], [`redirect`]. What answers without traffic: [`check`],
//! [`explain`], [`policy_tools`]. In a pod, `probes` and `app_metrics` ask the app what the kubelet and Prometheus would.

pub mod admin;
mod app_metrics;
pub mod await_ready;
pub mod check;
pub mod clock;
pub mod config;
pub mod control;
pub mod credentials;
pub mod decisions;
pub mod drain;
pub mod error;
pub mod explain;
pub mod filter;
pub mod forward;
pub mod inbound;
pub mod jwks;
pub mod link;
pub mod metrics;
pub mod net;
pub mod outbound;
pub mod policy_tools;
pub mod ports;
mod probes;
pub mod reauth;
pub mod redirect;
pub mod registry;
pub mod run;
pub mod serve;
pub mod sniff;
pub mod state;
pub mod telemetry;
pub mod tls;
pub mod worker;
