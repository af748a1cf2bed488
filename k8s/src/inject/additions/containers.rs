//! The three containers and their volumes.
//!
//! `postern-init` alone has a capability, `NET_ADMIN`, and is gone before the app starts. The other
//! two meet the restricted Pod Security Standard
//! (<https://kubernetes.io/docs/concepts/security/pod-security-standards/>). None of the three gets
//! the pod's API token: Kubernetes mounts it wherever nothing else is mounted at its place, so an
//! empty volume is.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, ContainerPort, DownwardAPIVolumeFile,
    DownwardAPIVolumeSource, EmptyDirVolumeSource, EnvVar, EnvVarSource, ExecAction, HTTPGetAction,
    Lifecycle, LifecycleHandler, ObjectFieldSelector, Probe, ProjectedVolumeSource,
    ResourceRequirements, SeccompProfile, SecurityContext, ServiceAccountTokenProjection, Volume,
    VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::probes::PROBE_PORT;
use super::proxy_config::{
    NAMESPACE_VARIABLE, POD_DIRECTORY, POD_NAME_VARIABLE, POD_UID_VARIABLE, RESOURCES_DIRECTORY,
    SERVICE_ACCOUNT_VARIABLE, SOCKET, VARIABLE,
};
use super::scrape::METRICS_PORT;
use crate::inject::options::annotation::InjectionOptions;
use crate::inject::options::resources::ProxyResources;
use crate::inject::settings::{AGENT_UID, InjectionSettings, PROXY_UID};

/// The init container that loads the redirection rules.
pub const INIT: &str = "postern-init";
/// The cert agent.
pub const AGENT: &str = "postern-cert-agent";
/// The proxy.
pub const PROXY: &str = "postern-proxy";
/// All three, in their order.
pub(crate) const NAMES: [&str; 3] = [INIT, AGENT, PROXY];

/// Every volume of ours.
pub(crate) const VOLUMES: [&str; 6] = [
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
const TOKEN_SECONDS: i64 = 3600;
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
pub(crate) fn volumes(settings: &InjectionSettings) -> Vec<Volume> {
    vec![
        in_memory("postern-socket", "1Mi"),
        in_memory("postern-no-api-token", "4Ki"),
        token(),
        config_map("postern-trust", BUNDLE_CONFIG_MAP, None),
        labels(),
        config_map("postern-resources", &settings.resources_config_map, Some(true)),
    ]
}

fn in_memory(name: &str, size: &str) -> Volume {
    let (medium, size_limit) = (Some("Memory".to_owned()), Some(Quantity(size.to_owned())));
    let empty_dir =
        Some(EmptyDirVolumeSource { medium, size_limit, ..EmptyDirVolumeSource::default() });
    Volume { name: name.to_owned(), empty_dir, ..Volume::default() }
}

fn config_map(volume: &str, name: &str, optional: Option<bool>) -> Volume {
    let source = ConfigMapVolumeSource {
        name: name.to_owned(),
        optional,
        ..ConfigMapVolumeSource::default()
    };
    Volume { name: volume.to_owned(), config_map: Some(source), ..Volume::default() }
}

/// The token by which the agent proves who the pod is.
fn token() -> Volume {
    let token = ServiceAccountTokenProjection {
        audience: Some(AUDIENCE.to_owned()),
        expiration_seconds: Some(TOKEN_SECONDS),
        path: "token".to_owned(),
        ..ServiceAccountTokenProjection::default()
    };
    let source =
        VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() };
    let sources = Some(vec![source]);
    let projected = Some(ProjectedVolumeSource { sources, ..ProjectedVolumeSource::default() });
    Volume { name: "postern-token".to_owned(), projected, ..Volume::default() }
}

