//! `renewal_credential`: the secret of the last answer, for whoever joined with a token.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::attest::refusal::Refusal;

use super::{Asking, Attested, Attestor, Proof, Records, in_the_store};

/// Knows the holders of credentials.
#[derive(Debug)]
pub struct Holders(pub Arc<Records>);

impl Attestor for Holders {
    type Evidence = str;

    async fn attest(&self, credential: &str, asking: &Asking<'_>) -> Result<Attested, Refusal> {
        let (records, now) = (Arc::clone(&self.0), asking.now);
        let credential = Zeroizing::new(credential.to_owned());
        in_the_store(move || {
            let holder = records.credentials.holder(&credential, now)?;
            let (identity, instance) = (holder.identity.clone(), holder.instance.clone());
            Ok(Attested { identity, instance, proof: Proof::Holder(holder) })
        })
        .await
    }
}
