//! What a provider says of a token (RFC 7662 §2.2).

use std::fmt;

use identity::json;
use serde_json::{Map, Value};

use crate::claims::{ClaimError, audiences, seconds, text};
use crate::token_answer::AnswerError;
use crate::{LEEWAY, MAX_ANSWER};

/// Whether a token counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntrospectionAnswer {
    /// It does not: expired, revoked, or never issued. Nothing else of the answer is read.
    Inactive,
    /// It does, as far as the provider is concerned: [`IntrospectedToken::is_valid_at`], and for whom it is, are up to
    /// us.
    Active(Box<IntrospectedToken>),
}

/// What is known of an active token. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct IntrospectedToken {
    /// `iss`, where it says so.
    pub issuer: Option<Box<str>>,
    /// `sub`.
    pub subject: Option<Box<str>>,
    /// `aud`.
    pub audiences: Vec<Box<str>>,
    /// `exp`, Unix seconds.
    pub expires: Option<u64>,
    /// `nbf`, Unix seconds.
    pub not_before: Option<u64>,
    /// `iat`, Unix seconds.
    pub issued_at: Option<u64>,
    /// `jti`.
    pub id: Option<Box<str>>,
    /// `client_id`: whom it was issued to.
    pub client_id: Option<Box<str>>,
    /// All members but `active`, those above included: what policy sees.
    pub claims: Map<String, Value>,
}

impl IntrospectionAnswer {
    /// Reads an answer of 200.
    ///
    /// # Errors
    /// [`AnswerError`]: `active` is missing or no boolean, a time is no whole number, `token_type` is there and is not
    /// Bearer (a token that is bound to a key, by DPoP say, is none without it).
    pub fn parse(body: &[u8]) -> Result<Self, AnswerError> {
        if body.len() > MAX_ANSWER {
            return Err(AnswerError::TooLarge);
        }
        let mut claims = json::object(body).map_err(|_| AnswerError::NoJson)?;
        match claims.remove("active") {
            Some(Value::Bool(false)) => return Ok(Self::Inactive),
            Some(Value::Bool(true)) => {}
            Some(_) => return Err(ClaimError::Malformed("active").into()),
            None => return Err(ClaimError::Missing("active").into()),
        }
        // Some providers write null for what they do not know.
        claims.retain(|_, value| !value.is_null());
        if !claims.get("token_type").is_none_or(is_bearer) {
            return Err(AnswerError::TokenType);
        }
        IntrospectedToken::read(claims).map(|token| Self::Active(Box::new(token)))
    }
}

impl IntrospectedToken {
    fn read(claims: Map<String, Value>) -> Result<Self, AnswerError> {
        let boxed = |name| text(&claims, name).map(|text| text.map(Into::into));
        Ok(Self {
            issuer: boxed("iss")?,
            subject: boxed("sub")?,
            audiences: audiences(&claims)?.into_iter().map(Into::into).collect(),
            expires: seconds(&claims, "exp")?,
            not_before: seconds(&claims, "nbf")?,
            issued_at: seconds(&claims, "iat")?,
            id: boxed("jti")?,
            client_id: boxed("client_id")?,
            claims,
        })
    }

    /// Whether it counts at this Unix second by its own times, give or take the leeway.
    #[must_use]
    pub fn is_valid_at(&self, now: u64) -> bool {
        let over = self.expires.is_some_and(|ends| now >= ends.saturating_add(LEEWAY));
        let latest = now.saturating_add(LEEWAY);
        let early = [self.not_before, self.issued_at].into_iter().flatten().any(|at| at > latest);
        !over && !early
    }
}

/// `token_type` (RFC 6749 §5.1).
fn is_bearer(kind: &Value) -> bool {
    kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"))
}

impl fmt::Debug for IntrospectedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntrospectedToken(..)")
    }
}
