//! Envoy: HTTP/1.1 or HTTP/2 on the hop, SPIFFE ids checked on both sides (RBAC inbound), no access log, no admin endpoint.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Invocations, Job, Proxy};
use crate::certificates::Identity;
use crate::contender::Hop;
use crate::process::Invocation;
use crate::rows::Protocol;

/// Limits that must not be met: Envoy's own default of 1024 could be, and would end requests.
const PLENTY: u32 = 100_000;

const TYPES: &str = "type.googleapis.com/envoy.extensions";

pub(super) fn prepare(job: &Job<'_>) -> Result<Invocations> {
    let ports = job.ports;
    let hop_is_http2 = match job.protocol() {
        Protocol::Http1 => job.contender.hop == Hop::Http2,
        Protocol::Http2 => true,
        Protocol::Opaque => false,
    };
    let mut peer = cluster("peer", ports.inbound, hop_is_http2);
    let server = json!({"san_type": "URI", "matcher": {"exact": Identity::Server.spiffe_id()}});
    peer["transport_socket"] = tls(
        "UpstreamTlsContext",
        json!({
            "common_tls_context": tls_context(job, job.identities.client, hop_is_http2, Some(&server)),
        }),
    );
    let outbound = chain(job, &[], "peer");

    let mut inbound = chain(job, &[rbac(job)], "app");
    let context = tls_context(job, job.identities.server, hop_is_http2, None);
    inbound["transport_socket"] = tls(
        "DownstreamTlsContext",
        json!({
            "require_client_certificate": true,
            "disable_stateless_session_resumption": true,
            "common_tls_context": context,
        }),
    );
    let app = cluster("app", job.app(), job.protocol() == Protocol::Http2);
    Ok(Invocations {
        outbound: instance(job, "outbound", ports.outbound, outbound, peer)?,
        inbound: instance(job, "inbound", ports.inbound, inbound, app)?,
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
        "listeners": [{
            "name": side, "address": loopback(port), "enable_reuse_port": true, "filter_chains": [chain],
        }],
        "clusters": [cluster],
    }});
    let file = job.write(&job.name(side, ".json"), &format!("{config:#}\n"))?;
    let file = file.display().to_string();
    let workers = job.contender.workers.count().to_string();
    let arguments =
        ["-c", &file, "--concurrency", &workers, "--disable-hot-restart", "-l", "error"];
    Ok(job.invocation(Proxy::Envoy, &arguments))
}

/// One filter chain: the guards, then all traffic to `cluster`.
fn chain(job: &Job<'_>, guards: &[Value], cluster: &str) -> Value {
    if job.protocol() == Protocol::Opaque {
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
    if job.protocol() == Protocol::Opaque {
        typed(
            "envoy.filters.network.rbac",
            "filters.network.rbac.v3.RBAC",
            json!({"stat_prefix": "rbac", "rules": rules}),
        )
    } else {
        typed("envoy.filters.http.rbac", "filters.http.rbac.v3.RBAC", json!({"rules": rules}))
    }
}

fn cluster(name: &str, port: u16, http2: bool) -> Value {
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "circuit_breakers": {"thresholds": [{
            "max_connections": PLENTY, "max_pending_requests": PLENTY, "max_requests": PLENTY,
        }]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": loopback(port)}}]}],
        },
    });
    if http2 {
        cluster["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": format!("{TYPES}.upstreams.http.v3.HttpProtocolOptions"),
                "explicit_http_config": {"http2_protocol_options": {}},
            },
        });
    }
    cluster
}

fn tls_context(job: &Job<'_>, own: Identity, http2: bool, expected: Option<&Value>) -> Value {
    let certificates = &job.bed.certificates;
    let mut validation = json!({"trusted_ca": {"filename": certificates.root()}});
    if let Some(expected) = expected {
        validation["match_typed_subject_alt_names"] = json!([expected]);
    }
    json!({
        "alpn_protocols": [if http2 { "h2" } else { "http/1.1" }],
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
