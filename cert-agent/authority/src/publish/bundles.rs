//! What the authority publishes: the bundle of its own trust domain, and those of the federated
//! ones, each apart from the others (`Signing.WatchBundles`, the bundle endpoint).
//!
//! [`BundlePublisher::look`] puts it together from its parts and gives it a sequence; watchers hear of a
//! change at once, and of nothing new every 25 s.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use aws_lc_rs::digest::{SHA256, digest};
use futures_util::{Stream, stream};
use identity::jwk::BundleDocument;
use identity::jwt::JwtBundle;
use identity::{TrustBundle, TrustDomain};
use prost::Message;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use zeroize::Zeroizing;

use issuance_messages::{Bundles, TrustDomainBundle};

use crate::ca::jwt_keys::JwtKeys;
use crate::clock::wall_clock;
use crate::store::live_value::LiveValue;
use crate::store::{self, EntryKey, Store, secret};

/// Watchers at a time.
pub const MAX_WATCHERS: usize = 10_000;
/// The most federated trust domains; an agent takes 256 in all.
pub const MAX_FEDERATED: usize = 255;
/// How often consumers of our bundle shall look again, seconds (Trust Domain and Bundle §4.1.2;
/// Federation §4.1 recommends five minutes).
pub const REFRESH_HINT: u32 = 300;
/// After this long without a change, everything is said once more. `proto/authority.proto` promises
/// 30 s.
const HEARTBEAT: Duration = Duration::from_secs(25);
/// The bundles of other trust domains, by name.
pub type FederatedBundles = BTreeMap<TrustDomain, BundleDocument>;

/// Everything public at one moment.
#[derive(Debug)]
pub struct PublishedBundles {
    /// Of our own trust domain, with its revocation lists.
    pub own: BundleDocument,
    /// As `WatchBundles` says it.
    bundles: Vec<TrustDomainBundle>,
    /// Of all of it.
    fingerprint: String,
}

/// Publishes the bundles of our own and of federated trust domains.
#[derive(Debug)]
pub struct BundlePublisher {
    store: Arc<dyn Store>,
    /// The keys that sign JWT-SVIDs.
    pub jwt_keys: JwtKeys,
    federated: LiveValue<FederatedBundles>,
    published: watch::Sender<Arc<PublishedBundles>>,
    watchers: Arc<Semaphore>,
    stopped: CancellationToken,
}

/// The stream of one watcher.
pub type BundleStream = Pin<Box<dyn Stream<Item = Result<Bundles, Status>> + Send>>;

impl BundlePublisher {
    /// Publishes these roots and the JWT keys of the store; blocking. Nothing is federated yet.
    ///
    /// # Errors
    /// The store's, or keys in it that cannot be read.
    pub fn open(store: Arc<dyn Store>, roots: &TrustBundle, now: u64) -> anyhow::Result<Self> {
        let jwt_keys = JwtKeys::open(Arc::clone(&store), now)?;
        let federated = FederatedBundles::new();
        let first = compose(store.as_ref(), roots, &jwt_keys, &federated, None, now)?;
        Ok(Self {
            store,
            jwt_keys,
            federated: LiveValue::new(federated),
            published: watch::Sender::new(Arc::new(first)),
            watchers: Arc::new(Semaphore::new(MAX_WATCHERS)),
            stopped: CancellationToken::new(),
        })
    }

    /// What is public at this moment.
    #[must_use]
    pub fn now(&self) -> Arc<PublishedBundles> {
        Arc::clone(&self.published.borrow())
    }

    /// The federated bundles at this moment.
    #[must_use]
    pub fn federated(&self) -> Arc<FederatedBundles> {
        self.federated.now()
    }

    /// From now on these are the federated bundles; they are published with the next look.
    pub fn set_federated(&self, federated: FederatedBundles) {
        self.federated.set(federated);
    }

    /// Looks at all parts once, and publishes what has changed. Blocking.
    ///
    /// # Errors
    /// The store's; what was published stays.
    pub fn look(&self, roots: &TrustBundle, now: u64) -> anyhow::Result<()> {
        let (last, federated) = (self.now(), self.federated.now());
        let store = self.store.as_ref();
        let new = compose(store, roots, &self.jwt_keys, &federated, Some(&last), now)?;
        if new.fingerprint != last.fingerprint {
            tracing::info!(
                roots = roots.roots().len(),
                federated = federated.len(),
                sequence = new.own.sequence,
                "published new trust bundles"
            );
            self.published.send_replace(Arc::new(new));
        }
        Ok(())
    }

    /// Ends every stream: the authority is stopping.
    pub fn end_streams(&self) {
        self.stopped.cancel();
    }

    /// A stream that begins with everything at once.
    ///
    /// # Errors
    /// Unavailable when too many watch already.
    pub fn watch(&self) -> Result<BundleStream, Status> {
        self.watch_every(HEARTBEAT)
    }

