//! Makes what runs the gateways, takes away what runs none any more, and writes what is said of gateways and of what is
//! attached to them, while this replica leads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, ApiResource, DeleteParams, Patch, PatchParams};
use kube::core::{DynamicObject, GroupVersionKind};
use tokio::sync::watch;

use super::objects::{APPLIED, GatewayObject, gateway_objects};
use super::review::{GatewayReview, ReadDocuments};
use super::statuses;
use crate::controller::index::{ObjectKind, ObjectName, PolicyKind, PolicyName};
use crate::controller::parent_status;
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
/// The most routes that are answered before events are looked at again.
const MOST_ROUTES: usize = 256;
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
    leads: watch::Receiver<bool>,
) {
    let mut events = shared.events();
    let mut changed = leads.clone();
    let mut task = Reconciler {
        read: ReadDocuments::new(&settings.root_namespace),
        client,
        shared,
        settings,
        leads,
        schedule: WriteSchedule::default(),
        seen: None,
        applied_all: Instant::now(),
    };
    loop {
        task.look().await;
        tokio::select! {
            _ = events.changed() => {}
            _ = changed.changed() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
        tokio::time::sleep(SETTLE).await;
    }
}

struct Reconciler {
    client: Client,
    shared: Arc<Shared>,
    settings: InjectionSettings,
    leads: watch::Receiver<bool>,
    read: ReadDocuments,
    schedule: WriteSchedule<PendingWrite>,
    /// The revision of what was done with, to the end.
    seen: Option<u64>,
    applied_all: Instant,
}

impl Reconciler {
    /// Does what is to be done, unless nothing has happened since all of it was.
    async fn look(&mut self) {
        if !*self.leads.borrow() {
            self.seen = None;
            return;
        }
        let again = self.applied_all.elapsed() >= APPLY_AGAIN;
        let revision = self.shared.index().gateway_revision();
        if !is_known(&self.shared) || (self.seen == Some(revision) && !again) {
            return;
        }
        if again {
            self.applied_all = Instant::now();
        }
        let review = self.review();
        let mut done = self.make(&review, again).await;
        done &= self.take_away().await;
        done &= self.write_statuses(&review).await;
        done &= self.write_routes(&review).await;
        self.seen = done.then_some(revision);
    }

    /// What is new is read while nobody has to wait for the index.
    fn review(&mut self) -> GatewayReview {
        let reviewed = self.shared.index().reviewed_gateways();
        self.read.take(&reviewed.documents);
        self.read.review(&reviewed, &self.shared.index().status_facts())
    }

    fn leads(&self) -> bool {
        *self.leads.borrow()
    }

    /// Whether everything is in place, or was applied.
    async fn make(&mut self, review: &GatewayReview, again: bool) -> bool {
        let wanted = self.shared.index().gateways_to_run(&review.ports);
        let mut written = 0;
        let mut done = true;
        for gateway in wanted {
            let objects = gateway_objects(&gateway, &self.settings);
            if !again && self.shared.index().is_applied(&gateway.name, &objects) {
                continue;
            }
            done = false;
            let work = PendingWrite::Make(gateway.name.clone(), digests(&objects));
            if !(again || self.schedule.is_due(&work)) || written >= MOST_WRITES {
                continue;
            }
            written += 1;
            let applied = self.apply_all(&gateway.name, &objects).await;
            // Until the watch shows it, it is not applied again.
            self.schedule.note(work, applied);
        }
        done
    }

    async fn apply_all(&self, gateway: &ObjectName, objects: &[GatewayObject]) -> bool {
        for object in objects {
            if !self.leads() {
                return false;
            }
            let applied = in_time(apply(&self.client, &gateway.namespace, object)).await;
            match applied {
                Ok(true) => {}
                Ok(false) => {
                    let why =
                        "an object of this name is there that is none of ours; rename one of them";
                    tracing::warn!(%gateway, kind = object.kind, why, "not applied");
                    return false;
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(%gateway, kind = object.kind, error, "cannot apply");
                    return false;
                }
            }
        }
        tracing::info!(%gateway, "applied what runs it");
        true
    }

    /// Whether nothing is left to be taken away.
    async fn take_away(&mut self) -> bool {
        let unwanted = self.shared.index().unwanted_objects();
        let is_clean = unwanted.is_empty();
        for name in unwanted.into_iter().take(MOST_WRITES) {
            let work = PendingWrite::TakeAway(name.clone());
            if !self.schedule.is_due(&work) {
                continue;
            }
            let mut went_well = true;
            for kind in KINDS {
                if !self.leads() {
                    return false;
                }
                let api = api(&self.client, &name.namespace, kind);
                if let Err(error) = in_time(delete(&api, &name.name)).await {
                    let error = format!("{error:#}");
                    tracing::warn!(object = %name, kind = kind.2, error, "cannot delete");
                    went_well = false;
                }
            }
            if went_well {
                tracing::info!(object = %name, "deleted: it runs no gateway any more");
            }
            self.schedule.note(work, went_well);
        }
        is_clean
    }

    /// Whether every status says what is to be said.
    async fn write_statuses(&mut self, review: &GatewayReview) -> bool {
        let writes = self.shared.index().gateway_statuses(review, Timestamp::now());
        let done = writes.is_empty();
        for wanted in writes {
            let work = PendingWrite::Status(wanted.name.clone(), wanted.resource_version.clone());
            if !self.schedule.is_due(&work) {
                continue;
            }
            if !self.leads() {
                return false;
            }
            let written = in_time(statuses::write(&self.client, &wanted)).await;
            self.note(work, &wanted.name, written);
        }
        done
    }

    /// The same of routes.
    async fn write_routes(&mut self, review: &GatewayReview) -> bool {
        let verdicts = self.shared.index().gateway_routes(review);
        let done = verdicts.is_empty();
        for verdict in verdicts.into_iter().take(MOST_ROUTES) {
            let work = PendingWrite::Status(verdict.name.clone(), verdict.resource_version.clone());
            if !self.schedule.is_due(&work) {
                continue;
            }
            if !self.leads() {
                return false;
            }
            let written = in_time(parent_status::write(&self.client, &verdict)).await;
            self.note(work, &verdict.name, written);
        }
        done
    }

    /// Whoever was faster made another version of the object, which is due at once when the watch shows it.
    fn note(&mut self, work: PendingWrite, name: &PolicyName, written: anyhow::Result<()>) {
        if let Err(error) = &written {
            let error = format!("{error:#}");
            tracing::warn!(object = %name, error, "cannot write the status");
        }
        self.schedule.note(work, written.is_ok());
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
        && shared.unknown_kind().is_none()
        && shared.unknown_gateway_kind().is_none()
}

/// Work to be done for a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum PendingWrite {
    /// The objects of these digests.
    Make(ObjectName, String),
    TakeAway(ObjectName),
    /// An object, and the version of it that is written over.
    Status(PolicyName, String),
}

fn digests(objects: &[GatewayObject]) -> String {
    let digest = |object: &GatewayObject| object.digest().unwrap_or_default().to_owned();
    objects.iter().map(digest).collect::<Vec<_>>().join(",")
}

/// Applies an object; false where another one has its name. Who may write Gateways takes nothing over by their names.
async fn apply(client: &Client, namespace: &str, wanted: &GatewayObject) -> kube::Result<bool> {
    let (group, version) = wanted.api_version.split_once('/').unwrap_or(("", wanted.api_version));
    let api = api(client, namespace, (group, version, wanted.kind, wanted.plural));
    let name = wanted.object["metadata"]["name"].as_str().unwrap_or_default();
    if api.get_opt(name).await?.is_some_and(|found| !is_ours(&found)) {
        return Ok(false);
    }
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(name, &parameters, &Patch::Apply(&wanted.object)).await?;
    Ok(true)
}

fn is_ours(found: &DynamicObject) -> bool {
    found.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(APPLIED))
}

/// Deletes what is there and was applied by us: another object of the same name stays.
async fn delete(api: &Api<DynamicObject>, name: &str) -> kube::Result<()> {
    let Some(found) = api.get_opt(name).await? else { return Ok(()) };
    if !is_ours(&found) {
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
