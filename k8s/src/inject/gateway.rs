//! The pod of a gateway: the cert agent and the proxy of an injected pod, and no app.
//!
//! It needs no init container and no capability: nothing is intercepted, and ports below 1024 are opened to its user by
//! the one setting of the kernel that Kubernetes counts as safe for this
//! (<https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/>). So it meets the restricted Pod Security
//! Standard.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Container;
use serde_json::{Value, json};

use super::additions::{containers, proxy_config};
use super::options::annotation::{ANNOTATIONS, InjectionOptions, PREFIX};
use super::{InjectionSettings, json as to_json};

/// From SIGTERM to SIGKILL, seconds: the load balancer notices the end, and what is under way may finish.
const GRACE_SECONDS: u32 = 60;
/// What the proxy asks of its node unless an annotation says otherwise: it carries the traffic of many.
const RESOURCES: &str = "cpu=100m,memory=64Mi";
/// The most proxies of one gateway.
const MOST_REPLICAS: u16 = 100;
/// The annotations of injected pods that a gateway may carry as well.
const SHARED: [&str; 3] = ["access-log", "log-level", "resources"];

/// What `spec.infrastructure.annotations` of a Gateway ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayOptions {
    /// `postern.dev/replicas`: how many proxies, from 1 to 100 (default 2); `None`, written `auto`: whoever scales
    /// the Deployment says so.
    pub replicas: Option<u16>,
    /// `postern.dev/service-type`: the type of its Service (default `LoadBalancer`).
    pub service_type: ServiceType,
    /// What injected pods ask for in the same words.
    pub(crate) proxy: InjectionOptions,
}

/// How a gateway's Service is reached (Kubernetes `spec.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceType {
    /// From outside, by a load balancer that the cluster's provider makes.
    LoadBalancer,
    /// From outside, by a port of each node.
    NodePort,
    /// From within the cluster.
    ClusterIp,
}

impl ServiceType {
    /// As Kubernetes writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LoadBalancer => "LoadBalancer",
            Self::NodePort => "NodePort",
            Self::ClusterIp => "ClusterIP",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::LoadBalancer, Self::NodePort, Self::ClusterIp]
            .into_iter()
            .find(|known| known.as_str() == text)
    }
}

impl Default for GatewayOptions {
    fn default() -> Self {
        let resources = RESOURCES.parse().unwrap_or_default();
        Self {
            replicas: Some(2),
            service_type: ServiceType::LoadBalancer,
            proxy: InjectionOptions { resources, ..InjectionOptions::default() },
        }
    }
}

impl GatewayOptions {
    /// Reads annotations; those of others are passed over.
    ///
    /// # Errors
    /// Every annotation of ours that is unknown to a gateway, or has a value that is not allowed.
    pub fn read(annotations: &BTreeMap<String, String>) -> Result<Self, Vec<String>> {
        let mut options = Self::default();
        let mut mistakes = Vec::new();
        for (key, text) in annotations {
            let Some(own) = key.strip_prefix(PREFIX) else { continue };
            if let Err(problem) = options.take(own, text) {
                mistakes.push(format!("{key}: {problem}"));
            }
        }
        if mistakes.is_empty() { Ok(options) } else { Err(mistakes) }
    }

    fn take(&mut self, key: &str, text: &str) -> Result<(), String> {
        let found = || text.escape_default().take(64).collect::<String>();
        match key {
            "replicas" => {
                let number =
                    text.parse().ok().filter(|number| (1..=MOST_REPLICAS).contains(number));
                self.replicas = match (text, number) {
                    ("auto", _) => None,
                    (_, Some(number)) => Some(number),
                    (_, None) => {
                        return Err(format!(
                            "found {}; expected auto, or 1 to {MOST_REPLICAS}",
                            found()
                        ));
                    }
                };
            }
            "service-type" => {
                let known = "LoadBalancer, NodePort or ClusterIP";
                self.service_type = ServiceType::parse(text)
                    .ok_or_else(|| format!("found {}; expected {known}", found()))?;
            }
            _ => {
                let known = ANNOTATIONS.iter().find(|known| known.key == key);
                let known = known.filter(|known| SHARED.contains(&known.key)).ok_or_else(|| {
                    let known = SHARED.join(", ");
                    format!("unknown to a gateway; known are {known}, replicas, service-type")
                })?;
                let allowed = |problem| format!("{problem}; allowed: {}", known.values);
                known.apply(&mut self.proxy, text).map_err(allowed)?;
            }
        }
        Ok(())
    }
}

/// The spec of the pods of a gateway.
///
/// `gateway` is its name, `NAMESPACE/NAME`; `selector` the labels of its pods, which are spread over nodes by them.
#[must_use]
pub fn pod_spec(
    gateway: &str,
    service_account: &str,
    selector: &BTreeMap<String, String>,
    options: &GatewayOptions,
    settings: &InjectionSettings,
) -> Value {
    let config = proxy_config::write_gateway(gateway, GRACE_SECONDS, &options.proxy, settings);
    json!({
        "serviceAccountName": service_account,
        "automountServiceAccountToken": false,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": true,
            "seccompProfile": {"type": "RuntimeDefault"},
            "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
        },
        "topologySpreadConstraints": [{
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector},
        }],
        "initContainers": [to_json(containers::agent(&options.proxy, settings, false))],
        "containers": [to_json(proxy(&config, options, settings))],
        "volumes": to_json(containers::volumes(settings)),
    })
}

/// The proxy, not as a sidecar but as what the pod is for.
fn proxy(config: &str, options: &GatewayOptions, settings: &InjectionSettings) -> Container {
    Container { restart_policy: None, ..containers::proxy(&options.proxy, settings, config) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(key: &str, text: &str) -> Result<GatewayOptions, Vec<String>> {
        GatewayOptions::read(&BTreeMap::from([(key.to_owned(), text.to_owned())]))
    }

    #[test]
    fn options() {
        for (key, text, expect) in [
            ("postern.dev/replicas", "3", Ok((Some(3), ServiceType::LoadBalancer))),
            ("postern.dev/replicas", "auto", Ok((None, ServiceType::LoadBalancer))),
            ("postern.dev/service-type", "ClusterIP", Ok((Some(2), ServiceType::ClusterIp))),
            ("example.com/anything", "", Ok((Some(2), ServiceType::LoadBalancer))),
            ("postern.dev/replicas", "0", Err("found 0; expected auto, or 1 to 100")),
            ("postern.dev/replicas", "101", Err("found 101")),
            ("postern.dev/service-type", "ExternalName", Err("found ExternalName")),
            ("postern.dev/log-level", "loud", Err("allowed: `error`")),
            ("postern.dev/redirect", "none", Err("unknown to a gateway")),
            ("postern.dev/inject", "enabled", Err("unknown to a gateway")),
        ] {
            let found = read(key, text);
            match expect {
                Ok(expect) => {
                    let found = found.unwrap();
                    assert_eq!((found.replicas, found.service_type), expect, "{key}={text}");
                }
                Err(part) => {
                    let mistakes = found.unwrap_err().join(" ");
                    assert!(mistakes.contains(part), "{key}={text}: {mistakes}");
                }
            }
        }
    }

    #[test]
    fn what_injected_pods_may_ask_for() {
        let options = read("postern.dev/access-log", "refused").unwrap();
        assert_eq!(options.proxy.access_log, "refused");
        let options = read("postern.dev/resources", "cpu=1").unwrap();
        assert_eq!(options.proxy.resources.requests["cpu"], "1");
        assert_eq!(GatewayOptions::default().proxy.resources.requests["memory"], "64Mi");
    }
}
