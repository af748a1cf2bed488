//! Federation: the bundles of other trust domains (SPIFFE Federation), each kept apart from all
//! others and under the name that the federation file gives it.
//!
//! [`Federation`] is one loop: it follows the file ([`config`]), the bundle files it names, and asks
//! the bundle endpoints ([`fetch`]) when their time has come ([`relation`]). What it holds is
//! published by [`bundles`](crate::publish::bundles); a restart begins with what was held ([`bundle_folder`]).

pub mod bundle_folder;
pub mod config;
pub mod fetch;
pub mod relation;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use aws_lc_rs::digest::{SHA256, digest};
use identity::jwk::{BundleDocument, PassedOver};
use identity::{TrustBundle, TrustDomain};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ca::signers::SigningCa;
use crate::publish::bundles::{BundlePublisher, FederatedBundles};
use crate::store::live_value::LiveValue;
use crate::store::{files, secret};
use bundle_folder::{BundleFolder, StoredBundle};
use config::{BundleEndpoint, BundleSource, EndpointProfile, FederationConfig};
use fetch::EndpointTrust;
use program::Misconfigured;
use relation::{BundleVerdict, judge, read_bundle, wait};

/// The files are read this often: a watcher alone misses renames of mounted volumes.
const LOOK: Duration = Duration::from_secs(1);
/// Fetches at a time; further ones wait for the next look.
const MAX_FETCHES: usize = 16;

/// The federated trust domains and what is held of each.
#[derive(Debug)]
pub struct Federation {
    file: PathBuf,
    /// Of the file's text when it was looked at last.
    seen: String,
    ca: Arc<LiveValue<SigningCa>>,
    publisher: Arc<BundlePublisher>,
    stored: BundleFolder,
    relations: BTreeMap<TrustDomain, FederationRelation>,
}

/// One other trust domain.
#[derive(Debug)]
struct FederationRelation {
    source: BundleSource,
    /// The last good bundle.
    held: Option<BundleDocument>,
    /// Of the local file (the bundle itself, or the bootstrap) when it was looked at last.
    seen: Option<String>,
    next_fetch: Instant,
    fetching: bool,
    failures: u32,
    /// Whether the endpoint has answered since we began to ask.
    answered: bool,
    /// What was said last about the local file.
    complaint: Option<String>,
}

/// What a fetch came to.
struct FetchedBundle {
    trust_domain: TrustDomain,
    endpoint: BundleEndpoint,
    text: anyhow::Result<Vec<u8>>,
}

