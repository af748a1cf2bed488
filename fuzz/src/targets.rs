//! The bodies of the targets, each with its invariants.

mod browsers;
mod files;
mod gate;
mod kafka;
mod mqtt;
mod names;
mod nats;
mod oauth;
mod raw;
mod review;
mod schemas;
mod service;
mod stores;
mod threats;
mod tokens;
mod traces;

pub use browsers::{cookie_header, return_target, sealed_cookie, session, sign_in_flow};
pub use files::{config, resources};
pub use gate::gate;
pub use kafka::kafka_session;
pub use mqtt::mqtt_session;
pub use names::{crl, leaf, path, spiffe_id};
pub use nats::nats_session;
pub use oauth::{
    id_token, introspection_answer, logout_token, oauth_callback, oauth_error, provider_metadata,
    token_answer,
};
pub use raw::{client_hello, proxy_protocol, raw_http1, sniff};
pub use review::review;
pub use schemas::{api_description, api_request};
pub use service::service;
pub use stores::{revocations, store_reply};
pub use threats::{threat_request, threat_rules};
pub use tokens::{jwks, token};
pub use traces::traceparent;
