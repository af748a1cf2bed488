//! Where a call of this workload would go: the route, the rule, the path that is sent, the backends with their weights.
//!
//! A draw is not made: every backend is told with its share. Whether a backend exists is told where services come from
//! files; in a cluster, live traffic alone knows.

use std::sync::Arc;

use policy::route::{
    Backend, InvalidBackend, Mirror, RedirectScheme, RedirectedRequest, RouteKind, RouteRule,
    UrlRewrite,
};
use policy::{
    CanonicalPath, GatewayTable, HostName, Resources, RouteRequest, RouteTable, ServiceRoutes,
    Snapshot,
};
use serde::Serialize;

use super::input::RequestInput;
use super::{ExplainAnswer, InputLine, gate_settings, request_parts};
use data_plane::control::config::Config;
use data_plane::http::gate::{self, GateRefusal, GateSettings};
use data_plane::http::headers;
use data_plane::traffic::authorize::RequestFacts;

/// The Services that this workload calls, and the routes that act on its calls.
#[derive(Debug)]
pub struct CalledServices<'a> {
    /// The routes.
    pub routes: RouteTable,
    /// The listeners of the Gateways that the resources have.
    pub gateways: GatewayTable,
    /// Where the names of ports are looked up.
    pub resources: &'a Resources,
}

/// The rule that takes a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RouteAnswer {
    /// The kind of the route.
    pub kind: &'static str,
    /// The route, `namespace/name`.
    pub name: String,
    /// The rule's index.
    pub rule: usize,
    /// The rule's name; absent when it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_name: Option<Arc<str>>,
    /// Where the rule redirects to; absent when it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect: Option<RedirectAnswer>,
    /// The host that is sent in the place of the request's; absent when it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Arc<str>>,
    /// Where requests go, each with its weight.
    pub backends: Vec<BackendAnswer>,
    /// Where copies go; absent when nowhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<MirrorAnswer>,
}

/// A redirect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RedirectAnswer {
    /// The status.
    pub status: u16,
    /// The field `Location`.
    pub location: String,
}

/// A backend of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackendAnswer {
    /// The Service's host.
    pub service: Arc<str>,
    /// The Service's port.
    pub port: u16,
    /// Its weight among the backends of the rule.
    pub weight: u32,
    /// Why its share is answered 500; absent when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invalid: Option<&'static str>,
}

/// Where copies go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MirrorAnswer {
    /// The Service's host.
    pub service: Arc<str>,
    /// The Service's port.
    pub port: u16,
    /// The part of requests that is copied, such as `5/100`.
    pub fraction: String,
    /// Why nothing is sent there; absent when something is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invalid: Option<&'static str>,
}

/// Said of opaque bytes to a port whose routes are about requests.
const NO_REQUEST: &str = "the routes of this port are about requests; name a `request`";

