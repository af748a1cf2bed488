//! Host patterns: compared to the one spelling of a host (S-14).

use super::{PatternError, TextPattern};
use crate::HostName;

/// Matches a host. Without a port it matches the host on any port (ISTIO-SECURITY-2021-008).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostPattern {
    pub(super) name: TextPattern,
    pub(super) port: Option<u16>,
}

impl HostPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        match TextPattern::parse(text)? {
            TextPattern::Present => Ok(Self { name: TextPattern::Present, port: None }),
            TextPattern::Exact(host) => {
                let host = HostName::parse(&host, None)
                    .map_err(|error| PatternError(error.to_string()))?;
                Ok(Self { name: TextPattern::Exact(host.name().into()), port: host.port() })
            }
            TextPattern::Prefix(prefix) => {
                let name = literal(&prefix)?;
                Ok(Self { name: TextPattern::Prefix(name.into()), port: None })
            }
            TextPattern::Suffix(suffix) => Self::suffix(&suffix),
        }
    }

    /// `*.example.org`, `*.example.org:8080`.
    fn suffix(suffix: &str) -> Result<Self, PatternError> {
        let (name, port) = match suffix.split_once(':') {
            Some((name, port)) => {
                let port = port
                    .parse()
                    .map_err(|_| PatternError::from("the port is not a number from 1 to 65535"))?;
                (name, Some(port))
            }
            None => (suffix, None),
        };
        let name = literal(name.strip_suffix('.').unwrap_or(name))?;
        let name =
            if name.is_empty() { TextPattern::Present } else { TextPattern::Suffix(name.into()) };
        Ok(Self { name, port })
    }

    /// What its name must be, on whatever port.
    pub(crate) fn name(&self) -> &TextPattern {
        &self.name
    }

    /// Whether it is about one port alone.
    pub(crate) fn has_port(&self) -> bool {
        self.port.is_some()
    }

    pub(crate) fn matches(&self, host: &HostName) -> bool {
        self.name.matches(host.name())
            && self.port.is_none_or(|port| host.effective_port() == Some(port))
    }
}

/// Part of a name, in lower case.
fn literal(part: &str) -> Result<String, PatternError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match part.chars().all(allowed) {
        true => Ok(part.to_ascii_lowercase()),
        false => Err("hosts are letters, digits, '-', '_' and '.'; other scripts are written as A-labels (xn--…)".into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn s14_host_spelling_patterns() {
        for (pattern, host, expect) in [
            ("Cart.Shop", "cart.shop", true),
            ("cart.shop.", "CART.SHOP.:80", true),
            ("cart.shop", "cart.shop:8080", true),
            ("cart.shop:80", "cart.shop", true),
            ("cart.shop:8080", "cart.shop:8080", true),
            ("cart.shop:8080", "cart.shop", false),
            ("*.shop", "cart.SHOP", true),
            ("*.shop", "shop", false),
            ("*.shop:8080", "cart.shop:8080", true),
            ("*.shop:8080", "cart.shop", false),
            ("*:8080", "cart:8080", true),
            ("cart.*", "cart.shop", true),
            ("cart.*", "cartx.shop", false),
            ("*", "x", true),
            ("[::1]", "[0::1]:8080", true),
        ] {
            let host = HostName::parse(host, Some(80)).unwrap();
            assert_eq!(
                HostPattern::parse(pattern).unwrap().matches(&host),
                expect,
                "{pattern} {host}"
            );
        }
        for refused in
            ["", "a/b", "a b", "bücher.example", "cart:http", "*.shop:x", "a.*.b", "cart:*"]
        {
            assert!(HostPattern::parse(refused).is_err(), "{refused}");
        }
    }
}
