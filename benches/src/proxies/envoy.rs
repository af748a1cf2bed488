//! Envoy: HTTP/1.1 on the hop, SPIFFE ids checked on both sides (RBAC inbound), no access log, no admin endpoint.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Invocations, Job, Proxy};
use crate::certificates::Identity;
use crate::process::Invocation;

/// Limits that must not be met: Envoy's own default of 1024 could be, and would end requests.
const PLENTY: u32 = 100_000;

const TYPES: &str = "type.googleapis.com/envoy.extensions";

pub(super) fn prepare(job: &Job<'_>) -> Result<Invocations> {
    let ports = job.ports;
    let mut peer = cluster("peer", ports.inbound);
    let server = json!({"san_type": "URI", "matcher": {"exact": Identity::Server.spiffe_id()}});
    peer["transport_socket"] = tls(
        "UpstreamTlsContext",
        json!({"common_tls_context": tls_context(job, job.identities.client, Some(&server))}),
    );
    let outbound = chain(job, &[], "peer");

    let mut inbound = chain(job, &[rbac(job)], "app");
    let context = tls_context(job, job.identities.server, None);
    inbound["transport_socket"] = tls(
        "DownstreamTlsContext",
        json!({"require_client_certificate": true, "common_tls_context": context}),
    );
    Ok(Invocations {
        outbound: instance(job, "outbound", ports.outbound, outbound, peer)?,
        inbound: instance(
            job,
            "inbound",
            ports.inbound,
            inbound,
            cluster("app", job.bed.backend.port),
        )?,
    })
}

fn instance(
    job: &Job<'_>,
    side: &str,
    port: u16,
    chain: Value,
    cluster: Value,
) -> Result<Invocation> {
    let config = json!({"static_resources": {
        "listeners": [{"name": side, "address": loopback(port), "filter_chains": [chain]}],
        "clusters": [cluster],
    }});
    let file = job.write(&format!("envoy-{side}.json"), &format!("{config:#}\n"))?;
    let file = file.display().to_string();
    let arguments = ["-c", &file, "--concurrency", "1", "--disable-hot-restart", "-l", "error"];
    Ok(job.invocation(Proxy::Envoy, &arguments, false))
}

/// One filter chain: the guards, then all traffic to `cluster`.
fn chain(job: &Job<'_>, guards: &[Value], cluster: &str) -> Value {
    if job.bed.workload.is_opaque() {
        let proxy = typed(
            "envoy.filters.network.tcp_proxy",
            "filters.network.tcp_proxy.v3.TcpProxy",
            json!({"stat_prefix": cluster, "cluster": cluster}),
        );
        return json!({"filters": with_last(guards, proxy)});
    }
    let router = typed("envoy.filters.http.router", "filters.http.router.v3.Router", json!({}));
    let manager = typed(
        "envoy.filters.network.http_connection_manager",
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        json!({
            "stat_prefix": cluster,
            "route_config": {"virtual_hosts": [{
                "name": "all",
                "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}],
            }]},
            "http_filters": with_last(guards, router),
        }),
    );
    json!({"filters": [manager]})
}

fn with_last(guards: &[Value], last: Value) -> Vec<Value> {
    guards.iter().cloned().chain([last]).collect()
}

/// Allows the client and nobody else: per request in HTTP, per connection otherwise.
fn rbac(job: &Job<'_>) -> Value {
    let principal =
        json!({"authenticated": {"principal_name": {"exact": Identity::Client.spiffe_id()}}});
    let rules = json!({
        "action": "ALLOW",
        "policies": {"client": {"permissions": [{"any": true}], "principals": [principal]}},
    });
    if job.bed.workload.is_opaque() {
        typed(
            "envoy.filters.network.rbac",
            "filters.network.rbac.v3.RBAC",
            json!({"stat_prefix": "rbac", "rules": rules}),
        )
    } else {
        typed("envoy.filters.http.rbac", "filters.http.rbac.v3.RBAC", json!({"rules": rules}))
    }
}

fn cluster(name: &str, port: u16) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "circuit_breakers": {"thresholds": [{
            "max_connections": PLENTY, "max_pending_requests": PLENTY, "max_requests": PLENTY,
        }]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": loopback(port)}}]}],
        },
    })
}

fn tls_context(job: &Job<'_>, own: Identity, expected: Option<&Value>) -> Value {
    let certificates = &job.bed.certificates;
    let mut validation = json!({"trusted_ca": {"filename": certificates.root()}});
    if let Some(expected) = expected {
        validation["match_typed_subject_alt_names"] = json!([expected]);
    }
    json!({
        "tls_params": {
            "tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3",
        },
        "tls_certificates": [{
            "certificate_chain": {"filename": certificates.leaf(own)},
            "private_key": {"filename": certificates.key(own)},
        }],
        "validation_context": validation,
    })
}

fn tls(kind: &str, config: Value) -> Value {
    typed("envoy.transport_sockets.tls", &format!("transport_sockets.tls.v3.{kind}"), config)
}

/// A named extension with its typed configuration.
fn typed(name: &str, kind: &str, mut config: Value) -> Value {
    config["@type"] = format!("{TYPES}.{kind}").into();
    json!({"name": name, "typed_config": config})
}

fn loopback(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}
