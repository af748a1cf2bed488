//! The watches: list, watch, list again after 410 or a disconnect, and what vanished in between.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use back_off::{BackOff, spread};
use futures_util::StreamExt as _;
use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use kube::api::{Api, ApiResource};
use kube::core::DynamicObject;
use kube::runtime::watcher;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::convert;
use super::index::{Event, ObjectKind, ObjectName, PolicyKind, PolicyName};
use super::shared::{KindState, Shared};
use super::trust_bundle::CONFIG_MAP;

/// The first wait after a failure, doubled each time.
const RETRY_MIN: Duration = Duration::from_millis(200);
/// The longest wait after a failure.
const RETRY_MAX: Duration = Duration::from_secs(15);
/// How often it is asked for a kind that the API server does not know.
const RETRY_ABSENT: Duration = Duration::from_secs(20);
/// Batches of events on their way to the index; a watch that is faster waits.
const MOST_BATCHES: usize = 256;

/// Watches every kind, and takes every event into the index, for ever.
pub async fn follow(client: Client, shared: Arc<Shared>) {
    let (events, received) = mpsc::channel(MOST_BATCHES);
    let task = |kind| KindWatch { kind, shared: shared.clone(), events: events.clone() };
    let all = watcher::Config::default;
    let tasks = [
        tokio::spawn(task(ObjectKind::Pod).follow(
            Api::<core::Pod>::all(client.clone()),
            all(),
            |name, object| Event::Pod(name, object.map(convert::pod)),
        )),
        tokio::spawn(task(ObjectKind::Service).follow(
            Api::<core::Service>::all(client.clone()),
            all(),
            |name, object| Event::Service(name, object.and_then(convert::service)),
        )),
        tokio::spawn(task(ObjectKind::Slice).follow(
            Api::<discovery::EndpointSlice>::all(client.clone()),
            all(),
            |name, object| Event::Slice(name, object.and_then(convert::slice)),
        )),
        tokio::spawn(task(ObjectKind::Namespace).follow(
            Api::<core::Namespace>::all(client.clone()),
            all(),
            |name, object| Event::Namespace(name.name, object.map(convert::namespace)),
        )),
        tokio::spawn(task(ObjectKind::Bundle).follow(
            Api::<core::ConfigMap>::all(client.clone()),
            all().fields(&format!("metadata.name={CONFIG_MAP}")),
            |name, object| {
                Event::Bundle(name.namespace, object.as_ref().map(convert::bundle_digest))
            },
        )),
    ];
    let gateways = shared.index().settings().gateways;
    let policies = PolicyKind::ALL.into_iter().map(ObjectKind::Policy);
    let policies = policies.filter(|kind| gateways || !kind.is_of_gateways());
    let policies = policies.filter_map(|object| match object {
        ObjectKind::Policy(kind) => {
            Some(tokio::spawn(task(object).follow_policies(client.clone(), kind)))
        }
        _ => None,
    });
    let policies: Vec<_> = policies.collect();
    let of_gateways = if gateways { follow_gateways(&client, task).into() } else { Vec::new() };
    drop(events);
    shared.take_in(received).await;
    for task in tasks.into_iter().chain(policies).chain(of_gateways) {
        task.abort();
    }
}

/// Watches what comes with gateways: certificates, what people sign in with, and what runs gateways. Of Secrets two types
/// are asked for, and of those that are not certificates only the few values are kept that some policy can refer to.
fn follow_gateways(
    client: &Client,
    task: impl Fn(ObjectKind) -> KindWatch,
) -> [tokio::task::JoinHandle<()>; 4] {
    let all = watcher::Config::default;
    [
        tokio::spawn(task(ObjectKind::Secret).follow(
            Api::<core::Secret>::all(client.clone()),
            all().fields(&format!("type={}", convert::TLS_SECRET)),
            |name, object| Event::Secret(name, object.and_then(convert::secret)),
        )),
        tokio::spawn(task(ObjectKind::Credentials).follow(
            Api::<core::Secret>::all(client.clone()),
            all().fields(&format!("type={}", convert::OPAQUE_SECRET)),
            |name, object| Event::Credentials(name, object.and_then(convert::credentials)),
        )),
        tokio::spawn(task(ObjectKind::Authorities).follow(
            Api::<core::ConfigMap>::all(client.clone()),
            all(),
            |name, object| Event::Authorities(name, object.as_ref().and_then(convert::authorities)),
        )),
        tokio::spawn(task(ObjectKind::Deployment).follow(
            Api::<apps::Deployment>::all(client.clone()),
            all().labels(convert::GATEWAY_LABEL),
            |name, object| Event::Deployment(name, object.map(convert::deployment)),
        )),
    ]
}

/// The resource of a policy kind in one of its versions.
#[must_use]
pub fn api_resource(kind: PolicyKind, version: &str) -> ApiResource {
    let (group, _, plural) = kind.resource();
    let kind = kube::core::GroupVersionKind::gvk(group, version, kind.as_str());
    ApiResource::from_gvk_with_plural(&kind, plural)
}