impl CalledServices<'_> {
    /// Answers a line that calls `service`.
    pub(super) fn explain(
        &self,
        config: &Config,
        snapshot: &Snapshot,
        (service, port): (&str, u16),
        line: &InputLine,
    ) -> ExplainAnswer {
        let Ok(called) = HostName::parse(service, None) else {
            let error = Some(format!("destination.service {service:?} is no host name"));
            return ExplainAnswer { error, ..ExplainAnswer::deny("bad_input") };
        };
        let host = full_name(called.name(), &config.workload.namespace);
        let routes = self.routes.of_port(&host, port, self.port_name(&host, port));
        let answer = match &line.request {
            Some(request) => of_request(config, snapshot, routes.as_ref(), port, request),
            None => Ok(of_connection(routes.as_ref(), line.connection().sni)),
        };
        match answer {
            Ok(answer) => self.with_unknown_backends(config, answer),
            Err(refusal) => ExplainAnswer::deny(refusal.reason),
        }
    }

    /// Notes the backends that no file knows, and what follows when nothing is left.
    pub(super) fn with_unknown_backends(
        &self,
        config: &Config,
        mut answer: ExplainAnswer,
    ) -> ExplainAnswer {
        let Some(Some(route)) = &mut answer.route else { return answer };
        if config.controller.is_none() {
            let unknown = |host: &str, port| {
                (!self.is_known(config, host, port))
                    .then(|| InvalidBackend::BackendNotFound.as_str())
            };
            for BackendAnswer { service, port, invalid, .. } in &mut route.backends {
                *invalid = invalid.or_else(|| unknown(service, *port));
            }
            for MirrorAnswer { service, port, invalid, .. } in &mut route.mirrors {
                *invalid = invalid.or_else(|| unknown(service, *port));
            }
        }
        let is_open = |backend: &BackendAnswer| backend.weight > 0 && backend.invalid.is_none();
        match route.redirect.is_some() || route.backends.iter().any(is_open) {
            true => answer,
            // Without anything that could be sent to, every call is answered 500.
            false => ExplainAnswer { decision: "deny", reason: "backend_invalid", ..answer },
        }
    }

    /// Whether this workload sees such a Service of the mesh.
    fn is_known(&self, config: &Config, host: &str, port: u16) -> bool {
        let seen = [&*config.workload.namespace, &*config.root_namespace];
        let entries = self.resources.service_entries().iter();
        let entries = entries.filter(|entry| seen.contains(&&**entry.namespace()));
        let mut services = entries.flat_map(|entry| entry.services());
        services.any(|known| *known.host == *host && !known.external && known.port(port).is_some())
    }

    fn port_name(&self, host: &str, port: u16) -> &str {
        let services = self.resources.service_entries().iter().flat_map(|entry| entry.services());
        let mut ports = services.filter(|known| *known.host == *host);
        ports.find_map(|service| service.port(port)).map_or("", |port| &port.name)
    }
}

/// The full name of a cluster service that is called by a short one.
fn full_name(name: &str, namespace: &str) -> String {
    let name = name.strip_suffix(".svc").unwrap_or(name);
    match name.split('.').count() {
        1 => format!("{name}.{namespace}.svc.cluster.local"),
        2 => format!("{name}.svc.cluster.local"),
        _ => name.to_owned(),
    }
}

fn of_request(
    config: &Config,
    snapshot: &Snapshot,
    routes: Option<&ServiceRoutes>,
    port: u16,
    request: &RequestInput,
) -> Result<ExplainAnswer, GateRefusal> {
    routed(config, snapshot, (RedirectScheme::Http, port), request, |asked| match routes {
        None => Chosen::Unrouted,
        Some(routes) if !routes.kind().is_of_requests() => Chosen::Connection,
        Some(routes) => match routes.choose(asked) {
            Some(rule) => Chosen::Rule(Arc::clone(rule)),
            None => Chosen::Refused("route_not_found"),
        },
    })
    .map(|answer| match routes {
        Some(routes) if !routes.kind().is_of_requests() => {
            let path = answer.path;
            ExplainAnswer { path, ..of_connection(Some(routes), None) }
        }
        _ => answer,
    })
}

