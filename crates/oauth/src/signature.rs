//! A signed token of the provider: its signature first, its claims then.

use identity::jws::{Algorithm, Jws, JwsError, KeySet};
use serde_json::{Map, Value};

/// Why a token is not the provider's. Never holds any part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenSignatureError {
    /// No signed token, or by an algorithm that is not taken (`none` and HMAC are not).
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// Its `typ` says that it is for another use (RFC 8725 §3.11).
    #[error("its `typ` is that of another kind of token")]
    Type,
    /// The provider's keys lack the one it names: they may have been rolled over, and are worth another look.
    #[error("it is signed by a key that the provider's keys lack")]
    UnknownKey,
    /// The key is for another algorithm.
    #[error("its `alg` does not fit the key that it names")]
    Algorithm,
    /// Somebody else signed it, or something was changed.
    #[error("its signature is wrong")]
    Signature,
}

/// The claims of a token that one of these keys signed, and the algorithm. A token without a `typ` may be any.
pub(crate) fn verified(
    token: &[u8],
    types: &[&str],
    keys: &KeySet,
) -> Result<(Map<String, Value>, Algorithm), TokenSignatureError> {
    let jws = Jws::open(token)?;
    if let Some(kind) = jws.header().get("typ") {
        let kind = kind.as_str().unwrap_or_default();
        let short = kind.get(..12).filter(|start| start.eq_ignore_ascii_case("application/"));
        let kind = short.map_or(kind, |_| kind.get(12..).unwrap_or_default());
        if !types.iter().any(|known| known.eq_ignore_ascii_case(kind)) {
            return Err(TokenSignatureError::Type);
        }
    }
    let algorithm = jws.algorithm();
    let key = keys.find(jws.kid()?, algorithm).ok_or(TokenSignatureError::UnknownKey)?;
    if !key.fits(algorithm) {
        return Err(TokenSignatureError::Algorithm);
    }
    if !jws.is_signed_by(key) {
        return Err(TokenSignatureError::Signature);
    }
    Ok((jws.claims()?, algorithm))
}
