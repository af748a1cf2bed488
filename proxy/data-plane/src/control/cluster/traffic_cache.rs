//! Routes and traffic policies as they were received, each with the last version that has no mistake.
//!
//! A document is read once, when it comes: a change of one route among thousands costs the reading of that one. None of
//! them says what is allowed, so that one that was never without a mistake is simply not there (ARCHITECTURE,
//! invariant 2): requests follow the others. Only a DestinationRule may ask for TLS: while one is missing, no request
//! leaves the mesh.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use policy::{Resources, SourceFile};
use zeroize::Zeroize as _;

use super::resource_cache::ResourceDocument;

/// What the names of DestinationRules begin with.
const DESTINATION_RULE: &str = "DestinationRule/";

/// What was received about how requests are carried.
#[derive(Debug)]
pub struct TrafficCache {
    root_namespace: Arc<str>,
    documents: BTreeMap<String, CachedDocument>,
    /// Whether it differs from what was last put in force.
    changed: bool,
}

#[derive(Debug)]
struct CachedDocument {
    version: String,
    /// The last version without a mistake.
    accepted: Option<Resources>,
    /// The mistakes of the newest version.
    mistakes: Option<String>,
}

impl TrafficCache {
    /// Nothing yet.
    pub fn new(root_namespace: &str) -> Self {
        let documents = BTreeMap::new();
        Self { root_namespace: root_namespace.into(), documents, changed: false }
    }

    /// Applies an update.
    pub fn take(&mut self, changed: Vec<ResourceDocument>, removed: &[String]) {
        self.changed = true;
        for name in removed {
            self.documents.remove(name);
        }
        for ResourceDocument { name, version, bytes } in changed {
            let before = self.documents.remove(&name).and_then(|document| document.accepted);
            let read = self.read(&name, bytes);
            let (accepted, mistakes) = match read {
                Ok(resources) => (Some(resources), None),
                Err(mistakes) => (before, Some(mistakes)),
            };
            self.documents.insert(name, CachedDocument { version, accepted, mistakes });
        }
    }

    /// The text is wiped: it may hold a key.
    fn read(&self, name: &str, bytes: Vec<u8>) -> Result<Resources, String> {
        let mut files = [SourceFile { name: name.to_owned(), bytes }];
        let read = Resources::parse(&files, &self.root_namespace);
        files.iter_mut().for_each(|file| file.bytes.zeroize());
        read.map_err(|mistakes| mistakes.to_string())
    }

    /// Whether there was an update since [`Self::take_changed`].
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.changed
    }

    /// The same, and from now on there was none.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// All that is to be in force, as one set.
    #[must_use]
    pub fn resources(&self) -> Resources {
        let accepted = self.documents.values().filter_map(|document| document.accepted.as_ref());
        Resources::carrying(accepted, &self.root_namespace)
    }

    /// Whether there is a DestinationRule of which no version could be read: what it wants of connections outwards is not
    /// known then.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.lacks(DESTINATION_RULE)
    }

    /// Whether there is a document of which no version could be read, of those whose names begin so.
    #[must_use]
    pub fn lacks(&self, kind: &str) -> bool {
        let mut documents = self.documents.iter();
        documents.any(|(name, document)| name.starts_with(kind) && document.accepted.is_none())
    }

    /// What is not in force in its newest version, and why.
    pub fn refused(&self) -> impl Iterator<Item = String> {
        let documents = self.documents.iter();
        documents
            .filter_map(|(name, document)| Some(format!("{name}: {}", document.mistakes.as_ref()?)))
    }

    /// The versions of what was received, to resume with.
    #[must_use]
    pub fn versions(&self) -> HashMap<String, String> {
        let documents = self.documents.iter();
        documents.map(|(name, document)| (name.clone(), document.version.clone())).collect()
    }
}

#[cfg(test)]
mod tests;