/// What takes a request.
pub(super) enum Chosen {
    /// No route acts: it goes where it was going.
    Unrouted,
    /// A route that takes the connection as a whole.
    Connection,
    /// A rule.
    Rule(Arc<RouteRule>),
    /// Nothing, for this reason.
    Refused(&'static str),
}

/// Takes a request through the gate, as one over HTTP/1.1, and asks what takes it.
pub(super) fn routed(
    config: &Config,
    snapshot: &Snapshot,
    (scheme, port): (RedirectScheme, u16),
    request: &RequestInput,
    choose: impl FnOnce(&RouteRequest<'_>) -> Chosen,
) -> Result<ExplainAnswer, GateRefusal> {
    let mut parts = request_parts(config, request)?;
    let default_port = match scheme {
        RedirectScheme::Http => Some(80),
        RedirectScheme::Https => Some(443),
    };
    let settings = GateSettings { default_port, ..gate_settings(config, snapshot) };
    let admitted = gate::admit(&mut parts, &settings)?;
    let path = admitted.path()?;
    let facts = RequestFacts {
        method: &parts.method,
        host: admitted.host(),
        path: &path,
        headers: &parts.headers,
        token: None,
        api_key: None,
    };
    let asked = RouteRequest {
        method: parts.method.as_str(),
        host: admitted.host(),
        path: &path,
        headers: &facts,
        is_grpc: headers::is_native_grpc(&parts.headers),
    };
    let rule = match choose(&asked) {
        Chosen::Unrouted | Chosen::Connection => return Ok(unrouted(Some(&path))),
        Chosen::Refused(reason) => {
            let path = Some(path.as_str().to_owned());
            return Ok(ExplainAnswer { path, route: Some(None), ..ExplainAnswer::deny(reason) });
        }
        Chosen::Rule(rule) => rule,
    };
    let sent = match rule.rewrite.as_ref().and_then(|rewrite| rewritten(rewrite, &path, config)) {
        Some(path) => path?,
        None => path.as_str().to_owned(),
    };
    let redirect = rule.redirect.as_ref().map(|redirect| RedirectAnswer {
        status: redirect.status,
        location: redirect.location(&RedirectedRequest {
            scheme,
            host: admitted.host().name(),
            port,
            path: &path,
        }),
    });
    Ok(ExplainAnswer { path: Some(sent), ..taken(&rule, redirect) })
}

/// The path that is sent in the place of the request's, where the rule rewrites it.
fn rewritten(
    rewrite: &UrlRewrite,
    path: &CanonicalPath<'_>,
    config: &Config,
) -> Option<Result<String, GateRefusal>> {
    let path = rewrite.path(path, config.path_normalization)?;
    Some(path.map(|path| path.as_str().to_owned()).map_err(GateRefusal::path))
}

fn of_connection(routes: Option<&ServiceRoutes>, sni: Option<&str>) -> ExplainAnswer {
    let Some(routes) = routes else { return unrouted(None) };
    let rule = match routes.kind() {
        RouteKind::Tls => routes.tls(sni),
        RouteKind::Tcp => routes.tcp(),
        RouteKind::Grpc | RouteKind::Http => {
            return ExplainAnswer { note: Some(NO_REQUEST), ..unrouted(None) };
        }
    };
    of_connection_rule(rule.map(|rule| &**rule))
}

/// What a rule does with a whole connection; `None`: it is closed.
pub(super) fn of_connection_rule(rule: Option<&RouteRule>) -> ExplainAnswer {
    match rule {
        Some(rule) => taken(rule, None),
        None => ExplainAnswer { route: Some(None), ..ExplainAnswer::deny("route_not_found") },
    }
}

/// No route acts: the call goes to the Service that it names.
fn unrouted(path: Option<&CanonicalPath<'_>>) -> ExplainAnswer {
    let path = path.map(|path| path.as_str().to_owned());
    ExplainAnswer { path, route: Some(None), ..ExplainAnswer::allow("ok") }
}

/// What the rule does.
fn taken(rule: &RouteRule, redirect: Option<RedirectAnswer>) -> ExplainAnswer {
    let route = RouteAnswer {
        kind: rule.route.kind.as_str(),
        name: format!("{}/{}", rule.route.namespace, rule.route.name),
        rule: rule.index,
        rule_name: rule.name.clone(),
        redirect,
        host: rule.rewrite.as_ref().and_then(|rewrite| rewrite.hostname.clone()),
        backends: rule.backends.iter().map(told).collect(),
        mirrors: rule.mirrors.iter().map(copied).collect(),
    };
    ExplainAnswer { route: Some(Some(route)), ..ExplainAnswer::allow("ok") }
}

fn told(backend: &Backend) -> BackendAnswer {
    BackendAnswer {
        service: Arc::clone(&backend.host),
        port: backend.port,
        weight: backend.weight,
        invalid: backend.invalid.map(InvalidBackend::as_str),
    }
}

fn copied(mirror: &Mirror) -> MirrorAnswer {
    MirrorAnswer {
        service: Arc::clone(&mirror.backend.host),
        port: mirror.backend.port,
        fraction: mirror.fraction.to_string(),
        invalid: mirror.backend.invalid.map(InvalidBackend::as_str),
    }
}
