//! The latest decisions, for a person who asks "who was refused just now, and by which rule?".

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use policy::{Connection, Decider, NearestMiss};
use serde::Serialize;

use crate::filter::authorize::{Asked, Verdict, Would};

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
    pub policy: Option<Arc<str>>,
    /// The deciding rule's index, or null.
    pub rule: Option<u32>,
    /// Who called, without `spiffe://`; null in plaintext.
    pub source_principal: Option<String>,
    /// The caller's address.
    pub source_ip: String,
    /// The app's address.
    pub destination: String,
    /// The method; null for opaque bytes.
    pub method: Option<String>,
    /// The host, with a port that is not the default one; null for opaque bytes.
    pub host: Option<String>,
    /// The canonical path without query; null for opaque bytes.
    pub path: Option<String>,
    /// After a refusal for want of a matching rule: the rule that came nearest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<NearestMiss>,
    /// What policies that are only watched would have decided otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub would: Vec<Would>,
}

impl Decision {
    /// The line for a verdict; `asked` is `None` for an opaque connection.
    #[must_use]
    pub fn new(
        time: u64,
        connection: &Connection<'_>,
        asked: Option<&Asked<'_>>,
        verdict: &Verdict,
    ) -> Self {
        Self {
            time,
            decision: verdict.word(),
            reason: verdict.reason(),
            policy: verdict.decider().map(|d| Arc::clone(d.policy())),
            rule: verdict.decider().map(Decider::rule),
            source_principal: connection.peer.map(|id| id.without_scheme().to_owned()),
            source_ip: connection.source_ip.to_canonical().to_string(),
            destination: connection.destination.to_string(),
            method: asked.map(|asked| asked.method.to_string()),
            host: asked.map(|asked| asked.host.to_string()),
            path: asked.map(|asked| asked.path.as_str().to_owned()),
            nearest: verdict.nearest.clone(),
            would: verdict.would.clone(),
        }
    }
}

/// A window over refusals, connection verdicts, and requests that a watched policy would have
/// decided otherwise; the oldest give way.
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
        self.push(&mut self.window.lock(), decision);
    }

    /// Adds one of many: in audit mode that is every request, and a request does not wait for the
    /// window while another worker writes to it.
    pub fn offer(&self, decision: impl FnOnce() -> Decision) {
        if let Some(mut window) = self.window.try_lock() {
            self.push(&mut window, decision());
        }
    }

    fn push(&self, window: &mut VecDeque<Decision>, decision: Decision) {
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
