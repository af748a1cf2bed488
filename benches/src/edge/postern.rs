//! Postern in `mode: gateway`, as it is out of the box: with its access log, admin, metrics and readiness ports.

use anyhow::Result;
use serde_json::{Value, json};

use super::token::{AUDIENCE, ISSUER};
use super::{Job, text};
use crate::certificates::Identity;
use crate::process::Invocation;
use crate::proxies::Proxy;

/// A limit that must not be met.
const PLENTY: u32 = 1_000_000;

pub(super) fn prepare(job: &Job<'_>) -> Result<Invocation> {
    let certificates = &job.bed.certificates;
    let [admin, metrics, readiness] =
        job.others.map(|port| json!({"bind": format!("127.0.0.1:{port}")}));
    let config = json!({
        "mode": "gateway",
        "workload": {"namespace": "a", "serviceAccount": "client", "labels": {"app": "edge"}},
        "identity": {"files": {
            "certificate": certificates.leaf(Identity::Client),
            "key": certificates.key(Identity::Client),
            "bundle": certificates.root(),
        }},
        "gateway": {"bind": "127.0.0.1", "certificates": [{
            "name": "a/edge",
            "certificate": certificates.leaf(Identity::Server),
            "key": certificates.key(Identity::Server),
        }]},
        "resources": {"directory": job.folder()},
        "admin": admin,
        "metrics": metrics,
        "readiness": readiness,
        "workers": 1,
    });
    let documents: Vec<String> = resources(job).iter().map(Value::to_string).collect();
    job.write("resources.yaml", &(documents.join("\n---\n") + "\n"))?;
    let file = text(&job.write("proxy.json", &format!("{config:#}\n"))?);
    let program = text(job.bed.programs.of(Proxy::Postern));
    let words = [&program, "run", "--config", &file];
    let access_log = Some(job.bed.directory().join("edge.access"));
    Ok(Invocation { words: words.map(str::to_owned).to_vec(), access_log })
}

fn resources(job: &Job<'_>) -> Vec<Value> {
    let gateway = "gateway.networking.k8s.io/v1";
    let certificate = json!([{"name": "edge"}]);
    let listener = json!({
        "name": "https", "port": job.port, "protocol": "HTTPS", "tls": {"certificateRefs": certificate},
    });
    let rule = json!({"backendRefs": [{"name": "app", "port": 80}]});
    let port = json!({
        "number": 80, "name": "http", "protocol": "HTTP", "targetPort": job.bed.app(),
    });
    let selector = json!({"matchLabels": {"app": "edge"}});
    let allowed = json!({"from": [{"source": {"requestPrincipals": [format!("{ISSUER}/*")]}}]});
    vec![
        object(
            gateway,
            "Gateway",
            "edge",
            &json!({"gatewayClassName": "postern", "listeners": [listener]}),
        ),
        object(
            gateway,
            "HTTPRoute",
            "all",
            &json!({"parentRefs": [{"name": "edge"}], "rules": [rule]}),
        ),
        object(
            "networking.istio.io/v1",
            "ServiceEntry",
            "app",
            &json!({
                "hosts": ["app.a.svc.cluster.local"], "location": "MESH_EXTERNAL",
                "resolution": "STATIC", "ports": [port], "endpoints": [{"address": "127.0.0.1"}],
            }),
        ),
        object(
            "security.istio.io/v1",
            "RequestAuthentication",
            "issuer",
            &json!({"selector": selector, "jwtRules": [{
                "issuer": ISSUER, "audiences": [AUDIENCE], "jwks": job.token.keys.to_string(),
                "forwardOriginalToken": true,
            }]}),
        ),
        object(
            "security.istio.io/v1",
            "AuthorizationPolicy",
            "holders",
            &json!({"selector": selector, "action": "ALLOW", "rules": [allowed]}),
        ),
        object(
            "policy.postern.dev/v1alpha1",
            "RateLimitPolicy",
            "all",
            &json!({"selector": selector, "limits": [{
                "name": "all", "key": "clientAddress", "requests": PLENTY, "per": "1s",
            }]}),
        ),
    ]
}

fn object(version: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "a"}, "spec": spec,
    })
}
