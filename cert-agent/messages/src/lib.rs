//! The messages between agent and authority, generated from `proto/authority.proto`.
//!
//! `Debug` of a message that carries a secret shows the kind of the secret, never the secret.

#![allow(missing_docs, clippy::all, reason = "generated; the proto file is the documentation")]

mod token_exchange;

use std::fmt;

use issue_request::Evidence;

tonic::include_proto!("postern.authority.v1");

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl Evidence {
    /// The evidence's name in logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::JoinToken(_) => "join_token",
            Self::RenewalCredential(_) => "renewal_credential",
            Self::Unix(_) => "unix",
            Self::ServiceAccount(_) => "service_account",
            Self::Oidc(_) => "oidc",
            Self::X509(_) => "x509",
        }
    }
}

impl fmt::Debug for IssueRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssueRequest").field("evidence", &self.evidence).finish_non_exhaustive()
    }
}

impl fmt::Debug for IssueResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssueResponse").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

impl fmt::Debug for ServiceAccountEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccountEvidence").finish_non_exhaustive()
    }
}

impl fmt::Debug for OidcEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OidcEvidence").finish_non_exhaustive()
    }
}

impl fmt::Debug for IssueJwtResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssueJwtResponse")
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}
