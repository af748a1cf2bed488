//! What the agent holds, as everybody else sees it: swapped whole, watched by every stream.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use identity::{SvidKey, TrustBundle, X509Svid};
use tokio::sync::watch;

use crate::renewal::bundle_set::BundleSet;
use crate::renewal::clock_skew::ClockSkew;
use crate::renewal::freshness::{CertificateFreshness, CertificateStanding};

/// An identity: certificate and key. They change together or not at all.
#[derive(Debug)]
pub struct CurrentIdentity {
    /// The certificate chain.
    pub svid: X509Svid,
    /// Its key.
    pub key: SvidKey,
    /// When it came, Unix seconds.
    pub received: u64,
}

impl CurrentIdentity {
    /// Whether the certificate is still good at this time (Unix seconds).
    #[must_use]
    pub fn is_current(&self, now: u64) -> bool {
        now <= self.svid.not_after()
    }

    /// A signature by its key: ECDSA P-256 with SHA-256, ASN.1 DER.
    ///
    /// # Errors
    /// What is wrong with the key, as a sentence.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, &'static str> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, self.key.pkcs8_der())
            .map_err(|_| "the key that is held is none of P-256")?;
        let signature = key.sign(&SystemRandom::new(), message);
        Ok(signature.map_err(|_| "cannot sign with the key that is held")?.as_ref().to_vec())
    }

    /// Its certificates in DER, leaf first.
    #[must_use]
    pub fn chain_der(&self) -> Vec<Vec<u8>> {
        self.svid.chain().iter().map(|der| der.to_vec()).collect()
    }
}

/// Everything that clients are served, in one step.
#[derive(Debug, Clone)]
pub struct ServedState {
    /// Our identity; none until the first certificate.
    pub identity: Option<Arc<CurrentIdentity>>,
    /// What peers are verified with.
    pub trust: Arc<BundleSet>,
    /// Grows by one with each change since the start.
    pub generation: u64,
}

impl ServedState {
    /// The identity, while it is good at this time (Unix seconds).
    #[must_use]
    pub fn current(&self, now: u64) -> Option<&Arc<CurrentIdentity>> {
        self.identity.as_ref().filter(|held| held.is_current(now))
    }
}

/// How the renewals and the bundles go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RenewalStatus {
    /// When the next attempt is due, Unix seconds.
    pub next_attempt: u64,
    /// Certificates received since the start.
    pub renewals: u64,
    /// Attempts that failed since the start.
    pub failures: u64,
    /// Why the last attempt failed; none when it did not.
    pub last_error: Option<String>,
    /// The authority no longer knows us: it refused our evidence, not just this attempt.
    pub denied: bool,
    /// The clock against the authority's, when it was measured.
    pub skew: Option<ClockSkew>,
    /// How the bundles come.
    pub bundles: BundleStatus,
}

/// How the stream of bundles goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BundleStatus {
    /// The stream stands, and has spoken within its deadline.
    pub live: bool,
    /// When the authority last spoke, Unix seconds; 0 for never.
    pub heard_at: u64,
    /// Changes taken since the start.
    pub updates: u64,
    /// Messages, or parts of them, refused since the start.
    pub refused: u64,
    /// Times the stream ended or could not be had.
    pub failures: u64,
    /// What was wrong last; none while everything is taken.
    pub last_error: Option<String>,
}

/// The side that renews. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StatePublisher {
    holding: watch::Sender<ServedState>,
    status: watch::Sender<RenewalStatus>,
}

/// The side that serves. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StateView {
    /// What is served.
    pub holding: watch::Receiver<ServedState>,
    /// How it goes.
    pub status: watch::Receiver<RenewalStatus>,
}

/// No identity is held yet, and these are the roots to begin with.
#[must_use]
pub fn channel(trusted: TrustBundle) -> (StatePublisher, StateView) {
    let trust = Arc::new(BundleSet::of_roots(trusted));
    let (holding, holding_view) =
        watch::channel(ServedState { identity: None, trust, generation: 0 });
    let (status, status_view) = watch::channel(RenewalStatus::default());
    (StatePublisher { holding, status }, StateView { holding: holding_view, status: status_view })
}

impl StatePublisher {
    /// A new identity: every stream gets it as one message, with the roots that came with it unless
    /// a live stream of bundles knows better.
    pub fn hold(&self, held: CurrentIdentity, roots: TrustBundle) {
        let live = self.status.borrow().bundles.live;
        self.holding.send_modify(|holding| {
            if !live && roots.roots() != holding.trust.own.roots.roots() {
                holding.trust = Arc::new(holding.trust.with_own_roots(roots));
            }
            holding.identity = Some(Arc::new(held));
            holding.generation += 1;
        });
    }

    /// New bundles. Says whether anything changed; when nothing did, nobody is woken.
    pub fn trust(&self, trust: BundleSet) -> bool {
        self.holding.send_if_modified(|holding| {
            let changed = *holding.trust != trust;
            if changed {
                holding.trust = Arc::new(trust);
                holding.generation += 1;
            }
            changed
        })
    }

    /// What is held now.
    #[must_use]
    pub fn held(&self) -> Option<Arc<CurrentIdentity>> {
        self.holding.borrow().identity.clone()
    }

    /// What peers, and the authority itself, are verified with now.
    #[must_use]
    pub fn trusted(&self) -> Arc<BundleSet> {
        Arc::clone(&self.holding.borrow().trust)
    }

    /// Changes the status.
    pub fn status(&self, change: impl FnOnce(&mut RenewalStatus)) {
        self.status.send_modify(change);
    }

    /// A question about the status.
    pub fn status_of<T>(&self, ask: impl FnOnce(&RenewalStatus) -> T) -> T {
        ask(&self.status.borrow())
    }
}

impl StateView {
    /// How the certificate stands at this time (Unix seconds).
    #[must_use]
    pub fn freshness(&self, now: u64) -> CertificateFreshness {
        let failed = self.status.borrow().last_error.is_some();
        let standing = self.holding.borrow().identity.as_ref().map(|held| CertificateStanding {
            not_before: held.svid.not_before(),
            not_after: held.svid.not_after(),
            received: held.received,
            failed,
        });
        CertificateFreshness::at(standing, now)
    }

    /// The identity that is held and still good at this time (Unix seconds).
    #[must_use]
    pub fn current(&self, now: u64) -> Option<Arc<CurrentIdentity>> {
        self.holding.borrow().current(now).cloned()
    }
}