impl Federation {
    /// Reads the file and what was held before, and publishes it.
    ///
    /// # Errors
    /// Mistakes in the file. A bundle that is not available is logged, and our own
    /// trust domain is served all the same.
    pub fn open(
        file: &Path,
        folder: PathBuf,
        ca: Arc<LiveValue<SigningCa>>,
        publisher: Arc<BundlePublisher>,
    ) -> anyhow::Result<Self> {
        let config = load(file, &ca).map_err(Misconfigured)?;
        let mut federation = Self {
            file: file.to_owned(),
            seen: fingerprint(file),
            ca,
            publisher,
            stored: BundleFolder::new(folder),
            relations: BTreeMap::new(),
        };
        federation.apply(config);
        federation.look_at_local_files();
        federation.publish();
        Ok(federation)
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(LOOK);
        let mut fetches = JoinSet::new();
        loop {
            let changed = tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {
                    let changed = self.look_at_the_file() | self.look_at_local_files();
                    self.start_due(&mut fetches, Instant::now());
                    changed
                }
                Some(Ok(fetched)) = fetches.join_next(), if !fetches.is_empty() => {
                    self.take(fetched, Instant::now())
                }
            };
            if changed {
                self.publish();
            }
        }
    }

    /// Takes up a new federation file; a bad one is logged and changes nothing.
    fn look_at_the_file(&mut self) -> bool {
        let seen = fingerprint(&self.file);
        if seen == self.seen {
            return false;
        }
        self.seen = seen;
        match load(&self.file, &self.ca) {
            Ok(config) => {
                tracing::info!(trust_domains = config.0.len(), "took up a new federation file");
                self.apply(config);
                true
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "the new federation file is unusable; the old one stays");
                false
            }
        }
    }

    /// Ends relationships, begins others, and leaves alone what did not change.
    fn apply(&mut self, config: FederationConfig) {
        self.relations.retain(|name, relation| config.0.get(name) == Some(&relation.source));
        if let Err(error) = self.stored.keep_only(config.0.keys()) {
            tracing::warn!(%error, "cannot forget the bundles of others");
        }
        for (name, source) in config.0 {
            let kept = self.stored.get(&name);
            self.relations.entry(name).or_insert_with_key(|name| {
                let held = kept.as_ref();
                let held = held.and_then(|kept| read_bundle(name, kept.document.as_bytes()).ok());
                let held = held.map(|(document, _)| document);
                let seen = kept.filter(|_| held.is_some()).and_then(|kept| kept.bootstrap);
                let next_fetch = Instant::now();
                FederationRelation {
                    source,
                    held,
                    seen,
                    next_fetch,
                    fetching: false,
                    failures: 0,
                    answered: false,
                    complaint: None,
                }
            });
        }
    }

    /// Takes up bundle files and bootstraps that an operator has changed: theirs is the latest until
    /// the next answer (SPIFFE Federation §4.2).
    fn look_at_local_files(&mut self) -> bool {
        let mut changed = false;
        for (name, relation) in &mut self.relations {
            let Some(path) = relation.local() else { continue };
            let text = match files::read(path) {
                Ok(text) => text,
                Err(error) => {
                    relation.complain(name, &error.to_string());
                    continue;
                }
            };
            let seen = hash(&text);
            if relation.seen.as_ref() == Some(&seen) {
                continue;
            }
            match read_bundle(name, &text) {
                Ok((document, passed_over)) => {
                    tell_passed_over(name, &passed_over);
                    relation.seen = Some(seen);
                    relation.complaint = None;
                    relation.next_fetch = Instant::now();
                    keep(&self.stored, name, relation.seen.clone(), &text);
                    relation.hold(name, document);
                    changed = true;
                }
                Err(error) => relation.complain(name, &error.to_string()),
            }
        }
        changed
    }

    fn start_due(&mut self, fetches: &mut JoinSet<FetchedBundle>, now: Instant) {
        let due: Vec<(TrustDomain, BundleEndpoint)> = self
            .relations
            .iter()
            .filter_map(|(name, relation)| Some((name.clone(), relation.due(now)?.clone())))
            .take(MAX_FETCHES.saturating_sub(fetches.len()))
            .collect();
        for (name, endpoint) in due {
            let trusted = self.trusted(&endpoint);
            if let Some(relation) = self.relations.get_mut(&name) {
                relation.fetching = true;
            }
            fetches.spawn(async move {
                let text = match &trusted {
                    Ok(trusted) => fetch::fetch(&endpoint.url, trusted).await,
                    Err(error) => Err(anyhow!("{error:#}")),
                };
                FetchedBundle { trust_domain: name, endpoint, text }
            });
        }
    }

    /// How the endpoint must prove itself now: by the newest bundle held of its trust domain
    /// (SPIFFE Federation §5.2.2.4), never by one of another.
    fn trusted(&self, endpoint: &BundleEndpoint) -> anyhow::Result<EndpointTrust> {
        let trusted = match &endpoint.profile {
            EndpointProfile::Web { ca_file } => EndpointTrust::web(ca_file),
            EndpointProfile::Spiffe { id, .. } => {
                let trust_domain = TrustDomain::parse(id.trust_domain())?;
                let bundle = self.bundle_of(&trust_domain).ok_or_else(|| {
                    anyhow!("there is no bundle of {trust_domain} to verify {id} with")
                })?;
                EndpointTrust::spiffe(id.clone(), bundle)
            }
        }?;
        Ok(trusted.also_at(&endpoint.allow_addresses))
    }

    fn bundle_of(&self, trust_domain: &TrustDomain) -> Option<TrustBundle> {
        let ca = self.ca.now();
        if trust_domain == ca.trust_domain() {
            return Some(ca.bundle().clone());
        }
        let held = self.relations.get(trust_domain)?.held.as_ref()?;
        Some(held.x509.clone())
    }

    /// Takes up an answer. True when something else is to be published.
    fn take(&mut self, fetched: FetchedBundle, now: Instant) -> bool {
        let name = &fetched.trust_domain;
        let Some(relation) = self.relations.get_mut(name) else { return false };
        // Configured otherwise since: another fetch is on its way or due.
        if relation.source != BundleSource::Endpoint(fetched.endpoint) {
            return false;
        }
        relation.fetching = false;
        let read = fetched.text.and_then(|text| {
            std::str::from_utf8(&text).context("the document is not UTF-8")?;
            let read = BundleDocument::read(name.clone(), &text)?;
            Ok((text, read))
        });
        let changed = match read {
            Ok((text, (document, passed_over))) => {
                (relation.failures, relation.answered) = (0, true);
                let newer = relation.judge(name, document);
                if newer {
                    tell_passed_over(name, &passed_over);
                }
                if newer {
                    keep(&self.stored, name, relation.seen.clone(), &text);
                }
                newer
            }
            Err(error) => {
                relation.failures = relation.failures.saturating_add(1);
                tracing::warn!(
                    trust_domain = %name,
                    failures = relation.failures,
                    error = format!("{error:#}"),
                    "cannot refresh a federated bundle; the last good one stays"
                );
                false
            }
        };
        let jitter = rand::random_range(0.0..1.0);
        // Until the endpoint has answered once, a bootstrap's hint is not the endpoint's.
        let told = relation.held.as_ref().filter(|_| relation.answered);
        relation.next_fetch = now + wait(told, relation.failures, jitter);
        changed
    }

    fn publish(&self) {
        let held = self.relations.iter().filter_map(|(name, relation)| {
            relation.held.as_ref().map(|held| (name.clone(), held.clone()))
        });
        self.publisher.set_federated(held.collect::<FederatedBundles>());
    }
}

