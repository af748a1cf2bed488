//! Routes: which requests to a Service go where, and what is changed on the way (Gateway API v1.6).
//!
//! These are the values that the reader of `HTTPRoute`, `GRPCRoute`, `TLSRoute` and `TCPRoute` makes
//! ([`crate::resources`]) and that [`crate::RouteTable`] compiles for one workload. What a rule does is told by functions
//! of its parts, none of which knows a socket: [`Redirect::location`], [`UrlRewrite::path`], [`CorsPolicy::decide`],
//! [`RouteRule::backend`].

mod backend;
mod cors;
mod fields;
mod grant;
mod matches;
mod mirror;
mod parent;
mod path_change;
mod redirect;
mod regular_expression;
mod timing;

use std::fmt;
use std::sync::Arc;

pub use backend::{Backend, BackendChoice, BackendKind, InvalidBackend};
pub use cors::{CorsDecision, CorsPolicy, Origin, OriginPattern};
pub use fields::FieldChanges;
pub use grant::{GrantSource, GrantTarget, GrantedKind, ReferenceGrant, Referrer};
pub use matches::{HeaderMatch, PathMatch, QueryMatch, RouteHost, RouteMatch, TextMatch};
pub use mirror::{Fraction, Mirror};
pub use parent::{ParentKind, ParentRef};
pub use path_change::{PathChange, UrlRewrite};
pub use redirect::{Redirect, RedirectScheme, RedirectedRequest};
pub use regular_expression::RegularExpression;
pub use timing::{RetryPolicy, RouteTimeout, RouteTimeouts};

/// A route as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Kind, namespace and name.
    pub id: RouteId,
    /// `metadata.creationTimestamp`, as RFC 3339 text, which sorts by time; `None` in files.
    pub created: Option<Arc<str>>,
    /// What it is attached to.
    pub parents: Vec<ParentRef>,
    /// The hosts it is about; empty: all of them.
    pub hosts: Vec<RouteHost>,
    /// Its rules, in the order they were written.
    pub rules: Vec<RuleDefinition>,
}

/// A rule with the conditions under which it takes a request: any one of them is enough.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleDefinition {
    /// The conditions; never empty for HTTP and gRPC, and always for TLS and TCP.
    pub matches: Vec<Arc<RouteMatch>>,
    /// What is done then.
    pub rule: Arc<RouteRule>,
}

/// The kinds of routes, the one that is taken first where several act on one port (GEP-1426) first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    /// `GRPCRoute`.
    Grpc,
    /// `HTTPRoute`.
    Http,
    /// `TLSRoute`: by server name, without termination.
    Tls,
    /// `TCPRoute`.
    Tcp,
}

impl RouteKind {
    /// All of them, in order of precedence.
    pub const ALL: [Self; 4] = [Self::Grpc, Self::Http, Self::Tls, Self::Tcp];

    /// The kind as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "GRPCRoute",
            Self::Http => "HTTPRoute",
            Self::Tls => "TLSRoute",
            Self::Tcp => "TCPRoute",
        }
    }

    /// True where requests are routed one by one, false where connections are.
    pub fn is_of_requests(self) -> bool {
        matches!(self, Self::Grpc | Self::Http)
    }
}

/// Which route it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId {
    /// Its kind.
    pub kind: RouteKind,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl fmt::Display for RouteId {
    /// `HTTPRoute shop/cart-split`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

/// What is done with the requests or connections that a rule takes.
///
/// In this order: a redirect answers at once; CORS may answer; the request's fields are changed, host and path
/// rewritten; a backend is drawn by weight, and its own changes follow those of the rule; copies go to the mirrors. A
/// request that a rule has taken is never routed again, and a copy is neither routed nor copied again.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteRule {
    /// The route it is a rule of.
    pub route: Arc<RouteId>,
    /// `HTTPRoute shop/cart-split`, for logs and metrics.
    pub label: Arc<str>,
    /// Its place among the rules of the route, from 0.
    pub index: usize,
    /// Its name, if it has one.
    pub name: Option<Arc<str>>,
    /// Changes of request fields.
    pub request_fields: FieldChanges,
    /// Changes of answer fields.
    pub response_fields: FieldChanges,
    /// A new host or path for the request.
    pub rewrite: Option<UrlRewrite>,
    /// An answer that leads elsewhere; then there are no backends.
    pub redirect: Option<Redirect>,
    /// Where copies of the request go.
    pub mirrors: Vec<Mirror>,
    /// Which pages of other origins may read the answers.
    pub cors: Option<CorsPolicy>,
    /// How long it may take.
    pub timeouts: RouteTimeouts,
    /// When it is sent again; `None` where the route says nothing of it.
    pub retry: Option<RetryPolicy>,
    /// Where requests go, by weight.
    pub backends: Vec<Backend>,
}

impl RouteRule {
    /// The backend for one request. `random` is uniform over all of `u64`.
    ///
    /// The share of an invalid backend stays its share: it is answered 500 (`backend_invalid`) and not given to others.
    pub fn backend(&self, random: u64) -> BackendChoice<'_> {
        backend::draw(&self.backends, random)
    }
}

#[cfg(test)]
mod tests;
