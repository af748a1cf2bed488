//! Internal JWTs: which user a request inside the mesh is of, and which workloads it has come through. The authority
//! signs them by the keys of its JWT-SVIDs; what tells the two apart is `sub`: a JWT-SVID names a workload, an internal
//! JWT never does. Neither is taken for the other.

use rustls_pki_types::UnixTime;
use serde_json::{Map, Value};

use super::{HEADERS, JwtBundle, LEEWAY, audience, seconds};
use crate::SpiffeId;
use crate::jws::{Algorithm, Jws, JwsError};

/// The most workloads that a token has come through.
pub const MAX_ACTORS: usize = 16;
/// The longest `sub`, bytes (OpenID Connect Core §2 says 255).
pub const MAX_SUBJECT: usize = 255;
/// The longest `orig_iss`, bytes.
pub const MAX_ISSUER: usize = 512;
/// The longest further claims as they come, bytes of JSON.
pub const MAX_CLAIMS: usize = 4096;
/// What an internal JWT says by itself, or what would change for whom it is good: no further claim has these names.
pub const OWN_CLAIMS: [&str; 11] =
    ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "act", "may_act", "cnf", "orig_iss"];

/// Why a token is refused as an internal JWT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InternalJwtError {
    /// Not the compact serialization of a JWS that could be verified.
    #[error("the token is {0}")]
    Jws(JwsError),
    /// Headers beyond `alg`, `kid` and `typ`, or another `typ` than `JWT`.
    #[error("the token's header is not that of an internal JWT")]
    Header,
    /// A claim is missing, or is not what it is in an internal JWT.
    #[error("the token's `{0}` is missing, or not that of an internal JWT")]
    Claim(&'static str),
    /// `act` nests deeper than [`MAX_ACTORS`].
    #[error("the token has come through more than 16 workloads")]
    TooManyActors,
    /// `exp` is past.
    #[error("the token expired at {expired} (now {now}, Unix seconds)")]
    Expired {
        /// Its `exp`.
        expired: u64,
        /// The verifier's clock.
        now: u64,
    },
    /// The bundle has no key of that `kid`, or its key did not make the signature.
    #[error("the token is not signed by a key of the trust domain")]
    Signature,
}

impl From<JwsError> for InternalJwtError {
    fn from(error: JwsError) -> Self {
        Self::Jws(error)
    }
}

/// What a verified internal JWT says.
#[derive(Clone, PartialEq)]
pub struct InternalJwt {
    /// Who signed it, as it calls itself: the trust domain's SPIFFE id, or the authority's https issuer. Whoever asks
    /// decides which.
    pub issuer: String,
    /// The user.
    pub subject: String,
    /// For whom it is.
    pub audience: Vec<String>,
    /// When it ends, Unix seconds.
    pub expires: u64,
    /// Its own name (`jti`).
    pub token_id: String,
    /// Who authenticated the user.
    pub original_issuer: String,
    /// The workloads it has come through, the current one first (RFC 8693 §4.1).
    pub actors: Vec<SpiffeId>,
    /// All other claims.
    pub further: Map<String, Value>,
}

// By hand: what it says of a user belongs in no log.
impl std::fmt::Debug for InternalJwt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InternalJwt").field("token_id", &self.token_id).finish_non_exhaustive()
    }
}

/// Proves what an internal JWT says by the bundle of the trust domain that is meant to have signed it. `leeway`: how
/// long after its `exp` it is taken, seconds.
///
/// # Errors
/// [`InternalJwtError`]; any error means that the token proves nothing.
pub fn verify_internal_jwt(
    token: &str,
    bundle: &JwtBundle,
    now: UnixTime,
    leeway: u64,
) -> Result<InternalJwt, InternalJwtError> {
    let jws = Jws::open(token.as_bytes())?;
    check_header(&jws)?;
    let read = read(jws.claims()?)?;
    let now = now.as_secs();
    if now >= read.expires.saturating_add(leeway.min(LEEWAY)) {
        return Err(InternalJwtError::Expired { expired: read.expires, now });
    }
    let key = bundle.find(jws.kid()?, jws.algorithm()).ok_or(InternalJwtError::Signature)?;
    jws.is_signed_by(key.key()).then_some(read).ok_or(InternalJwtError::Signature)
}

/// Whether a text can be the `sub` of an internal JWT: 1 to 255 bytes without control characters, and nothing that
/// could be taken for a SPIFFE id.
#[must_use]
pub fn is_user(subject: &str) -> bool {
    let scheme = subject.get(..7).unwrap_or_default();
    is_text(subject, MAX_SUBJECT) && !scheme.eq_ignore_ascii_case("spiffe:")
}

/// Whether a text can be an `orig_iss`: 1 to 512 bytes without control characters.
#[must_use]
pub fn is_original_issuer(issuer: &str) -> bool {
    is_text(issuer, MAX_ISSUER)
}

