//! Identity patterns: compared to parsed SPIFFE ids, never by regular expression (S-17).

use identity::{SpiffeId, TrustDomain};

use super::{PatternError, TextPattern};

/// `principals`: a SPIFFE id without its scheme, `<trust domain>/ns/<namespace>/sa/<service account>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IdPattern {
    /// `*`: any authenticated peer.
    Any,
    /// One id.
    Exact(SpiffeId),
    /// `<trust domain>/<path prefix>*`: the trust domain is whole, so that `td*` cannot mean `td.evil`.
    Prefix {
        /// The trust domain.
        trust_domain: TrustDomain,
        /// The beginning of the path, with its slash.
        path: Box<str>,
    },
    /// `*<end of the id>`, in any trust domain.
    Suffix(Box<str>),
}

impl IdPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        if text.starts_with("spiffe:") {
            return Err("write the id without spiffe://".into());
        }
        match TextPattern::parse(text)? {
            TextPattern::Present => Ok(Self::Any),
            TextPattern::Exact(id) => Self::exact(&id),
            TextPattern::Prefix(prefix) => Self::prefix(&prefix),
            TextPattern::Suffix(suffix) => {
                check_characters(&suffix)?;
                if suffix.ends_with('/') {
                    return Err("no id ends with a slash".into());
                }
                Ok(Self::Suffix(suffix))
            }
        }
    }

    fn exact(text: &str) -> Result<Self, PatternError> {
        let id = SpiffeId::parse(&format!("spiffe://{text}"))
            .map_err(|error| PatternError(error.to_string()))?;
        match id.path() {
            "" => Err("name a workload: <trust domain>/ns/<namespace>/sa/<service account>".into()),
            _ => Ok(Self::Exact(id)),
        }
    }

    fn prefix(text: &str) -> Result<Self, PatternError> {
        let Some(slash) = text.find('/') else {
            return Err("a prefix holds the whole trust domain: write <trust domain>/*".into());
        };
        let (trust_domain, path) = text.split_at(slash);
        check_characters(path)?;
        let trust_domain =
            TrustDomain::parse(trust_domain).map_err(|error| PatternError(error.to_string()))?;
        Ok(Self::Prefix { trust_domain, path: path.into() })
    }

    pub(crate) fn matches(&self, id: &SpiffeId) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == id,
            Self::Prefix { trust_domain, path } => {
                id.trust_domain() == trust_domain.as_str() && id.path().starts_with(&**path)
            }
            Self::Suffix(suffix) => id.without_scheme().ends_with(&**suffix),
        }
    }
}

/// Refuses what no id can contain: such a pattern would never match, and its writer thinks it does.
fn check_characters(part: &str) -> Result<(), PatternError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    // SPIFFE-ID §2.2: no relative segments. The pieces at the ends may be halves of others.
    let relative = ["/./", "/../"].iter().any(|dots| part.contains(dots));
    match part.chars().all(allowed) && !part.contains("//") && !relative {
        true => Ok(()),
        false => Err("ids are letters, digits, '-', '_', '.' and single slashes".into()),
    }
}

/// `serviceAccounts`: `<namespace>/<service account>`, in any trust domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccountPattern {
    pub(crate) namespace: Box<str>,
    pub(crate) name: Box<str>,
}

impl AccountPattern {
    /// Reads `ns/sa`, or `sa` of the policy's own namespace.
    pub(crate) fn parse(text: &str, own_namespace: &str) -> Result<Self, PatternError> {
        if text.contains('*') {
            return Err("service accounts take no *; use principals".into());
        }
        let (namespace, name) = text.split_once('/').unwrap_or((own_namespace, text));
        for part in [namespace, name] {
            if part.is_empty() || part.contains('/') {
                return Err("write <namespace>/<service account>".into());
            }
            check_characters(part)?;
        }
        Ok(Self { namespace: namespace.into(), name: name.into() })
    }

    pub(crate) fn matches(&self, id: &SpiffeId) -> bool {
        id.namespace() == Some(&*self.namespace) && id.service_account() == Some(&*self.name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn id(text: &str) -> SpiffeId {
        SpiffeId::parse(&format!("spiffe://{text}")).unwrap()
    }

    #[test]
    fn s17_identity_matching_principals() {
        for (pattern, peer, expect) in [
            ("td/ns/foo/sa/a.b", "td/ns/foo/sa/a.b", true),
            ("td/ns/foo/sa/a.b", "td/ns/foo/sa/axb", false),
            ("td/ns/foo/sa/a", "td/ns/foo/sa/A", false),
            ("td/ns/foo/*", "td/ns/foo/sa/x", true),
            ("td/ns/foo/*", "td/ns/foo-bar/sa/x", false),
            ("td/ns/foo*", "td/ns/foo-bar/sa/x", true),
            ("td/*", "td/ns/foo/sa/x", true),
            ("td/*", "td.evil/ns/foo/sa/x", false),
            ("td/ns/foo/sa/x", "td.evil/ns/foo/sa/x", false),
            ("*/ns/foo/sa/x", "td/ns/foo/sa/x", true),
            ("*/sa/x", "td/ns/foo/sa/y", false),
            ("*", "td/anything", true),
        ] {
            assert_eq!(
                IdPattern::parse(pattern).unwrap().matches(&id(peer)),
                expect,
                "{pattern} {peer}"
            );
        }
        for refused in [
            "",
            "td",
            "td*",
            "td/ns/*/sa/x",
            "*foo*",
            "spiffe://td/ns/a/sa/b",
            "td//x",
            "TD/ns/a/sa/b",
            "td/a%2fb",
            "td/ns/foo/",
            "*a b",
            "*/sa/x/",
            "td/ns/../*",
            "*/./x",
        ] {
            assert!(IdPattern::parse(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn s17_identity_matching_service_accounts() {
        for (pattern, peer, expect) in [
            ("foo/x", "td/ns/foo/sa/x", true),
            ("foo/x", "other.td/ns/foo/sa/x", true),
            ("foo/x", "td/ns/foo-bar/sa/x", false),
            ("foo/x", "td/a/ns/foo/sa/x", false),
            ("foo/x", "td/ns/foo/sa/x/y", false),
            ("x", "td/ns/own/sa/x", true),
            ("x", "td/ns/foo/sa/x", false),
        ] {
            let pattern = AccountPattern::parse(pattern, "own").unwrap();
            assert_eq!(pattern.matches(&id(peer)), expect, "{pattern:?} {peer}");
        }
        for refused in ["", "*", "foo/*", "a/b/c", "/x", "x/", "a b"] {
            assert!(AccountPattern::parse(refused, "own").is_err(), "{refused}");
        }
    }
}
