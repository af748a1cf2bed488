//! What is said of sets of resources: rows are named for the public suite's tests that ask the same.
#![allow(clippy::unwrap_used, clippy::panic)]

mod backend_tls;
mod gateways;
mod listener_sets;
mod routes;

use std::fmt::Write as _;

use super::*;
use crate::SourceFile;
use crate::core_group::{Secret, TEST_AUTHORITY};

/// Resources, and lines that must be among what is told of them. A line that begins with `!` must not be.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) resources: String,
    pub(super) told: &'static [&'static str],
}

pub(super) fn check(rows: &[Row]) {
    for Row { name, resources, told } in rows {
        let found = tell(&statuses(resources));
        for line in *told {
            let (is_wanted, line) = match line.strip_prefix('!') {
                Some(line) => (false, line),
                None => (true, *line),
            };
            assert_eq!(found.iter().any(|f| f == line), is_wanted, "{name}: {line}\n{found:#?}");
        }
    }
}

pub(super) fn statuses(text: &str) -> GatewayStatuses {
    let file = SourceFile { name: "r.yaml".into(), bytes: text.as_bytes().to_vec() };
    let resources = Resources::parse(&[file], "postern-system")
        .unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
    GatewayStatuses::of(&resources, &GatewaySelection::default(), &World)
}

/// Services `infra/web`, `infra/api` and `other/web` with the port 8080 named `http`; certificates are good whose text
/// begins as one does, and authorities that are not behind the word `refused`.
struct World;

impl StatusFacts for World {
    fn check_certificate(&self, secret: &Secret) -> Result<(), String> {
        let certificate = secret.certificate.as_ref().unwrap();
        match certificate.starts_with(b"-----BEGIN CERTIFICATE-----") {
            true => Ok(()),
            false => Err("tls.crt holds no certificate".to_owned()),
        }
    }

    fn check_authorities(&self, pem: &[u8]) -> Result<(), String> {
        match pem.starts_with(b"refused") {
            true => Err("a certificate of no authority".to_owned()),
            false => Ok(()),
        }
    }

    fn has_service_port(&self, namespace: &str, name: &str, port: u16) -> bool {
        self.has_service(namespace, name, None) && port == 8080
    }

    fn has_service(&self, namespace: &str, name: &str, port_name: Option<&str>) -> bool {
        let known = [("infra", "web"), ("infra", "api"), ("other", "web")];
        known.contains(&(namespace, name)) && port_name.is_none_or(|name| name == "http")
    }

    fn unsupported_protocol(&self, _namespace: &str, name: &str, _port: u16) -> Option<String> {
        (name == "api").then(|| "kubernetes.io/wss".to_owned())
    }

    fn progress(&self, gateway: &ObjectName) -> GatewayProgress {
        match &*gateway.name {
            "waiting" => GatewayProgress::Pending("no replica is available yet".to_owned()),
            "elsewhere" => GatewayProgress::AddressNotUsable("192.0.2.9 is not ours".to_owned()),
            _ => GatewayProgress::Programmed,
        }
    }
}

/// Every condition as a line: `Gateway infra/edge http: Accepted=True Accepted`.
fn tell(statuses: &GatewayStatuses) -> Vec<String> {
    let mut told = Vec::new();
    for (name, status) in &statuses.classes {
        tell_conditions(&mut told, &format!("GatewayClass {name}"), &status.conditions);
    }
    for (name, status) in &statuses.gateways {
        let label = format!("Gateway {name}");
        tell_conditions(&mut told, &label, &status.conditions);
        told.push(format!("{label}: sets {}", status.attached_listener_sets));
        tell_listeners(&mut told, &label, &status.listeners);
    }
    for (name, status) in &statuses.listener_sets {
        let label = format!("ListenerSet {name}");
        tell_conditions(&mut told, &label, &status.conditions);
        tell_listeners(&mut told, &label, &status.listeners);
    }
    for (id, status) in &statuses.routes {
        for RouteParentStatus { parent_ref: parent, conditions } in &status.parents {
            let mut label = format!("{id} at {}/{}", parent.namespace, parent.name);
            if let Some(section) = &parent.section {
                write!(label, " {section}").unwrap();
            }
            tell_conditions(&mut told, &label, conditions);
        }
    }
    for (name, status) in &statuses.backend_tls_policies {
        for ancestor in &status.ancestors {
            let label = format!("BackendTLSPolicy {name} at {}", ancestor.ancestor_ref);
            tell_conditions(&mut told, &label, &ancestor.conditions);
        }
    }
    told
}

fn tell_conditions(told: &mut Vec<String>, label: &str, conditions: &[Condition]) {
    told.extend(conditions.iter().map(|condition| {
        let Condition { kind, status, reason, message } = condition;
        assert!(!message.is_empty(), "{label} {kind:?}");
        format!("{label}: {}={} {reason}", kind.as_str(), status.as_str())
    }));
}

