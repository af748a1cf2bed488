//! The routes of one namespace that are attached to one Service: which of them are told, and which kinds act there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use policy::route::RouteKind;

use super::PolicyName;
use super::references::ParentReference;

/// The most bytes that documents of such routes may have together. It is 5,000 routes of 1.6 KB each; who calls the
/// Service holds all of them, and its memory is not the routes' owner's to fill.
pub(super) const MOST_BYTES: usize = 8 << 20;

/// Which ports a route of a kind is attached to: their number and name, where it says so.
type RouteRole = (RouteKind, Option<u16>, Option<Arc<str>>);

/// What a change of these routes did to others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Displaced {
    /// Those that are told now and were not, or were and are not.
    pub(super) told: BTreeSet<PolicyName>,
    /// Those in whose place another kind acts now, or does no longer.
    pub(super) disputed: BTreeSet<PolicyName>,
}

/// Routes of one namespace at one Service.
#[derive(Debug, Default)]
pub(super) struct AttachedRoutes {
    /// With the bytes of their documents, the oldest first.
    by_age: BTreeMap<(Arc<str>, PolicyName), usize>,
    bytes: usize,
    /// Those that [`MOST_BYTES`] leaves no room for.
    beyond: BTreeSet<PolicyName>,
    roles: BTreeMap<RouteRole, usize>,
}

impl AttachedRoutes {
    /// A route that was made at `created`.
    pub(super) fn add<'a>(
        &mut self,
        name: &PolicyName,
        created: &str,
        bytes: usize,
        parents: impl Iterator<Item = &'a ParentReference>,
    ) -> Displaced {
        self.by_age.insert((created.into(), name.clone()), bytes);
        self.bytes += bytes;
        let disputed = self.count_roles(name, parents, true);
        Displaced { told: self.settle(), disputed }
    }

    /// The route is another, or gone.
    pub(super) fn remove<'a>(
        &mut self,
        name: &PolicyName,
        created: &str,
        parents: impl Iterator<Item = &'a ParentReference>,
    ) -> Displaced {
        let bytes = self.by_age.remove(&(created.into(), name.clone())).unwrap_or_default();
        self.bytes = self.bytes.saturating_sub(bytes);
        self.beyond.remove(name);
        let disputed = self.count_roles(name, parents, false);
        Displaced { told: self.settle(), disputed }
    }

    /// The oldest are told, as long as there is room for all that are older.
    fn settle(&mut self) -> BTreeSet<PolicyName> {
        let mut beyond = BTreeSet::new();
        if self.bytes > MOST_BYTES {
            let mut sum = 0;
            for ((_, name), bytes) in &self.by_age {
                sum += bytes;
                if sum > MOST_BYTES {
                    beyond.insert(name.clone());
                }
            }
        }
        let before = std::mem::replace(&mut self.beyond, beyond);
        before.symmetric_difference(&self.beyond).cloned().collect()
    }

    /// Returns the routes of later kinds, where a role was taken that nobody had, or given up by its last.
    fn count_roles<'a>(
        &mut self,
        name: &PolicyName,
        parents: impl Iterator<Item = &'a ParentReference>,
        joins: bool,
    ) -> BTreeSet<PolicyName> {
        let Some(kind) = name.kind.route() else { return BTreeSet::new() };
        let mut turned = false;
        for ParentReference { port, section, .. } in parents {
            let role = (kind, *port, section.clone());
            let before = self.roles.get(&role).copied().unwrap_or_default();
            let now = if joins { before + 1 } else { before.saturating_sub(1) };
            turned |= before == 0 || now == 0;
            match now {
                0 => self.roles.remove(&role),
                _ => self.roles.insert(role, now),
            };
        }
        let later = self.names().filter(|name| name.kind.route().is_some_and(|of| of > kind));
        if turned { later.cloned().collect() } else { BTreeSet::new() }
    }

    /// All of them, the oldest first.
    pub(super) fn names(&self) -> impl Iterator<Item = &PolicyName> {
        self.by_age.keys().map(|(_, name)| name)
    }

    /// Whether there is room for this one.
    pub(super) fn is_told(&self, name: &PolicyName) -> bool {
        !self.beyond.contains(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_age.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ObjectName, PolicyKind};
    use super::*;

    fn named(kind: PolicyKind, name: &str) -> PolicyName {
        PolicyName { kind, object: ObjectName::new("shop", name) }
    }

    #[test]
    fn the_oldest_are_told() {
        let mut attached = AttachedRoutes::default();
        let route = |name: &str| named(PolicyKind::HTTPRoute, name);
        let half = MOST_BYTES / 2;
        let none = std::iter::empty;
        let names = |names: &[&str]| names.iter().map(|name| route(name)).collect::<BTreeSet<_>>();
        let mut add = |name: &str, created: &str, bytes: usize| {
            attached.add(&route(name), created, bytes, none()).told
        };
        assert_eq!(add("b", "2", half), names(&[]));
        assert_eq!(add("c", "3", half), names(&[]), "as much as may be");
        assert_eq!(add("d", "4", 1), names(&["d"]), "the youngest is left out");
        assert_eq!(add("a", "1", half), names(&["c"]), "one older than all displaces another");
        let mut remove =
            |name: &str, created: &str| attached.remove(&route(name), created, none()).told;
        assert_eq!(remove("b", "2"), names(&["c"]));
        assert_eq!(remove("c", "3"), names(&["d"]));
        assert_eq!(remove("d", "4"), names(&[]));
        assert!(attached.is_told(&route("a")));
    }

    #[test]
    fn a_kind_that_comes_and_goes_disputes_the_later_ones() {
        let mut attached = AttachedRoutes::default();
        let parent = ParentReference {
            written: serde_json::Value::Null,
            service: ObjectName::new("shop", "cart"),
            port: Some(80),
            section: None,
        };
        let mut add = |kind, name: &str| {
            attached.add(&named(kind, name), "1", 1, std::iter::once(&parent)).disputed
        };
        let tcp = BTreeSet::from([named(PolicyKind::TCPRoute, "bytes")]);
        assert!(add(PolicyKind::TCPRoute, "bytes").is_empty());
        assert_eq!(add(PolicyKind::HTTPRoute, "first"), tcp);
        assert!(add(PolicyKind::HTTPRoute, "second").is_empty(), "there was one already");
        let mut remove = |name: &str| {
            let name = named(PolicyKind::HTTPRoute, name);
            attached.remove(&name, "1", std::iter::once(&parent)).disputed
        };
        assert!(remove("first").is_empty());
        assert_eq!(remove("second"), tcp);
    }
}