    fn watch_every(&self, heartbeat: Duration) -> Result<BundleStream, Status> {
        let permit = Arc::clone(&self.watchers)
            .try_acquire_owned()
            .map_err(|_| Status::unavailable("too many watch already; ask again later"))?;
        let mut published = self.published.subscribe();
        published.mark_changed();
        let stopped = self.stopped.clone();
        let place = StreamPosition { published, heartbeat, stopped, _permit: permit };
        Ok(Box::pin(stream::unfold(Some(place), step)))
    }
}

/// Where a stream stands.
struct StreamPosition {
    published: watch::Receiver<Arc<PublishedBundles>>,
    heartbeat: Duration,
    stopped: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

/// Waits for a change, the heartbeat or the end. Nothing is queued: a watcher that reads slowly
/// hears the newest.
async fn step(
    place: Option<StreamPosition>,
) -> Option<(Result<Bundles, Status>, Option<StreamPosition>)> {
    let mut place = place?;
    tokio::select! {
        changed = place.published.changed() => if changed.is_err() { return None },
        () = tokio::time::sleep(place.heartbeat) => {}
        () = place.stopped.cancelled() => {
            return Some((Err(Status::unavailable("the authority is stopping")), None));
        }
    }
    let bundles = place.published.borrow_and_update().bundles.clone();
    let server_time = i64::try_from(wall_clock()).unwrap_or(i64::MAX);
    Some((Ok(Bundles { bundles, server_time }), Some(place)))
}

/// Puts it together. The sequence changes only when something of our own changes.
fn compose(
    store: &dyn Store,
    roots: &TrustBundle,
    keys: &JwtKeys,
    federated: &FederatedBundles,
    last: Option<&PublishedBundles>,
    now: u64,
) -> anyhow::Result<PublishedBundles> {
    let jwt = JwtBundle::new(roots.trust_domain().clone(), keys.now().published()?)?;
    let mut own = BundleDocument {
        x509: roots.clone(),
        jwt,
        sequence: None,
        refresh_hint: Some(u64::from(REFRESH_HINT)),
    };
    let unchanged = last.filter(|last| digest_of(&last.own) == digest_of(&own));
    own.sequence = match unchanged {
        Some(last) => last.own.sequence,
        None => Some(sequence(store, &digest_of(&own), now).context("the bundle's sequence")?),
    };
    let bundles: Vec<_> = std::iter::once(&own).chain(federated.values()).map(message).collect();
    let encoded: Vec<u8> =
        bundles.iter().flat_map(Message::encode_length_delimited_to_vec).collect();
    let fingerprint = secret::hex(digest(&SHA256, &encoded).as_ref());
    Ok(PublishedBundles { own, bundles, fingerprint })
}

fn message(document: &BundleDocument) -> TrustDomainBundle {
    TrustDomainBundle {
        trust_domain: document.trust_domain().to_string(),
        x509_authorities: document.x509.roots().iter().map(|root| root.to_vec()).collect(),
        jwt_authorities: document.jwt.to_jwks(),
        crl: document.x509.crls().iter().map(<[u8]>::to_vec).collect(),
        sequence: document.sequence.unwrap_or(0),
        refresh_hint: document
            .refresh_hint
            .map_or(0, |seconds| u32::try_from(seconds).unwrap_or(u32::MAX)),
    }
}

/// Of everything that verifies, whatever the sequence.
fn digest_of(own: &BundleDocument) -> String {
    let bundle = TrustDomainBundle { sequence: 0, ..message(own) };
    secret::hex(digest(&SHA256, &bundle.encode_to_vec()).as_ref())
}

/// The sequence that goes with a content, as the store keeps it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NumberedDigest {
    digest: String,
    sequence: u64,
}

