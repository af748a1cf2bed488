//! What a gateway would do with a connection or a request of a client: the listener that it belongs to, and the rule.
//!
//! The listeners are those of all Gateways that a proxy with these resources serves: a request may belong to another
//! Gateway's listener than the one that the line names, and the answer says so. Who may call is not asked here: at a
//! gateway a route says what is open, and policies what is not.

use std::sync::Arc;

use policy::gateway::{ListenerProtocol, TlsMode};
use policy::route::RedirectScheme;
use policy::{GatewayListener, GatewayPort, PortProtocol, Snapshot};

use super::input::RequestInput;
use super::outbound::{CalledServices, Chosen, of_connection_rule, routed};
use super::{ExplainAnswer, InputLine};
use data_plane::control::config::Config;

/// Said of bytes to a listener that takes requests.
const NO_REQUEST: &str = "this listener takes requests; name a `request`";
/// Said of a request to a listener that carries bytes.
const BYTES: &str = "this listener carries bytes, whatever is in them";

impl CalledServices<'_> {
    /// Answers a line of a client of a Gateway (`namespace/name`).
    pub(super) fn explain_gateway(
        &self,
        config: &Config,
        snapshot: &Snapshot,
        (gateway, number): (&str, u16),
        line: &InputLine,
    ) -> ExplainAnswer {
        let Some(port) = self.port_of(gateway, number) else {
            let error = format!("no listener of Gateway {gateway} is on port {number}");
            return ExplainAnswer { error: Some(error), ..ExplainAnswer::deny("bad_input") };
        };
        let request = line.request.as_ref();
        // A client names in the handshake whom it will ask for the request.
        let host = request.and_then(|request| request.host.as_deref());
        let sni = line.connection().sni.or(host.map(without_port));
        let answer = match port.protocol {
            PortProtocol::Tcp => of_bytes(port.only(), None, request.is_some()),
            PortProtocol::Tls => match port.by_server_name(sni) {
                Some(listener) => of_tls(config, snapshot, port, listener, (sni, request)),
                None => not_found(),
            },
            PortProtocol::Http => of_request(config, snapshot, port, None, request),
        };
        self.with_unknown_backends(config, answer)
    }

    /// The first port of that number with a listener of the Gateway.
    fn port_of(&self, gateway: &str, number: u16) -> Option<&GatewayPort> {
        let is_its = |listener: &Arc<GatewayListener>| listener.gateway.to_string() == gateway;
        let mut ports = self.gateways.ports().filter(|port| port.number == number);
        ports.find(|port| port.listeners().any(is_its)).map(|port| &**port)
    }
}

fn without_port(host: &str) -> &str {
    host.split_once(':').map_or(host, |(name, _)| name)
}

fn of_tls(
    config: &Config,
    snapshot: &Snapshot,
    port: &GatewayPort,
    listener: &Arc<GatewayListener>,
    (sni, request): (Option<&str>, Option<&RequestInput>),
) -> ExplainAnswer {
    let tls = listener.tls.as_ref();
    let ends_here = tls.is_some_and(|tls| tls.mode == TlsMode::Terminate);
    if ends_here && tls.is_none_or(|tls| tls.certificates.is_empty()) {
        return at(listener, ExplainAnswer::deny("no_certificate"));
    }
    match listener.protocol {
        ListenerProtocol::Https => of_request(config, snapshot, port, Some(listener), request),
        _ => of_bytes(Some(listener), sni, request.is_some()),
    }
}

fn of_bytes(
    listener: Option<&Arc<GatewayListener>>,
    sni: Option<&str>,
    has_request: bool,
) -> ExplainAnswer {
    let Some(listener) = listener else { return not_found() };
    let rule = match listener.protocol {
        ListenerProtocol::Tls => listener.tls_route(sni),
        _ => listener.tcp_route(),
    };
    let answer = of_connection_rule(rule.map(|rule| &**rule));
    let note = has_request.then_some(BYTES);
    at(listener, ExplainAnswer { note, ..answer })
}

/// `connection`: the listener that the connection belongs to, on a port of TLS.
fn of_request(
    config: &Config,
    snapshot: &Snapshot,
    port: &GatewayPort,
    connection: Option<&Arc<GatewayListener>>,
    request: Option<&RequestInput>,
) -> ExplainAnswer {
    let Some(request) = request else {
        let answer = ExplainAnswer { note: Some(NO_REQUEST), ..not_found() };
        return connection.map_or(answer.clone(), |listener| at(listener, answer));
    };
    let scheme = match connection {
        Some(_) => RedirectScheme::Https,
        None => RedirectScheme::Http,
    };
    let mut met = None;
    let answer = routed(config, snapshot, (scheme, port.number), request, |asked| {
        let Some(listener) = port.by_host(asked.host.name()) else {
            return Chosen::Refused("route_not_found");
        };
        met = Some(Arc::clone(listener));
        match connection {
            Some(of_connection) if !Arc::ptr_eq(of_connection, listener) => {
                Chosen::Refused("misdirected_request")
            }
            _ => match listener.choose(asked) {
                Some(rule) => Chosen::Rule(Arc::clone(rule)),
                None => Chosen::Refused("route_not_found"),
            },
        }
    });
    let answer = answer.unwrap_or_else(|refusal| ExplainAnswer::deny(refusal.reason));
    match met.as_ref().or(connection) {
        Some(listener) => at(listener, answer),
        None => answer,
    }
}

fn at(listener: &GatewayListener, answer: ExplainAnswer) -> ExplainAnswer {
    ExplainAnswer { listener: Some(Arc::clone(&listener.label)), ..answer }
}

fn not_found() -> ExplainAnswer {
    ExplainAnswer { route: Some(None), ..ExplainAnswer::deny("route_not_found") }
}
