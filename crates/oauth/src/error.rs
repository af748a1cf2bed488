//! The error form of OAuth (RFC 6749 §5.2, and §4.1.2.1 in a query).

use identity::json;

use crate::claims::text_within;
use crate::token_answer::AnswerError;
use crate::{MAX_ANSWER, claims};

/// The longest code: the longest of OpenID Connect Core §3.1.2.6 has 26 characters.
const MAX_CODE: usize = 64;
/// What is kept of a description, in characters.
const MAX_DESCRIPTION: usize = 256;

/// An error that a provider answered. Its texts are the provider's, or those of whoever made up a callback: they belong
/// into logs, and into no page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthError {
    code: Box<str>,
    description: Option<Box<str>>,
}

impl OAuthError {
    /// Reads an answer of 400 or 401.
    ///
    /// # Errors
    /// [`AnswerError`]: it is not of this form.
    pub fn parse(body: &[u8]) -> Result<Self, AnswerError> {
        if body.len() > MAX_ANSWER {
            return Err(AnswerError::TooLarge);
        }
        let members = json::object(body).map_err(|_| AnswerError::NoJson)?;
        let code = text_within(&members, "error", MAX_CODE)?;
        let code = code.ok_or(claims::ClaimError::Missing("error"))?;
        let description = members.get("error_description").and_then(|text| text.as_str());
        Self::new(code, description).ok_or(claims::ClaimError::Malformed("error").into())
    }

    /// `None`: the code is empty, longer than 64 bytes, or has characters that RFC 6749 §5.2 does not allow. Of the
    /// description what cannot be shown is left out, and what is too long is cut.
    #[must_use]
    pub fn new(code: &str, description: Option<&str>) -> Option<Self> {
        let sized = (1..=MAX_CODE).contains(&code.len());
        (sized && code.bytes().all(is_allowed)).then(|| Self {
            code: code.into(),
            description: description.map(shown).filter(|text| !text.is_empty()),
        })
    }

    /// Such as `invalid_grant` or `access_denied`: at most 64 printable characters.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// For people: at most 256 printable characters.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The grant is over: a code that was used, a refresh token that was revoked or rotated away. Nothing but a new
    /// sign-in helps.
    #[must_use]
    pub fn is_invalid_grant(&self) -> bool {
        &*self.code == "invalid_grant"
    }

    /// The provider does not know us: a wrong secret or client id.
    #[must_use]
    pub fn is_invalid_client(&self) -> bool {
        matches!(&*self.code, "invalid_client" | "unauthorized_client")
    }

    /// The provider may know better a moment later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(&*self.code, "temporarily_unavailable" | "server_error" | "slow_down")
    }
}

/// RFC 6749 §5.2: `%x20-21 / %x23-5B / %x5D-7E`.
fn is_allowed(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

fn shown(text: &str) -> Box<str> {
    let allowed = |c: &char| u8::try_from(*c).is_ok_and(is_allowed);
    text.chars().filter(allowed).take(MAX_DESCRIPTION).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn errors_of_providers() {
        let missing = Err(AnswerError::Claim(claims::ClaimError::Missing("error")));
        let malformed = Err(AnswerError::Claim(claims::ClaimError::Malformed("error")));
        for (name, body, expect) in [
            ("good", r#"{"error":"invalid_grant"}"#, Ok(("invalid_grant", None))),
            (
                "described",
                r#"{"error":"a","error_description":"it <b>\"is\"</b>\n\u00e4","error_uri":"x"}"#,
                Ok(("a", Some("it <b>is</b>"))),
            ),
            ("description no text", r#"{"error":"a","error_description":1}"#, Ok(("a", None))),
            ("no error", "{}", missing),
            ("error no text", r#"{"error":1}"#, malformed),
            ("error with a quote", r#"{"error":"a\"b"}"#, malformed),
            ("error beyond ASCII", r#"{"error":"\u00e4"}"#, malformed),
            ("error twice", r#"{"error":"a","error":"b"}"#, Err(AnswerError::NoJson)),
            ("a page", "<html>", Err(AnswerError::NoJson)),
        ] {
            let seen = OAuthError::parse(body.as_bytes());
            let seen = seen.as_ref().map(|error| (error.code(), error.description()));
            assert_eq!(seen.map_err(Clone::clone), expect, "{name}");
        }
        let long = format!(r#"{{"error":"a","error_description":"{}"}}"#, "x".repeat(9999));
        assert_eq!(OAuthError::parse(long.as_bytes()).unwrap().description().unwrap().len(), 256);
        let larger = vec![b' '; MAX_ANSWER + 1];
        assert_eq!(OAuthError::parse(&larger), Err(AnswerError::TooLarge));
    }
}
