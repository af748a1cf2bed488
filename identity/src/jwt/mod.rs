//! JWT-SVIDs: from a token to the SPIFFE id it proves (JWT-SVID §2 to §5).
//!
//! The order is fixed: size and shape, header (the algorithm before anything is computed, §4), claims, the bundle *of
//! the subject's own trust domain* (Workload API §6.3), the signature. What a token says is trusted only after the last
//! step.

mod bundle;
pub mod internal;
mod key;

use rustls_pki_types::UnixTime;
use serde_json::{Map, Number, Value};

pub use bundle::{JwtBundle, JwtBundles, MAX_KEYS};
pub use key::{JwtKey, MAX_KID};

use crate::jws::{Algorithm, Jws, JwsError};
use crate::{IdError, SpiffeId, TrustDomain};

/// How far clocks may differ, in seconds: a token is good this long after `exp` and before `nbf` (RFC 7519 §4.1.4
/// allows "some small leeway"; JWT-SVID appendix A too).
pub const LEEWAY: u64 = 60;
/// The headers a JWT-SVID may have (JWT-SVID §2).
const HEADERS: [&str; 3] = ["alg", "kid", "typ"];

/// Why a token is refused as a JWT-SVID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Longer than 16 KiB.
    #[error("the token is longer than 16 KiB")]
    TooLarge,
    /// Not the compact serialization of a JWS over JSON.
    #[error("the token is not a compact JWS: {0}")]
    Malformed(&'static str),
    /// A header beyond `alg`, `kid` and `typ` (JWT-SVID §2).
    #[error("the token has the header {0:?}; a JWT-SVID has only alg, kid and typ")]
    Header(String),
    /// `alg` is missing or not among RS, ES, PS with 256, 384, 512 (JWT-SVID §2.1).
    #[error(
        "the token's `alg` is not one of RS256, RS384, RS512, ES256, ES384, ES512, PS256, PS384, PS512"
    )]
    Algorithm,
    /// `typ` is neither `JWT` nor `JOSE` (JWT-SVID §2.3).
    #[error("the token's `typ` is neither JWT nor JOSE")]
    Type,
    /// No `sub` (JWT-SVID §3.1).
    #[error("the token has no `sub`; it must be the SPIFFE id of a workload")]
    NoSubject,
    /// `sub` is not a SPIFFE id.
    #[error("the token's `sub` is not a SPIFFE id: {0}")]
    Subject(IdError),
    /// `sub` names a trust domain, not a workload.
    #[error("the token's `sub` has no path; it must be the SPIFFE id of a workload")]
    RootPath,
    /// No `aud`, or an empty one (JWT-SVID §3.2).
    #[error("the token has no `aud`")]
    NoAudience,
    /// `aud` does not name us.
    #[error("the token is not for the audience {0:?}")]
    Audience(String),
    /// No `exp` (JWT-SVID §3.3), or one that is no number of seconds.
    #[error("the token has no usable `exp`")]
    NoExpiry,
    /// `exp` is past.
    #[error("the token of {id} expired at {expired} (now {now}, Unix seconds)")]
    Expired {
        /// Whom the token names.
        id: SpiffeId,
        /// Its `exp`.
        expired: u64,
        /// The verifier's clock.
        now: u64,
    },
    /// `nbf` is in the future, or no number of seconds (RFC 7519 §4.1.5).
    #[error("the token is not valid yet")]
    NotYet,
    /// No bundle is held for the subject's trust domain.
    #[error("no JWT bundle is held for the subject's trust domain {0:?}")]
    UnknownTrustDomain(String),
    /// The bundle has no key of that `kid`, or without `kid` not exactly one that fits.
    #[error("the trust domain {0} has no key that this token names")]
    UnknownKey(TrustDomain),
    /// The key did not make the signature, or is none for the token's algorithm.
    #[error("the signature is not by the key that the token names")]
    Signature,
}

// Implemented by hand, without a source: this message contains the inner error's text, and a reporter would print it
// twice.
impl From<IdError> for JwtError {
    fn from(error: IdError) -> Self {
        Self::Subject(error)
    }
}

/// What a verified JWT-SVID says.
#[derive(Debug, Clone, PartialEq)]
pub struct JwtSvid {
    /// Whom it names.
    pub id: SpiffeId,
    /// For whom it is, all of them.
    pub audience: Vec<String>,
    /// When it expires, Unix seconds.
    pub expires: u64,
    /// All its claims, as they stood there.
    pub claims: Map<String, Value>,
}