fn tell_listeners(told: &mut Vec<String>, label: &str, listeners: &[ListenerStatus]) {
    for listener in listeners {
        let label = format!("{label} {}", listener.name);
        let kinds: Vec<_> = listener.supported_kinds.iter().map(|kind| kind.as_str()).collect();
        told.push(format!("{label}: kinds [{}]", kinds.join(" ")));
        told.push(format!("{label}: routes {}", listener.attached_routes));
        tell_conditions(told, &label, &listener.conditions);
    }
}

/// A Gateway of our class in `infra`.
pub(super) fn gateway(name: &str, more: &str, listeners: &str) -> String {
    object(
        "gateway.networking.k8s.io/v1",
        "Gateway",
        &format!("infra/{name}"),
        &format!("gatewayClassName: postern, {more} listeners: [{listeners}]"),
    )
}

pub(super) const HTTP: &str = "{name: http, port: 80, protocol: HTTP}";

/// A route, `namespace/name`; its parents and whatever else stand in `spec`.
pub(super) fn route(kind: &str, name: &str, spec: &str) -> String {
    object("gateway.networking.k8s.io/v1", kind, name, spec)
}

pub(super) fn object(version: &str, kind: &str, name: &str, spec: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap();
    format!(
        "---\napiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}}}\n"
    )
}

/// A Secret with a certificate of this text.
pub(super) fn secret(name: &str, certificate: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap();
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\ntype: kubernetes.io/tls\nstringData: {{tls.crt: \"{certificate}\", tls.key: key}}\n"
    )
}

pub(super) const GOOD: &str = "-----BEGIN CERTIFICATE-----\\ngood";

/// A ConfigMap with an authority, behind a word.
pub(super) fn authority(name: &str, word: &str) -> String {
    config_map(name, &format!("{word}\n{TEST_AUTHORITY}"))
}

/// A ConfigMap with this text where certificates of authorities are to be.
pub(super) fn config_map(name: &str, authorities: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap();
    let authorities = authorities.replace('\n', "\\n");
    format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}}}\ndata: {{ca.crt: \"{authorities}\"}}\n"
    )
}

/// A ReferenceGrant of `other` for a kind of `infra`.
pub(super) fn grant(from: &str, to: &str) -> String {
    let group = "gateway.networking.k8s.io";
    object(
        "gateway.networking.k8s.io/v1beta1",
        "ReferenceGrant",
        &format!("other/{}", from.to_lowercase()),
        &format!(
            "from: [{{group: {group}, kind: {from}, namespace: infra}}], to: [{{group: \"\", kind: {to}}}]"
        ),
    )
}

/// The shapes are those that the API server takes.
#[test]
fn statuses_are_written_as_the_standard_has_them() {
    let text = gateway("edge", "", HTTP)
        + &route("HTTPRoute", "infra/r", "parentRefs: [{name: edge, port: 80}], rules: [{}]");
    let statuses = statuses(&text);
    let gateway = serde_json::to_value(&statuses.gateways.first().unwrap().1).unwrap();
    assert_eq!(gateway["attachedListenerSets"], 0);
    let listener = &gateway["listeners"][0];
    assert_eq!(listener["attachedRoutes"], 1);
    assert_eq!(
        listener["supportedKinds"][1],
        serde_json::json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"})
    );
    assert_eq!(
        gateway["conditions"][0],
        serde_json::json!({
            "type": "Accepted", "status": "True", "reason": "Accepted", "message": "valid"
        })
    );
    let route = serde_json::to_value(&statuses.routes.first().unwrap().1).unwrap();
    assert_eq!(
        route["parents"][0]["parentRef"],
        serde_json::json!({
            "group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "infra",
            "name": "edge", "port": 80
        })
    );
}

/// What is said does not depend on the order in which files are read.
#[test]
fn the_order_of_documents_says_nothing() {
    let allowed = "allowedListeners: {namespaces: {from: All}},";
    let set = |name: &str| {
        let spec = "parentRef: {name: edge}, listeners: [{name: http, port: 81, protocol: HTTP}]";
        object("gateway.networking.k8s.io/v1", "ListenerSet", name, spec)
    };
    let of_edge = |name: &str| {
        let spec = "parentRefs: [{name: edge}], rules: [{backendRefs: [{name: web, port: 8080}]}]";
        route("HTTPRoute", name, spec)
    };
    let documents = [
        gateway("edge", allowed, HTTP),
        gateway("other", "", HTTP),
        set("infra/one"),
        set("infra/two"),
        of_edge("infra/r1"),
        of_edge("infra/r2"),
    ];
    let told = statuses(&documents.concat());
    assert_eq!(told.gateways.len() + told.listener_sets.len() + told.routes.len(), 6);
    for turn in 0..documents.len() {
        let mut turned = documents.to_vec();
        turned.rotate_left(turn);
        assert_eq!(statuses(&turned.concat()), told, "turned by {turn}");
        turned.reverse();
        assert_eq!(statuses(&turned.concat()), told, "turned by {turn} and reversed");
    }
}
