//! TokenRevocations: all that a proxy is told together are no more than it takes. More would be a mistake of its whole set,
//! and it would let nobody in.

use policy::revocation::MAX_REVOCATIONS;

use super::{Index, PolicyKind, PolicyName, PolicyObject};

impl Index {
    /// Whether every proxy could take so many entries of this object beside those in force.
    ///
    /// # Errors
    /// What its writer is told.
    pub(super) fn room_for(&self, name: &PolicyName, entries: usize) -> Result<(), String> {
        if name.kind != PolicyKind::TokenRevocation {
            return Ok(());
        }
        let others = self.revocations_beside(name);
        let all = others.saturating_add(entries);
        if all <= MAX_REVOCATIONS {
            return Ok(());
        }
        Err(format!(
            "found {entries} entries beside {others} of other TokenRevocations; expected at most {MAX_REVOCATIONS} in all; take out tokens that have ended, or revoke a subject in their place; until then the last version that had room is in force"
        ))
    }

    /// The most entries that a proxy which may be told of this object has of others: those of the namespace and of the root
    /// one; beside an object of the root namespace, of whichever namespace has most.
    fn revocations_beside(&self, name: &PolicyName) -> usize {
        let root = &self.settings.root_namespace;
        let of = |namespace: &str| self.revocations_in(namespace, name);
        let namespaces = self.policies_in.keys().filter(|namespace| *namespace != root);
        let most = match name.object.namespace == *root {
            true => namespaces.map(|namespace| of(namespace)).max().unwrap_or_default(),
            false => of(&name.object.namespace),
        };
        most.saturating_add(of(root))
    }

    fn revocations_in(&self, namespace: &str, but: &PolicyName) -> usize {
        let names = self.policies_in.get(namespace).into_iter().flatten();
        let others = names.filter(|of| of.kind == PolicyKind::TokenRevocation && *of != but);
        let served = others.filter_map(|name| self.policies.get(name)?.served.as_ref());
        served.map(|served| served.reading.revocations).sum()
    }

    /// Those that wait for room, by name.
    pub(super) fn waiting_revocations(&self) -> Vec<(PolicyName, PolicyObject)> {
        let waiting = self.policies.iter().filter(|(_, record)| record.waits);
        let mut waiting: Vec<_> =
            waiting.map(|(name, record)| (name.clone(), record.object.clone())).collect();
        waiting.sort_by(|(a, _), (b, _)| a.cmp(b));
        waiting
    }
}
