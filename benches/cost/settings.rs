//! How the two proxies are set up: identities, fifty policies, metrics, admin pages and default limits, an access log.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::app::App;
use crate::certificates::{self, CLIENT, Files, SERVER, principal};
use crate::pair::Side;

/// Policies of the inbound proxy: one lets the client in, the others are for others.
const POLICIES: usize = 50;
/// What the client's proxy calls the server.
const SERVICE: &str = "server.a.svc.cluster.local";
/// The ports of the service: number, protocol, and the protocol as the inbound proxy calls it.
const PORTS: [(u16, &str, &str); 5] = [
    (8080, "HTTP", "http"),
    (8081, "HTTP2", "http2"),
    (8082, "TCP", "tcp"),
    (8083, "TCP", "nats"),
    (8084, "TCP", "tcp"),
];

/// Where the client connects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doors {
    pub(crate) http1: SocketAddr,
    pub(crate) http2: SocketAddr,
    pub(crate) opaque: SocketAddr,
    pub(crate) nats: SocketAddr,
    pub(crate) nats_opaque: SocketAddr,
}

/// What both proxies listen on, once their files are written.
pub(crate) struct Settings {
    pub(crate) doors: Doors,
    /// Where each says whether it is ready, in the order of `Side::ALL`.
    pub(crate) readiness: [SocketAddr; 2],
}

impl Settings {
    /// Picks ports and writes certificates, configurations and resources.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn write(directory: &Path, app: App) -> Result<Self> {
        let [client, server] = certificates::make(directory)?;
        let (doors, targets) = (free_ports()?, free_ports()?);
        let readiness = free_ports()?;
        let listeners: Vec<Value> = PORTS
            .iter()
            .zip(doors)
            .map(|((port, ..), bind)| json!({"bind": bind, "service": SERVICE, "port": port}))
            .collect();
        let outbound = json!({"bind": "none", "listeners": listeners});
        let forwards: Vec<Value> = PORTS
            .iter()
            .zip(targets.iter().zip([app.http1, app.http2, app.opaque, app.nats[0], app.nats[1]]))
            .map(|((_, _, protocol), (bind, to))| {
                json!({"bind": bind, "forward": to, "protocol": protocol})
            })
            .collect();
        let inbound = json!({"bind": "none", "listeners": forwards});
        let write = |side: Side, files: &Files, account: &str, readiness, resources: &[Value]| {
            let none = || json!({"bind": "none"});
            let outbound = if side == Side::Outbound { outbound.clone() } else { none() };
            let inbound = if side == Side::Inbound { inbound.clone() } else { none() };
            let config = json!({
                "workload": {
                    "namespace": "a", "serviceAccount": account, "labels": {"side": side.name()},
                },
                "identity": {"files": {
                    "certificate": files.certificate, "key": files.key, "bundle": files.bundle,
                }},
                "resources": {"directory": directory.join(side.name())},
                "inbound": inbound,
                "outbound": outbound,
                "admin": {"bind": "127.0.0.1:0"},
                "metrics": {"bind": "127.0.0.1:0"},
                "readiness": {"bind": readiness},
                "workers": 1,
            });
            write_resources(&directory.join(side.name()), resources)?;
            // JSON is YAML.
            std::fs::write(config_file(directory, side), format!("{config:#}\n"))
        };
        write(Side::Outbound, &client, CLIENT, readiness[0], &[service(targets)])?;
        write(Side::Inbound, &server, SERVER, readiness[1], &policies())?;
        let [http1, http2, opaque, nats, nats_opaque] = doors;
        Ok(Self { doors: Doors { http1, http2, opaque, nats, nats_opaque }, readiness })
    }
}

/// The configuration of a side.
pub(crate) fn config_file(directory: &Path, side: Side) -> PathBuf {
    directory.join(format!("{}.yaml", side.name()))
}

/// As many free ports of 127.0.0.1 as are asked for: they are held together and let go together, so they differ.
fn free_ports<const COUNT: usize>() -> Result<[SocketAddr; COUNT]> {
    let mut held = Vec::with_capacity(COUNT);
    let mut ports = [SocketAddr::from(([127, 0, 0, 1], 0)); COUNT];
    for port in &mut ports {
        let listener = std::net::TcpListener::bind(*port).context("picking a free port")?;
        *port = listener.local_addr()?;
        held.push(listener);
    }
    Ok(ports)
}

fn service(targets: [SocketAddr; 5]) -> Value {
    let ports: Vec<Value> = PORTS
        .iter()
        .zip(targets)
        .map(|((number, protocol, _), target)| {
            let name = format!("{}-{number}", protocol.to_lowercase());
            json!({"number": number, "targetPort": target.port(), "name": name, "protocol": protocol})
        })
        .collect();
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "server", "namespace": "a"},
        "spec": {
            "hosts": [SERVICE],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": ports,
            "endpoints": [{"address": "127.0.0.1"}],
            "subjectAltNames": [format!("spiffe://{}", principal(SERVER))],
        },
    })
}

/// The first lets the client in; the others are of other callers and other paths.
fn policies() -> Vec<Value> {
    let policy = |name: String, rule: Value| {
        json!({
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": {"name": name, "namespace": "a"},
            "spec": {
                "selector": {"matchLabels": {"side": "inbound"}}, "action": "ALLOW", "rules": [rule],
            },
        })
    };
    let client = json!({"from": [{"source": {"principals": [principal(CLIENT)]}}]});
    let others = (1..POLICIES).map(|number| {
        let rule = json!({
            "from": [{"source": {"principals": [principal(&format!("other-{number}"))]}}],
            "to": [{"operation": {"paths": [format!("/other-{number}/*")], "methods": ["GET"]}}],
        });
        policy(format!("other-{number}"), rule)
    });
    std::iter::once(policy("client".to_owned(), client)).chain(others).chain([topics()]).collect()
}

/// What the client may publish.
fn topics() -> Value {
    json!({
        "apiVersion": "policy.postern.dev/v1alpha1",
        "kind": "TopicPolicy",
        "metadata": {"name": "client", "namespace": "a"},
        "spec": {
            "selector": {"matchLabels": {"side": "inbound"}}, "protocol": "nats", "action": "ALLOW",
            "rules": [{
                "from": [{"source": {"principals": [principal(CLIENT)]}}],
                "to": [{"operation": {"operations": ["publish"], "topics": ["orders.*"]}}],
            }],
        },
    })
}

fn write_resources(directory: &Path, resources: &[Value]) -> std::io::Result<()> {
    std::fs::create_dir(directory)?;
    let documents: Vec<String> = resources.iter().map(|one| format!("{one:#}\n")).collect();
    std::fs::write(directory.join("resources.yaml"), documents.join("---\n"))
}
