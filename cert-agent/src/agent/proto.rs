//! The generated messages of the agent's two sockets: the SPIFFE Workload API and our admin
//! service.

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

impl fmt::Debug for workload::X509svid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X509svid").field("spiffe_id", &self.spiffe_id).finish_non_exhaustive()
    }
}
