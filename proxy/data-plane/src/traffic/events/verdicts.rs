//! The verdicts of one connection, so that a client that does the same again and again costs one look at the policies.

use std::sync::{Arc, Weak};

use message_access::{AccessRequest, Operation};
use policy::Snapshot;
use prometheus::IntCounter;

/// Verdicts that a connection keeps: a client that does more kinds of things has them judged again.
const KEPT: usize = 64;
/// Names together longer than this are judged each time, so that all that is kept is a few KiB.
const LONGEST: usize = 256;

/// A verdict, and how it is counted.
#[derive(Clone)]
pub(super) struct KnownVerdict {
    pub(super) allowed: bool,
    pub(super) counter: IntCounter,
    /// The coarse second of its last line in the log, plus one; 0 before there is one.
    pub(super) noted: u32,
}

/// What was asked for, by itself.
struct Asked {
    operation: Operation,
    /// In the order of [`names`].
    names: [Option<Box<str>>; 6],
}

/// The latest verdicts under one snapshot.
#[derive(Default)]
pub(super) struct KnownVerdicts {
    under: Weak<Snapshot>,
    /// By [`slot`]; empty until something is known.
    known: Vec<Option<(Asked, KnownVerdict)>>,
}

impl KnownVerdicts {
    /// Forgets what was judged under another snapshot. Returns whether there was another.
    pub(super) fn hold_under(&mut self, snapshot: &Arc<Snapshot>) -> bool {
        // The allocation that a `Weak` names is not used again while it lives.
        let same = std::ptr::eq(self.under.as_ptr(), Arc::as_ptr(snapshot));
        if !same {
            self.under = Arc::downgrade(snapshot);
            self.known.clear();
        }
        !same
    }

    /// The verdict about the same, where it is known.
    pub(super) fn of(&mut self, request: &AccessRequest<'_>) -> Option<&mut KnownVerdict> {
        let (asked, verdict) = self.known.get_mut(slot(request))?.as_mut()?;
        asked.is(request).then_some(verdict)
    }

    /// Keeps a verdict, in the place of an older one. Replies are not kept: none goes to the same subject twice.
    pub(super) fn keep(&mut self, request: &AccessRequest<'_>, verdict: KnownVerdict) {
        let length: usize = names(request).into_iter().flatten().map(str::len).sum();
        if request.reply || length > LONGEST {
            return;
        }
        if self.known.is_empty() {
            self.known.resize_with(KEPT, || None);
        }
        if let Some(place) = self.known.get_mut(slot(request)) {
            *place = Some((Asked::of(request), verdict));
        }
    }
}

impl Asked {
    fn of(request: &AccessRequest<'_>) -> Self {
        let names = names(request).map(|name| name.map(Box::from));
        Self { operation: request.operation, names }
    }

    fn is(&self, request: &AccessRequest<'_>) -> bool {
        self.operation == request.operation
            && !request.reply
            && self.names.iter().map(Option::as_deref).eq(names(request))
    }
}

/// All that a request names.
fn names<'a>(request: &AccessRequest<'a>) -> [Option<&'a str>; 6] {
    let AccessRequest { topic, group, queue, stream, client_id, transactional_id, .. } = *request;
    [topic, group, queue, stream, client_id, transactional_id]
}

/// The place of a verdict. Cheap and no more: a client that makes two of its own names meet has them judged each time.
fn slot(request: &AccessRequest<'_>) -> usize {
    let mut sum = request.operation as u64;
    for name in names(request).into_iter().flatten() {
        let end: [u8; 8] = name.as_bytes().last_chunk().copied().unwrap_or_else(|| short(name));
        let length = u64::try_from(name.len()).unwrap_or(0);
        sum = (sum.rotate_left(5) ^ u64::from_le_bytes(end) ^ length)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    // The high bits depend on all of them.
    usize::try_from(sum >> 58).unwrap_or(0) % KEPT
}

fn short(name: &str) -> [u8; 8] {
    let mut padded = [0; 8];
    padded.iter_mut().zip(name.bytes()).for_each(|(place, byte)| *place = byte);
    padded
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn verdict(allowed: bool) -> KnownVerdict {
        let counter = IntCounter::new("messages", "messages").unwrap();
        KnownVerdict { allowed, counter, noted: 0 }
    }

    #[test]
    fn f12_policy_tightened_or_removed_no_verdict_outlives_its_snapshot() {
        let workload = policy::Workload {
            namespace: "bank".into(),
            service_account: "broker".into(),
            labels: [].into(),
        };
        let resources = policy::Resources::empty("postern-system");
        let snapshot =
            || Arc::new(Snapshot::build(&resources, &workload, &policy::PolicyDefaults::default()));
        let (before, after) = (snapshot(), snapshot());
        let mut known = KnownVerdicts::default();
        let request = AccessRequest::on_topic(Operation::Publish, "orders.new");
        assert!(known.hold_under(&before) && known.of(&request).is_none());
        known.keep(&request, verdict(true));
        assert!(!known.hold_under(&before) && known.of(&request).is_some());
        assert!(known.hold_under(&after) && known.of(&request).is_none());
    }

    #[test]
    fn a_verdict_is_about_all_that_is_named() {
        let asked = AccessRequest::on_topic(Operation::Subscribe, "orders");
        let mut known = KnownVerdicts::default();
        known.keep(&asked, verdict(true));
        assert!(known.of(&asked).is_some());
        for (name, other) in [
            ("operation", AccessRequest { operation: Operation::Publish, ..asked }),
            ("topic", AccessRequest { topic: Some("payments"), ..asked }),
            ("no topic", AccessRequest { topic: None, ..asked }),
            (
                "the name of another kind",
                AccessRequest { topic: None, group: asked.topic, ..asked },
            ),
            ("group", AccessRequest { group: Some("a"), ..asked }),
            ("queue", AccessRequest { queue: Some("a"), ..asked }),
            ("stream", AccessRequest { stream: Some("a"), ..asked }),
            ("client id", AccessRequest { client_id: Some("a"), ..asked }),
            ("transactional id", AccessRequest { transactional_id: Some("a"), ..asked }),
            ("reply", AccessRequest { reply: true, ..asked }),
        ] {
            assert!(known.of(&other).is_none(), "{name}");
            // Whatever place it takes, it is told apart.
            known.keep(&other, verdict(false));
            assert!(known.of(&asked).is_none_or(|verdict| verdict.allowed), "{name}");
            known.keep(&asked, verdict(true));
        }
    }

    #[test]
    fn s48_limit_and_metric_keys_what_is_kept_is_bounded() {
        let mut known = KnownVerdicts::default();
        for number in 0..10_000 {
            let topic = format!("orders.{number}");
            known.keep(&AccessRequest::on_topic(Operation::Publish, &topic), verdict(true));
        }
        let long = "x".repeat(LONGEST + 1);
        let long = AccessRequest::on_topic(Operation::Publish, &long);
        known.keep(&long, verdict(true));
        assert!(known.of(&long).is_none() && known.known.len() == KEPT);
        let used = known.known.iter().flatten().count();
        assert!(used > KEPT / 2, "names that differ at their ends spread: {used}");
    }
}
