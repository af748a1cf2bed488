//! Where requests must be seen, and which headers are looked at.

use std::collections::{BTreeSet, HashSet};

use super::rule_set::RuleSet;

/// The ports and headers that rules with HTTP fields are about.
#[derive(Debug, Default)]
pub(super) struct HttpRules {
    everywhere: bool,
    ports: BTreeSet<u16>,
    headers: HashSet<Box<str>>,
}

impl HttpRules {
    /// Ports count for rules that decide; headers for audited ones, too.
    pub(super) fn new(deciding: [&RuleSet; 2], audit: &RuleSet) -> Self {
        let mut found = Self::default();
        for entry in
            deciding.into_iter().flat_map(RuleSet::entries).filter(|entry| entry.names_http)
        {
            match entry.rule.ports() {
                Some(ports) => found.ports.extend(ports),
                None => found.everywhere = true,
            }
        }
        let all = deciding.into_iter().chain([audit]).flat_map(RuleSet::entries);
        found.headers = all.flat_map(|entry| entry.rule.header_names()).map(Into::into).collect();
        found
    }

    pub(super) fn apply_to(&self, port: u16) -> bool {
        self.everywhere || self.ports.contains(&port)
    }

    pub(super) fn names_header(&self, name: &str) -> bool {
        self.headers.contains(name)
    }
}
