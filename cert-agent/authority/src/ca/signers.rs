//! The signers: a root that only signs intermediates, and an intermediate that signs leaves.
//!
//! X509-SVID §3.2, §4: signers are CA certificates with keyCertSign, and carry the trust domain's
//! id without a path.

use std::fmt;

use anyhow::{Context, bail};
use identity::{Pki, SignerError, SpiffeId, TrustBundle, TrustDomain};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SigningKey,
};
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::store::directory::AuthorityDirectory;
use crate::store::{pem, secret};

/// Certificates begin this many seconds before they are signed, for peers whose clocks are behind.
pub const BACK_DATED: u64 = 60;

/// A signer just made: its certificate and its key.
pub struct NewSigner {
    /// The certificate.
    pub certificate: rcgen::Certificate,
    /// Its key.
    pub key: KeyPair,
}

impl fmt::Debug for NewSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewSigner")
    }
}

/// Makes a root: a P-256 key and a self-signed certificate. `now` and `lifetime` in (Unix) seconds.
///
/// # Errors
/// When the library refuses, which only an impossible date provokes.
pub fn new_root(trust_domain: &TrustDomain, now: u64, lifetime: u64) -> anyhow::Result<NewSigner> {
    let key = KeyPair::generate().context("cannot make a key")?;
    let certificate = self_signed_root(trust_domain, &key, now, lifetime)?;
    Ok(NewSigner { certificate, key })
}

/// A self-signed root for a key that exists, in a file or in hardware.
///
/// # Errors
/// When the key's holder refuses to sign.
pub fn self_signed_root(
    trust_domain: &TrustDomain,
    key: &impl SigningKey,
    now: u64,
    lifetime: u64,
) -> anyhow::Result<rcgen::Certificate> {
    let params = signer_params(trust_domain, "root", 1, now, now.saturating_add(lifetime))?;
    params.self_signed(key).context("cannot sign the root")
}

/// Makes an intermediate under a root. It never outlives the root.
///
/// # Errors
/// When the root cannot be read, has expired, or does not fit its key.
pub fn new_intermediate(
    trust_domain: &TrustDomain,
    root: &CertificateDer<'_>,
    root_key: impl SigningKey,
    now: u64,
    lifetime: u64,
) -> anyhow::Result<NewSigner> {
    let root_facts = SignerFacts::read(root)?;
    root_facts.check("root", now, &root_key)?;
    let not_after = now.saturating_add(lifetime).min(root_facts.not_after);
    let issuer = Issuer::from_ca_cert_der(root, root_key).context("cannot use the root")?;
    let key = KeyPair::generate().context("cannot make a key")?;
    let params = signer_params(trust_domain, "intermediate", 0, now, not_after)?;
    let certificate = params.signed_by(&key, &issuer).context("cannot sign the intermediate")?;
    Ok(NewSigner { certificate, key })
}

fn signer_params(
    trust_domain: &TrustDomain,
    role: &str,
    path_length: u8,
    now: u64,
    not_after: u64,
) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Postern");
    // Two signers of one name and different keys would confuse path building, so the name carries a
    // serial.
    name.push(DnType::CommonName, format!("{trust_domain} {role} {}", secret::random_hex::<4>()));
    params.distinguished_name = name;
    params.subject_alt_names = vec![SanType::URI(format!("spiffe://{trust_domain}").try_into()?)];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(serial());
    params.not_before = date(now.saturating_sub(BACK_DATED))?;
    params.not_after = date(not_after)?;
    Ok(params)
}

/// A random positive serial of 127 bits (RFC 5280 §4.1.2.2: positive, at most 20 octets).
pub(super) fn serial() -> SerialNumber {
    let mut bytes = secret::random::<16>();
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&bytes)
}

/// Unix seconds as the libraries want them.
pub(super) fn date(seconds: u64) -> anyhow::Result<OffsetDateTime> {
    let seconds = i64::try_from(seconds).context("a date past the year 292 billion")?;
    OffsetDateTime::from_unix_timestamp(seconds).context("a date past the year 9999")
}