impl FederationRelation {
    fn local(&self) -> Option<&Path> {
        match &self.source {
            BundleSource::File(path) => Some(path),
            BundleSource::Endpoint(BundleEndpoint {
                profile: EndpointProfile::Spiffe { bootstrap, .. },
                ..
            }) => bootstrap.as_deref(),
            BundleSource::Endpoint(_) => None,
        }
    }

    /// The endpoint to ask now.
    fn due(&self, now: Instant) -> Option<&BundleEndpoint> {
        match &self.source {
            BundleSource::Endpoint(endpoint) if !self.fetching && self.next_fetch <= now => {
                Some(endpoint)
            }
            _ => None,
        }
    }

    /// Takes a fetched document if it is newer; says whether it did.
    fn judge(&mut self, name: &TrustDomain, document: BundleDocument) -> bool {
        match judge(self.held.as_ref(), &document) {
            BundleVerdict::Newer => {
                self.hold(name, document);
                true
            }
            BundleVerdict::Same => false,
            BundleVerdict::Older => {
                tracing::warn!(
                    trust_domain = %name,
                    sequence = document.sequence,
                    "the endpoint serves an older bundle than it did; the newer one stays"
                );
                false
            }
        }
    }

    fn hold(&mut self, name: &TrustDomain, document: BundleDocument) {
        tracing::info!(
            trust_domain = %name,
            roots = document.x509.roots().len(),
            jwt_keys = document.jwt.keys().len(),
            sequence = document.sequence,
            "took up a federated bundle"
        );
        if document.is_empty() {
            tracing::error!(trust_domain = %name, "its bundle is empty: nobody of it is believed");
        }
        self.held = Some(document);
    }

    /// Tells once of each mistake of the local file; the last good bundle stays.
    fn complain(&mut self, name: &TrustDomain, error: &str) {
        if self.complaint.as_deref() != Some(error) {
            self.complaint = Some(error.to_owned());
            tracing::error!(
                trust_domain = %name,
                error,
                "the file of a federated bundle is unusable; the last good bundle stays"
            );
        }
    }
}

/// Logs the keys that are passed over, as the standard demands (Trust Domain and Bundle §4.1.3).
fn tell_passed_over(name: &TrustDomain, passed_over: &[PassedOver]) {
    if let Some(first) = passed_over.first() {
        tracing::warn!(
            trust_domain = %name,
            keys = passed_over.len(),
            first = %first,
            "keys of a federated bundle are passed over"
        );
    }
}

fn load(file: &Path, ca: &LiveValue<SigningCa>) -> anyhow::Result<FederationConfig> {
    FederationConfig::load(file, ca.now().trust_domain())
}

fn keep(stored: &BundleFolder, name: &TrustDomain, bootstrap: Option<String>, text: &[u8]) {
    let document = String::from_utf8_lossy(text).into_owned();
    if let Err(error) = stored.put(name, &StoredBundle { bootstrap, document }) {
        tracing::warn!(trust_domain = %name, %error, "cannot keep a federated bundle over a restart");
    }
}

fn hash(text: &[u8]) -> String {
    secret::hex(digest(&SHA256, text).as_ref())
}

/// Of a file's content; a file that cannot be read has one too.
fn fingerprint(path: &Path) -> String {
    files::read(path).map_or_else(|error| format!("{:?}", error.kind()), |text| hash(&text))
}
