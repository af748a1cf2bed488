//! What a browser brings back from the provider (RFC 6749 §4.1.2, RFC 9207). Anybody can make one up.

use std::fmt;

use zeroize::Zeroizing;

use crate::constant_time::is_same_text;
use crate::error::OAuthError;
use crate::form::{FormError, parse_form};
use crate::metadata::ProviderMetadata;

/// The longest query, in bytes.
const MAX_QUERY: usize = 8 * 1024;
/// The longest code, in bytes: some providers put a signed token into it.
const MAX_CODE: usize = 4 * 1024;
/// The longest state, in bytes. Ours has 43.
const MAX_STATE: usize = 256;

/// Why a callback is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// No query that can be read, or a parameter twice.
    #[error("the callback's query: {0}")]
    Query(#[from] FormError),
    /// No `state`, an empty one, one that is too long, or one with control characters.
    #[error("the callback has no usable `state`")]
    NoState,
    /// Neither a code nor an error that can be used, or both.
    #[error("the callback has neither a usable `code` nor a usable `error`, or both")]
    NoOutcome,
    /// The provider names itself in its callbacks, and this one does not (RFC 9207 §2.4).
    #[error("the callback has no `iss`, and the provider always sends it")]
    NoIssuer,
    /// It is from another provider: a mix-up attack (RFC 9207 §2.4).
    #[error("the callback's `iss` is another provider")]
    Issuer,
}

/// What came of a sign-in at the provider. `Debug` does not show the code.
#[derive(Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A code to redeem, once.
    Code(Zeroizing<String>),
    /// The provider's refusal.
    Refused(OAuthError),
}

/// A callback, as its query says. `Debug` does not show its values.
#[derive(Clone, PartialEq, Eq)]
pub struct CallbackQuery {
    state: Zeroizing<String>,
    outcome: Outcome,
    issuer: Option<String>,
}

impl CallbackQuery {
    /// Reads the query of a callback, without its `?`. Parameters that are not known are passed over (RFC 6749 §4.1.2);
    /// none may stand there twice.
    ///
    /// # Errors
    /// [`CallbackError`].
    pub fn parse(query: &str) -> Result<Self, CallbackError> {
        let mut fields = parse_form(query, MAX_QUERY)?;
        let mut take = |name: &str| {
            let at = fields.iter().position(|(known, _)| known == name)?;
            Some(fields.swap_remove(at).1)
        };
        let state = take("state").filter(|state| is_plain(state, MAX_STATE));
        let state = Zeroizing::new(state.ok_or(CallbackError::NoState)?);
        let code = take("code").map(Zeroizing::new);
        let (error, description) = (take("error"), take("error_description"));
        let outcome = match (code, error) {
            (Some(code), None) if is_plain(&code, MAX_CODE) => Outcome::Code(code),
            (None, Some(error)) => OAuthError::new(&error, description.as_deref())
                .map(Outcome::Refused)
                .ok_or(CallbackError::NoOutcome)?,
            _ => return Err(CallbackError::NoOutcome),
        };
        Ok(Self { state, outcome, issuer: take("iss") })
    }

    /// Which flow it says to belong to. To find it only: [`CallbackQuery::is_of`] says whether it does.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }

    /// Whether it answers the request with this `state`; compared in constant time.
    #[must_use]
    pub fn is_of(&self, state: &str) -> bool {
        is_same_text(&self.state, state)
    }

    /// Whether it comes from the provider that was asked (RFC 9207 §2.4): `iss` is the same to the letter, and is
    /// there where the provider says that it always sends it. Holds for errors as for codes.
    ///
    /// # Errors
    /// [`CallbackError::NoIssuer`] and [`CallbackError::Issuer`].
    pub fn check_issuer(&self, provider: &ProviderMetadata) -> Result<(), CallbackError> {
        match &self.issuer {
            None if provider.callbacks_name_issuer => Err(CallbackError::NoIssuer),
            Some(issuer) if **issuer != *provider.issuer => Err(CallbackError::Issuer),
            _ => Ok(()),
        }
    }

    /// The code, or why there is none.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }
}

fn is_plain(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && !text.contains(char::is_control)
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(_) => f.write_str("Code(..)"),
            Self::Refused(error) => write!(f, "Refused({error:?})"),
        }
    }
}

impl fmt::Debug for CallbackQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallbackQuery(..)")
    }
}
