//! `join_token`: a secret that an operator made for one identity, good once.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::attest::refusal::Refusal;
use crate::store::secret;

use super::{
    AttestationRecords, AttestedIdentity, Attestor, IdentityProof, RequestContext, in_the_store,
};

/// Attests holders of unused join tokens.
#[derive(Debug)]
pub struct JoinTokenAttestor(pub Arc<AttestationRecords>);

impl Attestor for JoinTokenAttestor {
    type Evidence = str;

    async fn attest(
        &self,
        token: &str,
        asking: &RequestContext<'_>,
    ) -> Result<AttestedIdentity, Refusal> {
        let (records, now) = (Arc::clone(&self.0), asking.now);
        let token = Zeroizing::new(token.to_owned());
        in_the_store(move || {
            let identity = records.tokens.identity_of(&token, now)?;
            // A token is good once, so its rate is that of minting it.
            let instance = format!("join/{}", secret::random_hex::<8>());
            Ok(AttestedIdentity { identity, instance, proof: IdentityProof::Token(token) })
        })
        .await
    }
}
