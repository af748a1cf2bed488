//! From a token's bytes to verified claims: issuer, key, signature, audience, the claims' types.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderName, HeaderValue};
use identity::jws::Jws;
use identity::jwt::internal::{is_original_issuer, is_user};
use identity::{SpiffeId, TrustDomain};
use policy::{JwtRule, KeySource, TokenClaims, TokenRule, TokenRules};
use serde_json::{Map, Value};

use super::keys::KeyBook;
use super::{LEEWAY_SECONDS, TokenRefusal, claim_headers};
use crate::traffic::internal_token;

/// A token whose signature, issuer, audience and claims are valid. What depends on the time, the peer or the request is
/// not part of it, so it may be cached.
#[derive(Debug)]
pub(super) struct VerifiedToken {
    /// The rule that accepts it.
    pub(super) rule: TokenRule,
    /// The claims that policy sees.
    pub(super) claims: TokenClaims,
    /// Its binding.
    pub(super) bound: Option<ConfirmationClaim>,
    /// Headers for the app.
    pub(super) made: Vec<(HeaderName, HeaderValue)>,
    expires: u64,
    not_before: Option<u64>,
}

/// The claim `cnf` (RFC 7800 §3.1). All of its members must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConfirmationClaim {
    /// `x5t#S256`: SHA-256 of the client certificate (RFC 8705 §3.1).
    pub(super) certificate: Option<[u8; 32]>,
    /// `jkt`: thumbprint of the proof's key (RFC 9449 §6.1).
    pub(super) key: Option<String>,
}

impl VerifiedToken {
    /// The trust domain whose own token it is; `None` where somebody else has signed it.
    pub(super) fn mesh(&self) -> Option<&TrustDomain> {
        match &self.rule.jwt.keys {
            KeySource::MeshBundle(domain) => Some(domain),
            _ => None,
        }
    }

    /// Whether this peer may present it. One of the mesh travels between its workloads: whoever else has it has found it.
    pub(super) fn may_present(&self, peer: Option<&SpiffeId>) -> bool {
        let of_the_mesh =
            |mesh: &TrustDomain| peer.is_some_and(|peer| peer.trust_domain() == mesh.as_str());
        self.mesh().is_none_or(of_the_mesh) && self.rule.may_present(peer)
    }

    /// Whether the token is valid at this Unix second, give or take the leeway. A token of the mesh ends when it ends: one
    /// that is taken longer could no longer be exchanged for the next service.
    pub(super) fn check_times(&self, now: u64) -> Result<(), TokenRefusal> {
        let leeway = if self.mesh().is_some() { 0 } else { LEEWAY_SECONDS };
        if now >= self.expires.saturating_add(leeway) {
            return Err(TokenRefusal::Expired);
        }
        match self.not_before {
            Some(begins) if now.saturating_add(LEEWAY_SECONDS) < begins => {
                Err(TokenRefusal::NotYetValid)
            }
            _ => Ok(()),
        }
    }
}

