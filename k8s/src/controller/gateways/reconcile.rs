//! Makes what runs the gateways, and takes away what runs none any more, while this replica leads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Client;
use kube::api::{Api, ApiResource, DeleteParams, Patch, PatchParams};
use kube::core::{DynamicObject, GroupVersionKind};
use tokio::sync::watch;

use super::names::object_name;
use super::objects::{APPLIED, GatewayObject, gateway_objects};
use crate::controller::index::{ObjectKind, ObjectName, PolicyKind};
use crate::controller::shared::{KindState, Shared};
use crate::controller::status::FIELD_MANAGER;
use crate::controller::write_schedule::{WriteSchedule, in_time};
use crate::inject::InjectionSettings;

/// How often it is looked for work that an event did not announce.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How often everything is applied again, whether it seems to be in place or not: what somebody else has changed of it goes
/// back to what is written.
const APPLY_AGAIN: Duration = Duration::from_secs(600);
/// A burst of events is one look.
const SETTLE: Duration = Duration::from_millis(50);
/// The most gateways that are made, and the most that are taken away, before events are looked at again.
const MOST_WRITES: usize = 16;
/// Group, version, kind and plural of what is made, in the order in which it is taken away.
const KINDS: [(&str, &str, &str, &str); 3] = [
    ("", "v1", "Service", "services"),
    ("apps", "v1", "Deployment", "deployments"),
    ("", "v1", "ServiceAccount", "serviceaccounts"),
];

/// Follows the gateways for ever.
pub async fn follow(
    client: Client,
    shared: Arc<Shared>,
    settings: InjectionSettings,
    mut leads: watch::Receiver<bool>,
) {
    let mut events = shared.events();
    let mut schedule = WriteSchedule::default();
    let mut applied_all = Instant::now();
    loop {
        if *leads.borrow() && is_known(&shared) {
            let again = applied_all.elapsed() >= APPLY_AGAIN;
            if again {
                applied_all = Instant::now();
            }
            make(&client, &shared, &settings, &leads, &mut schedule, again).await;
            take_away(&client, &shared, &leads, &mut schedule).await;
        }
        tokio::select! {
            _ = events.changed() => {}
            _ = leads.changed() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
        tokio::time::sleep(SETTLE).await;
    }
}

/// Whether all gateways are known, and what runs them: before, everything would seem to be missing, or too much.
fn is_known(shared: &Shared) -> bool {
    let kinds = shared.kinds();
    let watched = [
        ObjectKind::Policy(PolicyKind::Gateway),
        ObjectKind::Policy(PolicyKind::GatewayClass),
        ObjectKind::Deployment,
        ObjectKind::Service,
    ];
    watched.iter().all(|kind| kinds.get(kind) == Some(&KindState::Watched))
}

/// Work to be done for a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum PendingWrite {
    /// The objects of these digests.
    Make(ObjectName, String),
    TakeAway(ObjectName),
}

async fn make(
    client: &Client,
    shared: &Shared,
    settings: &InjectionSettings,
    leads: &watch::Receiver<bool>,
    schedule: &mut WriteSchedule<PendingWrite>,
    again: bool,
) {
    let wanted = shared.index().gateways_to_run();
    let mut written = 0;
    for gateway in wanted {
        let objects = gateway_objects(&gateway, settings);
        let work = PendingWrite::Make(gateway.name.clone(), digests(&objects));
        let in_place = !again && shared.index().is_applied(&gateway.name, &objects);
        if in_place || !(again || schedule.is_due(&work)) || written >= MOST_WRITES {
            continue;
        }
        written += 1;
        let mut went_well = true;
        for object in &objects {
            if !*leads.borrow() {
                return;
            }
            let applied = in_time(apply(client, &gateway.name.namespace, object)).await;
            if let Err(error) = applied {
                let error = format!("{error:#}");
                tracing::warn!(gateway = %gateway.name, kind = object.kind, error, "cannot apply");
                went_well = false;
                break;
            }
        }
        if went_well {
            tracing::info!(gateway = %gateway.name, "applied what runs it");
        }
        // Until the watch shows it, it is not applied again.
        schedule.note(work, went_well);
    }
}

fn digests(objects: &[GatewayObject]) -> String {
    let digest = |object: &GatewayObject| object.digest().unwrap_or_default().to_owned();
    objects.iter().map(digest).collect::<Vec<_>>().join(",")
}

async fn apply(client: &Client, namespace: &str, wanted: &GatewayObject) -> kube::Result<()> {
    let (group, version) = wanted.api_version.split_once('/').unwrap_or(("", wanted.api_version));
    let api = api(client, namespace, (group, version, wanted.kind, wanted.plural));
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let name = wanted.object["metadata"]["name"].as_str().unwrap_or_default();
    api.patch(name, &parameters, &Patch::Apply(&wanted.object)).await.map(drop)
}

async fn take_away(
    client: &Client,
    shared: &Shared,
    leads: &watch::Receiver<bool>,
    schedule: &mut WriteSchedule<PendingWrite>,
) {
    let unwanted = shared.index().unwanted_objects();
    for name in unwanted.into_iter().take(MOST_WRITES) {
        let work = PendingWrite::TakeAway(name.clone());
        if !schedule.is_due(&work) {
            continue;
        }
        let mut went_well = true;
        for kind in KINDS {
            if !*leads.borrow() {
                return;
            }
            let api = api(client, &name.namespace, kind);
            if let Err(error) = in_time(delete(&api, &name.name)).await {
                let error = format!("{error:#}");
                tracing::warn!(object = %name, kind = kind.2, error, "cannot delete");
                went_well = false;
            }
        }
        if went_well {
            tracing::info!(object = %name, "deleted: it runs no gateway any more");
        }
        schedule.note(work, went_well);
    }
}

/// Deletes what is there and was applied by us: another object of the same name stays.
async fn delete(api: &Api<DynamicObject>, name: &str) -> kube::Result<()> {
    let Some(found) = api.get_opt(name).await? else { return Ok(()) };
    let annotations = found.metadata.annotations.unwrap_or_default();
    if !annotations.contains_key(APPLIED) {
        return Ok(());
    }
    match api.delete(name, &DeleteParams::default()).await {
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

fn api(
    client: &Client,
    namespace: &str,
    (group, version, kind, plural): (&str, &str, &str, &str),
) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(group, version, kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, plural);
    Api::namespaced_with(client.clone(), namespace, &resource)
}

/// The name of what runs a gateway, in its namespace.
#[must_use]
pub fn runs(gateway: &ObjectName) -> ObjectName {
    let name = object_name(&gateway.name).into();
    ObjectName { namespace: gateway.namespace.clone(), name }
}
