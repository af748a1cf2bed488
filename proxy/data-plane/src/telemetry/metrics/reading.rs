//! What was counted, for the page: the series of a few counters, read where somebody looks at them.

use dashboard::data::{PolicyCount, RouteCount};
use dashboard::edges::CountedRequests;
use prometheus::IntCounterVec;
use prometheus::core::Collector as _;
use prometheus::proto::Metric;

use super::Metrics;

impl Metrics {
    /// Requests by caller, called and outcome.
    #[must_use]
    pub fn counted_requests(&self) -> Vec<CountedRequests> {
        read(&self.requests, |series| CountedRequests {
            direction: label(series, "direction"),
            source: label(series, "source_principal"),
            destination: label(series, "destination_principal"),
            service: label(series, "destination_service"),
            status: label(series, "response_code").parse().unwrap_or(0),
            reason: label(series, "reason"),
            count: count(series),
        })
    }

    /// Refusals by the policy and rule that decided, enforced or not.
    #[must_use]
    pub fn counted_refusals(&self) -> Vec<PolicyCount> {
        let counts = read(&self.decisions, |series| PolicyCount {
            decision: label(series, "decision"),
            policy: label(series, "policy"),
            rule: label(series, "rule"),
            count: count(series),
        });
        counts.into_iter().filter(|one| one.decision.ends_with("deny") && one.count > 0).collect()
    }

    /// Requests by the route that took them.
    #[must_use]
    pub fn counted_routes(&self) -> Vec<RouteCount> {
        read(&self.route_requests, |series| RouteCount {
            route: label(series, "route"),
            count: count(series),
        })
    }

    /// What each limit has let through and refused: its id, whether it was let through, how many.
    #[must_use]
    pub fn counted_limits(&self) -> Vec<(String, bool, u64)> {
        read(&self.rate_limit_decisions, |series| {
            (label(series, "limit"), label(series, "decision") == "allow", count(series))
        })
    }
}

fn read<T>(counter: &IntCounterVec, of: impl Fn(&Metric) -> T) -> Vec<T> {
    counter.collect().iter().flat_map(|family| family.get_metric().iter().map(&of)).collect()
}

fn label(series: &Metric, name: &str) -> String {
    let found = series.get_label().iter().find(|label| label.name() == name);
    found.map(|label| label.value().to_owned()).unwrap_or_default()
}

/// The library keeps whole numbers as floating ones on the way out; below 2^53 that loses nothing.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn count(series: &Metric) -> u64 {
    series.get_counter().get_value().max(0.0) as u64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::labels::{Direction, Protocol};
    use crate::telemetry::metrics::TrafficLabels;

    #[test]
    fn what_was_counted_is_read_with_its_labels() {
        let metrics = Metrics::new(10).unwrap();
        let labels = TrafficLabels {
            direction: Direction::Inbound,
            source_principal: "td/web".into(),
            destination_principal: "td/cart".into(),
            destination_service: "cart".into(),
            protocol: Protocol::Http1,
            mtls: true,
        };
        metrics.requests(&labels, 403, "no_matching_allow").inc_by(3);
        metrics.decision("deny", Some("shop/deny"), Some(1)).inc_by(2);
        metrics.decision("allow", Some("shop/allow"), Some(0)).inc();
        metrics.rate_limit_decision(&"shop/a/b".into(), "deny", "local").inc();
        let requests = metrics.counted_requests();
        assert_eq!(
            requests,
            [CountedRequests {
                direction: "inbound".to_owned(),
                source: "td/web".to_owned(),
                destination: "td/cart".to_owned(),
                service: "cart".to_owned(),
                status: 403,
                reason: "no_matching_allow".to_owned(),
                count: 3,
            }]
        );
        let refusals: Vec<_> = metrics
            .counted_refusals()
            .into_iter()
            .map(|one| (one.policy, one.rule, one.count))
            .collect();
        assert_eq!(refusals, [("shop/deny".to_owned(), "1".to_owned(), 2)]);
        assert_eq!(metrics.counted_limits(), [("shop/a/b".to_owned(), false, 1)]);
    }
}
