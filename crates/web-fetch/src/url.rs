//! The URL of a document: `https`, a host, no userinfo (SPIFFE Federation §5.2.1.1, §5.2.2.1), and the same rules for
//! where a redirect leads.

use std::fmt;
use std::net::Ipv6Addr;

use http::Uri;
use rustls_pki_types::ServerName;

use crate::error::FetchError;

/// The longest URL that is taken, bytes.
const MAX_URL: usize = 2048;

/// A URL that has passed the rules.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WebUrl {
    text: String,
    /// In lower case, without brackets.
    host: String,
    port: u16,
    /// With the query, when there is one.
    path: String,
}

impl WebUrl {
    /// Reads an absolute URL.
    ///
    /// # Errors
    /// The broken rule, as the end of a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > MAX_URL {
            return Err("longer than 2048 bytes");
        }
        if text.contains('#') {
            return Err("a fragment is never sent; leave it away");
        }
        let uri: Uri = text.parse().map_err(|_| "not a URL")?;
        if uri.scheme_str() != Some("https") {
            return Err("the scheme must be https");
        }
        let authority = uri.authority().ok_or("no host")?;
        if authority.as_str().contains('@') {
            return Err("userinfo (`user@`) must not be there");
        }
        let host = read_host(authority.host())?;
        // What `http` itself makes of a port it cannot read is no port.
        let port = authority.as_str().strip_prefix(authority.host()).ok_or("not a URL")?;
        let port = read_port(port)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { text: text.to_owned(), host, port, path })
    }

    /// Where a `Location` leads from here (RFC 9110 §10.2.2); it must keep the same rules.
    ///
    /// # Errors
    /// [`FetchError::Url`], as of [`WebUrl::parse`], and for a path that is not absolute.
    pub fn redirected(&self, location: &str) -> Result<Self, FetchError> {
        let target = location.split('#').next().unwrap_or_default();
        let target = match target.strip_prefix('/') {
            Some(rest) if rest.starts_with('/') => format!("https:{target}"),
            Some(_) => format!("https://{}{target}", self.authority()),
            None => target.to_owned(),
        };
        let wrong = |rule| FetchError::Url { text: shortened(location), rule };
        Self::parse(&target).map_err(wrong)
    }

    /// An error about this URL itself.
    pub(crate) fn broken(&self, rule: &'static str) -> FetchError {
        FetchError::Url { text: shortened(&self.text), rule }
    }

    /// The host as it stands in a URL: an IPv6 address in brackets.
    #[must_use]
    pub fn host_in_url(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }

    /// The host, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 443 when none is written.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Host and port, as the `Host` header has them.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = self.host_in_url();
        if self.port == 443 { host } else { format!("{host}:{}", self.port) }
    }
}

/// A DNS name, an IPv4 address, or an IPv6 address in brackets, which are taken off.
fn read_host(text: &str) -> Result<String, &'static str> {
    let bad = "the host is no DNS name or IP address";
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(bad)?;
        return inner.parse::<Ipv6Addr>().map(|_| inner.to_owned()).map_err(|_| bad);
    }
    ServerName::try_from(text).map_err(|_| bad)?;
    Ok(text.to_ascii_lowercase())
}

/// For a message.
fn shortened(text: &str) -> String {
    text.escape_debug().take(200).collect()
}

/// What follows the host: nothing, or a colon and digits.
fn read_port(text: &str) -> Result<u16, &'static str> {
    let bad = "the port is not between 1 and 65535";
    if text.is_empty() {
        return Ok(443);
    }
    let digits = text.strip_prefix(':').ok_or("not a URL")?;
    // `u16` would take a sign.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad);
    }
    digits.parse().ok().filter(|port| *port != 0).ok_or(bad)
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn spiffe_federation_5_2_1_1_url_is_https_without_userinfo() {
        for (text, expect) in [
            ("https://b.test/bundle.json", Some(("b.test", 443, "/bundle.json"))),
            ("https://b.test:8443/a?x=1", Some(("b.test", 8443, "/a?x=1"))),
            ("https://b.test", Some(("b.test", 443, "/"))),
            ("https://10.0.0.1:1/", Some(("10.0.0.1", 1, "/"))),
            ("https://[::1]:8443/a", Some(("::1", 8443, "/a"))),
            ("HTTPS://b.test/", Some(("b.test", 443, "/"))),
            ("https://B.test/A", Some(("b.test", 443, "/A"))),
            ("http://b.test/", None),
            ("spiffe://b.test/", None),
            ("b.test/bundle.json", None),
            ("/bundle.json", None),
            ("https://", None),
            ("https://user@b.test/", None),
            ("https://user:secret@b.test/", None),
            ("https://@b.test/", None),
            ("https://b.test/#a", None),
            ("https://b.test:0/", None),
            ("https://b.test:65535/", Some(("b.test", 65535, "/"))),
            ("https://b.test:65536/", None),
            ("https://b.test:99999999999999999999/", None),
            ("https://b.test:/", None),
            ("https://b.test:+443/", None),
            ("https://b.test:-1/", None),
            ("https://b.test:44a/", None),
            ("https://b.test:443:443/", None),
            ("https://[::1]:65536/", None),
            ("https://[::1]443/", None),
            ("https://[::1/", None),
            ("https://[b.test]/", None),
            ("https://b.test]/", None),
            ("https://::1/", None),
            ("https://b%2etest/", None),
            ("https://b test/", None),
            ("https://-/", None),
            ("", None),
        ] {
            let seen = WebUrl::parse(text).ok();
            let seen = seen.as_ref().map(|url| (url.host(), url.port(), url.path()));
            assert_eq!(seen, expect, "{text:?}");
        }
        assert!(WebUrl::parse(&format!("https://b.test/{}", "x".repeat(2048))).is_err());
    }

    #[test]
    fn spiffe_federation_5_2_1_redirects_obey_the_same_url_rules() {
        let from = WebUrl::parse("https://b.test:8443/a/b").unwrap();
        for (location, expect) in [
            ("https://c.test/x", Some("https://c.test/x")),
            ("/x", Some("https://b.test:8443/x")),
            ("//c.test/x", Some("https://c.test/x")),
            ("/x#y", Some("https://b.test:8443/x")),
            ("http://b.test/x", None),
            ("https://user@b.test/x", None),
            ("//user@b.test/x", None),
            ("x", None),
            ("", None),
            ("file:///etc/passwd", None),
            ("gopher://b.test/", None),
        ] {
            let seen = from.redirected(location).ok().map(|url| url.to_string());
            assert_eq!(seen.as_deref(), expect, "{location:?}");
        }
    }
}
