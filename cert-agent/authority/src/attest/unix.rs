//! `unix`: the kernel says who stands at the other end of our socket, and the registry says what that means.

use crate::attest::refusal::Refusal;
use crate::attest::registry::Registry;
use issuance_messages::UnixEvidence;

use super::{AttestedIdentity, Attestor, Caller, IdentityProof, RequestContext};

/// Attests local users by what the kernel says of them.
#[derive(Debug)]
pub struct UnixAttestor<'a>(pub &'a Registry);

impl Attestor for UnixAttestor<'_> {
    type Evidence = UnixEvidence;

    async fn attest(
        &self,
        _: &UnixEvidence,
        asking: &RequestContext<'_>,
    ) -> Result<AttestedIdentity, Refusal> {
        let Caller::Unix(peer) = asking.caller else { return Err(Refusal::UnixOverNetwork) };
        let identity = self.0.identity_of(peer)?;
        let instance = format!("unix/{}/{identity}", peer.uid);
        Ok(AttestedIdentity { identity, instance, proof: IdentityProof::Lasting })
    }
}
