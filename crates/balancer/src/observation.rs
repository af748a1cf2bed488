//! What is seen of an endpoint's answer, as far as it matters to the next choice.

use std::time::Duration;

/// How a request ended at its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered, and the endpoint has nothing to do with what the answer says.
    Success,
    /// The app failed: a 5xx of its own.
    ServerError,
    /// 502, 503 or 504, a reset, no answer in time.
    GatewayError,
    /// The endpoint, or the app behind its proxy, could not be connected to: the request had no effect.
    Unreachable,
    /// It has more than it can do: 429, `RESOURCE_EXHAUSTED`. No failure: an endpoint that sheds load is not ejected,
    /// which would put more on the others.
    Overloaded,
    /// The caller went away before there was an answer.
    Cancelled,
}

impl Outcome {
    /// Whether it counts against the endpoint.
    pub(crate) fn is_failure(self) -> bool {
        matches!(self, Self::ServerError | Self::GatewayError | Self::Unreachable)
    }

    /// Whether it says something about the endpoint's success.
    pub(crate) fn is_counted(self) -> bool {
        self.is_failure() || self == Self::Success
    }
}

/// One request's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// How it ended.
    pub outcome: Outcome,
    /// From the request to the head of the answer, or to the failure.
    pub latency: Duration,
    /// What a failed or overloaded endpoint asked to be left alone for (RFC 9110, section 10.2.3).
    pub retry_after: Option<Duration>,
}

/// A failure counts as an answer that took at least so long: a fast failure is not a fast answer.
const FAILURE_LATENCY: Duration = Duration::from_secs(5);

/// The longest Retry-After that is believed.
const MOST_RETRY_AFTER: Duration = Duration::from_secs(300);

impl Observation {
    /// An outcome without more.
    #[must_use]
    pub const fn new(outcome: Outcome, latency: Duration) -> Self {
        Self { outcome, latency, retry_after: None }
    }

    /// The result that an HTTP status means (RFC 9110, section 15; 429: RFC 6585, section 4).
    #[must_use]
    pub const fn of_status(status: u16, latency: Duration, retry_after: Option<Duration>) -> Self {
        let outcome = match status {
            429 => Outcome::Overloaded,
            502..=504 => Outcome::GatewayError,
            500..=599 => Outcome::ServerError,
            _ => Outcome::Success,
        };
        Self { outcome, latency, retry_after }
    }

    /// The result that a status of gRPC means, by its number (`grpc-status`): what a caller did wrong is the endpoint's
    /// success.
    #[must_use]
    pub const fn of_grpc_status(
        status: u32,
        latency: Duration,
        retry_after: Option<Duration>,
    ) -> Self {
        let outcome = match status {
            // RESOURCE_EXHAUSTED
            8 => Outcome::Overloaded,
            // DEADLINE_EXCEEDED, UNAVAILABLE
            4 | 14 => Outcome::GatewayError,
            // UNKNOWN, INTERNAL, DATA_LOSS
            2 | 13 | 15 => Outcome::ServerError,
            _ => Outcome::Success,
        };
        Self { outcome, latency, retry_after }
    }

    /// What the endpoint is charged for a failure, as if an answer had taken so long.
    pub(crate) fn charge(&self) -> Option<Duration> {
        match self.outcome {
            Outcome::Success | Outcome::Cancelled => None,
            _ => {
                let asked = self.retry_after.unwrap_or_default().min(MOST_RETRY_AFTER);
                Some(self.latency.max(asked).max(FAILURE_LATENCY))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_mean_outcomes() {
        let rows = [
            (200, Outcome::Success),
            (101, Outcome::Success),
            (404, Outcome::Success),
            (429, Outcome::Overloaded),
            (499, Outcome::Success),
            (500, Outcome::ServerError),
            (501, Outcome::ServerError),
            (502, Outcome::GatewayError),
            (503, Outcome::GatewayError),
            (504, Outcome::GatewayError),
            (599, Outcome::ServerError),
            (600, Outcome::Success),
        ];
        for (status, expect) in rows {
            let observation = Observation::of_status(status, Duration::ZERO, None);
            assert_eq!(observation.outcome, expect, "{status}");
        }
    }

    #[test]
    fn statuses_of_grpc_mean_outcomes() {
        let rows = [
            (0, Outcome::Success),
            (1, Outcome::Success),
            (2, Outcome::ServerError),
            (3, Outcome::Success),
            (4, Outcome::GatewayError),
            (5, Outcome::Success),
            (7, Outcome::Success),
            (8, Outcome::Overloaded),
            (13, Outcome::ServerError),
            (14, Outcome::GatewayError),
            (15, Outcome::ServerError),
            (16, Outcome::Success),
            (99, Outcome::Success),
        ];
        for (status, expect) in rows {
            let observation = Observation::of_grpc_status(status, Duration::ZERO, None);
            assert_eq!(observation.outcome, expect, "{status}");
        }
    }

    #[test]
    fn a_failure_is_charged_as_a_slow_answer() {
        let rows = [
            ("a success", Outcome::Success, 2, None, None),
            ("Retry-After beside a success says nothing", Outcome::Success, 2, Some(60), None),
            ("a fast failure", Outcome::ServerError, 0, None, Some(5)),
            ("a slow failure", Outcome::GatewayError, 30, None, Some(30)),
            ("unreachable", Outcome::Unreachable, 1, None, Some(5)),
            ("overloaded", Outcome::Overloaded, 0, None, Some(5)),
            ("asks for less than the least", Outcome::Overloaded, 0, Some(1), Some(5)),
            ("asks for a minute", Outcome::Overloaded, 0, Some(60), Some(60)),
            ("asks for a year", Outcome::GatewayError, 0, Some(31_536_000), Some(300)),
            ("the caller went away", Outcome::Cancelled, 3, None, None),
        ];
        for (name, outcome, latency, retry_after, expect) in rows {
            let latency = Duration::from_secs(latency);
            let retry_after = retry_after.map(Duration::from_secs);
            let charge = Observation { outcome, latency, retry_after }.charge();
            assert_eq!(charge.map(|charge| charge.as_secs()), expect, "{name}");
        }
    }
}
