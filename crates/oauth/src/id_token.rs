//! Who signed in (OpenID Connect Core §2, §3.1.3.7).

use std::fmt;

use aws_lc_rs::digest::{self, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::jws::{Algorithm, KeySet};
use serde_json::{Map, Value};

use crate::LEEWAY;
use crate::claims::{ClaimError, audiences, required, required_seconds, seconds, text};
use crate::constant_time::is_same_text;
use crate::signature::{TokenSignatureError, verified};

/// Why an ID token is not believed. Never holds any part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// It is not signed by the provider.
    #[error("the ID token: {0}")]
    Signature(#[from] TokenSignatureError),
    /// A claim is missing or malformed.
    #[error("the ID token: {0}")]
    Claim(#[from] ClaimError),
    /// `iss` is another provider.
    #[error("the ID token is of another issuer")]
    Issuer,
    /// `aud` lacks our client id.
    #[error("the ID token is for another client")]
    Audience,
    /// `azp` is another client, or is missing where several are named.
    #[error("the ID token was issued to another client (`azp`)")]
    AuthorizedParty,
    /// `nonce` is not the flow's: it was taken from another sign-in.
    #[error("the ID token is of another sign-in (`nonce`)")]
    Nonce,
    /// `at_hash` is not the access token's.
    #[error("the access token beside the ID token is another one's (`at_hash`)")]
    AccessToken,
    /// It is over.
    #[error("the ID token expired")]
    Expired,
    /// `iat`, `nbf` or `auth_time` is to come by more than 30 s: one of the clocks is off.
    #[error("the ID token is from the future; is this machine's clock right?")]
    Future,
    /// The user authenticated longer ago than was asked for.
    #[error("the user authenticated too long ago (`auth_time`)")]
    AuthenticatedTooLongAgo,
    /// The user authenticated in another way than was asked for.
    #[error("the user did not authenticate as demanded (`acr`)")]
    AuthenticationContext,
    /// A refresh answered with another user (OpenID Connect Core §12.2).
    #[error("the ID token is of another user than the session")]
    Subject,
}

/// What an ID token must say beside being the provider's.
#[derive(Debug, Clone, Copy)]
pub struct IdTokenExpectations<'a> {
    /// The provider, to the letter.
    pub issuer: &'a str,
    /// Ours.
    pub client_id: &'a str,
    /// Of the flow. `None` at a refresh alone, which has none (§12.2).
    pub nonce: Option<&'a str>,
    /// Who it must be; at a refresh that of the session. `None`: whoever signs in.
    pub subject: Option<&'a str>,
    /// The access token that came along, for `at_hash`.
    pub access_token: Option<&'a str>,
    /// How long ago the user may have authenticated, in seconds; `auth_time` is required then.
    pub max_age: Option<u64>,
    /// One of these, separated by blanks, must be the `acr`; empty: any.
    pub acr_values: &'a str,
}

/// An ID token that was verified. `Debug` does not show what it says of the user.
#[derive(Clone, PartialEq, Eq)]
pub struct IdToken {
    /// `sub`: who, at this issuer.
    pub subject: Box<str>,
    /// `sid`: the session at the provider, by which it may end (Back-Channel Logout 1.0 §2.1).
    pub session_id: Option<Box<str>>,
    /// When the user authenticated, Unix seconds.
    pub auth_time: Option<u64>,
    /// How.
    pub acr: Option<Box<str>>,
    /// When it was made, Unix seconds.
    pub issued_at: u64,
    /// When it ends, Unix seconds.
    pub expires: u64,
    /// All claims, those above included.
    pub claims: Map<String, Value>,
}

impl IdToken {
    /// Checks a token as OpenID Connect Core §3.1.3.7 says, the signature first. `now` in Unix seconds.
    ///
    /// # Errors
    /// [`IdTokenError`]. After [`TokenSignatureError::UnknownKey`] the keys are worth another look.
    pub fn verify(
        token: &[u8],
        keys: &KeySet,
        expected: &IdTokenExpectations<'_>,
        now: u64,
    ) -> Result<Self, IdTokenError> {
        let (claims, algorithm) = verified(token, &["JWT"], keys)?;
        check_parties(&claims, expected)?;
        check_flow(&claims, expected, algorithm)?;
        let (issued_at, expires) = check_times(&claims, now)?;
        let auth_time = seconds(&claims, "auth_time")?;
        check_age(auth_time, expected.max_age, now)?;
        let acr = text(&claims, "acr")?;
        check_context(acr, expected.acr_values)?;
        let subject = required(&claims, "sub")?;
        if expected.subject.is_some_and(|wanted| wanted != subject) {
            return Err(IdTokenError::Subject);
        }
        Ok(Self {
            subject: subject.into(),
            session_id: text(&claims, "sid")?.map(Into::into),
            auth_time,
            acr: acr.map(Into::into),
            issued_at,
            expires,
            claims,
        })
    }
}

/// Steps 2 to 5: from whom, for whom.
fn check_parties(
    claims: &Map<String, Value>,
    expected: &IdTokenExpectations<'_>,
) -> Result<(), IdTokenError> {
    if required(claims, "iss")? != expected.issuer {
        return Err(IdTokenError::Issuer);
    }
    let audiences = audiences(claims)?;
    if !audiences.contains(&expected.client_id) {
        return Err(IdTokenError::Audience);
    }
    match text(claims, "azp")? {
        None if audiences.len() > 1 => Err(IdTokenError::AuthorizedParty),
        Some(party) if party != expected.client_id => Err(IdTokenError::AuthorizedParty),
        _ => Ok(()),
    }
}

/// Step 11, and §3.1.3.8.
fn check_flow(
    claims: &Map<String, Value>,
    expected: &IdTokenExpectations<'_>,
    algorithm: Algorithm,
) -> Result<(), IdTokenError> {
    if let Some(nonce) = expected.nonce
        && !is_same_text(required(claims, "nonce")?, nonce)
    {
        return Err(IdTokenError::Nonce);
    }
    if let (Some(hash), Some(token)) = (text(claims, "at_hash")?, expected.access_token)
        && !is_same_text(hash, &half_hash(token, algorithm))
    {
        return Err(IdTokenError::AccessToken);
    }
    Ok(())
}

/// The left half of a token's hash, by the hash of the signature's algorithm (§3.1.3.6).
pub(crate) fn half_hash(token: &str, algorithm: Algorithm) -> String {
    let hash = match algorithm {
        Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256 => &digest::SHA256,
        Algorithm::Rs384 | Algorithm::Ps384 | Algorithm::Es384 => &digest::SHA384,
        // Ed25519 hashes by SHA-512 (RFC 8032 §5.1).
        Algorithm::Rs512 | Algorithm::Ps512 | Algorithm::Es512 | Algorithm::EdDsa => {
            &digest::SHA512
        }
    };
    let whole = digest(hash, token.as_bytes());
    let (half, _) = whole.as_ref().split_at(whole.as_ref().len() / 2);
    URL_SAFE_NO_PAD.encode(half)
}

/// Steps 9 and 10: `iat` and `exp`, give or take the leeway.
pub(crate) fn check_times(
    claims: &Map<String, Value>,
    now: u64,
) -> Result<(u64, u64), IdTokenError> {
    let (issued_at, expires) = (required_seconds(claims, "iat")?, required_seconds(claims, "exp")?);
    if now >= expires.saturating_add(LEEWAY) {
        return Err(IdTokenError::Expired);
    }
    let latest = now.saturating_add(LEEWAY);
    if issued_at > latest || seconds(claims, "nbf")?.is_some_and(|begins| begins > latest) {
        return Err(IdTokenError::Future);
    }
    Ok((issued_at, expires))
}

/// Step 13.
fn check_age(auth_time: Option<u64>, max_age: Option<u64>, now: u64) -> Result<(), IdTokenError> {
    if auth_time.is_some_and(|at| at > now.saturating_add(LEEWAY)) {
        return Err(IdTokenError::Future);
    }
    let Some(max_age) = max_age else { return Ok(()) };
    let at = auth_time.ok_or(ClaimError::Missing("auth_time"))?;
    let latest = at.saturating_add(max_age).saturating_add(LEEWAY);
    if now > latest { Err(IdTokenError::AuthenticatedTooLongAgo) } else { Ok(()) }
}

/// Step 12.
fn check_context(acr: Option<&str>, demanded: &str) -> Result<(), IdTokenError> {
    let mut demanded = demanded.split_ascii_whitespace().peekable();
    let none = demanded.peek().is_none();
    let met = none || acr.is_some_and(|acr| demanded.any(|value| value == acr));
    met.then_some(()).ok_or(IdTokenError::AuthenticationContext)
}

impl fmt::Debug for IdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdToken(..)")
    }
}
