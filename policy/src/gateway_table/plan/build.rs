//! How a plan is made: which Gateways are served, which ListenerSets add to them, and what each listener refers to.

use std::collections::HashMap;
use std::net::IpAddr;

use super::{
    ListenerOwner, NotAccepted, NotAcceptedReason, PlannedGateway, PlannedListener,
    PlannedListenerSet,
};
use crate::Resources;
use crate::gateway::{
    CONTROLLER_NAME, Gateway, GatewayAddress, Listener, ListenerProtocol, ListenerSet, ObjectName,
};
use crate::gateway_table::port::PortProtocol;
use crate::gateway_table::references::{References, UnresolvedReason, UnresolvedReference};
use crate::gateway_table::{ClientCertificates, GatewaySelection, PROXY_PORTS};
use crate::route_table::order::ObjectAge;

/// Whether Gateways of a class are ours: a GatewayClass says so; without one the name alone does.
fn is_ours(resources: &Resources, selection: &GatewaySelection, class: &str) -> bool {
    let written = resources.gateway_classes().iter().find(|written| *written.name == *class);
    written.map_or_else(
        || *selection.class == *class,
        |written| *written.controller == *CONTROLLER_NAME,
    )
}

pub(super) fn gateways<'r>(
    resources: &'r Resources,
    selection: &GatewaySelection,
    references: &References<'r>,
) -> Vec<PlannedGateway<'r>> {
    let is_selected = |gateway: &&Gateway| {
        selection.gateway.as_ref().is_none_or(|wanted| *wanted == gateway.id)
            && is_ours(resources, selection, &gateway.class)
    };
    let mut found: Vec<&Gateway> = resources.gateways().iter().filter(is_selected).collect();
    found.sort_by_key(|gateway| ObjectAge::new(gateway.created.as_ref(), &gateway.id));
    let planned = found.into_iter().map(|gateway| PlannedGateway {
        gateway,
        has_supported_addresses: gateway
            .addresses
            .iter()
            .all(|address| !matches!(address, GatewayAddress::Unsupported { .. })),
        client_certificate: gateway
            .client_certificate
            .as_ref()
            .map(|reference| references.client_certificate(&gateway.id, reference)),
    });
    planned.collect()
}

pub(super) fn listener_sets<'r>(
    resources: &'r Resources,
    gateways: &[PlannedGateway<'r>],
) -> Vec<PlannedListenerSet<'r>> {
    let by_name: HashMap<&ObjectName, &'r Gateway> =
        gateways.iter().map(|planned| (&planned.gateway.id, planned.gateway)).collect();
    let mut found: Vec<PlannedListenerSet<'r>> = Vec::new();
    for set in resources.listener_sets() {
        let Some(gateway) = by_name.get(&set.parent).copied() else { continue };
        let (own, from) = (&gateway.id.namespace, &set.id.namespace);
        let labels = |name: &str| resources.namespace_labels(name);
        let is_allowed = gateway.allowed_listeners.takes(own, from, labels);
        found.push(PlannedListenerSet { set, gateway, is_allowed });
    }
    found.sort_by_key(|planned| ObjectAge::new(planned.set.created.as_ref(), &planned.set.id));
    found
}

pub(super) fn listeners<'r>(
    gateways: &[PlannedGateway<'r>],
    sets: &[PlannedListenerSet<'r>],
    references: &References<'r>,
) -> Vec<PlannedListener<'r>> {
    let mut of_sets: HashMap<&ObjectName, Vec<&'r ListenerSet>> = HashMap::new();
    for planned in sets.iter().filter(|planned| planned.is_allowed) {
        of_sets.entry(&planned.gateway.id).or_default().push(planned.set);
    }
    let mut found = Vec::new();
    for planned in gateways {
        let gateway = planned.gateway;
        let own = ListenerOwner::Gateway(gateway);
        let of_sets = of_sets.get(&gateway.id).into_iter().flatten();
        let owners = std::iter::once((own, &gateway.listeners))
            .chain(of_sets.map(|set| (ListenerOwner::ListenerSet(set), &set.listeners)));
        for (owner, listeners) in owners {
            let listeners = listeners.iter();
            found.extend(listeners.map(|listener| plan(planned, owner, listener, references)));
        }
    }
    found
}

