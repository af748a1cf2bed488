//! How a client proves to a provider which client it is (RFC 6749 §2.3, OpenID Connect Core §9).

use std::fmt;

use aws_lc_rs::rand::SecureRandom;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::assertion::AssertionKey;
use crate::form::{Form, push_form_encoded};

/// RFC 7523 §2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client's password at the provider. Wiped, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecret(Zeroizing<String>);

impl ClientSecret {
    /// One of 1 to 4096 bytes without control characters: RFC 6749 appendix A.2 allows printable ASCII; what is beyond
    /// it is sent as UTF-8. `None`: it is none.
    #[must_use]
    pub fn new(secret: &str) -> Option<Self> {
        let good = (1..=4096).contains(&secret.len()) && !secret.contains(char::is_control);
        good.then(|| Self(Zeroizing::new(secret.to_owned())))
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(..)")
    }
}

/// One of the two ways that are taken. A secret in a form's body, or none at all, is not offered.
#[derive(Debug)]
pub enum ClientAuthentication {
    /// `client_secret_basic`.
    SecretBasic(ClientSecret),
    /// `private_key_jwt`.
    PrivateKeyJwt(AssertionKey),
}

/// What one assertion says beside who makes it.
#[derive(Debug, Clone, Copy)]
pub struct AssertionFacts<'a> {
    /// For whom: the issuer, which every endpoint of a provider takes.
    pub audience: &'a str,
    /// `jti`: a random text, for this request alone.
    pub id: &'a str,
    /// Unix seconds.
    pub now: u64,
}

/// A request to be POSTed as `application/x-www-form-urlencoded`. Both parts hold secrets.
#[derive(PartialEq, Eq)]
pub struct ClientRequest {
    /// The header `authorization`, where the client has a secret.
    pub authorization: Option<Zeroizing<String>>,
    /// The form.
    pub body: Zeroizing<String>,
}

/// The system cannot sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client's assertion cannot be signed")]
pub struct NotSigned;

impl ClientAuthentication {
    /// A form with this client's proof: a header for a secret, fields for a key. The facts and random numbers are those
    /// of the assertion, and matter for a key alone.
    ///
    /// # Errors
    /// [`NotSigned`].
    pub fn request(
        &self,
        client_id: &str,
        form: Form,
        facts: &AssertionFacts<'_>,
        random: &dyn SecureRandom,
    ) -> Result<ClientRequest, NotSigned> {
        match self {
            Self::SecretBasic(secret) => Ok(ClientRequest {
                authorization: Some(basic(client_id, secret)),
                body: form.into_body(),
            }),
            Self::PrivateKeyJwt(key) => {
                let named = (facts.audience, facts.id);
                let signed = key.sign(client_id, named, facts.now, random).ok_or(NotSigned)?;
                let form = form
                    .with("client_id", client_id)
                    .with("client_assertion_type", JWT_BEARER)
                    .with("client_assertion", &signed);
                Ok(ClientRequest { authorization: None, body: form.into_body() })
            }
        }
    }
}

/// Both parts are form-encoded first (RFC 6749 §2.3.1), so that a colon in one is no border between them.
fn basic(client_id: &str, secret: &ClientSecret) -> Zeroizing<String> {
    let room = 3 * (client_id.len() + secret.0.len()) + 1;
    let mut pair = Zeroizing::new(String::with_capacity(room));
    push_form_encoded(&mut pair, client_id);
    pair.push(':');
    push_form_encoded(&mut pair, &secret.0);
    let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
    Zeroizing::new(["Basic ", &encoded].concat())
}

impl fmt::Debug for ClientRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientRequest(..)")
    }
}