/// Proves whom a token names. `audience` is the name that the verifier goes by.
///
/// # Errors
/// [`JwtError`]; any error means that the token proves nothing.
pub fn verify_jwt_svid(
    token: &str,
    audience: &str,
    bundles: &JwtBundles,
    now: UnixTime,
) -> Result<JwtSvid, JwtError> {
    let jws = Jws::open(token.as_bytes())?;
    check_header(&jws)?;
    let svid = read_claims(jws.claims()?)?;
    if !svid.audience.iter().any(|named| named == audience) {
        return Err(JwtError::Audience(audience.to_owned()));
    }
    check_times(&svid, now.as_secs())?;
    let trust_domain = TrustDomain::parse(svid.id.trust_domain())?;
    let bundle = bundles
        .get(&trust_domain)
        .ok_or_else(|| JwtError::UnknownTrustDomain(trust_domain.to_string()))?;
    let key = bundle
        .find(jws.kid()?, jws.algorithm())
        .ok_or_else(|| JwtError::UnknownKey(trust_domain.clone()))?;
    jws.is_signed_by(key.key()).then_some(svid).ok_or(JwtError::Signature)
}

/// JWT-SVID §2: three headers, of them `alg` one of nine (§2.1).
fn check_header(jws: &Jws<'_>) -> Result<(), JwtError> {
    if let Some(name) = jws.header().keys().find(|name| !HEADERS.contains(&name.as_str())) {
        return Err(JwtError::Header(name.chars().take(64).collect()));
    }
    if jws.algorithm() == Algorithm::EdDsa {
        return Err(JwtError::Algorithm);
    }
    if jws.header().get("typ").is_some_and(|typ| typ != "JWT" && typ != "JOSE") {
        return Err(JwtError::Type);
    }
    jws.kid()?;
    Ok(())
}

fn read_claims(claims: Map<String, Value>) -> Result<JwtSvid, JwtError> {
    let subject = claims.get("sub").and_then(Value::as_str).ok_or(JwtError::NoSubject)?;
    let id = SpiffeId::parse(subject)?;
    if id.path().is_empty() {
        return Err(JwtError::RootPath);
    }
    let audience = audience(claims.get("aud"))?;
    let expires = claims.get("exp").and_then(seconds).ok_or(JwtError::NoExpiry)?;
    Ok(JwtSvid { id, audience, expires, claims })
}

/// One text or a list of texts (RFC 7519 §4.1.3).
fn audience(claim: Option<&Value>) -> Result<Vec<String>, JwtError> {
    let list = match claim {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many
            .iter()
            .map(|value| value.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or(JwtError::Malformed("`aud` is not a list of texts"))?,
        Some(_) => return Err(JwtError::Malformed("`aud` is neither a text nor a list")),
        None => return Err(JwtError::NoAudience),
    };
    if list.is_empty() { Err(JwtError::NoAudience) } else { Ok(list) }
}

fn check_times(svid: &JwtSvid, now: u64) -> Result<(), JwtError> {
    if now >= svid.expires.saturating_add(LEEWAY) {
        return Err(JwtError::Expired { id: svid.id.clone(), expired: svid.expires, now });
    }
    let begins = match svid.claims.get("nbf") {
        None => 0,
        Some(claim) => seconds(claim).ok_or(JwtError::NotYet)?,
    };
    if now.saturating_add(LEEWAY) < begins {
        return Err(JwtError::NotYet);
    }
    Ok(())
}

/// A NumericDate (RFC 7519 §2): seconds, perhaps with a fraction, which is cut off.
fn seconds(claim: &Value) -> Option<u64> {
    let number: &Number = claim.as_number()?;
    let fraction = || {
        let text = number.to_string();
        let (whole, fraction) = text.split_once('.')?;
        // An exponent is no date that anybody meant.
        fraction.bytes().all(|byte| byte.is_ascii_digit()).then(|| whole.parse().ok())?
    };
    number.as_u64().or_else(fraction)
}

impl From<JwsError> for JwtError {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::TooLarge => Self::TooLarge,
            JwsError::Malformed(reason) => Self::Malformed(reason),
            JwsError::Extension(name) => Self::Header(name.to_owned()),
            JwsError::Algorithm => Self::Algorithm,
            JwsError::Unsigned => Self::Signature,
            JwsError::SignatureEncoding => Self::Malformed("the signature is not base64url"),
        }
    }
}
