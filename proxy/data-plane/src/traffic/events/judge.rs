//! Answers the questions of a session: by the policy in force, counted, with a line in the log for what is refused or
//! audited.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use message_access::{AccessRequest, Judge, MessageProtocol, Operation};
use policy::{Decider, MessageDenyReason, MessageVerdict, NearestMiss, Snapshot};
use prometheus::IntCounter;

use super::line::MessageLine;
use super::verdicts::{KnownVerdict, KnownVerdicts};
use crate::connection::registry::Connection;
use crate::traffic::authorize;
use crate::traffic::worker::Worker;

/// Lines that one connection writes within a second. What is refused beyond them is counted in the next one.
const LINES: u32 = 32;
/// Different operations of one connection that an AUDIT policy has written a line for; later ones have none.
const AUDITED: usize = 1024;
/// Counters that are kept resolved.
const COUNTERS: usize = 32;

/// The judge of one connection.
pub(super) struct MessageJudge {
    worker: Arc<Worker>,
    connection: Arc<Connection>,
    protocol: MessageProtocol,
    principal: Option<Box<str>>,
    known: KnownVerdicts,
    counters: Vec<(Operation, bool, Option<Arc<str>>, IntCounter)>,
    lines: LineAllowance,
    audited: HashSet<u64>,
    hashing: RandomState,
    /// Why something was refused last.
    refused: Option<&'static str>,
}

/// How many more lines this connection may write.
#[derive(Default)]
struct LineAllowance {
    /// The coarse second, plus one, that `written` is about.
    second: u32,
    written: u32,
    /// What was refused since the last line, without one.
    unwritten: u64,
}

impl MessageJudge {
    /// The judge of a connection that speaks this protocol.
    pub(super) fn new(
        worker: &Arc<Worker>,
        connection: &Arc<Connection>,
        protocol: MessageProtocol,
    ) -> Self {
        let principal = connection.peer().map(|peer| peer.id.without_scheme().into());
        Self {
            worker: worker.clone(),
            connection: connection.clone(),
            protocol,
            principal,
            known: KnownVerdicts::default(),
            counters: Vec::new(),
            lines: LineAllowance::default(),
            audited: HashSet::new(),
            hashing: RandomState::new(),
            refused: None,
        }
    }

    /// Why something was refused last, as a stable reason.
    pub(super) fn refused(&self) -> Option<&'static str> {
        self.refused
    }

    /// The verdict of policy, and whatever is to be written about it.
    fn judge(&mut self, snapshot: &Snapshot, request: &AccessRequest<'_>, audits: bool) -> bool {
        let connection = self.connection.clone();
        let facts = authorize::facts(&connection);
        let verdict = authorize::message(snapshot, &facts, self.protocol, request);
        let allowed = verdict.is_allowed();
        let counter = self.counter(request.operation, allowed, verdict.policy());
        counter.inc();
        let now = self.now();
        let audited = verdict.audited_by().filter(|_| audits && self.is_new(request));
        let due = !allowed && self.lines.is_due(now);
        if due || audited.is_some() {
            let nearest = (due && verdict.decider().is_none())
                .then(|| authorize::message_miss(snapshot, &facts, self.protocol, request));
            self.write(request, &verdict, audited, nearest.flatten());
        }
        self.refused = verdict.reason().map(MessageDenyReason::as_str).or(self.refused);
        self.known.keep(request, KnownVerdict { allowed, counter, noted: now });
        allowed
    }

    /// The line of an operation, and where it was refused its place on the page.
    fn write(
        &mut self,
        request: &AccessRequest<'_>,
        verdict: &MessageVerdict<'_>,
        audited: Option<&Decider>,
        nearest: Option<NearestMiss>,
    ) {
        let due = !verdict.is_allowed();
        let unwritten = self.lines.take_unwritten(due);
        let line =
            MessageLine { protocol: self.protocol, request, verdict, audited, nearest, unwritten };
        self.worker.recorder.note(|out| line.write(&self.connection, out));
        if due {
            let time = self.worker.state.clock.unix();
            let facts = authorize::facts(&self.connection);
            self.worker.state.decisions.add(line.record(time, &facts));
        }
    }

    /// Whether an AUDIT policy has not written about the same yet.
    fn is_new(&mut self, request: &AccessRequest<'_>) -> bool {
        // A reply goes to a subject of its own each time, and is told by that it is one.
        let subject = AccessRequest { topic: None, ..*request };
        let hash = self.hashing.hash_one(if request.reply { &subject } else { request });
        self.audited.len() < AUDITED && self.audited.insert(hash)
    }

    fn counter(
        &mut self,
        operation: Operation,
        allowed: bool,
        policy: Option<&Arc<str>>,
    ) -> IntCounter {
        let same = |one: &Option<Arc<str>>| match (one, policy) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        let resolved = self
            .counters
            .iter()
            .find(|(of, decision, by, _)| *of == operation && *decision == allowed && same(by));
        if let Some((.., counter)) = resolved {
            return counter.clone();
        }
        if self.counters.len() >= COUNTERS {
            self.counters.clear();
        }
        let decision = if allowed { "allow" } else { "deny" };
        let name = policy.map(|policy| &**policy);
        let metrics = &self.worker.state.metrics;
        let counter = metrics.messages(self.protocol, operation, decision, name);
        self.counters.push((operation, allowed, policy.cloned(), counter.clone()));
        counter
    }

    /// Coarse seconds, from 1.
    fn now(&self) -> u32 {
        self.worker.state.clock.coarse().saturating_add(1)
    }
}

