//! Copies of requests for the mirrors of a rule. Their answers are thrown away; nothing waits for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Request;
use http::request::Parts;
use policy::route::{Mirror, RouteRule};
use policy::{Snapshot, TokenPlace};

use super::backend::EndpointHints;
use super::retry::Attempts;
use super::routed::{Upstream, backend_at};
use super::{Forwarder, external};
use crate::http::body::Body;
use crate::http::error::RequestError;
use crate::http::query;
use crate::traffic::internal_token;
use crate::traffic::jwt::hide_token;
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
    let (mut head, body) = request.into_parts();
    disown(&worker.state.snapshot(), &mut head);
    let request = Request::from_parts(head, body);
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

/// Takes the tokens out of a copy that are for the addressed service alone: those that this proxy has put in, which it marks
/// as sensitive, and, where a TokenExchange is in force, every token: the user's own goes no further than to whom the
/// request is for.
fn disown(snapshot: &Snapshot, head: &mut Parts) {
    let exchanged = !snapshot.token_exchange().is_empty();
    internal_token::remove_bearers(&mut head.headers, |value| exchanged || value.is_sensitive());
    if !exchanged {
        return;
    }
    let places = snapshot.tokens().places().iter();
    let asked = snapshot.introspections().all().iter().flat_map(|rule| &rule.settings.places);
    for place in places.chain(asked) {
        hide_token(place, &mut head.headers);
        if let TokenPlace::Parameter(name) = place {
            query::remove(name, head);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::HeaderValue;
    use http::header::AUTHORIZATION;
    use policy::{PolicyDefaults, Resources, SourceFile, Workload};

    use super::*;

    fn snapshot(objects: &str) -> Snapshot {
        let file = SourceFile { name: "r.yaml".into(), bytes: objects.as_bytes().to_vec() };
        let resources = Resources::parse(&[file], "postern-system").unwrap();
        let workload = Workload {
            namespace: "shop".into(),
            service_account: "cart".into(),
            labels: std::collections::BTreeMap::new(),
        };
        Snapshot::build(&resources, &workload, &PolicyDefaults::default())
    }

    fn left(snapshot: &Snapshot, bearer: &HeaderValue) -> (Option<HeaderValue>, bool, String) {
        let request = Request::builder().uri("/a?access_token=t&b=c").header("x-user-token", "t");
        let (mut head, ()) =
            request.header(AUTHORIZATION, bearer.clone()).body(()).unwrap().into_parts();
        disown(snapshot, &mut head);
        let kept = head.headers.contains_key("x-user-token");
        (head.headers.remove(AUTHORIZATION), kept, head.uri.to_string())
    }

    #[test]
    fn a_copy_carries_no_token_that_is_for_the_addressed_service() {
        const RULE: &str = "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: r, namespace: shop}\n\
            spec: {jwtRules: [{issuer: 'https://id.example', forwardOriginalToken: true, fromHeaders: [{name: x-user-token}], fromParams: [access_token]}]}\n";
        const EXCHANGE: &str = "---\napiVersion: policy.postern.dev/v1alpha1\nkind: TokenExchange\nmetadata: {name: e, namespace: shop}\nspec: {}\n";
        let sent = HeaderValue::from_static("Bearer abc");
        let mut added = sent.clone();
        added.set_sensitive(true);
        let password = HeaderValue::from_static("Basic eDp5");
        let (plain, exchanged) = (snapshot(RULE), snapshot(&format!("{RULE}{EXCHANGE}")));
        for (row, rules, bearer, stays, elsewhere) in [
            ("the app's own", &plain, &sent, true, true),
            ("one that this proxy put in", &plain, &added, false, true),
            ("a user's, where it is exchanged", &exchanged, &sent, false, false),
            ("a password", &exchanged, &password, true, false),
        ] {
            let (found, kept, uri) = left(rules, bearer);
            assert_eq!((found.is_some(), kept), (stays, elsewhere), "{row}");
            let expect = if elsewhere { "/a?access_token=t&b=c" } else { "/a?b=c" };
            assert_eq!(uri, expect, "{row}");
        }
    }
}
