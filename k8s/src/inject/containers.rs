//! The three containers and their volumes.
//!
//! `postern-init` alone has a capability, `NET_ADMIN`, and is gone before the app starts. The other
//! two meet the restricted Pod Security Standard
//! (<https://kubernetes.io/docs/concepts/security/pod-security-standards/>). None of the three gets
//! the pod's API token: Kubernetes mounts it wherever nothing else is mounted at its place, so an
//! empty volume is.

use serde_json::{Value, json};

use super::annotation::Options;
use super::probes::PROBE_PORT;
use super::proxy_config::{
    NAMESPACE_VARIABLE, POD_DIRECTORY, POD_NAME_VARIABLE, POD_UID_VARIABLE, RESOURCES_DIRECTORY,
    SERVICE_ACCOUNT_VARIABLE, SOCKET, VARIABLE,
};
use super::resources::{DEFAULT_CPU, DEFAULT_MEMORY};
use super::settings::{AGENT_UID, PROXY_UID, Settings};

/// The init container that loads the redirection rules.
pub const INIT: &str = "postern-init";
/// The cert agent.
pub const AGENT: &str = "postern-cert-agent";
/// The proxy.
pub const PROXY: &str = "postern-proxy";
/// All three, in their order.
pub(super) const NAMES: [&str; 3] = [INIT, AGENT, PROXY];

/// Every volume of ours.
pub(super) const VOLUMES: [&str; 6] = [
    "postern-socket",
    "postern-no-api-token",
    "postern-token",
    "postern-trust",
    "postern-pod",
    "postern-resources",
];

/// The audience of the token by which the agent proves who the pod is.
const AUDIENCE: &str = "postern-authority";
/// How long that token lives, seconds; the kubelet replaces it at 80 %.
const TOKEN_SECONDS: u32 = 3600;
/// The ConfigMap with the roots, which the controller keeps in every labelled namespace.
const BUNDLE_CONFIG_MAP: &str = "postern-trust-bundle";
/// Where Kubernetes mounts a pod's API token.
const API_TOKEN_DIRECTORY: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// How long the agent of a job waits for a proxy that is gone: a kubelet restarts one that crashed at once, and once
/// more after 10 s.
const SECONDS_WITHOUT_PROXY: u32 = 15;
const TOKEN_DIRECTORY: &str = "/var/run/secrets/postern";
const BUNDLE_DIRECTORY: &str = "/etc/postern/trust";
const SOCKET_DIRECTORY: &str = "/run/postern";