fn is_text(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn check_header(jws: &Jws<'_>) -> Result<(), InternalJwtError> {
    let known = jws.header().keys().all(|name| HEADERS.contains(&name.as_str()));
    let typed = jws.header().get("typ").is_some_and(|typ| typ == "JWT");
    if known && typed && jws.algorithm() != Algorithm::EdDsa && jws.kid()?.is_some() {
        Ok(())
    } else {
        Err(InternalJwtError::Header)
    }
}

fn read(mut claims: Map<String, Value>) -> Result<InternalJwt, InternalJwtError> {
    let actors = actors(claims.get("act"))?;
    let mut text = |name: &'static str| match claims.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        _ => Err(InternalJwtError::Claim(name)),
    };
    let (issuer, subject, token_id) = (text("iss")?, text("sub")?, text("jti")?);
    let original_issuer = text("orig_iss")?;
    if !is_user(&subject) {
        return Err(InternalJwtError::Claim("sub"));
    }
    if !is_original_issuer(&original_issuer) {
        return Err(InternalJwtError::Claim("orig_iss"));
    }
    let audience = audience(claims.get("aud")).map_err(|_| InternalJwtError::Claim("aud"))?;
    let expires = claims.get("exp").and_then(seconds).ok_or(InternalJwtError::Claim("exp"))?;
    // Ours have none of these; a token that does is another one.
    let foreign = ["nbf", "may_act", "cnf"].into_iter().find(|name| claims.contains_key(*name));
    if let Some(name) = foreign {
        return Err(InternalJwtError::Claim(name));
    }
    claims.retain(|name, _| !OWN_CLAIMS.contains(&name.as_str()));
    let further = claims;
    Ok(InternalJwt {
        issuer,
        subject,
        audience,
        expires,
        token_id,
        original_issuer,
        actors,
        further,
    })
}

/// From the current actor to the first one (RFC 8693 §4.1): each a SPIFFE id, and nothing beside it.
fn actors(mut act: Option<&Value>) -> Result<Vec<SpiffeId>, InternalJwtError> {
    const WRONG: InternalJwtError = InternalJwtError::Claim("act");
    let mut actors = Vec::new();
    while let Some(claim) = act {
        let members = claim.as_object().ok_or(WRONG)?;
        if members.keys().any(|name| name != "sub" && name != "act") {
            return Err(WRONG);
        }
        if actors.len() == MAX_ACTORS {
            return Err(InternalJwtError::TooManyActors);
        }
        let actor = members.get("sub").and_then(Value::as_str).ok_or(WRONG)?;
        actors.push(SpiffeId::parse(actor).map_err(|_| WRONG)?);
        act = members.get("act");
    }
    if actors.is_empty() { Err(WRONG) } else { Ok(actors) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    const GATEWAY: &str = "spiffe://cluster.local/ns/edge/sa/gateway";

    fn claims() -> Value {
        json!({
            "iss": "spiffe://cluster.local", "sub": "ann", "aud": ["spiffe://cluster.local"],
            "exp": 1300, "iat": 1000, "jti": "1", "orig_iss": "https://id.example",
            "act": {"sub": GATEWAY}, "email": "ann@example.org",
        })
    }

    fn with(name: &str, value: Option<Value>) -> Result<InternalJwt, InternalJwtError> {
        let Value::Object(mut claims) = claims() else { panic!() };
        match value {
            Some(value) => claims.insert(name.to_owned(), value),
            None => claims.remove(name),
        };
        read(claims)
    }

    fn nested(depth: usize) -> Value {
        (1..depth).fold(json!({"sub": GATEWAY}), |act, _| json!({"sub": GATEWAY, "act": act}))
    }

    #[test]
    fn what_it_says_is_read() {
        let read = with("email", Some(json!("ann@example.org"))).unwrap();
        assert_eq!((read.subject.as_str(), read.expires), ("ann", 1300));
        assert_eq!(read.audience, ["spiffe://cluster.local"]);
        assert_eq!(read.actors, [SpiffeId::parse(GATEWAY).unwrap()]);
        assert_eq!(read.further.keys().collect::<Vec<_>>(), ["email"]);
        assert!(!format!("{read:?}").contains("ann"));
    }

    #[test]
    fn s30_internal_jwt_what_is_none() {
        let act = |inner: Value| json!({"sub": GATEWAY, "act": inner});
        for (row, name, value, expect) in [
            ("none missing", "x", Some(json!(1)), None),
            ("no issuer", "iss", None, Some("iss")),
            ("no subject", "sub", None, Some("sub")),
            ("a workload, as in a JWT-SVID", "sub", Some(json!(GATEWAY)), Some("sub")),
            ("in capitals", "sub", Some(json!("SPIFFE://a/b")), Some("sub")),
            ("a line feed", "sub", Some(json!("ann\n")), Some("sub")),
            ("255 bytes", "sub", Some(json!("a".repeat(255))), None),
            ("256 bytes", "sub", Some(json!("a".repeat(256))), Some("sub")),
            ("not its first letters only", "sub", Some(json!("éééé:")), None),
            ("no audience", "aud", None, Some("aud")),
            ("an empty audience", "aud", Some(json!([])), Some("aud")),
            ("no end", "exp", None, Some("exp")),
            ("no name", "jti", None, Some("jti")),
            ("no original issuer", "orig_iss", None, Some("orig_iss")),
            ("a number for it", "orig_iss", Some(json!(1)), Some("orig_iss")),
            ("bound to a key", "cnf", Some(json!({})), Some("cnf")),
            ("nobody acts", "act", None, Some("act")),
            ("a user acts", "act", Some(json!({"sub": "ann"})), Some("act")),
            ("more in act", "act", Some(json!({"sub": GATEWAY, "iss": "x"})), Some("act")),
            ("a user before", "act", Some(act(json!({"sub": "ann"}))), Some("act")),
            ("null before", "act", Some(act(Value::Null)), Some("act")),
            ("16 actors", "act", Some(nested(16)), None),
        ] {
            let expect = expect.map(InternalJwtError::Claim);
            assert_eq!(with(name, value).err(), expect, "{row}");
        }
        assert_eq!(with("act", Some(nested(17))).err(), Some(InternalJwtError::TooManyActors));
    }
}
