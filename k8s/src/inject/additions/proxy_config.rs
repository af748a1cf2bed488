//! The proxy's configuration, which reaches it as the environment variable `POSTERN_CONFIG`.
//!
//! It is JSON, which is YAML. Kubernetes replaces `$(NAME)` in the value of a variable by variables
//! before it; the namespace and the service account come that way, from the downward API, because a
//! template does not know them. Nothing else may be replaced, so every other `$` is written as an
//! escape of JSON.

use policy::Protocol;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::probes::ProxyProbe;
use super::scrape::{AppMetrics, METRICS_PORT};
use crate::inject::options::annotation::InjectionOptions;
use crate::inject::pod::Pod;
use crate::inject::settings::InjectionSettings;

/// The variable.
pub(crate) const VARIABLE: &str = "POSTERN_CONFIG";
/// The pod's namespace.
pub(crate) const NAMESPACE_VARIABLE: &str = "POSTERN_NAMESPACE";
/// The pod's service account.
pub(crate) const SERVICE_ACCOUNT_VARIABLE: &str = "POSTERN_SERVICE_ACCOUNT";
/// The pod's name, by which the proxy announces itself to the controller.
pub(crate) const POD_NAME_VARIABLE: &str = "POSTERN_POD_NAME";
/// The pod's uid, for the same.
pub(crate) const POD_UID_VARIABLE: &str = "POSTERN_POD_UID";
/// Where the downward API puts the pod's labels.
pub(crate) const POD_DIRECTORY: &str = "/etc/postern/pod";
/// Where the resources are mounted.
pub(crate) const RESOURCES_DIRECTORY: &str = "/etc/postern/resources";
/// The agent's socket.
pub(crate) const SOCKET: &str = "/run/postern/agent.sock";

/// What an earlier injection wrote into the configuration and nowhere else.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct PreviousInjection {
    #[serde(default)]
    pub(crate) probes: Vec<ProxyProbe>,
    #[serde(default)]
    metrics: Option<PreviousMetrics>,
}

#[derive(Debug, Deserialize)]
struct PreviousMetrics {
    app: Option<AppMetrics>,
}

impl PreviousInjection {
    /// Reads it back. A text that is not ours holds nothing.
    pub(crate) fn of(config: &str) -> Self {
        serde_json::from_str(config).unwrap_or_default()
    }

    pub(crate) fn app_metrics(&self) -> Option<AppMetrics> {
        self.metrics.as_ref().and_then(|metrics| metrics.app.clone())
    }
}

/// Writes the configuration.
pub(crate) fn write(
    pod: &Pod,
    options: &InjectionOptions,
    settings: &InjectionSettings,
    probes: &[ProxyProbe],
    app_metrics: Option<&AppMetrics>,
) -> String {
    let mut config = json!({
        "identity": identity(settings),
        "resources": resources(settings),
        "rootNamespace": settings.root_namespace,
        "defaults": {
            "authorization": settings.default_authorization.as_str(),
            "mtls": options.mtls,
            "egress": if options.egress_allowed { "allow" } else { "deny" },
        },
        "inbound": inbound(pod, options),
        "logs": { "level": options.log_level, "access": options.access_log },
        "limits": drain(pod.grace_seconds(), options.native),
    });
    let mut set = |key: &str, value: Value| {
        if let Some(config) = config.as_object_mut() {
            config.insert(key.to_owned(), value);
        }
    };
    if !options.redirect {
        set("outbound", outbound(options));
    }
    if !options.native && pod.is_finite() {
        // No kubelet ends a classic sidecar, so the job must.
        set("admin", json!({ "drainFromPod": true }));
    }
    if let Some(app) = app_metrics {
        set("metrics", json!({ "bind": format!("[::]:{METRICS_PORT}"), "app": app }));
    }
    if !probes.is_empty() {
        set("probes", json!(probes));
    }
    if let Some(tracing) = settings.tracing.section() {
        set("tracing", tracing);
    }
    with_workload(&config)
}

/// Writes the configuration of a gateway's proxy. What it listens on, the controller tells it; who may call what is
/// exposed follows from its routes, unless a policy says more, so that the mesh's default is not its own.
pub(crate) fn write_gateway(
    gateway: &str,
    grace_seconds: u32,
    options: &InjectionOptions,
    settings: &InjectionSettings,
) -> String {
    let mut config = json!({
        "mode": "gateway",
        "gateway": { "name": gateway },
        "identity": identity(settings),
        "resources": resources(settings),
        "rootNamespace": settings.root_namespace,
        "logs": { "level": options.log_level, "access": options.access_log },
        "limits": drain(grace_seconds, false),
    });
    if let (Some(tracing), Some(config)) = (settings.tracing.section(), config.as_object_mut()) {
        config.insert("tracing".to_owned(), tracing);
    }
    with_workload(&config)
}