/// Verifies a token found in a place, against the rules that take tokens from there. `unknown` is called with a source
/// whose keys lack the token's, so that they are fetched again.
///
/// Several rules may trust one issuer; the first that accepts the token decides, otherwise the first refusal is
/// reported.
pub(super) fn verify(
    token: &[u8],
    place: usize,
    rules: &TokenRules,
    book: &KeyBook,
    unknown: &dyn Fn(&KeySource),
) -> Result<VerifiedToken, TokenRefusal> {
    let jws = Jws::open(token)?;
    let claims = jws.claims()?;
    check_type(&jws)?;
    let issuer = text(&claims, "iss")?.ok_or(TokenRefusal::Claims("no `iss`"))?;
    let here = rules.places().get(place);
    let believing = rules.rules().iter().filter(|rule| {
        *rule.jwt.issuer == *issuer && here.is_some_and(|here| rule.jwt.places.contains(here))
    });
    let mut refusal = None;
    for rule in believing {
        match by_rule((&jws, &claims), rule, book, unknown) {
            Ok(verified) => return Ok(verified),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(refusal.unwrap_or(TokenRefusal::UnknownIssuer))
}

/// A token made for another use must not pass for an access token (RFC 8725 §3.11).
fn check_type(jws: &Jws<'_>) -> Result<(), TokenRefusal> {
    let Some(kind) = jws.header().get("typ") else { return Ok(()) };
    let known = kind.as_str().is_some_and(|kind| {
        ["jwt", "at+jwt", "application/at+jwt"].iter().any(|known| kind.eq_ignore_ascii_case(known))
    });
    known.then_some(()).ok_or(TokenRefusal::Malformed("a `typ` other than JWT and at+jwt"))
}

fn by_rule(
    (jws, said): (&Jws<'_>, &Map<String, Value>),
    rule: &TokenRule,
    book: &KeyBook,
    unknown: &dyn Fn(&KeySource),
) -> Result<VerifiedToken, TokenRefusal> {
    let source = &rule.jwt.keys;
    let keys = book.get(source).ok_or(TokenRefusal::NoKeys)?;
    let Some(key) = keys.find(jws.kid()?, jws.algorithm()) else {
        unknown(source);
        return Err(TokenRefusal::UnknownKey);
    };
    if !key.fits(jws.algorithm()) {
        return Err(TokenRefusal::Algorithm);
    }
    if !jws.is_signed_by(key) {
        return Err(TokenRefusal::Signature);
    }
    if let KeySource::MeshBundle(domain) = source {
        check_internal(jws, said, domain)?;
    }
    let audiences = audiences(said, rule)?;
    let subject = text(said, "sub")?.map(str::to_owned);
    let expires = seconds(said, "exp")?.ok_or(TokenRefusal::Claims("no `exp`"))?;
    let not_before = seconds(said, "nbf")?;
    seconds(said, "iat")?;
    let made = claim_headers::headers(&rule.jwt, jws.payload(), said);
    let claims = TokenClaims {
        issuer: rule.jwt.issuer.to_string(),
        subject,
        audiences,
        claims: split_lists(&rule.jwt, said.clone()),
    };
    Ok(VerifiedToken { rule: rule.clone(), bound: bound(said)?, claims, made, expires, not_before })
}

/// A token of the mesh names a user, who authenticated the user, and who acts for the user (RFC 8693 §4.1), a workload of
/// the own trust domain; and it says that it is a JWT. So a workload's own JWT-SVID, which the same keys sign, is nobody's
/// user.
fn check_internal(
    jws: &Jws<'_>,
    said: &Map<String, Value>,
    domain: &TrustDomain,
) -> Result<(), TokenRefusal> {
    if jws.header().get("typ").is_none_or(|kind| kind != "JWT") {
        return Err(TokenRefusal::Malformed("a token of the mesh whose `typ` is not JWT"));
    }
    if !internal_token::acts_for(said, domain) {
        return Err(TokenRefusal::Claims("no `act` of a workload of the own trust domain"));
    }
    let is = |name: &str, fits: fn(&str) -> bool| {
        said.get(name).and_then(Value::as_str).is_some_and(fits)
    };
    let whole =
        is("sub", is_user) && is("orig_iss", is_original_issuer) && is("jti", |id| !id.is_empty());
    match whole {
        true => Ok(()),
        false => Err(TokenRefusal::Claims(
            "`sub`, `orig_iss` or `jti` is not that of a token of the mesh",
        )),
    }
}

fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Result<Option<&'c str>, TokenRefusal> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(TokenRefusal::Claims("`iss` or `sub` is no text")),
    }
}

/// NumericDate (RFC 7519 §2), whole seconds only: readers of fractions round in both directions.
fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, TokenRefusal> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    match value.as_u64() {
        Some(seconds) => Ok(Some(seconds)),
        None => Err(TokenRefusal::Claims("`exp`, `nbf` or `iat` is no whole number of seconds")),
    }
}

/// `aud`, a string or a list of strings (RFC 7519 §4.1.3); one of the rule's must be among them.
fn audiences(claims: &Map<String, Value>, rule: &TokenRule) -> Result<Vec<String>, TokenRefusal> {
    let wrong = TokenRefusal::Claims("`aud` is neither text nor a list of texts");
    let audiences = match claims.get("aud") {
        None => Vec::new(),
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(list)) => {
            let texts = list.iter().map(|item| item.as_str().map(str::to_owned));
            texts.collect::<Option<_>>().ok_or(wrong)?
        }
        Some(_) => return Err(wrong),
    };
    let accepted = &rule.jwt.audiences;
    if audiences.is_empty() && (rule.audience_required || !accepted.is_empty()) {
        return Err(TokenRefusal::Claims("no `aud`"));
    }
    match accepted.is_empty() || accepted.iter().any(|w| audiences.iter().any(|a| **w == **a)) {
        true => Ok(audiences),
        false => Err(TokenRefusal::Audience),
    }
}

/// A binding that cannot be checked must not make the token pass as unbound.
fn bound(claims: &Map<String, Value>) -> Result<Option<ConfirmationClaim>, TokenRefusal> {
    let Some(cnf) = claims.get("cnf") else { return Ok(None) };
    let cnf = cnf.as_object().ok_or(TokenRefusal::Claims("`cnf` is no object"))?;
    let wrong = || TokenRefusal::Claims("a member of `cnf` is malformed");
    let mut bound = ConfirmationClaim { certificate: None, key: None };
    if let Some(thumbprint) = cnf.get("x5t#S256") {
        let bytes = thumbprint.as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        bound.certificate = Some(bytes.and_then(|b| b.try_into().ok()).ok_or_else(wrong)?);
    }
    if let Some(thumbprint) = cnf.get("jkt") {
        bound.key = Some(thumbprint.as_str().ok_or_else(wrong)?.to_owned());
    }
    Ok(Some(bound))
}

/// Text claims that are lists separated by spaces become lists, as policy compares them.
fn split_lists(rule: &JwtRule, mut claims: Map<String, Value>) -> Map<String, Value> {
    for name in &rule.space_delimited {
        if let Some(Value::String(text)) = claims.get(&**name) {
            let items: Vec<Value> = text.split_ascii_whitespace().map(Into::into).collect();
            claims.insert(name.to_string(), items.into());
        }
    }
    claims
}
