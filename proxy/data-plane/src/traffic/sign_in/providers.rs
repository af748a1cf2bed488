//! What is known of the providers that SignIns name. The control thread fetches their documents; workers read them and
//! never wait.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use oauth::ProviderMetadata;
use policy::SignInTable;

/// Metadata by issuer.
type Known = HashMap<Arc<str>, Arc<ProviderMetadata>>;

/// The providers' metadata in force: the last good one of each.
#[derive(Debug, Default)]
pub(crate) struct Providers {
    known: ArcSwap<Known>,
}

impl Providers {
    /// What an issuer says of itself; `None`: it has never been heard, or not for a day.
    pub(crate) fn get(&self, issuer: &str) -> Option<Arc<ProviderMetadata>> {
        self.known.load().get(issuer).cloned()
    }

    /// Puts an issuer's metadata in force; `None` drops it.
    pub(crate) fn put(&self, issuer: &Arc<str>, metadata: Option<ProviderMetadata>) {
        let metadata = metadata.map(Arc::new);
        self.known.rcu(|known| {
            let mut next = Known::clone(known);
            match &metadata {
                Some(metadata) => next.insert(issuer.clone(), metadata.clone()),
                None => next.remove(issuer),
            };
            next
        });
    }

    /// Drops the metadata that no SignIn needs any more.
    pub(crate) fn keep_only(&self, sign_ins: &SignInTable) {
        let needed = |issuer: &str| sign_ins.names(issuer);
        if self.known.load().keys().any(|issuer| !needed(issuer)) {
            self.known.rcu(|known| {
                let kept = known.iter().filter(|(issuer, _)| needed(issuer));
                kept.map(|(issuer, of)| (issuer.clone(), of.clone())).collect::<Known>()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_last_good_metadata_stays_until_it_is_dropped() {
        let providers = Providers::default();
        let of = |issuer: &str| {
            let text = format!("{{\"issuer\":\"{issuer}\"}}");
            ProviderMetadata::parse(text.as_bytes(), issuer).unwrap()
        };
        let (a, b): (Arc<str>, Arc<str>) = ("https://a.example".into(), "https://b.example".into());
        assert!(providers.get(&a).is_none());
        providers.put(&a, Some(of(&a)));
        providers.put(&b, Some(of(&b)));
        assert_eq!(&*providers.get(&a).unwrap().issuer, &*a);
        providers.put(&a, None);
        assert!(providers.get(&a).is_none() && providers.get(&b).is_some());
        providers.keep_only(&SignInTable::default());
        assert!(providers.get(&b).is_none());
    }
}