/// The same configuration with other probes.
pub(crate) fn with_probes(config: &str, probes: &[ProxyProbe]) -> Option<String> {
    let mut config: Map<String, Value> = serde_json::from_str(config).ok()?;
    config.remove("workload");
    config.insert("probes".to_owned(), json!(probes));
    Some(with_workload(&Value::Object(config)))
}

/// Who the proxy is, and who says so.
fn identity(settings: &InjectionSettings) -> Value {
    json!({
        "trustDomain": settings.trust_domain.as_str(),
        "workloadApi": format!("unix://{SOCKET}"),
    })
}

/// Where policies and services come from. The pod is filled in by [`with_workload`].
fn resources(settings: &InjectionSettings) -> Value {
    let Some(controller) = &settings.controller else {
        return json!({ "directory": RESOURCES_DIRECTORY });
    };
    let InjectionSettings { trust_domain, root_namespace, .. } = settings;
    let trust_domain = trust_domain.as_str();
    json!({ "controller": {
        "address": controller.to_string(),
        "identity": format!("spiffe://{trust_domain}/ns/{root_namespace}/sa/postern-controller"),
    } })
}

/// Puts the sections that refer to variables first; their references are the only `$` of the text.
fn with_workload(config: &Value) -> String {
    let mut config = config.clone();
    let mut controller = String::new();
    if let Some(Value::Object(found)) = config.pointer("/resources/controller").cloned() {
        let text =
            |key: &str| found.get(key).unwrap_or(&Value::Null).to_string().replace('$', "\\u0024");
        controller = format!(
            r#""resources":{{"controller":{{"address":{},"identity":{},"pod":{{"name":"$({POD_NAME_VARIABLE})","uid":"$({POD_UID_VARIABLE})"}}}}}},"#,
            text("address"),
            text("identity"),
        );
        if let Some(config) = config.as_object_mut() {
            config.remove("resources");
        }
    }
    let rest = config.to_string().replace('$', "\\u0024");
    let rest = rest.strip_prefix('{').unwrap_or_default();
    format!(
        r#"{{"workload":{{"namespace":"$({NAMESPACE_VARIABLE})","serviceAccount":"$({SERVICE_ACCOUNT_VARIABLE})","labelsFile":"{POD_DIRECTORY}/labels"}},{controller}{rest}"#
    )
}

fn inbound(pod: &Pod, options: &InjectionOptions) -> Value {
    if options.redirect {
        return json!({ "ports": declared_ports(pod) });
    }
    let listeners: Vec<Value> = options
        .inbound_listeners
        .iter()
        .map(|listener| {
            json!({
                "bind": format!("[::]:{}", listener.port),
                "forward": format!("127.0.0.1:{}", listener.app_port),
                "protocol": listener.protocol,
            })
        })
        .collect();
    json!({ "bind": "none", "listeners": listeners })
}

fn outbound(options: &InjectionOptions) -> Value {
    let listeners: Vec<Value> = options
        .outbound_listeners
        .iter()
        .map(|listener| {
            json!({
                "bind": format!("127.0.0.1:{}", listener.port),
                "service": listener.host,
                "port": listener.service_port,
            })
        })
        .collect();
    json!({ "bind": "none", "listeners": listeners })
}

/// What the ports' names say they speak: `http`, `grpc-api`, .. Others are found out by the proxy.
fn declared_ports(pod: &Pod) -> Map<String, Value> {
    let containers = pod.spec.containers.iter().chain(&pod.spec.init_containers);
    let ports = containers.flat_map(|container| &container.ports).filter(|port| port.is_tcp());
    let declared = ports.filter_map(|port| {
        let protocol = Protocol::of_port(None, &[port.name.as_deref()?]);
        (port.container_port != 0 && protocol != Protocol::Auto)
            .then(|| (port.container_port.to_string(), json!({ "protocol": protocol.as_str() })))
    });
    declared.collect()
}

/// The proxy's end, from the pod's one number.
///
/// A native sidecar gets its SIGTERM when the app has ended, so nothing is left to wait for. A
/// classic one gets it together with the app and stays: callers learn late of the end, and one
/// second must be left before SIGKILL.
fn drain(grace_seconds: u32, native: bool) -> Value {
    let grace = grace_seconds.clamp(1, 3600);
    let delay = if native { 0 } else { (grace / 3).min(5) };
    let timeout = (grace - 1).max(delay);
    json!({ "drainDelay": format!("{delay}s"), "drainTimeout": format!("{timeout}s") })
}
