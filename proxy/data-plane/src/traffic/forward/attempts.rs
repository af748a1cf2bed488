//! Sends a request to one of a backend's endpoints and, where that is harmless, once more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};

use super::Forwarder;
use super::backend::{Backend, ChosenEndpoint, EndpointHints, ReachedEndpoint};
use super::mirrors;
use super::retry::{Attempts, NextAttempt};
use super::routed::{RoutedRequest, Upstream, backend_at};
use crate::http::body::Body;
use crate::http::error::RequestError;
use crate::traffic::balancing::Underway;
use crate::traffic::client_credentials;
use crate::traffic::record::RequestRecord;

/// The longest wait before the first attempt after one that the app may have seen; it doubles with each.
const FIRST_BACK_OFF: Duration = Duration::from_millis(25);
/// The longest of these waits.
const MAX_BACK_OFF: Duration = Duration::from_millis(250);

impl Forwarder {
    /// Sends a request to its upstream.
    ///
    /// # Errors
    /// The last attempt's.
    pub(super) async fn send(
        &self,
        routed: &RoutedRequest,
        request: Box<Request<Body>>,
        record: &mut RequestRecord,
    ) -> Result<Response<Body>, RequestError> {
        match &routed.upstream {
            Upstream::Mesh(backend) => self.send_into_mesh(routed, backend, request, record).await,
            // Boxed: an exchange within the mesh is not to hold the room that this one takes.
            Upstream::Outside(service) => {
                let added = client_credentials::added(&request);
                let answered = Box::pin(self.send_outside(routed, service, request, record)).await;
                client_credentials::heed_refusal(&self.worker.state, added.as_ref(), &answered);
                answered
            }
        }
    }

    /// Sends a request to its backend; again when the endpoint, or its app, turns out to be gone ([`super::retry`]
    /// decides) and the service's retry budget allows it. Copies go to the mirrors of its rule.
    ///
    /// # Errors
    /// The last endpoint's.
    async fn send_into_mesh(
        &self,
        routed: &RoutedRequest,
        backend: &Arc<Backend>,
        mut request: Box<Request<Body>>,
        record: &mut RequestRecord,
    ) -> Result<Response<Body>, RequestError> {
        let shared = &backend.shared;
        if let Some(underway) = routed.begin()? {
            record.underway(underway);
        }
        shared.retry_budget.deposit(self.worker.state.clock.since_start(record.started()));
        let mut attempts = Attempts::begin(&mut request, routed.retry());
        let answered = self.attempt(routed, backend, request, &mut attempts, record).await;
        if let Some(ruled) = &routed.ruled
            && !ruled.rule.mirrors.is_empty()
        {
            mirrors::copy(self, &ruled.rule, &attempts);
        }
        answered
    }

    async fn attempt(
        &self,
        routed: &RoutedRequest,
        first_backend: &Arc<Backend>,
        mut request: Box<Request<Body>>,
        attempts: &mut Attempts<'_>,
        record: &mut RequestRecord,
    ) -> Result<Response<Body>, RequestError> {
        let worker = &self.worker;
        // Another one when endpoints have come that the first knew nothing of.
        let mut backend = first_backend.clone();
        let mut began = record.started();
        let mut reached = match backend.reach_open(worker, routed.hints(began)) {
            Ok(reached) => reached,
            // Boxed, because it is rare and large.
            Err(first) => {
                let reaching = self.reach_endpoint(first_backend, first, routed.hints(began));
                let found = Box::pin(reaching).await?;
                backend = found.0;
                began = Instant::now();
                found.1
            }
        };
        let mut retry = None;
        for again in 0.. {
            let address = backend.address(&reached);
            if let Some(address) = address {
                record.upstream(address);
            }
            let sending = backend.send(worker, reached, request, began, routed.attempt_within());
            let (answered, in_flight) = sending.await;
            record.in_flight(in_flight);
            let Some(next) = attempts.next_attempt(&answered) else { return answered };
            // The one before is over when this one is counted.
            drop(retry.take());
            retry = self.take_retry(first_backend, &next);
            if retry.is_none() {
                return answered.map_err(|error| RequestError::RetryBudget(error.to_string()));
            }
            if next.backs_off {
                wait(again, routed).await;
            }
            let avoid = address
                .filter(|address| next.avoid_endpoint || backend.has_alternative(worker, *address));
            let hints = EndpointHints { except: avoid, ..routed.hints(Instant::now()) };
            let reaching = self.reach_endpoint(first_backend, None, hints);
            let Ok(found) = Box::pin(reaching).await else { return answered };
            let Some(copy) = attempts.request() else { return answered };
            record.retried(next.reason);
            (backend, reached) = found;
            began = Instant::now();
            request = copy;
        }
        // The attempts have an end long before the numbers do.
        Err(RequestError::NoEndpoint(backend.service.host.to_string()))
    }

