//! One request, from evidence to certificate.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use issuance_messages::{IssueJwtRequest, IssueJwtResponse, IssueRequest, IssueResponse};

use crate::attest::refusal::Refusal;
use crate::attest::renewal_store::instance_of;
use crate::attest::{self, AttestationRecords, Caller, RemoteAttestors, RequestContext};
use crate::ca::crl::RevocationListSigner;
use crate::ca::csr;
use crate::ca::issuance_log::{IssuanceLog, IssuedCertificate};
use crate::ca::jwt_svid::{JwtIssuer, JwtRefusal};
use crate::ca::leaf::{self, SignError, SignedLeaf, Subject};
use crate::ca::rate::IssueRates;
use crate::ca::signers::SigningCa;
use crate::ca::token_exchange::TokenExchange;
use crate::clock::{RequestTime, wall_clock};
use crate::publish::bundles::BundlePublisher;
use crate::serve::metrics::Metrics;
use crate::store::live_value::LiveValue;
use crate::store::record::{IssuanceRecord, LiveLeaf};

/// Everything a request needs.
#[derive(Debug)]
pub struct Authority {
    /// The intermediate that signs leaves.
    pub ca: Arc<LiveValue<SigningCa>>,
    /// Tokens, credentials and the registry, which say who a caller is.
    pub records: Arc<AttestationRecords>,
    /// Attestors that ask other servers.
    pub remote: RemoteAttestors,
    /// How often certificates are issued.
    pub rates: Mutex<IssueRates>,
    /// Seconds that a leaf lives.
    pub leaf_lifetime: u64,
    /// Publishes what peers are verified with.
    pub publisher: Arc<BundlePublisher>,
    /// Signs JWT-SVIDs.
    pub jwt: JwtIssuer,
    /// Signs internal JWTs.
    pub exchange: TokenExchange,
    /// The record of live leaves.
    pub record: Arc<IssuanceRecord>,
    /// The revocation lists to publish.
    pub crls: RevocationListSigner,
    /// Counters and gauges.
    pub metrics: Metrics,
    /// The issuance log; none unless `--issuance-log` is set.
    pub log: Option<IssuanceLog>,
}

impl Authority {
    /// Answers one request for a JWT-SVID at this moment.
    ///
    /// # Errors
    /// [`JwtRefusal`].
    pub fn issue_jwt(&self, request: &IssueJwtRequest) -> Result<IssueJwtResponse, JwtRefusal> {
        let now = RequestTime { wall: wall_clock(), monotonic: Instant::now() };
        let published = self.publisher.now();
        self.jwt.issue(request, &published.own.x509, &self.publisher.jwt_keys, now)
    }

    /// Answers one request.
    ///
    /// The order: what is cheap comes before what is dear (the CSR's proof costs less than the disk or another
    /// server), and a proof is used up last of all, so that a malformed CSR, a rate or an authority that cannot
    /// sign leaves a join token good. The rates come after the proof, so that nobody without one can use them up
    /// for the others.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn issue(
        &self,
        request: &IssueRequest,
        caller: &Caller,
        now: RequestTime,
    ) -> Result<IssueResponse, Refusal> {
        let evidence = request.evidence.as_ref().ok_or(Refusal::NoEvidence)?;
        let ca = self.ca.now();
        ca.ready(now.wall).map_err(SignError::from)?;
        let key = csr::proven_key(&request.csr_der)?;
        let asking = RequestContext { caller, csr_der: &request.csr_der, now: now.wall };
        let attested = attest::attest(evidence, &asking, &self.records, &self.remote).await?;
        self.rates.lock().take(&attested.instance, now.monotonic)?;
        let subject = Subject {
            dns_names: self.records.registry.now().dns_names(&attested.identity),
            id: attested.identity.clone(),
        };
        self.cover(&ca, now.wall).await?;
        let leaf = leaf::sign(&ca, &key, &subject, self.leaf_lifetime, now.wall)?;
        let mut instance = attested.instance.clone();
        let credential = attested.settle(&self.records, now.wall).await?;
        if let Some(joined) = credential.as_ref().and_then(|credential| instance_of(credential)) {
            joined.clone_into(&mut instance);
        }
        self.note(&ca, &leaf, &subject, evidence.kind(), &instance, caller, now.wall);
        self.metrics.issued(evidence.kind());
        tracing::info!(
            identity = %subject.id,
            attestor = evidence.kind(),
            instance,
            %caller,
            serial = leaf.serial,
            not_after = leaf.not_after,
            "issued"
        );
        Ok(answer(&ca, leaf, credential, now.wall))
    }

    /// The store knows that leaves under this root may live as long as the one we sign now.
    async fn cover(&self, ca: &SigningCa, now: u64) -> Result<(), Refusal> {
        let (root, not_after) = (ca.root().id.clone(), now.saturating_add(self.leaf_lifetime));
        if self.record.covers(&root, not_after) {
            return Ok(());
        }
        let record = Arc::clone(&self.record);
        let written = tokio::task::spawn_blocking(move || record.cover(&root, not_after, now));
        Ok(written.await.map_err(|_| Refusal::Failed)??)
    }

    #[allow(clippy::too_many_arguments, reason = "what is known of one certificate")]
    fn note(
        &self,
        ca: &Arc<SigningCa>,
        leaf: &SignedLeaf,
        subject: &Subject,
        attestor: &'static str,
        instance: &str,
        caller: &Caller,
        now: u64,
    ) {
        let noted = LiveLeaf {
            serial: leaf.serial.replace(':', ""),
            not_after: leaf.not_after,
            root: ca.root().id.clone(),
            instance: instance.to_owned(),
        };
        self.record.note(subject.id.as_str(), noted);
        let Some(log) = &self.log else { return };
        let issued = IssuedCertificate {
            time: now,
            identity: subject.id.to_string(),
            serial: leaf.serial.clone(),
            not_after: leaf.not_after,
            attestor,
            instance: instance.to_owned(),
            caller: caller.to_string(),
        };
        log.append(issued, Arc::clone(ca));
    }
}

fn answer(
    ca: &SigningCa,
    leaf: SignedLeaf,
    credential: Option<Zeroizing<String>>,
    now: u64,
) -> IssueResponse {
    let seconds = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    IssueResponse {
        certificate_chain: der(&leaf.chain),
        trust_bundle: der(ca.bundle().roots()),
        not_after: seconds(leaf.not_after),
        renewal_credential: credential.map(|credential| credential.to_string()),
        server_time: seconds(now),
    }
}

fn der(certificates: &[CertificateDer<'_>]) -> Vec<Vec<u8>> {
    certificates.iter().map(|certificate| certificate.to_vec()).collect()
}
