//! Who signs tokens, as the tokens name it (`iss`): the trust domain, or an https URL where the operator gave one, so
//! that verifiers outside find the keys by OpenID Connect Discovery.

use identity::TrustDomain;
use identity::jwt::internal::MAX_ISSUER;
use web_fetch::WebUrl;

/// An issuer of tokens: https, a host, perhaps a port and a path; no query, no slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerUrl {
    text: String,
    path: String,
}

impl IssuerUrl {
    /// Reads it. Verifiers compare it letter by letter (OpenID Connect Discovery §4.3), so it has one spelling.
    ///
    /// # Errors
    /// The broken rule, as the end of a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > MAX_ISSUER {
            return Err("longer than 512 bytes");
        }
        WebUrl::parse(text)?;
        if text.contains('?') {
            return Err("an issuer has no query (OpenID Connect Discovery §3)");
        }
        if text.ends_with('/') {
            return Err("leave the slash at the end away: verifiers compare letter by letter");
        }
        let after_scheme = text.get(8..).unwrap_or_default();
        let path = after_scheme.find('/').and_then(|at| after_scheme.get(at..));
        Ok(Self { text: text.to_owned(), path: path.unwrap_or_default().to_owned() })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its path; empty, or beginning with a slash and not ending with one.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// Who signs.
#[derive(Debug, Clone)]
pub struct TokenIssuer {
    trust_domain: TrustDomain,
    url: Option<IssuerUrl>,
}

impl TokenIssuer {
    /// Of this trust domain, under this URL where there is one.
    #[must_use]
    pub fn new(trust_domain: TrustDomain, url: Option<IssuerUrl>) -> Self {
        Self { trust_domain, url }
    }

    /// The trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The URL, where there is one.
    #[must_use]
    pub fn url(&self) -> Option<&IssuerUrl> {
        self.url.as_ref()
    }

    /// The trust domain's SPIFFE id: the `iss` without a URL, and the audience that every workload takes.
    #[must_use]
    pub fn mesh(&self) -> String {
        format!("spiffe://{}", self.trust_domain)
    }

    /// The `iss` of what is signed now.
    #[must_use]
    pub fn name(&self) -> String {
        self.url.as_ref().map_or_else(|| self.mesh(), |url| url.text.clone())
    }

    /// Whether we sign under this name, or did before a URL was given.
    #[must_use]
    pub fn is_ours(&self, name: &str) -> bool {
        name == self.mesh() || self.url.as_ref().is_some_and(|url| url.text == name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn an_issuer_has_one_spelling() {
        let check = |text: &str, expect: Option<&str>| {
            let seen = IssuerUrl::parse(text).ok().map(|url| url.path);
            assert_eq!(seen.as_deref(), expect, "{text}");
        };
        check("https://id.example", Some(""));
        check("https://id.example:8443/mesh/one", Some("/mesh/one"));
        check("https://[::1]:8443", Some(""));
        check("https://id.example/", None);
        check("https://id.example/mesh/", None);
        check("https://id.example?a=b", None);
        check("https://id.example#a", None);
        check("https://user@id.example", None);
        check("http://id.example", None);
        check("spiffe://cluster.local", None);
        check("id.example", None);
        check(&format!("https://id.example/{}", "a".repeat(512)), None);
    }

    #[test]
    fn tokens_of_before_the_url_stay_ours() {
        let trust_domain = TrustDomain::parse("cluster.local").unwrap();
        let plain = TokenIssuer::new(trust_domain.clone(), None);
        let named = TokenIssuer::new(trust_domain, IssuerUrl::parse("https://id.example").ok());
        assert_eq!(plain.name(), "spiffe://cluster.local");
        assert_eq!(named.name(), "https://id.example");
        assert!(named.is_ours("spiffe://cluster.local") && named.is_ours("https://id.example"));
        assert!(!plain.is_ours("https://id.example") && !named.is_ours("spiffe://other.test"));
    }
}
