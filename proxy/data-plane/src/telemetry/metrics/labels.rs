//! The labels of traffic, and the cap on those that peers could multiply.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::labels::{Direction, Protocol};

/// The labels of one kind of traffic, resolved once a connection or route.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TrafficLabels {
    /// Towards or from our app.
    pub direction: Direction,
    /// Who calls, `none` when nobody proved it.
    pub source_principal: Arc<str>,
    /// Who is called.
    pub destination_principal: Arc<str>,
    /// The service called, or `unknown`.
    pub destination_service: Arc<str>,
    /// What the bytes are.
    pub protocol: Protocol,
    /// Whether the mesh side is mutual TLS.
    pub mtls: bool,
}

/// Principals and services that have labels of their own; later ones are `other` (SECURITY-CASES S-48).
pub(super) struct LabelNames {
    seen: Mutex<HashSet<Arc<str>>>,
    most: usize,
}

impl LabelNames {
    pub(super) fn at_most(most: usize) -> Self {
        Self { seen: Mutex::default(), most }
    }

    /// The values of `direction`, `source_principal`, `destination_principal` and `destination_service`.
    pub(super) fn of<'a>(&self, labels: &'a TrafficLabels) -> [&'a str; 4] {
        [
            labels.direction.as_str(),
            self.capped(&labels.source_principal),
            self.capped(&labels.destination_principal),
            self.capped(&labels.destination_service),
        ]
    }

    /// The name itself while it has a label of its own, else `other`.
    pub(super) fn capped<'a>(&self, name: &'a Arc<str>) -> &'a str {
        let mut seen = self.seen.lock();
        if seen.contains(name) {
            return name;
        }
        if seen.len() >= self.most {
            return "other";
        }
        seen.insert(name.clone());
        name
    }
}
