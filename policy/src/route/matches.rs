//! Conditions under which a rule takes a request.

use std::fmt;
use std::sync::Arc;

use super::RegularExpression;

/// One `match`: all of its parts must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteMatch {
    /// About the path.
    pub path: PathMatch,
    /// The method, exactly; `None`: any. Always `None` for gRPC, whose method is part of the path.
    pub method: Option<Arc<str>>,
    /// About header fields; each name once.
    pub headers: Vec<HeaderMatch>,
    /// About parameters of the query; each name once.
    pub query: Vec<QueryMatch>,
}

/// A condition on the canonical path.
#[derive(Debug, Clone, PartialEq)]
pub enum PathMatch {
    /// It is this one.
    Exact(Arc<str>),
    /// It is this one or below it, segment by segment: without a slash at its end, and `""` for `/`.
    Prefix(Arc<str>),
    /// All of it matches.
    Pattern(RegularExpression),
    /// A gRPC path (`/service/method`) whose parts match; `None` for one that does not matter.
    Grpc {
        /// The service, with its package.
        service: Option<TextMatch>,
        /// The method.
        method: Option<TextMatch>,
    },
}

/// A condition on a text.
#[derive(Debug, Clone, PartialEq)]
pub enum TextMatch {
    /// It is this one.
    Exact(Arc<str>),
    /// All of it matches.
    Pattern(RegularExpression),
}

impl TextMatch {
    /// Whether it holds.
    pub fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => exact.as_bytes() == text,
            Self::Pattern(pattern) => pattern.matches(text),
        }
    }

    /// How many characters it has as it was written.
    pub(crate) fn written_len(&self) -> usize {
        match self {
            Self::Exact(text) => text.len(),
            Self::Pattern(pattern) => pattern.as_str().len(),
        }
    }
}

/// A condition on a header field.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderMatch {
    /// The name, in lower case.
    pub name: Arc<str>,
    /// About its value; that of several lines is joined by `,` (RFC 9110 §5.3). An absent field never matches.
    pub value: TextMatch,
}

/// A condition on a parameter of the query.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryMatch {
    /// The name, as it is after decoding.
    pub name: Arc<str>,
    /// About the first value of that name, as it is after decoding. An absent parameter never matches.
    pub value: TextMatch,
}

/// A host that a route is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteHost {
    /// This one, canonical.
    Exact(Arc<str>),
    /// `*.` and this: every host below it, at whatever depth.
    Below(Arc<str>),
}

impl RouteHost {
    /// Whether a host (canonical name, without port) is meant.
    pub fn takes(&self, host: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *host,
            Self::Below(parent) => is_below(host, parent),
        }
    }

    /// Whether there is a host that both mean.
    pub fn intersects(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(exact), pattern) | (pattern, Self::Exact(exact)) => pattern.takes(exact),
            (Self::Below(one), Self::Below(two)) => {
                one == two || is_below(one, two) || is_below(two, one)
            }
        }
    }
}

impl fmt::Display for RouteHost {
    /// As it is written: `shop.example`, `*.example`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Below(parent) => write!(f, "*.{parent}"),
        }
    }
}

fn is_below(host: &str, parent: &str) -> bool {
    let child = host.strip_suffix(parent).and_then(|child| child.strip_suffix('.'));
    child.is_some_and(|child| !child.is_empty())
}
