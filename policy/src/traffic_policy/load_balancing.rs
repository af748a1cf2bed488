//! How an endpoint is chosen among those of a service.

use std::sync::Arc;
use std::time::Duration;

/// `loadBalancer`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadBalancing {
    /// The algorithm (`simple`).
    pub algorithm: BalancingAlgorithm,
    /// What ties a caller to an endpoint (`consistentHash`): rendezvous hashing of its value, and the algorithm for a request
    /// that has none. Default: nothing.
    pub hash_key: Option<HashKey>,
    /// In what time the share of a new endpoint grows from a tenth to the whole (`warmup.duration`), 1 s to 1 h. Default: it has
    /// its whole share at once.
    pub warmup: Option<Duration>,
    /// Whether endpoints of the own zone are preferred (`localityLbSetting.enabled`). Default: true.
    pub prefer_zone: bool,
}

impl Default for LoadBalancing {
    fn default() -> Self {
        Self {
            algorithm: BalancingAlgorithm::PeakEwma,
            hash_key: None,
            warmup: None,
            prefer_zone: true,
        }
    }
}

/// `simple`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum BalancingAlgorithm {
    /// The less loaded of two by answer time and requests under way; where nothing is written.
    #[default]
    PeakEwma,
    /// The one of two with fewer requests under way (`LEAST_REQUEST`).
    LeastRequest,
    /// One after the other (`ROUND_ROBIN`).
    RoundRobin,
    /// Any (`RANDOM`).
    Random,
}

/// What is hashed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HashKey {
    /// The first value of a header (`httpHeaderName`), its name in lower case.
    Header(Arc<str>),
    /// A cookie (`httpCookie`).
    Cookie {
        /// Its name.
        name: Arc<str>,
        /// The path it is set for, where the proxy sets it.
        path: Option<Arc<str>>,
        /// How long it lasts where the proxy sets it, because a request came without; zero: as long as the browser's session.
        /// `None`: it is never set.
        ttl: Option<Duration>,
    },
    /// The first value of a parameter of the query (`httpQueryParameterName`), as it is written there.
    QueryParameter(Arc<str>),
    /// The caller's IP address (`useSourceIp`). In a sidecar it is the address of the app beside the proxy.
    SourceAddress,
}
