//! Which fields of special meaning a message has.
//!
//! Many steps take away or look at fields that hardly any message has, and asking a map for each of them by its name
//! costs more than the rest of the step. One pass over the names that are there answers all of them.

use http::header::HeaderMap;

use super::headers::{FORWARDED_CLIENT_CERT, OWN_PREFIX, is_claim};

/// A set of kinds of fields: those that a message has, or those that a step concerns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FieldSet(u16);

impl FieldSet {
    /// `Connection`.
    pub(crate) const CONNECTION: Self = Self(1);
    /// `Upgrade`.
    pub(crate) const UPGRADE: Self = Self(1 << 1);
    /// `Transfer-Encoding`.
    pub(crate) const TRANSFER_ENCODING: Self = Self(1 << 2);
    /// `TE`.
    pub(crate) const TE: Self = Self(1 << 3);
    /// The other hop-by-hop fields (RFC 9110 §7.6.1).
    pub(crate) const OTHER_HOP_BY_HOP: Self = Self(1 << 4);
    /// `Host`.
    pub(crate) const HOST: Self = Self(1 << 5);
    /// `Content-Length`.
    pub(crate) const CONTENT_LENGTH: Self = Self(1 << 6);
    /// `Expect`.
    pub(crate) const EXPECT: Self = Self(1 << 7);
    /// `Cookie`.
    pub(crate) const COOKIE: Self = Self(1 << 8);
    /// By which a proxy speaks for the client behind it.
    pub(crate) const SPEAKS_FOR_CLIENT: Self = Self(1 << 9);
    /// What only a proxy of ours may say, in any spelling.
    pub(crate) const CLAIM: Self = Self(1 << 10);
    /// The same in its own spelling.
    pub(crate) const EXACT_CLAIM: Self = Self(1 << 11);

    /// All hop-by-hop fields.
    pub(crate) const HOP_BY_HOP: Self = Self::CONNECTION
        .union(Self::UPGRADE)
        .union(Self::TRANSFER_ENCODING)
        .union(Self::TE)
        .union(Self::OTHER_HOP_BY_HOP);

    /// The kinds of the fields that are there.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        headers
            .keys()
            .fold(Self::default(), |found, name| found.union(Self::of_name(name.as_str())))
    }

    /// The kind of a field; its name is in lower case, as maps have them. Told by length first, since that rules out
    /// most at once.
    pub(crate) fn of_name(name: &str) -> Self {
        match (name.len(), name) {
            (2, "te") => Self::TE,
            (4, "host") => Self::HOST,
            (6, "cookie") => Self::COOKIE,
            (6, "expect") => Self::EXPECT,
            (7, "upgrade") => Self::UPGRADE,
            (9, "forwarded" | "x-real-ip") => Self::SPEAKS_FOR_CLIENT,
            (10, "connection") => Self::CONNECTION,
            (10, "keep-alive") => Self::OTHER_HOP_BY_HOP,
            (14, "content-length") => Self::CONTENT_LENGTH,
            (14, "http2-settings") => Self::OTHER_HOP_BY_HOP,
            (14, "true-client-ip") => Self::SPEAKS_FOR_CLIENT,
            (15, "x-forwarded-for") => Self::SPEAKS_FOR_CLIENT,
            (16, "proxy-connection") => Self::OTHER_HOP_BY_HOP,
            (16, "x-envoy-internal") => Self::SPEAKS_FOR_CLIENT,
            (17, "transfer-encoding") => Self::TRANSFER_ENCODING,
            (18, "proxy-authenticate") => Self::OTHER_HOP_BY_HOP,
            (19, "proxy-authorization") => Self::OTHER_HOP_BY_HOP,
            (24, "x-envoy-external-address") => Self::SPEAKS_FOR_CLIENT,
            _ if name.starts_with('x') && is_claim(name) => {
                let exact = name.starts_with(OWN_PREFIX) || name == FORWARDED_CLIENT_CERT.as_str();
                if exact { Self::CLAIM.union(Self::EXACT_CLAIM) } else { Self::CLAIM }
            }
            _ => Self::default(),
        }
    }

    /// The kinds of either.
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether one of the other's kinds is in this set.
    pub(crate) const fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

#[cfg(test)]
mod tests;
