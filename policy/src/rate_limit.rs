//! How many requests a caller may make: what a RateLimitPolicy says, and which limits a request meets.
//!
//! These are the values that the reader of `RateLimitPolicy` makes and [`RateLimits`] compiles for one workload. Counting
//! is not done here: a request's [`applicable`](RateLimits::applicable) limits come with the [key](RequestLimit::key) that
//! tells its caller from others.

mod key;
mod table;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::HttpFacts;
use crate::evaluate::{DoubtBias, holds_in_readings};
use crate::pattern::{FieldPatterns, HostPattern, PathPattern, TextPattern};
use crate::route::{HeaderMatch, RouteRule};

pub use key::CallerFacts;
pub use table::RateLimits;

/// One limit of a RateLimitPolicy.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestLimit {
    /// `namespace/policy/limit`: for metrics, and the same state over a change of the others.
    pub id: Arc<str>,
    /// Its name, as callers read it.
    pub name: Arc<str>,
    /// What callers are told apart by; never empty. One that differs in any of them is another caller.
    pub keys: Vec<LimitKey>,
    /// What is limited.
    pub measure: LimitMeasure,
    pub(crate) matches: LimitMatch,
}

/// What a limit is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitMeasure {
    /// How many requests in which time (`limits`).
    Rate(RateLimit),
    /// How many requests under way at once (`concurrency`).
    Concurrency {
        /// So many.
        requests: NonZeroU32,
    },
}

/// How many requests in which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// How many in `per`, evenly.
    pub requests: NonZeroU32,
    /// In which time: 1 s to 1 d.
    pub per: Duration,
    /// How many at once, after a pause. Default: `requests`.
    pub burst: NonZeroU32,
    /// Who counts. Default: each proxy by itself.
    pub store: LimitStore,
    /// What holds while the store does not answer. Default: [`StoreFailure::Local`].
    pub on_store_failure: StoreFailure,
    /// How many proxies there are, as far as somebody said: the part of the limit that each keeps by itself while the
    /// store does not answer. Default: 1.
    pub replicas: NonZeroU32,
}

/// Who counts the requests of a rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitStore {
    /// Each proxy by itself; its workers together.
    Local,
    /// All proxies together, in the Redis of their configuration.
    Redis,
}

/// What becomes of a request while the store of its limit does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreFailure {
    /// Each proxy counts by itself, its part of the limit.
    Local,
    /// It goes on, uncounted.
    Allow,
    /// It is refused.
    Deny,
}

/// What callers are told apart by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LimitKey {
    /// The identity that the peer's certificate proved.
    Principal,
    /// A claim of the verified token, together with its issuer.
    Claim(Box<str>),
    /// The id of the API key.
    ApiKey,
    /// The client's address: the TCP peer's, or what a *trusted* hop reported. IPv6 by its /64, which one client has.
    ClientAddress,
    /// The rule of the route that took the request.
    Route,
}

/// Which requests a limit is about: all parts must hold, an empty one holds always.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct LimitMatch {
    pub(crate) methods: FieldPatterns<TextPattern>,
    pub(crate) hosts: FieldPatterns<HostPattern>,
    pub(crate) paths: FieldPatterns<PathPattern>,
    pub(crate) headers: Vec<HeaderMatch>,
}

/// A request as limits see it, after it was authorized.
#[derive(Clone, Copy)]
pub struct LimitRequest<'a> {
    /// The request itself.
    pub http: HttpFacts<'a>,
    /// Who the peer's certificate speaks for; `None` without one.
    pub principal: Option<&'a str>,
    /// The client's address: the TCP peer's, or what a *trusted* hop reported. Never a header's word.
    pub client: IpAddr,
    /// At a gateway, the listener it came in by.
    pub listener: Option<ListenerName<'a>>,
    /// At a gateway, the rule that took it.
    pub route: Option<&'a RouteRule>,
}

/// A listener of a Gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerName<'a> {
    /// The Gateway, `namespace/name`.
    pub gateway: &'a str,
    /// The listener's name in it; `None`: it is of a ListenerSet, and none of the Gateway's sections, whatever its name.
    pub section: Option<&'a str>,
}

impl RequestLimit {
    /// Whether it is about the request.
    pub fn is_about(&self, request: &HttpFacts<'_>) -> bool {
        self.matches.holds(request)
    }

    /// True when counted in a store that all proxies share.
    pub fn is_global(&self) -> bool {
        matches!(self.measure, LimitMeasure::Rate(RateLimit { store: LimitStore::Redis, .. }))
    }
}

impl LimitMatch {
    /// A path counts in any of its readings, and a field by any of its lines: no spelling goes round a limit.
    fn holds(&self, request: &HttpFacts<'_>) -> bool {
        let path = request.path;
        self.methods.holds(|method| method.matches(request.method))
            && self.hosts.holds(|host| host.matches(request.host))
            && holds_in_readings(
                &self.paths,
                DoubtBias::Deny,
                |pattern| pattern.matches_all_readings(path),
                |pattern| pattern.matches_any_reading(path),
            )
            && self.headers.iter().all(|header| {
                let mut found = false;
                request.headers.values(&header.name, &mut |value| {
                    found |= header.value.matches(value.trim_ascii());
                });
                found
            })
    }
}

#[cfg(test)]
mod tests;
