//! What is said of a policy in its status: one condition, `Accepted`.

use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::index::Verdict;
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

/// The object that server-side apply merges into the policy's status.
#[must_use]
pub fn apply_of(verdict: &Verdict, now: OffsetDateTime) -> Value {
    let (group, version, _) = verdict.name.kind.resource();
    let accepted = verdict.mistakes.is_none();
    let now = now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).unwrap_or_default();
    json!({
        "apiVersion": format!("{group}/{version}"),
        "kind": verdict.name.kind.as_str(),
        "metadata": {
            "name": &*verdict.name.object.name,
            "namespace": &*verdict.name.object.namespace,
        },
        "status": {"conditions": [{
            "type": ACCEPTED,
            "status": if accepted { "True" } else { "False" },
            "reason": if accepted { "Accepted" } else { "Invalid" },
            "message": message(verdict.mistakes.as_deref()),
            "observedGeneration": verdict.generation,
            "lastTransitionTime": now,
        }]},
    })
}

/// Writes one condition.
///
/// # Errors
/// The API server's; 404 where the kind has no status or the object is gone.
pub async fn write(client: &Client, verdict: &Verdict) -> kube::Result<()> {
    let resource = api_resource(verdict.name.kind);
    let namespace = &verdict.name.object.namespace;
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource);
    let apply = apply_of(verdict, OffsetDateTime::now_utc());
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    api.patch_status(&verdict.name.object.name, &parameters, &Patch::Apply(&apply)).await?;
    Ok(())
}
