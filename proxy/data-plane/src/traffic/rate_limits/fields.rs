//! What answers say of limits: `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11), each a list
//! of structured fields (RFC 9651) with one item a limit.

use std::fmt::Write as _;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use policy::rate_limit::RateLimit;
use rate_limit::Decision;

use crate::http::whole_seconds;

const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The item of one limit in `RateLimit-Policy`: the same in every answer.
pub(super) struct PolicyField {
    name: Box<str>,
    value: HeaderValue,
}

impl PolicyField {
    /// `"name";q=100;w=60`. `None` for a name that no header could hold, which the reader of policies refuses.
    pub(super) fn new(name: &str, rate: &RateLimit) -> Option<Self> {
        let seconds = whole_seconds(rate.per);
        let value = format!("\"{name}\";q={};w={seconds}", rate.requests);
        Some(Self { name: name.into(), value: HeaderValue::try_from(value).ok()? })
    }
}

/// The fields of one answer, while limits decide.
#[derive(Default)]
pub(super) struct LimitFields {
    policies: Vec<HeaderValue>,
    limits: String,
}

impl LimitFields {
    /// A limit that the request met, and what it has decided; `None`: nobody has counted.
    pub(super) fn add(&mut self, policy: &PolicyField, decision: Option<&Decision>) {
        self.policies.push(policy.value.clone());
        let Some(decision) = decision else { return };
        if !self.limits.is_empty() {
            self.limits.push_str(", ");
        }
        let (left, seconds) = (decision.remaining, whole_seconds(effective_window(decision)));
        // Writing to a string does not fail.
        let _ = write!(self.limits, "\"{}\";r={left};t={seconds}", policy.name);
    }

    /// The fields, as lines: several lines of a list are one list (RFC 9651 §3.1).
    pub(super) fn into_lines(self) -> Vec<(HeaderName, HeaderValue)> {
        let policies = self.policies.into_iter().map(|policy| (RATE_LIMIT_POLICY, policy));
        let mut lines: Vec<_> = policies.collect();
        if let Ok(limits) = HeaderValue::try_from(self.limits)
            && !limits.is_empty()
        {
            lines.push((RATE_LIMIT, limits));
        }
        lines
    }
}

/// `t`: while something is left, when all of it will be there again; once nothing is left, when the next request will be
/// admitted. `Retry-After` is never earlier than that.
fn effective_window(decision: &Decision) -> Duration {
    match decision.allowed {
        true => decision.reset_after,
        false => decision.retry_after,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::num::NonZeroU32;

    use policy::rate_limit::{LimitStore, StoreFailure};

    use super::*;

    #[test]
    fn as_the_draft_writes_them() {
        let rate = |requests, seconds| RateLimit {
            requests: NonZeroU32::new(requests).unwrap(),
            per: Duration::from_secs(seconds),
            burst: NonZeroU32::MIN,
            store: LimitStore::Local,
            on_store_failure: StoreFailure::Local,
            replicas: NonZeroU32::MIN,
        };
        let decision = |allowed, remaining, reset, retry| Decision {
            allowed,
            remaining,
            reset_after: Duration::from_millis(reset),
            retry_after: Duration::from_millis(retry),
            shared: false,
        };
        let policy = PolicyField::new("per-caller", &rate(100, 60)).unwrap();
        let other = PolicyField::new("all", &rate(5, 1)).unwrap();
        for (row, added, expect) in [
            (
                "one",
                vec![(&policy, Some(decision(true, 12, 29_500, 0)))],
                "ratelimit-policy: \"per-caller\";q=100;w=60\nratelimit: \"per-caller\";r=12;t=30\n",
            ),
            (
                "refused",
                vec![(&policy, Some(decision(false, 0, 60_000, 600)))],
                "ratelimit-policy: \"per-caller\";q=100;w=60\nratelimit: \"per-caller\";r=0;t=1\n",
            ),
            (
                "two, of which one was not counted",
                vec![(&other, None), (&policy, Some(decision(true, 99, 600, 0)))],
                "ratelimit-policy: \"all\";q=5;w=1\nratelimit-policy: \"per-caller\";q=100;w=60\n\
                 ratelimit: \"per-caller\";r=99;t=1\n",
            ),
            ("not counted", vec![(&other, None)], "ratelimit-policy: \"all\";q=5;w=1\n"),
            (
                "two",
                vec![
                    (&other, Some(decision(true, 4, 200, 0))),
                    (&policy, Some(decision(true, 99, 600, 0))),
                ],
                "ratelimit-policy: \"all\";q=5;w=1\nratelimit-policy: \"per-caller\";q=100;w=60\n\
                 ratelimit: \"all\";r=4;t=1, \"per-caller\";r=99;t=1\n",
            ),
        ] {
            let mut fields = LimitFields::default();
            added.iter().for_each(|(policy, decision)| fields.add(policy, decision.as_ref()));
            let lines = fields.into_lines();
            let lines =
                lines.iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
            assert_eq!(lines.collect::<String>(), expect, "{row}");
        }
    }
}
