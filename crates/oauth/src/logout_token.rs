//! A provider tells that a user signed out (OpenID Connect Back-Channel Logout 1.0 §2.4 to §2.6).

use identity::jws::KeySet;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::LEEWAY;
use crate::claims::{ClaimError, audiences, required, required_seconds, seconds, text};
use crate::form::parse_form;
use crate::signature::{TokenSignatureError, verified};

/// §2.4.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// How long after it was made a token counts, in seconds, whatever its `exp`: its id must be remembered so long (§2.4
/// recommends two minutes).
const MAX_AGE: u64 = 600;
/// How long one without `exp` counts: drafts of the standard had none.
const AGE_WITHOUT_END: u64 = 120;
/// The longest form of a provider: a token of 16 KiB, and its name.
const MAX_FORM: usize = 17 * 1024;

/// Why a logout token ends no session. Never holds any part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogoutTokenError {
    /// It is not signed by the provider.
    #[error("the logout token: {0}")]
    Signature(#[from] TokenSignatureError),
    /// A claim is missing or malformed.
    #[error("the logout token: {0}")]
    Claim(#[from] ClaimError),
    /// `iss` is another provider.
    #[error("the logout token is of another issuer")]
    Issuer,
    /// `aud` lacks our client id.
    #[error("the logout token is for another client")]
    Audience,
    /// It is over, or older than ten minutes.
    #[error("the logout token expired")]
    Expired,
    /// `iat` is to come by more than 30 s.
    #[error("the logout token is from the future; is this machine's clock right?")]
    Future,
    /// `events` lacks the event of a logout: it is another kind of token.
    #[error("the logout token has no event of a back-channel logout")]
    Event,
    /// It has a `nonce`: it is an ID token (§2.4: must not).
    #[error("the logout token has a `nonce`, as ID tokens have")]
    Nonce,
    /// Neither `sid` nor `sub`: whose session?
    #[error("the logout token has neither `sid` nor `sub`")]
    Nobody,
}

/// A logout token that was verified. It counts once: the caller remembers [`LogoutToken::id`] until
/// [`LogoutToken::until`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutToken {
    /// `jti`.
    pub id: Box<str>,
    /// `sid`: this session at the provider. Without it, all of the subject's.
    pub session_id: Option<Box<str>>,
    /// `sub`.
    pub subject: Option<Box<str>>,
    /// After this Unix second it is refused: at most ten minutes and a leeway after it was made.
    pub until: u64,
}

impl LogoutToken {
    /// Checks a token as §2.6 says, all but that its id is new. `now` in Unix seconds.
    ///
    /// # Errors
    /// [`LogoutTokenError`].
    pub fn verify(
        token: &[u8],
        keys: &KeySet,
        (issuer, client_id): (&str, &str),
        now: u64,
    ) -> Result<Self, LogoutTokenError> {
        let (claims, _) = verified(token, &["logout+jwt", "JWT"], keys)?;
        if required(&claims, "iss")? != issuer {
            return Err(LogoutTokenError::Issuer);
        }
        if !audiences(&claims)?.contains(&client_id) {
            return Err(LogoutTokenError::Audience);
        }
        let made = required_seconds(&claims, "iat")?;
        let until = until(made, seconds(&claims, "exp")?);
        if now > until {
            return Err(LogoutTokenError::Expired);
        }
        if made > now.saturating_add(LEEWAY) {
            return Err(LogoutTokenError::Future);
        }
        let event = claims.get("events").and_then(|events| events.get(EVENT));
        if !event.is_some_and(Value::is_object) {
            return Err(LogoutTokenError::Event);
        }
        if claims.contains_key("nonce") {
            return Err(LogoutTokenError::Nonce);
        }
        let (session_id, subject) = (text(&claims, "sid")?, text(&claims, "sub")?);
        if session_id.or(subject).is_none() {
            return Err(LogoutTokenError::Nobody);
        }
        Ok(Self {
            id: required(&claims, "jti")?.into(),
            session_id: session_id.map(Into::into),
            subject: subject.map(Into::into),
            until,
        })
    }
}

fn until(made: u64, expires: Option<u64>) -> u64 {
    let ends = expires.unwrap_or(made.saturating_add(AGE_WITHOUT_END));
    ends.min(made.saturating_add(MAX_AGE)).saturating_add(LEEWAY)
}

/// The token in a provider's form (§2.5): its field `logout_token`. `None`: no form that can be read, or without it.
#[must_use]
pub fn logout_token_of(body: &[u8]) -> Option<Zeroizing<String>> {
    let body = std::str::from_utf8(body).ok()?;
    let fields = parse_form(body, MAX_FORM).ok()?;
    let token = fields.into_iter().find(|(name, _)| name == "logout_token")?.1;
    Some(Zeroizing::new(token))
}
