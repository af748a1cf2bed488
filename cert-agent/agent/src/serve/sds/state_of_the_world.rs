//! `StreamSecrets` and `FetchSecrets`: each response holds every resource that was asked for.

use std::sync::Arc;

use tonic::Status;

use crate::proto::sds::{DiscoveryRequest, DiscoveryResponse};
use crate::renewal::served_state::ServedState;

use super::DiscoveryCounts;
use super::secrets::{ContentDigest, NamedSecret, TYPE_URL, all_names, secret};
use super::stream::{DiscoveryConversation, check_request};

/// The state.
#[derive(Debug)]
pub struct StateOfTheWorld {
    counted: Arc<DiscoveryCounts>,
    /// What is wanted, by its last word; none before the first. Empty: everything.
    names: Option<Vec<String>>,
    /// Responses so far; the nonce of the last.
    said: u64,
    /// What the last response held, by name.
    last: Vec<(String, ContentDigest)>,
    /// Names that were missed aloud.
    missed: Vec<String>,
}

impl StateOfTheWorld {
    /// Nothing is wanted yet.
    #[must_use]
    pub fn new(counted: Arc<DiscoveryCounts>) -> Self {
        Self { counted, names: None, said: 0, last: Vec::new(), missed: Vec::new() }
    }

    /// An answer to one of our responses, if it is to the last: it took it, or says why not.
    fn taken(&self, request: &DiscoveryRequest) {
        match &request.error_detail {
            None => DiscoveryCounts::add(&self.counted.accepted),
            Some(why) => {
                DiscoveryCounts::add(&self.counted.rejected);
                tracing::warn!(
                    names = ?request.resource_names,
                    reason = why.message,
                    "an SDS client could not use what it got; it keeps what it had"
                );
            }
        }
    }

    fn wanted(&self, holding: &ServedState, now: u64) -> Option<Vec<NamedSecret>> {
        let names = self.names.as_ref()?;
        let all = names.is_empty().then(|| all_names(holding, now));
        let names = all.as_ref().unwrap_or(names);
        Some(names.iter().filter_map(|name| secret(name, holding, now)).collect())
    }

    /// A wrong name is a mistake that somebody has to find.
    fn say_what_is_missing(&mut self, found: &[NamedSecret]) {
        let missing = |name: &&String| !found.iter().any(|named| &named.name == *name);
        let missing: Vec<String> = self.names.iter().flatten().filter(missing).cloned().collect();
        if !missing.is_empty() && missing != self.missed {
            tracing::warn!(
                names = ?missing,
                "an SDS client waits for what is not held (now); known are default, ROOTCA, ALL, \
                 the identity's SPIFFE id, and spiffe://TRUST-DOMAIN"
            );
        }
        self.missed = missing;
    }
}

impl DiscoveryConversation for StateOfTheWorld {
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;

    fn hear(&mut self, request: DiscoveryRequest) -> Result<(), Status> {
        check_request(&request.type_url, &request.resource_names)?;
        if self.said > 0 {
            if request.response_nonce != self.said.to_string() {
                // An answer to a response before the last, which says all that matters.
                return Ok(());
            }
            self.taken(&request);
        }
        let mut names = request.resource_names;
        names.sort();
        names.dedup();
        if self.names.as_ref() != Some(&names) {
            self.names = Some(names);
            // Whatever it had: the response to other names is due (xDS: a new subscription).
            self.last.clear();
        }
        Ok(())
    }

    fn say(&mut self, holding: &ServedState, now: u64) -> Option<DiscoveryResponse> {
        let found = self.wanted(holding, now)?;
        self.say_what_is_missing(&found);
        let held: Vec<(String, ContentDigest)> =
            found.iter().map(|named| (named.name.clone(), named.digest)).collect();
        // Nothing at all is no message: what the client has stays in use.
        if found.is_empty() || held == self.last {
            return None;
        }
        self.last = held;
        self.said += 1;
        DiscoveryCounts::add(&self.counted.sent);
        Some(DiscoveryResponse {
            version_info: holding.generation.to_string(),
            resources: found.into_iter().map(|named| named.packed).collect(),
            type_url: TYPE_URL.to_owned(),
            nonce: self.said.to_string(),
        })
    }
}
