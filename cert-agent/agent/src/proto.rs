//! The generated messages of the agent's two sockets: the SPIFFE Workload API, Envoy's secret discovery and the token
//! exchange on one, our admin service on the other.
//!
//! `Debug` of a message that carries a secret shows none of it.

use std::fmt;

/// The SPIFFE Workload API, from `proto/workload.proto`.
#[allow(missing_docs, clippy::all, unreachable_pub, reason = "generated")]
pub mod workload {
    tonic::include_proto!("_");
}

/// What is our own, from `proto/agent_admin.proto` and `proto/token_exchange.proto`: one package.
#[allow(missing_docs, clippy::all, unreachable_pub, reason = "generated")]
pub mod own {
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

impl fmt::Debug for own::exchange_request::Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Assertion(_) => "assertion",
            Self::SubjectToken(_) => "subject_token",
        })
    }
}

impl fmt::Debug for own::ExchangeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExchangeRequest")
            .field("audience", &self.audience)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for own::UserAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserAssertion").finish_non_exhaustive()
    }
}

impl fmt::Debug for own::ExchangeResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExchangeResponse")
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}