/// The pod's labels, which select its policies.
fn labels() -> Volume {
    let labels = DownwardAPIVolumeFile {
        path: "labels".to_owned(),
        field_ref: Some(field("metadata.labels")),
        ..DownwardAPIVolumeFile::default()
    };
    let items = Some(vec![labels]);
    let downward_api =
        Some(DownwardAPIVolumeSource { items, ..DownwardAPIVolumeSource::default() });
    Volume { name: "postern-pod".to_owned(), downward_api, ..Volume::default() }
}

fn field(path: &str) -> ObjectFieldSelector {
    ObjectFieldSelector { field_path: path.to_owned(), api_version: None }
}

/// The container that sends the pod's traffic to the proxy.
pub(crate) fn init(options: &InjectionOptions, settings: &InjectionSettings) -> Container {
    Container {
        args: Some(redirect_arguments(options, settings)),
        security_context: Some(SecurityContext {
            capabilities: Some(Capabilities {
                add: Some(vec!["NET_ADMIN".to_owned()]),
                drop: Some(vec!["ALL".to_owned()]),
            }),
            run_as_non_root: Some(false),
            ..restricted(0)
        }),
        resources: Some(requirements(&ProxyResources::default())),
        volume_mounts: Some(vec![no_api_token()]),
        ..container(INIT, "postern-proxy", settings)
    }
}

/// A container that runs one of our programs.
fn container(name: &str, program: &str, settings: &InjectionSettings) -> Container {
    Container {
        name: name.to_owned(),
        image: Some(settings.image(program)),
        image_pull_policy: Some(settings.image_pull_policy.as_str().to_owned()),
        command: Some(vec![program.to_owned()]),
        ..Container::default()
    }
}

