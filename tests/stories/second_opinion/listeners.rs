//! One Envoy for all sets of policies: a listener for each port, a route for each set.
//!
//! A request names its set in `x-set`, which chooses the route, and with it the rules of the two RBAC filters. That header
//! stands for nothing policy speaks of: the caller's name comes from its certificate and the port from the connection.

use serde_json::{Value, json};

use super::{PORTS, translate};

const RBAC: &str = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";
const PER_ROUTE: &str = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute";

/// The whole configuration.
pub(super) fn configuration(sets: &[Vec<Value>]) -> Value {
    let routes: Vec<Value> =
        sets.iter().enumerate().map(|(number, policies)| route(number, policies)).collect();
    let listeners: Vec<Value> = PORTS.iter().map(|port| listener(*port, &routes)).collect();
    json!({"static_resources": {"listeners": listeners}})
}

fn route(number: usize, policies: &[Value]) -> Value {
    let mut route = json!({
        "match": {
            "prefix": "/",
            "headers": [{"name": "x-set", "string_match": {"exact": number.to_string()}}],
        },
        "direct_response": {"status": 200},
        "typed_per_filter_config": {},
    });
    for action in ["DENY", "ALLOW"] {
        // Without a policy of this action its filter has no rules and lets everything pass.
        if let Some(rbac) = translate::rbac(policies, action) {
            route["typed_per_filter_config"][action] = json!({"@type": PER_ROUTE, "rbac": rbac});
        }
    }
    route
}

/// Paths are normalised as far as our default goes; escaped slashes stay.
fn listener(port: u16, routes: &[Value]) -> Value {
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "normalize_path": true,
        "merge_slashes": true,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {"name": "DENY", "typed_config": {"@type": RBAC}},
            {"name": "ALLOW", "typed_config": {"@type": RBAC}},
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            },
        ],
    });
    let context = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": false,
        "common_tls_context": {
            "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"},
            "alpn_protocols": ["http/1.1"],
            "tls_certificates": [{
                "certificate_chain": {"filename": "/run/postern/svid.pem"},
                "private_key": {"filename": "/run/postern/key.pem"},
            }],
            "validation_context": {"trusted_ca": {"filename": "/run/postern/bundle.pem"}},
        },
    });
    json!({
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{
            "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}],
            "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context},
        }],
    })
}
