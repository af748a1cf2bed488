//! The issuers' public keys in force, by where they come from.

use std::collections::HashMap;
use std::sync::Arc;

use identity::jws::KeySet;
use policy::KeySource;

/// All keys in force, by where they come from. Replaced as a whole; compared by address.
#[derive(Debug, Default, Clone)]
pub struct KeyBook(HashMap<KeySource, Arc<KeySet>>);

impl KeyBook {
    /// The keys of a source, when they are loaded.
    #[must_use]
    pub fn get(&self, source: &KeySource) -> Option<&Arc<KeySet>> {
        self.0.get(source)
    }

    /// A copy with these keys of this source in place of any others of it.
    #[must_use]
    pub fn with(&self, source: &KeySource, keys: Option<Arc<KeySet>>) -> Self {
        let mut book = self.clone();
        match keys {
            Some(keys) => book.0.insert(source.clone(), keys),
            None => book.0.remove(source),
        };
        book
    }

    /// The sources whose keys are loaded.
    pub fn sources(&self) -> impl Iterator<Item = &KeySource> {
        self.0.keys()
    }

    /// A copy without the sources that are no longer needed.
    #[must_use]
    pub fn only(&self, needed: impl Fn(&KeySource) -> bool) -> Self {
        let kept = self.0.iter().filter(|(source, _)| needed(source));
        Self(kept.map(|(source, keys)| (source.clone(), Arc::clone(keys))).collect())
    }
}