fn redirect_arguments(options: &InjectionOptions, settings: &InjectionSettings) -> Vec<String> {
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
pub(crate) fn agent(
    options: &InjectionOptions,
    settings: &InjectionSettings,
    finite: bool,
) -> Container {
    let health = command(&["postern-cert-agent", "health", "--socket", SOCKET]);
    Container {
        args: Some(agent_arguments(settings, finite && !options.native)),
        security_context: Some(restricted(AGENT_UID)),
        resources: Some(requirements(&ProxyResources::default())),
        volume_mounts: Some(vec![
            mount("postern-socket", SOCKET_DIRECTORY),
            read_only(mount("postern-token", TOKEN_DIRECTORY)),
            read_only(mount("postern-trust", BUNDLE_DIRECTORY)),
            no_api_token(),
        ]),
        startup_probe: Some(startup(Probe { exec: Some(health), ..Probe::default() })),
        restart_policy: restart_policy(options),
        ..container(AGENT, "postern-cert-agent", settings)
    }
}

fn agent_arguments(settings: &InjectionSettings, ends_after_proxy: bool) -> Vec<String> {
    let mut arguments = vec!["run".to_owned()];
    let mut flag = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
    flag("authority", settings.authority.to_string());
    flag("trust-domain", settings.trust_domain.as_str().to_owned());
    flag("trust-bundle", format!("{BUNDLE_DIRECTORY}/bundle.pem"));
    flag("service-account-token-file", format!("{TOKEN_DIRECTORY}/token"));
    flag("socket", SOCKET.to_owned());
    flag("allow-uid", PROXY_UID.to_string());
    if ends_after_proxy {
        // No kubelet ends a classic sidecar, so it ends after the proxy, which the job ends.
        flag("end-without-callers", SECONDS_WITHOUT_PROXY.to_string());
    }
    arguments
}

/// The proxy.
pub(crate) fn proxy(
    options: &InjectionOptions,
    settings: &InjectionSettings,
    config: &str,
) -> Container {
    let ready = HTTPGetAction {
        path: Some("/ready".to_owned()),
        port: IntOrString::Int(i32::from(PROBE_PORT)),
        scheme: Some("HTTP".to_owned()),
        ..HTTPGetAction::default()
    };
    let ready = Probe { http_get: Some(ready), ..Probe::default() };
    Container {
        args: Some(vec!["run".to_owned()]),
        env: Some(proxy_variables(config)),
        ports: Some(vec![ContainerPort {
            name: Some("postern-metrics".to_owned()),
            container_port: i32::from(METRICS_PORT),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        security_context: Some(restricted(PROXY_UID)),
        resources: Some(requirements(&options.resources)),
        volume_mounts: Some(vec![
            read_only(mount("postern-socket", SOCKET_DIRECTORY)),
            read_only(mount("postern-pod", POD_DIRECTORY)),
            read_only(mount("postern-resources", RESOURCES_DIRECTORY)),
            no_api_token(),
        ]),
        startup_probe: Some(startup(ready.clone())),
        readiness_probe: Some(probe(ready, 2, 3)),
        lifecycle: (!options.native).then(wait_until_ready),
        restart_policy: restart_policy(options),
        ..container(PROXY, "postern-proxy", settings)
    }
}

/// The facts of the pod, from the downward API, before the configuration that refers to them.
fn proxy_variables(config: &str) -> Vec<EnvVar> {
    let from_pod = [
        (NAMESPACE_VARIABLE, "metadata.namespace"),
        (SERVICE_ACCOUNT_VARIABLE, "spec.serviceAccountName"),
        (POD_NAME_VARIABLE, "metadata.name"),
        (POD_UID_VARIABLE, "metadata.uid"),
    ];
    let from_pod = from_pod.map(|(name, path)| EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource { field_ref: Some(field(path)), ..EnvVarSource::default() }),
        value: None,
    });
    let (name, value) = (VARIABLE.to_owned(), Some(config.to_owned()));
    from_pod.into_iter().chain([EnvVar { name, value, value_from: None }]).collect()
}

/// Containers start in their order, and the next one waits for this hook.
fn wait_until_ready() -> Lifecycle {
    let exec = Some(command(&["postern-proxy", "await"]));
    let post_start = Some(LifecycleHandler { exec, ..LifecycleHandler::default() });
    Lifecycle { post_start, ..Lifecycle::default() }
}

fn command(words: &[&str]) -> ExecAction {
    ExecAction { command: Some(words.iter().map(ToString::to_string).collect()) }
}

/// A native sidecar is an init container that goes on (Kubernetes 1.29).
fn restart_policy(options: &InjectionOptions) -> Option<String> {
    options.native.then(|| "Always".to_owned())
}

/// Asked each second for two minutes: nothing after it in the order starts before.
fn startup(action: Probe) -> Probe {
    probe(action, 1, 120)
}

fn probe(action: Probe, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(1),
        success_threshold: Some(1),
        failure_threshold: Some(failures),
        ..action
    }
}

fn restricted(uid: i64) -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        read_only_root_filesystem: Some(true),
        run_as_user: Some(uid),
        run_as_group: Some(uid),
        run_as_non_root: Some(true),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            localhost_profile: None,
        }),
        ..SecurityContext::default()
    }
}

fn requirements(resources: &ProxyResources) -> ResourceRequirements {
    let quantities = |amounts: &BTreeMap<&'static str, String>| {
        let amounts = amounts.iter();
        amounts.map(|(name, amount)| ((*name).to_owned(), Quantity(amount.clone()))).collect()
    };
    ResourceRequirements {
        requests: Some(quantities(&resources.requests)),
        limits: (!resources.limits.is_empty()).then(|| quantities(&resources.limits)),
        claims: None,
    }
}

fn mount(volume: &str, path: &str) -> VolumeMount {
    let (name, mount_path) = (volume.to_owned(), path.to_owned());
    VolumeMount { name, mount_path, ..VolumeMount::default() }
}

fn read_only(mount: VolumeMount) -> VolumeMount {
    VolumeMount { read_only: Some(true), ..mount }
}

fn no_api_token() -> VolumeMount {
    read_only(mount("postern-no-api-token", API_TOKEN_DIRECTORY))
}