/// What the volumes of [`VOLUMES`] hold.
pub(super) fn volumes(settings: &Settings) -> Vec<Value> {
    let empty = |name: &str, size: &str| json!({ "name": name, "emptyDir": { "medium": "Memory", "sizeLimit": size } });
    vec![
        empty("postern-socket", "1Mi"),
        empty("postern-no-api-token", "4Ki"),
        json!({ "name": "postern-token", "projected": { "sources": [
            { "serviceAccountToken": { "audience": AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": "token" } },
        ] } }),
        json!({ "name": "postern-trust", "configMap": { "name": BUNDLE_CONFIG_MAP } }),
        json!({ "name": "postern-pod", "downwardAPI": { "items": [
            { "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } },
        ] } }),
        json!({ "name": "postern-resources", "configMap": { "name": settings.resources_config_map, "optional": true } }),
    ]
}

/// The container that sends the pod's traffic to the proxy.
pub(super) fn init(options: &Options, settings: &Settings) -> Value {
    json!({
        "name": INIT,
        "image": settings.image("postern-proxy"),
        "imagePullPolicy": settings.image_pull_policy.as_str(),
        "command": ["postern-proxy"],
        "args": redirect_arguments(options, settings),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"], "add": ["NET_ADMIN"] },
            "readOnlyRootFilesystem": true,
            "runAsUser": 0,
            "runAsGroup": 0,
            "runAsNonRoot": false,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "resources": default_resources(),
        "volumeMounts": [no_api_token()],
    })
}

fn redirect_arguments(options: &Options, settings: &Settings) -> Vec<String> {
    let mut arguments: Vec<String> = ["redirect", "apply"].map(str::to_owned).into();
    let mut flag = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
    flag("exempt", format!("uid={PROXY_UID}"));
    flag("agent-uid", AGENT_UID.to_string());
    flag("authority", settings.authority.to_string());
    flag("egress", if options.egress_allowed { "allow" } else { "deny" }.to_owned());
    for (name, items) in [
        ("skip-inbound-ports", written(&options.skip_inbound_ports)),
        ("skip-outbound-ports", written(&options.skip_outbound_ports)),
        ("skip-cidrs", written(&options.skip_cidrs)),
        ("allow-udp", written(&options.allow_udp)),
    ] {
        if !items.is_empty() {
            flag(name, items);
        }
    }
    arguments
}

fn written<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The cert agent; `finite`: of a pod that is done when its containers are.
pub(super) fn agent(options: &Options, settings: &Settings, finite: bool) -> Value {
    let mut agent = json!({
        "name": AGENT,
        "image": settings.image("postern-cert-agent"),
        "imagePullPolicy": settings.image_pull_policy.as_str(),
        "command": ["postern-cert-agent"],
        "args": [
            "run",
            "--authority", settings.authority.to_string(),
            "--trust-domain", settings.trust_domain.as_str(),
            "--trust-bundle", format!("{BUNDLE_DIRECTORY}/bundle.pem"),
            "--service-account-token-file", format!("{TOKEN_DIRECTORY}/token"),
            "--socket", SOCKET,
            "--allow-uid", PROXY_UID.to_string(),
        ],
        "securityContext": restricted(AGENT_UID),
        "resources": default_resources(),
        "volumeMounts": [
            { "name": "postern-socket", "mountPath": SOCKET_DIRECTORY },
            { "name": "postern-token", "mountPath": TOKEN_DIRECTORY, "readOnly": true },
            { "name": "postern-trust", "mountPath": BUNDLE_DIRECTORY, "readOnly": true },
            no_api_token(),
        ],
        "startupProbe": startup(&json!({
            "exec": { "command": ["postern-cert-agent", "health", "--socket", SOCKET] },
        })),
    });
    if let (false, true, Some(arguments)) = (options.native, finite, agent["args"].as_array_mut()) {
        // No kubelet ends a classic sidecar, so it ends after the proxy, which the job ends.
        arguments
            .extend([json!("--end-without-callers"), json!(SECONDS_WITHOUT_PROXY.to_string())]);
    }
    become_sidecar(&mut agent, options);
    agent
}

/// The proxy.
pub(super) fn proxy(options: &Options, settings: &Settings, config: &str) -> Value {
    let resources = &options.resources;
    let mut of_proxy = json!({ "requests": resources.requests });
    if !resources.limits.is_empty() {
        of_proxy["limits"] = json!(resources.limits);
    }
    let ready = json!({ "httpGet": { "path": "/ready", "port": PROBE_PORT, "scheme": "HTTP" } });
    let mut proxy = json!({
        "name": PROXY,
        "image": settings.image("postern-proxy"),
        "imagePullPolicy": settings.image_pull_policy.as_str(),
        "command": ["postern-proxy"],
        "args": ["run"],
        "env": [
            { "name": NAMESPACE_VARIABLE, "valueFrom": { "fieldRef": { "fieldPath": "metadata.namespace" } } },
            { "name": SERVICE_ACCOUNT_VARIABLE, "valueFrom": { "fieldRef": { "fieldPath": "spec.serviceAccountName" } } },
            { "name": POD_NAME_VARIABLE, "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
            { "name": POD_UID_VARIABLE, "valueFrom": { "fieldRef": { "fieldPath": "metadata.uid" } } },
            { "name": VARIABLE, "value": config },
        ],
        "ports": [{ "name": "postern-metrics", "containerPort": 15020, "protocol": "TCP" }],
        "securityContext": restricted(PROXY_UID),
        "resources": of_proxy,
        "volumeMounts": [
            { "name": "postern-socket", "mountPath": SOCKET_DIRECTORY, "readOnly": true },
            { "name": "postern-pod", "mountPath": POD_DIRECTORY, "readOnly": true },
            { "name": "postern-resources", "mountPath": RESOURCES_DIRECTORY, "readOnly": true },
            no_api_token(),
        ],
        "startupProbe": startup(&ready),
        "readinessProbe": probe(&ready, 2, 3),
    });
    if !options.native {
        // Containers start in their order, and the next one waits for this hook.
        proxy["lifecycle"] =
            json!({ "postStart": { "exec": { "command": ["postern-proxy", "await"] } } });
    }
    become_sidecar(&mut proxy, options);
    proxy
}

/// A native sidecar is an init container that goes on (Kubernetes 1.29).
fn become_sidecar(container: &mut Value, options: &Options) {
    if options.native {
        container["restartPolicy"] = json!("Always");
    }
}

/// Asked each second for two minutes: nothing after it in the order starts before.
fn startup(action: &Value) -> Value {
    probe(action, 1, 120)
}

fn probe(action: &Value, period_seconds: u32, failures: u32) -> Value {
    let mut probe = action.clone();
    probe["periodSeconds"] = json!(period_seconds);
    probe["timeoutSeconds"] = json!(1);
    probe["successThreshold"] = json!(1);
    probe["failureThreshold"] = json!(failures);
    probe
}

fn restricted(uid: i64) -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
        "readOnlyRootFilesystem": true,
        "runAsUser": uid,
        "runAsGroup": uid,
        "runAsNonRoot": true,
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

fn default_resources() -> Value {
    json!({ "requests": { "cpu": DEFAULT_CPU, "memory": DEFAULT_MEMORY } })
}

fn no_api_token() -> Value {
    json!({ "name": "postern-no-api-token", "mountPath": API_TOKEN_DIRECTORY, "readOnly": true })
}