/// A date as a person reads it, RFC 3339 in UTC.
#[must_use]
pub fn readable(seconds: u64) -> String {
    date(seconds)
        .ok()
        .and_then(|date| date.format(&time::format_description::well_known::Rfc3339).ok())
        .unwrap_or_else(|| format!("@{seconds}"))
}

/// The intermediate, ready to sign leaves.
pub struct SigningCa {
    issuer: Issuer<'static, KeyPair>,
    chain: Vec<CertificateDer<'static>>,
    certificate: CertificateDer<'static>,
    facts: SignerFacts,
    root: RootFacts,
    bundle: TrustBundle,
}

/// The root that the signer's chain ends at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootFacts {
    /// [`root_id`] of it.
    pub id: String,
    /// Unix seconds.
    pub not_after: u64,
}

impl fmt::Debug for SigningCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningCa")
            .field("trust_domain", self.trust_domain())
            .finish_non_exhaustive()
    }
}

/// Why the authority signs nothing now (F-36).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// The intermediate is over.
    #[error(
        "the intermediate expired at {0}; sign a new one with `postern-authority renew-intermediate`"
    )]
    Expired(String),
    /// The root is over.
    #[error(
        "the root expired at {0}; roll over to a new one with `postern-authority root prepare` and `root activate`"
    )]
    RootExpired(String),
    /// Our clock stands before the intermediate begins.
    #[error("the intermediate is not valid before {0}; is this machine's clock right?")]
    NotYet(String),
}

impl SigningCa {
    /// Reads intermediate, key and bundle from the directory, and checks that they belong together.
    ///
    /// An expired intermediate still loads: whether it may sign is asked at each signature.
    ///
    /// # Errors
    /// A missing or unreadable file, a key of another certificate, an intermediate of no published
    /// root.
    pub fn load(directory: &AuthorityDirectory) -> anyhow::Result<Self> {
        let bundle = load_bundle(directory)?;
        let given = pem::certificates(&directory.intermediate_certificate())?;
        Self::new(&given, pem::private_key(&directory.intermediate_key())?, bundle)
    }

    /// Puts an intermediate (first of `given`), its key and the published roots together.
    ///
    /// # Errors
    /// No certificate, a key of another one, an intermediate of no published root.
    pub fn new(
        given: &[CertificateDer<'static>],
        key: KeyPair,
        bundle: TrustBundle,
    ) -> anyhow::Result<Self> {
        let certificate = given.first().context("there is no intermediate certificate")?.clone();
        let facts = SignerFacts::read(&certificate)?;
        facts.check_key("intermediate", &key)?;
        facts.check_signs("intermediate")?;
        let (chain, root) = path_to_root(given, &facts, &bundle)?;
        for above in chain.iter().skip(1) {
            SignerFacts::read(above)?.check_signs("certificate above the intermediate")?;
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key)
            .context("the intermediate certificate cannot sign")?;
        Ok(Self { issuer, chain, certificate, facts, root, bundle })
    }

    /// The trust domain it signs for.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        self.bundle.trust_domain()
    }

    /// The roots to publish.
    #[must_use]
    pub fn bundle(&self) -> &TrustBundle {
        &self.bundle
    }

    /// Its own certificate: what follows the leaf in a chain.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What follows the leaf in a chain: its own certificate and those above it, without the root.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The root that every leaf signed here chains to.
    #[must_use]
    pub fn root(&self) -> &RootFacts {
        &self.root
    }

