//! Faults on purpose: a call is held up or answered in the service's place, so that a team sees what its app makes of it.

use std::sync::Arc;
use std::time::Duration;

use crate::HeaderSource;
use crate::route::RegularExpression;

/// What one FaultInjection does to the calls that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRule {
    /// `namespace/name`, for logs.
    pub injection: Arc<str>,
    /// What a request must carry, all of it; empty only where each fault says its percentage.
    pub headers: Vec<FaultHeader>,
    /// Whether a request is held up.
    pub delay: Option<FaultDelay>,
    /// Whether a request is answered in the service's place.
    pub abort: Option<FaultAbort>,
}

/// A header that a request must carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultHeader {
    /// Its name, in lower case.
    pub name: Arc<str>,
    /// Its value.
    pub value: FaultValue,
}

/// What the value of a header must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultValue {
    /// This, to the letter (`value`).
    Exact(Arc<str>),
    /// What matches as a whole (`regex`).
    Matching(RegularExpression),
}

impl FaultValue {
    fn is(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(text) => value == text.as_bytes(),
            Self::Matching(expression) => expression.matches(value),
        }
    }
}

/// How often, in percent: 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultPercentage(u8);

/// A wait before the request goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultDelay {
    /// How often.
    pub percentage: FaultPercentage,
    /// How long, at least 1 ms and at most [`FaultDelay::MOST`].
    pub duration: Duration,
}

impl FaultDelay {
    /// The longest delay: what waits longer is a test of patience, and holds its connection meanwhile.
    pub const MOST: Duration = Duration::from_secs(300);
}

/// An answer in the service's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultAbort {
    /// How often.
    pub percentage: FaultPercentage,
    /// Which answer.
    pub status: AbortStatus,
}

/// What a request is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbortStatus {
    /// A status code of HTTP, 400 to 599.
    Http(u16),
    /// A status code of gRPC, 1 to 16. A request that is not of gRPC gets 500.
    Grpc(u8),
}

/// What is done to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault<'a> {
    /// The FaultInjection (`namespace/name`).
    pub injection: &'a Arc<str>,
    /// How long it waits first.
    pub delay: Option<Duration>,
    /// What it is answered with then, in the service's place; `None`: it goes on.
    pub abort: Option<AbortStatus>,
}

/// The faults that calls to one host may meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    rules: Vec<Arc<FaultRule>>,
}

impl Faults {
    /// The faults of these rules, in this order.
    pub fn new(rules: Vec<Arc<FaultRule>>) -> Self {
        Self { rules }
    }

    /// What is done to a request with these headers: the first rule that is about it, whether or not chance spares the request,
    /// and no other. `random` is any number, each as likely as the other; delay and abort take a half of it each, so that
    /// they are independent.
    pub fn decide(&self, headers: &dyn HeaderSource, random: u64) -> Option<Fault<'_>> {
        let rule = self.rules.iter().find(|rule| rule.is_about(headers))?;
        let (first, second) = (random >> 32, random & u64::from(u32::MAX));
        let delay = rule.delay.filter(|delay| delay.percentage.takes(first));
        let abort = rule.abort.filter(|abort| abort.percentage.takes(second));
        if delay.is_none() && abort.is_none() {
            return None;
        }
        Some(Fault {
            injection: &rule.injection,
            delay: delay.map(|delay| delay.duration),
            abort: abort.map(|abort| abort.status),
        })
    }
}

impl FaultRule {
    /// A header that comes more than once has none of these values: what one reader takes for the value, another does not.
    fn is_about(&self, headers: &dyn HeaderSource) -> bool {
        self.headers.iter().all(|header| {
            let (mut lines, mut equal) = (0usize, false);
            headers.values(&header.name, &mut |value| {
                lines += 1;
                equal = header.value.is(value);
            });
            lines == 1 && equal
        })
    }
}

impl FaultPercentage {
    /// Every time.
    pub const ALWAYS: Self = Self(100);

    /// `percent` of the requests; `None` where it is not 1 to 100.
    pub fn new(percent: u8) -> Option<Self> {
        (1..=100).contains(&percent).then_some(Self(percent))
    }

    /// Whether it takes the request that drew this number of 32 bits.
    fn takes(self, drawn: u64) -> bool {
        drawn * 100 < u64::from(self.0) << 32
    }
}

#[cfg(test)]
mod tests;
