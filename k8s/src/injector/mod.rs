//! `postern-k8s injector`: the admission webhook that injects pods as they are created.
//!
//! | file | says |
//! |---|---|
//! | [`server`] | the HTTPS socket and its limits |
//! | `connection_counts` | how many connections each address has |
//! | [`certificate`] | our certificate, rotated without a restart |
//! | [`webhook_configuration`] | the CA bundle in our own webhook configuration |
//! | [`namespaces`] | the annotations of namespaces |
//! | [`metrics`] | counters and the small pages |

pub mod certificate;
mod connection_counts;
pub mod metrics;
pub mod namespaces;
pub mod run;
pub mod server;
pub mod webhook_configuration;

pub use run::{InjectorSettings, run};