/// The same number for the same content, on every replica and after a restart; a larger one for
/// every other (Trust Domain and Bundle §4.1.1). It is never below the Unix time of the change, so
/// that it grows even when the store was lost.
fn sequence(store: &dyn Store, digest: &str, now: u64) -> io::Result<u64> {
    let mut sequence = now;
    store::update(store, &EntryKey::new("bundle", "sequence")?, |kept| {
        let kept: Option<NumberedDigest> = kept.and_then(|kept| serde_json::from_slice(kept).ok());
        if let Some(same) = kept.as_ref().filter(|kept| kept.digest == digest) {
            sequence = same.sequence;
            return Ok(None);
        }
        sequence = kept.map_or(now, |kept| kept.sequence.saturating_add(1).max(now));
        let numbered = NumberedDigest { digest: digest.to_owned(), sequence };
        io::Result::Ok(Some(Zeroizing::new(serde_json::to_vec(&numbered)?)))
    })?;
    Ok(sequence)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use futures_util::StreamExt as _;
    use rustls_pki_types::CertificateDer;

    use super::*;
    use crate::store::directory_store::DirectoryStore;

    const NOW: u64 = 1_800_000_000;

    fn roots(trust_domain: &str, number: usize) -> TrustBundle {
        let root = || -> CertificateDer<'static> {
            let mut params = rcgen::CertificateParams::default();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
            params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().into()
        };
        let name = TrustDomain::parse(trust_domain).unwrap();
        TrustBundle::from_der(name, (0..number).map(|_| root()).collect()).unwrap()
    }

    fn document(trust_domain: &str, number: usize) -> BundleDocument {
        let x509 = roots(trust_domain, number);
        let jwt = JwtBundle::new(x509.trust_domain().clone(), Vec::new()).unwrap();
        BundleDocument { x509, jwt, sequence: Some(7), refresh_hint: Some(60) }
    }

    fn sequence_of(publisher: &BundlePublisher) -> u64 {
        publisher.now().own.sequence.unwrap()
    }

    #[test]
    fn spiffe_trust_domain_and_bundle_4_1_1_sequence_grows_with_each_change_and_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let store = || -> Arc<dyn Store> { Arc::new(DirectoryStore::new(dir.path())) };
        let (one, two) = (roots("a.test", 1), roots("a.test", 2));
        let publisher = BundlePublisher::open(store(), &one, NOW).unwrap();
        assert_eq!(sequence_of(&publisher), NOW);
        publisher.look(&one, NOW + 5).unwrap();
        assert_eq!(sequence_of(&publisher), NOW, "nothing changed");
        publisher.look(&two, NOW).unwrap();
        assert_eq!(sequence_of(&publisher), NOW + 1, "a change in the same second");
        let replica = BundlePublisher::open(store(), &two, NOW + 50).unwrap();
        assert_eq!(sequence_of(&replica), NOW + 1, "a replica, or a restart");
        publisher.look(&one, NOW - 1000).unwrap();
        assert_eq!(sequence_of(&publisher), NOW + 2, "the clock stepped back");
        publisher
            .set_federated([document("b.test", 1)].map(|d| (d.trust_domain().clone(), d)).into());
        publisher.look(&one, NOW + 10).unwrap();
        assert_eq!(sequence_of(&publisher), NOW + 2, "another trust domain's bundle is not ours");
        publisher.jwt_keys.refresh(NOW + crate::ca::jwt_keys::SIGNS_FOR).unwrap();
        publisher.look(&one, NOW + 100).unwrap();
        assert_eq!(sequence_of(&publisher), NOW + 100, "a JWT key more");
    }

    #[tokio::test]
    async fn watchers_hear_at_once_of_changes_and_again_and_again_of_nothing() {
        assert!(HEARTBEAT < Duration::from_secs(30), "proto/authority.proto promises 30 s");
        // Long enough that what comes before it is no heartbeat.
        let heartbeat = Duration::from_millis(700);
        let dir = tempfile::tempdir().unwrap();
        let one = roots("a.test", 1);
        let publisher =
            BundlePublisher::open(Arc::new(DirectoryStore::new(dir.path())), &one, NOW).unwrap();
        let mut watch = publisher.watch_every(heartbeat).unwrap();
        let mut domains = async || -> (Vec<(String, usize)>, bool) {
            let asked = tokio::time::Instant::now();
            let message = watch.next().await.unwrap().unwrap();
            assert!(message.server_time > 0);
            let shape = |b: &TrustDomainBundle| (b.trust_domain.clone(), b.x509_authorities.len());
            (message.bundles.iter().map(shape).collect(), asked.elapsed() < heartbeat)
        };
        let own = ("a.test".to_owned(), 1);
        assert_eq!(domains().await, (vec![own.clone()], true), "at once");
        assert_eq!(domains().await, (vec![own.clone()], false), "the heartbeat");
        // Federated ones follow, in order of their names; an empty one is said to be empty.
        let others = [document("c.test", 0), document("b.test", 2)];
        publisher.set_federated(others.map(|d| (d.trust_domain().clone(), d)).into());
        publisher.look(&one, NOW).unwrap();
        let expect = vec![own.clone(), ("b.test".to_owned(), 2), ("c.test".to_owned(), 0)];
        assert_eq!(domains().await, (expect, true));
        publisher.set_federated(FederatedBundles::new());
        publisher.look(&one, NOW).unwrap();
        assert_eq!(domains().await, (vec![own], true));
        publisher.stopped.cancel();
        assert_eq!(watch.next().await.unwrap().unwrap_err().code(), tonic::Code::Unavailable);
        assert!(watch.next().await.is_none());
    }

    #[tokio::test]
    async fn watchers_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(DirectoryStore::new(dir.path()));
        let publisher = BundlePublisher::open(store, &roots("a.test", 1), NOW).unwrap();
        let watchers: Vec<_> = (0..MAX_WATCHERS).map(|_| publisher.watch().unwrap()).collect();
        let error = publisher.watch().err().expect("one too many");
        assert_eq!(error.code(), tonic::Code::Unavailable);
        drop(watchers);
        assert!(publisher.watch().is_ok());
    }
}
