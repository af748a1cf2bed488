//! Why a request got no certificate.

use super::join_token_store::RedeemError;
use super::oidc::OidcError;
use super::registry::NoMatch;
use super::renewal_store::CredentialError;
use super::service_account::TokenError;
use super::x509::CertificateError;
use crate::ca::csr::CsrError;
use crate::ca::leaf::SignError;
use crate::ca::rate::RateLimited;

/// Why a request got no certificate. Every variant says who is at fault and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No evidence.
    #[error(
        "the request carries no evidence; send join_token, renewal_credential, unix, service_account, oidc or x509"
    )]
    NoEvidence,
    /// The CSR.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// `unix` evidence where no kernel can vouch for it.
    #[error("`unix` evidence is good over the authority's unix socket only")]
    UnixOverNetwork,
    /// No attestor is set up for this kind of evidence.
    #[error("this authority has no `{0}` attestor; see `postern-authority run --help`")]
    NoAttestor(&'static str),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] NoMatch),
    /// The join token.
    #[error(transparent)]
    Token(#[from] RedeemError),
    /// The renewal credential.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The service-account token.
    #[error(transparent)]
    ServiceAccount(#[from] TokenError),
    /// The token of an OpenID Connect issuer.
    #[error(transparent)]
    Oidc(#[from] OidcError),
    /// The certificate of another CA.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Too often.
    #[error(transparent)]
    Limited(#[from] RateLimited),
    /// The signature.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A new credential could not be stored.
    #[error("the credential store failed: {0}")]
    Store(#[from] std::io::Error),
    /// The work ended without an answer: a defect of ours.
    #[error("the request failed; the authority's log says why")]
    Failed,
}
