//! An identity with places for claims: `spiffe://cluster.local/ci/{repository_owner}/{environment}`.
//!
//! A claim's value becomes one whole segment of the path, or nothing: it can neither add a segment nor leave the
//! place that the template gives it.

use identity::{SpiffeId, TrustDomain};
use serde_json::{Map, Value};

use crate::ca::leaf;

/// A segment longer than this is no name.
const MAX_SEGMENT: usize = 128;
/// Places in one template.
const MAX_PLACES: usize = 8;

/// A checked template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityTemplate {
    trust_domain: TrustDomain,
    segments: Vec<PathSegment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PathSegment {
    Literal(String),
    Claim(String),
}

impl IdentityTemplate {
    /// Reads a template of this trust domain.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str, trust_domain: &TrustDomain) -> Result<Self, String> {
        let wrong = |reason: &str| format!("identity `{text}`: {reason}");
        let path = text
            .strip_prefix(&format!("spiffe://{trust_domain}/"))
            .ok_or_else(|| wrong(&format!("it does not begin with spiffe://{trust_domain}/")))?;
        let segments: Vec<_> = path.split('/').map(segment).collect();
        let places = segments.iter().filter(|s| matches!(s, PathSegment::Claim(_))).count();
        if places > MAX_PLACES {
            return Err(wrong("more than 8 places for claims"));
        }
        if matches!(segments.first(), Some(PathSegment::Claim(_))) {
            return Err(wrong(
                "the first segment must be fixed, or a claim could choose any identity",
            ));
        }
        let template = Self { trust_domain: trust_domain.clone(), segments };
        let example = template.fill(|_| Some("x")).map_err(|reason| wrong(&reason))?;
        leaf::check_workload_id(trust_domain.as_str(), &example).map_err(wrong)?;
        Ok(template)
    }

    /// The claims that it takes its places from.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            PathSegment::Claim(name) => Some(name.as_str()),
            PathSegment::Literal(_) => None,
        })
    }

    /// The identity that these claims make; none when a claim is missing, is no text, or is no segment of a SPIFFE
    /// path (SPIFFE-ID §2.2).
    #[must_use]
    pub fn identity(&self, claims: &Map<String, Value>) -> Option<SpiffeId> {
        let identity =
            self.fill(|name| claims.get(name)?.as_str().filter(|value| is_segment(value))).ok()?;
        leaf::check_workload_id(self.trust_domain.as_str(), &identity).ok()?;
        Some(identity)
    }

    fn fill<'a>(&'a self, claim: impl Fn(&str) -> Option<&'a str>) -> Result<SpiffeId, String> {
        let mut text = format!("spiffe://{}", self.trust_domain);
        for segment in &self.segments {
            text.push('/');
            text.push_str(match segment {
                PathSegment::Literal(literal) => literal,
                PathSegment::Claim(name) => claim(name).ok_or("a claim is missing")?,
            });
        }
        SpiffeId::parse(&text).map_err(|error| error.to_string())
    }
}

/// `{name}` is a place; braces anywhere else are left standing, and no SPIFFE path may hold them.
fn segment(text: &str) -> PathSegment {
    match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(name) if !name.is_empty() && !name.contains(['{', '}']) => {
            PathSegment::Claim(name.to_owned())
        }
        _ => PathSegment::Literal(text.to_owned()),
    }
}

fn is_segment(value: &str) -> bool {
    (1..=MAX_SEGMENT).contains(&value.len())
        && value != "."
        && value != ".."
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use serde_json::json;

    use super::*;

    fn template(text: &str) -> Result<IdentityTemplate, String> {
        IdentityTemplate::parse(text, &TrustDomain::parse("cluster.local").unwrap())
    }

    #[test]
    fn templates_that_leave_too_much_open_are_refused() {
        let check = |text: &str, expect: Option<&str>| {
            let seen = template(text).err();
            match expect {
                None => assert_eq!(seen, None, "{text}"),
                Some(part) => {
                    assert!(seen.as_ref().is_some_and(|e| e.contains(part)), "{text}: {seen:?}")
                }
            }
        };
        check("spiffe://cluster.local/ci/{owner}/{repo}", None);
        check("spiffe://cluster.local/ci/build", None);
        check("spiffe://cluster.local/{owner}/x", Some("the first segment must be fixed"));
        check("spiffe://elsewhere/ci/{owner}", Some("does not begin with"));
        check("spiffe://{owner}/ci", Some("does not begin with"));
        check("spiffe://cluster.local/ci/a{owner}", Some("identity"));
        check("spiffe://cluster.local/ci/{}", Some("identity"));
        check("spiffe://cluster.local/", Some("identity"));
        check("spiffe://cluster.local/postern/authority", Some("the authority's own"));
        check(&format!("spiffe://cluster.local/ci{}", "/{a}".repeat(9)), Some("more than 8"));
    }

    #[test]
    fn s32_attestation_confusion_a_claim_stays_in_its_segment() {
        let template = template("spiffe://cluster.local/postern/{name}").unwrap();
        let check = |value: Value, expect: Option<&str>| {
            let claims = json!({ "name": value });
            let seen = template.identity(claims.as_object().unwrap());
            assert_eq!(seen.as_ref().map(SpiffeId::path), expect, "{claims}");
        };
        check(json!("build"), Some("/postern/build"));
        check(json!("Build-1.x_y"), Some("/postern/Build-1.x_y"));
        check(json!("authority"), None);
        check(json!("../ns/shop/sa/cart"), None);
        check(json!(".."), None);
        check(json!("."), None);
        check(json!(""), None);
        check(json!("a/b"), None);
        check(json!("a%2fb"), None);
        check(json!("a b"), None);
        check(json!("ü"), None);
        check(json!("x".repeat(129)), None);
        check(json!(7), None);
        check(json!(["build"]), None);
        check(json!(null), None);
        assert_eq!(template.identity(&Map::new()), None);
    }
}
