//! What a balancer is told: the policy, when endpoints are ejected, zone, warm-up.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

/// How an endpoint is chosen among those that may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Of two drawn by weight, the one that costs less: peak-EWMA of its latency times the requests under way.
    #[default]
    PeakEwma,
    /// Of two drawn by weight, the one with fewer requests under way.
    LeastRequest,
    /// One after the other, by weight.
    RoundRobin,
    /// Drawn by weight.
    Random,
    /// The endpoint that the request's key belongs to ([`crate::Balancer::pick`]), by rendezvous hashing and weight.
    /// The own zone is not preferred, because a key is to mean the same endpoint everywhere, and nobody warms up. A
    /// request without a key is balanced as by [`Policy::PeakEwma`].
    ConsistentHash,
}

/// The settings of one service's balancer.
#[derive(Debug, Clone, PartialEq)]
pub struct BalancerSettings {
    /// How an endpoint is chosen. Default: [`Policy::PeakEwma`].
    pub policy: Policy,
    /// When endpoints are ejected. Default: see [`OutlierDetection`].
    pub outliers: OutlierDetection,
    /// How long an endpoint that could not be reached is passed over while there are others. Default: 5 s; zero for not
    /// at all.
    pub rest: Duration,
    /// How long the share of an endpoint that came later ([`crate::Endpoint::joining`]), or back from an ejection,
    /// grows from a tenth to the whole. Default: none, the whole at once.
    pub warm_up: Option<Duration>,
    /// The zone of the caller. Endpoints of it are preferred while one of them is healthy and they have at least their
    /// fair share of capacity. Default: none, no preference.
    pub own_zone: Option<Arc<str>>,
}

impl Default for BalancerSettings {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            outliers: OutlierDetection::default(),
            rest: Duration::from_secs(5),
            warm_up: None,
            own_zone: None,
        }
    }
}

/// When an endpoint is ejected, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlierDetection {
    /// Eject after so many gateway errors in a row ([`crate::Outcome::GatewayError`],
    /// [`crate::Outcome::Unreachable`]). Default: 5.
    pub consecutive_gateway_errors: Option<NonZeroU16>,
    /// Eject after so many errors of any kind in a row. Default: none; an app may answer a caller's bad request by 500.
    pub consecutive_errors: Option<NonZeroU16>,
    /// Eject when too few of the recent requests succeeded. Default: 85 % of 20 or more.
    pub success_rate: Option<SuccessRate>,
    /// What counts as recent. Default: 10 s.
    pub window: Duration,
    /// The first ejection lasts so long, the n-th n times as long, and each such time of health takes one off. Default:
    /// 10 s.
    pub base_ejection_time: Duration,
    /// The longest ejection; ±10 % are added at the end, so that callers do not come back together. Default: 300 s.
    pub max_ejection_time: Duration,
    /// The most endpoints that are ejected at once, percent of all, counted with the one in question. At least one
    /// endpoint always stays. Default: 50.
    pub max_ejection_percent: u8,
    /// Where fewer than this percentage of endpoints are not ejected, ejection is disregarded. Default: 0.
    pub min_health_percent: u8,
}

/// The least share of requests that must succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuccessRate {
    /// Percent. Default: 85.
    pub percent: u8,
    /// Not judged by fewer requests than this within [`OutlierDetection::window`]. Default: 20.
    pub requests: u32,
}

impl Default for SuccessRate {
    fn default() -> Self {
        Self { percent: 85, requests: 20 }
    }
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            consecutive_gateway_errors: NonZeroU16::new(5),
            consecutive_errors: None,
            success_rate: Some(SuccessRate::default()),
            window: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(10),
            max_ejection_time: Duration::from_secs(300),
            max_ejection_percent: 50,
            min_health_percent: 0,
        }
    }
}

impl OutlierDetection {
    /// Nobody is ever ejected, and who is, by the settings before, comes back.
    #[must_use]
    pub fn off() -> Self {
        Self {
            consecutive_gateway_errors: None,
            consecutive_errors: None,
            success_rate: None,
            max_ejection_percent: 0,
            ..Self::default()
        }
    }
}