    /// When it or its root expires, Unix seconds. No leaf outlives it.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.facts.not_after.min(self.root.not_after)
    }

    /// When it begins, Unix seconds.
    #[must_use]
    pub fn not_before(&self) -> u64 {
        self.facts.not_before
    }

    /// When it expires by itself, whatever its root does; Unix seconds.
    #[must_use]
    pub fn intermediate_not_after(&self) -> u64 {
        self.facts.not_after
    }

    /// From its making to its end, seconds.
    #[must_use]
    pub fn lifetime(&self) -> u64 {
        self.facts.not_after.saturating_sub(self.facts.not_before.saturating_add(BACK_DATED))
    }

    /// Whether it may sign now.
    ///
    /// # Errors
    /// [`NotReady`] with the date.
    pub fn ready(&self, now: u64) -> Result<(), NotReady> {
        if now > self.root.not_after {
            return Err(NotReady::RootExpired(readable(self.root.not_after)));
        }
        if now > self.facts.not_after {
            return Err(NotReady::Expired(readable(self.facts.not_after)));
        }
        if now < self.facts.not_before {
            return Err(NotReady::NotYet(readable(self.facts.not_before)));
        }
        Ok(())
    }

    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }
}

/// Reads the published roots. Their trust domain is the one the directory was given, or the one
/// their own URI SAN (or the intermediate's) names.
///
/// # Errors
/// A missing or unreadable file, or a root that names no trust domain.
pub fn load_bundle(directory: &AuthorityDirectory) -> anyhow::Result<TrustBundle> {
    let path = directory.bundle();
    let roots =
        pem::certificates(&path).context("cannot read the trust bundle; run `init` first")?;
    let trust_domain = match directory.trust_domain()? {
        Some(given) => given,
        None => named_trust_domain(directory, &roots)?,
    };
    TrustBundle::from_der(trust_domain, roots).with_context(|| path.display().to_string())
}

fn named_trust_domain(
    directory: &AuthorityDirectory,
    roots: &[CertificateDer<'static>],
) -> anyhow::Result<TrustDomain> {
    let intermediate = pem::certificates(&directory.intermediate_certificate()).unwrap_or_default();
    for certificate in roots.iter().chain(&intermediate) {
        if let Some(named) = SignerFacts::read(certificate)?.trust_domain {
            return Ok(named);
        }
    }
    bail!(
        "{}: neither the root nor the intermediate names a trust domain (a URI name spiffe://NAME); give \
         `run --trust-domain NAME`",
        directory.bundle().display()
    )
}

/// Reads the first certificate of a PEM file.
///
/// # Errors
/// The path, and what is wrong with the file.
pub fn read_certificate(path: &std::path::Path) -> anyhow::Result<CertificateDer<'static>> {
    Ok(pem::certificates(path)?.swap_remove(0))
}

/// The name of a root in the record, the roll-over and the commands: the first 16 digits of the
/// SHA-256 of its certificate.
#[must_use]
pub fn root_id(root: &CertificateDer<'_>) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, root);
    secret::hex(hash.as_ref()).chars().take(16).collect()
}

/// More certificates between an intermediate and its root than anybody has.
const MAX_CHAIN: usize = 4;

/// The chain from the intermediate up to, and without, a published root: without one no peer would
/// believe a leaf. Certificates of the file that are not on the way are passed over.
fn path_to_root(
    given: &[CertificateDer<'static>],
    facts: &SignerFacts,
    bundle: &TrustBundle,
) -> anyhow::Result<(Vec<CertificateDer<'static>>, RootFacts)> {
    let mut chain: Vec<CertificateDer<'static>> = Vec::new();
    let mut current = given.first().context("no certificate")?;
    while chain.len() < MAX_CHAIN {
        let root = signer_among(current, bundle.roots())?;
        if root != Some(current) {
            chain.push(current.clone());
        }
        if let Some(root) = root {
            let root =
                RootFacts { id: root_id(root), not_after: SignerFacts::read(root)?.not_after };
            return Ok((chain, root));
        }
        match signer_among(current, given)? {
            Some(next) if !chain.contains(next) => current = next,
            _ => break,
        }
    }
    bail!(
        "the intermediate (expires {}) is signed by none of the roots that are published, so nobody would believe what \
         it signs; restore the files that belong together",
        readable(facts.not_after)
    )
}

fn signer_among<'a>(
    certificate: &CertificateDer<'_>,
    candidates: &'a [CertificateDer<'static>],
) -> anyhow::Result<Option<&'a CertificateDer<'static>>> {
    let (_, signed) = X509Certificate::from_der(certificate)?;
    for candidate in candidates {
        let (_, signer) = X509Certificate::from_der(candidate)?;
        if signed.verify_signature(Some(signer.public_key())).is_ok() {
            return Ok(Some(candidate));
        }
    }
    Ok(None)
}

