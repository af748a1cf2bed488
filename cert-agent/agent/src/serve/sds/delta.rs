//! `DeltaSecrets`: each response holds what changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use tonic::Status;

use crate::proto::sds::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource};
use crate::renewal::bundle_set::MAX_DOMAINS;
use crate::renewal::served_state::ServedState;

use super::DiscoveryCounts;
use super::secrets::{ContentDigest, TYPE_URL, all_names, secret};
use super::stream::{DiscoveryConversation, MAX_NAMES, check_request};

/// Names that one stream may be subscribed to: everything there can be, and as many again as one
/// request names.
const MAX_WANTED: usize = MAX_DOMAINS + MAX_NAMES;

/// The state.
#[derive(Debug)]
pub struct DeltaDiscovery {
    counted: Arc<DiscoveryCounts>,
    /// What is wanted, with what the client was given of it.
    wanted: BTreeMap<String, Option<ContentDigest>>,
    /// Everything is wanted: the first request named nothing.
    everything: bool,
    heard: bool,
    said: u64,
}

impl DeltaDiscovery {
    /// Nothing is wanted yet.
    #[must_use]
    pub fn new(counted: Arc<DiscoveryCounts>) -> Self {
        Self { counted, wanted: BTreeMap::new(), everything: false, heard: false, said: 0 }
    }

    fn taken(&self, request: &DeltaDiscoveryRequest) {
        match &request.error_detail {
            _ if request.response_nonce.is_empty() => {}
            None => DiscoveryCounts::add(&self.counted.accepted),
            Some(why) => {
                DiscoveryCounts::add(&self.counted.rejected);
                tracing::warn!(
                    reason = why.message,
                    "an SDS client could not use what it got; it keeps what it had"
                );
            }
        }
    }
}

impl DiscoveryConversation for DeltaDiscovery {
    type Request = DeltaDiscoveryRequest;
    type Response = DeltaDiscoveryResponse;

    fn hear(&mut self, request: DeltaDiscoveryRequest) -> Result<(), Status> {
        let subscribe = &request.resource_names_subscribe;
        check_request(&request.type_url, subscribe)?;
        let new = subscribe.iter().filter(|name| !self.wanted.contains_key(*name)).count();
        if new > 0 && self.wanted.len() + new > MAX_WANTED {
            return Err(Status::invalid_argument(format!("at most {MAX_WANTED} names a stream")));
        }
        self.taken(&request);
        if subscribe.iter().any(|name| name == "*") || (!self.heard && subscribe.is_empty()) {
            self.everything = true;
        }
        self.heard = true;
        for name in request.resource_names_unsubscribe {
            self.wanted.remove(&name);
            self.everything &= name != "*";
        }
        for name in request.resource_names_subscribe.into_iter().filter(|name| name != "*") {
            // Named again: it wants it again (xDS: it may have forgotten it).
            self.wanted.insert(name, None);
        }
        Ok(())
    }

    fn say(&mut self, holding: &ServedState, now: u64) -> Option<DeltaDiscoveryResponse> {
        if self.everything {
            for name in all_names(holding, now) {
                self.wanted.entry(name).or_default();
            }
        }
        let version = holding.generation.to_string();
        let mut resources = Vec::new();
        for (name, given) in &mut self.wanted {
            // A certificate that ran out is not taken away: it is of no use, and the next one is on
            // its way. Roots are never gone, only replaced by those of nobody.
            let Some(named) = secret(name, holding, now) else { continue };
            if *given != Some(named.digest) {
                *given = Some(named.digest);
                resources.push(Resource {
                    version: version.clone(),
                    resource: Some(named.packed),
                    name: named.name,
                });
            }
        }
        if resources.is_empty() {
            return None;
        }
        self.said += 1;
        DiscoveryCounts::add(&self.counted.sent);
        Some(DeltaDiscoveryResponse {
            system_version_info: version,
            resources,
            type_url: TYPE_URL.to_owned(),
            nonce: self.said.to_string(),
            removed_resources: Vec::new(),
        })
    }
}
