//! The pages of the admin endpoint, as JSON. They never contain a key or a token.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use policy::service::EndpointAddress;
use serde_json::{Value, json};

use crate::connection::edge_tls::ListenerCertificate;
use crate::traffic::state::ProxyState;

/// The open connections, oldest first.
pub(super) fn connections(state: &ProxyState) -> Vec<Value> {
    let mut all = state.registry.all();
    all.sort_by_key(|c| c.id);
    let now = state.clock.coarse();
    all.iter()
        .map(|connection| {
            let (received, sent) = connection.bytes();
            let expiry = connection.expiry();
            json!({
                "connection": connection.id,
                "direction": connection.direction.as_str(),
                "source": connection.source.to_string(),
                "source_principal": connection.peer().map(|p| p.id.without_scheme()),
                "destination": connection.destination.to_string(),
                "protocol": connection.protocol().as_str(),
                "open_seconds": now.saturating_sub(connection.opened),
                "requests_in_flight": connection.in_flight(),
                "bytes_received": received,
                "bytes_sent": sent,
                "ends_before": (expiry != u64::MAX).then_some(expiry),
            })
        })
        .collect()
}

/// The certificate in force, the bundles, and what listeners of a gateway show.
pub(super) fn certificates(state: &ProxyState) -> Value {
    let listeners = listeners(state);
    let Some(credentials) = state.credentials() else {
        return json!({ "certificate": null, "trust_domains": [], "listeners": listeners });
    };
    let svid = credentials.svid();
    let bundles: Vec<Value> = credentials
        .bundles()
        .iter()
        .map(|bundle| json!({ "trust_domain": bundle.trust_domain().as_str(), "roots": bundle.roots().len(),
            "revocation_lists": bundle.crls().len(), "revocation_lists_overdue": bundle.crls().overdue(state.clock.unix()) }))
        .collect();
    json!({
        "certificate": {
            "id": svid.id().as_str(),
            "serial": svid.serial_hex(),
            "not_before": svid.not_before(),
            "not_after": svid.not_after(),
            "state": credentials.state(state.clock.unix()).as_str(),
            "trusted": !credentials.is_distrusted(),
            "valid": credentials.is_valid(state.clock.unix()),
            "generation": credentials.generation(),
        },
        "trust_domains": bundles,
        "listeners": listeners,
    })
}

/// The listeners of a gateway that end TLS, by name, and the certificates that each of them shows.
fn listeners(state: &ProxyState) -> Vec<Value> {
    let ports = state.edge.ports();
    let listeners = ports.values().flat_map(|port| port.listeners());
    let ends_tls = listeners.filter_map(|one| Some((&one.listener.label, one.tls.as_ref()?)));
    let by_name: BTreeMap<_, _> = ends_tls.collect();
    let now = state.clock.unix();
    let shown = by_name.into_iter().map(|(label, tls)| {
        let certificates = tls.certificates().iter();
        let certificates: Vec<_> =
            certificates.map(|certificate| listener_certificate(certificate, now)).collect();
        json!({ "listener": &**label, "certificates": certificates })
    });
    shown.collect()
}

fn listener_certificate(certificate: &ListenerCertificate, now: u64) -> Value {
    let leaf = certificate.leaf();
    json!({
        "name": &**certificate.name(),
        "dns_names": leaf.dns_names,
        "ip_addresses": leaf.ip_addresses,
        "subject": leaf.subject,
        "serial": leaf.serial_hex,
        "sha256": HEXLOWER.encode(certificate.sha256()),
        "key": certificate.key_kind(),
        "not_before": leaf.not_before,
        "not_after": leaf.not_after,
        "state": certificate.state(now).as_str(),
        "valid": certificate.is_valid(now),
    })
}

/// The rule sets that ThreatPolicies name, as comments behind the configuration; nothing where there are none.
pub(super) fn rule_sets(state: &ProxyState) -> String {
    let known = state.threats.rule_sets.known();
    let mut lines = String::new();
    for (source, set) in known.iter() {
        let rules = set.rules.as_ref().map_or(0, |rules| rules.rules());
        lines.push_str(&format!("\n# threat rules of {source}: {rules} in force"));
        for problem in &set.problems {
            let problem = problem.replace(char::is_control, " ");
            lines.push_str(&format!("\n#   the newest version is refused: {problem}"));
        }
    }
    if lines.is_empty() { lines } else { lines + "\n" }
}

/// The services this workload can call.
pub(super) fn services(state: &ProxyState) -> Vec<Value> {
    let table = state.services.table();
    table
        .services()
        .map(|service| {
            let endpoints: Vec<String> = service
                .endpoints
                .iter()
                .map(|endpoint| match &endpoint.address {
                    EndpointAddress::Ip(ip) => ip.to_string(),
                    EndpointAddress::Dns(name) => name.to_string(),
                })
                .collect();
            let ports: Vec<Value> = service
                .ports
                .iter()
                .map(|p| json!({ "port": p.number, "protocol": p.protocol.as_str() }))
                .collect();
            let identities: Vec<&str> =
                service.identities.iter().map(identity::SpiffeId::as_str).collect();
            json!({
                "host": &*service.host,
                "namespace": &*service.namespace,
                "external": service.external,
                "ports": ports,
                "endpoints": endpoints,
                "identities": identities,
            })
        })
        .collect()
}
