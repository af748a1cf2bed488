//! The latest decisions, for a person who asks "who was refused just now, and by which rule?".

use std::collections::VecDeque;

use parking_lot::Mutex;
use policy::Decider;
use serde::Serialize;

/// One decision, as `GET /decisions` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Decision {
    /// Unix seconds.
    pub time: u64,
    /// `allow` or `deny`.
    pub decision: &'static str,
    /// The stable reason.
    pub reason: &'static str,
    /// The deciding policy, or null when the default decided.
    pub policy: Option<String>,
    /// The deciding rule's index, or null.
    pub rule: Option<u32>,
    /// Who called, without `spiffe://`; null in plaintext.
    pub source_principal: Option<String>,
    /// The app's address.
    pub destination: String,
    /// The method; null for opaque bytes.
    pub method: Option<String>,
    /// The canonical path without query; null for opaque bytes.
    pub path: Option<String>,
}

impl Decision {
    /// Fills in the rule that decided.
    #[must_use]
    pub fn by(mut self, decider: Option<&Decider>) -> Self {
        self.policy = decider.map(|d| d.policy().to_string());
        self.rule = decider.map(Decider::rule);
        self
    }
}

/// A window over the refusals and connection verdicts; the oldest give way.
pub struct Decisions {
    size: usize,
    window: Mutex<VecDeque<Decision>>,
}

impl Decisions {
    /// A window of this many decisions; 0 keeps none.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self { size, window: Mutex::default() }
    }

    /// Adds one.
    pub fn add(&self, decision: Decision) {
        let mut window = self.window.lock();
        while window.len() >= self.size {
            if window.pop_front().is_none() {
                return;
            }
        }
        window.push_back(decision);
    }

    /// The window, newest first.
    #[must_use]
    pub fn recent(&self) -> Vec<Decision> {
        self.window.lock().iter().rev().cloned().collect()
    }
}
