//! S-30: from a certificate request only the public key is taken. Whatever else it says, the
//! certificate names the attested id, and nothing but it.

use crate::support::{CART, Ca, id};
use authority::ca::csr::{CsrError, MAX_CSR, proven_key};
use authority::ca::leaf::{Subject, sign};
use authority::ca::signers::SigningCa;
use authority::clock::wall_clock;
use identity::X509Svid;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rcgen::{
    Attribute, BasicConstraints, CertificateParams, CustomExtension, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType, SigningKey,
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Requests tried on every run: 100,000, by several threads.
const THREADS: u32 = 4;
const CASES: u32 = 100_000 / THREADS;

/// What a hostile request asks for.
#[derive(Debug, Clone)]
struct Wish {
    common_name: String,
    uris: Vec<String>,
    dns: Vec<String>,
    ca: Option<u8>,
    usages: Vec<bool>,
    any_usage: bool,
    extension: Option<Vec<u8>>,
    challenge: Option<String>,
}

fn wish() -> impl Strategy<Value = Wish> {
    let uri = prop_oneof![
        Just("spiffe://cluster.local/postern/authority".to_owned()),
        Just("spiffe://cluster.local/ns/shop/sa/payments".to_owned()),
        Just("spiffe://cluster.local".to_owned()),
        "spiffe://[a-z.]{1,20}/[a-zA-Z0-9/._-]{0,40}",
        "[ -~]{0,60}",
    ];
    (
        "[ -~]{0,40}",
        prop::collection::vec(uri, 0..4),
        prop::collection::vec("[a-z*.]{1,30}", 0..4),
        prop::option::of(any::<u8>()),
        prop::collection::vec(any::<bool>(), 9),
        any::<bool>(),
        prop::option::of(prop::collection::vec(any::<u8>(), 0..60)),
        prop::option::of("[ -~]{0,60}"),
    )
        .prop_map(|(common_name, uris, dns, ca, usages, any_usage, extension, challenge)| {
            Wish { common_name, uris, dns, ca, usages, any_usage, extension, challenge }
        })
}

const USAGES: [KeyUsagePurpose; 9] = [
    KeyUsagePurpose::DigitalSignature,
    KeyUsagePurpose::ContentCommitment,
    KeyUsagePurpose::KeyEncipherment,
    KeyUsagePurpose::DataEncipherment,
    KeyUsagePurpose::KeyAgreement,
    KeyUsagePurpose::KeyCertSign,
    KeyUsagePurpose::CrlSign,
    KeyUsagePurpose::EncipherOnly,
    KeyUsagePurpose::DecipherOnly,
];

impl Wish {
    fn request(&self, key: &impl SigningKey) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, DnValue::Utf8String(self.common_name.clone()));
        for uri in &self.uris {
            params.subject_alt_names.push(SanType::URI(uri.as_str().try_into().unwrap()));
        }
        for dns in &self.dns {
            params.subject_alt_names.push(SanType::DnsName(dns.as_str().try_into().unwrap()));
        }
        if let Some(length) = self.ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(length));
        }
        for (wanted, usage) in self.usages.iter().zip(USAGES) {
            if *wanted {
                params.key_usages.push(usage);
            }
        }
        if self.any_usage {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
        }
        if let Some(content) = &self.extension {
            let oid = [1, 3, 6, 1, 4, 1, 55_555, 1];
            params.custom_extensions.push(CustomExtension::from_oid_content(&oid, content.clone()));
        }
        // PKCS#9 challengePassword.
        const CHALLENGE: &[u64] = &[1, 2, 840, 113_549, 1, 9, 7];
        let attributes = self
            .challenge
            .iter()
            .map(|content| {
                let mut values = vec![0x0c, u8::try_from(content.len()).unwrap()];
                values.extend(content.bytes());
                let length = u8::try_from(values.len()).unwrap();
                Attribute { oid: CHALLENGE, values: [vec![0x31, length], values].concat() }
            })
            .collect();
        params.serialize_request_with_attributes(key, attributes).unwrap().der().to_vec()
    }
}

#[test]
fn an_rsa_key_of_the_roca_class_gets_no_certificate() {
    // Signed by its own key, the product of two primes made as CVE-2017-15361 has them.
    assert_eq!(proven_key(include_bytes!("roca-request.der")), Err(CsrError::WeakKey));
}

fn certificate_for(ca: &SigningCa, csr: &[u8]) -> Result<Vec<u8>, CsrError> {
    let key = proven_key(csr)?;
    let subject = Subject { id: id(CART), dns_names: Vec::new() };
    let leaf = sign(ca, &key, &subject, 3600, wall_clock()).unwrap();
    let svid = X509Svid::parse(leaf.chain.clone()).expect("every leaf keeps the SPIFFE rules");
    assert_eq!(svid.id().as_str(), CART);
    Ok(leaf.chain[0].to_vec())
}

