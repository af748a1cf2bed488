//! `oidc`: a token of an OpenID Connect issuer that the registry names (a CI system, a cloud).
//!
//! The signature is checked with the issuer's own keys (JWKS) before any claim is believed (S-32, S-37 to S-39), and
//! the registry says whom the claims mean. A token is good until it expires, for whoever holds it.

mod fetch;
pub mod keys;

use identity::jws::{Jws, JwsError};
use serde_json::{Map, Value};

use crate::attest::refusal::Refusal;
use crate::attest::registry::oidc::{OidcIssuer, OidcIssuers};
use issuance_messages::OidcEvidence;

use super::{AttestedIdentity, Attestor, IdentityProof, RequestContext};
use keys::IssuerKeys;

/// How far an issuer's clock may differ from ours, seconds.
const LEEWAY: u64 = 60;
/// Of `sub`, bytes (OpenID Connect Core §2: at most 255).
const MAX_SUBJECT: usize = 255;

/// Why a token was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// The token is bad. The words are ours, never the token's.
    #[error("the OIDC token is not good: {0}")]
    NotGood(&'static str),
    /// The token is good, and no entry fits it.
    #[error("no oidc entry of the authority's registry fits the token's claims")]
    Nobody,
    /// It is good for several.
    #[error("oidc entries of several identities fit the token's claims; narrow them")]
    Ambiguous,
    /// The issuer's keys are not at hand. The reason is for the log.
    #[error("the issuer's keys are not at hand: {0}")]
    Unavailable(String),
}

impl From<JwsError> for OidcError {
    fn from(error: JwsError) -> Self {
        Self::NotGood(match error {
            JwsError::TooLarge => "it is larger than 16 KiB",
            JwsError::Extension(_) => "an extension in it must be understood, and is not",
            JwsError::Algorithm => "it is signed by an algorithm that is not taken",
            JwsError::Malformed(_) | JwsError::Unsigned | JwsError::SignatureEncoding => {
                "it is no signed JSON Web Token"
            }
        })
    }
}

/// Believes the issuers of the registry.
#[derive(Debug)]
pub struct OidcAttestor<'a> {
    /// Whom.
    pub issuers: &'a OidcIssuers,
    /// Their keys.
    pub keys: &'a IssuerKeys,
}

impl Attestor for OidcAttestor<'_> {
    type Evidence = OidcEvidence;

    async fn attest(
        &self,
        evidence: &OidcEvidence,
        asking: &RequestContext<'_>,
    ) -> Result<AttestedIdentity, Refusal> {
        let jws = Jws::open(evidence.token.as_bytes()).map_err(OidcError::from)?;
        let claims = jws.claims().map_err(OidcError::from)?;
        // Only to choose whose keys to try; it is among what they then sign.
        let named = claims.get("iss").and_then(Value::as_str);
        let issuer = self.issuers.iter().find(|issuer| Some(issuer.issuer.as_str()) == named);
        let issuer = issuer.ok_or(OidcError::NotGood("its issuer is not in the registry"))?;
        self.keys.verify(&issuer.keys, &jws).await?;
        check_claims(&claims, issuer, asking.now)?;
        Ok(whom(&claims, issuer)?)
    }
}

/// `exp` and `aud` are required, and `nbf` and `iat` are honoured (RFC 7519 §4.1).
fn check_claims(
    claims: &Map<String, Value>,
    issuer: &OidcIssuer,
    now: u64,
) -> Result<(), OidcError> {
    let time = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => {
            value.as_u64().map(Some).ok_or(OidcError::NotGood("a time in it is no whole number"))
        }
    };
    let expires = time("exp")?.ok_or(OidcError::NotGood("it has no `exp`"))?;
    if now >= expires.saturating_add(LEEWAY) {
        return Err(OidcError::NotGood("it expired"));
    }
    for begin in [time("nbf")?, time("iat")?].into_iter().flatten() {
        if begin > now.saturating_add(LEEWAY) {
            return Err(OidcError::NotGood("it is not valid yet; is the authority's clock right?"));
        }
    }
    let audience = match claims.get("aud") {
        Some(Value::String(one)) => *one == issuer.audience,
        Some(Value::Array(several)) => several.iter().any(|one| one == issuer.audience.as_str()),
        _ => false,
    };
    if !audience {
        return Err(OidcError::NotGood("it is not for our audience"));
    }
    Ok(())
}

