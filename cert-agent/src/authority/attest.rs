//! Who is asking: evidence in, an identity out.
//!
//! One arm an attestor. Each answers the same [`Attested`], so that what follows (rate, signature, credential) knows
//! nothing of how an identity was proved.

use identity::SpiffeId;

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

/// An identity that was proved.
#[derive(Debug)]
pub struct Attested {
    /// Whom the certificate shall name.
    pub identity: SpiffeId,
    /// What the issue rate counts.
    pub instance: String,
    /// What the caller gets to come back with.
    pub credential: CredentialGrant,
}

/// What follows for the renewal credential.
#[derive(Debug)]
pub enum CredentialGrant {
    /// None: the caller can prove itself anew at any time.
    None,
    /// A first one.
    First,
    /// The next one.
    Next(Holder),
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

/// Examines the evidence. A join token is used up by this, whatever comes after.
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
            let identity = records.tokens.redeem(token, now)?;
            let instance = format!("join/{}", secret::random_hex::<8>());
            Ok(Attested { identity, instance, credential: CredentialGrant::First })
        }
        Evidence::RenewalCredential(credential) => {
            let holder = records.credentials.holder(credential, now)?;
            Ok(Attested {
                identity: holder.identity.clone(),
                instance: holder.instance.clone(),
                credential: CredentialGrant::Next(holder),
            })
        }
        Evidence::Unix(_) => {
            let Caller::Unix(peer) = caller else { return Err(Refusal::UnixOverNetwork) };
            let identity = records.registry.now().identity_of(peer)?;
            let instance = format!("unix/{}/{identity}", peer.uid);
            Ok(Attested { identity, instance, credential: CredentialGrant::None })
        }
    }
}
