//! The bodies of the targets, each with its invariants.

mod files;
mod gate;
mod names;
mod raw;
mod review;
mod service;
mod stores;
mod tokens;
mod traces;

pub use files::{config, resources};
pub use gate::gate;
pub use names::{crl, leaf, path, spiffe_id};
pub use raw::{client_hello, proxy_protocol, raw_http1, sniff};
pub use review::review;
pub use service::service;
pub use stores::store_reply;
pub use tokens::{jwks, token};
pub use traces::traceparent;
