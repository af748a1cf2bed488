//! Postern: a ServiceEntry says who the server must be, an AuthorizationPolicy who may call it.
//!
//! Everything that is on by default stays on. The access log has a line for each request; it goes to `/dev/null`.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Invocations, Job, Proxy};
use crate::certificates::Identity;
use crate::process::Invocation;

/// What the client's proxy calls the server.
const SERVICE: &str = "server.a.svc.cluster.local";
/// The service's port as clients know it.
const SERVICE_PORT: u16 = 8080;

pub(super) fn prepare(job: &Job<'_>) -> Result<Invocations> {
    let outbound = json!({
        "bind": "none",
        "listeners": [{
            "bind": loopback(job.ports.outbound), "service": SERVICE, "port": SERVICE_PORT,
        }],
    });
    let inbound = json!({
        "bind": "none",
        "listeners": [{
            "bind": loopback(job.ports.inbound),
            "forward": loopback(job.bed.backend.port),
            "protocol": if job.bed.workload.is_opaque() { "tcp" } else { "http" },
        }],
    });
    let none = json!({"bind": "none"});
    let (client, server) = (job.identities.client, job.identities.server);
    Ok(Invocations {
        outbound: sidecar(job, "outbound", client, &none, &outbound, &service_entry(job))?,
        inbound: sidecar(job, "inbound", server, &inbound, &none, &authorization_policy())?,
    })
}

/// A proxy of its own folder: configuration and one resource file. JSON is YAML.
fn sidecar(
    job: &Job<'_>,
    side: &str,
    identity: Identity,
    inbound: &Value,
    outbound: &Value,
    resource: &Value,
) -> Result<Invocation> {
    let certificates = &job.bed.certificates;
    let resources = job.bed.directory().join(format!("postern-{side}"));
    std::fs::create_dir_all(&resources)
        .with_context(|| format!("creating {}", resources.display()))?;
    let none = json!({"bind": "none"});
    let config = json!({
        "workload": {
            "namespace": "a", "serviceAccount": identity.name(), "labels": {"side": side},
        },
        "identity": {"files": {
            "certificate": certificates.leaf(identity),
            "key": certificates.key(identity),
            "bundle": certificates.root(),
        }},
        "resources": {"directory": resources},
        "inbound": inbound,
        "outbound": outbound,
        "admin": none,
        "metrics": none,
        "readiness": none,
        "workers": 1,
    });
    job.write(&format!("postern-{side}/resource.yaml"), &format!("{resource:#}\n"))?;
    let file = job.write(&format!("postern-{side}.yaml"), &format!("{config:#}\n"))?;
    let arguments = ["run", "--config", &file.display().to_string()];
    Ok(job.invocation(Proxy::Postern, &arguments, true))
}

fn service_entry(job: &Job<'_>) -> Value {
    let protocol = if job.bed.workload.is_opaque() { "TCP" } else { "HTTP" };
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "server", "namespace": "a"},
        "spec": {
            "hosts": [SERVICE],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [{
                "number": SERVICE_PORT,
                "targetPort": job.ports.inbound,
                "name": "main",
                "protocol": protocol,
            }],
            "endpoints": [{"address": "127.0.0.1"}],
            "subjectAltNames": [Identity::Server.spiffe_id()],
        },
    })
}

fn authorization_policy() -> Value {
    json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "allow-client", "namespace": "a"},
        "spec": {
            "selector": {"matchLabels": {"side": "inbound"}},
            "action": "ALLOW",
            "rules": [{"from": [{"source": {"principals": [Identity::Client.principal()]}}]}],
        },
    })
}

fn loopback(port: u16) -> String {
    format!("127.0.0.1:{port}")
}
