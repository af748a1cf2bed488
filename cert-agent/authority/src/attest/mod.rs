//! Who is asking: evidence in, an identity out.
//!
//! One file an attestor, each behind [`Attestor`]. Every one answers the same [`AttestedIdentity`], so that what
//! follows (rate, signature, credential) knows nothing of how an identity was proved.

pub mod join_token;
pub mod join_token_store;
pub mod oidc;
pub mod refusal;
pub mod registry;
pub mod renewal_credential;
pub mod renewal_store;
pub mod service_account;
pub mod unix;
pub mod x509;

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use identity::SpiffeId;
use zeroize::Zeroizing;

use issuance_messages::issue_request::Evidence;

use crate::attest::join_token_store::JoinTokens;
use crate::attest::refusal::Refusal;
use crate::attest::registry::{Registry, UnixCaller};
use crate::attest::renewal_store::{CredentialHolder, RenewalCredentials};
use crate::store::live_value::LiveValue;
use service_account::ServiceAccounts;

/// Where a request came from, as the transport knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Over TLS. By itself the address proves nothing; it can contradict a proof.
    Remote(SocketAddr),
    /// Over our unix socket, with what the kernel says of the peer.
    Unix(UnixCaller),
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remote(address) => address.fmt(f),
            Self::Unix(UnixCaller { uid, gid, path }) => {
                let program = path.as_ref().map_or("?".into(), |path| path.to_string_lossy());
                write!(f, "uid {uid} gid {gid} program {program}")
            }
        }
    }
}

/// One way to prove who one is.
pub trait Attestor {
    /// What the caller sends.
    type Evidence: ?Sized;

    /// Examines the evidence. Nothing is used up by this: what follows may still refuse, and a refusal shall
    /// cost the rightful caller nothing.
    ///
    /// # Errors
    /// [`Refusal`], in words that help the rightful caller and tell a guesser nothing.
    fn attest(
        &self,
        evidence: &Self::Evidence,
        asking: &RequestContext<'_>,
    ) -> impl Future<Output = Result<AttestedIdentity, Refusal>> + Send;
}

/// The request around the evidence.
#[derive(Debug, Clone, Copy)]
pub struct RequestContext<'a> {
    /// Where it came from.
    pub caller: &'a Caller,
    /// The certificate request, whose proof of possession holds. Evidence may be bound to it.
    pub csr_der: &'a [u8],
    /// Unix seconds.
    pub now: u64,
}

/// An identity that was proved, before anything is used up.
#[derive(Debug)]
pub struct AttestedIdentity {
    /// Whom the certificate shall name.
    pub identity: SpiffeId,
    /// What the issue rate counts.
    pub instance: String,
    /// What the proof was, and what using it means.
    pub proof: IdentityProof,
}

/// What proved the identity.
#[derive(Debug)]
pub enum IdentityProof {
    /// A join token that waits to be used.
    Token(Zeroizing<String>),
    /// A renewal credential that waits to be replaced.
    Holder(CredentialHolder),
    /// A statement of another authority (the kernel, a CA, an issuer), good at any time.
    Lasting,
}

/// What the attestors of our own consult.
#[derive(Debug)]
pub struct AttestationRecords {
    /// The join tokens.
    pub tokens: JoinTokens,
    /// The renewal credentials.
    pub credentials: RenewalCredentials,
    /// Who may be whom.
    pub registry: LiveValue<Registry>,
}

/// The attestors that ask others, where they are set up.
#[derive(Debug, Default)]
pub struct RemoteAttestors {
    /// Kubernetes service accounts.
    pub service_accounts: Option<ServiceAccounts>,
    /// The keys of the registry's token issuers.
    pub oidc_keys: oidc::keys::IssuerKeys,
}

/// Examines the evidence with the attestor for its kind.
///
/// # Errors
/// As [`Attestor::attest`], and [`Refusal::NoAttestor`] where none is set up.
pub async fn attest(
    evidence: &Evidence,
    asking: &RequestContext<'_>,
    records: &Arc<AttestationRecords>,
    remote: &RemoteAttestors,
) -> Result<AttestedIdentity, Refusal> {
    let missing = || Refusal::NoAttestor(evidence.kind());
    match evidence {
        Evidence::JoinToken(token) => {
            join_token::JoinTokenAttestor(Arc::clone(records)).attest(token, asking).await
        }
        Evidence::RenewalCredential(credential) => {
            renewal_credential::RenewalAttestor(Arc::clone(records))
                .attest(credential, asking)
                .await
        }
        Evidence::Unix(nothing) => {
            unix::UnixAttestor(&records.registry.now()).attest(nothing, asking).await
        }
        Evidence::ServiceAccount(token) => {
            remote.service_accounts.as_ref().ok_or_else(missing)?.attest(token, asking).await
        }
        Evidence::X509(chain) => {
            let registry = records.registry.now();
            let authorities = registry.x509_authorities().ok_or_else(missing)?;
            x509::X509Attestor(authorities).attest(chain, asking).await
        }
        Evidence::Oidc(token) => {
            let registry = records.registry.now();
            let issuers = registry.oidc_issuers().ok_or_else(missing)?;
            oidc::OidcAttestor { issuers, keys: &remote.oidc_keys }.attest(token, asking).await
        }
    }
}

impl AttestedIdentity {
    /// Uses the proof up. The answer is what the caller proves itself with next time, if it needs anything. Of
    /// many calls with one join token, one gets past this.
    ///
    /// # Errors
    /// [`Refusal`] when another request was faster, or a store fails.
    pub async fn settle(
        self,
        records: &Arc<AttestationRecords>,
        now: u64,
    ) -> Result<Option<Zeroizing<String>>, Refusal> {
        let records = Arc::clone(records);
        match self.proof {
            IdentityProof::Token(token) => {
                in_the_store(move || {
                    let identity = records.tokens.redeem(&token, now)?;
                    Ok(Some(records.credentials.create(&identity, now)?))
                })
                .await
            }
            IdentityProof::Holder(holder) => {
                in_the_store(move || Ok(Some(records.credentials.replace(&holder, now)?))).await
            }
            IdentityProof::Lasting => Ok(None),
        }
    }
}

/// Stores sync files or call a server: not on a thread that serves connections.
async fn in_the_store<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::Failed)?
}