fn plan<'r>(
    planned: &PlannedGateway<'r>,
    owner: ListenerOwner<'r>,
    listener: &'r Listener,
    references: &References<'r>,
) -> PlannedListener<'r> {
    let gateway = planned.gateway;
    let client_certificate = planned.client_certificate.as_ref();
    let mut made = PlannedListener {
        owner,
        gateway,
        listener,
        wanted_addresses: wanted_addresses(planned),
        not_accepted: not_accepted(listener),
        conflict: None,
        kinds: Vec::new(),
        unresolved: Vec::new(),
        certificates: Vec::new(),
        client_certificates: None,
        client_certificate: client_certificate.and_then(|found| found.as_ref().ok()).cloned(),
        attached_routes: 0,
    };
    resolve_kinds(&mut made);
    if made.terminates() {
        resolve_certificates(&mut made, references);
    }
    if listener.protocol == ListenerProtocol::Https {
        resolve_client_validation(&mut made, references);
    }
    made
}

/// The addresses that a Gateway asks for; every one where it asks for none.
fn wanted_addresses(planned: &PlannedGateway<'_>) -> Vec<Option<IpAddr>> {
    if !planned.has_supported_addresses {
        return Vec::new();
    }
    let written = planned.gateway.addresses.iter().filter_map(|address| match address {
        GatewayAddress::Ip(ip) => Some(*ip),
        _ => None,
    });
    let mut addresses: Vec<_> = written.map(Some).collect();
    if addresses.is_empty() {
        addresses.push(None);
    }
    addresses
}

fn not_accepted(listener: &Listener) -> Option<NotAccepted> {
    if PortProtocol::of(&listener.protocol).is_none() {
        let message =
            format!("{} is not spoken here: HTTP, HTTPS, TLS, TCP are", listener.protocol);
        return Some(NotAccepted { reason: NotAcceptedReason::UnsupportedProtocol, message });
    }
    if PROXY_PORTS.contains(&listener.port) {
        let message = format!("the port {} is the proxy's own", listener.port);
        return Some(NotAccepted { reason: NotAcceptedReason::PortUnavailable, message });
    }
    let option = listener.tls.as_ref().and_then(|tls| tls.options.keys().next())?;
    let message = format!("the option {option} of `tls` is not known here");
    Some(NotAccepted { reason: NotAcceptedReason::UnsupportedValue, message })
}

/// What `allowedRoutes.kinds` takes of the kinds that the protocol has.
fn resolve_kinds(made: &mut PlannedListener<'_>) {
    let of_protocol = made.listener.protocol.route_kinds();
    let written = &made.listener.allowed_routes.kinds;
    if written.is_empty() {
        made.kinds = of_protocol.to_vec();
        return;
    }
    for kind in written {
        match kind.route().filter(|kind| of_protocol.contains(kind)) {
            Some(kind) if made.kinds.contains(&kind) => {}
            Some(kind) => made.kinds.push(kind),
            None => made.unresolved.push(UnresolvedReference {
                reason: UnresolvedReason::InvalidRouteKinds,
                message: format!(
                    "a listener of {} has no routes of kind {} of group \"{}\"",
                    made.listener.protocol, kind.kind, kind.group
                ),
            }),
        }
    }
    made.kinds.sort();
}

fn resolve_certificates(made: &mut PlannedListener<'_>, references: &References<'_>) {
    let written = made.listener.tls.iter().flat_map(|tls| &tls.certificates);
    for reference in written {
        match references.certificate(made.owner, reference) {
            Ok(name) if made.certificates.contains(&name) => {}
            Ok(name) => made.certificates.push(name),
            Err(unresolved) => made.unresolved.push(unresolved),
        }
    }
    if made.certificates.is_empty() && made.unresolved.is_empty() {
        made.unresolved.push(UnresolvedReference {
            reason: UnresolvedReason::InvalidCertificateRef,
            message: "there is no `tls` with certificateRefs".to_owned(),
        });
    }
}

/// Clients whose certificates nobody can check are let in by no listener.
fn resolve_client_validation(made: &mut PlannedListener<'_>, references: &References<'_>) {
    let Some(validation) = made.gateway.frontend.on(made.listener.port) else { return };
    let mut authorities = Vec::new();
    for reference in &validation.authorities {
        match references.authorities(made.gateway, reference) {
            Ok(pem) => {
                authorities.extend_from_slice(pem);
                authorities.push(b'\n');
            }
            Err(unresolved) => made.unresolved.push(unresolved),
        }
    }
    if authorities.is_empty() && made.not_accepted.is_none() {
        made.not_accepted = Some(NotAccepted {
            reason: NotAcceptedReason::NoValidCaCertificate,
            message:
                "clients must show certificates, and no caCertificateRef leads to an authority"
                    .to_owned(),
        });
    }
    let mode = validation.mode;
    made.client_certificates = Some(ClientCertificates { authorities: authorities.into(), mode });
}
