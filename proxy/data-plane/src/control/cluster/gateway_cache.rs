//! What a gateway serves, as it was received: its Gateway, what is attached to it, and the certificates that these name,
//! each with the last version that has no mistake.
//!
//! Some of it restricts: a ClientTrafficPolicy may say that clients show certificates. While one of these was never without a
//! mistake, the last set without such a gap stays in force, and nothing where there was none (ARCHITECTURE, invariant 2).

use std::collections::HashMap;

use policy::Resources;

use super::resource_cache::ResourceDocument;
use super::traffic_cache::TrafficCache;

/// What the names of documents begin with that restrict.
const RESTRICTING: [&str; 1] = ["ClientTrafficPolicy/"];

/// What was received about a gateway.
#[derive(Debug)]
pub struct GatewayCache {
    documents: TrafficCache,
    in_force: Resources,
}

impl GatewayCache {
    /// Nothing yet.
    #[must_use]
    pub fn new(root_namespace: &str) -> Self {
        let in_force = Resources::empty(root_namespace);
        Self { documents: TrafficCache::new(root_namespace), in_force }
    }

    /// Applies an update.
    pub fn take(&mut self, changed: Vec<ResourceDocument>, removed: &[String]) {
        self.documents.take(changed, removed);
        if !RESTRICTING.into_iter().any(|kind| self.documents.lacks(kind)) {
            self.in_force = self.documents.resources();
        }
    }

    /// Whether there was an update since [`Self::take_changed`].
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.documents.has_changed()
    }

    /// The same, and from now on there was none.
    pub fn take_changed(&mut self) -> bool {
        self.documents.take_changed()
    }

    /// What is to be in force.
    #[must_use]
    pub fn resources(&self) -> &Resources {
        &self.in_force
    }

    /// What is not in force in its newest version, and why.
    pub fn refused(&self) -> impl Iterator<Item = String> {
        self.documents.refused()
    }

    /// The versions of what was received, to resume with.
    #[must_use]
    pub fn versions(&self) -> HashMap<String, String> {
        self.documents.versions()
    }
}

#[cfg(test)]
mod tests;
