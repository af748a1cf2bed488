//! Proof that the sender holds the key its token is bound to: the client certificate (RFC 8705) or a DPoP proof (RFC
//! 9449).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, Method};
use identity::jws::{Jws, VerifyingKey};
use policy::{CanonicalPath, ConfirmationRequirement, HostName, PathNormalization};
use serde_json::{Map, Value};

use super::replay::UsedProofs;
use super::verify::VerifiedToken;
use super::{LEEWAY_SECONDS, TokenRefusal};

/// The header of a proof (RFC 9449 §4.1).
pub(super) const DPOP: HeaderName = HeaderName::from_static("dpop");

/// How old a proof may be, in seconds: the time of one request, and a slow clock.
const MAX_AGE_SECONDS: u64 = 60;
/// The longest `jti` taken, in bytes.
const MAX_ID: usize = 256;

/// What a proof must match.
pub(super) struct ProofContext<'a> {
    /// The token itself.
    pub(super) token: &'a [u8],
    /// The scheme of the token, such as `dpop `; empty outside of `Authorization`.
    pub(super) scheme: &'a str,
    /// SHA-256 of the peer's leaf certificate; `None` on plaintext.
    pub(super) certificate: Option<&'a [u8; 32]>,
    /// The request.
    pub(super) method: &'a Method,
    /// Its host.
    pub(super) host: &'a HostName,
    /// Its path.
    pub(super) path: &'a CanonicalPath<'a>,
    /// How its path was normalised.
    pub(super) normalization: PathNormalization,
    /// Its headers.
    pub(super) headers: &'a HeaderMap,
    /// Unix seconds.
    pub(super) now: u64,
}

/// Checks everything a token is bound to.
pub(super) fn check(
    verified: &VerifiedToken,
    presented: &ProofContext<'_>,
    used: &UsedProofs,
) -> Result<(), TokenRefusal> {
    let as_dpop = presented.scheme.trim_end().eq_ignore_ascii_case("dpop");
    let bound = match (verified.rule.confirmation, &verified.bound) {
        (ConfirmationRequirement::Ignored, _) => return Ok(()),
        (ConfirmationRequirement::Required, None) => return Err(TokenRefusal::Unbound),
        (ConfirmationRequirement::IfPresent, None) if as_dpop => {
            return Err(TokenRefusal::Proof("the token came as DPoP and is bound to no key"));
        }
        (ConfirmationRequirement::IfPresent, None) => return Ok(()),
        (_, Some(bound)) => bound,
    };
    if bound.certificate.is_none() && bound.key.is_none() {
        return Err(TokenRefusal::Proof("`cnf` has neither `x5t#S256` nor `jkt`"));
    }
    if bound.certificate.is_some() && bound.certificate.as_ref() != presented.certificate {
        return Err(TokenRefusal::Certificate);
    }
    match &bound.key {
        // RFC 9449 §7.2: a bound token must not pass as a bearer token.
        Some(_) if presented.scheme.trim_end().eq_ignore_ascii_case("bearer") => {
            Err(TokenRefusal::Proof("the token is bound to a key and came as Bearer, not as DPoP"))
        }
        Some(thumbprint) => check_proof(thumbprint, presented, used),
        None => Ok(()),
    }
}

/// The checks of RFC 9449 §4.3, in its order.
fn check_proof(
    thumbprint: &str,
    presented: &ProofContext<'_>,
    used: &UsedProofs,
) -> Result<(), TokenRefusal> {
    let wrong = TokenRefusal::Proof;
    let mut proofs = presented.headers.get_all(&DPOP).iter();
    let (Some(proof), None) = (proofs.next(), proofs.next()) else {
        return Err(wrong("not exactly one DPoP header"));
    };
    let proof = Jws::open(proof.as_bytes()).map_err(|_| wrong("the proof is malformed"))?;
    let claims = proof.claims().map_err(|_| wrong("the proof is malformed"))?;
    if proof.header().get("typ").is_none_or(|kind| kind != "dpop+jwt") {
        return Err(wrong("its `typ` is not dpop+jwt"));
    }
    let jwk = proof.header().get("jwk").and_then(Value::as_object);
    let (jwk, key) = jwk
        .and_then(|jwk| Some((jwk, VerifyingKey::for_signatures(jwk)?)))
        .ok_or(wrong("no usable public key in its `jwk`"))?;
    if !proof.is_signed_by(&key) {
        return Err(wrong("its signature is wrong"));
    }
    if self::thumbprint(jwk).as_deref() != Some(thumbprint) {
        return Err(wrong("it is made with another key than the token's"));
    }
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("htm") != Some(presented.method.as_str()) {
        return Err(wrong("`htm` is not the request's method"));
    }
    if !text("htu").is_some_and(|uri| is_for(uri, presented)) {
        return Err(wrong("`htu` is not the request's address"));
    }
    let hash = URL_SAFE_NO_PAD.encode(digest(&SHA256, presented.token));
    if text("ath") != Some(&hash) {
        return Err(wrong("`ath` is not the token's hash"));
    }
    let made = claims.get("iat").and_then(Value::as_u64).ok_or(wrong("no `iat`"))?;
    let ends = made.saturating_add(MAX_AGE_SECONDS);
    if made > presented.now.saturating_add(LEEWAY_SECONDS) || presented.now > ends {
        return Err(wrong("`iat` is not of this minute"));
    }
    let id = text("jti").filter(|id| (1..=MAX_ID).contains(&id.len())).ok_or(wrong("no `jti`"))?;
    match used.first_use(thumbprint, id, ends, presented.now) {
        true => Ok(()),
        false => Err(TokenRefusal::ProofRepeated),
    }
}

/// Whether an `htu` names the request, without query and fragment. Either scheme is accepted: a sidecar cannot know
/// which one the caller used before the mesh.
fn is_for(uri: &str, presented: &ProofContext<'_>) -> bool {
    let schemes = [("https://", 443), ("http://", 80)];
    let rest = schemes.iter().find_map(|(scheme, port)| Some((uri.strip_prefix(scheme)?, *port)));
    let Some((rest, port)) = rest else { return false };
    let rest = rest.split(['?', '#']).next().unwrap_or("");
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    let host = HostName::parse(authority, Some(port));
    let path = CanonicalPath::parse(path, presented.normalization);
    host.is_ok_and(|host| host.as_str() == presented.host.as_str())
        && path.is_ok_and(|path| path.as_str() == presented.path.as_str())
}

/// The thumbprint of a public key (RFC 7638 §3): SHA-256 over its required members, in order, without whitespace.
fn thumbprint(jwk: &Map<String, Value>) -> Option<String> {
    let members: &[&str] = match jwk.get("kty")?.as_str()? {
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        "RSA" => &["e", "kty", "n"],
        _ => return None,
    };
    let written = members.iter().map(|name| {
        let value = jwk.get(*name)?.as_str()?;
        // Names and base64url need no escapes; a value that would is invalid.
        let plain = value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        plain.then(|| format!("\"{name}\":\"{value}\""))
    });
    let written = written.collect::<Option<Vec<_>>>()?.join(",");
    Some(URL_SAFE_NO_PAD.encode(digest(&SHA256, format!("{{{written}}}").as_bytes())))
}
