//! The forms that a client sends to a provider's endpoints, still without the client's proof
//! ([`crate::ClientAuthentication::request`] adds it).

use crate::authorization::CodeVerifier;
use crate::form::Form;

/// Redeems a code (RFC 6749 §4.1.3, RFC 7636 §4.5). `redirect_uri` is that of the authorization request.
#[must_use]
pub fn authorization_code(code: &str, redirect_uri: &str, verifier: &CodeVerifier) -> Form {
    Form::new()
        .with("grant_type", "authorization_code")
        .with("code", code)
        .with("redirect_uri", redirect_uri)
        .with("code_verifier", verifier.secret())
}

/// Asks for new tokens (RFC 6749 §6), of the scope of before.
#[must_use]
pub fn refresh_token(token: &str) -> Form {
    Form::new().with("grant_type", "refresh_token").with("refresh_token", token)
}

/// Asks for a token of the client's own (RFC 6749 §4.4). `scope`: separated by blanks; `audience`: what some providers
/// want; `resource`: RFC 8707 §2. What is empty is not sent.
#[must_use]
pub fn client_credentials(scope: &str, audience: &str, resource: &str) -> Form {
    Form::new()
        .with("grant_type", "client_credentials")
        .with_some("scope", scope)
        .with_some("audience", audience)
        .with_some("resource", resource)
}

/// Asks what an access token is (RFC 7662 §2.1).
#[must_use]
pub fn introspection(token: &str) -> Form {
    Form::new().with("token", token).with("token_type_hint", "access_token")
}

/// Ends a refresh token, and with it what was given for it (RFC 7009 §2.1).
#[must_use]
pub fn revocation(refresh_token: &str) -> Form {
    Form::new().with("token", refresh_token).with("token_type_hint", "refresh_token")
}
