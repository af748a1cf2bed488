//! The generated messages of the agent's two sockets: the SPIFFE Workload API and Envoy's secret
//! discovery on one, our admin service on the other.
//!
//! `Debug` of a message that carries a secret shows none of it.

use std::fmt;

/// The SPIFFE Workload API, from `proto/workload.proto`.
#[allow(missing_docs, clippy::all, unreachable_pub, reason = "generated")]
pub mod workload {
    tonic::include_proto!("_");
}

/// The admin service, from `proto/agent_admin.proto`.
#[allow(missing_docs, clippy::all, unreachable_pub, reason = "generated")]
pub mod admin {
    tonic::include_proto!("postern.agent.v1");
}

/// Envoy's secret discovery, from `proto/sds.proto`.
#[allow(missing_docs, clippy::all, unreachable_pub, reason = "generated")]
pub mod sds {
    tonic::include_proto!("envoy.service.secret.v3");
}

impl fmt::Debug for workload::X509svid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X509svid").field("spiffe_id", &self.spiffe_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for workload::Jwtsvid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwtsvid").field("spiffe_id", &self.spiffe_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for workload::ValidateJwtsvidRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValidateJwtsvidRequest")
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for sds::Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed").field("type_url", &self.type_url).finish_non_exhaustive()
    }
}

impl fmt::Debug for sds::DataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataSource(…)")
    }
}