    /// Whether the service's retry budget, and its DestinationRule, allow one more attempt; it counts as under way until
    /// the value is dropped.
    fn take_retry(&self, backend: &Backend, next: &NextAttempt) -> Option<Underway> {
        let metrics = &self.worker.state.metrics;
        let most = backend.policy.connection_pool.http.max_retries;
        let retry = Underway::begin(&backend.shared, |service| &service.retries, most);
        let allowed = retry.filter(|_| backend.shared.retry_budget.withdraw(self.now()));
        if allowed.is_none() {
            metrics.retry(next.reason, "no_budget");
        }
        allowed
    }

    fn now(&self) -> Duration {
        self.worker.state.clock.since_start(Instant::now())
    }

    /// A connection to an endpoint, or to `first`, which has been chosen. Where all have failed a moment ago, others may be
    /// about to replace them, and the proxy learns of those late: it waits a moment for them.
    async fn reach_endpoint(
        &self,
        backend: &Arc<Backend>,
        first: Option<ChosenEndpoint>,
        hints: EndpointHints,
    ) -> Result<(Arc<Backend>, ReachedEndpoint), RequestError> {
        let worker = &self.worker;
        let backend = backend.clone();
        let may_wait = backend.may_be_replaced(worker);
        match backend.reach(worker, first, hints, !may_wait).await {
            Err(_) if backend.may_be_replaced(worker) => {}
            Ok(reached) => return Ok((backend, reached)),
            Err(error) => return Err(error),
        }
        let deadline = tokio::time::Instant::now() + worker.state.settings.limits.endpoint_wait;
        let mut changes = worker.state.services.changes();
        loop {
            // Resolved after the subscription to changes, so that none is missed.
            if let Ok(newest) = self.newest(&backend).await
                && let Ok(reached) = newest.reach(worker, None, hints, false).await
            {
                return Ok((newest, reached));
            }
            if !matches!(tokio::time::timeout_at(deadline, changes.changed()).await, Ok(Ok(()))) {
                let reached = backend.reach(worker, None, hints, true).await?;
                return Ok((backend, reached));
            }
        }
    }

    /// A backend as it is now.
    async fn newest(&self, backend: &Backend) -> Result<Arc<Backend>, RequestError> {
        let host = &backend.service.host;
        let found = backend_at(&self.worker, host, backend.port, self.protocol, None).await?;
        match found {
            Some(Upstream::Mesh(newest)) => Ok(newest),
            _ => Err(RequestError::NoEndpoint(host.to_string())),
        }
    }
}

/// Waits before another attempt, as long as the route wants and chance says.
pub(super) async fn wait(again: u32, routed: &RoutedRequest) {
    let least = routed.retry().and_then(|rules| rules.back_off);
    tokio::time::sleep(back_off(again, least, fastrand::f64())).await;
}

/// How long to wait before another attempt: any time up to the longest ("full jitter"), at least what the route wants.
/// `random` is from 0 to 1.
fn back_off(again: u32, least: Option<Duration>, random: f64) -> Duration {
    let longest = FIRST_BACK_OFF.saturating_mul(1 << again.min(8)).min(MAX_BACK_OFF);
    let jitter = longest.mul_f64(random.clamp(0.0, 1.0));
    least.map_or(jitter, |least| least.saturating_add(jitter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_quarter_of_a_second() {
        let rows = [
            (0, None, 1.0, 25),
            (0, None, 0.0, 0),
            (1, None, 1.0, 50),
            (3, None, 1.0, 200),
            (4, None, 1.0, 250),
            (99, None, 0.5, 125),
            (0, Some(100), 1.0, 125),
        ];
        for (again, least, random, expect) in rows {
            let least = least.map(Duration::from_millis);
            let found = back_off(again, least, random);
            assert_eq!(found, Duration::from_millis(expect), "{again} {least:?} {random}");
        }
    }
}
