//! Traffic: the two directions, [`inbound`] and [`outbound`], the phases of each request, and where it is forwarded to.
//!
//! [`app`] connects to our own app and requires a permit; [`mesh`] connects to other workloads and requires an identity
//! of them.

pub mod abuse;
pub(crate) mod abuse_phase;
pub mod accept;
pub(crate) mod answer_fields;
pub mod api_key;
pub mod api_schema;
pub mod app;
pub mod authorize;
pub mod balancing;
pub mod caller;
pub mod client;
pub(crate) mod client_connections;
pub mod client_credentials;
pub mod decisions;
pub mod demand;
pub mod edge;
pub(crate) mod egress;
#[allow(dead_code, reason = "ports are declared for it next")]
pub(crate) mod events;
pub mod exchange;
pub(crate) mod forward;
pub(crate) mod gateway;
pub(crate) mod held_memory;
pub mod inbound;
pub(crate) mod inspect_phase;
pub(crate) mod internal_token;
pub(crate) mod introspection;
pub(crate) mod judge;
pub mod jwt;
pub(crate) mod limit_phase;
pub mod mesh;
pub mod opaque;
pub mod outbound;
pub mod provider_calls;
pub(crate) mod provider_client;
pub mod rate_limits;
pub mod reauth;
pub mod recent_records;
pub mod record;
pub mod review;
pub mod services;
pub mod settings;
pub(crate) mod sign_in;
pub mod single_flight;
pub mod state;
pub mod threats;
pub mod token_exchange;
pub mod token_keys;
pub mod upgrade;
pub mod worker;
