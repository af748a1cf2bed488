//! The pages of the admin endpoint, as JSON. They never contain a key or a token.

use policy::service::EndpointAddress;
use serde_json::{Value, json};

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

/// The certificate in force and the bundles.
pub(super) fn certificates(state: &ProxyState) -> Value {
    let Some(credentials) = state.credentials() else {
        return json!({ "certificate": null, "trust_domains": [] });
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
    })
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
