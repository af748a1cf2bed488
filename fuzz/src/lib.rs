//! Fuzz targets: one function of bytes for everything that reads what a peer or a person wrote.
//!
//! A target panics when an invariant does not hold, and also when the code under it panics. Each
//! runs in three ways:
//!
//! * `cargo test` in this folder: its seeds and a fixed number of changed ones, always the same;
//! * `make` in this folder: the same for some seconds (`SECONDS=10`);
//! * `cargo fuzz run TARGET corpus/TARGET seeds/TARGET`: libFuzzer with coverage, for hours. On a
//!   stable compiler add `-s none`.
//!
//! What a long run finds is kept: as a seed here, and as a row in the test of the code.

#![forbid(unsafe_code)]

mod exercise;
pub mod targets;

pub use exercise::{exercise, exercise_for_seconds};

/// A target: panics when something is wrong.
pub type Target = fn(&[u8]);

/// Every target by name; the names are those of `fuzz_targets/` and `seeds/`.
pub const TARGETS: [(&str, Target); 37] = [
    ("config", targets::config),
    ("resources", targets::resources),
    ("spiffe_id", targets::spiffe_id),
    ("leaf", targets::leaf),
    ("crl", targets::crl),
    ("path", targets::path),
    ("gate", targets::gate),
    ("raw_http1", targets::raw_http1),
    ("sniff", targets::sniff),
    ("client_hello", targets::client_hello),
    ("token", targets::token),
    ("jwks", targets::jwks),
    ("review", targets::review),
    ("service", targets::service),
    ("traceparent", targets::traceparent),
    ("proxy_protocol", targets::proxy_protocol),
    ("store_reply", targets::store_reply),
    ("revocations", targets::revocations),
    ("provider_metadata", targets::provider_metadata),
    ("oauth_callback", targets::oauth_callback),
    ("oauth_error", targets::oauth_error),
    ("token_answer", targets::token_answer),
    ("id_token", targets::id_token),
    ("logout_token", targets::logout_token),
    ("introspection_answer", targets::introspection_answer),
    ("sealed_cookie", targets::sealed_cookie),
    ("session", targets::session),
    ("sign_in_flow", targets::sign_in_flow),
    ("return_target", targets::return_target),
    ("cookie_header", targets::cookie_header),
    ("api_description", targets::api_description),
    ("api_request", targets::api_request),
    ("threat_request", targets::threat_request),
    ("threat_rules", targets::threat_rules),
    ("nats_session", targets::nats_session),
    ("mqtt_session", targets::mqtt_session),
    ("kafka_session", targets::kafka_session),
];
