//! Where requests must be seen, and which headers are looked at.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::rule_set::RuleSet;

/// The ports and headers that rules with HTTP fields are about.
#[derive(Debug, Default)]
pub(super) struct HttpRules {
    everywhere: bool,
    ports: BTreeSet<u16>,
    judged_headers: Arc<HashSet<Box<str>>>,
}

impl HttpRules {
    /// Of the rules that decide: a dry run changes nothing about a request.
    pub(super) fn new(deciding: [&RuleSet; 2]) -> Self {
        let mut found = Self::default();
        for entry in
            deciding.into_iter().flat_map(RuleSet::entries).filter(|entry| entry.names_http)
        {
            match entry.rule.ports() {
                Some(ports) => found.ports.extend(ports),
                None => found.everywhere = true,
            }
        }
        found.judged_headers = Arc::new(deciding.into_iter().flat_map(headers).collect());
        found
    }

    pub(super) fn judged_headers(&self) -> &Arc<HashSet<Box<str>>> {
        &self.judged_headers
    }

    pub(super) fn apply_to(&self, port: u16) -> bool {
        self.everywhere || self.ports.contains(&port)
    }
}

/// The headers that the rules of a set look at.
fn headers(set: &RuleSet) -> impl Iterator<Item = Box<str>> {
    set.entries().iter().flat_map(|entry| entry.rule.header_names()).map(Into::into)
}
