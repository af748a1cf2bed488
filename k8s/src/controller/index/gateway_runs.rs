//! What runs the gateways: what is to be made of each, and what runs none any more.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::Value;

use super::policies::PolicyRecord;
use super::{Index, ObjectName, PolicyName};
use crate::controller::gateways::names::runs;
use crate::controller::gateways::objects::{GatewayFacts, GatewayObject};
use crate::inject::gateway::GatewayOptions;

/// The ports of the listeners of each Gateway, with what is spoken there.
type ListenerPorts = BTreeMap<ObjectName, BTreeMap<u16, String>>;

impl Index {
    /// Every Gateway of ours whose parameters, and its class's, can be followed, with the ports that were found of it.
    #[must_use]
    pub fn gateways_to_run(&self, ports: &ListenerPorts) -> Vec<GatewayFacts> {
        let facts = self.own_gateways().filter_map(|name| {
            let ports = ports.get(&name.object).cloned().unwrap_or_default();
            let record = self.policies.get(name)?;
            // What runs already goes on.
            let is_refused = record.class().is_some_and(|class| self.has_parameters(class));
            (!is_refused).then(|| facts(name, record, ports)).flatten()
        });
        facts.collect()
    }

    /// Whether the watches show these objects as they are to be. A ServiceAccount is not watched: it is applied with the rest.
    #[must_use]
    pub fn is_applied(&self, gateway: &ObjectName, objects: &[GatewayObject]) -> bool {
        let name = runs(gateway);
        objects.iter().all(|object| {
            let applied = match object.kind {
                "Deployment" => {
                    self.gateways.deployments.get(&name).and_then(|d| d.applied.as_ref())
                }
                "Service" => {
                    self.services.get(&name).and_then(|s| s.object.exposure.applied.as_ref())
                }
                _ => return true,
            };
            applied.map(String::as_str) == object.digest()
        })
    }

    /// What was made for gateways that are gone, or are no longer ours. A Gateway with mistakes counts by what it says now of
    /// its class: what serves it goes on.
    #[must_use]
    pub fn unwanted_objects(&self) -> Vec<ObjectName> {
        let wanted: BTreeSet<ObjectName> =
            self.own_gateways().map(|name| runs(&name.object)).collect();
        let made = self.gateways.deployments.iter().filter(|(_, made)| made.applied.is_some());
        let unwanted = made.filter(|(name, _)| !wanted.contains(*name));
        let unwanted: BTreeSet<&ObjectName> = unwanted.map(|(name, _)| name).collect();
        unwanted.into_iter().cloned().collect()
    }
}

fn facts(
    name: &PolicyName,
    record: &PolicyRecord,
    ports: BTreeMap<u16, String>,
) -> Option<GatewayFacts> {
    let document = &record.served.as_ref()?.value;
    let annotations = texts(document, "/spec/infrastructure/annotations");
    let options = GatewayOptions::read(&annotations).ok()?;
    Some(GatewayFacts {
        name: name.object.clone(),
        uid: record.object.uid.clone(),
        api_version: document["apiVersion"].as_str().unwrap_or_default().to_owned(),
        class: document.pointer("/spec/gatewayClassName")?.as_str()?.to_owned(),
        labels: texts(document, "/spec/infrastructure/labels"),
        annotations,
        options,
        ports,
        address: asked_address(document),
    })
}

pub(super) fn texts(document: &Value, pointer: &str) -> BTreeMap<String, String> {
    let fields = document.pointer(pointer).and_then(Value::as_object);
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    fields.into_iter().flatten().filter_map(text).collect()
}

/// The first address that is asked for.
pub(super) fn asked_address(document: &Value) -> Option<IpAddr> {
    let addresses = document.pointer("/spec/addresses")?.as_array()?;
    let is_ip = |of: &&Value| of.get("type").is_none_or(|kind| kind == "IPAddress");
    addresses.iter().find(is_ip)?.get("value")?.as_str()?.parse().ok()
}
