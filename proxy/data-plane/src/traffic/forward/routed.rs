//! What a route makes of a request: the rule that takes it, what the rule answers itself, where the request goes, and
//! what is changed on the way.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use balancer::stable_hash;
use http::header::{COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE, VARY};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri};
use identity::{SpiffeId, TrustDomain};
use policy::route::{
    BackendChoice, CorsDecision, CorsPolicy, FieldChanges, RedirectScheme, RedirectedRequest,
    RetryPolicy, RouteRule, RouteTimeout,
};
use policy::traffic_policy::HashKey;
use policy::{PathNormalization, RouteRequest};

use super::backend::{Backend, EndpointHints};
use super::service_match;
use super::{Forwarder, external};
use crate::http::body::Body;
use crate::http::error::{OtherEnd, RequestError};
use crate::http::gate::GateRefusal;
use crate::http::headers::is_native_grpc;
use crate::labels::Protocol;
use crate::traffic::balancing::Underway;
use crate::traffic::egress::{ExternalService, ShownCertificate};
use crate::traffic::exchange::{Exchange, Phase, PhaseEnd};
use crate::traffic::record::TrafficMeter;
use crate::traffic::worker::Worker;

/// Where a request or a connection goes.
#[derive(Clone)]
pub(crate) enum Upstream {
    /// To a service of the mesh.
    Mesh(Arc<Backend>),
    /// To a service outside of it.
    Outside(Arc<ExternalService>),
}

impl Upstream {
    /// Whether what is sent there may leave the own mesh: to a service outside of it, or to one that may prove an identity
    /// of another trust domain.
    pub(crate) fn leaves_the_mesh(&self, own: &TrustDomain) -> bool {
        match self {
            Self::Outside(_) => true,
            Self::Mesh(backend) => !are_ours(&backend.service.identities, own),
        }
    }

    /// Whether its names are to be looked up again.
    pub(crate) fn is_stale(&self, now: u32) -> bool {
        match self {
            Self::Mesh(backend) => backend.is_stale(now),
            Self::Outside(service) => service.is_stale(now),
        }
    }

    /// The counters of requests to it.
    pub(crate) fn meter(&self) -> &Arc<TrafficMeter> {
        match self {
            Self::Mesh(backend) => &backend.meter,
            Self::Outside(service) => &service.meter,
        }
    }
}

/// Whether whoever proves one of these identities is of the own trust domain. Nobody's are not.
fn are_ours(identities: &[SpiffeId], own: &TrustDomain) -> bool {
    !identities.is_empty() && identities.iter().all(|id| id.trust_domain() == own.as_str())
}

