//! What an issuer's answer means for requests: pure.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};
use oauth::{AnswerError, IntrospectedToken, IntrospectionAnswer, OAuthError};
use policy::{IntrospectionRule, TokenClaims};

use crate::http::TokenRefusal;
use crate::traffic::jwt::{LEEWAY_SECONDS, claim_headers};

/// What is known of a token.
#[derive(Debug, Clone)]
pub(super) enum IntrospectionVerdict {
    /// It is active, and for us.
    Active(Arc<ActiveToken>),
    /// It is not.
    Refused(TokenRefusal),
}

/// A token that is active.
#[derive(Debug)]
pub(super) struct ActiveToken {
    /// What policy sees.
    pub(super) claims: Arc<TokenClaims>,
    /// Headers for the app.
    pub(super) made: Vec<(HeaderName, HeaderValue)>,
    /// `exp`, Unix seconds.
    pub(super) expires: Option<u64>,
}

impl IntrospectionVerdict {
    /// The verdict as it is at this Unix second.
    pub(super) fn at(self, now: u64) -> Self {
        match &self {
            Self::Active(token) if token.is_over(now) => Self::Refused(TokenRefusal::Expired),
            _ => self,
        }
    }

    /// The value of the metric's label.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Active(_) => "active",
            Self::Refused(TokenRefusal::Inactive) => "inactive",
            Self::Refused(_) => "refused",
        }
    }
}

impl ActiveToken {
    fn is_over(&self, now: u64) -> bool {
        self.expires.is_some_and(|ends| now >= ends.saturating_add(LEEWAY_SECONDS))
    }
}

/// Why an answer says nothing of a token.
#[derive(Debug, thiserror::Error)]
pub(super) enum UselessAnswer {
    /// It is none of the standard's.
    #[error(transparent)]
    Unusable(#[from] AnswerError),
    /// 401 and the like are about us, not about the token (RFC 7662 §2.3).
    #[error("it answered with {0}")]
    Status(StatusCode),
}

/// What an answer means at `now` (Unix seconds).
///
/// # Errors
/// [`UselessAnswer`]: nothing is known of the token.
pub(super) fn of_answer(
    status: StatusCode,
    body: &[u8],
    rule: &IntrospectionRule,
    now: u64,
) -> Result<IntrospectionVerdict, UselessAnswer> {
    let refused = |refusal| Ok(IntrospectionVerdict::Refused(refusal));
    match status {
        StatusCode::OK => {}
        // Some issuers say so of tokens that were not meant to be asked about, such as those of others.
        StatusCode::BAD_REQUEST if is_unsupported(body) => return refused(TokenRefusal::Inactive),
        other => return Err(UselessAnswer::Status(other)),
    }
    let token = match IntrospectionAnswer::parse(body) {
        Ok(IntrospectionAnswer::Active(token)) => token,
        Ok(IntrospectionAnswer::Inactive) => return refused(TokenRefusal::Inactive),
        // It is a token, and of a sort that is not taken: a refresh token, or one that is bound to a key.
        Err(AnswerError::TokenType) => {
            return refused(TokenRefusal::Claims("`token_type` is not Bearer"));
        }
        Err(error) => return Err(error.into()),
    };
    Ok(match check(&token, rule, now) {
        Ok(()) => IntrospectionVerdict::Active(Arc::new(active(*token, rule))),
        Err(refusal) => IntrospectionVerdict::Refused(refusal),
    })
}

/// RFC 7009 §2.2.1.
fn is_unsupported(body: &[u8]) -> bool {
    OAuthError::parse(body).is_ok_and(|error| error.code() == "unsupported_token_type")
}

fn check(
    token: &IntrospectedToken,
    rule: &IntrospectionRule,
    now: u64,
) -> Result<(), TokenRefusal> {
    let settings = &rule.settings;
    if token.issuer.as_deref().is_some_and(|issuer| *issuer != *settings.issuer) {
        return Err(TokenRefusal::UnknownIssuer);
    }
    if !rule.takes(&token.audiences) {
        return Err(TokenRefusal::Audience);
    }
    if token.claims.contains_key("cnf") {
        // A binding that is not checked must not make the token pass as unbound.
        return Err(TokenRefusal::Claims(
            "`cnf`: a token that is bound to a key is not taken here",
        ));
    }
    if settings.audiences.is_empty() && !token.claims.contains_key("token_type") {
        // It could be a refresh token: many issuers answer for those, too.
        return Err(TokenRefusal::Claims(
            "neither `token_type` in the answer nor `audiences` in the TokenIntrospection",
        ));
    }
    match token.is_valid_at(now) {
        true => Ok(()),
        false if token.expires.is_some_and(|ends| now >= ends) => Err(TokenRefusal::Expired),
        false => Err(TokenRefusal::NotYetValid),
    }
}

fn active(token: IntrospectedToken, rule: &IntrospectionRule) -> ActiveToken {
    let IntrospectedToken { subject, audiences, expires, claims, .. } = token;
    let settings = &rule.settings;
    let made = claim_headers::made(&settings.claim_headers, &claims).collect();
    let claims = TokenClaims {
        issuer: settings.issuer.to_string(),
        subject: subject.map(String::from),
        audiences: audiences.into_iter().map(String::from).collect(),
        claims,
    };
    ActiveToken { claims: Arc::new(claims), made, expires }
}