impl MessageJudge {
    /// Decides; where `audits` is set, an AUDIT policy writes its line.
    fn answer(&mut self, request: &AccessRequest<'_>, audits: bool) -> bool {
        let snapshot = self.worker.state.snapshot();
        if self.known.hold_under(&snapshot) {
            // Names of policies that are gone.
            self.counters.clear();
        }
        let now = self.now();
        if let Some(known) = self.known.of(request) {
            if known.allowed {
                known.counter.inc();
                return true;
            }
            // The same again has a line once a second.
            if known.noted == now {
                known.counter.inc();
                self.lines.unwritten += 1;
                return false;
            }
        }
        self.judge(&snapshot, request, audits)
    }
}

impl Judge for MessageJudge {
    fn decide(&mut self, request: &AccessRequest<'_>) -> bool {
        self.answer(request, true)
    }

    fn delivers(&mut self, request: &AccessRequest<'_>) -> bool {
        self.answer(request, false)
    }

    fn would_allow(&mut self, request: &AccessRequest<'_>) -> bool {
        let snapshot = self.worker.state.snapshot();
        if self.known.hold_under(&snapshot) {
            self.counters.clear();
        }
        if let Some(known) = self.known.of(request) {
            return known.allowed;
        }
        let facts = authorize::facts(&self.connection);
        let verdict = authorize::message(&snapshot, &facts, self.protocol, request);
        let allowed = verdict.is_allowed();
        // What each message that a broker delivers is asked for; a refusal, or an audited operation, has a line to come.
        if allowed && verdict.audited_by().is_none() {
            let counter = self.counter(request.operation, true, verdict.policy());
            self.known.keep(request, KnownVerdict { allowed, counter, noted: 0 });
        }
        allowed
    }

    fn note_refusal(&mut self, request: &AccessRequest<'_>) {
        let verdict = MessageVerdict::never(request);
        self.counter(request.operation, false, None).inc();
        if self.lines.is_due(self.now()) {
            self.write(request, &verdict, None, None);
        }
        self.refused = verdict.reason().map(MessageDenyReason::as_str).or(self.refused);
    }

    fn principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }
}

impl LineAllowance {
    /// Whether a line may be written now; otherwise it is counted.
    fn is_due(&mut self, second: u32) -> bool {
        if self.second != second {
            (self.second, self.written) = (second, 0);
        }
        let due = self.written < LINES;
        if due {
            self.written += 1
        } else {
            self.unwritten += 1
        }
        due
    }

    /// What was refused without a line; where one is written for a refusal, it says so.
    fn take_unwritten(&mut self, due: bool) -> u64 {
        if due { std::mem::take(&mut self.unwritten) } else { 0 }
    }
}

#[cfg(test)]
mod tests;
