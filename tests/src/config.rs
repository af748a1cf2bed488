//! The `proxy.yaml` of a pod, written from what the test said about the pod.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::identity_source::IdentitySource;
use crate::place::Place;

/// The firewall mark that tells the proxy's own connections from the app's where only one user id is mapped.
pub(crate) const MARK: u32 = 15001;

/// Where a proxy's own ports are; on loopback each pod has its own set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnPorts {
    pub(crate) admin: u16,
    pub(crate) metrics: u16,
    pub(crate) readiness: u16,
    pub(crate) inbound: u16,
    pub(crate) outbound: u16,
}

impl OwnPorts {
    /// The ports every proxy has in a network of its own.
    pub(crate) const USUAL: Self =
        Self { admin: 15000, metrics: 15020, readiness: 15021, inbound: 15006, outbound: 15001 };

    /// A set of its own for pod `number` on a shared loopback.
    pub(crate) fn shared(number: u8) -> Self {
        let base = 20000 + u16::from(number) * 100;
        Self {
            admin: base,
            metrics: base + 20,
            readiness: base + 21,
            inbound: base + 6,
            outbound: base + 1,
        }
    }
}

/// Everything the configuration of one proxy is made of.
pub(crate) struct ProxyConfig<'a> {
    pub(crate) place: &'a Place,
    pub(crate) directory: &'a Path,
    pub(crate) name: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) service_account: &'a str,
    pub(crate) identity: &'a IdentitySource,
    pub(crate) ports: &'a [(u16, String)],
    pub(crate) own: OwnPorts,
    /// Explicit listeners, where there is no redirection.
    pub(crate) listeners: &'a Listeners,
}

/// The explicit form of inbound and outbound, for pods without redirection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listeners {
    pub(crate) inbound: Vec<Value>,
    pub(crate) outbound: Vec<Value>,
}

impl ProxyConfig<'_> {
    /// The configuration as data, for a test to change before it is written.
    pub(crate) fn value(&self) -> Value {
        let mut config = self.of_any();
        match self.place {
            Place::Namespace(_) => self.redirected(&mut config),
            Place::Loopback => self.explicit(&mut config),
        }
        config
    }

    /// The same of a gateway, which listens where its Gateways say.
    pub(crate) fn gateway(&self) -> Value {
        let mut config = self.of_any();
        config["mode"] = json!("gateway");
        if matches!(self.place, Place::Loopback) {
            self.own_ports(&mut config);
        }
        config
    }

    fn of_any(&self) -> Value {
        json!({
            "workload": {
                "namespace": self.namespace,
                "serviceAccount": self.service_account,
                "labels": {"app": self.name},
            },
            "identity": self.identity_section(),
            "resources": {"directory": self.place.path(self.directory, "resources")},
            "workers": 1,
        })
    }

    fn identity_section(&self) -> Value {
        let path = |name| self.place.path(self.directory, name);
        match self.identity {
            IdentitySource::Agent => {
                json!({"workloadApi": format!("unix://{}", path("agent.sock").display())})
            }
            IdentitySource::Files => json!({"files": {
                "certificate": path("svid.pem"), "key": path("key.pem"), "bundle": path("bundle.pem"),
            }}),
        }
    }

    fn redirected(&self, config: &mut Value) {
        let ports: Map<String, Value> = self
            .ports
            .iter()
            .map(|(port, protocol)| (port.to_string(), json!({"protocol": protocol})))
            .collect();
        config["inbound"] = json!({"ports": ports});
        config["interception"] = json!({"mark": MARK});
    }

    fn explicit(&self, config: &mut Value) {
        let own = self.own;
        config["inbound"] = json!({"bind": format!("127.0.0.1:{}", own.inbound), "listeners": self.listeners.inbound});
        config["outbound"] = json!({"bind": [format!("127.0.0.1:{}", own.outbound)], "listeners": self.listeners.outbound});
        self.own_ports(config);
    }

    fn own_ports(&self, config: &mut Value) {
        let own = self.own;
        config["admin"] = json!({"bind": format!("127.0.0.1:{}", own.admin)});
        config["metrics"] = json!({"bind": format!("127.0.0.1:{}", own.metrics)});
        config["readiness"] = json!({"bind": format!("127.0.0.1:{}", own.readiness)});
    }
}

/// Lays the keys of `change` over `config`, objects key by key, everything else whole.
pub fn overlay(config: &mut Value, change: &Value) {
    match (config, change) {
        (Value::Object(config), Value::Object(change)) => {
            for (key, value) in change {
                overlay(config.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (config, change) => *config = change.clone(),
    }
}