fn whom(claims: &Map<String, Value>, issuer: &OidcIssuer) -> Result<AttestedIdentity, OidcError> {
    let subject = claims
        .get("sub")
        .and_then(Value::as_str)
        .filter(|subject| (1..=MAX_SUBJECT).contains(&subject.len()))
        .ok_or(OidcError::NotGood("it has no `sub`"))?;
    let mut identities = issuer.identities_of(claims);
    match (identities.pop(), identities.is_empty()) {
        (None, _) => Err(OidcError::Nobody),
        (Some(identity), true) => {
            let instance = format!("oidc/{}/{subject}", issuer.issuer);
            Ok(AttestedIdentity { identity, instance, proof: IdentityProof::Lasting })
        }
        (Some(_), false) => Err(OidcError::Ambiguous),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use identity::TrustDomain;
    use serde_json::json;

    use super::*;
    use crate::attest::registry::Registry;

    const NOW: u64 = 1_800_000_000;

    fn registry() -> Registry {
        Registry::parse(
            "oidc:
  - issuer: https://ci.example
    audience: postern-authority
    jwksFile: /nowhere
    identities:
      - {claims: {repository: shop/cart}, identity: spiffe://cluster.local/ns/ci/sa/cart}
      - {claims: {environment: production}, identity: 'spiffe://cluster.local/ci/{owner}'}
",
            &TrustDomain::parse("cluster.local").unwrap(),
        )
        .unwrap()
    }

    fn check(
        name: &str,
        change: impl Fn(&mut Map<String, Value>),
        expect: Result<&str, OidcError>,
    ) {
        let mut claims = json!({
            "iss": "https://ci.example", "aud": "postern-authority", "sub": "repo:shop/cart",
            "exp": NOW + 300, "iat": NOW, "repository": "shop/cart",
        });
        let claims = claims.as_object_mut().unwrap();
        change(claims);
        let registry = registry();
        let issuer = registry.oidc_issuers().unwrap().iter().next().unwrap();
        let seen = check_claims(claims, issuer, NOW).and_then(|()| whom(claims, issuer));
        let seen = seen.map(|attested| attested.identity.to_string());
        assert_eq!(seen.as_deref().map_err(Clone::clone), expect, "{name}");
    }

    fn set(name: &'static str, value: Value) -> impl Fn(&mut Map<String, Value>) {
        move |claims| {
            claims.insert(name.to_owned(), value.clone());
        }
    }

    #[test]
    fn s39_claims_of_workload_tokens() {
        let cart = Ok("spiffe://cluster.local/ns/ci/sa/cart");
        let bad = |words| Err(OidcError::NotGood(words));
        check("good", |_| {}, cart.clone());
        check("several audiences", set("aud", json!(["a", "postern-authority"])), cart.clone());
        check("other audience", set("aud", json!("a")), bad("it is not for our audience"));
        check("empty audiences", set("aud", json!([])), bad("it is not for our audience"));
        check(
            "audience as object",
            set("aud", json!({"postern-authority": 1})),
            bad("it is not for our audience"),
        );
        check("just expired", set("exp", json!(NOW - 59)), cart.clone());
        check("expired", set("exp", json!(NOW - 60)), bad("it expired"));
        check("no end", |claims| drop(claims.remove("exp")), bad("it has no `exp`"));
        check("end as text", set("exp", json!("9")), bad("a time in it is no whole number"));
        check(
            "end with a fraction",
            set("exp", json!(2e9 + 0.5)),
            bad("a time in it is no whole number"),
        );
        check("soon", set("nbf", json!(NOW + 60)), cart);
        check(
            "later",
            set("nbf", json!(NOW + 61)),
            bad("it is not valid yet; is the authority's clock right?"),
        );
        check("no subject", |claims| drop(claims.remove("sub")), bad("it has no `sub`"));
    }

    #[test]
    fn s32_attestation_confusion_claims_mean_one_identity_or_none() {
        check("nobody", set("repository", json!("shop/other")), Err(OidcError::Nobody));
        check("part of a value", set("repository", json!("shop/cart2")), Err(OidcError::Nobody));
        check(
            "a list with the value",
            set("repository", json!(["shop/cart"])),
            Err(OidcError::Nobody),
        );
        let both = |claims: &mut Map<String, Value>| {
            set("environment", json!("production"))(claims);
            set("owner", json!("shop"))(claims);
        };
        check("two", both, Err(OidcError::Ambiguous));
        let template = |claims: &mut Map<String, Value>| {
            both(claims);
            claims.remove("repository");
        };
        check("template", template, Ok("spiffe://cluster.local/ci/shop"));
        let escape = |claims: &mut Map<String, Value>| {
            template(claims);
            set("owner", json!("../postern/authority"))(claims);
        };
        check("a claim that leaves its place", escape, Err(OidcError::Nobody));
    }
}
