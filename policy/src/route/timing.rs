//! How long a request may take, and when it is sent again.

use std::time::Duration;

/// The timeouts of a rule (`timeouts`, GEP-1742).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RouteTimeouts {
    /// For the request as a whole, all tries and waits included; `None`: the route says nothing.
    pub request: Option<RouteTimeout>,
    /// For one try, until its answer has come whole; `None`: the route says nothing. At most `request`.
    pub backend_request: Option<RouteTimeout>,
}

/// A timeout of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteTimeout {
    /// `0s`: none at all, whatever the default is.
    Off,
    /// After that long.
    After(Duration),
}

impl RouteTimeout {
    /// The time, where there is one.
    pub fn duration(self) -> Option<Duration> {
        match self {
            Self::Off => None,
            Self::After(duration) => Some(duration),
        }
    }
}

/// When a request is sent again (`retry`, GEP-1731). Connection errors count as well, whatever the codes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RetryPolicy {
    /// The status codes that are worth another try, from 400 to 599, in rising order; empty: only connection errors are.
    pub codes: Vec<u16>,
    /// The most tries after the first; `None`: the proxy's default. Never 0.
    pub attempts: Option<u32>,
    /// The least time between two tries; `None`: the proxy's default.
    pub back_off: Option<Duration>,
}

impl RetryPolicy {
    /// True when the status is worth another try.
    pub fn retries_on(&self, status: u16) -> bool {
        self.codes.binary_search(&status).is_ok()
    }
}