/// The certificate names the attested id alone, may sign nothing, and holds the requested key.
fn check_names(certificate: &[u8], key: &impl rcgen::PublicKeyData) {
    let (_, parsed) = X509Certificate::from_der(certificate).unwrap();
    let names = parsed.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names, [GeneralName::URI(CART)]);
    assert!(names.critical);
    assert_eq!(parsed.subject().iter().count(), 0);
    assert!(!parsed.basic_constraints().unwrap().unwrap().value.ca);
    let usage = parsed.key_usage().unwrap().unwrap();
    assert!(usage.critical);
    assert_eq!(usage.value.flags, 1, "digitalSignature alone");
    let extended = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.server_auth && extended.client_auth && !extended.any);
    assert!(extended.other.is_empty());
    assert_eq!(parsed.extensions().len(), 6, "no extension of the request's");
    assert_eq!(parsed.public_key().raw, key.subject_public_key_info());
    let lifetime =
        parsed.validity().not_after.timestamp() - parsed.validity().not_before.timestamp();
    assert_eq!(lifetime, 3660);
}

#[test]
fn s30_csr_names_ignored() {
    let ca = Ca::new().load();
    let ca = ca.ca.now();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| hostile_requests(&ca));
        }
    });
}

fn hostile_requests(ca: &SigningCa) {
    let key = KeyPair::generate().unwrap();
    let mut runner =
        TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    runner
        .run(&wish(), |wish| {
            let certificate = certificate_for(ca, &wish.request(&key));
            check_names(&certificate.expect("a proof that holds"), &key);
            Ok(())
        })
        .unwrap();
}

#[test]
fn s30_csr_names_ignored_damaged_requests_are_refused() {
    let ca = Ca::new().load();
    let ca = ca.ca.now();
    let key = KeyPair::generate().unwrap();
    let strategy = (wish(), any::<prop::sample::Index>(), 1u8..=255);
    let mut runner =
        TestRunner::new(Config { cases: 5_000, failure_persistence: None, ..Config::default() });
    runner
        .run(&strategy, |(wish, at, change)| {
            let mut csr = wish.request(&key);
            let at = at.index(csr.len());
            csr[at] ^= change;
            // Any signed byte breaks the proof; the few that are not signed may survive, and then
            // name nobody.
            if let Ok(certificate) = certificate_for(&ca, &csr) {
                check_names(&certificate, &key);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn s30_csr_names_ignored_noise_is_refused() {
    let mut runner =
        TestRunner::new(Config { cases: 20_000, failure_persistence: None, ..Config::default() });
    runner
        .run(&prop::collection::vec(any::<u8>(), 0..400), |noise| {
            prop_assert!(proven_key(&noise).is_err());
            Ok(())
        })
        .unwrap();
}

#[test]
fn s30_csr_names_ignored_keys() {
    let check = |name: &str, key: &KeyPair, expect: Result<(), CsrError>| {
        let csr = CertificateParams::default().serialize_request(key).unwrap();
        assert_eq!(proven_key(csr.der()).map(drop), expect, "{name}");
    };
    let make = |algorithm| KeyPair::generate_for(algorithm).unwrap();
    check("P-256", &make(&rcgen::PKCS_ECDSA_P256_SHA256), Ok(()));
    check("P-384", &make(&rcgen::PKCS_ECDSA_P384_SHA384), Ok(()));
    check("Ed25519", &make(&rcgen::PKCS_ED25519), Ok(()));
    let rsa = |size| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size).unwrap();
    check("RSA 2048", &rsa(rcgen::RsaKeySize::_2048), Ok(()));
    check("P-521", &make(&rcgen::PKCS_ECDSA_P521_SHA512), Err(CsrError::Unsupported));
}

/// Keys that no library of ours makes; openssl does.
#[test]
fn s30_csr_names_ignored_weak_and_giant_rsa() {
    let dir = tempfile::tempdir().unwrap();
    let check = |bits: &str, expect: CsrError| {
        let out = dir.path().join(format!("{bits}.der"));
        let made = std::process::Command::new("openssl")
            .args(["req", "-new", "-nodes", "-subj", "/CN=x", "-outform", "DER", "-newkey"])
            .arg(format!("rsa:{bits}"))
            .arg("-keyout")
            .arg(dir.path().join("key.pem"))
            .arg("-out")
            .arg(&out)
            .output()
            .expect("openssl is installed");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        assert_eq!(proven_key(&std::fs::read(out).unwrap()), Err(expect), "{bits}");
    };
    check("512", CsrError::NoPossession);
    check("1024", CsrError::NoPossession);
    check("5120", CsrError::Unsupported);
}

#[test]
fn s30_csr_names_ignored_proof_of_another_key() {
    let (one, two) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let request = |key: &KeyPair| CertificateParams::default().serialize_request(key).unwrap();
    let (mut forged, other) = (request(&one).der().to_vec(), request(&two).der().to_vec());
    // The signature is the last field: put the other request's in its place.
    let signature_at = forged.len() - 64;
    let from = other.len() - 64;
    forged.splice(signature_at.., other[from..].iter().copied());
    assert!(matches!(proven_key(&forged), Err(CsrError::NoPossession | CsrError::Malformed)));

    let mut trailing = other.clone();
    trailing.push(0);
    assert_eq!(proven_key(&trailing), Err(CsrError::Malformed));
    assert_eq!(proven_key(&vec![0x30; MAX_CSR + 1]), Err(CsrError::TooLarge));
    assert_eq!(proven_key(&[]), Err(CsrError::Malformed));
}
