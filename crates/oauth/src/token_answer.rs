//! What a token endpoint answers (RFC 6749 §5).

use std::fmt;

use identity::json;
use identity::jws::MAX_TOKEN;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::MAX_ANSWER;
use crate::claims::{ClaimError, seconds, text_within};
use crate::error::OAuthError;

/// What `expires_in` counts for at most, in seconds: 30 days. A number beyond it is a mistake or no bound at all.
const MAX_LIFETIME: u64 = 30 * 24 * 3600;
/// The longest scope that is kept, in bytes.
const MAX_SCOPE: usize = 4 * 1024;

/// Why a provider's answer cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// More than 64 KiB.
    #[error("the provider's answer is larger than 64 KiB")]
    TooLarge,
    /// No JSON object whose members each stand there once.
    #[error("the provider's answer is no JSON object whose members each stand there once")]
    NoJson,
    /// A member is not as its standard says.
    #[error("the provider's answer: {0}")]
    Claim(#[from] ClaimError),
    /// `token_type` is not Bearer: what it is for, we do not know.
    #[error("the provider's answer: its `token_type` is not Bearer")]
    TokenType,
}

/// Why there are no tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenAnswerError {
    /// The provider refused, in its own words.
    #[error("the provider refused: {}", .0.code())]
    Refused(OAuthError),
    /// Another status, or no answer of this form.
    #[error("the provider answered with status {0} and no OAuth error")]
    Status(u16),
    /// 200 with what cannot be used.
    #[error(transparent)]
    Unusable(#[from] AnswerError),
}

/// Tokens. All of them are secrets, wiped and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenAnswer {
    /// At most 16 KiB, printable ASCII.
    pub access_token: Zeroizing<String>,
    /// How long the access token is good, in seconds, at most 30 days. `None`: the provider does not say.
    pub expires_in: Option<u64>,
    /// A new refresh token. `None`: the one of before stays (RFC 6749 §6), where there is one.
    pub refresh_token: Option<Zeroizing<String>>,
    /// Not verified yet: [`crate::IdToken::verify`].
    pub id_token: Option<Zeroizing<String>>,
    /// `None`: what was asked for.
    pub scope: Option<Box<str>>,
}

impl TokenAnswer {
    /// Reads an answer of the token endpoint, by its status.
    ///
    /// # Errors
    /// [`TokenAnswerError`].
    pub fn read(status: u16, body: &[u8]) -> Result<Self, TokenAnswerError> {
        match status {
            200 => Ok(Self::parse(body)?),
            400 | 401 | 403 => Err(OAuthError::parse(body)
                .map_or(TokenAnswerError::Status(status), TokenAnswerError::Refused)),
            _ => Err(TokenAnswerError::Status(status)),
        }
    }

    /// Reads an answer of 200. Members that are not known are passed over (RFC 6749 §5.1).
    ///
    /// # Errors
    /// [`AnswerError`].
    pub fn parse(body: &[u8]) -> Result<Self, AnswerError> {
        if body.len() > MAX_ANSWER {
            return Err(AnswerError::TooLarge);
        }
        let members = json::object(body).map_err(|_| AnswerError::NoJson)?;
        let token = |name: &'static str| -> Result<Option<Zeroizing<String>>, ClaimError> {
            let text = text_within(&members, name, MAX_TOKEN)?;
            match text.map(|text| text.bytes().all(|byte| byte.is_ascii_graphic())) {
                Some(false) => Err(ClaimError::Malformed(name)),
                _ => Ok(text.map(|text| Zeroizing::new(text.to_owned()))),
            }
        };
        let kind = members.get("token_type").and_then(Value::as_str);
        if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
            return Err(AnswerError::TokenType);
        }
        // An empty text means none: some providers write it so.
        let is_empty = |name| members.get(name).is_some_and(|text| text == "");
        let kept = |name| if is_empty(name) { Ok(None) } else { token(name) };
        let scope =
            if is_empty("scope") { None } else { text_within(&members, "scope", MAX_SCOPE)? };
        Ok(Self {
            access_token: token("access_token")?.ok_or(ClaimError::Missing("access_token"))?,
            expires_in: seconds(&members, "expires_in")?.map(|lasts| lasts.min(MAX_LIFETIME)),
            refresh_token: kept("refresh_token")?,
            id_token: kept("id_token")?,
            scope: scope.map(Into::into),
        })
    }
}

impl fmt::Debug for TokenAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenAnswer(..)")
    }
}
