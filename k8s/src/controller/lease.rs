//! Who leads: a Lease (`coordination.k8s.io/v1`), decided with time handed in.
//!
//! Clocks of different machines are never compared: a holder is gone when its Lease has not changed for the Lease's
//! duration
//! *as we saw it*, whatever time it wrote.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};

/// How long a Lease holds without being renewed.
pub const DURATION: Duration = Duration::from_secs(15);
/// How often it is renewed, and how often others look at it.
pub const PERIOD: Duration = Duration::from_secs(2);
/// A leader that could not renew for this time stops writing, well before another one may begin.
pub const GIVE_UP: Duration = Duration::from_secs(10);

/// A Lease as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedLease {
    /// `spec.holderIdentity`
    pub holder: String,
    /// `metadata.resourceVersion`: changes with every renewal.
    pub version: String,
    /// `spec.leaseTransitions`
    pub transitions: i32,
}

impl ObservedLease {
    /// Reads a Lease object.
    #[must_use]
    pub fn of(lease: Lease) -> Self {
        let spec = lease.spec.unwrap_or_default();
        Self {
            holder: spec.holder_identity.unwrap_or_default(),
            version: lease.metadata.resource_version.unwrap_or_default(),
            transitions: spec.lease_transitions.unwrap_or(0),
        }
    }
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseStep {
    /// There is none: make it.
    Create,
    /// It is ours, or was left: write it over this version. A conflict means that somebody was faster.
    Replace {
        /// The version it must still have.
        version: String,
        /// How often the holder changed, this time included.
        transitions: i32,
    },
    /// Somebody else holds it.
    Wait,
}

/// One candidate.
#[derive(Debug)]
pub struct LeaseCandidate {
    /// Its name, unique among the replicas.
    identity: String,
    /// The last version that was seen of another's Lease, and when it was new.
    other: Option<(String, Duration)>,
    renewed: Option<Duration>,
}

impl LeaseCandidate {
    /// A candidate of this name, unique among the replicas.
    #[must_use]
    pub fn new(identity: String) -> Self {
        Self { identity, other: None, renewed: None }
    }

    /// What to do about the Lease as it is now. `now` is any clock that only goes forward.
    pub fn step(&mut self, now: Duration, seen: Option<&ObservedLease>) -> LeaseStep {
        let Some(seen) = seen else { return LeaseStep::Create };
        let replace =
            |transitions| LeaseStep::Replace { version: seen.version.clone(), transitions };
        if seen.holder == self.identity {
            return replace(seen.transitions);
        }
        if seen.holder.is_empty() {
            return replace(seen.transitions.saturating_add(1));
        }
        match &self.other {
            Some((version, since)) if *version == seen.version => {
                if now.saturating_sub(*since) >= DURATION {
                    return replace(seen.transitions.saturating_add(1));
                }
            }
            _ => self.other = Some((seen.version.clone(), now)),
        }
        LeaseStep::Wait
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

    /// Our Lease without a holder, as the last write. `None` when it is not ours.
    #[must_use]
    pub fn released(
        &self,
        name: &str,
        namespace: &str,
        seen: &ObservedLease,
        now: MicroTime,
    ) -> Option<Lease> {
        let (version, transitions) = (seen.version.clone(), seen.transitions);
        let step = LeaseStep::Replace { version, transitions };
        let mut lease = self.lease(name, namespace, &step, now);
        lease.spec.get_or_insert_default().holder_identity = Some(String::new());
        (seen.holder == self.identity).then_some(lease)
    }

    /// The Lease as we write it `now`.
    #[must_use]
    pub fn lease(&self, name: &str, namespace: &str, step: &LeaseStep, now: MicroTime) -> Lease {
        let (version, transitions) = match step {
            LeaseStep::Replace { version, transitions } => {
                (Some(version.clone()), Some(*transitions))
            }
            LeaseStep::Create | LeaseStep::Wait => (None, None),
        };
        Lease {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(namespace.to_owned()),
                resource_version: version,
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
                lease_transitions: transitions,
                renew_time: Some(now),
                ..LeaseSpec::default()
            }),
        }
    }
}

#[cfg(test)]
mod tests;
