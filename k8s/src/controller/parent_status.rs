//! What is said of a route in its status: `status.parents`, an entry for each of its parents that is ours.
//!
//! Others write into the same list. Their entries stay as they are, and the list is written back only over the version in
//! which it was read: where somebody else was faster, the API server refuses, and the watch brings what they wrote.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::index::{ParentCondition, ParentVerdict, RouteVerdict};
use super::status::{ACCEPTED, FIELD_MANAGER};
use super::watch::api_resource;

/// Our name among the controllers that answer for routes, where a Service is their parent.
pub const CONTROLLER_NAME: &str = "postern.dev/controller";
/// The type of the condition that says whether a route leads anywhere.
pub const RESOLVED_REFS: &str = "ResolvedRefs";

/// Whether the status says already what is to be said, and of ours nothing else.
#[must_use]
pub fn says(verdict: &RouteVerdict) -> bool {
    let ours: Vec<&Value> = verdict.said.iter().filter(|entry| is_ours(entry, verdict)).collect();
    ours.len() == verdict.parents.len()
        && verdict
            .parents
            .iter()
            .all(|parent| ours.iter().any(|entry| says_of(entry, parent, verdict.generation)))
}

fn is_ours(entry: &Value, verdict: &RouteVerdict) -> bool {
    entry["controllerName"] == verdict.controller
}

fn says_of(entry: &Value, parent: &ParentVerdict, generation: i64) -> bool {
    let count = entry["conditions"].as_array().map_or(0, Vec::len);
    let expected = conditions(parent);
    let mut says = expected.iter().map(|(kind, condition)| {
        said(entry, kind).is_some_and(|said| {
            said["status"] == status_of(condition)
                && said["reason"] == condition.reason
                && said["message"] == *condition.message
                && said["observedGeneration"] == generation
        })
    });
    entry["parentRef"] == parent.parent && count == expected.len() && says.all(|says| says)
}

/// The conditions, with their types.
fn conditions(parent: &ParentVerdict) -> Vec<(&'static str, &ParentCondition)> {
    let resolved_refs = parent.resolved_refs.as_ref().map(|condition| (RESOLVED_REFS, condition));
    std::iter::once((ACCEPTED, &parent.accepted)).chain(resolved_refs).collect()
}

fn said<'a>(entry: &'a Value, kind: &str) -> Option<&'a Value> {
    entry["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn status_of(condition: &ParentCondition) -> &'static str {
    if condition.holds { "True" } else { "False" }
}

/// `status.parents` as it is to be since `now`: the entries of others as they are, and ours.
#[must_use]
pub fn parents(verdict: &RouteVerdict, now: Timestamp) -> Vec<Value> {
    let others = verdict.said.iter().filter(|entry| !is_ours(entry, verdict)).cloned();
    let ours = verdict.parents.iter().map(|parent| entry(verdict, parent, now));
    others.chain(ours).collect()
}

fn entry(verdict: &RouteVerdict, parent: &ParentVerdict, now: Timestamp) -> Value {
    let mut before = verdict.said.iter().filter(|entry| is_ours(entry, verdict));
    let before = before.find(|entry| entry["parentRef"] == parent.parent);
    let condition = |(kind, state): (&str, &ParentCondition)| Condition {
        type_: kind.to_owned(),
        status: status_of(state).to_owned(),
        reason: state.reason.to_owned(),
        message: state.message.clone(),
        observed_generation: Some(verdict.generation),
        last_transition_time: Time(since(before, kind, state).unwrap_or(now)),
    };
    json!({
        "parentRef": parent.parent,
        "controllerName": verdict.controller,
        "conditions": conditions(parent).into_iter().map(condition).collect::<Vec<_>>(),
    })
}

/// Since when a condition has had its state; `None` when it changes now.
fn since(before: Option<&Value>, kind: &str, state: &ParentCondition) -> Option<Timestamp> {
    let said = said(before?, kind).filter(|said| said["status"] == status_of(state))?;
    said["lastTransitionTime"].as_str()?.parse().ok()
}

/// Writes the status of a route.
///
/// # Errors
/// The API server's; 409 where the route has changed since, 404 where it is gone.
pub async fn write(client: &Client, verdict: &RouteVerdict) -> kube::Result<()> {
    let (_, version) = verdict.api_version.split_once('/').unwrap_or_default();
    let resource = api_resource(verdict.name.kind, version);
    let namespace = &verdict.name.object.namespace;
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource);
    let patch = json!({
        "metadata": {"resourceVersion": verdict.resource_version},
        "status": {"parents": parents(verdict, Timestamp::now())},
    });
    let parameters =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    api.patch_status(&verdict.name.object.name, &parameters, &Patch::Merge(&patch)).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
