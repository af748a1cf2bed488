//! Envoy: `jwt_authn` with the keys in its configuration, `local_ratelimit`, one route, no access log, no admin endpoint.

use anyhow::Result;
use serde_json::{Value, json};

use super::token::{AUDIENCE, ISSUER};
use super::{Job, text};
use crate::certificates::Identity;
use crate::process::Invocation;
use crate::proxies::Proxy;

/// Limits that must not be met.
const PLENTY: u32 = 1_000_000;
const TYPES: &str = "type.googleapis.com/envoy.extensions";

/// `cache`: tokens that were checked are remembered.
pub(super) fn prepare(job: &Job<'_>, cache: bool) -> Result<Invocation> {
    let manager = typed(
        "envoy.filters.network.http_connection_manager",
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        json!({
            "stat_prefix": "edge",
            "route_config": {"virtual_hosts": [{
                "name": "all", "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}],
            }]},
            "http_filters": [
                tokens(job, cache),
                limit(),
                typed("envoy.filters.http.router", "filters.http.router.v3.Router", json!({})),
            ],
        }),
    );
    let config = json!({"static_resources": {
        "listeners": [{
            "name": "edge", "address": loopback(job.port), "enable_reuse_port": true,
            "filter_chains": [{"filters": [manager], "transport_socket": tls(job)}],
        }],
        "clusters": [{
            "name": "app", "type": "STATIC",
            "circuit_breakers": {"thresholds": [{
                "max_connections": PLENTY, "max_pending_requests": PLENTY, "max_requests": PLENTY,
            }]},
            "load_assignment": {"cluster_name": "app", "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": loopback(job.bed.app())}}]},
            ]},
        }],
    }});
    let file = job.write("envoy.json", &format!("{config:#}\n"))?;
    let program = text(job.bed.programs.of(Proxy::Envoy));
    let file = text(&file);
    let words =
        [&program, "-c", &file, "--concurrency", "1", "--disable-hot-restart", "-l", "error"];
    Ok(Invocation { words: words.map(str::to_owned).to_vec(), access_log: None })
}

fn tokens(job: &Job<'_>, cache: bool) -> Value {
    let mut provider = json!({
        "issuer": ISSUER, "audiences": [AUDIENCE], "forward": true,
        "local_jwks": {"inline_string": job.token.keys.to_string()},
    });
    if cache {
        provider["jwt_cache_config"] = json!({"jwt_cache_size": 1000});
    }
    let rule = json!({"match": {"prefix": "/"}, "requires": {"provider_name": "issuer"}});
    typed(
        "envoy.filters.http.jwt_authn",
        "filters.http.jwt_authn.v3.JwtAuthentication",
        json!({"providers": {"issuer": provider}, "rules": [rule]}),
    )
}

fn limit() -> Value {
    let always = |key: &str| json!({"runtime_key": key, "default_value": {"numerator": 100, "denominator": "HUNDRED"}});
    typed(
        "envoy.filters.http.local_ratelimit",
        "filters.http.local_ratelimit.v3.LocalRateLimit",
        json!({
            "stat_prefix": "limit",
            "token_bucket": {
                "max_tokens": PLENTY, "tokens_per_fill": PLENTY, "fill_interval": "1s",
            },
            "filter_enabled": always("enabled"),
            "filter_enforced": always("enforced"),
            "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        }),
    )
}

fn tls(job: &Job<'_>) -> Value {
    let (certificates, own) = (&job.bed.certificates, Identity::Server);
    let context = json!({
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {
            "tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3",
        },
        "tls_certificates": [{
            "certificate_chain": {"filename": certificates.leaf(own)},
            "private_key": {"filename": certificates.key(own)},
        }],
    });
    typed(
        "envoy.transport_sockets.tls",
        "transport_sockets.tls.v3.DownstreamTlsContext",
        json!({"common_tls_context": context}),
    )
}

/// A named extension with its typed configuration.
fn typed(name: &str, kind: &str, mut config: Value) -> Value {
    config["@type"] = format!("{TYPES}.{kind}").into();
    json!({"name": name, "typed_config": config})
}

fn loopback(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}
