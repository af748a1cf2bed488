//! The running authority: its sockets, its answers, and what it does between them.
//!
//! [`run`] starts everything. [`server`] accepts, [`service`] speaks gRPC, and [`issue`] tells the story of one
//! request ([`exchange`] that of one for an internal token); [`followed_files`] takes up changed files, [`publishing`] tells what has changed, [`upkeep`] renews and
//! signs what runs out. [`bundle_endpoint`] serves our bundle to other trust domains, and under
//! `--jwt-issuer` what verifiers outside ask for.

pub mod bundle_endpoint;
mod client_certificates;
mod connection;
pub mod exchange;
pub mod followed_files;
pub mod issue;
pub mod metrics;
mod openid;
pub mod publishing;
pub mod readiness;
pub mod run;
pub mod server;
pub mod server_certificate;
pub mod service;
pub mod upkeep;