/// Whether this root signed the certificate.
///
/// # Errors
/// When one of them cannot be read.
pub fn is_signed_by(
    certificate: &CertificateDer<'_>,
    root: &CertificateDer<'static>,
) -> anyhow::Result<bool> {
    Ok(signer_among(certificate, std::slice::from_ref(root))?.is_some())
}

/// What we ask of a signer's certificate.
#[derive(Debug)]
pub struct SignerFacts {
    /// Unix seconds.
    pub not_before: u64,
    /// Unix seconds.
    pub not_after: u64,
    /// Of its URI SAN, when it has one.
    pub trust_domain: Option<TrustDomain>,
    /// The subject, as RFC 4514 writes it.
    pub subject: String,
    /// Lower-case hexadecimal bytes separated by `:`.
    pub serial: String,
    public_key: Vec<u8>,
    signs: Result<(), SignerError>,
}

impl SignerFacts {
    /// Reads a certificate.
    ///
    /// # Errors
    /// When it is not one.
    pub fn read(certificate: &CertificateDer<'_>) -> anyhow::Result<Self> {
        let (_, parsed) =
            X509Certificate::from_der(certificate).context("not an X.509 certificate")?;
        let validity = parsed.validity();
        Ok(Self {
            not_before: u64::try_from(validity.not_before.timestamp()).unwrap_or(0),
            not_after: u64::try_from(validity.not_after.timestamp()).unwrap_or(0),
            trust_domain: trust_domain_of(&parsed),
            subject: parsed.subject().to_string(),
            serial: parsed.raw_serial_as_string(),
            signs: identity::SigningCertificate::read(certificate, Pki::Spiffe).map(drop),
            public_key: parsed.public_key().subject_public_key.data.to_vec(),
        })
    }

    fn check(&self, role: &str, now: u64, key: &impl PublicKeyData) -> anyhow::Result<()> {
        if now > self.not_after {
            bail!(
                "the {role} expired at {}; nothing can be signed with it",
                readable(self.not_after)
            );
        }
        self.check_key(role, key)
    }

    /// Whether this is the key of the certificate.
    ///
    /// # Errors
    /// When it is another's; with the certificate's end.
    pub fn check_key(&self, role: &str, key: &impl PublicKeyData) -> anyhow::Result<()> {
        if self.public_key != key.der_bytes() {
            bail!(
                "the {role} key is not the key of the {role} certificate (expires {}); restore the matching pair",
                readable(self.not_after)
            );
        }
        Ok(())
    }
}

impl SignerFacts {
    /// Whether the certificate is a CA's (X509-SVID §3.2: `cA` and keyCertSign).
    ///
    /// # Errors
    /// When it may not sign certificates.
    pub fn check_signs(&self, role: &str) -> anyhow::Result<()> {
        let signs = self.signs.clone();
        signs.with_context(|| format!("the {role} certificate may not sign certificates"))
    }
}

fn trust_domain_of(certificate: &X509Certificate<'_>) -> Option<TrustDomain> {
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        x509_parser::extensions::GeneralName::URI(uri) => {
            SpiffeId::parse(uri).ok().and_then(|id| TrustDomain::parse(id.trust_domain()).ok())
        }
        _ => None,
    })
}