/// The watch of one kind.
struct KindWatch {
    kind: ObjectKind,
    shared: Arc<Shared>,
    events: mpsc::Sender<Vec<Event>>,
}

/// Why a watch does not go on.
enum WatchEnd {
    /// The API server knows no such kind, or not in this version.
    Absent {
        /// Whether it knew it before.
        was_known: bool,
    },
    /// The controller ends.
    Closed,
}

impl KindWatch {
    /// Follows the objects of a kind that has one version.
    async fn follow<K>(
        self,
        api: Api<K>,
        config: watcher::Config,
        event: impl Fn(ObjectName, Option<K>) -> Event + Send + Sync,
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        while let WatchEnd::Absent { .. } = self.watch(api.clone(), config.clone(), &event).await {
            self.absent().await;
        }
    }

    /// Follows policies in the newest of their versions that the API server has. When that is taken from it, it is
    /// looked for another one before what was known is given up.
    async fn follow_policies(self, client: Client, kind: PolicyKind) {
        let mut versions = kind.versions().iter();
        loop {
            let Some(version) = versions.next() else {
                self.absent().await;
                versions = kind.versions().iter();
                continue;
            };
            let api = Api::<DynamicObject>::all_with(client.clone(), &api_resource(kind, version));
            let event = |object, found: Option<DynamicObject>| {
                let found = found.map(|found| Box::new(convert::policy(kind, version, found)));
                Event::Policy(PolicyName { kind, object }, found)
            };
            match self.watch(api, watcher::Config::default(), event).await {
                WatchEnd::Absent { was_known: true } => versions = kind.versions().iter(),
                WatchEnd::Absent { was_known: false } => {}
                WatchEnd::Closed => return,
            }
        }
    }

    /// Lists and watches until the kind is not there, or nobody takes the events.
    async fn watch<K>(
        &self,
        api: Api<K>,
        config: watcher::Config,
        event: impl Fn(ObjectName, Option<K>) -> Event + Send,
    ) -> WatchEnd
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let mut stream = std::pin::pin!(watcher(api, config));
        let mut listed = HashSet::new();
        let mut back_off = BackOff::new(RETRY_MIN, RETRY_MAX);
        let mut was_known = false;
        while let Some(next) = stream.next().await {
            let events = match next {
                Ok(watcher::Event::Init) => {
                    listed.clear();
                    continue;
                }
                Ok(watcher::Event::InitApply(object)) => {
                    let name = convert::name_of(&object);
                    listed.insert(name.clone());
                    vec![event(name, Some(object))]
                }
                Ok(watcher::Event::InitDone) => {
                    back_off.reset();
                    let only = Event::Only(self.kind, std::mem::take(&mut listed));
                    if self.events.send(vec![only]).await.is_err() {
                        return WatchEnd::Closed;
                    }
                    was_known = true;
                    self.shared.set_kind(self.kind, KindState::Watched);
                    continue;
                }
                Ok(watcher::Event::Apply(object)) => {
                    back_off.reset();
                    self.shared.set_kind(self.kind, KindState::Watched);
                    vec![event(convert::name_of(&object), Some(object))]
                }
                Ok(watcher::Event::Delete(object)) => {
                    vec![event(convert::name_of(&object), None)]
                }
                Err(error) if is_absent(&error) => return WatchEnd::Absent { was_known },
                Err(error) => {
                    self.failed(&error, &mut back_off).await;
                    continue;
                }
            };
            if self.events.send(events).await.is_err() {
                return WatchEnd::Closed;
            }
        }
        WatchEnd::Closed
    }

    /// Whatever there was of the kind went with its definition. Waits until it may be asked for again.
    async fn absent(&self) {
        let _ = self.events.send(vec![Event::Only(self.kind, HashSet::new())]).await;
        self.shared.set_kind(self.kind, KindState::Absent);
        tokio::time::sleep(RETRY_ABSENT).await;
    }

    /// Says what is wrong, and waits until it may be tried again.
    async fn failed(&self, error: &watcher::Error, back_off: &mut BackOff) {
        if is_expired(error) {
            // What was known holds until the new list is there.
            return;
        }
        let known = self.shared.kinds().get(&self.kind).is_some_and(KindState::is_known);
        let text = error.to_string();
        tracing::warn!(kind = self.kind.as_str(), error = text, "watch failed; retrying");
        let state = if known { KindState::Stale(text) } else { KindState::Failing(text) };
        self.shared.set_kind(self.kind, state);
        tokio::time::sleep(spread(back_off.next_wait(), 0.75..=1.25, rand::random())).await;
    }
}

/// 410: the watch is too old and the list is made again.
fn is_expired(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchError(status) if status.code == 410)
}

/// 404 of a collection: no such kind.
fn is_absent(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error)) =
        error
    else {
        return false;
    };
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
