//! What is said of a policy in its status: one condition, `Accepted`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::index::PolicyVerdict;
use super::watch::api_resource;

/// The condition's type.
pub const ACCEPTED: &str = "Accepted";
/// Who writes, to the API server (server-side apply).
pub const FIELD_MANAGER: &str = "postern-controller";
/// The longest message, in characters (the API's limit for a condition's is 32768).
const MOST_MESSAGE: usize = 4096;

/// The condition's message: what is in force, and every mistake.
#[must_use]
pub fn message(mistakes: Option<&str>) -> String {
    match mistakes {
        None => "in force".to_owned(),
        Some(mistakes) => mistakes.chars().take(MOST_MESSAGE).collect(),
    }
}

/// What is said of a policy since `now`.
fn condition(verdict: &PolicyVerdict, now: Timestamp) -> Condition {
    let (status, reason) = match verdict.mistakes {
        None => ("True", "Accepted"),
        Some(_) => ("False", "Invalid"),
    };
    Condition {
        type_: ACCEPTED.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message(verdict.mistakes.as_deref()),
        observed_generation: Some(verdict.generation),
        last_transition_time: Time(now),
    }
}

/// The object that server-side apply merges into the policy's status. Its kind is one of several, so it has no type.
fn status_patch(verdict: &PolicyVerdict, now: Timestamp) -> Value {
    json!({
        "apiVersion": verdict.api_version,
        "kind": verdict.name.kind.as_str(),
        "metadata": {
            "name": &*verdict.name.object.name,
            "namespace": &*verdict.name.object.namespace,
        },
        "status": {"conditions": [condition(verdict, now)]},
    })
}

/// Writes one condition.
///
/// # Errors
/// The API server's; 404 where the kind has no status or the object is gone.
pub async fn write(client: &Client, verdict: &PolicyVerdict) -> kube::Result<()> {
    let (_, version) = verdict.api_version.split_once('/').unwrap_or_default();
    let resource = api_resource(verdict.name.kind, version);
    let namespace = &verdict.name.object.namespace;
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource);
    let apply = status_patch(verdict, Timestamp::now());
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    api.patch_status(&verdict.name.object.name, &parameters, &Patch::Apply(&apply)).await?;
    Ok(())
}
