//! Which endpoints are left alone for a while, because too little of what is sent there succeeds.

use std::time::Duration;

/// `outlierDetection`. It is on where nothing is written, with the defaults below: they are made for services of few
/// endpoints, where Istio's own would empty one or do nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlierDetection {
    /// How many gateway errors (502, 503, 504, no connection, a reset) in a row eject an endpoint
    /// (`consecutiveGatewayErrors`). Default 5; zero: they do not.
    pub consecutive_gateway_errors: u32,
    /// How many answers of 5xx, gateway errors included, in a row eject an endpoint (`consecutive5xxErrors`). Default zero:
    /// they do not, since a 500 is often the request's own.
    pub consecutive_5xx_errors: u32,
    /// The window in which successes are counted (`interval`), at least 1 s. Default 10 s.
    pub interval: Duration,
    /// The least share of successes in the window, in percent. 85.
    pub least_success_percent: u8,
    /// How many requests the window must have for its share of successes to count. 20.
    pub success_requests: u32,
    /// How long the first ejection lasts; the n-th lasts n times as long (`baseEjectionTime`). Default 10 s.
    pub base_ejection_time: Duration,
    /// The longest ejection: 300 s, or `base_ejection_time` where that is longer.
    pub max_ejection_time: Duration,
    /// The largest share of a service's endpoints that is ejected at a time, in percent, counted after the ejection
    /// (`maxEjectionPercent`). Default 50; zero: none is ever ejected. The last endpoint never is.
    pub max_ejection_percent: u8,
    /// With fewer endpoints in health than this share, in percent, ejections are passed over (`minHealthPercent`). Default
    /// zero: never.
    pub min_health_percent: u8,
}

impl OutlierDetection {
    /// The longest ejection, where the first does not last longer.
    pub const MAX_EJECTION_TIME: Duration = Duration::from_secs(300);
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            consecutive_gateway_errors: 5,
            consecutive_5xx_errors: 0,
            interval: Duration::from_secs(10),
            least_success_percent: 85,
            success_requests: 20,
            base_ejection_time: Duration::from_secs(10),
            max_ejection_time: Self::MAX_EJECTION_TIME,
            max_ejection_percent: 50,
            min_health_percent: 0,
        }
    }
}
