//! The running authority: its sockets, its answers, and what it does between them.
//!
//! [`run`] starts everything. [`server`] accepts, [`service`] speaks gRPC, and [`issue`] tells the story of one request;
//! [`follow`] takes up changed files, [`upkeep`] renews and signs what runs out.

mod connection;
pub mod follow;
pub mod issue;
pub mod metrics;
pub mod readiness;
pub mod run;
pub mod server;
pub mod server_certificate;
pub mod service;
pub mod upkeep;
