//! Sends a request to one of a service's endpoints, and, where that is harmless, to another.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response};
use policy::HostName;
use tokio::time::Instant;

use super::http::OutboundPhases;
use super::retry::RetryBudget;
use super::route::{ReachedEndpoint, Route};
use crate::http::body::Body;
use crate::http::error::RequestError;
use crate::traffic::mesh::Destination;
use crate::traffic::record::RequestRecord;

impl OutboundPhases {
    /// Sends a request on its route; again when the endpoint, or its app, turns out to be gone ([`super::retry`]
    /// decides).
    ///
    /// # Errors
    /// The last endpoint's.
    pub(super) async fn send(
        &self,
        route: Arc<Route>,
        host: &HostName,
        mut request: Box<Request<Body>>,
        record: &mut RequestRecord,
    ) -> Result<Response<Body>, RequestError> {
        let worker = &self.outbound.worker;
        let mut tries = RetryBudget::of(&request);
        let mut reached = match route.reach_open(worker) {
            Ok(reached) => reached,
            // Boxed, because it is rare and large.
            Err(first) => Box::pin(self.reach_endpoint(&route, host, first, None)).await?,
        };
        loop {
            let address = reached.address();
            record.upstream(address);
            let answered = reached.send(worker, request).await;
            let Some(again) = tries.next_attempt(&answered) else { return answered };
            let except = again.avoid_endpoint || route.has_alternative(worker, address);
            let reaching = self.reach_endpoint(&route, host, None, except.then_some(address));
            let Ok(next) = Box::pin(reaching).await else { return answered };
            let Some(copy) = tries.request() else { return answered };
            record.retried(again.reason);
            (reached, request) = (next, copy);
        }
    }

    /// A connection to an endpoint other than `except`, or to `first`, which has been chosen. Where all have failed a
    /// moment ago, others may be about to replace them, and the proxy learns of those late: it waits a moment for them.
    async fn reach_endpoint(
        &self,
        route: &Arc<Route>,
        host: &HostName,
        first: Option<Arc<Destination>>,
        except: Option<SocketAddr>,
    ) -> Result<ReachedEndpoint, RequestError> {
        let worker = &self.outbound.worker;
        match route.reach(worker, first, except, !route.may_be_replaced(worker)).await {
            Err(_) if route.may_be_replaced(worker) => {}
            done => return done,
        }
        let deadline = Instant::now() + worker.state.settings.limits.endpoint_wait;
        let mut changes = worker.state.services.changes();
        loop {
            // Resolved after the subscription to changes, so that none is missed.
            let newest = match self.find_route(host).await {
                Ok(newest) => newest.reach(worker, None, except, false).await,
                Err(error) => Err(error),
            };
            if newest.is_ok() {
                return newest;
            }
            if !matches!(tokio::time::timeout_at(deadline, changes.changed()).await, Ok(Ok(()))) {
                return route.reach(worker, None, except, true).await;
            }
        }
    }
}
