//! The limits that one request meets, and what they decide together.

use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use policy::LimitRequest;
use rate_limit::{Buckets, Decision, KeyDigest, KeyDigests, Quota, UnderwayGuard};

use super::RequestLimits;
use super::counter::{CountedBy, CounterKind, OnFailure};
use super::fields::LimitFields;
use super::in_force::{LimitInForce, LimitsInForce};
use crate::http::{LimitRefusal, LimitRefusalKind};

/// The longest wait that is told where nothing says when there will be room: until another request has ended.
const SHORTLY: Duration = Duration::from_secs(1);

/// The limits that one request meets, those of this proxy first: what others count is asked only for a request that
/// these admit.
pub(crate) struct MetLimits(Vec<MetLimit>);

struct MetLimit {
    limit: Arc<LimitInForce>,
    /// Who the caller is, by this limit.
    key: KeyDigest,
    /// The same as bytes, for a store; empty otherwise.
    store_key: Vec<u8>,
}

/// What the limits decided together.
pub(crate) struct LimitOutcome {
    pub(crate) fields: Vec<(HeaderName, HeaderValue)>,
    pub(crate) underway: Vec<UnderwayGuard>,
    pub(crate) refusal: Option<Box<LimitRefusal>>,
}

/// What has been taken from a bucket: it is given back where another limit refuses.
enum Taken<'a> {
    /// From one of this proxy, or the one that callers share.
    Own { buckets: &'a Buckets, key: KeyDigest, shared: bool },
    /// From one of the store.
    Stored { key: &'a [u8], quota: &'a Quota },
}

impl Taken<'_> {
    fn give_back(&self, limits: &RequestLimits) {
        match self {
            Self::Own { buckets, key, shared } => buckets.give_back(*key, *shared),
            Self::Stored { key, quota } => limits.give_back_to_store(key, quota),
        }
    }
}

impl MetLimits {
    /// `None` where the request meets none.
    pub(super) fn of(
        in_force: &LimitsInForce,
        request: &LimitRequest<'_>,
        digests: &KeyDigests,
    ) -> Option<Self> {
        let mut bytes = Vec::new();
        let met = in_force.met_by(request).map(|limit| {
            bytes.clear();
            limit.limit.key(request, &mut bytes);
            let key = digests.of(&bytes);
            let is_shared = matches!(limit.counter.kind, CounterKind::Shared { .. });
            let store_key = if is_shared { store_key(&limit.limit.id, &bytes) } else { Vec::new() };
            MetLimit { limit: Arc::clone(limit), key, store_key }
        });
        let mut met: Vec<_> = met.collect();
        met.sort_by_key(|met| match met.limit.counter.kind {
            CounterKind::Concurrency(_) => 0,
            CounterKind::Local(_) => 1,
            CounterKind::Shared { .. } => 2,
        });
        (!met.is_empty()).then_some(Self(met))
    }

    /// Whether somebody else has to be asked.
    pub(crate) fn waits(&self) -> bool {
        self.0.last().is_some_and(|met| !met.store_key.is_empty())
    }

    /// Asks each limit in turn; the first that refuses ends it, and gives back what the others had taken.
    pub(crate) async fn decide(self, limits: &RequestLimits) -> LimitOutcome {
        let mut fields = LimitFields::default();
        let mut underway = Vec::new();
        let mut taken = Vec::new();
        let mut refusal = None;
        for met in &self.0 {
            let step = met.decide(limits, &mut taken).await;
            if let Some(policy) = &met.limit.policy {
                fields.add(policy, step.decision.as_ref());
            }
            underway.extend(step.underway);
            if let Some((kind, retry_after)) = step.refused {
                refusal = Some(met.refusal(kind, retry_after));
                break;
            }
        }
        if refusal.is_some() {
            taken.iter().for_each(|taken| taken.give_back(limits));
            underway.clear();
        }
        LimitOutcome { fields: fields.into_lines(), underway, refusal }
    }
}

/// What one limit says of a request.
#[derive(Default)]
struct Step {
    decision: Option<Decision>,
    underway: Option<UnderwayGuard>,
    refused: Option<(LimitRefusalKind, Duration)>,
}

impl Step {
    fn counted(decision: Decision) -> Self {
        let refused = (!decision.allowed).then_some((LimitRefusalKind::Rate, decision.retry_after));
        Self { decision: Some(decision), underway: None, refused }
    }
}

impl MetLimit {
    async fn decide<'m>(&'m self, limits: &RequestLimits, taken: &mut Vec<Taken<'m>>) -> Step {
        let counter = &self.limit.counter;
        match &counter.kind {
            CounterKind::Concurrency(underway) => {
                let underway = counter.begin(underway, self.key);
                let full = (LimitRefusalKind::Concurrency, SHORTLY);
                let refused = underway.is_none().then_some(full);
                Step { underway, refused, ..Step::default() }
            }
            CounterKind::Local(buckets) => {
                self.take(buckets, limits.now(), CountedBy::AsAsked, taken)
            }
            CounterKind::Shared { quota, on_failure } => {
                match limits.ask_store(&self.store_key, quota).await {
                    Some(decision) => {
                        counter.decided(decision.allowed, CountedBy::AsAsked);
                        if decision.allowed {
                            taken.push(Taken::Stored { key: &self.store_key, quota });
                        }
                        Step::counted(decision)
                    }
                    None => self.without_store(on_failure, limits.now(), taken),
                }
            }
        }
    }

    fn take<'m>(
        &'m self,
        buckets: &'m Buckets,
        now: Duration,
        by: CountedBy,
        taken: &mut Vec<Taken<'m>>,
    ) -> Step {
        let decision = self.limit.counter.take(buckets, self.key, now, by);
        if decision.allowed {
            taken.push(Taken::Own { buckets, key: self.key, shared: decision.shared });
        }
        Step::counted(decision)
    }

    fn without_store<'m>(
        &'m self,
        on_failure: &'m OnFailure,
        now: Duration,
        taken: &mut Vec<Taken<'m>>,
    ) -> Step {
        match on_failure {
            OnFailure::Local(buckets) => self.take(buckets, now, CountedBy::Fallback, taken),
            OnFailure::Allow => {
                self.limit.counter.decided(true, CountedBy::Nobody);
                Step::default()
            }
            OnFailure::Deny => {
                self.limit.counter.decided(false, CountedBy::Nobody);
                Step { refused: Some((LimitRefusalKind::NoStore, SHORTLY)), ..Step::default() }
            }
        }
    }

    fn refusal(&self, kind: LimitRefusalKind, retry_after: Duration) -> Box<LimitRefusal> {
        let limit = &self.limit.limit;
        let (id, name) = (Arc::clone(&limit.id), Arc::clone(&limit.name));
        Box::new(LimitRefusal { limit: id, name, kind, retry_after })
    }
}

/// A store has the callers of all limits: which one it is stands first, with its length.
fn store_key(id: &str, caller: &[u8]) -> Vec<u8> {
    let length = u32::try_from(id.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[..], id.as_bytes(), caller].concat()
}
