//! `join_token`: a secret that an operator made for one identity, good once.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::attest::refusal::Refusal;
use crate::store::secret;

use super::{Asking, Attested, Attestor, Proof, Records, in_the_store};

/// Knows the tokens that wait to be used.
#[derive(Debug)]
pub struct Tokens(pub Arc<Records>);

impl Attestor for Tokens {
    type Evidence = str;

    async fn attest(&self, token: &str, asking: &Asking<'_>) -> Result<Attested, Refusal> {
        let (records, now) = (Arc::clone(&self.0), asking.now);
        let token = Zeroizing::new(token.to_owned());
        in_the_store(move || {
            let identity = records.tokens.identity_of(&token, now)?;
            // A token is good once, so its rate is that of minting it.
            let instance = format!("join/{}", secret::random_hex::<8>());
            Ok(Attested { identity, instance, proof: Proof::Token(token) })
        })
        .await
    }
}
