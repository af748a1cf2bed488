//! Traffic: the two stories, [`inbound`] and [`outbound`], what each request passes on its way, and who it is forwarded to.
//!
//! [`app`] leads to our own app and demands a permit; [`mesh`] leads to other workloads and demands an identity of them.

pub mod accept;
pub mod app;
pub mod authorize;
pub mod client;
pub mod decisions;
pub mod demand;
pub mod exchange;
pub mod inbound;
pub mod jwt;
pub mod mesh;
pub mod opaque;
pub mod outbound;
pub mod reauth;
pub mod record;
pub mod review;
pub mod services;
pub mod settings;
pub mod state;
pub mod token_keys;
pub mod upgrade;
pub mod worker;
