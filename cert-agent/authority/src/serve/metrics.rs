//! What the authority counts.

use std::fmt;
use std::io;
use std::sync::Arc;

use process_metrics::ProcessMetrics;
use prometheus::{
    Encoder, Gauge, IntCounter, IntCounterVec, Opts, Registry, TextEncoder, core::Collector,
};

use crate::attest::join_token_store::RedeemError;
use crate::attest::oidc::OidcError;
use crate::attest::refusal::Refusal;
use crate::attest::renewal_store::CredentialError;
use crate::attest::service_account::TokenError;
use crate::attest::x509::CertificateError;
use crate::ca::leaf::SignError;
use crate::ca::rate::RateLimited;
use crate::ca::signers::SigningCa;
use crate::store::{EntryKey, EntryVersion, Store, StoreEntry};

/// The counters and gauges. Clones count together.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    issued: IntCounterVec,
    jwts: IntCounterVec,
    exchanges: IntCounterVec,
    refused: IntCounterVec,
    store_failures: IntCounter,
    ready: Gauge,
    intermediate_expiry: Gauge,
    root_expiry: Gauge,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// All at zero.
    ///
    /// # Errors
    /// The library's, for names that it does not allow.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessMetrics::new()?))?;
        let counters = |name: &str, help: &str, label: &str| {
            keep(&registry, IntCounterVec::new(Opts::new(name, help), &[label])?)
        };
        let gauge = |name: &str, help: &str| keep(&registry, Gauge::new(name, help)?);
        Ok(Self {
            issued: counters(
                "postern_authority_certificates_issued_total",
                "Certificates signed, by how the workload proved itself",
                "attestor",
            )?,
            jwts: counters(
                "postern_authority_jwt_requests_total",
                "Requests for JWT-SVIDs: issued or refused",
                "result",
            )?,
            exchanges: keep(
                &registry,
                IntCounterVec::new(
                    Opts::new(
                        "postern_authority_token_exchanges_total",
                        "Requests for internal tokens: by what was given (assertion, delegation, none), issued or refused",
                    ),
                    &["kind", "result"],
                )?,
            )?,
            refused: counters(
                "postern_authority_refusals_total",
                "Requests for certificates that were refused, by reason",
                "reason",
            )?,
            store_failures: keep(
                &registry,
                IntCounter::new(
                    "postern_authority_store_failures_total",
                    "Calls of the shared store (join tokens, credentials, record) that failed",
                )?,
            )?,
            ready: gauge("postern_authority_ready", "1 while the authority can sign")?,
            intermediate_expiry: gauge(
                "postern_authority_intermediate_expiry_timestamp_seconds",
                "When the signing intermediate expires, Unix seconds",
            )?,
            root_expiry: gauge(
                "postern_authority_root_expiry_timestamp_seconds",
                "When its root expires, Unix seconds",
            )?,
            registry,
        })
    }

    /// A certificate was signed.
    pub fn issued(&self, attestor: &str) {
        self.issued.with_label_values(&[attestor]).inc();
    }

    /// A request was refused.
    pub fn refused(&self, refusal: &Refusal) {
        self.refused.with_label_values(&[reason(refusal)]).inc();
    }

    /// A JWT-SVID was issued, or not.
    pub fn jwt(&self, issued: bool) {
        self.jwts.with_label_values(&[result(issued)]).inc();
    }

    /// An internal token was issued, or not.
    pub fn exchange(&self, kind: &str, issued: bool) {
        self.exchanges.with_label_values(&[kind, result(issued)]).inc();
    }

    /// The page of this moment, in the text format of Prometheus.
    ///
    /// # Errors
    /// The library's.
    pub fn page(&self, ca: &SigningCa, now: u64) -> prometheus::Result<String> {
        self.ready.set(f64::from(u8::from(ca.ready(now).is_ok())));
        self.intermediate_expiry.set(seconds(ca.intermediate_not_after()));
        self.root_expiry.set(seconds(ca.root().not_after));
        let mut page = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut page)?;
        Ok(String::from_utf8_lossy(&page).into_owned())
    }
}

fn result(issued: bool) -> &'static str {
    if issued { "issued" } else { "refused" }
}

/// One word a kind of refusal: a label set has an end.
fn reason(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NoEvidence | Refusal::UnixOverNetwork | Refusal::NoAttestor(_) => "evidence",
        Refusal::Csr(_) => "csr",
        Refusal::Registry(_)
        | Refusal::Oidc(OidcError::Nobody | OidcError::Ambiguous)
        | Refusal::Certificate(CertificateError::Nobody | CertificateError::Ambiguous) => {
            "no_registry_entry"
        }
        Refusal::Token(RedeemError::NotGood) => "join_token",
        Refusal::Credential(CredentialError::NotGood) => "renewal_credential",
        Refusal::ServiceAccount(TokenError::NotGood(_) | TokenError::Pod(_)) => "service_account",
        Refusal::Oidc(OidcError::NotGood(_)) => "oidc",
        Refusal::Certificate(CertificateError::NotGood(_)) => "x509",
        Refusal::ServiceAccount(TokenError::Unavailable(_))
        | Refusal::Oidc(OidcError::Unavailable(_)) => "attestor_unavailable",
        Refusal::Limited(RateLimited::Instance(_)) => "instance_rate",
        Refusal::Limited(RateLimited::Global(_)) => "global_rate",
        Refusal::Sign(SignError::NotReady(_)) => "not_ready",
        Refusal::Sign(SignError::Identity(..)) => "identity",
        Refusal::Token(RedeemError::Store(_))
        | Refusal::Credential(CredentialError::Store(_))
        | Refusal::Store(_) => "store",
        Refusal::Sign(SignError::Library(_)) | Refusal::Failed => "failed",
    }
}

/// A store whose failures are counted.
#[derive(Debug)]
pub struct CountedStore {
    store: Arc<dyn Store>,
    failures: IntCounter,
}

impl CountedStore {
    /// Counts this store's failures.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, metrics: &Metrics) -> Self {
        Self { store, failures: metrics.store_failures.clone() }
    }

    fn counted<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        outcome.inspect_err(|_| self.failures.inc())
    }
}

impl Store for CountedStore {
    fn get(&self, key: &EntryKey) -> io::Result<Option<StoreEntry>> {
        self.counted(self.store.get(key))
    }

    fn create(&self, key: &EntryKey, value: &[u8]) -> io::Result<bool> {
        self.counted(self.store.create(key, value))
    }

    fn replace(&self, key: &EntryKey, value: &[u8], version: &EntryVersion) -> io::Result<bool> {
        self.counted(self.store.replace(key, value, version))
    }

    fn remove(&self, key: &EntryKey, version: &EntryVersion) -> io::Result<bool> {
        self.counted(self.store.remove(key, version))
    }

    fn list(&self, kind: &str) -> io::Result<Vec<(EntryKey, StoreEntry)>> {
        self.counted(self.store.list(kind))
    }
}

fn keep<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// Gauges are floating-point; Unix seconds fit for some hundred million years.
#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
fn seconds(unix: u64) -> f64 {
    unix as f64
}
