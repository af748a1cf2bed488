//! Who may bring what to a gateway, and what of it is kept back.
//!
//! ListenerSets and routes of other namespaces reach a gateway's proxies where its Gateway, or the listener, lets their
//! namespace in, and no more of them than a proxy has room for. What a policy is about that was never without a mistake stays
//! closed: the gateway's own namespace is told the policy as it is, which closes the gateway; of a guest, what it is about
//! is closed, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use policy::gateway::Listener;
use serde_json::{Value, json};

use super::policies::ServedPolicy;
use super::references::EdgeParent;
use super::{Index, ObjectName, PolicyKind, PolicyName};

/// The most ListenerSets of a Gateway, the oldest first.
pub(super) const MOST_SETS: usize = 64;

/// The ListenerSets that name a Gateway, each list the oldest first.
#[derive(Debug, Default)]
pub(super) struct NamedSets<'i> {
    /// Those that it takes.
    pub(super) taken: Vec<&'i PolicyName>,
    /// Those of namespaces that it does not let in.
    pub(super) refused: Vec<&'i PolicyName>,
}

impl Index {
    pub(super) fn served(&self, name: &PolicyName) -> Option<&ServedPolicy> {
        self.policies.get(name)?.served.as_ref()
    }

    /// The ListenerSets of a Gateway. Those beyond [`MOST_SETS`] are in neither list.
    pub(super) fn sets_of(&self, gateway: &ObjectName) -> NamedSets<'_> {
        let sets = self.about(&EdgeParent::Gateway(gateway.clone()));
        let sets = sets.into_iter();
        let mut sets: Vec<&PolicyName> =
            sets.filter(|name| name.kind == PolicyKind::ListenerSet).collect();
        sets.sort_by_key(|name| (self.served(name).map(ServedPolicy::created), *name));
        let takes = |set: &&PolicyName| self.takes_sets_of(gateway, &set.object.namespace);
        let (mut taken, refused): (Vec<_>, Vec<_>) = sets.into_iter().partition(takes);
        taken.truncate(MOST_SETS);
        NamedSets { taken, refused }
    }

    /// Of a Gateway that was never without a mistake it is not known: its proxies go on with what they have.
    fn takes_sets_of(&self, gateway: &ObjectName, namespace: &str) -> bool {
        let name = PolicyName { kind: PolicyKind::Gateway, object: gateway.clone() };
        let read = self.served(&name).and_then(|served| served.reading.gateway.as_ref());
        read.is_none_or(|read| {
            let labels = |name: &str| self.labels_of(name);
            read.allowed_listeners.takes(&gateway.namespace, namespace, labels)
        })
    }

    /// Whether a listener of a Gateway or ListenerSet takes routes of a namespace.
    fn takes_routes_of(&self, parent: &EdgeParent, namespace: &str) -> bool {
        let own = &parent.name().object.namespace;
        let labels = |name: &str| self.labels_of(name);
        let takes = |of: &Listener| of.allowed_routes.namespaces.takes(own, namespace, labels);
        self.listeners_of(parent).is_none_or(|listeners| listeners.iter().any(takes))
    }

    fn listeners_of(&self, parent: &EdgeParent) -> Option<&[Listener]> {
        let reading = &self.served(&parent.name())?.reading;
        let of_gateway = reading.gateway.as_ref().map(|gateway| &*gateway.listeners);
        of_gateway.or_else(|| reading.listener_set.as_ref().map(|set| &*set.listeners))
    }

    fn labels_of(&self, namespace: &str) -> Option<&BTreeMap<String, String>> {
        self.namespaces.get(namespace).map(|found| &*found.labels)
    }

    /// The routes that a gateway's proxies are told of those that are attached to a parent.
    pub(super) fn routes_told_at(
        &self,
        gateway: &ObjectName,
        parent: &EdgeParent,
    ) -> Vec<&PolicyName> {
        if self.is_closed(gateway, &parent.name()) {
            return Vec::new();
        }
        let is_told = |route: &&PolicyName| {
            self.takes_routes_of(parent, &route.object.namespace) && !self.is_closed(gateway, route)
        };
        self.routes_at(parent).filter(is_told).collect()
    }

    /// The namespaces of what is attached to a gateway.
    pub(super) fn guests_of(&self, gateway: &ObjectName) -> BTreeSet<Arc<str>> {
        let sets = self.sets_of(gateway).taken;
        let parents = sets.iter().map(|set| EdgeParent::ListenerSet(set.object.clone()));
        let parents: Vec<_> = parents.chain([EdgeParent::Gateway(gateway.clone())]).collect();
        let routes = parents.iter().flat_map(|parent| {
            let routes = self.routes_at(parent).map(|route| &route.object.namespace);
            routes.filter(|namespace| self.takes_routes_of(parent, namespace))
        });
        sets.iter().map(|set| &set.object.namespace).chain(routes).cloned().collect()
    }

    /// Whether a guest's ListenerSet or route is closed, because of a policy about it.
    pub(super) fn is_closed(&self, gateway: &ObjectName, part: &PolicyName) -> bool {
        part.object.namespace != gateway.namespace && self.withheld_by(part).is_some()
    }

    /// The policy about a ListenerSet or route that has a mistake, and no version without.
    pub(super) fn withheld_by(&self, part: &PolicyName) -> Option<&PolicyName> {
        let names = self.policies_in.get(&part.object.namespace).into_iter().flatten();
        let mut about = names
            .filter(|name| self.served(name).is_some_and(|served| served.scope.covers(name, part)));
        let parent = EdgeParent::of(part);
        let mut clients = parent.iter().flat_map(|parent| self.about(parent));
        let unread = |name: &&PolicyName| !self.is_accepted(name);
        about.find(unread).or_else(|| clients.find(unread))
    }
}

/// A ListenerSet that nothing is attached to: its hosts are taken, and whoever asks for them is refused.
pub(super) fn closed(set: &Value) -> Value {
    let mut set = set.clone();
    // Every namespace has this label.
    let nobody = json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "DoesNotExist"}]});
    let listeners = set.pointer_mut("/spec/listeners").and_then(Value::as_array_mut);
    for listener in listeners.into_iter().flatten().filter_map(Value::as_object_mut) {
        let namespaces = json!({"from": "Selector", "selector": nobody});
        listener.insert("allowedRoutes".to_owned(), json!({"namespaces": namespaces}));
    }
    set
}
