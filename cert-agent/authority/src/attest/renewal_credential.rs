//! `renewal_credential`: the secret of the last answer, for whoever joined with a token.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::attest::refusal::Refusal;

use super::{
    AttestationRecords, AttestedIdentity, Attestor, IdentityProof, RequestContext, in_the_store,
};

/// Attests holders of renewal credentials.
#[derive(Debug)]
pub struct RenewalAttestor(pub Arc<AttestationRecords>);

impl Attestor for RenewalAttestor {
    type Evidence = str;

    async fn attest(
        &self,
        credential: &str,
        asking: &RequestContext<'_>,
    ) -> Result<AttestedIdentity, Refusal> {
        let (records, now) = (Arc::clone(&self.0), asking.now);
        let credential = Zeroizing::new(credential.to_owned());
        in_the_store(move || {
            let holder = records.credentials.holder(&credential, now)?;
            let (identity, instance) = (holder.identity.clone(), holder.instance.clone());
            Ok(AttestedIdentity { identity, instance, proof: IdentityProof::Holder(holder) })
        })
        .await
    }
}
