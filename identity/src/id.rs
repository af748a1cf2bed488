//! SPIFFE ids and trust domains, by the letter of the SPIFFE-ID standard §2.
//!
//! Nothing is folded or repaired: an upper-case scheme, a trailing slash or a percent sign is
//! refused, because two spellings of one id are two chances to bypass an allow-list.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest id that is accepted, in bytes (SPIFFE-ID §2.3).
const MAX_ID: usize = 2048;
/// The longest trust domain that is accepted, in bytes (SPIFFE-ID §2.3).
const MAX_TRUST_DOMAIN: usize = 255;
const SCHEME: &str = "spiffe://";

/// Why a text is not a SPIFFE id or a trust domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The id does not begin with `spiffe://`, in lower case.
    #[error("a SPIFFE id begins with `spiffe://` in lower case")]
    Scheme,
    /// The trust domain is empty.
    #[error("the trust domain is empty")]
    EmptyTrustDomain,
    /// The trust domain holds something other than `a-z`, `0-9`, `.`, `-`, `_`.
    #[error("a trust domain holds only a-z, 0-9, `.`, `-` and `_`, but has {0:?}")]
    TrustDomainCharacter(char),
    /// A path segment holds something other than letters, digits, `.`, `-`, `_`.
    #[error("a path segment holds only a-z, A-Z, 0-9, `.`, `-` and `_`, but has {0:?}")]
    PathCharacter(char),
    /// A path segment is empty, `.` or `..`; a trailing slash makes an empty one.
    #[error("a path has no empty, `.` or `..` segment and no trailing `/`")]
    PathSegment,
    /// The id is longer than 2,048 bytes, or its trust domain than 255.
    #[error("too long: an id has at most 2048 bytes, a trust domain at most 255")]
    TooLong,
}

/// The name of a trust domain, such as `cluster.local` (SPIFFE-ID §2.1).
///
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// Parses a bare name, without scheme or path.
    ///
    /// # Errors
    /// [`IdError`] when the name is empty, too long or holds a character outside `[a-z0-9.-_]`.
    pub fn parse(name: &str) -> Result<Self, IdError> {
        check_trust_domain(name)?;
        Ok(Self(name.into()))
    }

    /// The bare name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A SPIFFE id, such as `spiffe://cluster.local/ns/shop/sa/cart`. Cheap to clone.
///
/// An id without a path names a trust domain itself; a workload's certificate never carries it
/// (X509-SVID §3.1, checked by [`Leaf`](crate::Leaf)).
#[derive(Clone)]
pub struct SpiffeId {
    text: Arc<str>,
    /// Where the trust domain ends and the path begins.
    path_at: usize,
}

impl SpiffeId {
    /// Parses the full form.
    ///
    /// # Errors
    /// [`IdError`] says which rule of SPIFFE-ID §2 is broken.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text.len() > MAX_ID {
            return Err(IdError::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(IdError::Scheme)?;
        let trust_domain = rest.split('/').next().unwrap_or_default();
        check_trust_domain(trust_domain)?;
        let path_at = SCHEME.len() + trust_domain.len();
        check_path(&text[path_at..])?;
        Ok(Self { text: text.into(), path_at })
    }

    /// The id of a Kubernetes-style workload: `spiffe://TD/ns/NAMESPACE/sa/SERVICE-ACCOUNT`.
    ///
    /// # Errors
    /// [`IdError`] when a name holds a character that an id cannot.
    pub fn workload(
        trust_domain: &TrustDomain,
        namespace: &str,
        service_account: &str,
    ) -> Result<Self, IdError> {
        for name in [namespace, service_account] {
            check_segment(name)?;
        }
        Self::parse(&format!("{SCHEME}{trust_domain}/ns/{namespace}/sa/{service_account}"))
    }

    /// The whole id, scheme included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The id without `spiffe://`, as policies write principals: `cluster.local/ns/shop/sa/cart`.
    #[must_use]
    pub fn without_scheme(&self) -> &str {
        &self.text[SCHEME.len()..]
    }

    /// The name of the id's trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.text[SCHEME.len()..self.path_at]
    }

    /// The path with its leading `/`, or the empty string.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.text[self.path_at..]
    }

    /// The Kubernetes namespace, of an id of exactly the form `/ns/NAMESPACE/sa/SERVICE-ACCOUNT`.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.workload_names().map(|(namespace, _)| namespace)
    }

    /// The service account, of an id of exactly the form `/ns/NAMESPACE/sa/SERVICE-ACCOUNT`.
    #[must_use]
    pub fn service_account(&self) -> Option<&str> {
        self.workload_names().map(|(_, service_account)| service_account)
    }

    fn workload_names(&self) -> Option<(&str, &str)> {
        // Segments are never empty. Bytes are compared, as every request asks.
        let (namespace, rest) = split_segment(self.path().strip_prefix("/ns/")?)?;
        let account = rest.strip_prefix("/sa/")?;
        split_segment(account).is_none().then_some((namespace, account))
    }
}

/// The first segment, and the rest with its slash; `None` where it is the only one.
fn split_segment(path: &str) -> Option<(&str, &str)> {
    path.bytes().position(|byte| byte == b'/').map(|end| path.split_at(end))
}

fn check_trust_domain(name: &str) -> Result<(), IdError> {
    if name.is_empty() {
        return Err(IdError::EmptyTrustDomain);
    }
    if name.len() > MAX_TRUST_DOMAIN {
        return Err(IdError::TooLong);
    }
    let allowed = |c: &char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '-' | '_');
    match name.chars().find(|c| !allowed(c)) {
        Some(c) => Err(IdError::TrustDomainCharacter(c)),
        None => Ok(()),
    }
}

