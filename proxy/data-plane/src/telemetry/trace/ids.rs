//! Random ids.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::context::{SpanId, TraceId};

/// Makes ids of one worker: a keyed hash (SipHash) of a counter, with a key that the system made for the worker.
///
/// Ids have to be unique and evenly spread. They are no secrets, and a hash costs a tenth of what the cryptographic
/// generator does.
#[derive(Default)]
pub struct IdSource {
    key: RandomState,
    made: AtomicU64,
}

impl IdSource {
    /// The id of a new trace.
    pub fn trace(&self) -> TraceId {
        TraceId::from_random(self.next(), self.next())
    }

    /// The id of a new span.
    pub fn span(&self) -> SpanId {
        SpanId::from_random(self.next())
    }

    fn next(&self) -> u64 {
        self.key.hash_one(self.made.fetch_add(1, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_do_not_repeat_within_a_worker_or_between_two() {
        let sources = [IdSource::default(), IdSource::default()];
        let ids: HashSet<_> = (0..20_000usize).map(|n| sources[n % 2].span()).collect();
        assert_eq!(ids.len(), 20_000);
        let traces: HashSet<_> = (0..20_000usize).map(|n| sources[n % 2].trace()).collect();
        assert_eq!(traces.len(), 20_000);
    }
}