/// The fields that CORS puts into an answer.
pub(crate) type CorsFields = Vec<(&'static str, String)>;

/// Where a request came in: a redirect that says nothing else leads there again.
pub(crate) struct RequestPlace {
    pub(crate) scheme: RedirectScheme,
    pub(crate) port: u16,
    /// What is shown to a backend outside the mesh that asks for a certificate.
    pub(crate) shown: Option<ShownCertificate>,
}

/// A request with its upstream.
pub(crate) struct RoutedRequest {
    /// Where it goes.
    pub(crate) upstream: Upstream,
    /// The hash of what ties it to an endpoint.
    pub(super) hash: Option<u64>,
    /// The cookie that ties the next one to the same.
    set_cookie: Option<HeaderValue>,
    /// For how long it may take in all.
    pub(crate) within: Option<Duration>,
    /// The rule that took it; boxed, because most services have no routes.
    pub(super) ruled: Option<Box<RuledRequest>>,
}

/// What the rule that took a request says of it.
pub(super) struct RuledRequest {
    pub(super) rule: Arc<RouteRule>,
    /// Which of the rule's backends it goes to.
    backend: usize,
    /// The new target, where the rule rewrites it.
    target: Option<PathAndQuery>,
    /// Fields of the answer that are the rule's alone.
    cors: Vec<(&'static str, String)>,
}

impl RoutedRequest {
    /// To a service itself.
    pub(crate) fn plain(upstream: Upstream) -> Self {
        Self { upstream, hash: None, set_cookie: None, within: None, ruled: None }
    }

    /// What matters to the choice of its endpoint.
    pub(super) fn hints(&self, at: Instant) -> EndpointHints {
        EndpointHints { at, hash: self.hash, except: None }
    }

    /// What its rule says of further attempts.
    pub(super) fn retry(&self) -> Option<&RetryPolicy> {
        self.ruled.as_ref()?.rule.retry.as_ref()
    }

    /// For how long one attempt may take.
    pub(super) fn attempt_within(&self) -> Option<Duration> {
        self.ruled.as_ref()?.rule.timeouts.backend_request.and_then(RouteTimeout::duration)
    }

    /// Counts it as under way at its service, where a DestinationRule limits how many are.
    ///
    /// # Errors
    /// [`RequestError::Overloaded`] at the limit.
    pub(super) fn begin(&self) -> Result<Option<Underway>, RequestError> {
        let Upstream::Mesh(backend) = &self.upstream else { return Ok(None) };
        let Some(most) = backend.policy.connection_pool.http.max_requests else { return Ok(None) };
        let begun = Underway::begin(&backend.shared, |service| &service.requests, Some(most));
        let overloaded = || RequestError::Overloaded(backend.service.host.to_string());
        begun.ok_or_else(overloaded).map(Some)
    }

    /// Waits for its answer, as long as the route, the caller and `limit` (`limits.responseTimeout`) allow.
    ///
    /// # Errors
    /// [`RequestError::RequestTimeout`], [`RequestError::Timeout`], and those of the answer.
    pub(super) async fn answered_within(
        &self,
        limit: Duration,
        answered: impl Future<Output = Result<Response<Body>, RequestError>>,
    ) -> Result<Response<Body>, RequestError> {
        let own = self.within.filter(|within| *within <= limit);
        match (tokio::time::timeout(own.unwrap_or(limit), answered).await, own) {
            (Ok(answered), _) => answered,
            (Err(_), Some(within)) => Err(RequestError::RequestTimeout(within)),
            (Err(_), None) => Err(RequestError::Timeout { who: OtherEnd::Upstream }),
        }
    }

    /// Waits for the answer to one attempt, as long as the route allows it.
    ///
    /// # Errors
    /// [`RequestError::Timeout`], and those of the answer.
    pub(super) async fn attempted_within(
        &self,
        answered: impl Future<Output = Result<Response<Body>, RequestError>>,
    ) -> Result<Response<Body>, RequestError> {
        let Some(within) = self.attempt_within() else { return answered.await };
        let timeout = || RequestError::Timeout { who: OtherEnd::Upstream };
        tokio::time::timeout(within, answered).await.unwrap_or_else(|_| Err(timeout()))
    }

    /// Ties the request to an endpoint, where its backend's DestinationRule says by what.
    pub(crate) fn tie(&mut self, exchange: &Exchange<'_>, source: std::net::IpAddr) {
        let Upstream::Mesh(backend) = &self.upstream else { return };
        let backend = backend.clone();
        let Some(key) = &backend.policy.load_balancing.hash_key else { return };
        self.hash = match key {
            HashKey::Header(name) => exchange.parts.headers.get(&**name).map(HeaderValue::as_bytes),
            HashKey::QueryParameter(name) => parameter(exchange.path.query(), name),
            HashKey::Cookie { name, .. } => cookie(&exchange.parts.headers, name),
            HashKey::SourceAddress => {
                return self.hash = Some(stable_hash(source.to_string().as_bytes()));
            }
        }
        .map(stable_hash);
        if let (HashKey::Cookie { name, path, ttl: Some(ttl) }, None) = (key, self.hash) {
            let value = format!("{:016x}", fastrand::u64(..));
            self.hash = Some(stable_hash(value.as_bytes()));
            self.set_cookie = new_cookie(name, &value, path.as_deref(), *ttl);
        }
    }

    /// Changes the request as its rule says.
    pub(super) fn change_request(&self, request: &mut Request<Body>) {
        let Some(ruled) = &self.ruled else { return };
        let rule = &ruled.rule;
        change(request.headers_mut(), &rule.request_fields);
        if let Some(backend) = rule.backends.get(ruled.backend) {
            change(request.headers_mut(), &backend.request_fields);
        }
        let hostname = rule.rewrite.as_ref().and_then(|rewrite| rewrite.hostname.as_deref());
        if let Some(host) = hostname.and_then(|host| HeaderValue::from_str(host).ok()) {
            request.headers_mut().insert(HOST, host);
        }
        if let Some(target) = &ruled.target {
            *request.uri_mut() = Uri::from(target.clone());
        }
    }

    /// Changes the answer as its rule says.
    pub(super) fn change_response(&self, response: &mut Response<Body>) {
        if let Some(cookie) = &self.set_cookie {
            response.headers_mut().append(SET_COOKIE, cookie.clone());
        }
        let Some(ruled) = &self.ruled else { return };
        let headers = response.headers_mut();
        if let Some(backend) = ruled.rule.backends.get(ruled.backend) {
            change(headers, &backend.response_fields);
        }
        change(headers, &ruled.rule.response_fields);
        if ruled.rule.cors.is_some() {
            CorsPolicy::OWN_FIELDS.iter().for_each(|name| drop(headers.remove(*name)));
            add(headers, &ruled.cors);
        }
    }
}

impl Forwarder {
    /// What a rule makes of a request that it takes.
    ///
    /// The order is the standard's: a redirect or CORS may answer at once; then the backend is drawn and looked up.
    pub(crate) async fn by_rule(
        &self,
        exchange: &mut Exchange<'_>,
        rule: Arc<RouteRule>,
        place: RequestPlace,
    ) -> Phase<RoutedRequest> {
        let cors = self.taken_by(exchange, &rule)?;
        self.led_by(exchange, rule, cors, place).await
    }

    /// A request that a rule takes: counted, and answered where it is a preflight of CORS, which carries no credentials and
    /// so is asked for none. Else the fields that CORS puts into the answer.
    pub(crate) fn taken_by(
        &self,
        exchange: &mut Exchange<'_>,
        rule: &Arc<RouteRule>,
    ) -> Phase<CorsFields> {
        self.worker.route_meters.count(&self.worker, rule);
        exchange.record.routed(&rule.label);
        cors(exchange, rule)
    }

    /// Where the rule leads a request: elsewhere, or to the backend that is drawn and looked up.
    pub(crate) async fn led_by(
        &self,
        exchange: &mut Exchange<'_>,
        rule: Arc<RouteRule>,
        cors: CorsFields,
        place: RequestPlace,
    ) -> Phase<RoutedRequest> {
        redirect(exchange, &place, &rule)?;
        let (upstream, at) = draw(&self.worker, &rule, self.protocol, place.shown.as_ref()).await?;
        let target = target(exchange, &rule, self.worker.state.settings.path_normalization)?;
        exchange.record.route(upstream.meter());
        let mut routed = RoutedRequest::plain(upstream);
        routed.within = rule.timeouts.request.and_then(RouteTimeout::duration);
        routed.ruled = Some(Box::new(RuledRequest { rule, backend: at, target, cors }));
        Ok(routed)
    }
}

/// Draws one of the rule's backends by weight, and looks it up. What cannot be used takes its share down with it, as the
/// standard wants: others are not to be overrun by it.
pub(crate) async fn draw(
    worker: &Arc<Worker>,
    rule: &Arc<RouteRule>,
    protocol: Protocol,
    shown: Option<&ShownCertificate>,
) -> Result<(Upstream, usize), RequestError> {
    let invalid = |backend: String, why| RequestError::BackendInvalid {
        route: format!("{} rule {}", rule.label, rule.index),
        backend,
        why,
    };
    let named = |backend: &policy::route::Backend| format!("{}:{}", backend.host, backend.port);
    let drawn = match rule.backend(fastrand::u64(..)) {
        BackendChoice::Backend(backend) => backend,
        BackendChoice::Invalid(backend, why) => return Err(invalid(named(backend), why.as_str())),
        BackendChoice::None => return Err(invalid("nothing".into(), "it has no backend")),
    };
    let at = rule.backends.iter().position(|one| std::ptr::eq(one, drawn)).unwrap_or_default();
    let found = backend_at(worker, &drawn.host, drawn.port, protocol, shown).await?;
    found.map(|found| (found, at)).ok_or_else(|| invalid(named(drawn), "BackendNotFound"))
}

/// What is called at a service's port; `None` where there is no such service.
///
/// # Errors
/// [`RequestError`]: it cannot be called now, or requests in the clear do not go there.
pub(super) async fn backend_at(
    worker: &Arc<Worker>,
    host: &str,
    port: u16,
    protocol: Protocol,
    shown: Option<&ShownCertificate>,
) -> Result<Option<Upstream>, RequestError> {
    let host = worker.state.services.table().backend_name(host, port);
    let Some(found) = service_match::resolve_host(&worker.state, host, port).await? else {
        return Ok(None);
    };
    if !found.service.external {
        let backend = worker.backends.get(worker, &found, protocol).await?;
        return Ok(Some(Upstream::Mesh(backend)));
    }
    let name = || found.service.host.to_string();
    let policy = worker.backends.policy(worker, &found);
    if external::spoken(found.port.protocol, protocol, policy.tls.as_ref()).is_none() {
        return Err(RequestError::UnknownDestination(name()));
    }
    if worker.state.services.calls().incomplete {
        return Err(RequestError::Unresolved(name()));
    }
    external::resolve(worker, &found, protocol, None, shown)
        .await
        .map(|found| Some(Upstream::Outside(found)))
}

/// Asks routes for the rule that takes a request.
pub(crate) fn choose<'r>(
    exchange: &Exchange<'_>,
    routes: impl FnOnce(&RouteRequest<'_>) -> Option<&'r Arc<RouteRule>>,
) -> Option<Arc<RouteRule>> {
    let facts = exchange.facts();
    let request = RouteRequest {
        method: exchange.parts.method.as_str(),
        host: exchange.admitted.host(),
        path: exchange.path,
        headers: &facts,
        is_grpc: is_native_grpc(&exchange.parts.headers),
    };
    routes(&request).cloned()
}

/// The fields that CORS puts into the answer, or the answer to a preflight.
fn cors(exchange: &Exchange<'_>, rule: &RouteRule) -> Phase<Vec<(&'static str, String)>> {
    let Some(cors) = &rule.cors else { return Ok(Vec::new()) };
    match cors.decide(exchange.parts.method.as_str(), &exchange.facts()) {
        CorsDecision::Fields(fields) => Ok(fields),
        CorsDecision::Preflight(fields) => {
            let mut response = Box::new(Response::new(Body::empty()));
            *response.status_mut() = StatusCode::NO_CONTENT;
            add(response.headers_mut(), &fields);
            Err(PhaseEnd::Answer { response, reason: "cors_preflight" })
        }
    }
}

/// Answers in the place of a rule that leads elsewhere.
fn redirect(exchange: &Exchange<'_>, place: &RequestPlace, rule: &RouteRule) -> Phase<()> {
    let Some(redirect) = &rule.redirect else { return Ok(()) };
    let location = redirect.location(&RedirectedRequest {
        scheme: place.scheme,
        host: exchange.admitted.host().name(),
        port: place.port,
        path: exchange.path,
    });
    let mut response = Box::new(Response::new(Body::empty()));
    *response.status_mut() = StatusCode::from_u16(redirect.status).unwrap_or(StatusCode::FOUND);
    let location = HeaderValue::try_from(location).map_err(|_| refused_target())?;
    response.headers_mut().insert(LOCATION, location);
    Err(PhaseEnd::Answer { response, reason: "redirected" })
}

/// The target that the rule makes of the request's: judged by the same rules as one that came in.
fn target(
    exchange: &Exchange<'_>,
    rule: &RouteRule,
    level: PathNormalization,
) -> Result<Option<PathAndQuery>, RequestError> {
    let rewritten = rule.rewrite.as_ref().and_then(|rewrite| rewrite.path(exchange.path, level));
    let Some(path) = rewritten.transpose().map_err(|_| refused_target())? else { return Ok(None) };
    let target = PathAndQuery::from_maybe_shared(path.forward().into_owned());
    target.map(Some).map_err(|_| refused_target())
}

fn refused_target() -> RequestError {
    RequestError::Gate(GateRefusal::TARGET)
}

/// First what is taken away, then what is put in its place, then what is added.
fn change(headers: &mut HeaderMap, changes: &FieldChanges) {
    for name in &changes.remove {
        headers.remove(&**name);
    }
    let field = |(name, value): &(Arc<str>, Arc<str>)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value).ok()?))
    };
    for (name, value) in changes.set.iter().filter_map(field) {
        headers.insert(name, value);
    }
    for (name, value) in changes.add.iter().filter_map(field) {
        headers.append(name, value);
    }
}