fn check_path(path: &str) -> Result<(), IdError> {
    path.split('/').skip(1).try_for_each(check_segment)
}

fn check_segment(segment: &str) -> Result<(), IdError> {
    if matches!(segment, "" | "." | "..") {
        return Err(IdError::PathSegment);
    }
    let allowed = |c: &char| matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_');
    match segment.chars().find(|c| !allowed(c)) {
        Some(c) => Err(IdError::PathCharacter(c)),
        None => Ok(()),
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TrustDomain {
    type Err = IdError;
    fn from_str(name: &str) -> Result<Self, IdError> {
        Self::parse(name)
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for SpiffeId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl PartialEq for SpiffeId {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for SpiffeId {}

impl PartialOrd for SpiffeId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SpiffeId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl std::hash::Hash for SpiffeId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expect: Result<(&str, &str), IdError>) {
        let seen = SpiffeId::parse(text);
        let seen = seen.as_ref().map(|id| (id.trust_domain(), id.path())).map_err(Clone::clone);
        assert_eq!(seen, expect, "{text:?}");
    }

    #[test]
    fn spiffe_id_2_scheme_trust_domain_and_no_query() {
        check("spiffe://cluster.local/ns/a/sa/b", Ok(("cluster.local", "/ns/a/sa/b")));
        check("spiffe://td", Ok(("td", "")));
        check("", Err(IdError::Scheme));
        check("SPIFFE://td/a", Err(IdError::Scheme));
        check("https://td/a", Err(IdError::Scheme));
        check("spiffe:///a", Err(IdError::EmptyTrustDomain));
        check("spiffe://td/a?b", Err(IdError::PathCharacter('?')));
        check("spiffe://td?b", Err(IdError::TrustDomainCharacter('?')));
        check("spiffe://td/a#b", Err(IdError::PathCharacter('#')));
    }

    #[test]
    fn spiffe_id_2_1_trust_domain() {
        check("spiffe://10.0.0.1/a", Ok(("10.0.0.1", "/a")));
        check("spiffe://a_b-c.d/a", Ok(("a_b-c.d", "/a")));
        check("spiffe://TD/a", Err(IdError::TrustDomainCharacter('T')));
        check("spiffe://td:80/a", Err(IdError::TrustDomainCharacter(':')));
        check("spiffe://u@td/a", Err(IdError::TrustDomainCharacter('@')));
        check("spiffe://t%64/a", Err(IdError::TrustDomainCharacter('%')));
        check("spiffe://tü/a", Err(IdError::TrustDomainCharacter('ü')));
    }

    #[test]
    fn spiffe_id_2_2_path() {
        check("spiffe://td/A.b-c_9", Ok(("td", "/A.b-c_9")));
        check("spiffe://td/...", Ok(("td", "/...")));
        for bad in ["/", "/a/", "//a", "/a//b", "/.", "/a/../b"] {
            check(&format!("spiffe://td{bad}"), Err(IdError::PathSegment));
        }
        check("spiffe://td/a%2fb", Err(IdError::PathCharacter('%')));
        check("spiffe://td/a b", Err(IdError::PathCharacter(' ')));
        check("spiffe://td/a\0", Err(IdError::PathCharacter('\0')));
    }

    #[test]
    fn spiffe_id_2_3_length() {
        let id = |n: usize| format!("spiffe://td/{}", "a".repeat(n - "spiffe://td/".len()));
        assert!(SpiffeId::parse(&id(2048)).is_ok());
        assert_eq!(SpiffeId::parse(&id(2049)), Err(IdError::TooLong));
        let td = |n: usize| format!("spiffe://{}/a", "a".repeat(n));
        assert!(SpiffeId::parse(&td(255)).is_ok());
        assert_eq!(SpiffeId::parse(&td(256)), Err(IdError::TooLong));
    }

    #[test]
    fn spiffe_id_2_4_path_is_case_sensitive() {
        let lower = SpiffeId::parse("spiffe://td/a").unwrap();
        let upper = SpiffeId::parse("spiffe://td/A").unwrap();
        assert_ne!(lower, upper);
    }

    #[test]
    fn workload_names_come_only_from_the_exact_form() {
        let names = |text| {
            let id = SpiffeId::parse(text).unwrap();
            id.namespace().zip(id.service_account()).map(|(n, s)| format!("{n} {s}"))
        };
        assert_eq!(names("spiffe://td/ns/shop/sa/cart").as_deref(), Some("shop cart"));
        for other in [
            "spiffe://td",
            "spiffe://td/ns/a/sa/b/c",
            "spiffe://td/x/ns/a/sa/b",
            "spiffe://td/ns/a",
            "spiffe://td/ns",
            "spiffe://td/ns/a/sa",
            "spiffe://td/ns/sa/b",
            "spiffe://td/ns/a/b/sa/c",
            "spiffe://td/ns/a/sab/c",
            "spiffe://td/nsa/b/sa/c",
            "spiffe://td/sa/b/ns/a",
        ] {
            assert_eq!(names(other), None, "{other}");
        }
        let td = TrustDomain::parse("td").unwrap();
        assert_eq!(SpiffeId::workload(&td, "a/sa/root", "b"), Err(IdError::PathCharacter('/')));
        assert_eq!(SpiffeId::workload(&td, "a", "").unwrap_err(), IdError::PathSegment);
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_keeps_the_text(text in ".{0,80}", tail in "[a-zA-Z0-9./%_-]{0,40}") {
            for candidate in [text, format!("spiffe://td/{tail}")] {
                if let Ok(id) = SpiffeId::parse(&candidate) {
                    prop_assert_eq!(id.as_str(), &candidate);
                    prop_assert_eq!(format!("spiffe://{}{}", id.trust_domain(), id.path()), candidate);
                }
            }
        }
    }
}
