//! Certificates made by the test itself: good ones for pods with identity files, and hostile ones.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};

/// A certificate authority of one trust domain, held by the test: a root, and an intermediate that signs.
pub struct TestAuthority {
    trust_domain: String,
    root: CertifiedIssuer<'static, KeyPair>,
    intermediate: CertifiedIssuer<'static, KeyPair>,
}

/// What a leaf certificate shall say; change what the test is about.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The URI names, in order. A good SVID has exactly one.
    pub uris: Vec<String>,
    /// Whether it claims to be an authority itself.
    pub is_ca: bool,
    /// The start of its validity, relative to now.
    pub not_before: Duration,
    /// The end of its validity, relative to now.
    pub not_after: Duration,
    /// Its DNS names.
    pub dns_names: Vec<String>,
    /// Its extended key usages.
    pub usages: Vec<ExtendedKeyUsagePurpose>,
}

/// A leaf with its chain and key.
#[derive(Clone, Debug)]
pub struct Svid {
    /// The leaf, then the intermediate, in PEM.
    pub chain_pem: String,
    /// The PKCS#8 key, in PEM.
    pub key_pem: String,
    /// The leaf's serial number.
    pub serial: u64,
}

impl Leaf {
    /// A good leaf of this SPIFFE id: valid since a minute, for an hour, for both ends of a connection.
    #[must_use]
    pub fn of(id: &str) -> Self {
        Self {
            uris: vec![id.to_owned()],
            is_ca: false,
            not_before: -Duration::minutes(1),
            not_after: Duration::hours(1),
            dns_names: Vec::new(),
            usages: vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        }
    }
}

impl TestAuthority {
    /// A new authority with fresh keys.
    #[must_use]
    pub fn new(trust_domain: &str) -> Self {
        let root =
            CertifiedIssuer::self_signed(signer(trust_domain, "root"), new_key()).expect("a root");
        let intermediate =
            CertifiedIssuer::signed_by(signer(trust_domain, "intermediate"), new_key(), &root)
                .expect("a signer");
        Self { trust_domain: trust_domain.to_owned(), root, intermediate }
    }

    /// The trust domain whose names it may sign; a hostile test may sign others.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// The root certificate, in PEM.
    #[must_use]
    pub fn bundle_pem(&self) -> String {
        self.root.as_ref().pem()
    }

    /// Signs what the test asks for, good or bad.
    #[must_use]
    pub fn issue(&self, leaf: &Leaf) -> Svid {
        let key = new_key();
        let mut parameters = leaf_parameters(leaf);
        let serial = next_serial();
        parameters.serial_number = Some(SerialNumber::from(serial));
        let certificate = parameters.signed_by(&key, &self.intermediate).expect("a leaf");
        Svid {
            chain_pem: format!("{}{}", certificate.pem(), self.intermediate.as_ref().pem()),
            key_pem: key.serialize_pem(),
            serial,
        }
    }

    /// The revocation list of what signed the leaves, with these on it, in PEM. It is good for `life`.
    #[must_use]
    pub fn crl_pem(&self, revoked: &[&Svid], life: Duration) -> String {
        let now = OffsetDateTime::now_utc();
        let revoked_certs = revoked.iter().map(|svid| RevokedCertParams {
            serial_number: SerialNumber::from(svid.serial),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        });
        let parameters = CertificateRevocationListParams {
            this_update: now - Duration::days(1),
            next_update: now + life,
            crl_number: SerialNumber::from(next_serial()),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = parameters.signed_by(&self.intermediate).expect("a revocation list");
        list.pem().expect("a list has a PEM form")
    }

    /// A good certificate for a service account of this trust domain.
    #[must_use]
    pub fn workload(&self, namespace: &str, service_account: &str) -> Svid {
        self.issue(&Leaf::of(&format!(
            "spiffe://{}/ns/{namespace}/sa/{service_account}",
            self.trust_domain
        )))
    }
}

impl Svid {
    /// What its holder signs as if the certificate were an authority's: a leaf that follows no rule but the forger's.
    #[must_use]
    pub fn forge(&self, leaf: &Leaf) -> Self {
        let own = KeyPair::from_pem(&self.key_pem).expect("our own PEM");
        // Every leaf made here has the same subject.
        let issuer = Issuer::new(leaf_parameters(leaf), own);
        let key = new_key();
        let mut parameters = leaf_parameters(leaf);
        let serial = next_serial();
        parameters.serial_number = Some(SerialNumber::from(serial));
        let certificate = parameters.signed_by(&key, &issuer).expect("a leaf");
        Self { chain_pem: certificate.pem(), key_pem: key.serialize_pem(), serial }
    }

    /// The leaf alone, in PEM.
    #[must_use]
    pub fn leaf_pem(&self) -> String {
        let end = "-----END CERTIFICATE-----\n";
        self.chain_pem.split_inclusive(end).next().unwrap_or_default().to_owned()
    }

    /// Writes `svid.pem` and `key.pem` into `directory`, each replaced whole.
    pub fn write(&self, directory: &Path) {
        replace(&directory.join("key.pem"), &self.key_pem);
        replace(&directory.join("svid.pem"), &self.chain_pem);
    }

    /// The chain for a TLS library, leaf first.
    #[must_use]
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.chain_pem.as_bytes())
            .map(|der| der.expect("our own PEM"))
            .collect()
    }

    /// The key for a TLS library.
    #[must_use]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).expect("our own PEM")
    }
}

/// Writes a file beside its place and renames it there, as a careful administrator does.
pub fn replace(path: &Path, content: &str) {
    let beside = path.with_extension("new~");
    std::fs::write(&beside, content)
        .unwrap_or_else(|error| panic!("writing {}: {error}", beside.display()));
    std::fs::rename(&beside, path)
        .unwrap_or_else(|error| panic!("renaming to {}: {error}", path.display()));
}

/// Serial numbers of this process, each used once.
fn next_serial() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0x1000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a P-256 key")
}

/// A signing certificate after X509-SVID sections 3.2 and 4: an id without a path, and keyCertSign.
fn signer(trust_domain: &str, name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, format!("{trust_domain} test {name}"));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.subject_alt_names = vec![uri(&format!("spiffe://{trust_domain}"))];
    parameters.not_before = OffsetDateTime::now_utc() - Duration::days(1);
    parameters.not_after = OffsetDateTime::now_utc() + Duration::days(1);
    parameters
}

fn leaf_parameters(leaf: &Leaf) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "a workload");
    parameters.subject_alt_names = leaf.uris.iter().map(|name| uri(name)).collect();
    parameters
        .subject_alt_names
        .extend(leaf.dns_names.iter().map(|name| SanType::DnsName(ia5(name))));
    parameters.is_ca =
        if leaf.is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = leaf.usages.clone();
    parameters.not_before = OffsetDateTime::now_utc() + leaf.not_before;
    parameters.not_after = OffsetDateTime::now_utc() + leaf.not_after;
    parameters
}

fn uri(name: &str) -> SanType {
    SanType::URI(ia5(name))
}

fn ia5(name: &str) -> Ia5String {
    name.try_into().expect("test names are ASCII")
}
