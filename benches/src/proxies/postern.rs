//! Postern: a ServiceEntry says who the server must be, an AuthorizationPolicy who may call it.
//!
//! Everything that is on by default is on, admin, metrics and readiness among it, at ports of their own. The access log
//! has a line for each request; it goes to a file.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Invocations, Job, Proxy};
use crate::certificates::Identity;
use crate::process::Invocation;
use crate::rows::Protocol;

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
            "forward": loopback(job.app()),
            "protocol": protocol(job).to_lowercase(),
        }],
    });
    let none = json!({"bind": "none"});
    let (client, server) = (job.identities.client, job.identities.server);
    Ok(Invocations {
        outbound: sidecar(job, "outbound", client, &none, &outbound, &services(job))?,
        inbound: sidecar(job, "inbound", server, &inbound, &none, &policies(job))?,
    })
}

/// A proxy of its own folder: configuration and one resource file. JSON is YAML.
fn sidecar(
    job: &Job<'_>,
    side: &str,
    identity: Identity,
    inbound: &Value,
    outbound: &Value,
    resources: &[Value],
) -> Result<Invocation> {
    let certificates = &job.bed.certificates;
    let folder = job.folder(&job.name(side, ""))?;
    let [a, b, c, d, e, f] = job.ports.others;
    let [admin, metrics, readiness] = if side == "outbound" { [a, b, c] } else { [d, e, f] };
    let bind = |port| json!({"bind": loopback(port)});
    let config = json!({
        "workload": {
            "namespace": "a", "serviceAccount": identity.name(), "labels": {"side": side},
        },
        "identity": {"files": {
            "certificate": certificates.leaf(identity),
            "key": certificates.key(identity),
            "bundle": certificates.root(),
        }},
        "resources": {"directory": folder},
        "inbound": inbound,
        "outbound": outbound,
        "admin": bind(admin),
        "metrics": bind(metrics),
        "readiness": bind(readiness),
        "workers": job.contender.workers.count(),
    });
    let documents: Vec<String> = resources.iter().map(Value::to_string).collect();
    job.write(&job.name(side, "/resources.yaml"), &(documents.join("\n---\n") + "\n"))?;
    let file = job.write(&job.name(side, ".yaml"), &format!("{config:#}\n"))?;
    let arguments = ["run", "--config", &file.display().to_string()];
    let access_log = Some(job.bed.directory().join(job.name(side, ".access")));
    Ok(Invocation { access_log, ..job.invocation(Proxy::Postern, &arguments) })
}

/// As a ServiceEntry writes it.
fn protocol(job: &Job<'_>) -> &'static str {
    match job.protocol() {
        Protocol::Http1 => "HTTP",
        Protocol::Http2 => "HTTP2",
        Protocol::Opaque => "TCP",
    }
}

/// The server, and others that nobody calls.
fn services(job: &Job<'_>) -> Vec<Value> {
    let server = service(
        "server",
        "127.0.0.1",
        &json!({
            "number": SERVICE_PORT, "targetPort": job.ports.inbound, "name": "main", "protocol": protocol(job),
        }),
    );
    let others = (1..job.contender.services).map(|number| {
        let address = format!("10.{}.{}.1", number / 256, number % 256);
        let port = json!({"number": SERVICE_PORT, "name": "main", "protocol": "HTTP"});
        service(&format!("other-{number}"), &address, &port)
    });
    std::iter::once(server).chain(others).collect()
}

fn service(name: &str, address: &str, port: &Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": name, "namespace": "a"},
        "spec": {
            "hosts": [format!("{name}.a.svc.cluster.local")],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [port],
            "endpoints": [{"address": address}],
            "subjectAltNames": [format!("spiffe://cluster.local/ns/a/sa/{name}")],
        },
    })
}

/// Rules for others, each with a path and a method where there are any, and the one that allows the client, last.
fn policies(job: &Job<'_>) -> Vec<Value> {
    let others = (1..job.contender.rules).map(|number| {
        let mut rule = json!({"from": [{"source": {
            "principals": [format!("cluster.local/ns/a/sa/other-{number}")],
        }}]});
        if job.protocol() != Protocol::Opaque {
            let paths = [format!("/other-{number}/*")];
            rule["to"] = json!([{"operation": {"methods": ["GET", "POST"], "paths": paths}}]);
        }
        policy(&format!("allow-other-{number}"), &rule)
    });
    let client = json!({"from": [{"source": {"principals": [Identity::Client.principal()]}}]});
    others.chain([policy("the-client", &client)]).collect()
}

fn policy(name: &str, rule: &Value) -> Value {
    json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": "a"},
        "spec": {
            "selector": {"matchLabels": {"side": "inbound"}},
            "action": "ALLOW",
            "rules": [rule],
        },
    })
}

fn loopback(port: u16) -> String {
    format!("127.0.0.1:{port}")
}
