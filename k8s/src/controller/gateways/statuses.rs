//! The statuses of Gateway API objects as they are written: what is said, with generation and time, over what was read.
//!
//! What others say stays as it is: entries of other controllers, and conditions of types that are not ours. Where nothing
//! changes, nothing is written.

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use kube::core::DynamicObject;
use policy::gateway::CONTROLLER_NAME;
use policy::gateway_status::{
    Condition, ConditionStatus, GatewayClassStatus, GatewayStatus, ListenerSetStatus, PolicyStatus,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::controller::index::PolicyName;
use crate::controller::status::FIELD_MANAGER;
use crate::controller::watch::api_resource;

/// The types of conditions that we write; others in the same list are somebody else's.
const OURS: [&str; 6] = [
    "Accepted",
    "Programmed",
    "ResolvedRefs",
    "Conflicted",
    "OverlappingTLSConfig",
    "InsecureFrontendValidationMode",
];
/// The most ancestors that a policy's status may have.
pub const MOST_ANCESTORS: usize = 16;

/// A status to be written over one version of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusWrite {
    /// The object.
    pub name: PolicyName,
    /// The version of its kind in which it was read.
    pub api_version: String,
    /// The version of the object that is written over.
    pub resource_version: String,
    /// The fields of `status` that are to be.
    pub status: Value,
}

/// Since when, and of which generation.
#[derive(Debug, Clone, Copy)]
pub struct Judged {
    /// The generation that was judged.
    pub generation: i64,
    /// The time of writing.
    pub now: Timestamp,
}

impl Judged {
    /// Conditions as they are written after those that stand there: what is still so has been so since then.
    fn conditions(self, conditions: &[Condition], before: &Value) -> Vec<Value> {
        let empty = Vec::new();
        let before = before.as_array().unwrap_or(&empty);
        let of = |kind: &str| before.iter().find(|condition| condition["type"] == kind);
        let ours = conditions.iter().map(|condition| {
            let Condition { kind, status, reason, message } = condition;
            let stays = of(kind.as_str()).filter(|said| said["status"] == status.as_str());
            let since = stays.and_then(|said| said["lastTransitionTime"].as_str());
            let now = || self.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            json!({
                "type": kind.as_str(),
                "status": status.as_str(),
                "reason": reason,
                "message": message,
                "observedGeneration": self.generation,
                "lastTransitionTime": since.map_or_else(now, ToOwned::to_owned),
            })
        });
        let theirs = before.iter().filter(|condition| {
            condition["type"].as_str().is_some_and(|kind| !OURS.contains(&kind))
        });
        ours.chain(theirs.cloned()).collect()
    }

    /// `status` of a GatewayClass.
    #[must_use]
    pub fn class(self, status: &GatewayClassStatus, said: &Value) -> Value {
        json!({
            "conditions": self.conditions(&status.conditions, &said["conditions"]),
            "supportedFeatures": to_json(&status.supported_features),
        })
    }

    /// `status` of a Gateway.
    #[must_use]
    pub fn gateway(self, status: &GatewayStatus, addresses: &[String], said: &Value) -> Value {
        let address = |value: &String| {
            let is_ip = value.parse::<std::net::IpAddr>().is_ok();
            json!({"type": if is_ip { "IPAddress" } else { "Hostname" }, "value": value})
        };
        let mut fields = json!({
            "conditions": self.conditions(&status.conditions, &said["conditions"]),
            "addresses": addresses.iter().map(address).collect::<Vec<_>>(),
            "listeners": self.listeners(&to_json(&status.listeners), &status.listeners, said),
        });
        // Older versions of the kind do not have it.
        if status.attached_listener_sets > 0 || !said["attachedListenerSets"].is_null() {
            fields["attachedListenerSets"] = status.attached_listener_sets.into();
        }
        fields
    }

    /// `status` of a ListenerSet.
    #[must_use]
    pub fn listener_set(self, status: &ListenerSetStatus, said: &Value) -> Value {
        json!({
            "conditions": self.conditions(&status.conditions, &said["conditions"]),
            "listeners": self.listeners(&to_json(&status.listeners), &status.listeners, said),
        })
    }

    /// The listeners, each with its conditions as they are written.
    fn listeners(
        self,
        fields: &Value,
        listeners: &[policy::gateway_status::ListenerStatus],
        said: &Value,
    ) -> Vec<Value> {
        let empty = Vec::new();
        let before = said["listeners"].as_array().unwrap_or(&empty);
        let fields = fields.as_array().unwrap_or(&empty).iter();
        let written = fields.zip(listeners).map(|(fields, listener)| {
            let said = before.iter().find(|said| said["name"] == *listener.name);
            let said = said.map_or(&Value::Null, |said| &said["conditions"]);
            let mut fields = fields.clone();
            fields["conditions"] = self.conditions(&listener.conditions, said).into();
            fields
        });
        written.collect()
    }

    /// `status` of a policy that is answered at each of its ancestors; the entries of others come first.
    #[must_use]
    pub fn policy(self, status: &PolicyStatus, said: &Value) -> Value {
        let empty = Vec::new();
        let before = said["ancestors"].as_array().unwrap_or(&empty);
        let is_ours = |entry: &&Value| entry["controllerName"] == CONTROLLER_NAME;
        let ours = status.ancestors.iter().map(|ancestor| {
            let mut fields = to_json(ancestor);
            let mut own = before.iter().filter(is_ours);
            let said = own.find(|entry| entry["ancestorRef"] == fields["ancestorRef"]);
            let said = said.map_or(&Value::Null, |said| &said["conditions"]);
            fields["controllerName"] = CONTROLLER_NAME.into();
            fields["conditions"] = self.conditions(&ancestor.conditions, said).into();
            fields
        });
        let theirs = before.iter().filter(|entry| !is_ours(entry)).cloned();
        json!({"ancestors": theirs.chain(ours).take(MOST_ANCESTORS).collect::<Vec<_>>()})
    }
}

/// As JSON. These types have string keys only, so each of them can be written.
fn to_json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// Whether a status says already what is to be said.
#[must_use]
pub fn says(said: &Value, wanted: &Value) -> bool {
    let none = Map::new();
    wanted.as_object().unwrap_or(&none).iter().all(|(key, value)| said[key] == *value)
}

/// Replaces a condition, or adds it.
pub fn set(conditions: &mut Vec<Condition>, condition: Condition) {
    match conditions.iter_mut().find(|known| known.kind == condition.kind) {
        Some(known) => *known = condition,
        None => conditions.push(condition),
    }
}

/// Whether a condition of this type holds.
#[must_use]
pub fn holds(conditions: &[Condition], kind: policy::gateway_status::ConditionKind) -> bool {
    conditions.iter().any(|of| of.kind == kind && of.status == ConditionStatus::True)
}

/// Writes a status.
///
/// # Errors
/// The API server's; 409 where the object has changed since, 404 where it is gone.
pub async fn write(client: &Client, wanted: &StatusWrite) -> kube::Result<()> {
    let (_, version) = wanted.api_version.split_once('/').unwrap_or_default();
    let resource = api_resource(wanted.name.kind, version);
    let namespace = &*wanted.name.object.namespace;
    let api = match namespace {
        "" => Api::<DynamicObject>::all_with(client.clone(), &resource),
        namespace => Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource),
    };
    let patch = json!({
        "metadata": {"resourceVersion": wanted.resource_version},
        "status": wanted.status,
    });
    let parameters =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    api.patch_status(&wanted.name.object.name, &parameters, &Patch::Merge(&patch)).await?;
    Ok(())
}
