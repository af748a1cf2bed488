//! Who leads: a Lease (`coordination.k8s.io/v1`), decided with time handed in.
//!
//! Clocks of different machines are never compared: a holder is gone when its Lease has not changed for the Lease's duration
//! *as we saw it*, whatever time it wrote.

use std::time::Duration;

use serde_json::{Value, json};

/// How long a Lease holds without being renewed.
pub const DURATION: Duration = Duration::from_secs(15);
/// How often it is renewed, and how often others look at it.
pub const PERIOD: Duration = Duration::from_secs(2);
/// A leader that could not renew for so long stops writing, well before another one may begin.
pub const GIVE_UP: Duration = Duration::from_secs(10);

/// A Lease as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `spec.holderIdentity`
    pub holder: String,
    /// `metadata.resourceVersion`: changes with every renewal.
    pub version: String,
    /// `spec.leaseTransitions`
    pub transitions: i64,
}

impl Seen {
    /// Reads a Lease object.
    #[must_use]
    pub fn of(lease: &Value) -> Self {
        let text = |pointer: &str| {
            lease.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        Self {
            holder: text("/spec/holderIdentity"),
            version: text("/metadata/resourceVersion"),
            transitions: lease
                .pointer("/spec/leaseTransitions")
                .and_then(Value::as_i64)
                .unwrap_or(0),
        }
    }
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// There is none: make it.
    Create,
    /// It is ours, or was left: write it over this version. A conflict means that somebody was faster.
    Replace {
        /// The version it must still have.
        version: String,
        /// How often the holder changed, this time included.
        transitions: i64,
    },
    /// Somebody else holds it.
    Wait,
}

/// One candidate.
#[derive(Debug)]
pub struct Candidate {
    me: String,
    /// The last version that was seen of another's Lease, and when it was new.
    other: Option<(String, Duration)>,
    renewed: Option<Duration>,
}

impl Candidate {
    /// A candidate of this name, unique among the replicas.
    #[must_use]
    pub fn new(me: String) -> Self {
        Self { me, other: None, renewed: None }
    }

    /// What to do about the Lease as it is now. `now` is any clock that only goes forward.
    pub fn step(&mut self, now: Duration, seen: Option<&Seen>) -> Step {
        let Some(seen) = seen else { return Step::Create };
        let replace = |transitions| Step::Replace { version: seen.version.clone(), transitions };
        if seen.holder == self.me {
            return replace(seen.transitions);
        }
        if seen.holder.is_empty() {
            return replace(seen.transitions + 1);
        }
        match &self.other {
            Some((version, since)) if *version == seen.version => {
                if now.saturating_sub(*since) >= DURATION {
                    return replace(seen.transitions + 1);
                }
            }
            _ => self.other = Some((seen.version.clone(), now)),
        }
        Step::Wait
    }

    /// Our write was taken at `now`.
    pub fn won(&mut self, now: Duration) {
        self.renewed = Some(now);
        self.other = None;
    }

    /// Somebody else holds it.
    pub fn lost(&mut self) {
        self.renewed = None;
    }

    /// Whether we may write as the leader at `now`.
    #[must_use]
    pub fn leads(&self, now: Duration) -> bool {
        self.renewed.is_some_and(|renewed| now.saturating_sub(renewed) < GIVE_UP)
    }

    /// Our Lease as we leave it: held by nobody. `None` when it is not ours.
    #[must_use]
    pub fn left(&self, name: &str, namespace: &str, seen: &Seen, time: &str) -> Option<Value> {
        let (version, transitions) = (seen.version.clone(), seen.transitions);
        let mut lease = self.lease(name, namespace, &Step::Replace { version, transitions }, time);
        lease["spec"]["holderIdentity"] = "".into();
        (seen.holder == self.me).then_some(lease)
    }

    /// The Lease as we write it. `time` is RFC 3339 with microseconds.
    #[must_use]
    pub fn lease(&self, name: &str, namespace: &str, step: &Step, time: &str) -> Value {
        let mut lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "holderIdentity": self.me,
                "leaseDurationSeconds": DURATION.as_secs(),
                "renewTime": time,
            },
        });
        if let Step::Replace { version, transitions } = step {
            lease["metadata"]["resourceVersion"] = version.as_str().into();
            lease["spec"]["leaseTransitions"] = (*transitions).into();
        }
        lease
    }
}

#[cfg(test)]
mod tests;
