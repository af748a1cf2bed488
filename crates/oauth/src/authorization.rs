//! Where a browser is sent to sign in (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1), with PKCE (RFC 7636).

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SecureRandom;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::form::push_query_field;
use crate::random::{NoRandomness, random_text};

/// The verifier of PKCE: the browser that began is the one that ends. A secret until the code is redeemed.
#[derive(Clone, PartialEq, Eq)]
pub struct CodeVerifier(Zeroizing<String>);

impl CodeVerifier {
    /// 256 random bits: 43 characters (RFC 7636 §4.1).
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn new(random: &dyn SecureRandom) -> Result<Self, NoRandomness> {
        random_text(random).map(Self)
    }

    /// One that was kept. `None`: not 43 to 128 unreserved characters.
    #[must_use]
    pub fn kept(text: &str) -> Option<Self> {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let good = (43..=128).contains(&text.len()) && text.bytes().all(unreserved);
        good.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The secret itself, for the token request and the flow's sealed cookie.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Its challenge by S256 (RFC 7636 §4.2).
    #[must_use]
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.0.as_bytes()))
    }
}

impl fmt::Debug for CodeVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeVerifier(..)")
    }
}

/// An authentication request by the code flow.
#[derive(Debug, Clone, Copy)]
pub struct AuthorizationRequest<'a> {
    /// The provider's `authorization_endpoint`; a query of its own stays.
    pub endpoint: &'a str,
    /// Who asks.
    pub client_id: &'a str,
    /// Where the browser comes back to; the token request repeats it to the letter.
    pub redirect_uri: &'a str,
    /// Separated by blanks; `openid` among them.
    pub scope: &'a str,
    /// Comes back in the callback.
    pub state: &'a str,
    /// Comes back in the ID token.
    pub nonce: &'a str,
    /// [`CodeVerifier::challenge`].
    pub code_challenge: &'a str,
    /// How well the user is to be authenticated, separated by blanks; empty: as the provider likes.
    pub acr_values: &'a str,
    /// How long ago the user may have authenticated, in seconds.
    pub max_age: Option<u64>,
    /// `login` to ask again, `none` never to ask; empty: as the provider likes.
    pub prompt: &'a str,
}

impl AuthorizationRequest<'_> {
    /// As a URL to redirect to.
    #[must_use]
    pub fn url(&self) -> String {
        let mut url = self.endpoint.to_owned();
        let max_age = self.max_age.map(|seconds| seconds.to_string()).unwrap_or_default();
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", self.client_id),
            ("redirect_uri", self.redirect_uri),
            ("scope", self.scope),
            ("state", self.state),
            ("nonce", self.nonce),
            ("code_challenge", self.code_challenge),
            ("code_challenge_method", "S256"),
            ("acr_values", self.acr_values),
            ("max_age", &max_age),
            ("prompt", self.prompt),
        ] {
            if !value.is_empty() {
                push_query_field(&mut url, name, value);
            }
        }
        url
    }
}
