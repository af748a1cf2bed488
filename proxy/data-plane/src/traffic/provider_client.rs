//! How this proxy proves to a provider which client it is: the one place where a policy's secret becomes part of a request.

use aws_lc_rs::rand::SystemRandom;
use http::HeaderValue;
use oauth::{AssertionFacts, AssertionKey, ClientAuthentication, ClientSecret, Form, random_text};
use policy::ClientCredential;
use web_fetch::WebForm;

/// A client at a provider.
#[derive(Clone, Copy)]
pub(crate) struct ProviderClient<'a> {
    /// The provider.
    pub(crate) issuer: &'a str,
    /// Our name there.
    pub(crate) id: &'a str,
    /// What proves it.
    pub(crate) credential: &'a ClientCredential,
}

impl ProviderClient<'_> {
    /// The form with our proof, made at `now` (Unix seconds).
    ///
    /// # Errors
    /// What of the credential cannot be used.
    pub(crate) fn proved(&self, form: Form, now: u64) -> Result<WebForm, &'static str> {
        let random = SystemRandom::new();
        let id = random_text(&random).map_err(|_| "no random numbers")?;
        let facts = AssertionFacts { audience: self.issuer, id: &id, now };
        let request = self.authentication()?.request(self.id, form, &facts, &random);
        let request = request.map_err(|_| "the assertion of the client cannot be signed")?;
        let text = request.authorization.as_ref();
        let authorization = text.map(|text| HeaderValue::try_from(&**text)).transpose();
        Ok(WebForm {
            body: request.body,
            authorization: authorization.map_err(|_| "the client's secret is no text")?,
        })
    }

    fn authentication(&self) -> Result<ClientAuthentication, &'static str> {
        match self.credential {
            ClientCredential::ClientSecret(secret) => ClientSecret::new(secret)
                .map(ClientAuthentication::SecretBasic)
                .ok_or("the client's secret is none"),
            ClientCredential::PrivateKey(pem) => AssertionKey::from_pem(pem.as_bytes(), None)
                .map(ClientAuthentication::PrivateKeyJwt)
                .map_err(|_| "the client's private key is none that can sign"),
        }
    }
}