fn add(headers: &mut HeaderMap, fields: &[(&'static str, String)]) {
    for (name, value) in fields {
        let name = HeaderName::from_static(name);
        let Ok(value) = HeaderValue::from_str(value) else { continue };
        match name {
            VARY => drop(headers.append(name, value)),
            _ => drop(headers.insert(name, value)),
        }
    }
}

/// The first value of a parameter of the query, as it is written there.
fn parameter<'q>(query: Option<&'q str>, name: &str) -> Option<&'q [u8]> {
    let pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.as_bytes()).next()
}

/// The first value of a cookie (RFC 6265 §4.2.1).
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let fields = headers.get_all(COOKIE).into_iter().filter_map(|field| field.to_str().ok());
    let pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().as_bytes()).next()
}

/// A cookie that a script has no use for.
fn new_cookie(name: &str, value: &str, path: Option<&str>, ttl: Duration) -> Option<HeaderValue> {
    let mut cookie = format!("{name}={value}; HttpOnly");
    if !ttl.is_zero() {
        cookie.push_str(&format!("; Max-Age={}", ttl.as_secs()));
    }
    if let Some(path) = path {
        cookie.push_str(&format!("; Path={path}"));
    }
    HeaderValue::try_from(cookie).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_ties_a_request_to_an_endpoint_is_found() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; session=abc"));
        headers.append(COOKIE, HeaderValue::from_static("session=later"));
        for (name, expect) in [("session", Some("abc")), ("a", Some("1")), ("b", None)] {
            assert_eq!(cookie(&headers, name), expect.map(str::as_bytes), "{name}");
        }
        let query = Some("user=ann&user=bob&x");
        for (name, expect) in [("user", Some("ann")), ("x", None), ("use", None)] {
            assert_eq!(parameter(query, name), expect.map(str::as_bytes), "{name}");
        }
        assert_eq!(parameter(None, "user"), None);
    }

    #[test]
    fn a_new_cookie_lasts_as_long_as_was_written() {
        let rows = [
            ("a session", Some("/"), 0, "s=1; HttpOnly; Path=/"),
            ("an hour", None, 3600, "s=1; HttpOnly; Max-Age=3600"),
        ];
        for (name, path, seconds, expect) in rows {
            let cookie = new_cookie("s", "1", path, Duration::from_secs(seconds)).unwrap();
            assert_eq!(cookie, expect, "{name}");
        }
    }

    #[test]
    fn fields_are_taken_away_put_and_added_in_this_order() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("a", "1"), ("b", "1"), ("b", "2"), ("c", "1")] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let field = |name: &str, value: &str| (name.into(), value.into());
        change(
            &mut headers,
            &FieldChanges {
                set: vec![field("b", "3")],
                add: vec![field("c", "2")],
                remove: vec!["a".into()],
            },
        );
        let found = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let mut found: Vec<_> = found.collect();
        found.sort_unstable();
        assert_eq!(found, [("b", "3"), ("c", "1"), ("c", "2")]);
    }

    /// One that fails over between meshes may send a request to either.
    #[test]
    fn a_service_is_inside_where_all_its_identities_are_ours() {
        let own = TrustDomain::parse("cluster.local").unwrap();
        let (pay, other) =
            ("spiffe://cluster.local/ns/pay/sa/pay", "spiffe://other.td/ns/pay/sa/pay");
        for (row, identities, inside) in [
            ("ours", vec![pay], true),
            ("two of ours", vec![pay, "spiffe://cluster.local/payments"], true),
            ("of two trust domains", vec![pay, other], false),
            ("another's", vec![other], false),
            ("nobody's", vec![], false),
        ] {
            let identities: Vec<_> =
                identities.into_iter().map(|id| SpiffeId::parse(id).unwrap()).collect();
            assert_eq!(are_ours(&identities, &own), inside, "{row}");
        }
    }
}
