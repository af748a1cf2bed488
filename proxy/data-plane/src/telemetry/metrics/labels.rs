//! The labels of traffic.

use std::sync::Arc;

use crate::telemetry::{Direction, Protocol};

/// The labels of one kind of traffic, resolved once a connection or route.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TrafficLabels {
    /// Towards or from our app.
    pub direction: Direction,
    /// Who calls, `none` when nobody proved it.
    pub source_principal: Arc<str>,
    /// Who is called.
    pub destination_principal: Arc<str>,
    /// The service called, or `unknown`.
    pub destination_service: Arc<str>,
    /// What the bytes are.
    pub protocol: Protocol,
    /// Whether the mesh side is mutual TLS.
    pub mtls: bool,
}
