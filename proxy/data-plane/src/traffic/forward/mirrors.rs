//! Copies of requests for the mirrors of a rule. Their answers are thrown away; nothing waits for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Request;
use policy::route::{Mirror, RouteRule};

use super::backend::EndpointHints;
use super::retry::Attempts;
use super::routed::{Upstream, backend_at};
use super::{Forwarder, external};
use crate::http::body::Body;
use crate::http::error::RequestError;
use crate::traffic::internal_token;
use crate::traffic::worker::Worker;

/// How long a copy may take.
const WITHIN: Duration = Duration::from_secs(15);

/// Sends the copies of a request that the rule asks for, each by chance. One whose body is too large to be kept, or has
/// not come whole before the answer, is not copied.
pub(super) fn copy(phases: &Forwarder, rule: &Arc<RouteRule>, attempts: &Attempts<'_>) {
    for mirror in &rule.mirrors {
        if !mirror.takes(fastrand::u64(..)) {
            continue;
        }
        let result = match attempts.mirrored() {
            None => Some("body_not_kept"),
            Some(request) => send(phases, mirror, request),
        };
        if let Some(result) = result {
            phases.worker.state.metrics.mirror(result);
        }
    }
}

/// Sends one copy in a task of its own; why not, where there are too many.
fn send(phases: &Forwarder, mirror: &Mirror, request: Request<Body>) -> Option<&'static str> {
    let (worker, protocol) = (phases.worker.clone(), phases.protocol);
    let Ok(permit) = worker.mirrors.clone().try_acquire_owned() else { return Some("overflow") };
    let (host, port) = (mirror.backend.host.clone(), mirror.backend.port);
    tokio::spawn(async move {
        let _permit = permit;
        let sending = async {
            let upstream = backend_at(&worker, &host, port, protocol, None).await?;
            let upstream = upstream.ok_or_else(|| RequestError::NoEndpoint(host.to_string()))?;
            deliver(&worker, &upstream, request).await
        };
        let sent = tokio::time::timeout(WITHIN, sending).await;
        let result = match sent {
            Ok(Ok(())) => "answered",
            Ok(Err(error)) => {
                tracing::debug!(%error, mirror = &*host, "copy of a request failed");
                "failed"
            }
            Err(_) => "timeout",
        };
        worker.state.metrics.mirror(result);
    });
    None
}

async fn deliver(
    worker: &Arc<Worker>,
    upstream: &Upstream,
    mut request: Request<Body>,
) -> Result<(), RequestError> {
    let own = &worker.state.settings.trust_domain;
    if upstream.leaves_the_mesh(own) {
        internal_token::remove(request.headers_mut(), own);
    }
    let backend = match upstream {
        Upstream::Mesh(backend) => backend,
        Upstream::Outside(service) => {
            let dialer = external::dialer(worker);
            return service.send(&dialer, Box::new(request), |_| {}).await.map(drop);
        }
    };
    let hints = EndpointHints { at: Instant::now(), hash: None, except: None };
    let reached = backend.reach(worker, None, hints, true).await?;
    let sending = backend.send(worker, reached, Box::new(request), Instant::now(), None);
    let (answered, _in_flight) = sending.await;
    answered.map(drop)
}
