//! Who is asking: evidence in, an identity out.
//!
//! One arm an attestor. Each answers the same [`Attested`], so that what follows (rate, signature,
//! credential) knows nothing of how an identity was proved.

use std::fmt;

use identity::SpiffeId;
use zeroize::Zeroizing;

use crate::api::issue_request::Evidence;

use super::follow::Live;
use super::issue::Refusal;
use super::join_token::JoinTokens;
use super::registry::{Registry, UnixCaller};
use super::renewal::{Credentials, Holder};
use super::secret;

/// Where a request came from, as the transport knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Over TLS. The address is for the log; it proves nothing.
    Remote(std::net::SocketAddr),
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

/// An identity that was proved, before anything is used up.
#[derive(Debug)]
pub struct Attested {
    /// Whom the certificate shall name.
    pub identity: SpiffeId,
    /// What the issue rate counts.
    pub instance: String,
    /// What the proof was, and what using it means.
    pub proof: Proof,
}

/// What proved the identity.
#[derive(Debug)]
pub enum Proof {
    /// A join token that waits to be used.
    Token(Zeroizing<String>),
    /// A renewal credential that waits to be replaced.
    Holder(Holder),
    /// The kernel's word, good at any time.
    Kernel,
}

/// What attestors consult.
#[derive(Debug)]
pub struct Records {
    /// The join tokens.
    pub tokens: JoinTokens,
    /// The renewal credentials.
    pub credentials: Credentials,
    /// Local callers.
    pub registry: Live<Registry>,
}

/// Examines the evidence. Nothing is used up by this: what follows may still refuse, and a refusal
/// shall cost the rightful caller nothing.
///
/// # Errors
/// [`Refusal`], in words that help the rightful caller and tell a guesser nothing.
pub fn attest(
    evidence: &Evidence,
    caller: &Caller,
    records: &Records,
    now: u64,
) -> Result<Attested, Refusal> {
    match evidence {
        Evidence::JoinToken(token) => {
            let identity = records.tokens.identity_of(token, now)?;
            let instance = format!("join/{}", secret::random_hex::<8>());
            let proof = Proof::Token(Zeroizing::new(token.clone()));
            Ok(Attested { identity, instance, proof })
        }
        Evidence::RenewalCredential(credential) => {
            let holder = records.credentials.holder(credential, now)?;
            let (identity, instance) = (holder.identity.clone(), holder.instance.clone());
            Ok(Attested { identity, instance, proof: Proof::Holder(holder) })
        }
        Evidence::Unix(_) => {
            let Caller::Unix(peer) = caller else { return Err(Refusal::UnixOverNetwork) };
            let identity = records.registry.now().identity_of(peer)?;
            let instance = format!("unix/{}/{identity}", peer.uid);
            Ok(Attested { identity, instance, proof: Proof::Kernel })
        }
        Evidence::ServiceAccount(_) | Evidence::Oidc(_) | Evidence::X509(_) => {
            Err(Refusal::NoAttestor(evidence.kind()))
        }
    }
}

impl Attested {
    /// Uses the proof up. The answer is what the caller proves itself with next time, if it needs
    /// anything. Of many calls with one join token, one gets past this.
    ///
    /// # Errors
    /// [`Refusal`] when somebody else was faster, or a store fails.
    pub fn settle(
        &self,
        records: &Records,
        now: u64,
    ) -> Result<Option<Zeroizing<String>>, Refusal> {
        match &self.proof {
            Proof::Token(token) => {
                let identity = records.tokens.redeem(token, now)?;
                Ok(Some(records.credentials.create(&identity, now)?))
            }
            Proof::Holder(holder) => Ok(Some(records.credentials.replace(holder, now)?)),
            Proof::Kernel => Ok(None),
        }
    }
}
