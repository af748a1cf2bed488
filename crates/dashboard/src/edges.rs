//! How counts of requests become who calls whom.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bounds::{EDGES, Listed, REFUSALS};
use crate::data::RefusalCount;

/// One series of the counter of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedRequests {
    /// `inbound` or `outbound`.
    pub direction: String,
    /// Who calls, `none` where nobody proved it.
    pub source: String,
    /// Who is called, as an identity; `none` where nobody proved it.
    pub destination: String,
    /// The service called, or `unknown`.
    pub service: String,
    /// The status of the answers.
    pub status: u16,
    /// `ok`, or the stable reason.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// One pair of caller and called, with what became of the requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// Towards our app (`inbound`) or from it (`outbound`).
    pub direction: String,
    /// Who calls.
    pub source: String,
    /// The service, or the identity where the service is unknown.
    pub destination: String,
    /// Answered by the app, with a status below 500.
    pub allowed: u64,
    /// Refused: 401, 403 and other answers that a proxy gave in the app's place, below 500.
    pub denied: u64,
    /// Failed: a status of 500 and more, or cut off.
    pub failed: u64,
}

impl Edge {
    pub(crate) fn total(&self) -> u64 {
        self.allowed.saturating_add(self.denied).saturating_add(self.failed)
    }
}

/// The edges of these counts, the busiest first.
#[must_use]
pub fn edges(counts: &[CountedRequests]) -> Listed<Edge> {
    let mut edges = BTreeMap::new();
    for counted in counts {
        let known = !matches!(counted.service.as_str(), "unknown" | "");
        let destination = if known { &counted.service } else { &counted.destination };
        let key = (&counted.direction, &counted.source, destination);
        let edge = edges.entry(key).or_insert_with(|| Edge {
            direction: counted.direction.clone(),
            source: counted.source.clone(),
            destination: destination.clone(),
            allowed: 0,
            denied: 0,
            failed: 0,
        });
        *match counted {
            _ if counted.status >= 500 => &mut edge.failed,
            CountedRequests { reason, .. } if reason == "ok" => &mut edge.allowed,
            // The client has gone, or a body was cut off: nobody refused anything.
            _ if counted.status < 400 || counted.status == 499 => &mut edge.failed,
            _ => &mut edge.denied,
        } += counted.count;
    }
    let mut edges: Vec<_> = edges.into_values().collect();
    edges.sort_by_key(|edge| std::cmp::Reverse(edge.total()));
    Listed::first(EDGES, edges)
}

/// How many requests ended for each reason but `ok`, the most often first.
#[must_use]
pub fn refusals(counts: &[CountedRequests]) -> Listed<RefusalCount> {
    let mut by_reason: BTreeMap<_, u64> = BTreeMap::new();
    for counted in counts.iter().filter(|counted| counted.reason != "ok") {
        *by_reason.entry((&counted.direction, &counted.reason)).or_default() += counted.count;
    }
    let counted = by_reason.into_iter().map(|((direction, reason), count)| RefusalCount {
        direction: direction.clone(),
        reason: reason.clone(),
        count,
    });
    let mut all: Vec<_> = counted.collect();
    all.sort_by_key(|refusal| std::cmp::Reverse(refusal.count));
    Listed::first(REFUSALS, all)
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    fn counted(source: &str, service: &str, status: u16, reason: &str) -> CountedRequests {
        CountedRequests {
            direction: "inbound".to_owned(),
            source: source.to_owned(),
            destination: "td/cart".to_owned(),
            service: service.to_owned(),
            status,
            reason: reason.to_owned(),
            count: 3,
        }
    }

    #[test]
    fn requests_are_told_by_what_became_of_them() {
        let check = |name: &str, status, reason: &str, expect: (u64, u64, u64)| {
            let edges = edges(&[counted("td/web", "cart", status, reason)]).shown;
            let [edge] = &edges[..] else { panic!("{name}: {edges:?}") };
            assert_eq!((edge.allowed, edge.denied, edge.failed), expect, "{name}");
        };
        check("answered", 200, "ok", (3, 0, 0));
        check("the app's own refusal", 404, "ok", (3, 0, 0));
        check("the app's own failure", 500, "ok", (0, 0, 3));
        check("refused", 403, "no_matching_allow", (0, 3, 0));
        check("limited", 429, "rate_limited", (0, 3, 0));
        check("unreachable", 503, "connect_failed", (0, 0, 3));
        check("the client has gone", 499, "client_gone", (0, 0, 3));
        check("cut off", 200, "upstream_reset", (0, 0, 3));
    }

    #[test]
    fn edges_are_few_the_busiest_first_and_the_rest_is_counted() {
        let mut counts: Vec<_> =
            (0..300).map(|n| counted(&format!("td/{n}"), "unknown", 200, "ok")).collect();
        counts
            .extend([counted("td/7", "unknown", 403, "rbac"), counted("td/7", "cart", 200, "ok")]);
        let edges = edges(&counts);
        assert_eq!((edges.shown.len(), edges.left_out), (EDGES, 101));
        let first = &edges.shown[0];
        assert_eq!((first.source.as_str(), first.destination.as_str()), ("td/7", "td/cart"));
        assert_eq!(refusals(&counts).shown[0].reason, "rbac");
    }
}
